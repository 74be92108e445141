"""Case: the columns of a cases table, the only table that crosses between rooms.

One row is one film. Everything joins on ``case_id``. Unknown is blank, in CSV and in memory (NaN).
Label columns carry the names of ``hilum.core.labels.Label`` and hold 1, 0 or blank.
"""

from __future__ import annotations

from hilum.core.labels import Label

COLUMNS: dict[str, str] = {
    "case_id": "unique name of the film: COHORT/stem or COHORT/relative path",
    "path": "the image; relative to the folder of the CSV, or absolute",
    "cohort": "name of the adapter that read it",
    "source": "site inside the cohort where known, else the cohort",
    "patient_id": "one person; unique across cohorts: COHORT/id",
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
REQUIRED_COLUMNS: tuple[str, ...] = ("case_id", "path", "cohort", "source", "patient_id")
