"""The sessions of docs/reference/api.md, run as they stand there against a server."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from hilum.apps.web.problems import TITLES
from hilum.core.errors import StoreBusyError
from hilum.core.reading import Reading
from hilum.serve.samples import ROOT

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "api.md"
TOOLS = PAGE.parents[2] / "tools"
ADDRESS = "http://127.0.0.1:8337"
LIMIT_S = 300


def _session(language):
    section = PAGE.read_text(encoding="utf-8").split("## A session in ten lines")[1]
    (code,) = re.findall(rf"```{language}\n(.*?)```", section.split("\n## ")[0], re.DOTALL)
    assert ADDRESS in code
    return code


@pytest.fixture(scope="module")
def served(serving, tmp_path_factory):
    """A server on the data folder of a user whose home is empty."""
    home = tmp_path_factory.mktemp("home")
    made = serving.Served(home / "hilum" / "workstation", None)
    made.home = home
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _run(command, code, served, folder, **variables):
    shutil.copy(ROOT / "frontal.dcm", folder / "film.dcm")
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": tools, "XDG_DATA_HOME": str(served.home)} | variables
    environment.pop("HILUM_STORE", None)
    return subprocess.run(
        [*command, code.replace(ADDRESS, served.base)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG_DATA_HOME is of Linux")
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_session_of_the_shell(served, tmp_path):
    done = _run(["bash", "-euxo", "pipefail", "-c"], _session("sh"), served, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cv2.imread(str(tmp_path / "heatmap.png"), cv2.IMREAD_UNCHANGED).dtype == "uint16"
    found = json.loads((tmp_path / "reading.json").read_text())
    assert Reading.model_validate(found["reading"]).findings
    verdict, worklist = [json.loads(each) for each in re.findall(r"^\{.*?\}$", _lines(done), re.M)]
    assert verdict["text"] == "atelectasis"
    assert worklist["items"][0]["film_id"] == found["film_id"]


def test_the_session_of_python(served, serving, tmp_path):
    token = serving.make_token(served.data, role="reviewer")
    done = _run([sys.executable, "-W", "ignore", "-c"], _session("python"), served, tmp_path,
                TOKEN=token)  # fmt: skip
    assert done.returncode == 0, done.stderr
    labels = [line.split()[0] for line in done.stdout.splitlines()]
    assert "covid-19" in labels
    assert all(0 <= float(line.split()[1]) <= 1 for line in done.stdout.splitlines())


def _lines(done):
    """Put each answer on a line of its own; curl ends none."""
    return done.stdout.replace("}{", "}\n{")


def test_every_call_is_on_the_page_and_every_call_of_the_page_is_there(station):
    text = PAGE.read_text(encoding="utf-8")
    described = station.client().get("/api/v1/openapi.json").json()["paths"]
    there = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in described.items()
        for method in methods
    }
    named = set(re.findall(r"`?(GET|POST|PUT|PATCH|DELETE)\s+(/[\w{}/.-]*)", text))
    named -= {("GET", "/open"), ("POST", "/api/v1/films/.../verdicts")}
    assert named == there, named ^ there


def test_every_code_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    assert [code for code in TITLES if f"`{code}`" not in text] == []


def test_a_busy_store_says_when_to_ask_again(station, make_film, monkeypatch):
    def busy():
        raise StoreBusyError("the store is busy: locked", hint="try again")

    monkeypatch.setattr(station.service.store, "write", busy)
    for answer in (
        station.send(make_film(1)),
        station.client("reviewer").put("/api/v1/me/blind", json={"on": True}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (503, "store-busy")
        assert int(answer.headers["retry-after"]) > 0


def test_the_calls_of_the_page_are_those_of_the_document(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    tool = importlib.import_module("api_page")
    text = PAGE.read_text(encoding="utf-8")
    written = tool.Calls(tool.document()).fill(text)
    assert text == written, "run: python tools/api_page.py docs/reference/api.md"
