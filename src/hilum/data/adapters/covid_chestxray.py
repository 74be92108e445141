"""covid-chestxray-dataset (Cohen et al.), in both of its layouts, and its kin.

Layout of August 2020: flat findings ("COVID-19, ARDS"). Later: ``RT_PCR_positive`` and a path of
findings ("Pneumonia/Viral/COVID-19"). Figure1 and Actualmed share the columns; Figure1 names the
image by ``patientid``, Actualmed by ``imagename``. ``source`` is the host that published the film
(radiopaedia.org, eurorad.org, ...): films of one host share its editing, marks and compression,
which is what a shortcut learns. Films of the Hannover repository carry the hospital's own name,
so that leaving a source out leaves them out in every cohort.

A finding is flat ("COVID-19, ARDS") or a path ("Pneumonia/Viral/COVID-19"). Each word of it is
looked up whole. A word that names an agent or another cause of the pneumonia excludes COVID-19 and
the other agents: the collection gives one type of pneumonia a film. A word that names none (plain
"Pneumonia", "ARDS") excludes COVID-19 only on films from before its first known case. A word that
says nothing ("todo", "Unknown") leaves every label unknown.

Annotations come from several groups, in folders of the collection and beside it. Each is optional.

- ``annotations/semantic_masks_v7labs_lungs/STEM_mask.png`` (manual), ``lungVAE-masks`` (a model's).
- COCO lung boxes: ``covid-19-chest-xray-lung-bounding-boxes-dataset`` and
  ``annotations/imageannotation_ai_lung_bounding_boxes.json``.
- ``covid-19-chest-xray-segmentations-dataset/lesion-masks/STEM_ggo.png`` and
  ``STEM_consolidation.png``.
- ``annotations/covid-severity-scores.csv`` (Cohen et al., arXiv:2005.11856): geographic extent 0-8,
  opacity 0-6, means of three readers.
- ``brixia-score/public-annotations.csv`` (Signoroni et al. 2021): six zones 0-3, global 0-18, by a
  senior (S) and a junior (J) reader.

covid-19-image-repository holds serial films of COVID-19 patients of Hannover Medical School; cite
Winther et al., doi:10.6084/m9.figshare.12275009; CC BY 3.0. Age is redacted. The offset is counted
from hospital admission and often negative.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from hilum.core.csvtable import number_in, number_of, read_table, rows_of
from hilum.core.errors import CohortError
from hilum.core.labels import Label, ReferenceStandard
from hilum.data import values
from hilum.data.adapters.prepared import Box, boxes_json, coco_boxes
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, beside, first_folder
from hilum.data.header import image_size

HANNOVER = "Hannover Medical School"
_HANNOVER_URL = "https://github.com/ml-workgroup/covid-19-image-repository"
_EXCLUDED = "Negative (covid-19 viral infection is excluded)"
_DATE_TAKEN = re.compile(r"date taken \(YYYYMMDD\): (\d{8})")
_SERIES_LETTER = re.compile(r"(COVID-\d+)[a-z]")
_CT_VIEWS = frozenset({"axial", "coronal", "sagittal"})


def read_covid_chestxray_dataset(
    root: Path, *, name: str = "covid-chestxray-dataset", table: str = "metadata.csv"
) -> Cohort:
    """Read covid-chestxray-dataset, Figure1 or Actualmed.

    Args:
        root: folder with ``metadata.csv`` and ``images/``. Masks, lung boxes, severity and Brixia
            scores are taken from ``annotations/`` or from the folders beside ``root``.
        name: what to call the cohort, e.g. "figure1".
        table: file name of the table.

    Raises:
        CohortError: no such table, or a column is missing.
    """
    path = root / table
    rows = read_table(path, ("patientid", "finding", "view", "modality"))
    folder = Folder(first_folder(root, "images"))
    extras = load(root)
    extras.settle(folder.files)
    unmapped: set[str] = set()
    records = []
    for _, row, image in folder.rows(rows, path, _file_name):
        records.append(_record(row, image, name, unmapped) | extras.of(image))
    folder.notes += [
        f"finding without a mapping, labels blank: {word}" for word in sorted(unmapped)
    ]
    folder.notes += extras.notes
    unnamed = _without_row(folder, name)
    records += unnamed
    return folder.cohort(
        name, records, rows=len(rows), without_row=[Path(r["path"]).name for r in unnamed]
    )


def _file_name(row: dict[str, str], where: str) -> str:
    named = row.get("filename") or row.get("imagename") or row["patientid"]
    if not named:
        raise CohortError(f"{where}: no filename, imagename or patientid; expected one")
    return f"{row['folder']}/{named}" if row.get("folder") else named


def _record(row: dict[str, str], image: Path, name: str, unmapped: set[str]) -> Record:
    notes = " ".join((row.get("clinical_notes", ""), row.get("notes", ""))).strip()
    date = row.get("date", "") or "".join(_DATE_TAKEN.findall(notes)[:1])
    is_ct = row["modality"].upper() == "CT" or row["view"].lower() in _CT_VIEWS
    hannover = row.get("url", "").startswith(_HANNOVER_URL)
    pcr = row.get("RT_PCR_positive", "").upper()
    return {
        "case_id": f"{name}/{image.name}",
        "path": str(image),
        "source": HANNOVER if hannover else values.site_of(row.get("url", "")) or name,
        "patient_id": f"{name}/{_patient(row)}",
        "modality": "CT" if is_ct else "X-ray" if row["modality"] == "X-ray" else "",
        "view": values.view_of(row["view"]),
        "sex": values.sex_of(row.get("sex", "")),
        "age_years": values.age_of(row.get("age", "")),
        "study_date": values.date_of(date),
        "offset_days": number_of(row.get("offset", "")),
        "finding": row["finding"],
        "reference_standard": (
            ReferenceStandard.RT_PCR if pcr in {"Y", "N"} else ReferenceStandard.UNSTATED
        ).value,
        "licence": row.get("license", "") or "unspecified",
        "note": "; ".join(_notes(row, is_ct, hannover)),
    } | _labels(row, hannover, pcr, notes, date, unmapped)


def _labels(
    row: dict[str, str], hannover: bool, pcr: str, notes: str, date: str, unmapped: set[str]
) -> dict[str, float]:
    word, covid = row["finding"].lower(), Label.COVID_19.value
    found = labels_of(word, before_covid=_before_covid(date), unmapped=unmapped)
    if word == "todo" and (hannover or pcr == "Y"):
        # every patient of that repository has COVID-19; "todo" means not yet transcribed
        found[covid] = 1.0
    if found[covid] == 1 and pcr == "N":
        found[covid] = math.nan
    if word == "no finding" and notes.startswith(_EXCLUDED):
        found[covid] = 0.0
    return found


def _notes(row: dict[str, str], is_ct: bool, hannover: bool) -> list[str]:
    said = []
    if is_ct:
        said.append("CT slice, not a radiograph")
    if hannover and row["finding"].lower() == "todo":
        said.append("finding 'todo'; from a repository whose patients all have COVID-19")
    elif hannover and row["finding"].lower() in {"no finding", "unknown"}:
        said.append(f"finding '{row['finding']}'; patient of a COVID-19 repository")
    elif row["finding"].lower() == "no finding":
        said.append("no finding on this film; COVID-19 of the patient not excluded")
    return said


def _patient(row: dict[str, str]) -> str:
    # Figure1 appends a letter for the films of one person: COVID-00003a, COVID-00003b
    lettered = _SERIES_LETTER.fullmatch(row["patientid"])
    return lettered[1] if lettered else row["patientid"] or f"unknown-{_file_name(row, '')}"


def _before_covid(date: str) -> bool:
    whole = values.date_of(date)
    if whole:
        return whole < FIRST_COVID_MONTH
    year = date[-4:]
    return len(year) == 4 and year.isdecimal() and year < FIRST_COVID_MONTH[:4]


def _without_row(folder: Folder, name: str) -> list[Record]:
    return [
        {
            "case_id": f"{name}/{image.name}",
            "path": str(image),
            "patient_id": f"{name}/unknown-{image.name}",
            "modality": "",
            "reference_standard": ReferenceStandard.UNSTATED.value,
            "licence": "unspecified",
            "note": "no row in the table; patient and labels unknown",
        }
        for image in folder.left()
    ]


_LUNG_MASKS = ("annotations/semantic_masks_v7labs_lungs", "annotations/lungVAE-masks")
_BOXES = (
    "covid-19-chest-xray-lung-bounding-boxes-dataset/annotations/annotations.json",
    "annotations/imageannotation_ai_lung_bounding_boxes.json",
)
_LESIONS = "covid-19-chest-xray-segmentations-dataset/lesion-masks"
_LESION_NAMES = {"ggo": "ground-glass", "consolidation": "consolidation"}
_SEVERITY = "annotations/covid-severity-scores.csv"
_BRIXIA = "brixia-score/public-annotations.csv"


@dataclass(slots=True)
class Annotations:
    """What is known of each image, by file name or stem.

    Attributes:
        notes: where each kind of annotation came from, for the report.
    """

    lung_masks: dict[str, Path] = field(default_factory=dict)
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    lesion_masks: dict[str, dict[str, str]] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def of(self, image: Path) -> Record:
        """Return the columns lung_mask, lesion_masks, boxes and scores of an image."""
        mask = self.lung_masks.get(image.stem)
        boxes = self.boxes.get(image.name, [])
        return {
            "lung_mask": str(mask) if mask else "",
            "lesion_masks": _json(self.lesion_masks.get(image.stem)),
            "boxes": boxes_json(boxes, image_size(image)) if boxes else "",
            "scores": _json(self.scores.get(image.name)),
        }

    def settle(self, images: Iterable[Path]) -> None:
        """Leave out the masks of a name that two images share: they may be of either."""
        stems = Counter(image.stem for image in images)
        for stem in sorted(stem for stem, number in stems.items() if number > 1):
            if any([self.lung_masks.pop(stem, None), self.lesion_masks.pop(stem, None)]):
                self.notes.append(f"masks of {stem} left out: {stems[stem]} images are called so")


def load(root: Path) -> Annotations:
    """Read what lies in ``root`` and beside it."""
    found = Annotations()
    for place in reversed(_LUNG_MASKS):  # a manual mask replaces a model's
        if folder := beside(root, place):
            masks = folder.resolve().glob("*_mask.png")
            found.lung_masks |= {path.stem.removesuffix("_mask"): path for path in masks}
            found.notes.append(f"lung masks: {place}")
    for place in reversed(_BOXES):
        if path := beside(root, place):
            boxes, unlabeled = coco_boxes(path)
            found.boxes |= boxes
            left_out = f"; {unlabeled} without a label left out" if unlabeled else ""
            found.notes.append(f"lung boxes: {place}{left_out}")
    if folder := beside(root, _LESIONS):
        found.lesion_masks = _lesions(folder.resolve())
        found.notes.append(f"lesion masks: {_LESIONS}")
    if path := beside(root, _SEVERITY):
        _merge(found.scores, _severity(path))
        found.notes.append(f"severity scores: {_SEVERITY}")
    if path := beside(root, _BRIXIA):
        _merge(found.scores, _brixia(path))
        found.notes.append(f"Brixia scores: {_BRIXIA}")
    return found


def _lesions(folder: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*.png")):
        stem, _, kind = path.stem.rpartition("_")
        if kind in _LESION_NAMES:
            found.setdefault(stem, {})[_LESION_NAMES[kind]] = str(path)
    return found


def _severity(path: Path) -> dict[str, dict[str, float]]:
    names = {"geographic_mean": "geographic-extent", "opacity_mean": "opacity"}
    table = read_table(path, ("filename", *names), comments=True)
    return _scores(table, path, names)


def _brixia(path: Path) -> dict[str, dict[str, float]]:
    zones = (*"ABCDEF", "Global")
    readers = {"S": "senior", "J": "junior"}
    names = {
        f"{key}-{zone}": f"brixia-{reader}-{zone.lower()}"
        for key, reader in readers.items()
        for zone in zones
    }
    table = read_table(path, ("filename", *names))
    return _scores(table, path, names)


def _scores(table: pd.DataFrame, path: Path, names: dict[str, str]) -> dict[str, dict[str, float]]:
    return {
        row["filename"]: {
            name: number_in(row, column, where) for column, name in names.items() if row[column]
        }
        for where, row in rows_of(table, path)
    }


def _merge(into: dict[str, dict[str, float]], scores: dict[str, dict[str, float]]) -> None:
    for name, more in scores.items():
        into.setdefault(name, {}).update(more)


def _json(value: object) -> str:
    return json.dumps(value) if value else ""


_VIRAL = (Label.PNEUMONIA, Label.VIRAL_PNEUMONIA)
_BACTERIAL = (Label.PNEUMONIA, Label.BACTERIAL_PNEUMONIA)
_FUNGAL = (Label.PNEUMONIA, Label.FUNGAL_PNEUMONIA)

SPECIFIC: dict[str, tuple[Label, ...]] = {
    "covid-19": (*_VIRAL, Label.COVID_19),
    "sars": (*_VIRAL, Label.SARS),
    "mers": (*_VIRAL, Label.MERS),
    "mers-cov": (*_VIRAL, Label.MERS),
    "influenza": _VIRAL,
    "h1n1": _VIRAL,
    "varicella": _VIRAL,
    "herpes": _VIRAL,
    "bacterial": _BACTERIAL,
    "streptococcus": _BACTERIAL,
    "klebsiella": _BACTERIAL,
    "mycoplasma": _BACTERIAL,
    "mycoplasma bacterial pneumonia": _BACTERIAL,
    "legionella": _BACTERIAL,
    "e.coli": _BACTERIAL,
    "chlamydophila": _BACTERIAL,
    "nocardia": _BACTERIAL,
    "staphylococcus": _BACTERIAL,
    "mrsa": _BACTERIAL,
    "fungal": _FUNGAL,
    "pneumocystis": _FUNGAL,
    "aspergillosis": _FUNGAL,
    "lipoid": (Label.PNEUMONIA,),
    "aspiration": (Label.PNEUMONIA,),
    "tuberculosis": (Label.TUBERCULOSIS,),
}
"""Word -> labels; it names the cause, so other causes are excluded."""

GENERAL: dict[str, tuple[Label, ...]] = {
    "pneumonia": (Label.PNEUMONIA,),
    "viral": _VIRAL,
    "ards": (Label.ARDS,),
}
"""Word -> labels; it leaves the cause open."""

NO_FINDING = "no finding"
SILENT = frozenset({"", "todo", "unknown"})
"""Words that say nothing of the film."""

LABELS: tuple[Label, ...] = (
    Label.COVID_19,
    Label.PNEUMONIA,
    Label.VIRAL_PNEUMONIA,
    Label.BACTERIAL_PNEUMONIA,
    Label.FUNGAL_PNEUMONIA,
    Label.SARS,
    Label.MERS,
    Label.ARDS,
    Label.TUBERCULOSIS,
    Label.NO_FINDING,
)
"""The labels that such a collection can give."""

_CAUSES = (
    Label.COVID_19,
    Label.VIRAL_PNEUMONIA,
    Label.BACTERIAL_PNEUMONIA,
    Label.FUNGAL_PNEUMONIA,
    Label.SARS,
    Label.MERS,
    Label.TUBERCULOSIS,
)
FIRST_COVID_MONTH = "2019-12"
"""The month of the first known cases; nothing older shows COVID-19."""


def labels_of(
    finding: str, *, before_covid: bool = False, unmapped: set[str] | None = None
) -> dict[str, float]:
    """Map a finding to labels: 1, 0, or NaN for unknown.

    Args:
        finding: the collection's words.
        before_covid: the film is known to be older than ``FIRST_COVID_MONTH``.
        unmapped: collects words that are in no table; they change no label.

    >>> found = labels_of("Pneumonia/Viral/COVID-19")
    >>> found["covid-19"], found["viral-pneumonia"], found["sars"], found["ards"]
    (1.0, 1.0, 0.0, nan)
    >>> labels_of("No Finding")["covid-19"]
    nan
    """
    found = {label.value: math.nan for label in LABELS}
    words = _words(finding)
    if unmapped is not None:
        known = {*SPECIFIC, *GENERAL, NO_FINDING, *SILENT}
        unmapped.update(word for word in words if word not in known)
    if words == [NO_FINDING]:
        found[Label.NO_FINDING.value] = 1.0
        found[Label.PNEUMONIA.value] = 0.0
    specific = [label for word in words for label in SPECIFIC.get(word, ())]
    general = [label for word in words for label in GENERAL.get(word, ())]
    if specific:
        found.update({label.value: 0.0 for label in _CAUSES})
    if specific or general:
        found[Label.NO_FINDING.value] = 0.0
    if general and before_covid:
        found[Label.COVID_19.value] = 0.0
    found.update({label.value: 1.0 for label in (*specific, *general)})
    return found


def _words(finding: str) -> list[str]:
    parts = finding.replace("/", ",").split(",")
    return [part.strip().lower() for part in parts if part.strip()]


_TABLE = "data.csv"
_LICENCE = "CC BY 3.0"


def read_covid_19_image_repository(
    root: Path, *, name: str = "covid-19-image-repository"
) -> Cohort:
    """Read ``data.csv`` and ``png/``; every patient has COVID-19.

    Raises:
        CohortError: no such table, or a column is missing.
    """
    path = root / _TABLE
    rows = read_table(path, ("patient_id", "image_id", "sex", "admission_offset", "projection"))
    folder = Folder(first_folder(root, "png"))
    return folder.listed(name, rows, path, "image_id", _hannover_record)


def _hannover_record(row: dict[str, str], image: Path, name: str) -> Record:
    return {
        "case_id": f"{name}/{image.stem}",
        "path": str(image),
        "source": HANNOVER,
        "patient_id": f"{name}/{row.get('patient_id') or f'unknown-{image.stem}'}",
        "view": values.view_of(row.get("projection", "")),
        "sex": values.sex_of(row.get("sex", "")),
        "age_years": values.age_of(row.get("age", "")),
        "offset_days": number_of(row.get("admission_offset", "")),
        "finding": "COVID-19" if row else "",
        "reference_standard": ReferenceStandard.UNSTATED.value,
        "licence": _LICENCE,
        "note": "" if row else "no row in the table; patient unknown",
        Label.COVID_19.value: 1.0 if row else math.nan,
    }
