"""Dense: what the network "dense" learns from a film, and how: everything drawn, boxed or said.

A film adds what is known of it and nothing else:

- lungs, drawn by hand or found by the lung network (with less weight);
- "drawn": opacities that a reader outlined; "boxed": rectangles around them, so that all outside is
  clear and some of each inside is opaque; "clear": no finding, so clear everywhere. Lesions are
  drawn into some of the clear films (``hilum.learn.synthetic``);
- where another network, the teacher, finds opacities, if nobody drew them: films with boxes and
  films of which only a label is known (Hinton et al., arXiv:1503.02531);
- opacity, yes or no, through the mean of the map;
- the appearance, off the map.

Opacity learns from contrasts inside one collection alone, each with an intercept of its own that is
thrown away afterwards: between collections the label is the hospital. So the zero of the opacity
logit is that of no collection; thresholds and probability are fitted afterwards. Lesions drawn into
films of a collection of clear ones make a contrast, too. COVID-19 given opacity is learned off the
finished map: see ``hilum.learn.given``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from hilum.bundle.opacities import OpacitySegmenter
from hilum.core.details import Side
from hilum.core.labels import Label
from hilum.core.radiograph import Radiograph
from hilum.data.masks import read_kinds, read_mask
from hilum.image.lungs import Lungs, split_sides
from hilum.image.preprocess import Preprocess
from hilum.learn.augment import augment_with_planes
from hilum.learn.films import Batch, Case
from hilum.learn.module import Learner
from hilum.learn.networks.dense import CONSOLIDATION, OPACITY, DenseNetwork, DenseOutput
from hilum.learn.recipe import Dense, Recipe
from hilum.learn.sampling import balanced_weights
from hilum.learn.seeds import AUGMENTATION, derive_seed
from hilum.learn.synthetic import add_lesions

MOST_BOXES = 6
"""Planes for boxes; those of a film that has more share the last one."""
LUNGS, LESIONS, BOXES = slice(0, 2), slice(2, 4), slice(4, 4 + MOST_BOXES)
TAUGHT = BOXES.stop
"""Planes of a film: the right lung and the left one, ground-glass and consolidation as outlined,
each box; and where a teacher finds it opaque."""
PLANES = TAUGHT + 1
UNSEEN, DRAWN, BOXED, CLEAR = range(4)
"""What is known of where a film is opaque."""
BOX_LABELS = (Label.LUNG_OPACITY.value, Label.TUBERCULOSIS.value)
"""Boxes of these were looked for all over the film: what is outside of them is clear."""
OPAQUE_LABELS = (
    *BOX_LABELS,
    Label.PNEUMONIA.value,
    Label.INFILTRATION.value,
    Label.CONSOLIDATION.value,
)
"""Boxes of these hold an opacity, too."""
APPEARANCES = ("typical", "indeterminate", "atypical")
_SIDE = 256
_FOUND_LUNGS = 0.4
"""Weight of lungs that a network found, beside those drawn by hand."""


class Drawer:
    """Draws what is known of a film onto a quarter of the network's input.

    Args:
        teacher: bundle whose opacity network says where a film is opaque; None for none.
    """

    def __init__(self, teacher: Path | None = None) -> None:
        self._teacher = None if teacher is None else OpacitySegmenter(teacher)

    @property
    def key(self) -> str:
        """Of what is drawn."""
        return f"2 {self._teacher.checksum if self._teacher else ''}"

    def __call__(
        self, film: Radiograph, lungs: Lungs, case: Case, preprocess: Preprocess
    ) -> NDArray[np.uint8]:
        """Draw one film.

        Args:
            film: the opened film.
            lungs: that ``preprocess`` cuts it to.
            case: its row: ``lung_mask``, ``lesion_masks`` and ``boxes`` are read.
            preprocess: of the run; ``fit`` must be "stretch".

        Returns:
            uint8 (11, S/4, S/4), 0 to 255: see ``LUNGS``, ``LESIONS``, ``BOXES`` and ``TAUGHT``.

        Raises:
            CohortError: a mask that cannot be read, or of another shape than its film.
        """
        layers = _layers(film, lungs, case)
        if self._teacher:
            layers[TAUGHT] = self._teacher.segment(film, lungs).scores.max(0)
        coarse = preprocess.model_copy(
            update={
                "size": preprocess.size // 4,
                "region": "film" if preprocess.region == "film" else "lung-field",
                "low_percentile": None,
                "high_percentile": None,
                "equalize": None,
            }
        )
        planes = np.zeros((PLANES, coarse.size, coarse.size), np.uint8)
        for place, layer in layers.items():
            square = coarse.square(replace(film, pixels=np.asarray(layer, np.float32)), lungs)
            planes[place] = np.rint(255 * square)
        return planes


def _layers(film: Radiograph, lungs: Lungs, case: Case) -> dict[int, NDArray[Any]]:
    """Return plane -> what is known of it, over the whole film, of any size."""
    inside = lungs
    if case.get("lung_mask"):
        inside = Lungs.drawn(read_mask(case["lung_mask"], film.shape), _SIDE)
    sides = split_sides(inside)
    outlined = case.get("lesion_masks") or ""
    kinds = [_small(kind) for kind in read_kinds(outlined, film.shape)] if outlined else []
    boxes = [_box(box, film.shape) for box in _boxes(case)]
    few, rest = boxes[: MOST_BOXES - 1], boxes[MOST_BOXES - 1 :]
    if rest:
        few.append(np.maximum.reduce(rest))
    return (
        dict(enumerate((sides[Side.RIGHT], sides[Side.LEFT])))
        | dict(enumerate(kinds, LESIONS.start))
        | dict(enumerate(few, BOXES.start))
    )


def _small(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    soft = cv2.resize(mask.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(soft, np.float32)


def _boxes(case: Case) -> list[dict[str, Any]]:
    return [box for box in json.loads(case.get("boxes") or "[]") if box["label"] in OPAQUE_LABELS]


def _box(box: dict[str, Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    height, width = shape
    layer = np.zeros((_SIDE, _SIDE), np.float32)
    left, right = (round(_SIDE * x / width) for x in (box["x"], box["x"] + box["width"]))
    top, bottom = (round(_SIDE * y / height) for y in (box["y"], box["y"] + box["height"]))
    layer[top : max(bottom, top + 1), left : max(right, left + 1)] = 1
    return layer


class Known(NamedTuple):
    """What is known of films, as tensors of (N,).

    Attributes:
        material: int64: ``UNSEEN``, ``DRAWN``, ``BOXED`` or ``CLEAR``.
        lungs: float32, weight of the lungs.
        opacity, sure: float32: whether there is opacity, NaN for unknown, and its weight.
        appearance: int64: place in ``APPEARANCES``, -1 for unknown.
        opacity_source: int64: place of the collection among those with and without opacity, else
            the one after them.
    """

    material: Tensor
    lungs: Tensor
    opacity: Tensor
    sure: Tensor
    appearance: Tensor
    opacity_source: Tensor

    @classmethod
    def of(cls, cases: pd.DataFrame) -> Known:
        """Read a cases table; a column that it lacks says nothing."""
        said = {label: _column(cases, label) for label in _READ}
        looks = cases.get("appearance", pd.Series("", index=cases.index)).fillna("").to_numpy()
        opacity, sure = _opacity(said, looks)
        material = _material(cases, said, looks)
        both = _contrasts(cases["cohort"], opacity)
        opacity_places = (
            cases["cohort"].map({name: i for i, name in enumerate(both)}).fillna(len(both))
        )
        sure = np.where((opacity_places < len(both)) | (material == CLEAR), sure, 0)
        order = {name: place for place, name in enumerate(APPEARANCES)}
        by_hand = cases.get("lung_mask", pd.Series("", index=cases.index)).fillna("") != ""
        return cls(
            torch.tensor(material),
            torch.tensor(np.where(by_hand, 1, _FOUND_LUNGS), dtype=torch.float32),
            torch.tensor(opacity, dtype=torch.float32),
            torch.tensor(sure, dtype=torch.float32),
            torch.tensor([order.get(look, -1) for look in looks]),
            torch.tensor(opacity_places.to_numpy(np.int64)),
        )

    def take(self, rows: Tensor) -> Known:
        """Return what is known of some of the films."""
        return Known(*(each[rows.to(each.device)].to(rows.device) for each in self))


_READ = (
    Label.COVID_19,
    Label.LUNG_OPACITY,
    Label.NO_FINDING,
    Label.PNEUMONIA,
    Label.TUBERCULOSIS,
)


def _column(cases: pd.DataFrame, label: Label) -> NDArray[np.float64]:
    if label.value not in cases:
        return np.full(len(cases), np.nan)
    return cases[label.value].to_numpy(np.float64)


def _opacity(
    said: dict[Label, NDArray[np.float64]], looks: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Say whether films are opaque, and how sure that is; a reading of the film comes first."""
    opacity, sure = (np.full(len(looks), value) for value in (np.nan, 0.0))
    clear = (said[Label.NO_FINDING] == 1) | (looks == "negative")
    read = said[Label.LUNG_OPACITY]
    for here, value, weight in (  # later lines win
        (said[Label.PNEUMONIA] == 1, 1, 0.25),
        (said[Label.TUBERCULOSIS] == 1, 1, 0.4),
        (said[Label.COVID_19] == 1, 1, 0.5),
        (clear, 0, 1.0),
        (read == 0, 0, 0.5),  # a film that is not normal, either, may have a shadow
        ((read == 0) & clear, 0, 1.0),
        ((read == 1) | np.isin(looks, APPEARANCES), 1, 1.0),
    ):
        opacity[here], sure[here] = value, weight
    return opacity, sure


