"""The browser against `hilum serve` itself: films in, readings out, verdict, report, sign-in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hilum.serve.samples import ROOT as SAMPLES

from .conftest import PATIENCE_MS, settled

pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
expect = pytest.importorskip("playwright.sync_api").expect


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """The link of a server of its own that works once, its store empty."""
    log = tmp_path / "serve.log"
    command = [
        sys.executable,
        "-m",
        "hilum",
        "serve",
        "--data",
        str(tmp_path / "data"),
        "--port",
        "0",
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while not (found := re.search(r"http://\S+/open\?key=\S+", log.read_text())):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[0]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_from_upload_to_report(link: str, page: Any) -> None:
    page.goto(link)
    page.get_by_text("No films yet").wait_for()
    page.locator("input[type=file]").set_input_files(
        [str(SAMPLES / name) for name in ("frontal.dcm", "frontal-opacities.png", "lateral.png")]
    )
    expect(page.locator(".upload-accepted")).to_have_count(3, timeout=PATIENCE_MS)
    # what the worker does appears by itself
    expect(page.locator(".studies .status-read")).to_have_count(2, timeout=PATIENCE_MS)
    expect(page.locator(".studies .status-refused")).to_have_count(1, timeout=PATIENCE_MS)

    page.get_by_role("link", name="lateral.png").last.click()
    page.get_by_text("Not read: refused").wait_for()
    assert "%" not in page.locator(".result").inner_text()

    page.keyboard.press("g")
    page.locator(".studies").get_by_role("link", name="frontal.dcm").click()
    page.locator(".corners").first.wait_for(state="attached")
    page.locator(".said .big").first.wait_for()
    before = settled(page)
    page.get_by_role("switch", name="Heatmap").check()
    page.locator(".legend").wait_for()
    assert (settled(page) != before).any()

    page.locator("body").evaluate("body => document.activeElement.blur()")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("Verdict saved.").wait_for()
    page.locator(".past").get_by_text("Agree").first.wait_for()

    page.get_by_role("tab", name="Report").click()
    page.get_by_role("textbox", name="Impression").fill("Seen by a person.")
    page.get_by_role("button", name="Save a version").click()
    page.get_by_text("Version 1 saved.").wait_for()
    for name, kind in (("PDF", "application/pdf"), ("HTML", "text/html")):
        address = page.get_by_role("link", name=name, exact=True).get_attribute("href")
        answer = page.request.get(link.split("/open")[0] + address)
        assert answer.ok
        assert answer.headers["content-type"].startswith(kind)

    page.get_by_role("link", name="Log").click()
    page.get_by_role("button", name="Verify the chain").click()
    page.get_by_text("whole:").wait_for()


def test_blind_first_read_and_the_link_that_works_once(link: str, page: Any) -> None:
    page.goto(link)
    page.get_by_role("switch", name="Blind first read").check()
    page.locator("input[type=file]").set_input_files(str(SAMPLES / "frontal-opacities.png"))
    page.locator(".studies .tag.blind").wait_for()
    page.locator(".studies").get_by_role("link", name="frontal-opacities.png").click()
    page.get_by_text("Blind: say what you see").wait_for()
    assert "%" not in page.locator(".right").inner_text()
    for group in page.locator("fieldset.calls").all():
        group.get_by_role("radio", name="Present").check()
    page.get_by_role("button", name="Save and show the machine's reading").click()
    page.locator(".said .big").first.wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("'hilum serve' shows").wait_for()
    page.goto(link)  # what was used once opens no second session
    page.get_by_text("'hilum serve' shows").wait_for()
