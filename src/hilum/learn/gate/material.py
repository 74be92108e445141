"""Material: which pictures the gate is fitted and judged on, and how each comes to be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd

from hilum.core.labels import View
from hilum.core.radiograph import Pixels, Radiograph
from hilum.core.refusal import Reason
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.learn.gate import pictures
from hilum.learn.gate.recipe import GateData

ADULT = 18.0
FRONTAL = "frontal"

Change = Callable[[Pixels, Lungs, np.random.Generator], Pixels]
Make = Callable[[np.random.Generator], Pixels]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of picture.

    Attributes:
        reason: the right one to refuse it; None if it is to be read.
        like: class of the head that it belongs to.
        title: in words.
    """

    reason: Reason | None
    like: str
    title: str


FOUND: dict[str, Kind] = {
    FRONTAL: Kind(None, FRONTAL, "frontal films of adults"),
    "lateral": Kind(Reason.LATERAL, "lateral", "lateral films"),
    "ct-slice": Kind(Reason.CT_SLICE, "ct-slice", "CT slices"),
    "pediatric": Kind(Reason.PEDIATRIC, "pediatric", "films of children"),
    "teenager": Kind(Reason.PEDIATRIC, "", "films of patients up to 17 years"),
    "unstated": Kind(None, "", "films of an unstated view, or set aside"),
}
"""Kinds that collections hold; "" is never learned."""

CHANGED: dict[str, tuple[Kind, Change]] = {
    "frontal-varied": (
        Kind(None, FRONTAL, "frontal films, tilted, zoomed, other greys"),
        lambda film, _, random: pictures.varied(film, random),
    ),
    "inverted": (
        Kind(Reason.INVERTED, "inverted", "polarity turned"),
        lambda film, _, random: 1 - _sometimes_varied(film, random),
    ),
    "rotated-left": (
        Kind(Reason.ROTATED, "rotated-left", "turned left by 90 degrees"),
        lambda film, _, random: _turned(_sometimes_varied(film, random), 1),
    ),
    "rotated-right": (
        Kind(Reason.ROTATED, "rotated-right", "turned right by 90 degrees"),
        lambda film, _, random: _turned(_sometimes_varied(film, random), -1),
    ),
    "upside-down": (
        Kind(Reason.UPSIDE_DOWN, "upside-down", "turned by 180 degrees"),
        lambda film, _, random: _turned(_sometimes_varied(film, random), 2),
    ),
    "one-lung": (Kind(Reason.ONE_LUNG, "one-lung", "cut to one lung"), pictures.one_lung),
    "lungs-cut": (
        Kind(Reason.LUNGS_NOT_IN_FIELD, "lungs-not-in-field", "half of both lungs cut off"),
        pictures.cut_lungs,
    ),
    "close-up": (
        Kind(Reason.LUNGS_NOT_IN_FIELD, "lungs-not-in-field", "a small part of a film"),
        pictures.close_up,
    ),
    "badly-exposed": (
        Kind(Reason.BADLY_EXPOSED, "under-or-over-exposed", "lungs burnt black, white or noisy"),
        pictures.badly_exposed,
    ),
    "captioned": (
        Kind(Reason.FIGURE_PANEL, "figure-panel", "a film on a page with text"),
        lambda film, _, random: pictures.captioned(film, random),
    ),
    "screen-photo": (
        Kind(Reason.SCREEN_PHOTO, "screen-photo", "a photograph of a screen"),
        lambda film, _, random: pictures.screen(film, random),
    ),
}
"""Kinds made of a frontal film."""

JOINED = ("panel", Kind(Reason.FIGURE_PANEL, "figure-panel", "several films side by side"))
"""The kind made of several films."""

VARIED: dict[str, str] = {"lateral": "lateral", "ct-slice": "ct-slice", "pediatric": "pediatric"}
"""Found kinds that are too few: varied copies of them are learned, too, and never counted."""

MADE: dict[str, tuple[Kind, Make]] = {
    "texture": (
        Kind(Reason.NOT_A_CHEST_FILM, "not-a-chest-film", "noise, waves, spots, shapes"),
        pictures.texture,
    ),
    "text-page": (
        Kind(Reason.NOT_A_CHEST_FILM, "not-a-chest-film", "pages of text"),
        pictures.text_page,
    ),
    "almost-blank": (
        Kind(Reason.BLANK, "blank", "next to nothing"),
        pictures.almost_blank,
    ),
}
"""Kinds made of nothing."""

