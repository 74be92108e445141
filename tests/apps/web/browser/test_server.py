"""The browser against `hilum serve` itself: films in, readings out, verdict, report, sign-in."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from hilum.serve.samples import ROOT as SAMPLES

from .conftest import PASSWORD, beside, eventually, settled, takes_keys

pytest.importorskip("fastapi", reason="the extra 'web' is not installed")
expect = pytest.importorskip("playwright.sync_api").expect
oidc = beside("test_oidc.py")
serving = beside("serving.py")
make_link = serving.make_link
CALLS = {"1": "present", "2": "absent", "3": "unsure"}


@pytest.fixture
def link(tmp_path: Path) -> Iterator[str]:
    """The link of a server of its own that works once, its store empty."""
    with served(tmp_path, 0):
        yield make_link(tmp_path / "data")


@contextmanager
def served(folder: Path, port: int) -> Iterator[None]:
    """Run ``hilum serve`` on a folder's ``data``."""
    log = folder / "serve.log"
    data = str(folder / "data")
    command = [sys.executable, "-m", "hilum", "serve", "--home", data, "--port", str(port)]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    try:
        deadline = time.monotonic() + 90
        while "serves at" not in log.read_text():
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_from_upload_to_report(link: str, page: Any) -> None:
    page.goto(link)
    page.get_by_text("No films yet").wait_for()
    page.locator("input[type=file]").set_input_files(
        [str(SAMPLES / name) for name in ("frontal.dcm", "frontal-opacities.png", "lateral.png")]
    )
    expect(page.locator(".upload-accepted")).to_have_count(3)
    # what the worker does appears by itself
    expect(page.locator(".studies .status-read")).to_have_count(2)
    expect(page.locator(".studies .status-refused")).to_have_count(1)

    page.get_by_role("link", name="lateral.png").last.click()
    page.get_by_text("Not analyzed: refused").wait_for()
    assert "%" not in page.locator(".result").inner_text()

    page.keyboard.press("g")
    page.locator(".studies").get_by_role("link", name="frontal.dcm").click()
    page.locator(".corners").first.wait_for(state="attached")
    page.locator(".said .big").first.wait_for()
    before = settled(page)
    page.get_by_role("switch", name="Heatmap").check()
    page.locator(".legend").wait_for()
    eventually(lambda: settled(page), lambda film: bool((film != before).any()))

    page.locator("body").evaluate("body => document.activeElement.blur()")
    here = page.url
    takes_keys(page)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator(".last")).to_contain_text("Present")
    page.goto(here)  # the next film may have come
    page.locator(".identity", has_text="frontal.dcm").wait_for()
    page.get_by_role("tab", name="Verdicts").click()
    page.locator(".past").get_by_text("Present").first.wait_for()

    page.get_by_role("tab", name="Report").click()
    page.get_by_role("textbox", name="Impression").fill("Seen by a person.")
    page.get_by_role("button", name="Save as a draft").click()
    page.get_by_text("Draft saved as version 1.").wait_for()
    with page.expect_download() as taken:
        page.get_by_role("region", name="For the archive").get_by_role("button", name="SR").click()
    assert dcmread(taken.value.path()).Modality == "SR"
    for name, kind in (("PDF", "application/pdf"), ("HTML", "text/html")):
        address = page.get_by_role("link", name=name, exact=True).get_attribute("href")
        answer = page.request.get(link.split("/open")[0] + address)
        assert answer.ok
        assert answer.headers["content-type"].startswith(kind)

    page.get_by_role("link", name="Log").click()
    page.get_by_role("button", name="Verify the chain").click()
    page.get_by_text("whole:").wait_for()


