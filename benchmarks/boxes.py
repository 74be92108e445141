"""Boxes from everything that can make them, scored against those of readers.

    hilum train recipes/detector.toml --data ../shared/data -o runs/detector
    python benchmarks/boxes.py CASES.csv --detector runs/detector --opacities FOLDER \
        -o docs/results/boxes.csv

CASES.csv is a cases table with ``split`` as the built-in bundle has it. Two targets: RSNA's opacity
boxes, with the films that RSNA's radiologists called clear of opacity as negatives; and boxes
around the connected lesions of hand-drawn masks. How a map becomes boxes (``BoxSettings``) is
chosen for each map on two folds of RSNA's films and scored on the third, folds by patient; for the
lesions, on all of RSNA's films. Prints the settings chosen on all. A film that the opacity network
or the detector learned from is scored by the network of a fold that never saw its patient; one of
whose patient the opacity network learned from another film, so that no network is without that
patient, is left out. Of the test split of the bundle, which divides by patient, there is a block of
its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from hilum.apps.unseen import opacity_films, seen_patients
from hilum.bundle.opacities import OpacitySegmenter
from hilum.core.details import Opacity
from hilum.core.labels import Label
from hilum.core.radiograph import Radiograph
from hilum.data.coco import boxed, boxes_in, detections_of, read_coco
from hilum.data.split import SplitSpec, make_split
from hilum.data.table import read_cases
from hilum.image.boxes import LONG_SIDE, BoxSettings, boxes_of
from hilum.image.lungs import Lungs
from hilum.image.opacities import Opacities
from hilum.judge.detection import FilmBoxes, average_precision, estimate_detection, match
from hilum.serve.reader import load_bundle

LABEL = Label.LUNG_OPACITY.value
OUT_OF_FOLD = "out-of-fold.npz"
"""Of a run of train-opacities (Hilum 0.3.0): case_id, and scores by a network that never saw it."""

SPECK = 0.002
"""A lesion smaller than this share of the film gets no box."""

GRID = [
    BoxSettings(threshold=threshold, gap=gap, grow=grow, score=score)
    for threshold, gap, grow, score in itertools.product(
        (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
        (0.0, 0.03),
        (1.0, 1.2, 1.4),
        ("mean", "max"),
    )
]
TRIVIAL = ("one box around each lung", "mean place of a box in each lung")


class Film(NamedTuple):
    """A film with everything that a box may come from.

    Attributes:
        truth: float64 (n, 4), boxes of readers in pixels of the film.
        size: (height, width) of the film.
        maps: name -> float32 (h, w) in [0, 1].
        lungs: float64 (k, 4), a box around each lung, in pixels of the film.
        score: of the bundle for pneumonia.
    """

    truth: np.ndarray
    size: tuple[int, int]
    maps: dict[str, np.ndarray]
    lungs: np.ndarray
    score: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument(
        "--detector", type=Path, help="run folder of hilum train recipes/detector.toml"
    )
    parser.add_argument("--opacities", type=Path, help="run of train-opacities, of Hilum 0.3.0")
    parser.add_argument("--out", "-o", type=Path, required=True)
    options = parser.parse_args()
    cases = read_cases(options.cases)
    rsna = _strangers(boxed(cases, LABEL), cases, options.opacities)
    rsna = _with_folds(rsna, options.detector)
    lesions = _strangers(_drawn(cases), cases, options.opacities)
    rsna_films = _films(rsna, options.opacities, "RSNA")
    lesion_films = _films(lesions, options.opacities, "lesions")
    rows, chosen = [], {}
    for name in rsna_films[0].maps:
        found, chosen[name] = _cross_validated(rsna_films, rsna["fold"].to_numpy(), name)
        rows += _rows("RSNA opacity boxes", rsna, found, name)
        found = [_boxes(film, name, chosen[name]) for film in lesion_films]
        rows += _rows("lesion masks", lesions, found, name)
    for name in TRIVIAL:
        found = _trivial(name, rsna_films, rsna_films, rsna["fold"].to_numpy())
        rows += _rows("RSNA opacity boxes", rsna, found, name)
        found = _trivial(name, lesion_films, rsna_films, None)
        rows += _rows("lesion masks", lesions, found, name)
    if options.detector:
        found = _detected(rsna, rsna_films, options.detector)
        rows += _rows("RSNA opacity boxes", rsna, found, "detector")
        found = _look(lesions, lesion_films, options.detector)
        rows += _rows("lesion masks", lesions, found, "detector")
    order = ["target", "films", "map"]
    table = pd.DataFrame(rows).sort_values(order, ascending=[False, True, False])
    table.to_csv(options.out, index=False)
    print(table.to_string(index=False))
    for name, settings in chosen.items():
        print(f"{name}: {settings}")


def _with_folds(cases: pd.DataFrame, detector: Path | None) -> pd.DataFrame:
    """Take the folds of the detector, so that all sources of boxes are scored alike."""
    if detector is None:
        return make_split(cases, SplitSpec(kind="folds", folds=3, label=Label.LUNG_OPACITY))
    folds = read_cases(detector / "folds.csv").set_index("case_id")["fold"]
    return cases.assign(fold=cases["case_id"].map(folds))


def _strangers(some: pd.DataFrame, cases: pd.DataFrame, opacities: Path | None) -> pd.DataFrame:
    """Leave out films that only a network could score that learned from their patient."""
    if opacities is None:
        return some
    held_out = _held_out(opacities)
    learned = {*(opacity_films(OpacitySegmenter(opacities).spec) or ()), *held_out}
    known = cases["case_id"][seen_patients(cases, learned)]
    flattered = some["case_id"].isin(known) & ~some["case_id"].isin(list(held_out))
    print(f"{flattered.sum()} of {len(some)} films left out: the network learned from the patient")
    return some[~flattered].reset_index(drop=True)


def _held_out(opacities: Path) -> dict[str, np.ndarray]:
    """Return the scores of the films of a run, each by the network of its fold; by case_id."""
    stored = opacities / OUT_OF_FOLD
    if not stored.is_file():
        return {}
    with np.load(stored, allow_pickle=False) as kept:
        pairs = zip(kept["case_id"], kept["scores"], strict=True)
        return {str(case_id): scores for case_id, scores in pairs}


def _drawn(cases: pd.DataFrame) -> pd.DataFrame:
    return cases[cases["lesion_masks"] != ""].reset_index(drop=True)


def _films(cases: pd.DataFrame, opacities: Path | None, what: str) -> list[Film]:
    reader = load_bundle()
    segment = _segmenter(opacities) if opacities else None
    examined = reader.examine(cases["path"], keep=True, force=True)
    bar = tqdm(zip(examined, cases.to_dict("records"), strict=True), total=len(cases), desc=what)
    films = []
    for one, case in bar:
        height, width = one.radiograph.shape
        scale = LONG_SIDE / max(height, width)
        shape = round(height * scale), round(width * scale)
        score = {str(each.label): each.score for each in one.reading.findings}["pneumonia"]
        maps = {}
        for label, output in zip(reader.labels, reader.bundle.manifest.labels, strict=True):
            logits = reader.on_film(one.evidence, label, shape, one.lungs) + output.bias
            inside = one.lungs.on_film(shape)
            maps[f"evidence of {label.value}"] = np.where(inside, 1 / (1 + np.exp(-logits)), 0)
        if segment:
            found = segment(case["case_id"], one.radiograph, one.lungs)
            kinds = np.maximum(*(found.scores_on_film(shape, kind) for kind in Opacity))
            maps["opacity segmentation"] = kinds
            maps["opacity segmentation x pneumonia score"] = kinds * np.float32(score)
        lungs = np.array([part.box for part in one.lungs.parts[:2]]).reshape(-1, 4)
        lungs = lungs[:, [1, 0, 3, 2]] * [width, height, width, height]
        lungs[:, 2:] -= lungs[:, :2]
        truth = np.array(_truth(case, (height, width))).reshape(-1, 4)
        films.append(Film(truth, (height, width), maps, lungs, score))
    return films


def _segmenter(folder: Path) -> Callable[[str, Radiograph, Lungs], Opacities]:
    """Return the opacity network; a film that it learned from gets the scores of its fold."""
    network, kept = OpacitySegmenter(folder), _held_out(folder)

    def segment(case_id: str, radiograph: Radiograph, lungs: Lungs) -> Opacities:
        if case_id in kept:
            return network.spec.opacities(kept[case_id].astype(np.float32), lungs.mask)
        return network.segment(radiograph, lungs)

    return segment


def _truth(case: dict, size: tuple[int, int]) -> list[tuple[float, ...]]:
    if not case["lesion_masks"]:
        return boxes_in(case["boxes"], LABEL)
    masks = [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in _paths(case["lesion_masks"])]
    together = np.maximum.reduce([cv2.resize(mask, size[::-1]) for mask in masks]) > 127
    _, _, stats, _ = cv2.connectedComponentsWithStats(together.astype(np.uint8))
    return [tuple(each[:4]) for each in stats[1:] if each[4] >= SPECK * together.size]


def _paths(text: str) -> list[str]:
    return list(json.loads(text).values())


def _boxes(film: Film, name: str, settings: BoxSettings) -> FilmBoxes:
    found = boxes_of(film.maps[name], settings)
    scale = max(film.size) / LONG_SIDE
    boxes = [np.array(each.box) * scale for each in found]
    return FilmBoxes.of(film.truth, boxes, [each.score for each in found])


def _cross_validated(
    films: list[Film], folds: np.ndarray, name: str
) -> tuple[list[FilmBoxes], BoxSettings]:
    """Choose settings on the other folds for each fold; return boxes, and the choice on all."""
    grid = tqdm(GRID, desc=name)
    every = [[_boxes(film, name, settings) for film in films] for settings in grid]

    def best(rows: np.ndarray) -> int:
        scores = [average_precision(match([found[i] for i in rows]))[0] for found in every]
        return int(np.argmax(scores))

    out: list[FilmBoxes] = [None] * len(films)  # type: ignore[list-item]
    for fold in np.unique(folds):
        choice = best(np.flatnonzero(folds != fold))
        for row in np.flatnonzero(folds == fold):
            out[row] = every[choice][row]
    return out, GRID[best(np.arange(len(films)))]


def _trivial(
    name: str, films: list[Film], learned: list[Film], folds: np.ndarray | None
) -> list[FilmBoxes]:
    """Return boxes that look at the lungs' place alone, ranked by the bundle's score."""
    found = []
    for row, film in enumerate(films):
        boxes = film.lungs
        if name != TRIVIAL[0]:
            others = range(len(learned)) if folds is None else np.flatnonzero(folds != folds[row])
            mean = _mean_place([learned[i] for i in others])
            boxes = np.array([_within(lung, mean) for lung in film.lungs]).reshape(-1, 4)
        found.append(FilmBoxes.of(film.truth, boxes, np.full(len(boxes), film.score)))
    return found


def _mean_place(films: list[Film]) -> np.ndarray:
    """Return the mean box of readers in the lung that it overlaps most, as shares of that lung."""
    from hilum.judge.detection import iou

    places = []
    for film in (film for film in films if len(film.truth) and len(film.lungs)):
        for box, overlaps in zip(film.truth, iou(film.truth, film.lungs), strict=True):
            left, top, width, height = film.lungs[overlaps.argmax()]
            places.append((box - [left, top, 0, 0]) / [width, height, width, height])
    return np.mean(places, axis=0)


def _within(lung: np.ndarray, place: np.ndarray) -> np.ndarray:
    left, top, width, height = lung
    return place * [width, height, width, height] + [left, top, 0, 0]


def _detected(cases: pd.DataFrame, films: list[Film], run: Path) -> list[FilmBoxes]:
    """Return what the detector of each film's fold found on it."""
    found = detections_of(read_coco(run / "detections.json"), None)
    pairs = zip(cases["case_id"], films, strict=True)
    return [FilmBoxes.of(film.truth, *found.get(case_id, ([], []))) for case_id, film in pairs]


