"""The examples do what they say, with the very files that a user would copy."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.case import COLUMNS
from hilum.core.reading import RESEARCH_USE
from hilum.data.table import read_cases
from hilum.serve.samples import read_samples

EXAMPLES = Path(__file__).parents[1] / "examples"
CALLED = sorted(path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("plot_"))
"""The scripts that take files; the others are drawings of the gallery."""


def _run(name, *arguments, codes=(0,)):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in codes, done.stderr
    return done.stdout


def _loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _scores(random, films):
    truth = (random.random(films) < 0.4).astype(int)
    score = 1 / (1 + np.exp(-(2.5 * truth - 2 + random.normal(0, 1.2, films))))
    return truth, score


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(each, marks=pytest.mark.slow) if each == "exchange_with_monai" else each
        for each in CALLED
    ],
)
def test_a_script_without_its_files_says_how_it_is_called(script):
    command = [sys.executable, str(EXAMPLES / f"{script}.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"python examples/{script}.py " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_becomes_a_table(tmp_path):
    film = next(sample.path for sample in read_samples() if sample.file == "frontal.png")
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.png").write_bytes(film.read_bytes())
    (tmp_path / "films" / "b.png").write_bytes(b"no film")
    _run("read_a_folder", tmp_path / "films", tmp_path / "readings.csv")
    table = pd.read_csv(tmp_path / "readings.csv")
    assert set(table["status"]) == {"read", "error"}
    assert table.loc[table["status"] == "error", "reason"].notna().all()
    assert table.loc[table["status"] == "read", "probability"].between(0, 1).all()


def test_scores_get_a_calibration_and_sets(tmp_path):
    truth, score = _scores(np.random.default_rng(1), 600)
    patients = [f"p{number // 2}" for number in range(600)]
    table = pd.DataFrame({"patient": patients, "truth": truth, "score": score})
    table.to_csv(tmp_path / "scores.csv", index=False)
    said = _run("trust_any_scores", tmp_path / "scores.csv")
    before, after = (float(word) for word in said.split("other half: ")[1].split()[:3:2])
    assert after < before
    assert said.count("sets hold the truth of 0.9") == 2


def _cases(folder, films):
    random = np.random.default_rng(7)
    folder.mkdir()
    rows = []
    for number in range(films):
        film = 90 + 12 * random.standard_normal((80, 80)) + np.linspace(0, 60, 80)[:, None]
        if number % 2:
            cv2.circle(film, (25, 50), 11, 230, -1)
        cv2.imwrite(str(folder / f"{number}.png"), np.clip(film, 0, 255).astype(np.uint8))
        row = {"case_id": f"mine/{number}", "path": str(folder / f"{number}.png"), "cohort": "mine"}
        row |= {"source": ("North", "South")[number // 2 % 2], "patient_id": f"mine/{number}"}
        rows.append(row | {"view": "PA", "covid-19": number % 2})
    table = pd.DataFrame(rows).reindex(columns=[*COLUMNS, "covid-19"])
    table.to_csv(folder.parent / "cases.csv", index=False)
    return table


def test_a_vendor_is_audited_by_its_scores(tmp_path):
    cases = _cases(tmp_path / "films", 60)
    scores = pd.DataFrame({"case_id": cases["case_id"], "score": 0.2 + 0.6 * cases["covid-19"]})
    scores.to_csv(tmp_path / "vendor.csv", index=False)
    out = tmp_path / "out"
    said = _run(
        "audit_a_vendor", tmp_path / "vendor.csv", tmp_path / "cases.csv", out, codes=(0, 10)
    )
    assert "pass" in said
    assert (out / "audit.html").is_file()


def test_a_network_that_is_no_bundle_is_shown_changed_films(tmp_path, capsys):
    """The example's own audit, of another model: the grey of one place."""
    example = _loaded(EXAMPLES / "audit_torchxrayvision.py")
    _cases(tmp_path / "films", 24)
    shown = []

    def predict(films):
        shown.extend(film.pixels.shape for film in films)
        return [float(film.pixels[50, 25] > 0.8) for film in films]

    files = str(tmp_path / "cases.csv"), "covid-19", str(tmp_path / "out")
    code = example.audited(predict, *files)
    said = capsys.readouterr().out
    kept = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert len(shown) > 24 * 5
    assert said.count("\n") == len(kept["tests"]) + 1
    assert code == (10 if kept["verdict"] in ("fail", "uninformative") else 0)
    informative = next(each for each in kept["tests"] if each["name"] == "informative")
    assert informative["verdict"] == "pass"


