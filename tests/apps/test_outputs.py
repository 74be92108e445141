"""What a verb writes never replaces what it reads, nor a file of somebody else."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import typer

from hilum.apps.cli.main import command_line, run
from hilum.serve.samples import ROOT as SAMPLES

WRITES_A_FILE = {"--out", "--csv", "--html", "--pdf", "--png", "--numbers"}
READS_NO_FILE = {
    "cohort fetch",
    "compare",  # the grid is TOML, and nothing of that is written beside it
    "demo",
    "export",
    "node conformance",
    "reproduce abdelhady-2020",
    "reproduce usatov-kosik-2021",
}
INTO_FOLDERS_OF_ITS_OWN = {"batch", "calibrate", "deidentify", "explain"}

REFUSED = [
    "show t/b.png -o t/b.png",
    "show t/b.png -o t/../t/link.png",
    "read t/c.dcm --html t/c.dcm",
    "read t/b.png t/c.dcm --csv t/c.dcm",
    "read t --csv t/c.dcm",
    "read 't/*.pdf' --pdf t/b.pdf",
    "read t/b.png --csv new.csv --html new.csv",
    "cohort read csv labels/labels.csv --column path=Bild -o labels/labels.csv",
    "cohort read csv labels --column path=Bild -o labels/labels.csv",
    "cohort merge cases.csv other.csv -o other.csv",
    "cohort split cases.csv -o cases.csv",
    "cohort split cases.csv --pairs pairs.csv -o pairs.csv",
    "cohort to-coco cases.csv -o cases.csv",
    "cohort from-coco coco.json cases.csv -o cases.csv",
    "cohort from-coco coco.json cases.csv -o coco.json",
    "bundle index cases.csv -o cases.csv",
    "bundle index cases.csv -o x.npz --numbers cases.csv",
    "bundle show -b bundle --html bundle/MODEL_CARD.md",
    "bundle fit-severity out/estimates.csv -o out",
    "map cases.csv -o cases.csv",
    "map cases.csv --png cases.csv",
    "map cases.csv -o map.html --png map.html",
    "evaluate --predictions out/predictions.csv -o out",
    "evaluate cases.csv -b bundle -o bundle",
    "audit cases.csv --scores out/scores.csv -o out",
    "train recipe.toml --cases out/cases.csv -o out",
]


@pytest.fixture
def there(tmp_path, monkeypatch, small_bundle):
    """A folder with inputs of every kind, which is the working one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t").mkdir()
    shutil.copyfile(SAMPLES / "frontal.dcm", tmp_path / "t" / "c.dcm")
    for name in ("b.png", "b.pdf"):
        shutil.copyfile(SAMPLES / "frontal.png", tmp_path / "t" / name)
    (tmp_path / "t" / "link.png").symlink_to("b.png")
    shutil.copytree(small_bundle, tmp_path / "bundle")
    texts = {
        "labels/labels.csv": "Bild,covid-19\n../t/b.png,1\n",
        "coco.json": "{}",
        "bundle/evaluation.json": "{}",
    }
    names = ("cases", "other", "pairs", "out/cases", "out/estimates", "out/predictions")
    texts |= {f"{name}.csv": f"case_id,path\n{name},t/b.png\n" for name in (*names, "out/scores")}
    for name, text in (texts | {"recipe.toml": ""}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", REFUSED)
def test_what_is_read_is_not_replaced(there, command, capsys):
    before = _files(there)
    assert run([each.strip("'") for each in command.split()]) == 6
    assert _files(there) == before
    said = capsys.readouterr()
    assert not said.out
    reasons = ("would replace it", "name the same file", "lies in a bundle")
    assert any(reason in said.err for reason in reasons)
    assert "hint: name " in said.err


@pytest.mark.parametrize(
    "command",
    [
        "audit cases.csv -b bundle -o bundle",
        "explain t/b.png -b bundle -o bundle/maps",
        "read t/b.png -b bundle --html bundle/page.html",
        "map cases.csv -b bundle -o bundle/map.html",
        "batch t -b bundle -o bundle/batch",
        "bundle index cases.csv -b bundle -o bundle/similar.npz",
        "compare recipe.toml -o bundle",
    ],
)
def test_nothing_is_written_beside_the_sealed_files_of_a_bundle(there, command, capsys):
    before = _files(there)
    assert run(command.split()) == 6
    assert _files(there) == before
    said = capsys.readouterr().err
    assert "lies in a bundle" in said
    assert "outside of " in said


def _verbs(command, path=""):
    for name, each in getattr(command, "commands", {}).items():
        yield from _verbs(each, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        yield path, {name for each in command.params for name in each.opts}


def test_every_verb_that_writes_is_looked_at():
    verbs = dict(_verbs(typer.main.get_command(command_line([]))))
    writes = {path for path, options in verbs.items() if options & WRITES_A_FILE}
    tried = {path for path in verbs for each in REFUSED if each.startswith(f"{path} ")}
    assert tried | READS_NO_FILE | INTO_FOLDERS_OF_ITS_OWN == writes
    assert not tried & READS_NO_FILE


def test_what_is_beside_what_is_read_is_written(there, capsys):
    """Also a second time, and where it lies in the folder that is read."""
    for _ in range(2):
        assert run(["read", "t/b.png", "--csv", "t/rows.csv", "--html", "t/page.html"]) == 0
        assert run(["show", "t/b.png", "-o", "t/shown.png"]) == 0
    capsys.readouterr()
    page = (there / "t" / "page.html").read_bytes()
    for written in (["--html", "t/page.html"], ["--csv", "t/rows.csv"]):
        assert run(["read", "t", *written]) == 3  # page and table are no films
    assert (there / "t" / "page.html").read_bytes() != page
    capsys.readouterr()
    assert run(["read", "t", "--html", "t/b.png"]) == 6
    assert "t/b.png: is read, and --html would replace it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--masks", "c.mask.png"),
        ("--heatmap", "c.covid-19.png"),
        ("--pdf", "c.pdf"),
        ("--fhir", "c.fhir.json"),
        ("--dicom", "c.sr.dcm"),
        ("explain", "c.covid-19.evidence.png"),
    ],
)
def test_a_file_of_a_film_replaces_only_one_that_hilum_wrote(there, option, name, capsys):
    verb = ["explain", "t/c.dcm", "-o"] if option == "explain" else ["read", "t/c.dcm", option]
    for _ in range(2):
        assert run([*verb, "made"]) == 0, capsys.readouterr().err
    assert (there / "made" / name).is_file()
    film = (there / "t" / "b.png").read_bytes()
    (there / "t" / name).write_bytes(film)
    capsys.readouterr()
    before = _files(there)
    assert run([*verb, "t"]) == 6
    assert _files(there) == before
    assert f"t/{name}: is there, was not written by Hilum" in capsys.readouterr().err


