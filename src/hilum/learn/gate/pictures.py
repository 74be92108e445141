"""Pictures: what must not be read, made from good films or from nothing, each by one function.

Every function takes its chance from a generator and gives float32 (H, W) in [0, 1].
"""

from __future__ import annotations

import string
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from hilum.core.radiograph import Pixels
from hilum.image.lungs import Lungs

Random = np.random.Generator


def varied(pixels: Pixels, random: Random) -> Pixels:
    """Change a film a little, as another hospital would: tilt, zoom, proportions, greys, blur."""
    height, width = pixels.shape
    stretch = (width * random.uniform(0.85, 1.15), height * random.uniform(0.85, 1.15))
    size = (max(round(stretch[0]), 32), max(round(stretch[1]), 32))
    film = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    matrix = cv2.getRotationMatrix2D(
        (size[0] / 2, size[1] / 2), random.uniform(-8, 8), random.uniform(0.9, 1.1)
    )
    edge = cv2.BORDER_REPLICATE if random.random() < 0.5 else cv2.BORDER_CONSTANT
    film = cv2.warpAffine(film, matrix, size, borderMode=edge)
    if random.random() < 0.4:
        film = cv2.GaussianBlur(film, (0, 0), random.uniform(0.4, 1.5))
    bent = np.clip(film, 0, 1) ** random.uniform(0.6, 1.6)
    grey = bent + random.normal(0, random.uniform(0, 0.02), bent.shape)
    return _film(grey * random.uniform(0.7, 1) + random.uniform(0, 0.15))


def one_lung(pixels: Pixels, lungs: Lungs, random: Random) -> Pixels:
    """Cut the film so that one lung is left, with a little of what lies beyond the middle."""
    height, width = pixels.shape
    centers = sorted(part.center[0] for part in lungs.parts[:2])
    middle = sum(centers) / 2 if len(centers) == 2 else 0.5
    cut = round((middle + random.uniform(-0.06, 0.06)) * width)
    side = pixels[:, :cut] if random.random() < 0.5 else pixels[:, cut:]
    rows = slice(round(random.uniform(0, 0.1) * height), round(random.uniform(0.9, 1) * height))
    return np.ascontiguousarray(side[rows])


