"""Scores of maps: every method against what people marked, in one table.

Films that the bundle never trained on come first ("held out"); all annotated films, those of its
training among them, are a second block and say so. References stand in the same table as the
methods: what a map that is the same everywhere in the lungs would get, random blocks, and the grey
levels of the film itself, which need no network at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.apps.annotated import TARGETS, annotated, label_of, target_mask
from hilum.apps.explaining import Choice, Explainer
from hilum.apps.unseen import seen_patients
from hilum.core.config import Config
from hilum.core.errors import CohortError
from hilum.core.reading import Status
from hilum.judge import localization as judge
from hilum.serve.findings import sigmoid
from hilum.serve.reader import Examined

Map = NDArray[np.float32]

HELD_OUT, ALL = "held out", "all annotated"
UNIFORM, RANDOM, GREY = "uniform in lungs", "random blocks", "grey levels in lungs"

METRICS: dict[str, str] = {
    "in-lung share": "share of what speaks for the label inside the lungs",
    "pointing": "pointing game: the strongest pixel lies on the target",
    "energy": "share of what speaks for the label on the target",
    "energy in lungs": "the same, of what lies inside the lungs",
    "auroc in lungs": "a target's pixel beats another pixel of the lungs; 0.5 is chance",
    "deletion": "area under the score as the strongest pixels go black; small is good",
    "insertion": "area under the score as the strongest pixels come back; large is good",
    "random weights": "rank correlation inside the lungs with the map of random weights",
    "seconds": "time a map",
}
"""Name -> what it says, in the order of the table."""


class ScoreSettings(Config):
    """How maps are scored.

    Attributes:
        side: long side of the film in pixels on which maps and targets are compared.
        max_films: held-out films a target, drawn by ``seed``; 0 for all.
        max_trained: films of the bundle's training a target, for the second block; 0 for none.
        faithful_films: films a label for deletion and insertion.
        random_films: films a label for the check with random weights.
        networks: with random weights.
        steps: of deletion and insertion.
        survives: a mean correlation with the maps of random weights from here on is flagged.
        seed: of every draw.
    """

    side: int = 256
    max_films: int = 30
    max_trained: int = 6
    faithful_films: int = 8
    random_films: int = 4
    networks: int = 1
    steps: int = 8
    survives: float = 0.5
    seed: int = 0


@dataclass
class Scores:
    """Numbers of single films, and what was left out.

    Attributes:
        rows: one a film, target and method: identity columns and a column a metric.
        not_read: films that the bundle refuses, case_id -> reason.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    not_read: dict[str, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """Return the rows as a table."""
        if not self.rows:
            raise CohortError(
                f"none of {len(self.not_read)} annotated films was read",
                hint="see what 'hilum read' says of them",
            )
        return pd.DataFrame(self.rows)


def choose_films(
    cases: pd.DataFrame, trained_on: frozenset[str], split: str, settings: ScoreSettings
) -> pd.DataFrame:
    """Draw the films to score.

    Args:
        cases: any cases table with annotations.
        trained_on: case_ids of the bundle's training; no other film of their patients is held out.
        split: "test", "val", "val+test" or "all", which adds films of the training, marked.
        settings: how many of each.

    Returns:
        Rows with ``targets`` (tuple) and ``held_out`` (bool), in drawn order, so that the first few
        are as good a sample as any.
    """
    found = annotated(cases.assign(held_out=~seen_patients(cases, trained_on)))
    if split not in ("all", "val+test"):
        if "split" not in found:
            raise CohortError(
                f"no column 'split' in the cases table; expected one, to find '{split}'",
                hint="'hilum split' makes one; --split val+test takes all that is held out",
            )
        found = found[found["split"] == split]
    chosen: dict[int, list[str]] = {}
    for name in TARGETS:
        has = found[[name in names for names in found["targets"]]]
        parts = [(has[has["held_out"]], settings.max_films)]
        if split == "all" and settings.max_trained:
            parts.append((has[~has["held_out"]], settings.max_trained))
        for part, most in parts:
            size = min(most or len(part), len(part))
            for place in part.sample(size, random_state=settings.seed).index:
                chosen.setdefault(place, []).append(name)
    if not chosen:
        raise CohortError(f"no annotated film of split '{split}'", hint="--split all scores any")
    kept = found.loc[sorted(chosen)]
    names = pd.Series({place: tuple(chosen[place]) for place in kept.index}, dtype=object)
    return kept.assign(targets=names).sample(frac=1, random_state=settings.seed)


class MapScorer:
    """Scores maps of films one by one.

    Args:
        explainer: of the bundle.
        choices: the methods.
        settings: see ``ScoreSettings``.
        randomised: explainers of the same network with random weights.
    """

    def __init__(
        self,
        explainer: Explainer,
        choices: list[Choice],
        settings: ScoreSettings,
        randomised: list[Explainer],
    ) -> None:
        self.explainer, self.choices, self.settings = explainer, choices, settings
        self.randomised = randomised
        self._counts: dict[tuple[str, str], int] = {}
        self._generator = np.random.default_rng(settings.seed)

    def score(self, films: pd.DataFrame, watch: Callable[..., Iterable[Any]]) -> Scores:
        """Score every film of ``choose_films``.

        Args:
            films: the films.
            watch: shows progress: takes and gives an iterator, as tqdm does.
        """
        scores, reader = Scores(), self.explainer.reader
        examined = reader.examine(films["path"], keep=True, batch_size=1)
        rows = zip(films.itertuples(index=False), examined, strict=True)
        for row, one in watch(rows, total=len(films)):
            if one.reading.status is not Status.READ or one.radiograph is None:
                scores.not_read[row.case_id] = one.reading.reason or one.reading.status
                continue
            if any("degrees" in note for note in one.reading.notes):
                scores.not_read[row.case_id] = "turned by the gate: its annotations do not fit"
                continue
            scores.rows += list(self._film(row, one))
        return scores

    def _film(self, row: Any, one: Examined) -> Iterator[dict[str, Any]]:
        film, reader = one.radiograph, self.explainer.reader
        if film is None or one.lungs is None or not one.lungs.parts:
            return
        inputs = reader.preprocess(film, one.lungs)
        scale = min(self.settings.side / max(film.shape), 1.0)
        small = max(round(film.shape[0] * scale), 1), max(round(film.shape[1] * scale), 1)
        scene = _Scene(
            inputs, small, film.shape, one, reader.preprocess.to_film, self.explainer.black
        )
        for name in row.targets:
            label = label_of(name, [str(each) for each in reader.labels])
            if label is not None:
                yield from self._target(row, name, label, scene)

    def _target(self, row: Any, name: str, label: str, scene: _Scene) -> Iterator[dict[str, Any]]:
        target = target_mask(name, row, scene.shape, scene.small)
        if not (target & scene.lungs).any():
            return
        identity = {
            "case_id": row.case_id,
            "patient": row.group or row.patient_id,
            "cohort": row.cohort,
            "held_out": row.held_out,
            "target": name,
            "label": label,
        }
        yield identity | {"method": UNIFORM} | _uniform(target, scene)
        for method, (heat, numbers) in self._maps(label, bool(row.held_out), scene).items():
            yield identity | {"method": method} | _located(heat, target, scene) | numbers

    def _maps(self, label: str, held_out: bool, scene: _Scene) -> _Maps:
        """Make every map of one label once, however many targets it is compared with."""
        if label not in scene.maps:
            scene.maps[label] = dict(self._each_map(label, held_out, scene))
        return scene.maps[label]

    def _each_map(
        self, label: str, held_out: bool, scene: _Scene
    ) -> Iterator[tuple[str, tuple[Map, dict[str, float]]]]:
        place = [str(each) for each in self.explainer.reader.labels].index(label)
        faithful = held_out and self._next("faithful", label) < self.settings.faithful_films
        random = held_out and self._next("random", label) < self.settings.random_films
        for method, heat in self._references(scene):
            numbers = self._faithfulness(heat, place, scene) if faithful else {}
            yield method, (scene.on_film(heat), numbers)
        for choice in self.choices:
            heat, elapsed_ms = self.explainer.explain(choice, scene.inputs, place)
            numbers = {"seconds": elapsed_ms / 1000}
            if faithful:
                numbers |= self._faithfulness(heat, place, scene)
            if random:
                numbers["random weights"] = self._survives(choice, heat, place, scene)
            yield str(choice), (scene.on_film(heat), numbers)

    def _faithfulness(self, heat: Map, place: int, scene: _Scene) -> dict[str, float]:
        """Deletion to black, insertion from a blurred film (Petsiuk et al. 2018)."""
        inputs, steps = scene.inputs, self.settings.steps
        side = inputs.shape[-1]
        large: Map = np.asarray(cv2.resize(heat, (side, side)), np.float32)
        masks = list(judge.strongest_first(large, scene.changeable, steps))
        blurred = np.stack([cv2.GaussianBlur(c, (0, 0), side / 20) for c in inputs])
        deleted = [np.where(mask, scene.black, inputs) for mask in masks]
        inserted = [np.where(mask, inputs, blurred) for mask in masks]
        batch = np.stack(deleted + inserted).astype(np.float32)
        scores = sigmoid(self.explainer.run(batch)[0][:, place])
        return {
            "deletion": judge.area_under(scores[: steps + 1]),
            "insertion": judge.area_under(scores[steps + 1 :]),
        }

    def _survives(self, choice: Choice, heat: Map, place: int, scene: _Scene) -> float:
        ours = scene.on_film(heat)
        theirs = [
            scene.on_film(explainer.explain(choice, scene.inputs, place)[0])
            for explainer in self.randomised
        ]
        found = [judge.rank_correlation(ours, other, scene.lungs) for other in theirs]
        defined = [value for value in found if not np.isnan(value)]
        return float(np.mean(defined)) if defined else np.nan

    def _references(self, scene: _Scene) -> Iterator[tuple[str, Map]]:
        yield RANDOM, self._generator.random((5, 5), np.float32)
        side = scene.inputs.shape[-1]
        grey = cv2.GaussianBlur(scene.inputs[0] - np.float32(scene.black), (0, 0), side / 40)
        yield GREY, np.asarray(grey, np.float32)

    def _next(self, what: str, label: str) -> int:
        count = self._counts.get((what, label), 0)
        self._counts[what, label] = count + 1
        return count


_Maps = dict[str, tuple[Map, dict[str, float]]]
"""Method -> its map on the film, and the numbers that need no target."""


@dataclass
class _Scene:
    """One film with what all its maps share."""

    inputs: Map
    small: tuple[int, int]
    shape: tuple[int, int]
    examined: Examined
    to_film: Callable[..., Map]
    black: float
    maps: dict[str, _Maps] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.examined.lungs is None:
            raise CohortError(f"{self.examined.reading.path}: no lungs found")
        self.lungs = self.examined.lungs.on_film(self.small)
        self.changeable = (np.abs(self.inputs - self.black) > 1e-6).any(0)

    def on_film(self, heat: Map) -> Map:
        return self.to_film(heat, self.small, self.examined.lungs)


def _located(on_film: Map, target: judge.Mask, scene: _Scene) -> dict[str, float]:
    return {
        "in-lung share": judge.share_inside(on_film, scene.lungs),
        "pointing": judge.points_at(on_film, target),
        "energy": judge.share_inside(on_film, target),
        "energy in lungs": judge.share_inside(on_film, target, scene.lungs),
        "auroc in lungs": judge.pixel_auroc(on_film, target, scene.lungs),
    }


def _uniform(target: judge.Mask, scene: _Scene) -> dict[str, float]:
    level = judge.chance(target, scene.lungs)
    return {
        "in-lung share": 1.0,
        "pointing": level,
        "energy": level,
        "energy in lungs": level,
        "auroc in lungs": 0.5,
    }


def summarise(rows: pd.DataFrame, settings: ScoreSettings, against: str) -> pd.DataFrame:
    """Bring films together: a row a block, target, method and metric.

    Args:
        rows: from ``Scores.table``.
        settings: of the run.
        against: method that every other is compared with, film by film.

    Returns:
        Columns block, target, label, method, metric, value, low, high, n, patients, difference,
        difference_low, difference_high (method minus ``against`` on the same films) and flag.
    """
    blocks = {HELD_OUT: rows[rows["held_out"]]}
    if not rows["held_out"].all():
        blocks[ALL] = rows
    found = []
    for block, films in blocks.items():
        for (target, label), part in films.groupby(["target", "label"], sort=False):
            wide = {
                metric: part.set_index(["case_id", "method"])[metric].unstack()  # noqa: PD010
                for metric in METRICS
                if metric in part
            }
            patients = part.drop_duplicates("case_id").set_index("case_id")["patient"]
            for method in dict.fromkeys(part["method"]):
                for metric, values in wide.items():
                    row = _row(values, method, metric, patients, against, settings)
                    if row is not None:
                        names = {"block": block, "target": target, "label": label}
                        found.append(names | {"method": method, "metric": metric} | row)
    return pd.DataFrame(found)


def _row(
    values: pd.DataFrame,
    method: str,
    metric: str,
    patients: pd.Series[str],
    against: str,
    settings: ScoreSettings,
) -> dict[str, Any] | None:
    numbers = values[method].dropna()
    if numbers.empty:
        return None
    owners = patients[numbers.index]
    binary = bool(numbers.isin([0.0, 1.0]).all()) and metric == "pointing"
    seed = settings.seed
    whole = judge.mean_over_films(numbers, owners, proportion=binary, seed=seed)
    row = {
        "value": whole.value,
        "low": whole.low,
        "high": whole.high,
        "n": whole.n,
        "patients": owners.nunique(),
        "difference": np.nan,
        "difference_low": np.nan,
        "difference_high": np.nan,
        "flag": "",
    }
    if against in values and method != against:
        both = (values[method] - values[against]).dropna()
        if not both.empty:
            gap = judge.mean_over_films(both, patients[both.index], seed=seed)
            row |= dict(
                zip(
                    ("difference", "difference_low", "difference_high"),
                    (gap.value, gap.low, gap.high),
                    strict=True,
                )
            )
    if metric == "random weights" and whole.value >= settings.survives:
        row["flag"] = "survives random weights"
    return row


def default_choices(explainer: Explainer, film: Map) -> list[Choice]:
    """Return every method at the last layer, and those of layers at one finer layer too.

    The finer layer is the last whose cells are half as large.
    """
    from hilum.apps.explaining import all_choices

    choices = all_choices(explainer.reader.bundle.manifest.evidence)
    strides = explainer.strides(film)
    finer = [one for one, next_one in pairwise(strides) if next_one == strides[-1]]
    for name in ("grad-cam", "hirescam", "layer-cam", "brightness") if finer else ():
        choices.append(Choice(name, f"stride-{finer[-1]}"))
    return choices