KINDS: dict[str, Kind] = {
    **FOUND,
    **{name: kind for name, (kind, _) in CHANGED.items()},
    JOINED[0]: JOINED[1],
    **{f"{name}-varied": FOUND[name] for name in VARIED},
    **{name: kind for name, (kind, _) in MADE.items()},
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the material.

    Attributes:
        case_id: film that it was made of, or a name of its own.
        kind: key of ``KINDS``.
        cohort, group: of that film; "made" where there is none.
        film: the picture.
        lungs: of the picture, where they are known already.
    """

    case_id: str
    kind: str
    cohort: str
    group: str
    film: Radiograph


def kinds_of(cases: pd.DataFrame, data: GateData) -> pd.Series[str]:
    """Say what each film of a cases table counts as: a key of ``FOUND``."""
    children = cases["cohort"].isin(data.children) | cases["case_id"].isin(data.children)
    age = cases["age_years"].where(~children, 0.0)
    kind = pd.Series(FRONTAL, index=cases.index)
    view = cases["view"].fillna("").astype(str)
    stated = cases["cohort"].isin(data.frontal_unless_stated)
    aside = (view == "") & ~stated | cases["case_id"].isin(data.aside)
    kind = kind.mask(aside, "unstated")
    kind = kind.mask(age < ADULT, "teenager").mask(age < data.child_below_years, "pediatric")
    kind = kind.mask(view == View.LATERAL.value, "lateral")
    return kind.mask(cases["modality"] == "CT", "ct-slice")


def plan(cases: pd.DataFrame, kinds: pd.Series[str], data: GateData) -> dict[str, list[str]]:
    """Say what is made of which film: case_id -> kinds; every collection gives alike."""
    random = np.random.default_rng([data.seed, 1])
    frontal = cases[kinds == FRONTAL]
    wanted: dict[str, list[str]] = {}
    for name in (*CHANGED, JOINED[0]):
        for case_id in _drawn(frontal, data.made, random):
            wanted.setdefault(case_id, []).append(name)
    for name in VARIED:
        some = cases.loc[kinds == name, "case_id"]
        copies = -(-data.made // max(len(some), 1)) if len(some) else 0
        for case_id in some:
            wanted.setdefault(case_id, []).extend([f"{name}-varied"] * min(copies, 6))
    return wanted


def draw(
    cases: pd.DataFrame,
    wanted: dict[str, list[str]],
    kinds: pd.Series[str],
    lungs_of: Callable[[Radiograph], Lungs],
    seed: int,
) -> Iterator[Picture]:
    """Open every film and make what is wanted of it.

    Args:
        cases: with ``case_id``, ``path``, ``cohort``, ``group`` and ``fold``.
        wanted: of ``plan``.
        kinds: of ``kinds_of``.
        lungs_of: finds the lungs of a film.
        seed: of chance.
    """
    # films are joined with others of their fold only
    recent: dict[str, deque[Pixels]] = {}
    for row, kind in zip(cases.itertuples(), kinds, strict=True):
        film = open_radiograph(str(row.path))
        about = (str(row.cohort), str(row.group))
        yield Picture(str(row.case_id), kind, *about, film)
        if kind == FRONTAL:
            neighbors = recent.setdefault(str(row.fold), deque(maxlen=6))
            neighbors.append(film.pixels)
        names = wanted.get(str(row.case_id), [])
        lungs = lungs_of(film) if any(name in CHANGED for name in names) else None
        for number, name in enumerate(names):
            random = np.random.default_rng(
                [seed, crc32(str(row.case_id).encode()), crc32(name.encode()), number]
            )
            if name == JOINED[0]:
                pixels = pictures.panel(list(neighbors)[::-1], random)
            elif name in CHANGED and lungs is not None:
                pixels = CHANGED[name][1](film.pixels, lungs, random)
            else:
                pixels = _mirrored(pictures.varied(film.pixels, random), random)
            made = film.stepped(np.ascontiguousarray(pixels, np.float32), "made", name)
            yield Picture(str(row.case_id), name, *about, made)


def draw_made(count: int, seed: int) -> Iterator[Picture]:
    """Make the pictures that need no film."""
    for name, (_, make) in MADE.items():
        for number in range(count):
            random = np.random.default_rng([seed, crc32(name.encode()), number])
            label = f"made/{name}/{number}"
            yield Picture(label, name, "made", label, Radiograph(make(random), label, "made", 8))


def _drawn(frontal: pd.DataFrame, count: int, random: np.random.Generator) -> list[str]:
    cohorts = sorted(frontal["cohort"].unique())
    drawn: list[str] = []
    for cohort in cohorts:
        some = frontal.loc[frontal["cohort"] == cohort, "case_id"].astype(str).tolist()
        share = min(-(-count // len(cohorts)), len(some))
        drawn.extend(str(name) for name in random.choice(some, share, replace=False))
    return drawn


def _sometimes_varied(film: Pixels, random: np.random.Generator) -> Pixels:
    return pictures.varied(film, random) if random.random() < 0.5 else film


def _mirrored(film: Pixels, random: np.random.Generator) -> Pixels:
    return film[:, ::-1] if random.random() < 0.5 else film


def _turned(film: Pixels, quarters: int) -> Pixels:
    return np.rot90(film, quarters)
