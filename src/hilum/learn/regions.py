"""Regions and boxes: what of a dense network's map is shown as opaque, chosen on films of val.

Where readers outlined opacities or drew boxes, what is shown shall agree with them; where they
found nothing, hardly anything shall be shown. Of all rules of a grid that keep the second, the one
is taken that agrees best, or, among those that agree hardly less, shows least of the clear films.
Boxes follow from the map by the settings of the best mAP.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.bundle.lungs import lungs_on
from hilum.bundle.onepass import scores_on
from hilum.bundle.onnx import Graph
from hilum.bundle.opacities import OpacitySpec, sigmoid
from hilum.core.labels import Label
from hilum.data.coco import boxed, boxes_in
from hilum.data.masks import read_kinds
from hilum.image.boxes import BoxSettings, opacity_boxes
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS, Opacities, Regions, find_regions
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.judge.detection import FilmBoxes, average_precision, match
from hilum.learn.dense import BOXED, CLEAR, DRAWN, Known
from hilum.learn.films import Films
from hilum.learn.predict import inputs_of

REACHES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
CORES = (0.5, 0.6, 0.7, 0.8, 0.9)
LEAST = (0.0, 0.005, 0.01)
FILM = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.13, 0.16)
RULES = tuple(
    Regions(reach=reach, core=core, least=least, film=film)
    for reach, core, least, film in itertools.product(REACHES, CORES, LEAST, FILM)
)
BOXES = tuple(
    BoxSettings(threshold=threshold, grow=grow, score=score)
    for threshold, grow, score in itertools.product(
        (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5), (1.0, 1.1, 1.2, 1.3), ("mean", "max")
    )
)
WIDE = 0.1
"""A clear film with more of its lungs shown as opaque is plainly wrong."""
MOST_WIDE, WORST_WIDE, MOST_SHOWN = 0.05, 0.1, 0.5
"""Of the clear films so many may be: of all, of the worst collection of ``ENOUGH``; so many may
show anything."""
ENOUGH = 20
COST = 0.01
"""So much of the best agreement may be lost for less that is shown on clear films."""
LABEL = Label.LUNG_OPACITY.value
_AT_A_TIME = 32
_STEP = 2
"""Of the pixels of a map every second one, down and across, is counted: it was finer than the
network's own by more than that."""


class Mapped(NamedTuple):
    """Films with what the network says of each pixel.

    Attributes:
        cases: a cases table of n films.
        material: int (n,), what is known of where each is opaque: as ``Known.material``.
        scores: float16 (n, S, S), the larger score of both kinds; 0 outside the lungs.
        lungs: bool (n, S, S).
        chances: float64 (n,), that a film shows any opacity.
        shapes: row -> (height, width) in pixels, where more than the film's answer is known.
        truth: bool (n, S, S), opacities as outlined, or what of the lungs lies in a box.
    """

    cases: pd.DataFrame
    material: NDArray[np.int64]
    scores: NDArray[np.float16]
    lungs: NDArray[np.bool_]
    chances: NDArray[np.float64]
    shapes: Mapping[int, tuple[int, int]]
    truth: NDArray[np.bool_]

    def film(self, row: int) -> NDArray[np.float32]:
        """Return the scores of one film as ``find_regions`` takes them, float32 (1, S, S)."""
        return np.asarray(self.scores[row], np.float32)[None]


def choose_spec(
    model: Path, val: Films, preprocess: Preprocess, labels: Sequence[Label]
) -> OpacitySpec:
    """Return ``opacities.json`` of a dense network that reads whole films.

    Args:
        model: the network, exported.
        val: films that it did not learn from; nothing is chosen on those of test.
        preprocess: of the run.
        labels: of the run, in the order of its answers.
    """
    films = map_films(model, val, preprocess, labels)
    regions, shown = choose_regions(films)
    boxes, found = choose_boxes(films, regions)
    return OpacitySpec(
        preprocess=preprocess,
        thresholds=dict.fromkeys(KINDS, regions.reach),
        regions=regions,
        boxes=boxes,
        measured={"what": "films of val, on which these rules were chosen", **shown, **found},
    )


