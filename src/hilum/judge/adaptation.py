"""Adaptation: the record that a bundle was calibrated to a site; it travels in ``bundle.json``."""

from __future__ import annotations

from pydantic import Field

from hilum.core.config import Config
from hilum.core.estimate import Estimate
from hilum.core.labels import Label

_BRIER = {"brier": {"value": 0.16, "low": 0.13, "high": 0.19, "n": 141, "note": ""}}


class LabelAdaptation(Config):
    """What the site's films said of one label.

    Attributes:
        label: that the films say something of.
        films: with a known truth.
        positives, negatives: patients with a film of that class.
        before: of the bundle as it came, on the site's films.
        after: of the decisions fitted to the site, each film judged by those that were fitted
            without its patient. Names as in ``hilum.judge.site.MEASURES``.
    """

    label: Label
    films: int = Field(examples=[141])
    positives: int = Field(examples=[61])
    negatives: int = Field(examples=[80])
    before: dict[str, Estimate] = Field(examples=[_BRIER])
    after: dict[str, Estimate] = Field(examples=[_BRIER])


class Adaptation(Config):
    """One run of ``hilum calibrate``.

    Attributes:
        site: its name.
        created: ISO 8601 date.
        bundle: identity of the bundle that was adapted, weights untouched.
        films, patients: read for it.
        not_read: films refused or in error.
        labels: those that had enough patients of each class.
        kept: the others, with the reason; their decisions are the bundle's.
        leak_check: what was compared with the bundle's training films, in words.
    """

    site: str = Field(examples=["St. Anna"])
    created: str = Field(examples=["2026-11-22"])
    bundle: str = Field(examples=["hilum-default 0.2.0 (38fc1977)"])
    films: int = Field(examples=[141])
    patients: int = Field(examples=[141])
    not_read: int = 0
    labels: tuple[LabelAdaptation, ...] = Field(min_length=1)
    kept: dict[str, str] = Field(
        default_factory=dict, examples=[{"pneumonia": "12 positives; 50 are needed"}]
    )
    leak_check: str = Field(examples=["films reviewed at this site"])
