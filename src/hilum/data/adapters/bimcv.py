"""BIMCV-COVID19+ and BIMCV-COVID19- (de la Iglesia Vaya et al., arXiv:2006.01174).

The tables are joined by patient and session:

- ``participants.tsv``: participant, age, gender.
- ``sub-S03047/sub-S03047_sessions.tsv``: session_id, study_date.
- ``derivatives/labels/*.tsv``: PatientID, ReportID (the session), Labels, read from the report.
- ``derivatives/EHR/*.tsv``: participant, date (dd.mm.yyyy), test, result (POSITIVO, NEGATIVO).

COVID-19 is what the PCR within a number of days of the film says: 1 if one was positive, 0 if all
were negative. Without a PCR that near, the report's own "COVID 19" gives 1, and nothing gives 0.
CT volumes are left out.
"""

from __future__ import annotations

import ast
import datetime
import math
import re
from dataclasses import dataclass
from pathlib import Path

from hilum.core.csvtable import read_table, rows_of
from hilum.core.labels import Label, ReferenceStandard, View
from hilum.data import values
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

_NAME = re.compile(r"(sub-[A-Z0-9]+)_(ses-[A-Z0-9]+)_(?:.*_)?(?:cr|dx)", re.IGNORECASE)
_VIEW = re.compile(r"_vp-([a-z]+)", re.IGNORECASE)
_VIEWS = {"pa": View.PA, "ap": View.AP, "ll": View.LATERAL, "rl": View.LATERAL}
_RESULTS = {"POSITIVO": 1.0, "NEGATIVO": 0.0, "POSITIVE": 1.0, "NEGATIVE": 0.0}
_LICENCE = "BIMCV-COVID19 research use agreement"
_EXCLUDE = "exclude"
_COVID = "COVID 19"

FINDINGS: dict[str, Label] = {
    "normal": Label.NO_FINDING,
    "pneumonia": Label.PNEUMONIA,
    "infiltrates": Label.INFILTRATION,
    "consolidation": Label.CONSOLIDATION,
    "atelectasis": Label.ATELECTASIS,
    "cardiomegaly": Label.CARDIOMEGALY,
    "pleural effusion": Label.EFFUSION,
    "pleural thickening": Label.PLEURAL_THICKENING,
    "pneumothorax": Label.PNEUMOTHORAX,
    "pulmonary edema": Label.EDEMA,
    "pulmonary fibrosis": Label.FIBROSIS,
    "emphysema": Label.EMPHYSEMA,
    "nodule": Label.NODULE,
    "pulmonary mass": Label.MASS,
    "tuberculosis": Label.TUBERCULOSIS,
}
"""Report label (the vocabulary of PadChest) -> label; looked up whole."""


@dataclass(frozen=True, slots=True)
class _Tables:
    people: dict[str, dict[str, str]]
    dates: dict[tuple[str, str], str]
    labels: dict[str, list[str]]
    tests: dict[str, list[tuple[datetime.date, float]]]


def read_bimcv_covid19(root: Path, *, name: str = "bimcv-covid19", days: int = 14) -> Cohort:
    """Read the CR and DX films with the participants, sessions, labels and test tables.

    Args:
        root: ``covid19_posi`` or ``covid19_neg`` as unpacked, or the folder above one of them.
        name: what to call the cohort; the two want two names.
        days: how many days a PCR may lie before or after the film.

    Raises:
        CohortError: no ``participants.tsv``, or a column is missing.
    """
    base = first_folder(root, "covid19_posi", "covid19_neg")
    tables = _tables(base)
    folder = Folder(base, but=("derivatives",))
    records = []
    for file in folder.files:
        named = _NAME.fullmatch(file.stem)
        if named is None:
            folder.skipped.append(f"{file.name}: not a CR or DX film of this collection")
            continue
        records.append(_record(file, named, tables, name, days))
    unknown = [Path(r["path"]).name for r in records if "not in participants" in r["note"]]
    seen = {record["patient_id"] for record in records}
    absent = [person for person in tables.people if f"{name}/{person}" not in seen]
    folder.missing += [f"participants.tsv: films of {person}" for person in absent]
    return folder.cohort(name, records, rows=len(tables.people), without_row=unknown)


