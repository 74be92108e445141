"""The tutorials can be followed to the letter, with the commands and files that their pages show.

Only lines that install are left out: Hilum is installed here. A block with a title is a file, or
"added to" one; a command whose line ends with "# exit code N" must end so; a block that begins with
"# leave it running" is not waited for, and ends the one before it that was the same; one that ends
with "# repeat until it ..." is repeated.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).parents[1] / "docs"
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"^((?:.*\\\n)*.*?) +# exit code (\d+).*$", re.MULTILINE)
_REPEAT = re.compile(r"# repeat until it (?:succeeds|says (\w+) (\d) times)$", re.MULTILINE)
_LIMIT_S = 300
PORTS = ("4242", "8042", "11112")


class Follower:
    """Follows a page in a folder; what it starts and leaves running ends with it."""

    def __init__(self, folder):
        self.folder, self.ports, self.running = folder, {}, {}
        bin_folder = Path(sys.executable).parent
        self.environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}

    def follow(self, page):
        """Do what a page says; return what was printed by each block that was run."""
        said = []
        for language, title, code in _BLOCK.findall((DOCS / page).read_text(encoding="utf-8")):
            if title.startswith("added to "):
                with (self.folder / title.removeprefix("added to ")).open("a") as file:
                    file.write("\n" + self.here(code))
            elif title:
                (self.folder / title).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / title).write_text(self.here(code), encoding="utf-8")
            elif language == "python":
                said.append(self.run([sys.executable, "-c", code]))
            elif language == "sh" and "install" not in code:
                said.append(self.shell(code))
        return said

    def shell(self, code):
        """Run a block of shell; "" for one that is left running."""
        code = _CODE.sub(r"code=0; \1 || code=$?; test $code = \2", self.here(code))
        command = ["bash", "-euo", "pipefail", "-c", code]
        if code.startswith("# leave it running"):
            if code in self.running:
                self._end(self.running.pop(code))
            self.running[code] = self._start(command, start_new_session=True)
            return ""
        if repeat := _REPEAT.search(code):
            return self.until(command, *repeat.groups())
        return self.run(command)

    def run(self, command):
        """Run a command to its end, which must be good."""
        process = self._start(command)
        said = process.communicate()
        assert process.returncode == 0, "\n".join([command[-1], *said])
        return said[0]

    def until(self, command, word=None, times=None):
        """Repeat a command until it succeeds, and what it prints has a word so often."""
        until = time.monotonic() + _LIMIT_S
        while True:
            process = self._start(command)
            said = process.communicate()
            if process.returncode == 0 and (not word or said[0].count(word) == int(times)):
                return said[0]
            assert time.monotonic() < until, "\n".join([command[-1], *said])
            time.sleep(1)

    def _start(self, command, **more):
        pipe = subprocess.DEVNULL if more else subprocess.PIPE
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=pipe,
            stderr=pipe,
            text=True,
            **more,
        )

    def here(self, text):
        """Return a text with ports that are free here in the place of the page's."""
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        return text

    def end(self):
        for process in self.running.values():
            self._end(process)

    def _end(self, process):
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


@pytest.fixture
def follower(tmp_path):
    follower = Follower(tmp_path)
    yield follower
    follower.end()


def test_read_your_films(follower):
    *_, said = follower.follow("tutorials/read-your-films.md")
    assert (follower.folder / "demo" / "report.html").is_file()
    assert (follower.folder / "ward.html").is_file()
    assert len((follower.folder / "ward.jsonl").read_text().splitlines()) == 2
    assert "frontal.png read" in said
    assert "lateral.png refused" in said


@pytest.mark.slow
def test_train_and_audit(follower):
    follower.follow("tutorials/train-and-audit.md")
    split = pd.read_csv(follower.folder / "split.csv")
    assert set(split.loc[split["split"] == "test", "cohort"]) == {"montgomery"}
    verdicts = {}
    for name in ("plain", "other"):
        audit = json.loads((follower.folder / "out" / name / "audit.json").read_text())
        verdicts[name] = {test["name"]: test["verdict"] for test in audit["tests"]}
    assert (verdicts["plain"]["sources"], verdicts["plain"]["marker"]) == ("fail", "fail")
    assert (verdicts["other"]["sources"], verdicts["other"]["lungs-removed"]) == ("pass", "pass")


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("Orthanc") is None, reason="not installed (apt-get install orthanc)"
)
def test_join_a_pacs_by_its_how_to(follower):
    follower.ports = {port: _free_port() for port in PORTS}
    follower.follow("how-to/join-a-pacs.md")


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("Orthanc") is None, reason="not installed (apt-get install orthanc)"
)
def test_join_a_pacs(follower):
    """The files are those of the how-to, which the page names."""
    follower.ports = {port: _free_port() for port in PORTS}
    how_to = (DOCS / "how-to" / "orthanc.md").read_text(encoding="utf-8")
    page = (DOCS / "tutorials" / "join-a-pacs.md").read_text(encoding="utf-8")
    files = {"orthanc": "orthanc.json", "lua": "hilum.lua", "hilum": "reading/hilum.toml"}
    for mark, name in files.items():
        assert f"`{name}`" in page
        (text,) = re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```", how_to, re.DOTALL)
        (follower.folder / name).parent.mkdir(exist_ok=True)
        (follower.folder / name).write_text(follower.here(text), encoding="utf-8")
    follower.follow("tutorials/join-a-pacs.md")


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