@pytest.mark.skipif(
    importlib.util.find_spec("torchxrayvision") is not None, reason="torchxrayvision is here"
)
def test_without_torchxrayvision_it_says_what_to_install(tmp_path):
    command = [sys.executable, str(EXAMPLES / "audit_torchxrayvision.py")]
    arguments = ["cases.csv", "pneumonia", str(tmp_path)]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'hilum[evaluate]' torch torchvision torchxrayvision" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_label_that_torchxrayvision_does_not_know_is_refused_before_its_weights_are_fetched(
    monkeypatch,
):
    example = _loaded(EXAMPLES / "audit_torchxrayvision.py")
    monkeypatch.setattr(example, "load", lambda: pytest.fail("fetched"))
    with pytest.raises(SystemExit, match="pneumonia, lung-opacity, consolidation, effusion"):
        example.main("cases.csv", "covid-19", "out")


def test_a_network_of_torchxrayvision_answers_films(tmp_path, capsys):
    """With weights of chance: its own are fetched, and tests have no network."""
    torchxrayvision = pytest.importorskip("torchxrayvision")
    example = _loaded(EXAMPLES / "audit_torchxrayvision.py")
    cases = _cases(tmp_path / "films", 24).rename(columns={"covid-19": "pneumonia"})
    cases.to_csv(tmp_path / "cases.csv", index=False)
    network = torchxrayvision.models.DenseNet(num_classes=18).eval()
    network.pathologies = torchxrayvision.datasets.default_pathologies
    network.apply_sigmoid = True
    predict = example.predictor(network, "pneumonia")
    files = str(tmp_path / "cases.csv"), "pneumonia", str(tmp_path / "out")
    assert example.audited(predict, *files) in (0, 10)
    assert "audit.html" in capsys.readouterr().out


@pytest.mark.slow
def test_each_of_two_hospitals_is_left_out_once(tmp_path):
    _cases(tmp_path / "films", 80)
    _run("train_on_two_hospitals", tmp_path / "cases.csv", tmp_path / "out")
    for source in ("North", "South"):
        split = pd.read_csv(tmp_path / "out" / source / "split.csv")
        assert set(split.loc[split["split"] == "test", "source"]) == {source}
        assert (tmp_path / "out" / source / "run" / "bundle" / "bundle.json").is_file()


def test_the_notebook_runs_and_is_kept_without_outputs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(EXAMPLES / "first_look.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    where = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
    shown = [output.get("data", {}) for cell in code for output in cell.outputs]
    pages = [each["text/html"] for each in shown if "text/html" in each]
    assert sum(RESEARCH_USE in page for page in pages) == 2
    assert "data:image/jpeg" in pages[0]
    assert any("image/png" in each for each in shown)


@pytest.fixture(scope="module")
def gallery():
    return _loaded(EXAMPLES.parent / "tools" / "gallery.py")


def test_the_page_of_the_gallery_is_that_of_its_scripts(gallery):
    page = EXAMPLES.parent / "docs" / "gallery.md"
    assert page.read_text(encoding="utf-8") == gallery.page(), "run: python tools/gallery.py"


def test_every_script_of_the_gallery_draws_its_picture(gallery, tmp_path):
    for script in gallery.scripts():
        out = tmp_path / f"{script.stem}.png"
        gallery.draw(script, out)
        kept = EXAMPLES.parent / "docs" / "images" / "gallery" / out.name
        drawn, committed = cv2.imread(str(out)), cv2.imread(str(kept))
        assert drawn.shape == committed.shape
        assert drawn.std() > 20


def test_a_cohort_goes_to_monai_and_comes_back(tmp_path):
    cases = _cases(tmp_path / "films", 12)
    cases["split"] = (["train"] * 2 + ["val", "test"]) * 3
    cases["group"] = cases["patient_id"]
    cases.loc[11, "covid-19"] = np.nan  # unknown stays out
    cases.to_csv(tmp_path / "cases.csv", index=False)
    files = tmp_path / "cases.csv", "covid-19", tmp_path / "list.json", tmp_path / "back.csv"
    said = _run("exchange_with_monai", *files)
    assert "a batch: (2, 1, 80, 80)" in said
    back = read_cases(tmp_path / "back.csv").set_index("case_id")
    same = ["path", "source", "patient_id", "group", "covid-19", "split"]
    known = read_cases(tmp_path / "cases.csv").dropna(subset=["covid-19"]).set_index("case_id")
    pd.testing.assert_frame_equal(back[same], known.loc[back.index, same])
    assert len(back) == 11