def _tables(base: Path) -> _Tables:
    path = base / "participants.tsv"
    people = read_table(path, ("participant", "age", "gender"))
    dates: dict[tuple[str, str], str] = {}
    for sessions in sorted(base.glob("sub-*/sub-*_sessions.tsv")):
        table = read_table(sessions, ("session_id", "study_date"))
        for _, row in rows_of(table, sessions):
            day = row["study_date"].partition(".")[0]
            dates[sessions.parent.name, row["session_id"]] = values.date_of(day)
    labels: dict[str, list[str]] = {}
    for file in sorted(base.glob("derivatives/labels/*.tsv")):
        for _, row in rows_of(read_table(file, ("ReportID", "Labels")), file):
            labels[row["ReportID"]] = _words(row["Labels"])
    by_person = {row["participant"]: row for _, row in rows_of(people, path) if row["participant"]}
    return _Tables(by_person, dates, labels, _tests(base))


def _tests(base: Path) -> dict[str, list[tuple[datetime.date, float]]]:
    found: dict[str, list[tuple[datetime.date, float]]] = {}
    columns = ("participant", "date", "test", "result")
    for file in sorted(base.glob("derivatives/EHR/sil_reg_covid_*.tsv")):
        for _, row in rows_of(read_table(file, columns), file):
            result = _RESULTS.get(row["result"].upper())
            day = _day(row["date"])
            if row["test"].upper() == "PCR" and result is not None and day:
                found.setdefault(row["participant"], []).append((day, result))
    return found


def _record(file: Path, named: re.Match[str], tables: _Tables, name: str, days: int) -> Record:
    person, session = named[1], named[2]
    said = _VIEW.search(file.stem)
    view = said[1].lower() if said else ""
    row = tables.people.get(person, {})
    date = tables.dates.get((person, session), "")
    words = tables.labels.get(session)
    covid, standard = _covid(tables.tests.get(person, []), date, words or [], days)
    return {
        "case_id": f"{name}/{file.stem}",
        "path": str(file),
        "source": "Valencian Region Medical Image Bank",
        "patient_id": f"{name}/{person}",
        "view": _VIEWS[view].value if view in _VIEWS else "",
        "sex": values.sex_of(row.get("gender", "")),
        "age_years": values.age_of(next(iter(_words(row.get("age", ""))), "")),
        "study_date": date,
        "finding": "|".join(words or []),
        "reference_standard": standard.value,
        "licence": _LICENCE,
        "note": "" if row else "not in participants.tsv",
        Label.COVID_19.value: covid,
    } | _report_labels(words)


def _covid(
    tests: list[tuple[datetime.date, float]], date: str, words: list[str], days: int
) -> tuple[float, ReferenceStandard]:
    if date:
        taken = datetime.date.fromisoformat(date)
        near = [result for day, result in tests if abs((day - taken).days) <= days]
        if near:
            return max(near), ReferenceStandard.RT_PCR
    return (1.0 if _COVID in words else math.nan), ReferenceStandard.REPORT


def _report_labels(words: list[str] | None) -> dict[str, float]:
    if words is None or _EXCLUDE in words:
        return {label.value: math.nan for label in FINDINGS.values()}
    said = {FINDINGS[word] for word in words if word in FINDINGS}
    return {label.value: float(label in said) for label in FINDINGS.values()}


def _words(text: str) -> list[str]:
    """Read "['COVID 19', 'pneumonia']", or one plain word."""
    try:
        listed = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return [text.strip()] if text.strip() else []
    listed = listed if isinstance(listed, list | tuple) else [listed]
    return [str(word).strip() for word in listed if str(word).strip()]


def _day(text: str) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(text, "%d.%m.%Y").date()
    except ValueError:
        return None
