"""Similar: which films of a bundle's training look like this one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.bundle.similar import SIMILAR, Neighbors, open_index, open_similar
from hilum.core.details import Similar
from hilum.core.errors import BundleError, ImageError
from hilum.core.labels import Label
from hilum.core.radiograph import Pixels
from hilum.core.reading import RESEARCH_USE, Status
from hilum.image.open import open_radiograph
from hilum.serve.featuremap.gather import embed
from hilum.serve.film import open_film
from hilum.serve.heatmap import thumbnail
from hilum.serve.reader import Reader

SIDE = 300
"""Long side of a film in the picture, in pixels."""
_GAP, _LINE, _SIZE = 12, 18, 13
_LABELS = 3  # lines of a tile


@dataclass(frozen=True, slots=True)
class Alike:
    """A film and the films nearest to it.

    Attributes:
        status, reason, hint: as in ``Reading``.
        forced: it was placed although the gate refused it.
        similar: nearest first; empty unless the film was read.
    """

    status: Status
    reason: str = ""
    hint: str = ""
    forced: bool = False
    similar: tuple[Similar, ...] = ()


def open_neighbors(reader: Reader, index: Path | None = None) -> Neighbors:
    """Open the films that a bundle carries, or those of another index.

    Raises:
        BundleError: there are none, or another network made them.
    """
    root = reader.bundle.root
    if index is not None:
        return open_index(index, root)
    found = open_similar(root)
    if found is None:
        raise BundleError(
            f"{root}: no {SIMILAR} here: this bundle does not carry the films it was trained on",
            hint=f"hilum similar BUNDLE --fit split.csv -o {SIMILAR}, then --index {SIMILAR}",
        )
    return found


def find_similar(
    reader: Reader,
    neighbors: Neighbors,
    path: Path,
    k: int = 5,
    *,
    per_patient: int | None = 1,
    not_of: Collection[str] = (),
    force: bool = False,
) -> Alike:
    """Open one film as the reader does and look up its neighbors; never raise for a bad film.

    Args:
        k, per_patient, not_of: as in ``Neighbors.nearest``.
        force: place a film all the same that the gate refuses.
    """
    film = open_film(
        path, reader.preprocess, reader.segmenter, reader.gate, keep=False, force=force
    )
    if film.inputs is None:
        return Alike(film.status, film.reason, film.hint)
    embedding = embed(reader, film.inputs[None])[0]
    found = neighbors.nearest(embedding, k, per_patient=per_patient, not_of=not_of)
    return Alike(film.status, film.reason, film.hint, film.forced, found)


def known_of(similar: Similar, labels: Sequence[Label]) -> list[str]:
    """Say what is known of a film: the bundle's labels either way, then whatever else is there.

    >>> one = Similar(
    ...     case_id="a/1", cohort="a", distance=0, labels={"edema": 1, "mass": 0, "covid-19": 0}
    ... )
    >>> known_of(one, [Label.COVID_19])
    ['no covid-19', 'edema']
    """
    asked = [label for label in labels if label in similar.labels]
    said = [f"{'' if similar.labels[label] else 'no '}{label}" for label in asked]
    return said + [
        label.value for label, yes in similar.labels.items() if yes and label not in asked
    ]


def draw_similar(
    path: Path, similar: Sequence[Similar], paths: dict[str, str], labels: Sequence[Label]
) -> NDArray[np.uint8]:
    """Draw a film and its neighbors side by side.

    Args:
        path: the film.
        similar: its neighbors.
        paths: where films lie, by ``case_id``; one that is not there is an empty frame.
        labels: those of the bundle, named first.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    tiles = [_tile(_pixels(path), ["this film"])]
    for one in similar:
        known = known_of(one, labels)
        if len(known) > _LABELS:
            more = len(known) - _LABELS
            known = [*known[: _LABELS - 1], f"{known[_LABELS - 1]}, {more} more"]
        words = [one.case_id, f"distance {one.distance:.3f}", *(known or ["no label known"])]
        tiles.append(_tile(_pixels(paths.get(one.case_id)), words))
    width = len(tiles) * (SIDE + _GAP) + _GAP
    sheet = Image.new("RGB", (width, max(tile.height for tile in tiles) + 2 * _LINE), "black")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (_GAP + place * (SIDE + _GAP), _GAP))
    foot = sheet.height - _LINE - 4
    ImageDraw.Draw(sheet).text((_GAP, foot), RESEARCH_USE, "#c8d0d8", _font())
    return np.asarray(sheet, np.uint8)


def _tile(pixels: Pixels | None, words: Sequence[str]) -> Image.Image:
    tile = Image.new("RGB", (SIDE, SIDE + 6 * _LINE), "black")
    draw = ImageDraw.Draw(tile)
    if pixels is None:
        draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline="#5b6b7b")
        draw.text((SIDE / 2, SIDE / 2), "film not here", "#c8d0d8", _font(), anchor="mm")
    else:
        grey = Image.fromarray(np.asarray(np.round(255 * _fitted(pixels)), np.uint8))
        tile.paste(grey, ((SIDE - grey.width) // 2, (SIDE - grey.height) // 2))
    for line, text in enumerate(words):
        draw.text((0, SIDE + 6 + line * _LINE), _shortened(draw, text), "white", _font())
    return tile


def _fitted(pixels: Pixels) -> Pixels:
    scale = SIDE / max(pixels.shape)
    if scale <= 1:
        return thumbnail(pixels, SIDE)
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    larger = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(larger, 0, 1), np.float32)


def _pixels(path: str | Path | None) -> Pixels | None:
    try:
        return None if path is None else open_radiograph(path).pixels
    except ImageError:
        return None


def _shortened(draw: ImageDraw.ImageDraw, text: str) -> str:
    """Keep the end of a name, which tells films apart."""
    kept = text
    while draw.textlength(kept, _font()) > SIDE and len(kept) > 1:
        text = text[1:]
        kept = f"...{text}"
    return kept


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_SIZE)