def _material(
    cases: pd.DataFrame, said: dict[Label, NDArray[np.float64]], looks: NDArray[Any]
) -> NDArray[np.int64]:
    absent = pd.Series("", index=cases.index)
    boxes = cases.get("boxes", absent).fillna("")
    boxed = np.logical_or.reduce([boxes.str.contains(f'"{label}"') for label in BOX_LABELS])
    drawn = (cases.get("lesion_masks", absent).fillna("") != "").to_numpy()
    clear = (said[Label.NO_FINDING] == 1) | (looks == "negative")
    clear &= (said[Label.LUNG_OPACITY] != 1) & (said[Label.COVID_19] != 1)
    return np.select([drawn, boxed, clear], [DRAWN, BOXED, CLEAR], UNSEEN).astype(np.int64)


def _contrasts(cohorts: pd.Series, opacity: NDArray[np.float64]) -> list[str]:
    """Name the collections that have films of both classes."""
    classes = pd.Series(opacity).groupby(cohorts.to_numpy()).nunique()
    return sorted(classes.index[classes > 1])


def film_weights(cases: pd.DataFrame, recipe: Recipe) -> NDArray[np.float64]:
    """Return how often each film is shown, float64 (n,): opaque ones and others half and half.

    Within each half ``fit.balance`` holds; outlined films are shown ``dense.drawn`` times as often.
    """
    known = Known.of(cases)
    opaque = cases.assign(opaque=(known.opacity == 1).numpy())
    outlined = (known.material == DRAWN).numpy()
    weights = balanced_weights(opaque, ["opaque"], recipe.fit.balance)
    return weights * np.where(outlined, recipe.dense.drawn, 1)


