"""Generic: a CSV with columns of your own, and a folder for each class."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hilum.core.case import COLUMNS, LABEL_COLUMNS, is_unknown
from hilum.core.config import did_you_mean
from hilum.core.csvtable import look_alike, number_of, read_table
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record
from hilum.data.header import dicom_header, is_dicom

TRUTHS: dict[str, float] = {
    **dict.fromkeys(("1", "1.0", "yes", "y", "true", "positive", "pos"), 1.0),
    **dict.fromkeys(("0", "0.0", "no", "n", "false", "negative", "neg"), 0.0),
    **dict.fromkeys(("", "nan", "na", "n/a", "unknown", "?"), math.nan),
}
"""Words (lower case) that a label column of your own may hold."""

CLASSES: dict[str, str] = {
    "covid": "covid-19",
    "covid19": "covid-19",
    "covid-19": "covid-19",
    "positive": "covid-19",
    "negative": "covid-19=0",
    "non-covid": "covid-19=0",
    "noncovid": "covid-19=0",
    "normal": "no-finding",
    "no finding": "no-finding",
    "pneumonia": "pneumonia",
    "viral pneumonia": "viral-pneumonia",
    "bacterial pneumonia": "bacterial-pneumonia",
    "lung_opacity": "lung-opacity",
    "tuberculosis": "tuberculosis",
}
"""Folder (lower case) -> label, or label=0."""

_BLANK = {word for word, truth in TRUTHS.items() if math.isnan(truth)}
_HEADER = ("PatientID", "ViewPosition", "PatientSex", "PatientAge")
_TEXT = ("group", "finding", "licence", "note", "source", "cohort", "boxes", "scores")
_SLASHES = re.compile(r"\s*(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})\s*")


def read_csv_cohort(
    root: Path,
    *,
    name: str = "csv",
    columns: Mapping[str, str] | None = None,
    images: Path | None = None,
) -> Cohort:
    """Read a CSV with columns of your own.

    Args:
        root: the CSV, or a folder with exactly one.
        name: what to call the cohort.
        columns: our column -> yours, e.g. {"path": "file", "covid-19": "pcr"}; a column that has
            our name already need not be named. ``path`` is needed, ``patient_id`` should be:
            without it each film counts as a person of its own. Masks lie where the CSV says,
            seen from its folder or that of the images. Of 03/04/2020 the other dates of the
            column tell whether the day or the month comes first; if they do not, it is unknown.
        images: folder of the images; default the folder of the CSV.

    Raises:
        CohortError: no CSV, an unknown or missing column, a label that is no yes or no, or a mask
            that is not there.
    """
    table = _one_csv(root)
    rows = read_table(table)
    named = _columns(columns or {}, rows.columns.tolist(), table)
    folder = Folder(Path(images) if images else table.parent)
    folder.notes += _columns_told(named, rows.columns.tolist())
    if "patient_id" not in named:
        folder.notes.append("no patient_id: each film counts as a person of its own")
    records: list[Record] = []
    places: dict[str, str] = {}
    unread: dict[str, list[str]] = {}
    date_of = _dates_of(rows[named["study_date"]]) if "study_date" in named else values.date_of
    bases = (table.parent, folder.root)
    for where, row, image in folder.rows(rows, table, lambda row, _: row[named["path"]]):
        ours = {column: row[theirs] for column, theirs in named.items()}
        records.append(
            _csv_record(ours, image, folder.root, name, where)
            | {"study_date": date_of(ours.get("study_date", ""))}
            | _masks(ours, bases, where)
        )
        case_id = str(records[-1]["case_id"])
        if (first := places.setdefault(case_id, where)) != where:
            raise CohortError(
                f"{where}: '{case_id}' stands in {first}, too",
                hint="one row a film, with a case_id of its own: take one of the two out",
            )
        for column in _unread(ours, records[-1]):
            unread.setdefault(column, []).append(f"{where}: {ours[column]!r}")
    folder.notes += [
        f"{column}: {len(found)} values are not understood and unknown, e.g. {found[0]}"
        for column, found in unread.items()
    ]
    masks = {path for record in records for path in _masks_of(record)}
    unnamed = [image.name for image in folder.left() if str(image) not in masks]
    return folder.cohort(
        name, records, rows=len(rows), without_row=unnamed, place=(table.name, folder.numbers)
    )


def read_folders(
    root: Path,
    *,
    name: str = "folders",
    classes: Mapping[str, str] | None = None,
    patient: str = "",
) -> Cohort:
    """Read a folder for each class: ``root/covid/*.png``, ``root/normal/*.png``.

    The classes exclude one another: a film has 1 for the label of its own folder and 0 for those of
    the others.

    Args:
        root: the folder of the class folders.
        name: what to call the cohort.
        classes: folder -> label, or "label=0" for a folder that only says what it is not;
            added to ``CLASSES``.
        patient: regular expression whose first group, in the file name, names the person. Where it
            finds none, PatientID of a DICOM file does, unless all of several have the same, and any
            other film counts as a person of its own. View, sex and age are those of the header of a
            DICOM file, too.

    Raises:
        CohortError: a folder whose class is not known, or a label that does not exist.
    """
    known = CLASSES | {key.lower(): label for key, label in (classes or {}).items()}
    folder = Folder(root, keep=classes or ())
    root = folder.root
    folder.skipped += [f"{file.relative_to(root).as_posix()}: no film" for file in folder.others]
    pattern = _pattern(patient)
    kinds: dict[Path, str] = {}
    for file in folder.files:
        parts = file.relative_to(root).parts
        if len(parts) == 1:
            folder.skipped.append(f"{file.name}: lies in no class folder")
            continue
        kinds[file] = _class(parts[0], known, root)
    truths = {kind: _truth(kind) for kind in sorted(set(kinds.values()))}
    labels = {label for label, _ in truths.values()}
    headers = {file: _header(file) for file in kinds if is_dicom(file)}
    persons = [header["PatientID"] for header in headers.values() if header]
    one_id = persons[0] if len(persons) > 1 and len(set(persons)) == 1 else ""
    if one_id:  # of a folder without names, as a rule, not of one person
        headers = {file: header | {"PatientID": ""} for file, header in headers.items()}
    records = [
        _folder_record(file, root, name, pattern, headers.get(file, {}))
        | dict.fromkeys(labels, 0.0)
        | {truths[kind][0]: truths[kind][1]}
        for file, kind in kinds.items()
    ]
    named = pattern is not None
    folder.notes += _persons_told(records, len(headers), set(persons) - {""}, one_id, named=named)
    return folder.cohort(name, records, rows=len(folder.files))


def _one_csv(root: Path) -> Path:
    if root.is_file():
        return root
    found = sorted(root.glob("*.csv"))
    if len(found) != 1:
        raise CohortError(
            f"{root}: {len(found)} CSV files; expected one", hint="name the CSV itself"
        )
    return found[0]


def _columns(columns: Mapping[str, str], theirs: list[str], table: Path) -> dict[str, str]:
    ours = [*COLUMNS, *LABEL_COLUMNS]
    for name, column in columns.items():
        if name not in ours:
            raise CohortError(f"no column '{name}' in a cases table", hint=did_you_mean(name, ours))
        if column not in theirs:
            raise CohortError(f"{table}: no column '{column}'", hint=did_you_mean(column, theirs))
    alike = {name: _alike(name, theirs, table) for name in ours if name not in columns}
    named = {name: column for name, column in alike.items() if column} | dict(columns)
    if "path" not in named:
        raise CohortError(
            f"{table}: no column 'path'; found {', '.join(theirs)}",
            hint="say which column names the image: --column path=YOURS",
        )
    return named


def _alike(name: str, theirs: list[str], table: Path) -> str | None:
    """Return their column of our name, whatever its case and punctuation."""
    found = [each for each in theirs if each == name or look_alike(each, [name])]
    if len(found) > 1:
        raise CohortError(
            f"{table}: columns {' and '.join(found)} may both be '{name}'",
            hint=f"say which: --column {name}=YOURS",
        )
    return found[0] if found else None


def _columns_told(named: Mapping[str, str], theirs: list[str]) -> list[str]:
    pairs = named.items()
    told = [f"column '{column}' is taken as {ours}" for ours, column in pairs if ours != column]
    unused = [column for column in theirs if column not in named.values()]
    return told + ([f"columns that are not used: {', '.join(unused)}"] if unused else [])


def _csv_record(ours: dict[str, str], image: Path, root: Path, name: str, where: str) -> Record:
    inside = image.is_relative_to(root)
    relative = image.relative_to(root).as_posix() if inside else image.as_posix()
    record: Record = {
        "case_id": ours.get("case_id") or f"{name}/{relative}",
        "path": str(image),
        "patient_id": f"{name}/{ours.get('patient_id') or f'unknown-{relative}'}",
        "modality": ours.get("modality") or "X-ray",
        "view": values.view_of(ours.get("view", "")),
        "sex": values.sex_of(ours.get("sex", "")),
        "age_years": values.age_of(ours.get("age_years", "")),
        "offset_days": number_of(ours.get("offset_days", "")),
        "reference_standard": ours.get("reference_standard") or ReferenceStandard.UNSTATED.value,
        "licence": "unspecified",
    }
    record |= {key: ours[key] for key in _TEXT if ours.get(key)}
    for label in LABEL_COLUMNS:
        if label in ours:
            record[label] = _yes_or_no(ours[label], f"{where}, {label}")
    return record


def _masks(ours: Mapping[str, str], bases: Iterable[Path], where: str) -> Record:
    """Return the masks of a film, each as the file that is there."""

    def there(text: object, column: str) -> str:
        found = (base / str(text) for base in bases)
        path = next((path for path in found if path.is_file()), None)
        if path is None:
            raise CohortError(
                f"{where}, column {column}: no file {text!r}",
                hint="name it as seen from the folder of the CSV, or leave the cell blank",
            )
        return str(path)

    record: Record = {}
    if text := ours.get("lung_mask"):
        record["lung_mask"] = there(text, "lung_mask")
    if text := ours.get("lesion_masks"):
        try:
            kinds = json.loads(text)
        except json.JSONDecodeError:
            kinds = None
        if not isinstance(kinds, dict):
            raise CohortError(
                f"{where}, column lesion_masks: {text!r}; expected {COLUMNS['lesion_masks']}"
            )
        drawn = {kind: there(path, "lesion_masks") for kind, path in kinds.items()}
        record["lesion_masks"] = json.dumps(drawn)
    return record


def _masks_of(record: Record) -> list[str]:
    kinds = json.loads(str(record.get("lesion_masks") or "{}"))
    return [str(record.get("lung_mask", "")), *kinds.values()]


def _dates_of(column: Iterable[str]) -> Callable[[str], str]:
    """Return what reads the dates of a column; which of two numbers is the day, all of it tells."""
    found = [match for text in column if (match := _SLASHES.fullmatch(text))]
    day_first, month_first = (any(int(match[place]) > 12 for match in found) for place in (1, 2))

    def date_of(text: str) -> str:
        match = _SLASHES.fullmatch(text)
        if not match:
            return values.date_of(text)
        if day_first == month_first:
            return ""
        return values.date_of(f"{match[2]}/{match[1]}/{match[3]}" if day_first else text)

    return date_of


def _unread(ours: Mapping[str, str], record: Record) -> list[str]:
    """Name the columns whose text says something that the record does not: "45,5", "14.03.2020"."""
    return [
        name
        for name in ("view", "sex", "age_years", "study_date", "offset_days")
        if ours.get(name, "").lower() not in _BLANK and str(record[name]) in ("", "nan")
    ]


def _yes_or_no(text: str, where: str) -> float:
    if text.lower() not in TRUTHS:
        raise CohortError(
            f"{where}: {text!r}; expected 1, 0, yes, no, positive, negative or blank",
            hint="make it a column of 1 and 0 first",
        )
    return TRUTHS[text.lower()]


def _header(file: Path) -> dict[str, str]:
    """Return what the header of a DICOM file says of the person; nothing where it is damaged."""
    try:
        header = dicom_header(file, list(_HEADER))
    except CohortError:
        return {}
    return {tag: str(header.get(tag) or "").strip() for tag in _HEADER}


def _persons_told(
    records: list[Record], dicom: int, persons: set[str], one_id: str, *, named: bool
) -> list[str]:
    """Say where patients come from, and of how many films nobody knows whose they are."""
    told = []
    if dicom:
        person = (
            f"every PatientID is '{one_id}', which is taken as unknown: a pattern "
            "for the patient says whose each film is"
            if one_id
            else f"PatientID is the person{' where the file name names none' if named else ''} "
            f"({len(persons)} in the headers)"
        )
        told.append(f"{dicom} DICOM films: view, sex and age are those of the header, and {person}")
    unknown = sum(is_unknown(str(record["patient_id"])) for record in records)
    if unknown == len(records) and not named:
        told.append("no pattern for the patient: each film counts as a person of its own")
    elif unknown:
        told.append(f"{unknown} films name no patient: each counts as a person of its own")
    return told


def _folder_record(
    file: Path,
    root: Path,
    name: str,
    pattern: re.Pattern[str] | None,
    header: Mapping[str, str],
) -> Record:
    relative = file.relative_to(root).as_posix()
    found = pattern.search(file.name) if pattern else None
    person = (found and found[1]) or header.get("PatientID")
    return {
        "case_id": f"{name}/{relative}",
        "path": str(file),
        "patient_id": f"{name}/{person or f'unknown-{relative}'}",
        "view": values.view_of(header.get("ViewPosition", "")),
        "sex": values.sex_of(header.get("PatientSex", "")),
        "age_years": values.age_of(header.get("PatientAge", "")),
        "finding": file.relative_to(root).parts[0],
        "reference_standard": ReferenceStandard.UNSTATED.value,
        "licence": "unspecified",
    }


def _class(folder: str, known: Mapping[str, str], root: Path) -> str:
    if folder.lower() not in known:
        raise CohortError(
            f"{root / folder}: no label is known for a folder of this name",
            hint=f"say it: --class {folder}=LABEL, LABEL one of {', '.join(LABEL_COLUMNS)}",
        )
    return known[folder.lower()]


def _truth(kind: str) -> tuple[str, float]:
    label, _, value = kind.partition("=")
    if label not in LABEL_COLUMNS or value not in {"", "0", "1"}:
        raise CohortError(
            f"class '{kind}': expected LABEL or LABEL=0", hint=did_you_mean(label, Label)
        )
    return label, float(value or 1)


def _pattern(text: str) -> re.Pattern[str] | None:
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise CohortError(f"patient pattern {text!r}: {error}") from None
    if pattern.groups < 1:
        raise CohortError(f"patient pattern {text!r}: no group", hint=r"e.g. '(patient\d+)_'")
    return pattern
