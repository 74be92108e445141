"""Augmentation: small changes of a film that a reader would not notice, for a whole batch at once.

Every element has a strength of its own, and 0 switches it off, so that each can be ablated. The
geometric ones are composed into one matrix a film and applied by one resampling.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from hilum.core.config import Config
from hilum.learn.disguise import add_markers, cover_borders, degrade, erase, process

_DRAWS = 9


class Augmentation(Config):
    """How strongly each element may change a film; 0 is off. Drawn uniformly, once a film.

    Attributes:
        rotation_degrees: turned by up to this angle, either way.
        shift: moved by up to this fraction of the side, in x and in y.
        scale: zoomed by a factor in [1 - scale, 1 + scale].
        scale_axes_apart: draw that factor for x and for y on their own, as Keras does.
        shear_degrees: sheared by up to this angle, either way.
        contrast: grey levels spread about the film's mean by a factor in [1 - c, 1 + c].
        gamma: grey levels raised to a power in [1 / (1 + gamma), 1 + gamma].
        noise: Gaussian noise with a standard deviation of up to this, in grey levels of [0, 1].
        flip: mirror left and right, every second film. Off by default: the heart has a side.
        processing: chance that a film is processed as by another maker: tone curve, local
            contrast, edges, uneven exposure.
        degrade: chance that a film loses resolution (down to a third) and goes through JPEG, so
            that neither tells a source.
        markers: chance that letters and bright shapes are pasted at random places.
        borders: chance that black or white bars cover up to an eighth of random sides.
        erase: chance that a rectangle of up to a third of each side becomes noise (Zhong et al.,
            AAAI 2020).
    """

    rotation_degrees: float = Field(default=7.0, ge=0, le=180)
    shift: float = Field(default=0.05, ge=0, le=1)
    scale: float = Field(default=0.1, ge=0, lt=1)
    scale_axes_apart: bool = False
    shear_degrees: float = Field(default=0.0, ge=0, lt=60)
    contrast: float = Field(default=0.15, ge=0, le=1)
    gamma: float = Field(default=0.2, ge=0, le=4)
    noise: float = Field(default=0.01, ge=0, le=1)
    flip: bool = False
    processing: float = Field(default=0.0, ge=0, le=1)
    degrade: float = Field(default=0.0, ge=0, le=1)
    markers: float = Field(default=0.0, ge=0, le=1)
    borders: float = Field(default=0.0, ge=0, le=1)
    erase: float = Field(default=0.0, ge=0, le=1)

    @classmethod
    def off(cls) -> Augmentation:
        """Return the augmentation that changes nothing."""
        return cls(
            rotation_degrees=0, shift=0, scale=0, shear_degrees=0, contrast=0, gamma=0, noise=0
        )

    @property
    def moves(self) -> bool:
        """True when some geometric element is on."""
        strengths = (self.rotation_degrees, self.shift, self.scale, self.shear_degrees)
        return self.flip or any(strength > 0 for strength in strengths)


def augment(films: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change every film of a batch at random.

    Args:
        films: float32 (N, 1, S, S) in [0, 1], not yet standardised.
        augmentation: what may change, and how much.
        generator: the only source of chance, on the device of ``films``. Except for noise, a film
            takes the same draws whichever elements are on.

    Returns:
        float32 (N, 1, S, S) in [0, 1]; the same values when every element is off. Beyond its
        border a film goes on with its last row or column.
    """
    draws = torch.rand(len(films), _DRAWS, generator=generator, device=films.device)
    if augmentation.moves:
        films = _move(films, _matrices(draws, augmentation))
    films = _change_grey(films, draws, augmentation, generator)
    return _disguise(films, augmentation, generator)