def test_films_of_one_name_are_looked_at_by_their_numbers(there, capsys):
    (there / "u").mkdir()
    shutil.copyfile("t/b.png", "u/b.png")
    shutil.copyfile("t/b.png", "u/b-2.mask.png")
    assert run(["read", "t/b.png", "u/b.png", "--masks", "u"]) == 6
    assert "u/b-2.mask.png: is there" in capsys.readouterr().err


@pytest.fixture
def full(tmp_path):
    """A file system of 300 kB."""
    place = tmp_path / "full"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_named_and_holds_no_half_of_a_film(full, small_bundle, capsys):
    assert run(["demo", "-o", str(full), "-b", str(small_bundle)]) == 1
    said = capsys.readouterr().err
    assert f"error: {full / 'films'}/" in said
    assert ": No space left on device" in said
    for path in (full / "films").iterdir():
        assert path.read_bytes() == (SAMPLES / path.name).read_bytes()


def test_objects_on_a_full_disk_name_what_could_not_be_written(full, capsys):
    (full / "ballast").write_bytes(bytes(250_000))
    made = ["--dicom", str(full), "--objects", "sc"]
    assert run(["read", str(SAMPLES / "frontal.dcm"), *made]) == 1
    said = capsys.readouterr().err
    assert f"error: {full / 'frontal.sc.dcm'}: No space left on device" in said
    assert [path.name for path in full.iterdir()] == ["ballast"]
