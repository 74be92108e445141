"""Every page in both themes and sizes: axe-core finds nothing, nothing is cut, nothing overlaps."""

from __future__ import annotations

import os
from typing import Any

import pytest

from hilum.core.labels import Appearance
from hilum.core.reading import appearance_words
from hilum.core.words import words

from .conftest import FRAMES, ROOT, csrf_of, open_film

expect = pytest.importorskip("playwright.sync_api").expect

AXE = ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("", "lists", "agreement", "monitoring", "calibration", "users", "log", "trash", "nowhere")
FILMS = ("frontal-opacities", "lateral", "damaged", "waiting", "uncalibrated")
Sizes = tuple[tuple[int, int], ...]
SIZES: Sizes = ((360, 640), (820, 1180), (1024, 700), (1366, 768))
LARGE = (3840, 2160)
"""A screen of radiology; the processor takes seconds to draw one."""
CUT = """() => {
  const said = (each) => `${each.tagName} ${each.className}: ${each.textContent.slice(0, 40)}`;
  const texts = "button, a, th, td, dt, dd, h1, h2, h3, p, .tag, label";
  const cut = [...document.querySelectorAll(texts)]
    .filter((each) => each.clientWidth && !each.closest(".unseen, .skip"))
    .filter((each) => each.scrollWidth > each.clientWidth + 1)
    .filter((each) => getComputedStyle(each).overflowX === "hidden")
    .map(said);
  const beyond = [...document.querySelectorAll(".cards tbody :is(th, td), .cards tbody td > *")]
    .filter((each) => innerWidth <= 600 && each.getBoundingClientRect().right > innerWidth)
    .map((each) => `beyond the edge: ${said(each)}`);
  const page = document.documentElement;
  const wide = page.scrollWidth > innerWidth ? ["the page scrolls sideways"] : [];
  const bar = [".bar > *", ".bar nav > *", ".bar-end > *"].map((which) =>
    [...document.querySelectorAll(which)].map((each) => each.getBoundingClientRect()));
  const over = bar.some((row) =>
    row.some((one, place) => place && one.left < row[place - 1].right - 1
      && one.top < row[place - 1].bottom - 1));
  return [...cut, ...beyond, ...wide, ...(over ? ["the bar overlaps"] : [])];
}"""


@pytest.mark.parametrize(
    ("theme", "language", "sizes"),
    [
        ("dark", "ru", SIZES[::3]),
        pytest.param("dark", "ru", SIZES[1:3], marks=pytest.mark.slow),
        pytest.param("light", "en", (*SIZES, LARGE), marks=pytest.mark.slow),
    ],
    ids=["dark-ru", "between", "light-en"],
)
def test_pages_are_whole_and_accessible(
    stand_in: str, page: Any, theme: str, language: str, sizes: Sizes
) -> None:
    start(page, stand_in, theme, language)
    for where in [*(f"#/{name}" for name in PAGES), *films(page, stand_in)]:
        page.goto("about:blank")
        page.goto(f"{stand_in}/?cpu{where}")
        page.locator("main h1").first.wait_for(state="attached")
        if "/film/" in where:
            page.locator(".headline").first.wait_for()
        expect(page.locator(".loading")).to_have_count(0)
        judge(page, where, sizes)


def test_panels_and_dialogs_are_accessible(stand_in: str, page: Any) -> None:
    start(page, stand_in, "dark", "en")
    page.goto(f"{stand_in}/?cpu{films(page, stand_in)[0]}")
    page.locator(".headline").first.wait_for()
    page.get_by_role("tab", name="Report").click()
    page.get_by_role("textbox", name="Findings").wait_for()
    judge(page, "report")
    page.get_by_role("tab", name="Film").click()
    page.get_by_text("Size, pixels").wait_for()
    judge(page, "film")
    page.locator("body").evaluate("body => document.activeElement.blur()")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    judge(page, "help")


def test_sign_in_page_is_accessible(locked: str, page: Any) -> None:
    for theme in ("light", "dark"):
        start(page, locked, theme, "en")
        page.get_by_role("button", name="Sign in").wait_for()
        judge(page, f"sign-in {theme}")


def test_every_control_of_the_room_can_be_reached_by_tab(stand_in: str, page: Any) -> None:
    start(page, stand_in, "light", "en")
    page.goto(f"{stand_in}/?cpu{films(page, stand_in)[0]}")
    page.locator(".headline").first.wait_for()
    page.evaluate(FRAMES)
    reached = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "() => document.activeElement.ariaLabel || document.activeElement.textContent"
            )
        )
    for name in ("Window", "Invert", "Length", "Reading", "Opacity: Lungs"):
        assert name in reached, sorted(str(each) for each in reached)


def start(page: Any, address: str, theme: str, language: str) -> None:
    page.goto(f"{address}/icon.svg")
    page.evaluate(
        "([theme, language]) => {localStorage['hilum-theme'] = theme;"
        " localStorage['hilum-language'] = language;}",
        [theme, language],
    )
    page.goto(f"{address}/")


def films(page: Any, address: str) -> list[str]:
    items = page.request.get(f"{address}/api/v1/studies").json()["items"]
    by_name = {item["name"].split(".")[0]: item["film_id"] for item in items}
    return [f"#/film/{by_name[name]}" for name in FILMS]


def judge(page: Any, where: str, sizes: Sizes = SIZES) -> None:
    """Nothing is cut at any size, and axe-core has nothing to say."""
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate(FRAMES)
        assert not page.evaluate(CUT), (where, width)
    if not AXE.is_file() and "CI" not in os.environ:
        pytest.skip("no axe-core: run tools/viewer_build.sh --install")
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    said = [
        (each["id"], [node["html"][:160] for node in each["nodes"]][:4])
        for each in found["violations"]
    ]
    assert not said, (where, said)


def test_who_has_a_token_only_is_not_said_to_sign_in(stand_in: str, page: Any) -> None:
    api = f"{stand_in}/api/v1"
    csrf = csrf_of(page, stand_in)
    script = {"name": "script", "role": "metrics"}
    assert page.request.post(f"{api}/users", data=script, headers=csrf).status == 201
    page.goto(f"{stand_in}/#/users")
    for name, state in (
        ("script", "by token only, no password"), ("bo", "may sign in"), ("local", "may sign in"),
    ):  # fmt: skip
        row = page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True))
        expect(row.locator("td").nth(1)).to_have_text(state)


def test_what_a_film_looks_like_is_never_said_to_be_an_infection(stand_in: str, page: Any) -> None:
    open_film(page, stand_in, "frontal-opacities", search="?cpu")
    looks = page.locator(".looks")
    chances = {each: 1 / len(Appearance) for each in Appearance}
    kept = [Appearance.TYPICAL, Appearance.NEGATIVE]
    english, russian = (appearance_words(chances, kept, words(each)) for each in ("en", "ru"))
    for said in (
        f"{english[0].upper()}{english[1:]}.",
        "Of films of each of the others, less than 10\u00a0% look like this",
        "which does not rule out an infection",
        "only a test tells whether the patient is infected",
    ):
        expect(looks).to_contain_text(said)
    expect(looks.locator("dd")).to_have_text(["50\u00a0%", "25\u00a0%", "4\u00a0%", "20\u00a0%"])
    page.get_by_label("Language").select_option("ru")
    expect(looks).to_contain_text(f"{russian[0].upper()}{russian[1:]}.")
    expect(looks).to_contain_text("заражён ли пациент, покажет только тест")
    open_film(page, stand_in, "frontal.dcm", search="?cpu")  # a reading that says none
    expect(page.locator(".where")).to_be_visible()
    expect(looks).to_have_count(0)