def _look(cases: pd.DataFrame, films: list[Film], run: Path) -> list[FilmBoxes]:
    """Return what the detector of the first fold finds on films of other collections."""
    import tempfile

    from hilum.learn.detect.films import open_boxed
    from hilum.learn.detect.fit import predict
    from hilum.learn.detect.network import load_detector
    from hilum.learn.detect.recipe import DetectorRecipe

    recipe = DetectorRecipe.load(run / "recipe.toml")
    model = load_detector(str(run / "fold-1" / "model"), LABEL)
    images = [{"id": i, "file_name": each} for i, each in enumerate(cases["case_id"])]
    coco = {"images": images, "categories": [], "annotations": []}
    with tempfile.TemporaryDirectory() as folder:
        opened = open_boxed(cases, coco, recipe.preprocess, Path(folder))
        found = predict(model, recipe, opened, range(len(cases)))
    return [
        FilmBoxes.of(film.truth, [box["bbox"] for box in each], [box["score"] for box in each])
        for film, each in zip(films, found, strict=True)
    ]


def _rows(
    target: str,
    cases: pd.DataFrame,
    found: list[FilmBoxes],
    name: str,
) -> Iterator[dict]:
    blocks = {"all": np.ones(len(cases), bool)}
    blocks["unseen by the bundle"] = (cases["split"] == "test").to_numpy()
    for films, kept in blocks.items():
        some = [each for each, wanted in zip(found, kept, strict=True) if wanted]
        scores = estimate_detection(some, cases["group"].to_numpy()[kept])
        row = {"target": target, "films": films, "boxes_from": name, "n": len(some)}
        row["with_boxes"] = sum(len(each.truth) > 0 for each in some)
        row["boxes"] = sum(len(each.truth) for each in some)
        for metric in ("map", "recall"):
            each = scores[metric]
            row |= {metric: each.value, f"{metric}_low": each.low, f"{metric}_high": each.high}
        yield {key: round(v, 4) if isinstance(v, float) else v for key, v in row.items()}


if __name__ == "__main__":
    main()
