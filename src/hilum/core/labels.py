"""Names: labels, views, reference standards, and their codes.

A label is what the reference standard says of a case; a finding is what the model says of it.
Names are written once, here, and travel unchanged from CSV to report.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Label(StrEnum):
    """What a collection can say of a film. In a cases table: 1, 0, or blank for unknown."""

    COVID_19 = "covid-19"
    PNEUMONIA = "pneumonia"
    VIRAL_PNEUMONIA = "viral-pneumonia"
    BACTERIAL_PNEUMONIA = "bacterial-pneumonia"
    FUNGAL_PNEUMONIA = "fungal-pneumonia"
    SARS = "sars"
    MERS = "mers"
    ARDS = "ards"
    TUBERCULOSIS = "tuberculosis"
    NO_FINDING = "no-finding"
    LUNG_OPACITY = "lung-opacity"
    ATELECTASIS = "atelectasis"
    CARDIOMEGALY = "cardiomegaly"
    CONSOLIDATION = "consolidation"
    EDEMA = "edema"
    EFFUSION = "effusion"
    EMPHYSEMA = "emphysema"
    FIBROSIS = "fibrosis"
    HERNIA = "hernia"
    INFILTRATION = "infiltration"
    MASS = "mass"
    NODULE = "nodule"
    PLEURAL_THICKENING = "pleural-thickening"
    PNEUMOTHORAX = "pneumothorax"


class Appearance(StrEnum):
    """What a film looks like where COVID-19 pneumonia is asked for; not whether it is one.

    Litmanovich et al., J Thorac Imaging 2020, after the RSNA consensus for CT (Simpson et al.,
    Radiol Cardiothorac Imaging 2020). ``NEGATIVE`` is "negative for pneumonia": nothing of it is
    seen on the film. It says nothing of an infection.
    """

    TYPICAL = "typical"
    INDETERMINATE = "indeterminate"
    ATYPICAL = "atypical"
    NEGATIVE = "negative"


class View(StrEnum):
    """How the beam passed; DICOM ``ViewPosition`` (0018,5101) is translated at the boundary."""

    PA = "PA"
    AP = "AP"
    AP_SUPINE = "AP supine"
    LATERAL = "lateral"

    @property
    def frontal(self) -> bool:
        """True unless the film is a lateral."""
        return self is not View.LATERAL


class ReferenceStandard(StrEnum):
    """Where a label comes from (STARD 2015, item 10b)."""

    RT_PCR = "RT-PCR"
    REPORT = "report"
    RADIOLOGIST = "radiologist"
    UNSTATED = "unstated"


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept, as DICOM writes it (PS3.3 section 8.8).

    Attributes:
        value: code value, e.g. "840539006".
        scheme: coding scheme designator: "SCT" (SNOMED CT) or "RADLEX".
        meaning: code meaning, in English.
    """

    value: str
    scheme: str
    meaning: str


CODES: dict[Label, Code] = {
    Label.COVID_19: Code("840539006", "SCT", "Disease caused by SARS-CoV-2"),
    Label.PNEUMONIA: Code("233604007", "SCT", "Pneumonia"),
    Label.VIRAL_PNEUMONIA: Code("75570004", "SCT", "Viral pneumonia"),
    Label.BACTERIAL_PNEUMONIA: Code("53084003", "SCT", "Bacterial pneumonia"),
    Label.TUBERCULOSIS: Code("56717001", "SCT", "Tuberculosis"),
    Label.ATELECTASIS: Code("46621007", "SCT", "Atelectasis"),
    Label.CARDIOMEGALY: Code("8186001", "SCT", "Cardiomegaly"),
    Label.CONSOLIDATION: Code("95436008", "SCT", "Pulmonary consolidation"),
    Label.EDEMA: Code("19242006", "SCT", "Pulmonary edema"),
    Label.EFFUSION: Code("60046008", "SCT", "Pleural effusion"),
    Label.PNEUMOTHORAX: Code("36118008", "SCT", "Pneumothorax"),
}
"""SNOMED CT codes of the labels that have an undisputed one."""
