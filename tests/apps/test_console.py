"""Names of films are printed as they are, be they like rich's markup or like an emoji's code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import hilum
from hilum.apps.cli.main import run
from hilum.serve import samples

ODD = ":x:[red]a[bold].png"


@pytest.mark.parametrize(
    "verb", [["read"], ["show", "-o", ":+1:[b].png"], ["explain", "-o", ":+1:[b]"]]
)
def test_a_name_is_printed_letter_by_letter(
    verb: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copy(Path(samples.__file__).with_name("frontal.png"), tmp_path / ODD)
    monkeypatch.chdir(tmp_path)
    assert run([*verb, ODD]) == 0
    assert ODD in capsys.readouterr().out


def test_where_a_table_was_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    films = tmp_path / "films" / "sick"
    films.mkdir(parents=True)
    shutil.copy(Path(samples.__file__).with_name("frontal.png"), films / "a.png")
    table = tmp_path / ("folder[b]" * 20) / ":x:.csv"
    table.parent.mkdir()
    read = ["cohort", "read", "folders", str(films.parent), "--class", "sick=covid-19"]
    assert run([*read, "-o", str(table)]) == 0
    assert f"written: {table}\n" in capsys.readouterr().out


def test_nobody_makes_another_console() -> None:
    """The one of ``hilum.apps.cli.console`` alone takes words as they are."""
    root = Path(hilum.__file__).parent
    made = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if re.search(r"\bConsole\(|rich import print", path.read_text("utf-8"))
    }
    assert made == {"apps/cli/console.py"}
