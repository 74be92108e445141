"""Disguise: random changes of what tells a source: processing, resolution, JPEG, letters, gaps.

Each takes one square, float32 (S, S) in [0, 1], and a generator, and returns one.
"""

from __future__ import annotations

import string

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hilum.core.radiograph import Pixels

_LETTERS = list(string.ascii_uppercase + string.digits)


def process(square: Pixels, random: Generator) -> Pixels:
    """Process a film as another maker would: a tone curve, local contrast, edges, uneven exposure.

    Each of the four with an even chance: a monotone curve through five random levels; contrast
    evened out in tiles (CLAHE; Zuiderveld, Graphics Gems IV, 1994); an unsharp mask; a ramp of
    brightness in a random direction.
    """
    size = square.shape[0]
    if random.random() < 0.5:
        levels = np.cumsum(random.dirichlet(np.full(5, 4.0)))
        square = np.interp(square, np.linspace(0, 1, 6), [0.0, *levels]).astype(np.float32)
    if random.random() < 0.5:
        tiles = int(random.integers(2, 9))
        clahe = cv2.createCLAHE(float(random.uniform(1, 4)), (tiles, tiles))
        even = _unit(np.asarray(clahe.apply(_grey(square)), np.uint8))
        square = square + np.float32(random.random()) * (even - square)
    if random.random() < 0.5:
        smooth = cv2.GaussianBlur(square, (0, 0), size * random.uniform(0.005, 0.08))
        square = square + np.float32(random.uniform(-0.3, 1.0)) * (square - smooth)
    if random.random() < 0.5:
        angle, across = random.uniform(0, 2 * np.pi), np.linspace(-1, 1, size, dtype=np.float32)
        ramp = np.cos(angle) * across[None] + np.sin(angle) * across[:, None]
        square = square + np.float32(random.uniform(0, 0.12)) * ramp.astype(np.float32)
    return np.clip(square, 0, 1).astype(np.float32)


def degrade(square: Pixels, random: Generator) -> Pixels:
    """Shrink to between a third and the whole, bring back, and save as JPEG of quality 20 to 95."""
    size = square.shape[0]
    small = max(round(size * random.uniform(1 / 3, 1)), 1)
    shrunk = cv2.resize(square, (small, small), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(20, 96))]
    _, coded = cv2.imencode(".jpg", _grey(np.asarray(coarse, np.float32)), quality)
    return _unit(np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8))


def add_markers(square: Pixels, random: Generator) -> Pixels:
    """Paste one to four words or bars anywhere, bright more often than dark."""
    marked, size = _grey(square), square.shape[0]
    for _ in range(random.integers(1, 5)):
        tone = int(random.integers(205, 256) if random.random() < 0.8 else random.integers(0, 50))
        x, y = (int(value) for value in random.integers(0, size, 2))
        if random.random() < 0.7:
            word = "".join(random.choice(_LETTERS, random.integers(1, 7)))
            scale = size / 224 * float(random.uniform(0.3, 1.2))
            cv2.putText(marked, word, (x, y), int(random.integers(0, 8)), scale, tone, 1)
        else:
            wide, high = (int(value) for value in random.integers(2, max(size // 6, 3), 2))
            cv2.rectangle(marked, (x, y), (x + wide, y + high), tone, int(random.choice([-1, 1])))
    return _unit(marked)


def cover_borders(square: Pixels, random: Generator) -> Pixels:
    """Cover up to an eighth of each of some sides with one tone, mostly black."""
    covered, size = square.copy(), square.shape[0]
    tone = 0.0 if random.random() < 0.8 else 1.0
    for turns in range(4):
        if random.random() < 0.5:
            width = int(random.integers(1, max(size // 8, 2)))
            np.rot90(covered, turns)[:width] = tone
    return covered


def erase(square: Pixels, random: Generator) -> Pixels:
    """Fill a rectangle of up to a third of each side with noise."""
    erased, size = square.copy(), square.shape[0]
    high, wide = (int(value) for value in random.integers(2, max(size // 3, 3), 2))
    top, left = (int(value) for value in random.integers(0, size - max(high, wide), 2))
    erased[top : top + high, left : left + wide] = random.random((high, wide), np.float32)
    return erased


def _grey(square: Pixels) -> NDArray[np.uint8]:
    return np.round(np.clip(square, 0, 1) * 255).astype(np.uint8)


def _unit(grey: NDArray[np.uint8]) -> Pixels:
    return grey.astype(np.float32) / np.float32(255)
