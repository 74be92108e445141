"""Parts: what a bundle may carry beside its network, to say more of a film than findings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from hilum.bundle.gate import GATE
from hilum.bundle.lungs import LUNGS
from hilum.bundle.onepass import AnyOpacities, open_map_opacities
from hilum.bundle.opacities import OPACITIES, OPACITIES_SPEC, open_opacities
from hilum.bundle.severity import SEVERITY, SeverityModels, open_severity
from hilum.bundle.similar import SIMILAR, Neighbors, open_similar
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of

FILES = (OPACITIES, OPACITIES_SPEC, SEVERITY, SIMILAR, GATE)
"""Files that say more of a film than its findings, or that it must not be read."""


class Parts(NamedTuple):
    """The parts of a bundle; None for each that it does not carry."""

    opacities: AnyOpacities | None
    severity: SeverityModels | None
    similar: Neighbors | None


def open_parts(root: Path, *, lungs: str | None = None) -> Parts:
    """Open every part in the folder of a bundle, each network for one thread.

    Args:
        root: the folder.
        lungs: SHA-256 of the lung network that looks for a bundle without its own.

    Raises:
        BundleError: a part does not load, or belongs to other networks.
    """
    severity = open_severity(root)
    for name, digest in severity.made_for.items() if severity else ():
        other = lungs if name == LUNGS else None
        found = sha256_of(root / name) if (root / name).is_file() else other
        if found not in (None, digest):
            raise BundleError(
                f"{root / SEVERITY}: fitted with another {name}",
                hint="fit it again with this bundle: 'hilum bundle fit-severity'",
            )
    opacities = open_map_opacities(root) or open_opacities(root)
    return Parts(opacities, severity, open_similar(root))
