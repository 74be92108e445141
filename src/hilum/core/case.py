"""Case: the columns of a cases table, the only table that crosses between rooms.

One row is one film. Everything joins on ``case_id``. Unknown is blank, in CSV and in memory (NaN).
Label columns carry the names of ``hilum.core.labels.Label`` and hold 1, 0 or blank.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hilum.core.labels import Label

if TYPE_CHECKING:
    import pandas as pd

_WHOLE = re.compile(r"^((?:.*/)?\d+)\.0$")

COLUMNS: dict[str, str] = {
    "case_id": "unique name of the film: COHORT/stem or COHORT/relative path",
    "path": "the image; relative to the folder of the CSV, or absolute",
    "cohort": "name of the adapter that read it",
    "source": "site inside the cohort where known, else the cohort",
    "patient_id": "one person: COHORT/id; an id without a slash is of its own cohort",
    "group": "patients linked by a duplicate film share it; splits never divide it",
    "modality": "X-ray, CT or blank",
    "view": "PA, AP, AP supine, lateral or blank",
    "sex": "M, F or blank",
    "age_years": "years, or blank",
    "study_date": "ISO 8601 date, or blank",
    "offset_days": "days since the cohort's own zero point, or blank",
    "finding": "the collection's own words",
    "reference_standard": "RT-PCR, report, radiologist, unstated",
    "licence": "licence of the image as the collection states it",
    "lung_mask": "path of a lung mask, or blank",
    "lesion_masks": 'JSON {"ground-glass": path, "consolidation": path}, or blank',
    "boxes": 'JSON [{"label", "x", "y", "width", "height"}] in pixels of the file, or blank',
    "scores": 'JSON {"name": number} of severity scores, or blank',
    "note": "what a user should know of this film",
}
"""Column -> what it holds, in the order of a CSV. ``split`` and ``fold`` are added by a split."""

LABEL_COLUMNS: tuple[str, ...] = tuple(label.value for label in Label)
SIDES: tuple[str, ...] = ("train", "val", "test")
"""What ``split`` says where a network is to learn from the table."""
REQUIRED_COLUMNS: tuple[str, ...] = ("case_id", "path", "cohort", "source", "patient_id")


def owner_of(cases: pd.DataFrame) -> pd.Series[str]:
    """Return whose film each row is: the person who is counted, kept on one side and resampled.

    The group where it is known, else the patient, else the film itself: a film without patient is
    a person of its own, never one with others that lack one. NaN and white space are unknown.
    Groups join the patients whom a duplicate film links, and a patient with films in two groups
    joins those. A bootstrap therefore draws groups, which are patients unless a duplicate links
    some: two exposures that may be one person's are never drawn apart.

    A patient id that names its cohort ("COHORT/id") is one person everywhere; one that does not
    is another person in every cohort, since hospitals count from 1. Ids that differ in capitals
    alone, or as 17 and 17.0, are one person's: to keep two people together costs little, to part
    one is a leak.

    Args:
        cases: with ``case_id``; ``patient_id``, ``group`` and ``cohort`` where known. Several rows
            of one film are allowed.

    Returns:
        The owner's name, never blank, on the index of ``cases``.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"case_id": ["a", "b", "c", "d"], "patient_id": ["p", "p", "", None]})
    >>> owner_of(table).tolist()
    ['p', 'p', 'c', 'd']
    """
    import pandas as pd

    film, patient, group = _known(cases, "case_id"), patient_of(cases), _known(cases, "group")
    named = (set(patient) | set(group)) - {""}
    film = film.mask(film.isin(named), "film " + film)  # a film called like somebody's id
    owner = group.where(group != "", patient.where(patient != "", film))
    codes, names = owner.factorize(sort=True)  # pandas compares numbers at once, text one by one
    number, alike = pd.Series(codes, cases.index), patient.str.casefold()
    while True:
        joined = number.where(patient == "", number.groupby(alike).transform("min"))
        joined = joined.groupby(number).transform("min")
        if (joined == number).all():
            return pd.Series(names.take(number.to_numpy()), cases.index, name=group.name)
        number = joined


def is_side(text: str) -> bool:
    """Let sides of other names be, but none that would be passed over for its capitals.

    >>> is_side("test"), is_side("external"), is_side("Test")
    (True, True, False)
    """
    return text in SIDES or text.strip().casefold() not in SIDES


def patient_of(cases: pd.DataFrame) -> pd.Series[str]:
    """Return the patient of each row, as COHORT/id where the cohort is known; "" if unknown."""
    patient, cohort = _known(cases, "patient_id"), _known(cases, "cohort")
    bare = (patient != "") & (cohort != "") & ~patient.str.contains("/", regex=False)
    return patient.mask(bare, cohort + "/" + patient)


def is_unknown(patient_id: str) -> bool:
    """Whether an adapter wrote the id because nobody knows whose the film is: COHORT/unknown-FILM.

    >>> is_unknown("csv/unknown-covid/1.png"), is_unknown("csv/17"), is_unknown("a/b/unknown-1")
    (True, False, False)
    """
    return patient_id.partition("/")[2].startswith("unknown-")


def patients_in(cases: pd.DataFrame) -> int | None:
    """Count the patients of films; None where none is given: each film is then one of its own."""
    owners = owner_of(cases)
    alone = (owners == cases["case_id"]) | owners.map(is_unknown)
    return None if alone.all() else int(owners.nunique())


def films_of(films: int, patients: int | None) -> str:
    """Say how many films of how many patients, as ``patients_in`` counts them.

    >>> films_of(3, 2), films_of(3, None)
    ('3 films of 2 patients', '3 films, patients not given')
    """
    whose = ", patients not given" if patients is None else f" of {patients} patients"
    return f"{films} films{whose}"


def _known(cases: pd.DataFrame, column: str) -> pd.Series[str]:
    """Return a column as text without white space around it; "" where it is unknown."""
    values = cases.get(column, cases["case_id"].map(lambda _: ""))
    return values.astype(object).where(values.notna(), "").map(_text).astype(str)


def _text(value: object) -> str:
    """Write an id; blanks among whole numbers make pandas hold and write 17 as 17.0: still 17."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return _WHOLE.sub(r"\1", str(value).strip())
