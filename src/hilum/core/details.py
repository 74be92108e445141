"""Details: where on a film the sign is, how much of the lungs it covers, and what resembles it.

Part of a ``Reading`` where they were asked for. Sides are the patient's: on a film displayed as
usual the right lung lies on the left.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hilum.core.labels import Label

PixelBox = Annotated[tuple[int, int, int, int], Field(examples=[[310, 200, 110, 700]])]
"""(left, top, width, height), in pixels of the film."""

Outline = Annotated[
    tuple[tuple[int, int], ...], Field(examples=[[[310, 200], [420, 210], [400, 900]]])
]
"""A closed polygon of (x, y), in pixels of the film."""

RESEARCH_SCORE = "research score"
"""Said beside every severity score."""


class Side(StrEnum):
    """Of the patient, not of the picture."""

    RIGHT = "right"
    LEFT = "left"


class Zone(StrEnum):
    """A third of a lung's height."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


class Opacity(StrEnum):
    """Kinds of airspace opacity (Fleischner Society glossary, Hansell et al., Radiology 2008)."""

    GROUND_GLASS = "ground-glass"
    CONSOLIDATION = "consolidation"


class Scale(StrEnum):
    """Severity scores of the literature.

    Geographic extent (0-8) and opacity (0-6): Cohen et al., arXiv:2005.11856. Brixia (0-18, six
    zones of 0-3): Borghesi and Maroldi, Radiologia Medica 2020.
    """

    EXTENT = "geographic-extent"
    OPACITY = "opacity"
    BRIXIA = "brixia"


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        json_schema_serialization_defaults_required=True,
    )


class LungDetail(_Frozen):
    """One lung.

    Attributes:
        side: the patient's.
        area: as a fraction of the film, in [0, 1].
        box: around it; ``outline`` its border.
    """

    side: Side
    area: float = Field(ge=0, le=1, examples=[0.08])
    box: PixelBox
    outline: Outline


class Affected(_Frozen):
    """How much of a region of the lungs is opaque.

    Attributes:
        side: of the lung; None for both, or for the only one that was found.
        zone: None for the whole lung.
        share: of the region's pixels that lie in an opacity of any kind, in [0, 1].
        kinds: the same for each kind of opacity.
    """

    side: Side | None
    zone: Zone | None
    share: float = Field(ge=0, le=1, examples=[0.2])
    kinds: dict[Opacity, float] = Field(examples=[{"ground-glass": 0.2}])


class Lesion(_Frozen):
    """One connected opacity.

    Attributes:
        kind: of the opacity.
        area: as a fraction of the lungs, in [0, 1].
        score: mean score of its pixels, in [0, 1]; not a probability.
        box: around it; ``outline`` its border.
    """

    kind: Opacity
    area: float = Field(ge=0, le=1, examples=[0.08])
    score: float = Field(ge=0, le=1, examples=[0.7])
    box: PixelBox
    outline: Outline


class OpacityBox(_Frozen):
    """A rectangle around what may be an opacity, of whatever kind.

    Attributes:
        score: in [0, 1]; not a probability.
    """

    box: PixelBox
    score: float = Field(ge=0, le=1, examples=[0.7])


class Severity(_Frozen):
    """A severity score of the literature, estimated: a research score.

    Attributes:
        scale: which score; it runs from ``minimum`` to ``maximum``.
        value: the estimate; [``low``, ``high``] holds the readers' score in a share ``coverage`` of
            films of patients that the estimate never saw.
    """

    scale: Scale
    value: float = Field(examples=[3.4])
    low: float = Field(examples=[2.2])
    high: float = Field(examples=[4.8])
    coverage: float = Field(gt=0, lt=1, examples=[0.9])
    minimum: float = 0.0
    maximum: float = Field(examples=[8.0])
    notice: str = RESEARCH_SCORE


class Similar(_Frozen):
    """A film that the model was trained on and that looks alike to it.

    Attributes:
        case_id, cohort: which film.
        distance: in feature space, 0 for the same film.
        labels: what the reference standard says of it: 1 or 0; unknown ones are left out.
    """

    case_id: str = Field(examples=["nih/00012_003"])
    cohort: str = Field(examples=["nih"])
    distance: float = Field(ge=0, examples=[0.03])
    labels: dict[Label, int] = Field(examples=[{"pneumonia": 0}])


class Details(_Frozen):
    """What a reading says beyond its findings; empty where the bundle carries no part for it.

    Attributes:
        lungs: right, then left, as far as found.
        affected: both lungs, each lung, then each zone of each lung; empty without an opacity
            network or without lungs.
        lesions: connected opacities, largest first.
        boxes: highest score first.
        severity: one for each scale.
        similar: nearest first.
    """

    lungs: tuple[LungDetail, ...] = ()
    affected: tuple[Affected, ...] = ()
    lesions: tuple[Lesion, ...] = ()
    boxes: tuple[OpacityBox, ...] = ()
    severity: tuple[Severity, ...] = ()
    similar: tuple[Similar, ...] = ()

    @property
    def by_lung(self) -> dict[Side | None, Affected]:
        """``affected`` of each lung that was found; under None of both, only where both were."""
        lungs = {each.side: each for each in self.affected if each.zone is None}
        if not all(side in lungs for side in Side):
            lungs.pop(None, None)
        return lungs
