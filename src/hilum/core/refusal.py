"""Refusal: why a film must not be read, as a code, a sentence and what to do about it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from hilum.core.rounded import figures


class Reason(StrEnum):
    """Why a film is refused. The codes are part of the format of a reading and never change."""

    OTHER_MODALITY = "other-modality"
    LATERAL = "lateral"
    PEDIATRIC = "pediatric"
    TOO_SMALL = "too-small"
    BLANK = "blank"
    BADLY_EXPOSED = "under-or-over-exposed"
    CT_SLICE = "ct-slice"
    INVERTED = "inverted"
    ROTATED = "rotated"
    UPSIDE_DOWN = "upside-down"
    ONE_LUNG = "one-lung"
    LUNGS_NOT_IN_FIELD = "lungs-not-in-field"
    FIGURE_PANEL = "figure-panel"
    SCREEN_PHOTO = "screen-photo"
    NOT_A_CHEST_FILM = "not-a-chest-film"
    UNLIKE_TRAINING = "unlike-training"

    @property
    def meaning(self) -> str:
        """What the film seems to be, in a few words."""
        return _MEANINGS[self].words

    @property
    def hint(self) -> str:
        """What to do about it."""
        return _MEANINGS[self].hint


class Refusal(BaseModel):
    """One refusal; it never carries a probability of a finding.

    Attributes:
        code: why.
        measured: what was measured, in words; ``value`` of it, and the ``limit`` that it broke.
            A log-odds here compares kinds of picture, and says nothing of any disease.
        value, limit: None where the file itself says so, in words.
        hint: what to do about it.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", json_schema_serialization_defaults_required=True
    )

    code: Reason
    measured: str
    value: float | None = None
    limit: float | None = None
    hint: str

    @property
    def sentence(self) -> str:
        """Say what was found against what was expected, in one line."""
        if self.value is None or self.limit is None:
            return f"{self.code.meaning}: {self.measured}"
        value, limit = figures(self.value), figures(self.limit)
        return f"{self.code.meaning}: {self.measured} {value}, limit {limit}"


class _Meaning(NamedTuple):
    words: str
    hint: str


_FRONTAL = "read the frontal film (PA or AP) of the same study"
_WHOLE = "export the whole film, with both lungs on it"

_MEANINGS: dict[Reason, _Meaning] = {
    Reason.OTHER_MODALITY: _Meaning("not a radiograph", "export the frontal chest radiograph"),
    Reason.LATERAL: _Meaning("a lateral film", _FRONTAL),
    Reason.PEDIATRIC: _Meaning(
        "a child's film", "this model was made for adults; it says nothing of children"
    ),
    Reason.TOO_SMALL: _Meaning(
        "too few pixels", "this may be a thumbnail; export the film at full size"
    ),
    Reason.BLANK: _Meaning(
        "blank",
        "the window may be wrong or the exposure failed; look at it with 'hilum show'",
    ),
    Reason.BADLY_EXPOSED: _Meaning(
        "exposed or windowed so that lungs cannot be judged",
        "export the film with its own window; look at it with 'hilum show'",
    ),
    Reason.CT_SLICE: _Meaning("a CT slice", "export the frontal chest radiograph"),
    Reason.INVERTED: _Meaning(
        "inverted, bone is black", "export the film with bone white, or as DICOM"
    ),
    Reason.ROTATED: _Meaning("turned by 90 degrees", "turn the film upright"),
    Reason.UPSIDE_DOWN: _Meaning("upside down", "turn the film upright"),
    Reason.ONE_LUNG: _Meaning("one lung", _WHOLE),
    Reason.LUNGS_NOT_IN_FIELD: _Meaning("lungs not in the field", _WHOLE),
    Reason.FIGURE_PANEL: _Meaning(
        "several pictures, or a film on a printed page", "cut out the one film, without its caption"
    ),
    Reason.SCREEN_PHOTO: _Meaning(
        "a photograph of a screen", "export the film itself; a photograph distorts its greys"
    ),
    Reason.NOT_A_CHEST_FILM: _Meaning(
        "not a chest radiograph", "look at it with 'hilum show'; export the frontal chest film"
    ),
    Reason.UNLIKE_TRAINING: _Meaning(
        "unlike every film that the gate was fitted on",
        "look at it with 'hilum show'; what a model says of such a picture means nothing",
    ),
}
