"""One number has one last digit: on the screen, in both reports, in the draft and in the table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hilum.apps.cli import table
from hilum.apps.web.draft import draft
from hilum.core.details import Affected, Details, Scale, Severity, Side
from hilum.core.reading import Finding, Reading
from hilum.core.rounded import fixed, percent
from hilum.serve.marks import share
from hilum.serve.pdf import blocks
from hilum.serve.pdf.pen import Pen
from hilum.serve.reader import Examined, load_bundle
from hilum.serve.report import HtmlReport
from hilum.serve.said import said_of

from .conftest import open_film

VALUES = sorted({n / 40 for n in range(721)} | {n / 8 for n in range(145)} | {2.675, 1.005, 1.115})
"""Of severity scores: every half of a tenth from 0 to 18, and some that only look like halves."""
SHARES = sorted({n / 200 for n in range(201)} | {n / 40 for n in range(41)} | {0.0004, 0.9996})


def _scores() -> tuple[Severity, ...]:
    facts: dict[str, Any] = {"scale": Scale.BRIXIA, "coverage": 0.9, "maximum": 18}
    return tuple(Severity(value=v, low=v, high=v, **facts) for v in VALUES)


def _finding(probability: float) -> Finding:
    return Finding(
        label="covid-19", logit=0.0, score=probability, probability=probability, prevalence=0.425,
        calibration="platt", present=True, operating_point="balanced", threshold=0.0,
        in_lung_share=probability,
    )  # fmt: skip


def _lungs(opaque: float) -> tuple[Affected, ...]:
    return tuple(Affected(side=s, zone=None, share=opaque, kinds={}) for s in (None, *Side))


def _reading() -> Reading:
    return Reading(
        path="film.png", status="read", bundle="b", elapsed_ms=1.0,
        findings=tuple(_finding(each) for each in SHARES),
        details=Details(affected=_lungs(0.3), severity=_scores()),
    )  # fmt: skip


def _shown(page: Any, address: str, reading: Reading) -> tuple[list[str], list[str], list[str]]:
    """Severity, shares and probabilities as the page says them, in order."""
    told = reading.model_dump(mode="json")

    def answer(route: Any) -> None:
        body = route.fetch().json()
        body["reading"] = body["reading"] | {k: told[k] for k in ("findings", "details")}
        route.fulfill(json=body)

    page.route(re.compile(r"/films/\w+/reading"), answer)
    open_film(page, address, "frontal-opacities", search="?cpu")
    scores = page.locator(".severity b").all_inner_texts()
    chances = page.locator(".said .big").all_inner_texts()
    inside = page.locator(".result dl.facts dd:last-child").all_text_contents()
    return scores, chances, inside


def test_every_renderer_has_the_same_last_digit(
    stand_in: str, page: Any, small_bundle: Path
) -> None:
    reading = _reading()
    scores, chances, inside = _shown(page, stand_in, reading)
    assert scores == [fixed(each, 1) for each in VALUES]

    written = draft(reading, "en").findings
    assert re.findall(r"Brixia ([\d.]+) of 18", written) == scores
    percents = [percent(each) for each in SHARES]
    told = said_of(reading)
    assert [f"probability {each}".replace("\u00a0", " ") for each in chances] == [
        each.chance for each in told.findings
    ]
    assert (chances[0], chances[-1]) == ("<\u00a00.1\u00a0%", ">\u00a099.9\u00a0%")
    meant = page.locator(".headline .meaning").all_inner_texts()
    assert "of 1000 such films, fewer than one shows" in meant[0]
    assert "of 1000 such films, more than 999 show" in meant[-1]
    assert [each.replace("\u00a0", " ") for each in inside] == [f"{each} %" for each in percents]
    for each in SHARES:
        opaque = reading.model_copy(update={"details": Details(affected=_lungs(each))})
        assert {region.share for region in said_of(opaque).regions} == {share(each)}

    lines = "\n".join(table.lines_of(told))
    assert re.findall(r"Brixia \(research score\): ([\d.]+) \[", lines) == scores
    assert re.findall(r": [\d.]+ \[([\d.]+), ", lines) == scores

    assert _in_pdf(reading) == scores
    assert _in_html(reading, small_bundle) == scores


def test_one_lung_that_was_found_alone_is_not_called_both(stand_in: str, page: Any) -> None:
    lung = tuple(each for each in _lungs(0.3) if each.side is not Side.RIGHT)
    _shown(page, stand_in, _reading().model_copy(update={"details": Details(affected=lung)}))
    said = page.locator("section.where").inner_text().replace("\u00a0", " ")
    assert "30 % of the left lung is affected" in said
    assert "The right lung was not found on this film" in said


def test_what_one_lung_did_is_not_lost_in_both(stand_in: str, page: Any) -> None:
    """As in the draft of a report; the film that is opened first is the earlier one."""
    opened: list[str] = []
    films: list[tuple[float, float]] = []  # opaque share of the right and the left lung

    def answer(route: Any) -> None:
        opened.append(route.request.url.split("/films/")[1].split("/")[0])
        right, left = films[opened[-1] != opened[0]]
        sides = {None: (right + left) / 2, Side.RIGHT: right, Side.LEFT: left}
        lungs = [Affected(side=s, zone=None, share=each, kinds={}) for s, each in sides.items()]
        details = Details(affected=tuple(lungs)).model_dump(mode="json")
        body = route.fetch().json()
        body["reading"] = body["reading"] | {"details": details}
        route.fulfill(json=body)

    page.route(re.compile(r"/films/\w+/reading"), answer)
    new = "new opacity, not seen on the earlier film, 30 % on the later one."
    both = "both lungs is opaque"
    for then, now, lines in (
        ((0.3, 0), (0, 0.3), ["Right lung: decreased, from 30 % to 0 %.", f"Left lung: {new}"]),
        ((0.04, 0), (0.1, 0), ["Right lung: no clear change, 4 % and 10 %.",
                               "Left lung: no definite opacity on either film."]),
        ((0.1, 0.1), (0.3, 0.3), [f"On the later film 20 percentage points more of {both}."]),
    ):  # fmt: skip
        films[:] = then, now
        page.goto("about:blank")
        open_film(page, stand_in, "frontal-opacities", search="?cpu")
        page.locator(".strip-film", has_text="2025-03-02").click()
        change = page.get_by_role("region", name="Change")
        change.wait_for()
        said = [each.replace("\u00a0", " ") for each in change.locator("p").all_inner_texts()]
        assert [each for each in said if not each.startswith("Each film is measured")] == lines


class _Words(Pen):
    """A pen that remembers what it was told to write."""

    def __init__(self) -> None:
        super().__init__(None, 0)
        self.said: list[str] = []

    def text(self, x: float, y: float, text: object, size: float, **how: Any) -> None:
        self.said.append(str(text))


def _in_pdf(reading: Reading) -> list[str]:
    pen = _Words()
    blocks.severity(pen, 0, 0, 200, said_of(reading).severity)
    return [each for each in pen.said if re.fullmatch(r"\d+\.\d", each)]


def _in_html(reading: Reading, bundle: Path) -> list[str]:
    report = HtmlReport(load_bundle(bundle))
    report.add(Examined(reading))
    return re.findall(r"<span>Brixia</span><b>([\d.]+)</b>", report.html())