@pytest.mark.slow
def test_sixty_films_read_judged_and_reported_by_keyboard(tmp_path: Path, page: Any) -> None:
    """DICOM films, read by the built-in bundle; the list has pages of 50, and one is refused."""
    data, many = tmp_path / "data", 60
    token = serving.make_token(data)
    server = serving.Served(data, None)
    server.start()
    pressed: dict[tuple[str, str], str] = {}
    try:
        with server.client(token) as client:
            new = {"name": "bo", "role": "reviewer", "password": PASSWORD}
            client.post("/users", json=new).raise_for_status()
            for number in range(many):
                client.post("/films", files={"files": _numbered(number)}).raise_for_status()
            busy = lambda counts: counts["queued"] + counts["reading"]  # noqa: E731
            while busy(client.get("/studies").json()["counts"]):
                time.sleep(1)
            listed = [client.get("/studies?limit=50").json()]
            listed.append(client.get(f"/studies?limit=50&cursor={listed[0]['next']}").json())
            films = [each["film_id"] for part in listed for each in part["items"]]
            assert listed[0]["counts"]["refused"] == 1
        began, keys = time.monotonic(), _Keys(page)
        page.goto(f"{server.base}/?cpu")
        page.get_by_label("Name").wait_for()
        keys.type("bo")
        keys.press("Tab")
        keys.type(PASSWORD)
        keys.press("Enter")
        page.locator(".studies tbody tr").first.wait_for()
        keys.press("Enter")
        for number, film in enumerate(films, start=1):
            page.wait_for_url(lambda url, film=film: film in url)
            expect(page.locator(".round strong")).to_have_text(f"{number} of {many}")
            takes_keys(page)
            keys.press("t")
            expect(page.get_by_role("textbox", name="Indication")).to_be_focused()
            keys.type(f"Film {number} of the day.")
            keys.press("Control+Enter")
            page.locator(".versions li").wait_for()
            _judge(page, keys, film, number, pressed)
            if number == 30:  # a slip is put right
                page.wait_for_url(lambda url, film=film: film not in url)
                takes_keys(page)
                keys.press("u")
                page.wait_for_url(lambda url, film=film: film in url)
                takes_keys(page)
                _judge(page, keys, film, number + 1, pressed)
        page.get_by_text(f"End of the list; judged by you: {many} of {many}.").wait_for()
        took = time.monotonic() - began
        print(f"{many} films, {keys.count} keys, {took:.0f} s")  # noqa: T201 - shown by pytest -s
    finally:
        server.stop()
    table = tmp_path / "films.csv"
    _hilum("export", "--home", str(data), "-o", str(table))
    with table.open(newline="", encoding="utf-8") as rows:
        kept = {
            (row["film_id"], name.removesuffix("_verdict")): said
            for row in csv.DictReader(rows)
            for name, said in row.items()
            if name.endswith("_verdict") and not name.endswith("_blind_verdict")
        }
    assert kept == pressed
    assert {film for film, _ in kept} == set(films)
    assert "whole" in _hilum("store", "verify", "--home", str(data))
    said = _hilum("store", "log", "--json", "--home", str(data), "--after", "0").splitlines()
    actions = [json.loads(line)["action"] for line in said]
    assert actions.count("report") == many
    assert actions.count("verdict-undone") == 2  # one a finding


class _Keys:
    """The keyboard, and how often one of its keys was pressed."""

    def __init__(self, page: Any) -> None:
        self._keyboard, self.count = page.keyboard, 0

    def press(self, key: str) -> None:
        self._keyboard.press(key)
        self.count += 1

    def type(self, text: str) -> None:
        self._keyboard.type(text)
        self.count += len(text)


def _judge(
    page: Any, keys: _Keys, film: str, shift: int, pressed: dict[tuple[str, str], str]
) -> None:
    """Answer every finding of a film by one key, and write down what was pressed."""
    groups = page.locator("fieldset.calls")
    for i, finding in enumerate(groups.evaluate_all("all => all.map(e => e.dataset.finding)")):
        key = "123"[(shift + i) % 3]
        keys.press(key)
        pressed[film, finding] = CALLS[key]


def _numbered(number: int) -> tuple[str, bytes]:
    """The built-in film as another patient's, with noise of its own; one is blank."""
    film = dcmread(SAMPLES / "frontal.dcm")
    noise = np.random.default_rng(number).integers(-6, 7, film.pixel_array.shape)
    pixels = np.clip(film.pixel_array.astype(int) + noise, 0, 4095).astype(np.uint16)
    pixels = np.full_like(pixels, 2000) if number == 40 else pixels
    film.set_pixel_data(pixels, film.PhotometricInterpretation, 12)
    film.PatientID = f"P-{number:03d}"
    film.StudyInstanceUID, film.SOPInstanceUID = generate_uid(), generate_uid()
    film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
    out = io.BytesIO()
    film.save_as(out)
    return f"film{number}.dcm", out.getvalue()


