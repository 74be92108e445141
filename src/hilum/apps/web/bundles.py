"""Which bundle reads: the one that the server was started with, or its calibration to this site."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hilum.apps.store.store import Store
from hilum.apps.store.tables import Model, Setting
from hilum.bundle.folder import DEFAULT_BUNDLE, Bundle, open_bundle
from hilum.bundle.manifest import CHECKSUMS
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of

KEY = "calibrated-bundle"
"""The setting: {"base": checksum, "folder": name in ``data/bundles`` or None, "before": likewise,
"can_undo"}."""
FOLDER = "bundles"


@dataclass(frozen=True, slots=True)
class Choice:
    """Where the active bundle lies, and the checksum of its ``checksums.json`` now."""

    root: Path
    checksum: str


class Bundles:
    """The bundles of a server.

    Args:
        store: with the administrator's choice.
        base: the bundle of ``--bundle``; None for that inside the package.
        data: folder of data.
    """

    def __init__(self, store: Store, base: Path | None, data: Path) -> None:
        self._store = store
        self.base = (base or DEFAULT_BUNDLE).resolve()
        self.calibrated = data / FOLDER
        self._lock = threading.Lock()
        self._opened: tuple[Choice, Bundle] | None = None
        self._base: tuple[Choice, Bundle] | None = None

    def choose(self) -> Choice:
        """Return which bundle is active; a calibration of another bundle is left alone.

        Raises:
            BundleError: it is not there.
        """
        root, chosen = self.base, self.setting()
        if chosen and chosen["folder"] and chosen["base"] == _checksum(self.base):
            root = self.calibrated / chosen["folder"]
        return Choice(root, _checksum(root))

    def left_alone(self) -> bool:
        """Say whether a calibration is chosen that was fitted to another bundle than the base.

        Raises:
            BundleError: the base is not there.
        """
        chosen = self.setting()
        return bool(chosen and chosen["folder"] and chosen["base"] != _checksum(self.base))

    def open(self) -> Bundle:
        """Open the active bundle, verified once for each checksum.

        Raises:
            BundleError: damaged, or not there.
        """
        choice = self.choose()
        with self._lock:
            if self._opened is None or self._opened[0] != choice:
                self._opened = (choice, open_bundle(choice.root))
            return self._opened[1]

    def open_base(self) -> Bundle:
        """Open the bundle that the server was started with, verified once for each checksum.

        Raises:
            BundleError: damaged, or not there.
        """
        choice = Choice(self.base, _checksum(self.base))
        with self._lock:
            if self._base is None or self._base[0] != choice:
                self._base = (choice, open_bundle(choice.root))
            return self._base[1]

    def setting(self) -> dict[str, Any] | None:
        """Return what an administrator chose."""
        with self._store.read() as session:
            found = session.get(Setting, KEY)
            return found.value if found is not None else None


def of_this_network(session: Session, base: Bundle) -> set[str]:
    """Return the checksums of a base and of its calibrations: one network, the same scores."""
    found = {base.checksum}
    for model in session.scalars(select(Model)):
        adaptations = model.manifest.get("adaptations") or []
        if adaptations and adaptations[-1]["bundle"] == base.identity:
            found.add(model.checksum)
    return found


def _checksum(root: Path) -> str:
    path = root / CHECKSUMS
    if not path.is_file():
        raise BundleError(f"{root.name}: no bundle here", hint="start 'hilum serve' with --bundle")
    return sha256_of(path)
