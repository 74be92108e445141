"""Overlays sit on the anatomy to the pixel, under any zoom, rotation and flip.

The phantom has two bright squares; the stub lays a heatmap on the first, a box on the second.
Where the squares are is read back from the canvas that the film is drawn on, where the overlays
are from the canvas above it.
"""

from __future__ import annotations

import base64
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from .conftest import FRAMES, open_film

Mask = NDArray[np.bool_]
Picture = NDArray[np.uint8]

POSES = {
    "as opened": [],
    "zoomed and moved": ["+", "+", "+", "ArrowRight", "ArrowDown"],
    "turned": ["r"],
    "turned, then flipped": ["r", "x"],
    "upside down": ["r", "r", "-"],
    "flipped left-right": ["x"],
    "flipped up-down, zoomed": ["y", "+", "+"],
    "turned, flipped, zoomed, moved": ["Shift+R", "x", "+", "+", "ArrowLeft", "ArrowUp"],
}
HALF_PIXEL = 0.6
"""Of the screen: a smoothed edge is found at its half, which may fall on either of two pixels."""


@pytest.mark.parametrize("renderer", ["?webgl", "?cpu"], ids=["webgl", "processor"])
def test_heatmap_and_box_lie_on_their_squares(stand_in: str, page: Any, renderer: str) -> None:
    open_film(page, stand_in, "phantom", search=renderer)
    for name, on in (("Lungs", False), ("Opacities", False), ("Heatmap", True), ("Boxes", True)):
        page.get_by_role("switch", name=name, exact=True).set_checked(on)
    page.locator(".legend").wait_for()  # the heatmap is fetched when it is switched on
    page.locator("body").evaluate("body => document.activeElement.blur()")
    places = {}
    for pose, keys in POSES.items():
        for key in ["Backspace", *keys]:
            page.keyboard.press(key)
        film, over = read_back(page)
        first, second = squares(film)
        places[pose] = extent(first)
        heat = (over[..., 2] > over[..., 0]) & (over[..., 3] > 0.35 * 255)
        line = (over[..., 0] > 150) & (over[..., 3] > 100)
        off = distance(extent(heat), extent(first), film.shape)
        assert off <= 1, (pose, extent(heat), extent(first))
        assert overlap(heat, first) > 0.97, pose
        # a line of 1.75 pixels lies half outside the edge that it follows
        top, bottom, left, right = extent(line)
        middle = (top + 0.9, bottom - 0.9, left + 0.9, right - 0.9)
        assert distance(middle, extent(second), film.shape) <= 1 + HALF_PIXEL, (pose, middle)
    for before, after in (
        ("as opened", "flipped left-right"),
        ("turned", "turned, then flipped"),
    ):
        top, bottom, left, right = places[before]
        mirrored = (top, bottom, film.shape[1] - right, film.shape[1] - left)
        assert distance(places[after], mirrored, film.shape) <= 1, after
    assert len(set(places.values())) == len(POSES), places


def read_back(page: Any) -> tuple[Picture, Picture]:
    """The film and its overlays as drawn, BGR and BGRA; their canvases cover each other."""
    page.evaluate(FRAMES)
    film, over, same = page.evaluate(
        """() => {
          const film = document.querySelector(".cornerstone-canvas");
          const over = document.querySelector("canvas.overlay");
          const [a, b] = [film, over].map((each) => JSON.stringify(each.getBoundingClientRect()));
          return [film.toDataURL(), over.toDataURL(), a === b];
        }"""
    )
    assert same
    return decoded(film, cv2.IMREAD_COLOR), decoded(over, cv2.IMREAD_UNCHANGED)


def decoded(address: str, flags: int) -> Picture:
    content = np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8)
    picture = cv2.imdecode(content, flags)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def squares(film: Picture) -> tuple[Mask, Mask]:
    """The larger and the smaller square: at 73 % of the window, the ramp stays below 54 %."""
    _, marks, stats, _ = cv2.connectedComponentsWithStats((film.min(axis=2) > 150).astype(np.uint8))
    largest = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])
    return marks == largest[0], marks == largest[1]


def overlap(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


def extent(mask: Mask) -> tuple[float, ...]:
    """(top, bottom, left, right), the last row and column not included."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(rows[0]), float(rows[-1]) + 1, float(columns[0]), float(columns[-1]) + 1


def distance(one: tuple[float, ...], other: tuple[float, ...], shape: tuple[int, ...]) -> float:
    """The largest distance of two sides, in pixels of the screen; sides beyond it do not count."""
    ends = (0, shape[0], 0, shape[1])
    inside = [i for i in range(4) if min(abs(other[i] - ends[i]), abs(one[i] - ends[i])) > 2]
    return max((abs(one[i] - other[i]) for i in inside), default=0.0)
