"""On any screen (Windows scaling, browser zoom) the film is measured where it is seen.

Where the phantom's two squares are is read from a picture of the screen; the places of everything
else follow from them by arithmetic of this test, not of the viewer.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pytest
from numpy.typing import NDArray

from .conftest import FRAMES, SCREEN, decoded, eventually, new_page, open_film, takes_keys
from .test_overlay import extent, read_back, squares
from .test_work import magnifies

SCREENS = ((1366, 768, 1.5), (1366, 768, 2), (1100, 700, 2), (1366, 768, 1.25), (1366, 768, 1))
"""Width and height in CSS pixels, and the ratio: one after the other."""
SESSIONS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
RENDERERS = ["cpu", pytest.param("webgl", marks=pytest.mark.slow)]
EVERY = [
    pytest.param(ratio, renderer, marks=() if tried else pytest.mark.slow)
    for ratio, renderer, tried in [
        (1, "cpu", True),
        (1, "webgl", False),
        (1.25, "cpu", False),
        (1.25, "webgl", True),
        (2, "cpu", True),
        (2, "webgl", False),
    ]
]
"""Pixels of the screen to one of the page, what draws: each is tried, each pair among the slow."""
UPRIGHT = ((1, 0), (0, 1))
POSES: dict[str, tuple[list[str], tuple[tuple[int, int], tuple[int, int]]]] = {
    "as opened": ([], UPRIGHT),
    "zoomed and moved": (["-", "ArrowRight", "ArrowDown"], UPRIGHT),
    "turned, flipped": (["r", "x"], ((0, 1), (1, 0))),
}
"""Keys, and how the film then lies."""
SQUARES = (((100, 80), (220, 200)), ((300, 240), (360, 340)))
"""Upper left and lower right corner of each, (column, row) of the phantom."""
VISIBLE = "(how) => (document.querySelector('canvas.overlay').style.visibility = how)"
LINE = 1.75
"""Width of a box's line, half of it outside; like all lengths here in CSS pixels."""
NEAR = 1.6
"""A smoothed edge is found at its half, which may fall on either of two pixels."""


class Seen(NamedTuple):
    """From film pixels to CSS pixels of the page, as the screen shows the squares."""

    matrix: NDArray[np.float64]

    def at(self, column: float, row: float) -> tuple[float, float]:
        x, y = self.matrix @ (column, row, 1)
        return float(x), float(y)


