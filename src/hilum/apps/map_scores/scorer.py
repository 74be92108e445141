"""Scorer: the numbers of every map of every film.

References stand in the same table as the methods: what a map that is the same everywhere in the
lungs would get, random blocks, and the grey levels of the film itself, which need no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pandas as pd

from hilum.apps.annotated import label_of, target_mask
from hilum.apps.explaining import Choice, Explainer
from hilum.apps.map_scores.scene import Map, Maps, Scene, located, uniform
from hilum.apps.map_scores.settings import GREY, RANDOM, UNIFORM, ScoreSettings
from hilum.core.errors import CohortError
from hilum.core.reading import Status
from hilum.judge import localization as judge
from hilum.serve.findings import sigmoid
from hilum.serve.reader import Examined


@dataclass
class Scores:
    """Numbers of single films, and what was left out.

    Attributes:
        rows: one a film, target and method: identity columns and a column a metric.
        not_read: films that the bundle refuses, case_id -> reason.
        copies: films that are copies of some that the bundle was trained on.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    not_read: dict[str, str] = field(default_factory=dict)
    copies: list[str] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """Return the rows as a table."""
        if not self.rows:
            raise CohortError(
                f"none of {len(self.not_read)} annotated films was read",
                hint="see what 'hilum read' says of them",
            )
        return pd.DataFrame(self.rows)


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
            scores.copies += [row.case_id] if reader.copy_of(one.embedding) else []
            scores.rows += list(self._film(row, one))
        return scores

    def _film(self, row: Any, one: Examined) -> Iterator[dict[str, Any]]:
        film, reader = one.radiograph, self.explainer.reader
        if film is None or one.lungs is None or not one.lungs.parts:
            return
        scene = Scene(
            inputs=reader.preprocess(film, one.lungs),
            black=self.explainer.black,
            shape=film.shape,
            side=self.settings.side,
            found=one.lungs,
            preprocess=reader.preprocess,
        )
        for name in row.targets:
            label = label_of(name, [str(each) for each in reader.labels])
            if label is not None:
                yield from self._target(row, name, label, scene)

    def _target(self, row: Any, name: str, label: str, scene: Scene) -> Iterator[dict[str, Any]]:
        target = target_mask(name, row, scene.shape, scene.small)
        if not (target & scene.lungs).any():
            return
        identity = {
            "case_id": row.case_id,
            "patient": row.owner,
            "cohort": row.cohort,
            "held_out": row.held_out,
            "target": name,
            "label": label,
        }
        yield identity | {"method": UNIFORM} | uniform(target, scene)
        for method, (heat, numbers) in self._maps(label, bool(row.held_out), scene).items():
            yield identity | {"method": method} | located(heat, target, scene) | numbers

    def _maps(self, label: str, held_out: bool, scene: Scene) -> Maps:
        """Make every map of one label once, however many targets it is compared with."""
        if label not in scene.maps:
            scene.maps[label] = dict(self._each_map(label, held_out, scene))
        return scene.maps[label]

    def _each_map(
        self, label: str, held_out: bool, scene: Scene
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

    def _faithfulness(self, heat: Map, place: int, scene: Scene) -> dict[str, float]:
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

    def _survives(self, choice: Choice, heat: Map, place: int, scene: Scene) -> float:
        ours = scene.on_film(heat)
        theirs = [
            scene.on_film(explainer.explain(choice, scene.inputs, place)[0])
            for explainer in self.randomised
        ]
        found = [judge.rank_correlation(ours, other, scene.lungs) for other in theirs]
        defined = [value for value in found if not np.isnan(value)]
        return float(np.mean(defined)) if defined else np.nan

    def _references(self, scene: Scene) -> Iterator[tuple[str, Map]]:
        yield RANDOM, self._generator.random((5, 5), np.float32)
        side = scene.inputs.shape[-1]
        grey = cv2.GaussianBlur(scene.inputs[0] - np.float32(scene.black), (0, 0), side / 40)
        yield GREY, np.asarray(grey, np.float32)

    def _next(self, what: str, label: str) -> int:
        count = self._counts.get((what, label), 0)
        self._counts[what, label] = count + 1
        return count
