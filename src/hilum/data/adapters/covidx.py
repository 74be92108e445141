"""COVIDx split lists (COVID-Net): which film of which collection trains and which tests.

One line a film: ``PATIENT FILE LABEL SOURCE``, in ``train_COVIDx8B.txt`` and ``test_COVIDx8B.txt``.
The images lie elsewhere; where they are not found, the row is kept all the same, because the lists
are read to check a split: ``hilum cohort check`` finds patient ANON191 on both sides of 7B.
"""

from __future__ import annotations

import re
from pathlib import Path

from hilum.core.csvtable import plain
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.core.textfile import read_text
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record

_LIST = re.compile(r"(train|test|val)_?(?:split)?_?(?:COVIDx)?-?(\w*)\.txt", re.IGNORECASE)
_LINE = re.compile(r"(?P<patient>\S+(?: \S+)?) (?P<file>\S+) (?P<label>\S+) (?P<source>\S+)")
_SOURCES = {"rnsa": "rsna"}  # a typing error of list 9B

LABELS: dict[str, dict[Label, float]] = {
    "positive": {Label.COVID_19: 1.0},
    "negative": {Label.COVID_19: 0.0},
    "COVID-19": {Label.COVID_19: 1.0, Label.PNEUMONIA: 1.0, Label.NO_FINDING: 0.0},
    "pneumonia": {Label.COVID_19: 0.0, Label.PNEUMONIA: 1.0, Label.NO_FINDING: 0.0},
    "normal": {Label.COVID_19: 0.0, Label.PNEUMONIA: 0.0, Label.NO_FINDING: 1.0},
}
"""Word of a list -> labels; "positive" and "negative" since 7B, three classes before."""

_PATIENT_HOMES = {"cohen": "covid-chestxray-dataset"}


def read_covidx(root: Path, *, name: str = "covidx", version: str = "") -> Cohort:
    """Read the lists of one version, and the images where they are there.

    Args:
        root: folder with the lists, and ``train/`` and ``test/`` with images, if any.
        name: what to call the cohort.
        version: "7B", "8B", "9B", ...; default the last one found.

    Returns:
        One row a line, with the column ``split``.

    Raises:
        CohortError: no lists, no such version, or a line that cannot be read.
    """
    lists = _lists(root)
    wanted = version.upper() or max(lists, key=lambda each: (len(each), each))
    if wanted not in lists:
        raise CohortError(
            f"{root}: no lists of COVIDx {version}", hint=f"there are: {', '.join(sorted(lists))}"
        )
    folder = Folder(root)
    folder.notes.append(f"lists of COVIDx {wanted}; there are: {', '.join(sorted(lists))}")
    records: list[Record] = []
    for split, path in sorted(lists[wanted].items()):
        records += _records(path, split, folder, name)
    if folder.missing or folder.ambiguous:
        folder.notes.append("rows whose image is not here are kept: these are lists")
    return folder.cohort(name, records, rows=len(records))


def read_covidx_list(path: Path, split: str, *, name: str = "covidx") -> Cohort:
    """Read one list, whatever it is called.

    Args:
        path: lines of ``PATIENT FILE LABEL SOURCE``.
        split: what to write into the column ``split``: "train" or "test".
        name: what to call the cohort.

    Raises:
        CohortError: no such file, or a line that cannot be read.
    """
    folder = Folder(path.parent)
    records = _records(path, split, folder, name)
    return folder.cohort(name, records, rows=len(records))


def _lists(root: Path) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(root.glob("*.txt")):
        if named := _LIST.fullmatch(path.name):
            found.setdefault(named[2].upper(), {})[named[1].lower()] = path
    if not found:
        raise CohortError(
            f"{root}: no list of COVIDx", hint="expected train_COVIDx8B.txt and the like"
        )
    return found


def _records(path: Path, split: str, folder: Folder, name: str) -> list[Record]:
    lines = enumerate(read_text(path, CohortError).splitlines(), start=1)
    read = [
        (f"{path.name} line {number}", _parts(plain(line), f"{path.name} line {number}"))
        for number, line in lines
        if line.strip()
    ]
    images = folder.find_all([(f"{split}/{parts['file']}", where) for where, parts in read])
    return [
        _record(parts, image, where, split, folder, name)
        for (where, parts), image in zip(read, images, strict=True)
    ]


def _parts(line: str, where: str) -> re.Match[str]:
    parts = _LINE.fullmatch(line)
    if parts is None or parts["label"] not in LABELS:
        raise CohortError(
            f"{where}: {line!r}; expected PATIENT FILE LABEL SOURCE, "
            f"LABEL one of {', '.join(LABELS)}"
        )
    return parts


def _record(
    parts: re.Match[str], image: Path | None, where: str, split: str, folder: Folder, name: str
) -> Record:
    source = _SOURCES.get(parts["source"], parts["source"])
    if source != parts["source"]:
        folder.resolved.append(f"{where}: source {parts['source']} -> {source}")
    home = _PATIENT_HOMES.get(source, f"{name}/{source}")
    return {
        "case_id": f"{name}/{split}/{parts['file']}",
        "path": str(image or folder.root / split / parts["file"]),
        "source": source,
        "patient_id": f"{home}/{parts['patient']}",
        "finding": parts["label"],
        "reference_standard": ReferenceStandard.UNSTATED.value,
        "licence": "as the collection that the film comes from",
        "note": "" if image else "image not here",
        "split": "test" if split == "test" else split,
    } | {label.value: value for label, value in LABELS[parts["label"]].items()}
