"""Every verb that names files after films can name them, and says before what it cannot write."""

from __future__ import annotations

import pytest

from hilum.apps.cli.main import VERBS, run
from hilum.serve.samples import ROOT

LONG = ("x" * 236 + ".png", "Ш" * 118 + ".png", "x" * 251 + ".png", "x" * 250 + "y.png")


@pytest.fixture
def ward(tmp_path):
    folder = tmp_path / "ward"
    folder.mkdir()
    for name in LONG:
        (folder / name).write_bytes((ROOT / "frontal.png").read_bytes())
    return folder


def _files(folder, kind):
    return [path for path in folder.iterdir() if path.name.endswith(kind)]


def test_overlays_and_sheets(small_bundle, ward, tmp_path, capsys):
    heat, pdf, page = (tmp_path / name for name in ("heat", "pdf", f"{'p' * 250}.html"))
    outputs = ["--heatmap", heat, "--pdf", pdf, "--html", page]
    arguments = ["read", ward, "--bundle", small_bundle, *outputs]
    assert run([str(each) for each in arguments]) == 0, capsys.readouterr().err
    assert len(_files(heat, ".covid-19.png")) == len(_files(heat, ".pneumonia.png")) == len(LONG)
    assert len(_files(pdf, ".pdf")) == len(LONG)
    assert len(list(heat.iterdir())) == 2 * len(LONG)
    assert page.is_file()


def test_masks(small_bundle, ward, tmp_path, capsys):
    arguments = ["read", str(ward), "--bundle", str(small_bundle), "--masks", str(tmp_path / "m")]
    assert run(arguments) == 0, capsys.readouterr()
    assert len(_files(tmp_path / "m", ".mask.png")) == len(LONG)


def test_maps(small_bundle, ward, tmp_path, capsys):
    out = tmp_path / "maps"
    methods = ["-m", "evidence", "-m", "occlusion"]
    code = run(
        ["explain", "-b", str(small_bundle), str(ward), *methods, "--values", "-o", str(out)]
    )
    assert code == 0, capsys.readouterr().err
    assert len(_files(out, ".evidence.png")) == len(LONG)
    assert len(list(out.iterdir())) == 4 * len(LONG)


@pytest.mark.parametrize("name", VERBS)
def test_an_option_for_an_output_is_looked_at_first(name):
    """Every such option of every verb has the callback."""
    import typer

    from hilum.apps.cli.main import command_line

    command = typer.main.get_command(command_line([name]))
    for each in _all(command):
        for option in each.params:
            if {"--out", "--html", "--pdf", "--heatmap", "--masks"} & set(option.opts):
                assert option.callback is not None, (each.name, option.opts)


def _all(command):
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _all(each)


@pytest.mark.parametrize("option", ["--html", "--pdf", "--heatmap"])
def test_a_place_that_cannot_be_written_is_said_before_reading(small_bundle, films, option, capsys):
    place = f"/proc/none/{option.strip('-')}.{'html' if option == '--html' else 'pdf'}"
    assert run(["read", str(films / "a.png"), "-b", str(small_bundle), option, place]) == 6
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{place}: cannot be written" in err


@pytest.mark.parametrize(
    ("arguments", "there"),
    [
        (["cohort", "merge", "x.csv", "-o"], "folder"),
        (["cohort", "to-coco", "x.csv", "-o"], "folder"),
        (["map", "x.csv", "--png"], "folder"),
        (["bundle", "index", "x.csv", "-o", "x.npz", "--numbers"], "folder"),
        (["read", "x.png", "--html"], "folder"),
        (["read", "x.png", "--heatmap"], "file"),
        (["evaluate", "x.csv", "-o"], "file"),
        (["train", "x.toml", "-o"], "file"),
        (["batch", "ward", "-o"], "file"),
    ],
)
def test_a_file_is_no_folder_and_a_folder_no_file(arguments, there, tmp_path, capsys):
    """One rule and one exit code for it, before anything is opened."""
    place = tmp_path / "there"
    place.mkdir() if there == "folder" else place.write_text("")
    assert run([*arguments, str(place)]) == 6
    said = " ".join(capsys.readouterr().err.split())
    assert f"there: a {there}" in said or f"there is a {there}" in said
