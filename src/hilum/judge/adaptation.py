"""Adaptation: the record that a bundle was calibrated to a site; it travels in ``bundle.json``."""

from __future__ import annotations

from pydantic import Field

from hilum.core.config import Config
from hilum.core.estimate import Estimate
from hilum.core.labels import Label


class LabelAdaptation(Config):
    """What the site's films said of one label.

    Attributes:
        films: with a known truth; ``positives``, ``negatives`` count the patients with one.
        before: of the bundle as it came, on the site's films.
        after: of the decisions fitted to the site, each film judged by those that were fitted
            without its patient. Names as in ``hilum.judge.site.MEASURES``.
    """

    label: Label
    films: int
    positives: int
    negatives: int
    before: dict[str, Estimate]
    after: dict[str, Estimate]


class Adaptation(Config):
    """One run of ``hilum calibrate``.

    Attributes:
        site: its name; ``created`` ISO 8601 date.
        bundle: identity of the bundle that was adapted, weights untouched.
        films, patients: read for it.
        not_read: films refused or in error.
        labels: those that had enough patients of each class.
        kept: the others, with the reason; their decisions are the bundle's.
        leak_check: what was compared with the bundle's training films, in words.
    """

    site: str
    created: str
    bundle: str
    films: int
    patients: int
    not_read: int = 0
    labels: tuple[LabelAdaptation, ...] = Field(min_length=1)
    kept: dict[str, str] = Field(default_factory=dict)
    leak_check: str
