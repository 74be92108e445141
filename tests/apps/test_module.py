"""``hilum node module``: the contract of mercure's documentation, with its folders and files."""

from __future__ import annotations

import json
import shutil

import pytest
from pydicom import dcmread

from hilum.apps.cli.main import run
from hilum.bundle.folder import seal
from hilum.serve.samples import ROOT


@pytest.fixture
def task(tmp_path, calibrated_bundle, monkeypatch):
    """A task with one film: ``task(settings)`` runs it and returns code, result and objects."""
    into, out = tmp_path / "in", tmp_path / "out"
    into.mkdir()
    film = dcmread(ROOT / "frontal.dcm")
    film.PatientName, film.PatientID = "Secretive^Patricia", "SECRET-17"
    film.save_as(into / f"{film.SeriesInstanceUID}#{film.SOPInstanceUID}.dcm")
    monkeypatch.setenv("MERCURE_IN_DIR", str(into))
    monkeypatch.setenv("MERCURE_OUT_DIR", str(out))

    def call(settings=None, steps=None, bundle=calibrated_bundle):
        if settings is not None or steps is not None:
            process = steps or {"module_name": "hilum", "settings": settings}
            (into / "task.json").write_text(json.dumps({"id": "x", "process": process}))
        code = run(["node", "module", "--bundle", str(bundle)])
        written = out / "result.json"
        result = json.loads(written.read_text()) if written.exists() else None
        return code, result, [dcmread(path) for path in sorted(out.glob("*.dcm"))]

    call.folder = into
    return call


def test_a_task_gives_objects_and_a_result(task, capsys):
    code, result, objects = task({"objects": "sr,sc,gsps", "prevalence": 0.05})
    said = capsys.readouterr()
    assert code == 0, said.err
    assert "films: 1, read: 1, objects: 3" in said.out
    assert sorted(each.Modality for each in objects) == ["OT", "PR", "SR"]
    for each in objects:
        name = each.filename.rpartition("/")[2]
        assert name == f"{each.SeriesInstanceUID}#{each.SOPInstanceUID}.dcm"
        assert each.PatientID == "SECRET-17"
    (reading,) = result["readings"]
    assert (reading["status"], result["notice"]) == ("read", reading["notice"])
    assert "path" not in reading
    assert "__mercure_notification" not in result
    for hidden in ("Secretive", "SECRET", objects[0].StudyInstanceUID):
        assert hidden not in said.out + said.err


def test_a_label_that_a_prevalence_leaves_as_it_is_is_named(
    task, calibrated_bundle, tmp_path, capsys
):
    root = shutil.copytree(calibrated_bundle, tmp_path / "mixed")
    values = json.loads((root / "bundle.json").read_text())
    values["labels"][1]["calibration"] = {}
    (root / "bundle.json").write_text(json.dumps(values))
    seal(root)
    assert task({"prevalence": 0.05}, bundle=root)[0] == 0
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("task.json leaves pneumonia as it is: no calibration was fitted") == 1
    assert task({}, bundle=root)[0] == 0
    assert capsys.readouterr().err == ""


def test_mercure_is_told_of_findings_and_of_nobody(task):
    label = task()[1]["readings"][0]["findings"][0]["label"]
    _, result, _ = task(steps=[{"settings": {"notify_above": {label: 0.0}}}, {"settings": {}}])
    finding = result["readings"][0]["findings"][0]
    text = result.get("__mercure_notification", {}).get("text", "")
    assert text.startswith(f"{label}: 1 of 1 films") == finding["present"]
    assert "SECRET" not in text


def test_its_own_objects_are_no_films(task):
    task()
    for path in (task.folder.parent / "out").glob("*.dcm"):
        path.rename(task.folder / path.name)
    _, result, objects = task()
    assert (len(result["readings"]), len(objects)) == (1, 2)


def test_what_cannot_be_opened_fails_the_task_and_a_refused_film_does_not(task, capsys):
    (film,) = task.folder.glob("*.dcm")
    (task.folder / "1.2#3.dcm").write_bytes(b"no film")
    torn = bytes(128) + b"DICM" + bytes.fromhex("02001000") + b"UI\x16\x001.2.840.10008.1.2.1.99"
    (task.folder / "1.2#4.dcm").write_bytes(torn + b"is not deflated")
    code, result, _ = task()
    statuses = [each["status"] for each in result["readings"]]
    assert (code, statuses) == (0, ["error", "error", "read"])
    film.unlink()
    assert task()[0] == 1
    assert "no film could be opened" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"object": "sr"}, "did you mean 'objects'"), ({"objects": "ct"}, "object 'ct'"),
     ({"prevalence": 2}, "prevalence")],
)  # fmt: skip
def test_wrong_settings_are_named(task, capsys, settings, said):
    assert task(settings)[0] == 6
    assert said in capsys.readouterr().err
