"""Facts: everything that a bundle's own files say, read for its model card.

Only ``bundle.json`` must be there. A bundle of an older Hilum, or one made elsewhere, has fewer
files; what they would say is then None or empty, and the card says "not measured".
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from hilum.bundle.datasheet import DATA, Datasheet
from hilum.bundle.gate import GATE
from hilum.bundle.manifest import ENVIRONMENT, EVALUATION, MANIFEST, Manifest
from hilum.bundle.outofsource import OUT_OF_SOURCE, OutOfSource
from hilum.bundle.severity import SEVERITY
from hilum.bundle.similar import SIMILAR, read_similar
from hilum.core.errors import BundleError
from hilum.judge.audit.schema import Audit
from hilum.judge.schema import Evaluation

AUDIT = "audit.json"
RECIPE = "recipe.toml"
_LUNGS, _OPACITIES = "lungs.json", "opacities.json"
"""As ``LUNGS_SPEC`` and ``OPACITIES_SPEC``, whose files load ONNX Runtime; facts need none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a bundle says of itself.

    Attributes:
        manifest: ``bundle.json``.
        environment: ``environment.json``, or {}.
        recipe: ``recipe.toml``, or {}.
        evaluation: on the test split.
        audits: one a label.
        out_of_source: of networks of the same recipe.
        data: the datasheet.
        lungs, gate, opacities, severity: what the files of that name measured and how they were
            made.
        similar: films of training whose embeddings the bundle carries; ``looks``: their looks, too.
    """

    manifest: Manifest
    environment: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    audits: tuple[Audit, ...] = ()
    out_of_source: OutOfSource | None = None
    data: Datasheet | None = None
    lungs: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    opacities: dict[str, Any] = field(default_factory=dict)
    severity: dict[str, Any] = field(default_factory=dict)
    similar: int = 0
    looks: bool = False

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the folder of a bundle; its checksums are not looked at.

        Raises:
            BundleError: a file is there and cannot be read.
        """
        recipe = root / RECIPE
        similar = read_similar(there) if (there := root / SIMILAR).is_file() else None
        return cls(
            manifest=Manifest.model_validate_json((root / MANIFEST).read_text(encoding="utf-8")),
            environment=_json(root / ENVIRONMENT),
            recipe=tomllib.loads(recipe.read_text(encoding="utf-8")) if recipe.is_file() else {},
            evaluation=Evaluation.load(there) if (there := root / EVALUATION).is_file() else None,
            audits=tuple(load_audit(path) for path in audit_files(root)),
            out_of_source=OutOfSource.load(t) if (t := root / OUT_OF_SOURCE).is_file() else None,
            data=Datasheet.read(there) if (there := root / DATA).is_file() else None,
            lungs=_json(root / _LUNGS),
            gate=_json(root / GATE),
            opacities=_json(root / _OPACITIES),
            severity=_json(root / SEVERITY),
            similar=0 if similar is None else len(similar.case_id),
            looks=similar is not None and similar.look is not None,
        )


def audit_files(root: Path) -> list[Path]:
    """Return ``audit.json`` and ``audit-LABEL.json``, as far as there are any."""
    return sorted(root.glob("audit*.json"), key=lambda path: (path.name != AUDIT, path.name))


def load_audit(path: Path) -> Audit:
    """Read what ``Audit.write`` wrote.

    Raises:
        BundleError: not an audit of this schema version.
    """
    try:
        return Audit.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise BundleError(
            f"{path}: not an audit: {key}: {first['msg']}", hint="'hilum audit' writes audit.json"
        ) from None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path}: {error}", hint="copy the bundle again") from None
    return values if isinstance(values, dict) else {}