def cut_lungs(pixels: Pixels, lungs: Lungs, random: Random) -> Pixels:
    """Cut the film so that half of the lungs or more is missing at the top or the bottom."""
    height = pixels.shape[0]
    top, _, bottom, _ = lungs.box()
    line = round((top + random.uniform(0.38, 0.52) * (bottom - top)) * height)
    if random.random() < 0.5:
        return np.ascontiguousarray(pixels[: max(line, height // 5)])
    line = round((top + random.uniform(0.48, 0.62) * (bottom - top)) * height)
    return np.ascontiguousarray(pixels[min(line, height - height // 5) :])


def close_up(pixels: Pixels, lungs: Lungs, random: Random) -> Pixels:
    """Cut out a small part of the film: a detail of a lung, a shoulder, the abdomen."""
    height, width = pixels.shape
    share = random.uniform(0.22, 0.4)
    tall, wide = round(share * height), round(share * width * random.uniform(0.8, 1.2))
    top, left = (int(random.integers(0, n)) for n in (height - tall, width - wide))
    return np.ascontiguousarray(pixels[top : top + tall, left : left + wide])


def badly_exposed(pixels: Pixels, lungs: Lungs, random: Random) -> Pixels:
    """Burn most of the lungs to black, or all to white, or leave a handful of grey levels."""
    inside = pixels[lungs.on_film(pixels.shape)] if lungs.parts else pixels.ravel()
    kind = random.integers(0, 3)
    if kind == 0:
        low = float(np.quantile(inside, random.uniform(0.75, 0.95)))
        return _film((pixels - low) / max(1 - low, 0.05))
    if kind == 1:
        high = max(float(np.quantile(inside, random.uniform(0.05, 0.25))), 0.02)
        return _film(pixels / high)
    photons = random.uniform(0.3, 2.0)
    return _film(random.poisson(pixels * photons) / photons)


def panel(films: Sequence[Pixels], random: Random) -> Pixels:
    """Put films side by side, over one another, or in a square, as a journal prints them."""
    rows, columns = ((1, 2), (2, 1), (2, 2), (1, 3), (2, 3))[int(random.integers(0, 5))]
    tall, wide = 300, round(300 * random.uniform(0.75, 1.25))
    gap, paper = int(random.integers(0, 14)), float(random.choice([0.0, 1.0]))
    sheet = np.full((rows * (tall + gap) - gap, columns * (wide + gap) - gap), paper, np.float32)
    for place in range(rows * columns):
        film = cv2.resize(films[place % len(films)], (wide, tall), interpolation=cv2.INTER_AREA)
        top, left = place // columns * (tall + gap), place % columns * (wide + gap)
        sheet[top : top + tall, left : left + wide] = film
        if random.random() < 0.5:
            _write(sheet, "ABCDEF"[place], left + 8, top + 6, 28, 1.0)
    return sheet


def captioned(film: Pixels, random: Random) -> Pixels:
    """Set a film into a page: a wide caption beneath, sometimes text or a margin beside it."""
    wide, tall = 400, round(400 * random.uniform(0.75, 1.1))
    below, beside = round(random.uniform(0.35, 0.8) * tall), round(random.uniform(0, 0.5) * wide)
    page = np.ones((tall + below, wide + beside), np.float32)
    page[:tall, :wide] = cv2.resize(film, (wide, tall), interpolation=cv2.INTER_AREA)
    _lines(page, random, top=tall + 10, left=8, size=int(random.integers(11, 18)))
    if beside > 60:
        _lines(page[:tall], random, top=10, left=wide + 8, size=13)
    return page


def screen(film: Pixels, random: Random) -> Pixels:
    """Photograph a screen: aslant, with its frame, moire, glare and a fall of light."""
    tall, wide = 420, round(420 * random.uniform(1.0, 1.5))
    shown = cv2.resize(film, (300, 340), interpolation=cv2.INTER_AREA)
    frame = int(random.integers(8, 40))
    monitor = np.pad(shown, frame, constant_values=random.uniform(0, 0.12)).astype(np.float32)
    room = random.uniform(0.05, 0.7) + 0.15 * _smooth((tall, wide), 40, random)
    placed, seen = _aslant(monitor, (tall, wide), random)
    picture = np.where(seen, placed, room)
    picture = picture * (1 + random.uniform(0.04, 0.15) * _moire((tall, wide), random) * seen)
    return _film(cv2.GaussianBlur(picture * _light((tall, wide), random), (0, 0), 0.8))


def texture(random: Random) -> Pixels:
    """Draw something that is no radiograph: noise, waves, spots, shapes, a slope."""
    tall, wide = (int(random.integers(220, 420)) for _ in range(2))
    makers = (_cloud, _waves, _spots, _shapes, _slope)
    return _film(makers[int(random.integers(0, len(makers)))]((tall, wide), random))


def text_page(random: Random) -> Pixels:
    """Print a page of text, black on white or white on black, sometimes with a table or curve."""
    page = np.ones((int(random.integers(260, 420)), int(random.integers(220, 420))), np.float32)
    _lines(page, random, top=12, left=12, size=int(random.integers(10, 22)))
    if random.random() < 0.4:
        half = page.shape[0] // 2
        page[half:] = 1
        curve = _smooth((1, page.shape[1]), 12, random)[0] * 60 + half + 70
        points = np.stack([np.arange(page.shape[1]), curve], axis=1).astype(np.int32)
        cv2.polylines(page, [points[:, None]], False, 0.0, 2, cv2.LINE_AA)
    return _film(1 - page if random.random() < 0.3 else page)


def almost_blank(random: Random) -> Pixels:
    """Show next to nothing: weak noise, a slope of light, an empty cassette with a marker."""
    tall, wide = (int(random.integers(220, 420)) for _ in range(2))
    level = random.uniform(0.02, 0.98)
    noise = random.uniform(0.001, 0.02) * random.normal(0, 1, (tall, wide))
    picture = np.asarray(level + noise, np.float32)
    kind = random.integers(0, 3)
    if kind == 1:
        picture += 0.05 * _slope((tall, wide), random)
    if kind == 2:
        ink = 1.0 if level < 0.5 else 0.0
        _write(picture, str(random.choice(["R", "L", "AP", "TEST"])), 12, 10, 30, ink)
    return _film(picture)


def _film(grey: NDArray[np.floating]) -> Pixels:
    """Clip to [0, 1] and to the 8 bits of most files."""
    levels = np.rint(np.clip(grey, 0, 1) * 255)
    return np.asarray(levels / np.float32(255), np.float32)


def _smooth(shape: tuple[int, int], reach: float, random: Random) -> NDArray[np.float32]:
    """Return smooth noise of mean 0 and standard deviation 1."""
    noise = random.normal(0, 1, shape).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), reach)
    return np.asarray((soft - soft.mean()) / max(float(soft.std()), 1e-6), np.float32)


def _grid(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return x / shape[1] - 0.5, y / shape[0] - 0.5


def _cloud(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    """Noise whose spectrum falls as a power of frequency: clouds, stone, grass."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    frequency = np.maximum(np.hypot(rows * shape[0], columns * shape[1]), 1)
    phase = np.exp(2j * np.pi * random.random(frequency.shape))
    noise = np.fft.irfft2(phase * frequency ** -random.uniform(0.3, 2.2), shape)
    return np.asarray(0.5 + random.uniform(0.12, 0.3) * noise / noise.std(), np.float32)


def _waves(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    x, y = _grid(shape)
    total = np.zeros(shape, np.float32)
    for _ in range(int(random.integers(1, 4))):
        angle, cycles = random.uniform(0, np.pi), random.uniform(3, 40)
        bend = random.uniform(-8, 8) * x * y
        along = np.cos(angle) * x + np.sin(angle) * y
        total += np.sin(2 * np.pi * cycles * along + bend + random.uniform(0, 6))
    wave = np.sign(total) if random.random() < 0.3 else total
    return np.asarray(0.5 + 0.25 * wave, np.float32)


def _spots(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    picture = np.full(shape, random.uniform(0, 1), np.float32)
    for _ in range(int(random.integers(5, 120))):
        center = (int(random.integers(0, shape[1])), int(random.integers(0, shape[0])))
        radius = int(random.uniform(2, 0.12 * shape[0]))
        cv2.circle(picture, center, radius, random.uniform(0, 1), -1, cv2.LINE_AA)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), random.uniform(0.5, 5)), np.float32)


def _shapes(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    """A flat scene: polygons of different greys with a little texture."""
    picture = np.full(shape, random.uniform(0, 1), np.float32)
    for _ in range(int(random.integers(4, 25))):
        corners = random.uniform(0, 1, (int(random.integers(3, 7)), 1, 2)) * shape[::-1]
        cv2.fillPoly(picture, [corners.astype(np.int32)], random.uniform(0, 1), cv2.LINE_AA)
    return np.asarray(picture + 0.05 * _smooth(shape, 2, random), np.float32)


def _slope(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    x, y = _grid(shape)
    angle = random.uniform(0, 2 * np.pi)
    slope = 0.5 + np.cos(angle) * x + np.sin(angle) * y
    round_one = 1 - 1.6 * np.hypot(x - random.uniform(-0.2, 0.2), y)
    return np.asarray(slope if random.random() < 0.5 else round_one, np.float32)


def _moire(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    x, y = _grid(shape)
    angle, cycles = random.uniform(0, np.pi), random.uniform(15, 90)
    along = np.cos(angle) * x + np.sin(angle) * y + random.uniform(0, 0.4) * (x**2 + y**2)
    return np.asarray(np.sin(2 * np.pi * cycles * along), np.float32)


def _light(shape: tuple[int, int], random: Random) -> NDArray[np.float32]:
    """Fall of light towards the corners, and a spot of glare."""
    x, y = _grid(shape)
    fall = 1 - random.uniform(0.2, 0.9) * (x**2 + y**2)
    spot = np.exp(
        -((x - random.uniform(-0.4, 0.4)) ** 2 + (y - random.uniform(-0.4, 0.4)) ** 2)
        / random.uniform(0.005, 0.05)
    )
    return np.asarray(fall + random.uniform(0, 0.9) * spot, np.float32)


def _aslant(
    monitor: Pixels, shape: tuple[int, int], random: Random
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Lay a picture into a larger one in perspective; return it and where it lies."""
    tall, wide = monitor.shape
    source = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], np.float32)
    inner = random.uniform(0.05, 0.16)
    corners = np.array([[inner, inner], [1 - inner, inner], [1 - inner] * 2, [inner, 1 - inner]])
    corners = (corners + random.uniform(-0.06, 0.06, (4, 2))) * shape[::-1]
    matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    size = shape[::-1]
    placed = cv2.warpPerspective(monitor, matrix, size)
    seen = cv2.warpPerspective(np.ones_like(monitor), matrix, size) > 0.5
    return np.asarray(placed, np.float32), np.asarray(seen)


def _lines(page: Pixels, random: Random, *, top: int, left: int, size: int) -> None:
    """Fill a page with lines of words from ``top`` and ``left`` on."""
    for y in range(top, page.shape[0] - size, round(size * 1.4)):
        letters = list(string.ascii_lowercase)
        words = ["".join(random.choice(letters, int(n))) for n in random.integers(2, 10, 9)]
        room = max((page.shape[1] - left) // max(round(size * 0.5), 1) - 2, 3)
        _write(page, " ".join(words)[:room], left, y, size, 0.0)


def _write(picture: Pixels, text: str, x: int, y: int, size: int, ink: float) -> None:
    """Write one line of text in place."""
    layer = Image.new("L", picture.shape[::-1])
    ImageDraw.Draw(layer).text((x, y), text, 255, ImageFont.load_default(size))
    cover = np.asarray(layer, np.float32) / 255
    picture *= 1 - cover
    picture += cover * ink