def map_films(model: Path, val: Films, preprocess: Preprocess, labels: Sequence[Label]) -> Mapped:
    """Look at the films of which it is known where they are opaque, or that they are not.

    Args:
        model, val, preprocess, labels: as for ``choose_spec``.
    """
    settled = val.cases["case_id"].isin(boxed(val.cases, LABEL)["case_id"]).to_numpy(bool)
    material = Known.of(val.cases).material.numpy()
    kept = np.isin(material, (DRAWN, BOXED, CLEAR)) | settled
    some, material, settled = val.take(kept), material[kept], settled[kept]
    graph, answer = Graph(model, threads=1), list(labels).index(Label.LUNG_OPACITY)
    scores, lungs, chances = [], [], []
    for start in range(0, len(some.cases), _AT_A_TIME):
        films = inputs_of(some, preprocess, start, start + _AT_A_TIME)
        for maps, logits in zip(*graph.run(films, ["maps", "logits"]), strict=True):
            mask = lungs_on(maps)
            found = scores_on(maps, preprocess, Lungs(mask, np.zeros(0, np.float32)))
            scores.append(found.max(0).astype(np.float16))
            lungs.append(mask)
            chances.append(float(sigmoid(logits)[answer]))
    shown, rows = np.stack(lungs), some.cases.to_dict("records")
    known = np.flatnonzero(settled | np.isin(material, (DRAWN, BOXED)))
    shapes = {int(row): open_radiograph(rows[row]["path"]).shape for row in known}
    truth = np.zeros(shown.shape, bool)
    for row, shape in shapes.items():
        truth[row] = _truth(rows[row], shape, shown[row])
    return Mapped(some.cases, material, np.stack(scores), shown, np.array(chances), shapes, truth)


