from __future__ import annotations

import subprocess
import sys

import pytest

from hilum import __version__
from hilum.apps.cli import main
from hilum.core import errors


def _raising(error, monkeypatch):
    def app(**_):
        raise error

    monkeypatch.setattr(main, "command_line", lambda _: app)
    return main.run([])


def test_version(capsys):
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == f"hilum {__version__}\n"


def test_help_groups_the_verbs(capsys):
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    one, model, rest = (out.index(p) for p in (main.ONE_IMAGE, main.ONE_MODEL, main.THE_REST))
    assert one < out.index(" read ") < model < out.index(" bundle ") < rest < out.index(" doctor ")
    assert "Research use only" in out


@pytest.mark.parametrize("verb", sorted(main.VERBS))
def test_every_verb_has_an_example(verb, capsys):
    main.run([verb, "--help"])
    out = capsys.readouterr().out
    assert "Usage: hilum" in out
    if "COMMAND" not in out:
        assert f"hilum {verb}" in out.partition("Example")[2]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_nothing_to_do_shows_the_help(arguments, capsys):
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert "Usage: hilum" in captured.out + captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["raed"], "No such command 'raed'"),
        (["read"], "Missing argument"),
        (["read", "--zzz", "x"], "No such option"),
        (["bundle", "nosuch"], "No such command"),
        (["read", "x.png", "--heatmap", "--pdf", "y.pdf"], "'--heatmap' needs a value"),
        (["read", "x.png", "--heatmap", "--help"], "'--heatmap' needs a value"),
        (["cohort", "read", "nih-chestxray14", "d", "-o", "--json"], "'-o' needs a value"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_message(arguments, words, capsys):
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert "hilum" in captured.err


def test_after_two_dashes_there_are_only_files(capsys):
    assert main.run(["read", "--", "--heatmap", "--pdf"]) == errors.EXIT_SOME_NOT_READ
    out = capsys.readouterr().out
    assert "--heatmap" in out
    assert "--pdf" in out


@pytest.mark.parametrize(
    "kind",
    [
        errors.ImageError,
        errors.CohortError,
        errors.LeakageError,
        errors.ConfigError,
        errors.BundleError,
        errors.MissingExtraError,
        errors.TrainingError,
    ],
)
def test_an_error_is_one_line_a_hint_and_its_code(kind, monkeypatch, capsys):
    assert _raising(kind("x.csv row 3: bad", hint="mend it"), monkeypatch) == kind.exit_code != 0
    assert capsys.readouterr().err == "error: x.csv row 3: bad\n  hint: mend it\n"


def test_an_interruption_is_130(monkeypatch, capsys):
    assert _raising(KeyboardInterrupt(), monkeypatch) == 130
    assert "interrupted" in capsys.readouterr().err


DROPPED = """
import signal, sys, time
from hilum.apps.cli import main

class Bad:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def verb(*_, **__):
    Bad()
    time.sleep(1000)

main.command_line = lambda _: verb
main.main([])
"""


def test_an_interruption_in_a_destructor_is_not_lost():
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 130
    assert done.stderr == "error: interrupted\n  hint: what was finished is kept\n"


def test_a_full_disk_names_the_file(monkeypatch, capsys):
    assert _raising(OSError(28, "No space left on device", "out.csv"), monkeypatch) == 1
    assert "out.csv: No space left on device" in capsys.readouterr().err


def test_an_interruption_inside_a_verb_is_130(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hilum.serve.inputs.find_films", interrupted)
    assert main.run(["read", "x.png"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_module_is_the_command():
    command = [sys.executable, "-m", "hilum", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"hilum {__version__}\n"


@pytest.mark.parametrize("verb", sorted(main.REPLACED))
def test_a_verb_that_is_gone_names_what_does_its_work(verb, capsys):
    assert verb not in main.VERBS
    assert main.run([verb, "film.png"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"'hilum {verb}' is gone: {main.REPLACED[verb]}." in said
