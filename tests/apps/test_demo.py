from __future__ import annotations

import html
import os
import re
import subprocess
import sys

import pytest

from hilum.apps.cli.main import run
from hilum.core.reading import RESEARCH_USE
from hilum.serve.samples import WHAT_IS_VIRTUAL, WHAT_TO_MIND, read_samples


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("demo") / "new" / "folder"


@pytest.fixture(scope="module")
def said(out, small_bundle):
    command = [sys.executable, "-m", "hilum.apps.cli.main", "demo", "-o", str(out)]
    environment = os.environ | {"http_proxy": "http://localhost:9", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [*command, "--bundle", str(small_bundle)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout


def test_every_film_has_its_row(said):
    table, _, titles = said.partition("What the films show:")
    for sample in read_samples():
        assert sample.title in titles
    assert "5 films: " in table
    assert len(re.findall(r"  (present|absent|cannot say)\b", table)) >= 2
    assert RESEARCH_USE in table


def test_it_says_what_a_virtual_radiograph_is(said, out):
    assert WHAT_IS_VIRTUAL in said
    assert "trained on real films" in WHAT_IS_VIRTUAL
    assert WHAT_TO_MIND in said
    page = html.unescape((out / "report.html").read_text(encoding="utf-8"))
    assert f"{WHAT_IS_VIRTUAL} {WHAT_TO_MIND}" in page


def test_the_report_is_where_it_says(said, out):
    assert f"Report: {out / 'report.html'}" in said
    page = (out / "report.html").read_text(encoding="utf-8")
    for sample in read_samples():
        assert sample.file in page
    assert "http://" not in page


def test_the_films_can_be_tried_on(said, out, capsys):
    assert (out / "films" / "frontal-opacities.lesions.png").is_file()
    assert run(["show", str(out / "films" / "frontal.dcm")]) == 0
    assert "MONOCHROME1" in capsys.readouterr().out


def test_a_second_run_writes_over_the_first(out, said, small_bundle, capsys):
    assert run(["demo", "-o", str(out), "--bundle", str(small_bundle)]) == 0
    assert "5 films: " in capsys.readouterr().out


def test_it_names_a_bundle_that_is_not_there(tmp_path, capsys):
    assert run(["demo", "-o", str(tmp_path / "out"), "--bundle", str(tmp_path)]) == 7
    assert "no bundle here" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