class DenseLearner(Learner):
    """The dense network in training.

    Args:
        network, recipe, steps_per_epoch, cases: as for ``Learner``.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, steps_per_epoch: int, cases: pd.DataFrame
    ) -> None:
        super().__init__(network, recipe, steps_per_epoch, cases)
        self._known = Known.of(cases)
        self.intercepts = nn.Parameter(torch.zeros(int(self._known.opacity_source.max()) + 1))
        self._batch: tuple[Known, Tensor] | None = None

    def _changed(self, batch: Batch, random: torch.Generator) -> Tensor:
        """Draw lesions in, exchange surroundings, change all films; keep what is known of them."""
        known, planes = self._known.take(batch.rows), batch.planes
        if planes is None:
            raise ValueError("the films carry no planes")
        seed = derive_seed(
            self.recipe.fit.seed, AUGMENTATION, self.current_epoch, int(batch.rows[0]), 1
        )
        drawing = np.random.default_rng(seed)
        squares, planes, known = with_lesions(
            batch.squares, planes, known, self.recipe.dense.synthetic, drawing
        )
        squares, known = with_other_surroundings(squares, planes, known, self.recipe.dense, drawing)
        squares, planes = augment_with_planes(squares, planes, self.recipe.augmentation, random)
        self._batch = known, planes
        changed = known.material != self._known.take(batch.rows).material
        batch.truth[changed, 1] = known.opacity[changed]  # for curves
        return squares

    def _loss(self, output: Any, batch: Batch) -> Tensor:
        if self._batch is None:
            raise ValueError("no batch was changed")
        known, planes = self._batch
        intercepts = self.intercepts[known.opacity_source]
        return dense_loss(output, known, planes, intercepts, self.recipe.dense)

    def _groups(self) -> list[dict[str, Any]]:
        """The encoder goes slower than what starts from nothing."""
        if not isinstance(self.network, DenseNetwork):
            raise TypeError(f"{type(self.network).__name__} is no dense network")
        encoder = {id(each) for each in self.network.encoder.parameters()}
        rest = [each for each in self.parameters() if id(each) not in encoder]
        rate = self.recipe.fit.learning_rate
        return [
            {"params": [each for each in self.network.encoder.parameters() if each.requires_grad]},
            {"params": rest, "lr": rate * self.recipe.dense.decoder_rate},
        ]


def with_lesions(
    squares: Tensor, planes: Tensor, known: Known, chance: float, random: np.random.Generator
) -> tuple[Tensor, Tensor, Known]:
    """Draw lesions into some of the clear films, which are then drawn films with opacity.

    Args:
        squares: float32 (N, 1, S, S) in [0, 1]; not changed.
        planes: float32 (N, 11, S/4, S/4); not changed.
        known: of the films.
        chance: of a clear film.
        random: the only source of chance.
    """
    squares, planes, size = squares.clone(), planes.clone(), squares.shape[-1]
    known = Known(*(each.clone() for each in known))
    for place in torch.nonzero(known.material == CLEAR).flatten().tolist():
        if random.random() >= chance:
            continue
        both = planes[place, LUNGS].amax(0).cpu().numpy()
        inside = cv2.resize(both, (size, size), interpolation=cv2.INTER_LINEAR) > 0.5
        film, masks = add_lesions(squares[place, 0].cpu().numpy(), inside, random)
        squares[place, 0] = torch.from_numpy(film)
        planes[place, LESIONS] = functional.avg_pool2d(torch.from_numpy(masks).float(), 4)
        known.material[place] = DRAWN
        share = masks.any(0).sum() / max(int(inside.sum()), 1)
        known.opacity[place] = 1.0 if share else known.opacity[place]
        known.sure[place] = 0.5 if share > _VISIBLE or not share else 0.0
    return squares, planes, known


_VISIBLE = 0.02
"""A lesion of a smaller share of the lungs teaches pixels, and not the film's answer."""


