"""Every verb and option: explained, shown by an example that parses, of one meaning."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path

import pytest
import typer

from hilum.apps.cli.main import EXIT_CODES, RENAMED, VERBS, command_line, run
from hilum.core import errors

ROOT = Path(__file__).parents[2]
HEAVY = ("pandas", "sklearn", "scipy", "matplotlib", "onnxruntime", "cv2", "torch", "fastapi")
HEAVY += ("pydicom", "pynetdicom")

WHOLE = typer.main.get_command(command_line([]))


def _leaves(command, path=""):
    inner = getattr(command, "commands", None)
    if inner is None:
        return {path: command}
    found = {}
    for name, each in inner.items():
        found |= _leaves(each, f"{path} {name}".strip())
    return found


LEAVES = _leaves(WHOLE)
SERVERS = {"serve", "node run"}
"""They print no answer: they run until they are stopped."""


def _options(command):
    return [each for each in command.params if each.param_type_name == "option"]


def _commands_in(text):
    """Return every "hilum ..." of a text as its arguments, placeholders and all."""
    text = re.sub(r"\\\n[ #]*", "", text)
    lines = [
        line.strip().removeprefix("# ").removeprefix("$ ").strip() for line in text.split("\n")
    ]
    spans = [*lines, *re.findall(r"[`'](hilum [^`'\n]+)[`']", re.sub(r"\n *", " ", text))]
    parts = [part.strip() for span in spans for part in re.split(r"&&|\|", span)]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("hilum ")]


def _fault_of(arguments):
    """Return what is wrong with the verb or the options of a command; their values aside."""
    command, given = WHOLE, list(arguments)
    while hasattr(command, "commands") and given and not given[0].startswith("-"):
        if given[0] not in {*command.commands, "VERB"}:
            return f"no verb '{given[0]}'"
        command = command.commands.get(given.pop(0), LEAVES["doctor"])
    known = {name for each in _options(command) for name in (*each.opts, *each.secondary_opts)}
    known |= {"--help", "-h"}
    unknown = [
        each for each in given if each.startswith("-") and each.partition("=")[0] not in known
    ]
    return f"no option {unknown}" if unknown else None


def test_there_are_as_many_verbs_as_a_head_holds_in_the_order_of_the_work():
    assert 14 <= len(VERBS) <= 21
    assert WHOLE.list_commands(typer.Context(WHOLE)) == list(VERBS)
    groups = [group for _, group in VERBS.values()]
    assert sorted(groups, key=groups.index) == groups


@pytest.mark.parametrize("path", LEAVES)
def test_a_verb_says_what_it_does_and_shows_it(path, tmp_path, monkeypatch):
    command = LEAVES[path]
    said, _, example = cleandoc(command.help).partition("\b\nExample:\n")
    assert re.match(r"[A-Z].*[.?]$", said.split("\n\n")[0].replace("\n", " ")), said
    shown = _commands_in(cleandoc(example))
    assert any(" ".join(each).startswith(path) for each in shown)
    monkeypatch.chdir(tmp_path)
    for each in shown:
        assert _fault_of(each) is None, each
        if (words := len(path.split())) and " ".join(each[:words]) == path:
            command.make_context(path, each[words:])  # with every value, or it raises
    for each in command.params:
        assert each.help, (path, each.name)


def test_an_option_means_one_thing_everywhere():
    meanings = {}
    for path, command in LEAVES.items():
        for option in _options(command):
            for name in option.opts:
                said = (option.help if name not in ("--out", "-o") else "", tuple(option.opts))
                said += (option.is_flag, tuple(option.secondary_opts), option.envvar)
                meanings.setdefault(name, {}).setdefault(said, []).append(path)
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
    assert {"--bundle", "-b", "--data", "--home", "--cases", "--set", "--json"} <= meanings.keys()


def test_a_bundle_is_never_named_by_its_place():
    for path, command in LEAVES.items():
        for each in command.params:
            assert (each.name == "bundle") == ("--bundle" in each.opts), path
            if each.name == "bundle":
                assert not each.required
                assert each.default is None


def test_every_verb_that_answers_can_answer_in_json():
    lacking = {path for path, each in LEAVES.items() if "--json" not in str(_names(each))}
    assert lacking == SERVERS


def _names(command):
    return [each.opts for each in _options(command)]


def test_every_exit_code_is_documented(capsys):
    def kinds(kind):
        return {kind.exit_code}.union(*map(kinds, kind.__subclasses__()))

    own = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert set(EXIT_CODES) == own | kinds(errors.HilumError)
    assert run(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in said


def test_help_loads_nothing_heavy():
    program = (
        "import sys; from hilum.apps.cli.main import VERBS, run\n"
        "run(['--help'])\n"
        "for verb in VERBS: run([verb, '--help'])\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.stdout.rstrip().endswith("[]")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--data", "x"], "'--data' here: it is --home"),
        (["user", "list", "--data=x"], "'--data' here: it is --home"),
        (["serve", "--collection", "x.csv"], "it is --cases"),
        (["cohort", "check", "x.csv", "--no-films"], "it is --no-duplicates"),
        (
            ["calibrate", "x.csv", "-o", "x", "--method", "beta"],
            "--calibrator of 'hilum calibrate'",
        ),
        (["map", "x.csv", "--method", "pca"], "--projection of 'hilum map'"),
        (["bundle", "card", "--out-of-source", "x.json"], "it is --comparison"),
        (["bundle", "index", "x.csv", "--table", "y.csv"], "it is --numbers"),
        (["store", "log", "--lines", "3"], "it is --limit"),
        (["node", "conformance", "--output", "x"], "it is --out"),
        (["train", "--recipe", "x.toml"], "hilum train RECIPE.toml"),
        (["evaluate", "default", "x.csv"], "a bundle is named by -b"),
        (["map", "runs/b", "x.csv"], "a bundle is named by -b"),
        (["bundle", "show", "runs/b"], "a bundle is named by -b"),
        (["bundle", "verify", "runs/b"], "a bundle is named by -b"),
        (["explain", "default", "film.png"], "a bundle is named by -b"),
        (["bundle", "add", "x.npz"], "name another with -b"),
        (["bundle", "card", "-b", "default"], "name another with -b"),
    ],
)
def test_an_old_spelling_is_answered_with_the_new_one(arguments, said, capsys):
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in " ".join(re.sub("[│╭╮╰╯─]", " ", captured.err).split())


@pytest.mark.parametrize(
    "arguments",
    [
        "explain film.dcm --label covid-19 --label lung-opacity",
        "map cases.csv -o map.html --label covid-19 --label=lung-opacity",
        "bundle index cases.csv -o x.npz --label covid-19 --label lung-opacity",
        "audit cases.csv --label covid-19 --label lung-opacity",
        "cohort audit cases.csv --label covid-19 --label lung-opacity",
        "read film.dcm --bundle one -b two",
        "read film.dcm --csv one.csv --csv two.csv",
    ],
)
def test_an_option_of_one_value_is_not_replaced_by_its_second(arguments, capsys):
    assert run(arguments.split()) == 2
    assert "takes one value, and is given 2 times." in " ".join(
        re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().err).split()
    )


def test_no_verb_has_an_option_by_an_old_name_of_its_own():
    for old, new in RENAMED.items():
        assert new
        assert any(old not in str(_names(each)) for each in LEAVES.values())


TEXTS = re.compile(
    r"README\.md|CONTRIBUTING\.md|docs/.*\.md|recipes/.*\.toml|scripts/[\w-]+|packaging/.*|examples/.*|viewer/src/text/.*"
    r"|src/.*\.(py|md|toml|html)|benchmarks/.*\.(py|md)"
)


def _texts():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [each for each in listed.splitlines() if TEXTS.fullmatch(each)]
    named = [each for each in names if "hilum " in (ROOT / each).read_text(encoding="utf-8")]
    return [each for each in named if not each.endswith("cli/main.py")]  # names the old ones


@pytest.mark.parametrize("name", sorted(_texts()))
def test_every_command_that_is_named_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    text = text.partition("## Spellings of 0.3.0")[0]
    if "0.3.0" in text:
        text = re.sub(r"hilum train-opacities.*", "", text)
    for each in _commands_in(text):
        assert _fault_of(each) is None, each


def test_the_page_of_the_command_line_is_current(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import command_line_page

    written = (ROOT / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
    where = "python tools/command_line_page.py docs/reference/command-line.md"
    assert written == command_line_page.page(), f"run: {where}"
    for path, command in LEAVES.items():
        section = re.search(rf"^###+ hilum {path}\n.*?(?=^##|\Z)", written, re.M | re.S)
        assert section, path
        for option in _options(command):
            assert all(f"`{name}" in section[0] for name in option.opts), (path, option.opts)


def test_json_parses(small_bundle, tmp_path, monkeypatch, capsys):
    """Of the verbs whose own tests do not read it: quick ones, in the order of an installation."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    home, bundle = str(tmp_path / "home"), str(tmp_path / "bundle")
    shutil.copytree(small_bundle, bundle)
    calls = {
        "user add": ["anna", "--token", "--role", "reader", "--home", home],
        "user change": ["anna", "--role", "reviewer", "--home", home],
        "user list": ["--home", home],
        "store verify": ["--home", home],
        "store log": ["-n", "1", "--home", home],
        "store delete": ["--older-than", "1", "--yes", "--home", home],
        "node init": ["--home", home],
        "node list": ["--home", home],
        "node status": ["--home", home],
        "node check": ["--home", home],
        "node retry": ["--all-dead", "--home", home],
        "node resend": ["--since", "2026-01-01", "--home", home],
        "node conformance": ["--home", home],
        "bundle verify": ["-b", bundle],
        "bundle card": ["-b", bundle],
        "bundle show": ["-b", bundle],
        "cohort list": [],
        "doctor": [],
    }
    found = {}
    for path, arguments in calls.items():
        assert run([*path.split(), *arguments, "--json"]) in (0, 1), (path, capsys.readouterr().err)
        found[path] = json.loads(capsys.readouterr().out)
    assert found["user add"]["token"]
    assert found["user list"] == [{"name": "anna", "role": "reviewer", "disabled": False}]
    assert found["store log"]["action"]
    assert found["store delete"]["deleted"] is False
    assert found["node retry"] == found["node resend"] == {"changed": 0}
    assert found["bundle verify"]["folder"] == bundle
