"""Attach: results and parts that came later go into a bundle, and its card is written anew.

Findings do not change: weights and thresholds stay, byte for byte. The checksum does, so
``environment.json`` keeps those that the bundle had before; an audit of one of them is one of it.
A gate changes which films get findings.
"""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

from hilum.bundle.card import write_card
from hilum.bundle.facts import AUDIT, load_audit, recipe_of
from hilum.bundle.folder import Bundle, open_bundle, seal
from hilum.bundle.gate import GATE, open_gate
from hilum.bundle.manifest import CHECKSUMS, ENVIRONMENT
from hilum.bundle.onepass import open_segmenter
from hilum.bundle.outofsource import OUT_OF_SOURCE, from_comparison
from hilum.bundle.parts import FILES, open_parts
from hilum.core.errors import BundleError
from hilum.core.files import write_text
from hilum.judge.audit.schema import Audit

EARLIER = "earlier_checksums"


class Attached(NamedTuple):
    """What ``attach_results`` did.

    Attributes:
        bundle: as it is now.
        new: something of it was; otherwise the bundle is as it was, with its checksum.
        note: of what could not be checked, or differs and may; "" where nothing is to be said.
    """

    bundle: Bundle
    new: bool
    note: str = ""


def attach_results(
    root: Path,
    *,
    audits: Sequence[Path] = (),
    out_of_source: Path | None = None,
    variant: str | None = None,
    parts: Sequence[Path] = (),
) -> Attached:
    """Copy results and parts into a bundle, write its card and seal it; all of it, or nothing.

    Args:
        root: of the bundle, verified first.
        audits: ``audit.json`` of audits of this bundle, one a label.
        out_of_source: ``table.json`` of a comparison that holds the recipe of this bundle. One
            that does not say its recipes is taken, with a note, and one of other epochs, too.
        variant: of that comparison, where it has several.
        parts: files of ``hilum.bundle.parts.FILES``, or folders that hold some; they replace those
            in the bundle.

    Raises:
        BundleError: no bundle, a byte of it changed, an audit of something else, a comparison of
            another recipe, or a part that does not load or belongs to other networks.
        CohortError: not the table of a comparison, or no such variant.
    """
    bundle = open_bundle(root)
    found = [(load_audit(path), path) for path in audits]
    for audit, path in found:
        _check(audit, path, bundle)
    table, note = None, ""
    if out_of_source:
        table, note = from_comparison(out_of_source, variant, recipe_of(root))
    files = [file for path in parts for file in _part_files(path)]
    staging = root.with_name(f".{root.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        shutil.copytree(root, staging, ignore=shutil.ignore_patterns(CHECKSUMS))
        for audit, _ in found:
            audit.write(staging / _name(audit, bundle))
        if table:
            table.write(staging / OUT_OF_SOURCE)
        for file in files:
            shutil.copyfile(file, staging / file.name)
        _check_parts(staging, root, {file.name for file in files})
        write_card(staging)
        if _same(root, staging):
            return Attached(bundle, False, note)
        remember(staging, bundle.checksum)
        seal(staging)
        _exchange(root, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Attached(open_bundle(root), True, note)


def _same(root: Path, staging: Path) -> bool:
    """Whether a copy without its seal has the files of the bundle, byte for byte."""
    names = {path.name for path in root.iterdir()} - {CHECKSUMS}
    if names != {path.name for path in staging.iterdir()}:
        return False
    return all(filecmp.cmp(root / name, staging / name, shallow=False) for name in names)


def _check_parts(staging: Path, root: Path, new: Set[str]) -> None:
    try:
        open_parts(staging)
        if GATE in new:
            open_gate(staging, lungs=open_segmenter(staging).checksum)
    except BundleError as error:
        said = error.message.replace(f"{staging}/", "").removeprefix(f"{staging}: ")
        raise BundleError(f"{root} with these parts: {said}", hint=error.hint) from None


def _part_files(path: Path) -> list[Path]:
    found = [path / name for name in FILES] if path.is_dir() else [path]
    found = [file for file in found if file.is_file() and file.name in FILES]
    if not found:
        raise BundleError(
            f"{path}: no part of a bundle; expected {', '.join(FILES)}, or a folder with some",
            hint="'hilum train', 'hilum bundle fit-severity', 'hilum bundle index' make them",
        )
    return found


def _name(audit: Audit, bundle: Bundle) -> str:
    first = bundle.manifest.labels[0].label
    return AUDIT if audit.label == first else f"audit-{audit.label}.json"


def _check(audit: Audit, path: Path, bundle: Bundle) -> None:
    if audit.about.checksum not in {bundle.checksum, *earlier_checksums(bundle.root)}:
        found = audit.about.bundle or audit.subject
        raise BundleError(
            f"{path}: an audit of {found}; expected one of {bundle.identity}",
            hint=f"hilum audit cases.csv -b {bundle.root} -o out/",
        )
    labels = [output.label.value for output in bundle.manifest.labels]
    if audit.label not in labels:
        raise BundleError(f"{path}: label {audit.label}; expected one of {', '.join(labels)}")


def earlier_checksums(root: Path) -> tuple[str, ...]:
    """Return the checksums that a bundle had before results were attached."""
    path = root / ENVIRONMENT
    if not path.is_file():
        return ()
    return tuple(json.loads(path.read_text(encoding="utf-8")).get(EARLIER, ()))


def remember(root: Path, checksum: str) -> None:
    """Keep a checksum that a bundle had, if it says how it was made; it is to be sealed anew."""
    path = root / ENVIRONMENT
    if path.is_file():
        facts = json.loads(path.read_text(encoding="utf-8"))
        facts[EARLIER] = [*facts.get(EARLIER, ()), checksum]
        write_text(path, json.dumps(facts, indent=2) + "\n")


def _exchange(root: Path, staging: Path) -> None:
    """Put ``staging`` where ``root`` is; if that fails, ``root`` is as it was."""
    aside = root.with_name(f".{root.name}.before")
    shutil.rmtree(aside, ignore_errors=True)
    root.rename(aside)
    try:
        staging.rename(root)
    except OSError:
        aside.rename(root)
        raise
    shutil.rmtree(aside)
