"""Refusal: why a film must not be read, as a code, a sentence and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from hilum.core.rounded import figures
from hilum.core.words import Language, words


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
        return words()[f"refusal.{self}"]

    @property
    def hint(self) -> str:
        """What to do about it."""
        return self.hint_in("en")

    def hint_in(self, language: Language) -> str:
        """Say what to do about it."""
        hint, look = words(language)[f"refusal-hint.{self}"], words(language)["hint.look"]
        # What to look at comes after what may be wrong, and before what to do.
        if self in (Reason.BLANK, Reason.BADLY_EXPOSED):
            return f"{hint}; {look}"
        if self in (Reason.NOT_A_CHEST_FILM, Reason.UNLIKE_TRAINING):
            return f"{look}; {hint}"
        return hint


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