def augment_with_planes(
    films: Tensor, planes: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change films as ``augment`` does, and move soft planes, float32 (N, P, h, w), along.

    Returns:
        The films; the planes, 0 beyond the border.
    """
    draws = torch.rand(len(films), _DRAWS, generator=generator, device=films.device)
    if augmentation.moves:
        matrices = _matrices(draws, augmentation)
        films, planes = _move(films, matrices), _move(planes, matrices, padding="zeros")
    films = _change_grey(films, draws, augmentation, generator)
    return _disguise(films, augmentation, generator), planes


def augment_with_boxes(
    films: Tensor,
    boxes: Sequence[Tensor],
    augmentation: Augmentation,
    generator: torch.Generator,
    *,
    visible: float = 0.25,
) -> tuple[Tensor, list[Tensor]]:
    """Change films at random, and move their boxes along with them.

    Args:
        films: float32 (N, 1, S, S) in [0, 1].
        boxes: of each film, float32 (k, 4): left, top, right, bottom, as fractions of the side.
        augmentation, generator: as for ``augment``; what pastes markers and borders is left out.
        visible: a box of which less than this share remains on the film is dropped.

    Returns:
        The films as ``augment`` gives them; upright boxes around the moved ones, cut at the border.
    """
    draws = torch.rand(len(films), _DRAWS, generator=generator, device=films.device)
    moved = list(boxes)
    if augmentation.moves:
        matrices = _matrices(draws, augmentation)
        films = _move(films, matrices)
        pairs = zip(boxes, matrices, strict=True)
        moved = [_move_boxes(each, matrix, visible) for each, matrix in pairs]
    return _change_grey(films, draws, augmentation, generator), moved


def _move_boxes(boxes: Tensor, matrix: Tensor, visible: float) -> Tensor:
    corners = 2 * boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) - 1
    # the matrix leads from the new film to the old one; corners go the other way
    found = (corners - matrix[:, 2]) @ torch.linalg.inv(matrix[:, :2]).T / 2 + 0.5
    whole = torch.cat([found.amin(1), found.amax(1)], dim=1)
    cut = whole.clamp(0, 1)
    kept = _areas(cut) >= visible * _areas(whole)
    return cut[kept & (_areas(cut) > 0)]


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _matrices(draws: Tensor, augmentation: Augmentation) -> Tensor:
    """Return (N, 2, 3): from a place in the new film to one in the old, in [-1, 1] units."""
    signed = 2 * draws - 1
    angle = signed[:, 0] * math.radians(augmentation.rotation_degrees)
    shear = signed[:, 1] * math.radians(augmentation.shear_degrees)
    zoom_x = 1 + signed[:, 2] * augmentation.scale
    zoom_y = 1 + signed[:, 3] * augmentation.scale if augmentation.scale_axes_apart else zoom_x
    mirror = torch.where(draws[:, 6] < 0.5, -1.0, 1.0) if augmentation.flip else 1.0
    x_axis = torch.stack([angle.cos() * mirror / zoom_x, angle.sin() * mirror / zoom_x], dim=1)
    y_axis = torch.stack([-(angle + shear).sin() / zoom_y, (angle + shear).cos() / zoom_y], dim=1)
    shift = 2 * augmentation.shift * signed[:, 4:6]
    return torch.stack([x_axis, y_axis, shift], dim=2)


def _move(films: Tensor, matrices: Tensor, padding: str = "border") -> Tensor:
    grid = functional.affine_grid(matrices, list(films.shape), align_corners=False)
    return functional.grid_sample(films, grid, padding_mode=padding, align_corners=False)


def _change_grey(
    films: Tensor, draws: Tensor, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    per_film = draws[:, :, None, None, None]
    if augmentation.gamma > 0:
        power = (2 * per_film[:, 7] - 1) * math.log1p(augmentation.gamma)
        films = films.clamp(0, 1).pow(power.exp())
    if augmentation.contrast > 0:
        factor = 1 + (2 * per_film[:, 8] - 1) * augmentation.contrast
        mean = films.mean((1, 2, 3), keepdim=True)
        films = mean + (films - mean) * factor
    if augmentation.noise > 0:
        deviation = augmentation.noise * torch.rand(
            len(films), 1, 1, 1, generator=generator, device=films.device
        )
        films = films + deviation * torch.randn(
            films.shape, generator=generator, device=films.device
        )
    return films.clamp(0, 1)


def _disguise(films: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Change what belongs to the file and not to the chest; one element after another."""
    chances = {
        process: augmentation.processing,
        degrade: augmentation.degrade,
        add_markers: augmentation.markers,
        cover_borders: augmentation.borders,
        erase: augmentation.erase,
    }
    if not any(chances.values()):
        return films
    seed = torch.randint(2**31, (), generator=generator, device=films.device)
    random = np.random.default_rng(int(seed))
    squares = films[:, 0].cpu().numpy().copy()
    for change, chance in chances.items():
        for square in squares:
            if random.random() < chance:
                square[:] = change(square, random)
    return torch.from_numpy(squares)[:, None].to(films.device)
