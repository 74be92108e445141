"""A bundle on disk: write its checksums, open it, find the byte that changed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.bundle.manifest import CHECKSUMS, MANIFEST, MODEL, SCHEMA_VERSION, Manifest
from hilum.core.config import validated
from hilum.core.errors import BundleError, BundleIntegrityError, BundleVersionError
from hilum.core.files import sha256_of, write_text

if TYPE_CHECKING:
    import pandas as pd

    from hilum.bundle.seen import KnownFilms

DEFAULT_BUNDLE = Path(__file__).parents[1] / "serve" / "default"
BUILT_IN = "default"
"""What a command line calls the bundle inside the package."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened, verified bundle.

    Attributes:
        root: its folder.
        manifest: what ``bundle.json`` holds.
        checksum: SHA-256 of ``checksums.json``: it names every byte of the bundle.
    """

    root: Path
    manifest: Manifest
    checksum: str

    @property
    def model(self) -> Path:
        """The ONNX file."""
        return self.root / MODEL

    @property
    def identity(self) -> str:
        """Name, version and the first 8 digits of the checksum."""
        return f"{self.manifest.name} {self.manifest.version} ({self.checksum[:8]})"

    def seen(self, cases: pd.DataFrame) -> KnownFilms:
        """Say which films of a cases table the bundle knew: by themselves, or by their patient.

        The one road by which films come to be judged: it refuses a table that leaks, too. Films
        are compared by ``case_id``, and by ``cohort`` where both have it; copies under another
        name are added as films are read.

        Args:
            cases: a whole cases table, before rows are chosen: a side that was left out cannot
                leak, and a patient is known by the films of training that the table holds, or by
                the digests in the bundle's ``splits.csv``.

        Raises:
            LeakageError: one patient, group or film stands on two sides of the table's split.
        """
        from hilum.bundle.seen import find_seen
        from hilum.data.leaks import refuse_leaks

        return find_seen(self.root, self.identity, refuse_leaks(cases))


def is_built_in(root: Path | None) -> bool:
    """Tell whether the bundle inside the package is meant: nothing is named, or "default"."""
    return root is None or (str(root) == BUILT_IN and not root.exists())


def open_bundle(root: Path | None = None) -> Bundle:
    """Open a bundle and verify every checksum.

    Args:
        root: its folder; None, or "default" where there is no such folder, for the bundle inside
            the package.

    Raises:
        BundleError: no bundle there, or its manifest cannot be read.
        BundleIntegrityError: a file is missing, added, or differs from what was packed.
        BundleVersionError: the format is not the one that this Hilum reads.
    """
    if root is None or is_built_in(root):
        root = DEFAULT_BUNDLE
    verify(root)
    return Bundle(root, manifest_of(root), sha256_of(root / CHECKSUMS))


def seal(root: Path) -> None:
    """Write ``checksums.json`` over all files now in ``root``."""
    write_text(root / CHECKSUMS, _sealed({name: sha256_of(root / name) for name in _files(root)}))


def verify(root: Path) -> None:
    """Raise ``BundleError`` naming the first file that is not what was packed."""
    if not (root / CHECKSUMS).is_file():
        raise BundleError(f"{root}: no bundle here ({CHECKSUMS} is missing)", hint=_where(root))
    expected = _checksums(root)
    for name in sorted(expected.keys() - set(_files(root))):
        raise BundleIntegrityError(f"{root / name}: missing", hint=_AGAIN)
    for name in sorted(set(_files(root)) - expected.keys()):
        raise BundleIntegrityError(f"{root / name}: not part of the bundle", hint=_AGAIN)
    for name, digest in sorted(expected.items()):
        if (found := sha256_of(root / name)) != digest:
            raise BundleIntegrityError(
                f"{root / name}: sha256 {found[:12]}; expected {digest[:12]}", hint=_AGAIN
            )


def _where(root: Path) -> str:
    if root == DEFAULT_BUNDLE:
        return "this installation carries no bundle; name one with --bundle, or install Hilum again"
    return "name the folder that holds bundle.json; 'hilum train' writes one"


_AGAIN = "copy the bundle again from where it came; never edit its files"


def _files(root: Path) -> list[str]:
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted({path.relative_to(root).as_posix() for path in found} - {CHECKSUMS})


def _sealed(sums: dict[str, str]) -> str:
    """Return the one text of ``checksums.json`` for these sums; it carries its own checksum."""
    own = hashlib.sha256(json.dumps(sums).encode()).hexdigest()
    return json.dumps({"files": sums, "sha256_of_files": own}, indent=2) + "\n"


def _checksums(root: Path) -> dict[str, str]:
    path = root / CHECKSUMS
    try:
        text = path.read_bytes().decode("utf-8")
        sums = json.loads(text)["files"]
        sealed = text == _sealed(sums)
    except (ValueError, KeyError, TypeError) as error:
        raise BundleIntegrityError(f"{path}: cannot be read: {error!r}", hint=_AGAIN) from None
    if not sealed or not isinstance(sums, dict):
        raise BundleIntegrityError(f"{path}: differs from what was packed", hint=_AGAIN)
    return sums


def manifest_of(root: Path) -> Manifest:
    """Read the manifest in a folder; ``open_bundle`` also verifies the rest."""
    path = root / MANIFEST
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BundleError(f"{path}: {error}", hint=_AGAIN) from None
    found = values.get("schema_version") if isinstance(values, dict) else None
    if found != SCHEMA_VERSION:
        raise BundleVersionError(
            f"{path}: schema_version {found!r}; this Hilum reads {SCHEMA_VERSION!r}",
            hint="install the Hilum that wrote it, or pack it again",
        )
    return validated(Manifest, values, BundleError, _AGAIN, where=str(path))