def _truth(
    case: Mapping[Any, Any], shape: tuple[int, int], lungs: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    height, width = shape
    side = lungs.shape[0]
    if case["lesion_masks"]:
        drawn = np.logical_or.reduce(read_kinds(case["lesion_masks"], shape))
        soft = cv2.resize(drawn.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(soft > 0.5)
    square = np.zeros((side, side), bool)
    for x, y, across, down in boxes_in(case["boxes"], LABEL):
        rows = slice(round(side * y / height), round(side * (y + down) / height))
        square[rows, round(side * x / width) : round(side * (x + across) / width)] = True
    return square & lungs


def choose_regions(films: Mapped) -> tuple[Regions, dict[str, Any]]:
    """Return the rule of ``RULES``, and what it makes of the films.

    Agreement is the mean of two Dice, each of all its films taken together: with opacities as
    outlined, and with what of the lungs lies in boxes. Where no rule keeps the limits for clear
    films, that is taken which calls the fewest of them wide.
    """
    some = films.truth.any((1, 2))
    kinds = {
        "outlined": some & (films.material == DRAWN),
        "boxes": some & (films.material == BOXED),
    }
    clear = films.material == CLEAR
    areas = np.zeros((len(films.cases), len(RULES), 4))
    for row in np.flatnonzero(clear | kinds["outlined"] | kinds["boxes"]):
        areas[row] = _areas(films, int(row))
    dice = {}
    for name, kept in kinds.items():
        found, common, drawn, _ = areas[kept].sum(0).T
        if kept.any():
            dice[name] = 2 * common / (found + drawn)
    agreement = np.mean(list(dice.values()), axis=0) if dice else np.zeros(len(RULES))
    share = areas[clear, :, 0] / np.maximum(areas[clear, :, 3], 1)
    sources = films.cases["cohort"].to_numpy()[clear]
    wide = {name: (share[sources == name] > WIDE).mean(0) for name in sorted(set(sources))}
    counts = {name: int((sources == name).sum()) for name in wide}
    all_wide = _mean(share > WIDE)
    worst = np.max([wide[name] for name in wide if counts[name] >= ENOUGH] or [all_wide], axis=0)
    kept = (all_wide <= MOST_WIDE) & (worst <= WORST_WIDE) & (_mean(share > 0) <= MOST_SHOWN)
    if not kept.any():
        kept = all_wide == all_wide.min()
    kept &= agreement >= agreement[kept].max() - COST
    place = int(np.flatnonzero(kept)[_mean(share)[kept].argmin()])
    said = {
        "dice": {name: round(float(each[place]), 4) for name, each in dice.items()},
        "films": {name: int(each.sum()) for name, each in kinds.items()}
        | {"clear": int(clear.sum())},
        "clear films with anything shown": round(float(_mean(share > 0)[place]), 4),
        "clear films over a tenth": round(float(all_wide[place]), 4),
        "clear films over a tenth, by collection": {
            f"{name} (n={counts[name]})": round(float(each[place]), 4)
            for name, each in wide.items()
        },
    }
    return RULES[place], said


def _mean(values: NDArray[Any]) -> NDArray[np.float64]:
    """Mean over films, of each rule; 0 without films."""
    return np.asarray(values.mean(0) if len(values) else np.zeros(len(RULES)), np.float64)


def _areas(films: Mapped, row: int) -> NDArray[np.float64]:
    """Return what every rule makes of a film, (R, 4) in pixels: found, common, drawn, lungs."""
    sparse = slice(None, None, _STEP), slice(None, None, _STEP)
    scores = np.ascontiguousarray(films.film(row)[:, *sparse])
    lungs, truth = films.lungs[row][sparse], films.truth[row][sparse]

    @cache
    def found(reach: float, core: float, least: float) -> tuple[int, int]:
        shown = find_regions(scores, lungs, Regions(reach=reach, core=core, least=least))
        return int(shown.sum()), int((shown & truth).sum())

    sure = {core: (scores >= core).sum() for core in CORES}
    inside, drawn = lungs.sum(), truth.sum()
    far = [sure[rule.core] >= rule.film * inside for rule in RULES]
    pairs = [
        found(rule.reach if reaches else rule.core, rule.core, rule.least)
        for rule, reaches in zip(RULES, far, strict=True)
    ]
    return np.array([(*pair, drawn, inside) for pair in pairs], np.float64)


def choose_boxes(films: Mapped, rule: Regions) -> tuple[BoxSettings | None, dict[str, Any]]:
    """Return the settings of ``BOXES`` with the best mAP, and that; None without any box.

    Films count on which a box is drawn, or it is known that there is no opacity.

    Args:
        films: of ``map_films``.
        rule: which regions are shown.
    """
    settled = films.cases["case_id"].isin(boxed(films.cases, LABEL)["case_id"]).to_numpy(bool)
    rows = [row for row in films.shapes if settled[row]]
    drawn = [boxes_in(films.cases["boxes"].iloc[row], LABEL) for row in rows]
    if not any(drawn):
        return None, {}
    seen = []
    for row in rows:
        scores, lungs = films.film(row), films.lungs[row]
        regions = find_regions(scores, lungs, rule)
        seen.append(Opacities(scores, (rule.reach,), regions, float(films.chances[row])))

    def found(settings: BoxSettings) -> list[FilmBoxes]:
        every = [
            opacity_boxes(one, films.shapes[row], settings)
            for one, row in zip(seen, rows, strict=True)
        ]
        return [
            FilmBoxes.of(truth, [each.box for each in boxes], [each.score for each in boxes])
            for truth, boxes in zip(drawn, every, strict=True)
        ]

    tried = [found(settings) for settings in BOXES]
    place = int(np.argmax([_precision(each) for each in tried]))
    sources = films.cases["cohort"].to_numpy()[rows]
    parts = {name: sources == name for name in sorted(set(sources))}
    by_source = {
        f"{name} (n={kept.sum()})": _precision(list(itertools.compress(tried[place], kept)))
        for name, kept in parts.items()
    }
    said = {"all": _precision(tried[place])} | {
        name: value for name, value in by_source.items() if not np.isnan(value)
    }
    return BOXES[place], {"mAP of boxes": {name: round(each, 4) for name, each in said.items()}}


def _precision(films: list[FilmBoxes]) -> float:
    return float(average_precision(match(films))[0])
