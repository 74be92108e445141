"""Whatever stands at the other end of stdout and stderr, films are read and reports are written."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pydicom
import pytest

from hilum.serve.samples import ROOT

NARROW = ["cp1252", "latin-1", "ascii", "utf-8", "cp1251"]
RUN = f"{sys.executable} -m hilum read --bundle"


@pytest.fixture
def ward(tmp_path, films, panicking_rle):
    """Two films, one of them with a name in Cyrillic, and between them a damaged one in RLE."""
    folder = tmp_path / "ward"
    folder.mkdir()
    (folder / "1.png").write_bytes((films / "a.png").read_bytes())
    dataset = pydicom.dcmread(ROOT / "frontal.dcm")
    panicking_rle(dataset)
    dataset.save_as(folder / "2.dcm")
    (folder / "Шевченко é.png").write_bytes((films / "b.jpg").read_bytes())
    return folder


def _read(bundle, *arguments, encoding="utf-8"):
    return subprocess.run(
        [sys.executable, "-m", "hilum", "read", "--bundle", bundle, *arguments],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )


@pytest.mark.parametrize("encoding", NARROW)
def test_an_encoding_without_a_letter(small_bundle, ward, tmp_path, encoding):
    page, pdf = tmp_path / "page.html", tmp_path / "all.pdf"
    done = _read(small_bundle, ward, "--html", page, "--pdf", pdf, encoding=encoding)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert (done.returncode, err) == (3, f"wrote {page}\nwrote {pdf}: 3 pages\n")
    assert "3 films: 2 read, 1 error" in out
    name = "Шевченко é.png" if encoding in ("utf-8",) else "\\u0428\\u0435\\u0432"
    assert name in out or encoding == "cp1251"
    assert "Шевченко é.png" in page.read_text(encoding="utf-8")
    assert pdf.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("encoding", NARROW)
def test_json_loses_nothing_and_is_utf_8_always(small_bundle, ward, encoding):
    """RFC 8259 section 8.1; ASCII, which a narrow stream can take, is UTF-8."""
    done = _read(small_bundle, ward, "--json", encoding=encoding)
    rows = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert [row["path"].rpartition("/")[2] for row in rows] == ["1.png", "2.dcm", "Шевченко é.png"]
    assert [row["status"] for row in rows] == ["read", "error", "read"]
    assert done.returncode == 3


def test_a_name_that_is_no_text(small_bundle, films, tmp_path):
    path = os.fsencode(tmp_path) + b"/b\xffd.png"
    with open(path, "wb") as file:  # noqa: PTH123 - bytes
        file.write((films / "a.png").read_bytes())
    page = tmp_path / "page.html"
    for encoding in ("utf-8", "ascii"):
        done = _read(small_bundle, path, "--html", page, encoding=encoding)
        assert (done.returncode, done.stderr.decode()) == (0, f"wrote {page}\n")


@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">&-", 3),
        ("2>&-", 3),
        (">&- 2>&-", 3),
        ("<&- >&- 2>&-", 3),
        ("2>/dev/full", 3),
        (">/dev/full", 1),  # what was asked for was not written
        ("2>&1 >/dev/null | true", 0),
        ("| true", 0),
        ("--json | true", 0),
    ],
)
def test_a_stream_that_takes_nothing(small_bundle, ward, tmp_path, streams, code):
    page = tmp_path / "page.html"
    command = f"{RUN} {small_bundle} {ward} --html {page} {streams}"
    assert subprocess.run(["sh", "-c", command], stderr=subprocess.DEVNULL).returncode == code
    text = page.read_text(encoding="utf-8")
    assert text.count("Шевченко é.png") >= 1
    assert "2.dcm" in text


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    """A database that gets number 1 would be printed into."""
    command = f"{sys.executable} -m hilum user add anna --token --home {tmp_path}/data"
    subprocess.run(["sh", "-c", f"{command} >&- 2>&- <&-"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "hilum", "user", "list", "--home", tmp_path / "data"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "anna  reviewer\n")


def _unheard(*arguments):
    """Run a verb whose reader is gone before the first answer."""
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes) as gone:
        command = [sys.executable, "-m", "hilum", *map(str, arguments)]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    return done.returncode


def test_a_verb_that_works_for_more_than_stdout_goes_on(small_bundle, ward, tmp_path):
    out, demo, maps = (tmp_path / name for name in ("out", "demo", "maps"))
    batch = ["batch", ward, "-o", out, "--shard-films", 1, "--workers", 1, "--json"]
    assert _unheard(*batch, "-b", small_bundle) == 3  # one film is broken
    assert json.loads((out / "summary.json").read_text())["films"] == 3
    assert len(list((out / "readings").iterdir())) == 3
    for more in ([], ["--json"]):
        assert _unheard("demo", "-o", demo, "-b", small_bundle, *more) == 0
        (demo / "report.html").unlink()
    assert _unheard("explain", ward, "-o", maps, "-b", small_bundle, "--json") == 3
    assert len(list(maps.iterdir())) == 2


def test_a_verdict_is_given_by_the_exit_code_although_nobody_reads_the_rest(tmp_path):
    rows = "".join(f"{n},c,s,p,{n}.png,{side}\n" for n, side in ((1, "train"), (2, "test")))
    (tmp_path / "cases.csv").write_text(f"case_id,cohort,source,patient_id,path,split\n{rows}")
    assert _unheard("cohort", "check", tmp_path / "cases.csv") == 5


def test_a_verb_that_works_for_stdout_alone_ends(small_bundle, ward):
    """The broken film is the second: it is not come to, else the exit code were 3."""
    assert _unheard("explain", ward, "-b", small_bundle, "--json") == 0
