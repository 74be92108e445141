"""Codes: the concepts that Hilum's DICOM objects name (PS3.16, SNOMED CT, UCUM, and its own).

Hilum's own are of the scheme 99HILUM, where DICOM and SNOMED CT have no term: a calibrated
probability, what a film looks like, the share of a lung that is opaque, the score of a scale. A
code value has at most 16 characters (VR SH).
"""

from __future__ import annotations

from hilum.core.details import Opacity, Scale, Side, Zone
from hilum.core.labels import CODES, Appearance, Code, Label
from hilum.core.reading import PredictionSet

SCHEME = "99HILUM"
SCHEME_NAME = "Hilum: readings of chest radiographs"
SHORT_STRING = 16
"""Most characters of a code value (VR SH, PS3.5 6.2)."""


def _own(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


OWN: dict[str, Code] = {
    code.value: code
    for code in (
        _own("probability", "probability"),
        _own("score", "score, not a probability"),
        _own("threshold", "threshold on the score"),
        _own("prevalence", "prevalence that the probability holds for"),
        _own("coverage", "nominal coverage of the prediction set"),
        _own("answer", "answer, all in all"),
        _own("cannot-say", "Cannot say"),
        _own("call", "finding at the operating point"),
        _own("prediction-set", "answers that cannot be ruled out"),
        _own("none", "Neither answer"),
        _own("appearance", "Appearance of the film, not the infection"),
        _own("appearances", "appearances that cannot be ruled out"),
        _own("typical", "Typical of COVID-19 pneumonia"),
        _own("indeterminate", "Indeterminate for COVID-19 pneumonia"),
        _own("atypical", "Atypical of COVID-19 pneumonia"),
        _own("no-pneumonia", "No pneumonia seen; rules out no infection"),
        _own("no-appearance", "Unusual for each of the four appearances"),
        _own("p-typical", "Typical of COVID-19 pneumonia, probability"),
        _own("p-indeterminate", "Indeterminate for COVID-19 pneumonia, probability"),
        _own("p-atypical", "Atypical of COVID-19 pneumonia, probability"),
        _own("p-no-pneumonia", "No pneumonia seen, probability"),
        _own("opaque", "opaque share"),
        _own("opaque-gg", "ground-glass share"),
        _own("opaque-cons", "consolidation share"),
        _own("opaque-upper", "opaque share of the upper zone"),
        _own("opaque-middle", "opaque share of the middle zone"),
        _own("opaque-lower", "opaque share of the lower zone"),
        _own("area-film", "area, share of the film"),
        _own("area-lungs", "area, share of the lungs"),
        _own("mean-score", "mean score, not a probability"),
        _own("box-score", "score of the box, not a probability"),
        _own("extent", "Geographic extent (0 to 8), research score"),
        _own("extent-low", "Geographic extent, lower end of the interval"),
        _own("extent-high", "Geographic extent, upper end of the interval"),
        _own("opacity", "Opacity (0 to 6), research score"),
        _own("opacity-low", "Opacity score, lower end of the interval"),
        _own("opacity-high", "Opacity score, upper end of the interval"),
        _own("brixia", "Brixia (0 to 18), research score"),
        _own("brixia-low", "Brixia, lower end of the interval"),
        _own("brixia-high", "Brixia, upper end of the interval"),
    )
}
"""Hilum's own concepts. In an object the meaning of a finding's names the finding, too."""

SCALES = {Scale.EXTENT: "extent", Scale.OPACITY: "opacity", Scale.BRIXIA: "brixia"}

SHARES = {Opacity.GROUND_GLASS: "opaque-gg", Opacity.CONSOLIDATION: "opaque-cons"}

IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
DEVICE = Code("121007", "DCM", "Device")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
COMMENT = Code("121106", "DCM", "Comment")
REPORT = Code("126000", "DCM", "Imaging Measurement Report")
ESTIMATED = Code("414135002", "SCT", "Estimated")
PROCESSING = Code("109102", "DCM", "Processing Equipment")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")

MODALITY = Code("121139", "DCM", "Modality")
MODALITIES = {
    "CR": Code("CR", "DCM", "Computed Radiography"),
    "DX": Code("DX", "DCM", "Digital Radiography"),
}
OTHER_MODALITY = Code("OT", "DCM", "Other Modality")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
SOURCE = Code("260753009", "SCT", "Source")
PIXEL_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
ROW_ORIENTATION = Code("111044", "DCM", "Patient Orientation Row")
COLUMN_ORIENTATION = Code("111043", "DCM", "Patient Orientation Column")
HORIZONTAL_SPACING = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING = Code("111066", "DCM", "Vertical Pixel Spacing")

PERSON = Code("121006", "DCM", "Person")
LENGTH = Code("410668003", "SCT", "Length")
AREA = Code("42798000", "SCT", "Area")
SQUARE_MILLIMETER = Code("mm2", "UCUM", "square millimeter")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
SQUARE_PIXELS = Code("{square_pixels}", "UCUM", "square pixels")
MILLIMETER = Code("mm", "UCUM", "millimeter")
REJECTED = {
    "quality": Code("113001", "DCM", "Rejected for Quality Reasons"),
    "wrong-patient": Code("113037", "DCM", "Rejected for Patient Safety Reasons"),
    "worklist": Code("113038", "DCM", "Incorrect Modality Worklist Entry"),
}
"""Why objects are rejected -> title of the note (PS3.16 CID 7011)."""
PERCENT = Code("%", "UCUM", "percent")
NO_UNITS = Code("1", "UCUM", "no units")
SCORE_UNIT = Code("{score}", "UCUM", "score")

CLINICAL_FINDING = Code("404684003", "SCT", "Clinical finding")
ABNORMAL = Code("49755003", "SCT", "Morphologically abnormal structure")
ANATOMY = Code("91723000", "SCT", "Anatomical structure")
LUNG = Code("39607008", "SCT", "Lung")
OPACITY = Code("112001", "DCM", "Opacity")
BILATERAL = Code("51440002", "SCT", "Bilateral")
PRESENT = Code("52101004", "SCT", "Present")
ABSENT = Code("2667000", "SCT", "Absent")
INDETERMINATE = Code("82334004", "SCT", "Indeterminate")

SIDES = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),
    Side.LEFT: Code("7771000", "SCT", "Left"),
}
ZONES = {
    Zone.UPPER: Code("281392002", "SCT", "Upper zone of lung"),
    Zone.MIDDLE: Code("281393007", "SCT", "Middle zone of lung"),
    Zone.LOWER: Code("281394001", "SCT", "Lower zone of lung"),
}
KINDS = {
    Opacity.GROUND_GLASS: Code("112120", "DCM", "Ground glass opacity"),
    Opacity.CONSOLIDATION: CODES[Label.CONSOLIDATION],
}
ANSWERS = {
    PredictionSet.PRESENT: PRESENT,
    PredictionSet.ABSENT: ABSENT,
    PredictionSet.INDETERMINATE: INDETERMINATE,
    PredictionSet.NONE: OWN["none"],
}


APPEARANCES = {
    each: OWN["no-pneumonia" if each is Appearance.NEGATIVE else each.value] for each in Appearance
}


def of_label(label: Label) -> Code:
    """Return the code of a label: SNOMED CT where there is one, else Hilum's own."""
    return CODES.get(label) or _own(label.value[:SHORT_STRING], label.value.replace("-", " "))
