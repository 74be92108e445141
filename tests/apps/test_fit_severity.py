from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.apps.cli.main import run
from hilum.bundle.severity import open_severity
from hilum.core.details import Scale
from hilum.image.open import open_radiograph
from hilum.serve.film import open_film
from hilum.serve.reader import Reader, load_bundle
from hilum.serve.samples import ROOT
from hilum.serve.severity import film_features, gather_features

PATIENTS = 26
TEACHER = Path(__file__).parents[2] / "recipes" / "teacher"


def mask_side(reader: Reader) -> int:
    """Of the square that lungs and opacities lie on."""
    return reader.segment(open_radiograph(ROOT / "frontal.png")).mask.shape[0]


def blend(share: float, seed: int) -> np.ndarray:
    """A virtual film, turned a little, with a share of its opacities."""
    clear, ill = (
        cv2.imread(str(ROOT / name), cv2.IMREAD_GRAYSCALE).astype(np.float64)
        for name in ("frontal.png", "frontal-opacities.png")
    )
    rng = np.random.default_rng(seed)
    small = cv2.resize((1 - share) * clear + share * ill, (256, 256), interpolation=cv2.INTER_AREA)
    turn = cv2.getRotationMatrix2D((128, 128), rng.uniform(-4, 4), rng.uniform(1, 1.05))
    turned = cv2.warpAffine(small, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    return np.clip(turned + rng.normal(0, 3, turned.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scored_csv(tmp_path_factory):
    """A scored film of each patient, three normal ones, three read for opacities."""
    folder = tmp_path_factory.mktemp("severity")
    rows = []
    for i in range(PATIENTS + 6):
        share = float(i < PATIENTS) * (i % 5) / 4
        cv2.imwrite(str(folder / f"{i}.png"), blend(share, i))
        row = {"case_id": f"made/{i}", "path": f"{i}.png", "cohort": "made", "source": "made"}
        row |= {"patient_id": f"made/p{i}", "group": f"made/p{i}", "covid-19": 0}
        if i < PATIENTS:
            row["scores"] = json.dumps({"geographic-extent": 8 * share, "opacity": 6 * share})
        elif i < PATIENTS + 3:
            row["no-finding"] = 1
        else:
            row |= {"lung-opacity": 0, "cohort": "elsewhere"}
        rows.append(row)
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    return folder / "cases.csv"


@pytest.fixture(scope="module")
def opacities(tmp_path_factory):
    """The opacity network of Hilum 0.3.0, as if it had learned from three of the films."""
    folder = tmp_path_factory.mktemp("opacities")
    shutil.copy(TEACHER / "opacities.onnx", folder)
    spec = json.loads((TEACHER / "opacities.json").read_text())
    spec["made"]["trained_on"] = ["made/0", "made/1", "made/2"]
    (folder / "opacities.json").write_text(json.dumps(spec))
    return folder


@pytest.fixture(scope="module")
def fitted(scored_csv, opacities, tmp_path_factory):
    out = tmp_path_factory.mktemp("fitted") / "out"
    call = ["bundle", "fit-severity", str(scored_csv), "-o", str(out), "--json"]
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        call += ["--opacities", str(opacities)]
        assert run([*call, "--bootstrap", "20", "--folds", "3"]) == 0
    (out / "said.json").write_text(said.getvalue())
    (out / "told.txt").write_text(told.getvalue())
    return out


def test_films_that_the_opacity_network_learned_from_are_told(fitted):
    told = (fitted / "told.txt").read_text()
    assert "warning: the opacity network learned from 3 of the scored films" in told
    assert open_severity(fitted).made["extents_in_sample"] == 3


def test_a_score_that_is_on_the_film_is_learned(fitted):
    figures = pd.read_csv(fitted / "severity.csv")
    figures = figures[(figures["score"] == "geographic-extent") & (figures["films"] == "all")]
    errors = figures.set_index("features")["mae"]
    assert errors["all but extents"] < 0.6 * errors["constant (median)"]
    assert (figures["n"] == PATIENTS).all()


def test_what_was_written_estimates_a_film_as_the_bundle_would(fitted, scored_csv):
    models = open_severity(fitted)
    assert models is not None
    assert {model.scale for model in models.models} == {Scale.EXTENT, Scale.OPACITY}  # no Brixia
    reader = load_bundle(threads=1)
    means = []
    for share in (0.0, 1.0):
        path = scored_csv.parent / f"new-{share}.png"
        cv2.imwrite(str(path), blend(share, 99))
        film = open_film(path, reader.preprocess, reader.segmenter, reader.gate, keep=True)
        found = models.estimate(film_features(reader, film, None))
        assert [each.scale for each in found] == [Scale.EXTENT, Scale.OPACITY]
        means.append(found[0].value)
    assert means[0] < 3 < 5 < means[1]


def test_json_is_one_valid_object_and_nothing_else(fitted):
    said = (fitted / "said.json").read_text()
    found = json.loads(said, parse_constant=lambda token: pytest.fail(token))
    assert found["figures"][0]["score"] == "geographic-extent"


def test_figures_and_estimates_are_keyed_by_case_and_finite(fitted):
    estimates = pd.read_csv(fitted / "estimates.csv")
    assert len(estimates) == PATIENTS + 3
    assert np.isfinite(estimates.drop(columns="case_id").to_numpy()).all()
    assert (fitted / "severity.json").stat().st_size < 400_000


def test_a_film_that_is_not_read_is_a_row_with_a_reason(tmp_path):
    (tmp_path / "text.png").write_text("no film")
    cv2.imwrite(str(tmp_path / "film.png"), blend(0.5, 1))
    films = {"a": tmp_path / "text.png", "b": tmp_path / "film.png"}
    found = gather_features(load_bundle(threads=1), films, progress=False)
    assert set(found.features) == {"b"}
    assert set(found.not_read) == {"a"}
    assert found.not_read["a"]


def test_too_few_scores_and_a_network_without_embedding_are_refused(
    scored_csv, small_bundle, tmp_path, capsys
):
    few = scored_csv.with_name("few.csv")
    pd.read_csv(scored_csv).head(3).to_csv(few, index=False)
    assert run(["bundle", "fit-severity", str(few), "-o", str(tmp_path / "x")]) == 4
    assert "expected at least 20" in capsys.readouterr().err
    assert (
        run(
            ["bundle", "fit-severity", "-b", str(small_bundle), str(few), "-o", str(tmp_path / "x")]
        )
        == 7
    )
    assert "group 'classifier'" in capsys.readouterr().err


def test_what_is_missing_is_named(scored_csv, tmp_path, capsys):
    out = ["-o", str(tmp_path / "out")]
    assert run(["bundle", "fit-severity", str(scored_csv), "--opacities", str(tmp_path), *out]) == 7
    assert "no opacity network there" in capsys.readouterr().err
    cases = pd.read_csv(scored_csv)
    cases.assign(path="/gone/" + cases["path"]).to_csv(tmp_path / "gone.csv", index=False)
    assert run(["bundle", "fit-severity", str(tmp_path / "gone.csv"), *out]) == 4
    assert "films could be read; the first: made/0: no such file" in capsys.readouterr().err