@pytest.fixture
def screen(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    with new_page(chromium, viewport=SCREEN, device_scale_factor=request.param) as opened:
        yield opened


@pytest.mark.parametrize(("screen", "renderer"), EVERY, indirect=["screen"])
def test_all_is_measured_where_it_is_seen(stand_in: str, screen: Any, renderer: str) -> None:
    open_phantom(screen, stand_in, renderer)
    for keys, pose in POSES.values():
        for key in ["Backspace", *keys]:
            screen.keyboard.press(key)
        seen = overlays_lie_on(screen, pose)
        measures(screen, seen)
        probes(screen, seen)
    screen.keyboard.press("Backspace")
    keeps_a_mark(screen, stand_in, where(screen))


@pytest.mark.parametrize("renderer", RENDERERS)
def test_a_screen_that_changes_while_a_film_is_open(
    stand_in: str, chromium: Any, renderer: str
) -> None:
    """The window goes to another screen, the page is zoomed, the window changes its size."""
    with new_page(chromium, no_viewport=True) as page:
        become(page, 1366, 768, 1)
        open_phantom(page, stand_in, renderer)
        before = where(page)
        for width, height, ratio in SCREENS:
            become(page, width, height, ratio)
            seen = overlays_lie_on(page)
            measures(page, seen)
            if width == 1366:
                corner = np.subtract(seen.at(0, 0), before.at(0, 0))
                assert np.abs(corner).max() < NEAR, "the film stays in its place"


def become(page: Any, width: int, height: int, ratio: float) -> None:
    """Change the screen under a page, as another monitor or the browser's zoom does."""
    size = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
    ask(page, "Emulation.setDeviceMetricsOverride", **size)
    page.wait_for_function(f"devicePixelRatio === {ratio} && innerWidth === {width}")


def ask(page: Any, method: str, **params: Any) -> Any:
    """Ask Chromium itself: Playwright's own pictures put the ratio back."""
    if page not in SESSIONS:
        SESSIONS[page] = page.context.new_cdp_session(page)
    return SESSIONS[page].send(method, params)


@pytest.mark.parametrize(("screen", "renderer"), EVERY, indirect=["screen"])
def test_what_is_under_the_pointer_stays_there(stand_in: str, screen: Any, renderer: str) -> None:
    """The wheel zooms around the pointer and by as much on every screen; a drag moves with it."""
    open_phantom(screen, stand_in, renderer)
    before = where(screen)
    x, y = before.at(250, 200)
    screen.mouse.move(x, y)
    screen.mouse.wheel(0, 100)
    after = eventually(
        lambda: overlays_lie_on(screen), lambda seen: not np.allclose(seen.matrix, before.matrix)
    )
    assert after.matrix[0, 0] / before.matrix[0, 0] == pytest.approx(0.95, abs=0.04)
    assert after.at(250, 200) == pytest.approx((x, y), abs=3)
    screen.keyboard.press("p")
    drag(screen, (x, y), (x + 60, y - 40))
    assert overlays_lie_on(screen).at(250, 200) == pytest.approx((x + 60, y - 40), abs=3)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_magnifier_on_a_sharp_screen(stand_in: str, chromium: Any, renderer: str) -> None:
    with new_page(chromium, viewport=SCREEN, device_scale_factor=1.5) as page:
        open_film(page, stand_in, "frontal-opacities", search=f"?{renderer}")
        page.keyboard.press("o")
        magnifies(page, 1.5)


def open_phantom(page: Any, address: str, renderer: str) -> None:
    open_film(page, address, "phantom", search=f"?{renderer}")
    for name, on in (("Lungs", False), ("Opacities", False), ("Heatmap", True), ("Boxes", True)):
        page.get_by_role("switch", name=name, exact=True).set_checked(on)
    page.locator(".legend").wait_for()
    page.locator("body").evaluate("body => document.activeElement.blur()")


def where(page: Any, pose: Any = UPRIGHT) -> Seen:
    """Where the film is, by its squares on a picture of the screen without overlays."""
    page.evaluate(VISIBLE, "hidden")
    page.evaluate(FRAMES)
    frame = page.locator(".film").bounding_box()
    taken = ask(page, "Page.captureScreenshot", clip={**frame, "scale": 1})
    film = decoded(base64.b64decode(taken["data"]))
    page.evaluate(VISIBLE, "visible")
    css_px = frame["width"] / film.shape[1]
    drawn = [np.reshape(extent(mask), (2, 2)) * css_px for mask in squares(film)]
    across, down = (np.concatenate([each[axis] for each in drawn]) for axis in (1, 0))
    there = np.concatenate([np.sort(np.asarray(each) @ np.transpose(pose), 0) for each in SQUARES])
    matrix = np.zeros((2, 3))
    for axis, (edges, start) in enumerate(((across, frame["x"]), (down, frame["y"]))):
        scale, shift = np.polyfit(there[:, axis], edges + start, 1)
        assert scale > 0
        matrix[axis] = *(scale * np.asarray(pose[axis])), shift
    return Seen(matrix)


def overlays_lie_on(page: Any, pose: Any = UPRIGHT) -> Seen:
    """The heatmap covers the first square, the box the second; returns where the film is."""
    seen = where(page, pose)
    film, over = read_back(page)
    assert film.shape[:2] == over.shape[:2], "both canvases have the pixels of the screen"
    frame = page.locator(".film").bounding_box()
    assert film.shape[1] / frame["width"] == pytest.approx(
        page.evaluate("devicePixelRatio"), abs=0.01
    )
    css_px = frame["width"] / over.shape[1]
    heat = (over[..., 2] > over[..., 0]) & (over[..., 3] > 0.35 * 255)
    line = (over[..., 0] > 150) & (over[..., 3] > 100)
    for mask, square, outside in zip((heat, line), SQUARES, (0, LINE / 2), strict=True):
        found = np.reshape(extent(mask), (2, 2))[::-1].T * css_px + (frame["x"], frame["y"])
        found += ((outside,), (-outside,))
        there = np.sort([seen.at(*corner) for corner in square], 0)
        assert np.abs(found - there).max() <= NEAR, (found, there)
    return seen


def measures(page: Any, seen: Seen) -> None:
    """300 columns of 0.25 mm are 75 mm, drawn by hand from where they are seen."""
    page.keyboard.press("l")
    drag(page, seen.at(100, 220), seen.at(400, 220))
    page.evaluate(FRAMES)
    (said,) = page.locator(".svg-layer text").all_text_contents()
    number, unit = said.split()[:2]
    assert unit == "mm"
    assert float(number) == pytest.approx(75, rel=0.005)
    page.keyboard.press("Delete")
    page.keyboard.press("w")


def probes(page: Any, seen: Seen) -> None:
    """The ramp of the phantom says which column it is: its value is 1900 + the column."""
    page.mouse.move(*seen.at(200.5, 370.5))
    page.evaluate(FRAMES)
    said = page.locator(".corners .bottom.left").inner_text().replace(",", "")
    column, row, value = map(int, re.findall(r"\d+", said)[:3])
    assert (column, row) == (pytest.approx(200, abs=3), pytest.approx(370, abs=3))
    assert value == 1900 + column


def keeps_a_mark(page: Any, address: str, seen: Seen) -> None:
    """A mark drawn around the second square is stored around the second square."""
    page.keyboard.press("b")
    drag(page, seen.at(300, 240), seen.at(360, 340))
    page.get_by_text("Marks on the film: 1").wait_for()
    takes_keys(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Verdict saved.").wait_for()
    film = page.url.split("/film/")[1]
    kept = page.request.get(f"{address}/api/v1/films/{film}/verdicts").json()["items"]
    assert np.allclose(kept[0]["marks"][0]["points"], SQUARES[1], atol=3), kept[0]["marks"]


def drag(page: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=4)
    page.mouse.up()