def _hilum(*words: str) -> str:
    command = [sys.executable, "-m", "hilum", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_blind_first_read_and_the_link_that_works_once(link: str, page: Any) -> None:
    page.goto(link)
    page.get_by_role("switch", name="Blind first read").check()
    page.locator("input[type=file]").set_input_files(str(SAMPLES / "frontal-opacities.png"))
    page.locator(".studies .tag.blind").wait_for()
    page.locator(".studies").get_by_role("link", name="File name hidden").click()
    page.get_by_text("Blind: say what you see").wait_for()
    assert "%" not in page.locator(".right").inner_text()
    for group in page.locator("fieldset.calls").all():
        group.get_by_role("radio", name="Present").check()
    page.get_by_role("button", name="Save and show the machine's reading").click()
    page.locator(".said .big").first.wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_text("run 'hilum user link'").wait_for()
    page.goto(link)  # what was used once opens no second session
    page.get_by_text("run 'hilum user link'").wait_for()


def test_a_folder_dropped_anywhere_is_read_and_comes_out_as_a_table(
    link: str, page: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "from the archive"
    (folder / "deeper" / "still").mkdir(parents=True)
    (folder / ".hidden").write_text("passed over")
    shutil.copy(SAMPLES / "frontal.dcm", folder / "one.dcm")
    shutil.copy(SAMPLES / "lateral.png", folder / "deeper" / "still" / "two.png")
    (folder / "deeper" / "notes.txt").write_text("no film")
    page.goto(link)
    page.get_by_role("link", name="Log").click()
    page.get_by_role("button", name="Verify the chain").wait_for()
    drop(page, [folder])
    panel = page.locator(".uploads")
    panel.get_by_text("Films sent 3 / 3").wait_for()
    expect(panel.locator(".upload-accepted")).to_have_count(2)
    expect(panel.locator(".upload-rejected")).to_contain_text("expected a film")
    expect(page.locator(".drop-hint")).to_have_count(0)
    page.get_by_role("link", name="Worklist").click()
    page.locator(".studies").get_by_role("link", name="two.png").wait_for()
    for status in ("read", "refused"):
        page.locator(f".studies .status-{status}").wait_for()
    page.get_by_role("button", name="Export").click()
    page.get_by_role("switch", name="With patients' ids and names of files").check()
    with page.expect_download() as taken:
        page.get_by_role("button", name="Save the table").click()
    with Path(taken.value.path()).open(newline="", encoding="utf-8") as rows:
        table = {row["address"]: row for row in csv.DictReader(rows)}
    assert {name: row["status"] for name, row in table.items()} == {
        "one.dcm": "read", "two.png": "refused",
    }  # fmt: skip
    assert 0 < float(table["one.dcm"]["covid-19_probability"]) < 1
    assert (table["two.png"]["refusal"], table["two.png"]["covid-19_probability"]) == (
        "lateral",
        "",
    )


def drop(page: Any, paths: list[Path]) -> None:
    """Drag files and folders over the page and let go, as from the file manager."""
    client = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver"):
        client.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 300, "data": data})
    page.get_by_text("Drop films, folders or ZIP files").wait_for(state="attached")
    client.send("Input.dispatchDragEvent", {"type": "drop", "x": 400, "y": 300, "data": data})