def with_other_surroundings(
    squares: Tensor, planes: Tensor, known: Known, weights: Dense, random: np.random.Generator
) -> tuple[Tensor, Known]:
    """Exchange what lies around the lungs of some films, and empty the lungs of others.

    What lies around the lungs (tubes, posture, collimation, letters) tells collections apart, and
    collections have classes: with it exchanged, a film's answer is still that of its lungs; with
    the lungs emptied there is nothing left to answer from, and the film is clear.

    Args:
        squares: float32 (N, 1, S, S) in [0, 1]; not changed.
        planes: float32 (N, 11, S/4, S/4).
        known: of the films.
        weights: of the recipe: ``backdrop`` and ``emptied``, the chances of a film.
        random: the only source of chance.
    """
    before, squares, size = squares, squares.clone(), squares.shape[-1]
    known = Known(*(each.clone() for each in known))
    for place in range(len(squares)):
        chance = random.random()
        if chance >= weights.backdrop + weights.emptied:
            continue
        both = planes[place, LUNGS].amax(0).cpu().numpy()
        inside = (cv2.resize(both, (size, size), interpolation=cv2.INTER_LINEAR) > 0.5).astype("f4")
        if not inside.any():
            continue
        reach = 2 * round(size * random.uniform(0.01, 0.06)) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        lungs = cv2.GaussianBlur(cv2.dilate(inside, kernel), (0, 0), size * 0.01)
        tone = 0.0 if random.random() < 0.5 else random.random()
        film = squares[place, 0].cpu().numpy()
        if chance < weights.backdrop:
            other = before[random.integers(len(squares)), 0].cpu().numpy()
            around = other if random.random() < 0.6 else tone
            film = around + lungs * (film - around)
        else:
            grain = random.standard_normal((size, size)).astype(np.float32)
            noise = cv2.GaussianBlur(grain, (0, 0), size * random.uniform(0.002, 0.03))
            noise *= random.choice([0, 0.1]) / max(float(noise.std()), 1e-6)
            filling = 0.4 * tone + noise  # dark: a white lung is an opaque one
            film = film + lungs * (filling - film)
            known.material[place], known.appearance[place] = CLEAR, -1
            known.opacity[place], known.sure[place] = 0.0, 1.0
        squares[place, 0] = torch.from_numpy(np.clip(film, 0, 1).astype(np.float32))
    return squares, known


def dense_loss(
    output: DenseOutput,
    known: Known,
    planes: Tensor,
    intercepts: Tensor,
    weights: Dense,
) -> Tensor:
    """Return the loss of a batch, a scalar; a film adds nothing where nothing is known of it.

    Args:
        output: of the network.
        known: of the films, N.
        planes: float32 (N, 11, h, w), of the size of ``output.maps``.
        intercepts: float (N,), of opacity, of the films' collections.
        weights: of the recipe.
    """
    logits = output.maps[:, OPACITY]
    inside = planes[:, LUNGS].amax(1)
    boxes = planes[:, BOXES] * inside[:, None]
    loss = _lung_loss(output.maps[:, :OPACITY], planes[:, LUNGS], known.lungs)
    if (at := known.material == DRAWN).any():
        lesions = planes[at, LESIONS]
        each = _drawn_loss(logits[at], lesions.amax(1), inside[at])
        each = each + _kind_loss(output.maps[at, CONSOLIDATION], lesions)
        loss = loss + 3 * at.float().mean() * each
    if (at := known.material == CLEAR).any():
        each = _over(functional.softplus(logits[at]), inside[at])
        loss = loss + 2 * at.float().mean() * each
    if (at := known.material == BOXED).any():
        each = _box_loss(logits[at], boxes[at], inside[at], weights)
        loss = loss + 2 * at.float().mean() * each
    if weights.teacher and (at := (known.material == UNSEEN) | (known.material == BOXED)).any():
        each = functional.binary_cross_entropy_with_logits(
            logits[at], planes[at, TAUGHT], reduction="none"
        )
        loss = loss + weights.taught * at.float().mean() * _over(each, inside[at])
    loss = loss + _known_bce(output.logits[:, 1] + intercepts, known.opacity, known.sure)
    read = known.appearance >= 0
    if read.any():
        among = functional.cross_entropy(output.given[read, 1:], known.appearance[read])
        loss = loss + weights.appearance * read.float().mean() * among
    return loss


def _over(values: Tensor, where: Tensor) -> Tensor:
    """Mean of ``values`` weighted by ``where``."""
    return (values * where).sum() / where.sum().clamp(min=1)


def _dice(chance: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - Dice, softly and with a one for empty truths (Milletari et al., 3DV 2016)."""
    return 1 - (2 * (chance * truth).sum() + 1) / (chance.sum() + truth.sum() + 1)


def _lung_loss(logits: Tensor, lungs: Tensor, weight: Tensor) -> Tensor:
    weight = weight[:, None, None, None]
    each = functional.binary_cross_entropy_with_logits(logits, lungs, reduction="none")
    return 2 * (each * weight).mean() + _dice(logits.sigmoid() * weight, lungs * weight)


def _drawn_loss(logits: Tensor, lesion: Tensor, inside: Tensor) -> Tensor:
    each = functional.binary_cross_entropy_with_logits(logits, lesion, reduction="none")
    return _over(each, inside) + _dice(logits.sigmoid() * inside, lesion * inside)


def _kind_loss(logits: Tensor, lesions: Tensor) -> Tensor:
    """Where a lesion was outlined, say of which kind; where both were, it is consolidation."""
    either, dense = lesions.amax(1), lesions[:, 1]
    target = (dense / either.clamp(min=1e-3)).clamp(max=1)
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return 0.3 * _over(each, either)


def _box_loss(logits: Tensor, boxes: Tensor, inside: Tensor, weights: Dense) -> Tensor:
    """All outside the boxes is clear; the most opaque part of each box is opaque."""
    outside = _over(functional.softplus(logits), inside * (1 - boxes.amax(1)))
    area = boxes.sum((2, 3))
    chance, _ = (logits.sigmoid()[:, None] * boxes).flatten(2).sort(-1, descending=True)
    places = torch.arange(chance.shape[-1], device=chance.device)
    top = (places < (weights.box_share * area)[..., None]).float()
    mean = (chance * top).sum(-1) / top.sum(-1).clamp(min=1)
    visible = (area > 2).float()
    short = -mean.clamp(1e-4, 1).log() * visible
    return outside + weights.boxes * short.sum() / visible.sum().clamp(min=1)


def _known_bce(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    known = ~torch.isnan(truth)
    target = torch.where(known, truth, 0.0)
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (torch.where(known, each, 0.0) * weight).sum() / len(truth)