def test_the_administrators_pages_and_the_reference_standard(link: str, page: Any) -> None:
    page.goto(link)
    page.locator("input[type=file]").set_input_files(str(SAMPLES / "frontal.png"))
    page.locator(".studies .status-read").wait_for()
    page.locator(".studies").get_by_role("link", name="frontal.png").click()
    page.get_by_role("tab", name="Verdicts").click()
    page.locator("summary", has_text="Reference standard").click()
    known = page.locator(".reference")
    known.get_by_label("Known from").select_option("radiologist")
    known.get_by_label("COVID-19").select_option("1")
    film = page.url.split("/film/")[1]
    stated = f"{link.split('/open')[0]}/api/v1/films/{film}/reference"
    eventually(
        lambda: page.request.get(stated).json()["items"],
        lambda items: [(each["value"], each["standard"]) for each in items] == [(1, "radiologist")],
    )
    page.locator(".calls").first.get_by_role("radio", name="Present", exact=True).check()
    page.get_by_role("button", name="Save and go on").click()
    page.get_by_text("Verdict saved.").wait_for()

    page.get_by_role("link", name="Agreement").click()
    page.get_by_text("Films: 1").first.wait_for()
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Reader study").click()
    table = Path(downloaded.value.path()).read_text(encoding="utf-8").splitlines()
    assert downloaded.value.suggested_filename == "reader-study.csv"
    assert len(table) == 2
    assert "covid-19" in table[1]

    page.get_by_role("link", name="Users").click()
    new = page.locator("form", has=page.get_by_label("Password"))
    new.get_by_label("Name").fill("local")  # there is one
    new.get_by_label("Password").fill("correct horse battery")
    new.get_by_role("button", name="Add").click()
    page.locator(".note.bad").wait_for()
    expect(new.get_by_label("Password")).to_have_value("correct horse battery")  # still there
    new.get_by_label("Name").fill("bo")
    new.get_by_role("button", name="Add").click()
    bo = page.locator("tr", has=page.get_by_role("rowheader", name="bo"))
    bo.get_by_role("combobox").select_option("reviewer")
    bo.get_by_role("button", name="New token").click()
    token = page.locator("code.token").inner_text()
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    mine = {"Authorization": f"Bearer {token}"}
    me = f"{link.split('/open')[0]}/api/v1/me"
    outside = page.context.browser.new_context()
    assert outside.request.get(me, headers=mine).json()["role"] == "reviewer"
    page.locator(".versions").get_by_role("button", name="Delete").click()
    page.get_by_text("Token deleted.").wait_for()
    assert outside.request.get(me, headers=mine).status == 401
    outside.close()
    bo.get_by_role("button", name="Block").click()
    bo.get_by_text("blocked").wait_for()

    page.get_by_role("link", name="Log").click()
    page.get_by_role("button", name="Verify the chain").click()
    page.get_by_text("whole:").wait_for()
    expect(page.locator("table.log")).to_contain_text("verdict")


def test_sign_in_at_the_hospital(tmp_path: Path, page: Any) -> None:
    """The issuer is at "localhost", another site than 127.0.0.1: cookies are as in a hospital."""
    issuer = oidc.Issuer()
    issuer.RequestHandlerClass = Redirecting
    issuer.address = issuer.address.replace("127.0.0.1", "localhost")
    threading.Thread(target=issuer.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "hilum.toml").write_text(
        f'[oidc]\nissuer = "{issuer.address}"\nclient_id = "{oidc.CLIENT}"\n'
        f'client_secret = "{oidc.SECRET}"\nredirect_url = "{address}/api/v1/oidc/callback"\n'
        'roles = {radiology = "reviewer"}\n'
    )
    try:
        with served(tmp_path, port):
            page.goto(address)
            issuer.claims = {"groups": ["kitchen"]}
            page.get_by_role("link", name="Sign in with the hospital's account").click()
            page.get_by_text("Your account has no role here.").wait_for()
            assert page.url == f"{address}/"
            issuer.claims = {}
            page.get_by_role("link", name="Sign in with the hospital's account").click()
            page.get_by_text("No films yet").wait_for()
            expect(page.locator(".who")).to_have_text("anna")
            assert not page.get_by_role("link", name="Users").count()
            page.get_by_role("button", name="Sign out").click()
            page.get_by_role("link", name="Sign in with the hospital's account").wait_for()
    finally:
        issuer.shutdown()
        issuer.server_close()


class Redirecting(oidc._Answers):
    """The issuer's page, where the person is signed in already."""

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        if not self.path.startswith("/authorize"):
            super().do_GET()
            return
        state, code = self.server.authorize(self.path)
        back = self.server.asked[-1]["redirect_uri"]
        self.send_response(302)
        self.send_header("Location", f"{back}?state={state}&code={code}")
        self.end_headers()
