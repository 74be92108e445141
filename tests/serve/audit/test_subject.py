from __future__ import annotations

import cv2
import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from hilum.core.errors import BundleError, CohortError, ConfigError
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.judge.schema import EvaluationSettings
from hilum.serve.audit import BundleSubject, OnnxSubject, PredictSubject, audit
from hilum.serve.audit.scores import GivenScores
from hilum.serve.audit.subject import lungs_of_table
from hilum.serve.evaluate import evaluate
from hilum.serve.gate import CORRECTIONS
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT

HOW = Preprocess(size=8, channels=1, low_percentile=None, high_percentile=None, mean=0, std=1)


@pytest.fixture
def radiographs():
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0, 1, (3, 100, 80)).astype(np.float32)
    return [Radiograph(each, f"{i}.png", "PNG", 8) for i, each in enumerate(pixels)]


def graph(path, shape, columns=3):
    """Each column is the mean of the image times its number, whatever the layout."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Mul", ["column", "gains"], ["scores"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("gains", TensorProto.FLOAT, [columns], range(columns)),
    ]
    made = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", columns])],
        constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8, 1)])
@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "none"])
def test_an_onnx_file_is_read_in_either_layout(shape, activation, radiographs, tmp_path):
    path = graph(tmp_path / "m.onnx", shape)
    subject = OnnxSubject(path, HOW, index=1, activation=activation)
    means = np.array([HOW(film).mean() for film in radiographs])
    logits = means[:, None] * np.arange(3)
    expected = {
        "sigmoid": 1 / (1 + np.exp(-logits[:, 1])),
        "softmax": np.exp(logits[:, 1]) / np.exp(logits).sum(axis=1),
        "none": logits[:, 1],
    }[activation]
    assert subject.guarded(radiographs) == pytest.approx(expected, abs=1e-6)


def test_wrong_outputs_and_columns_are_named(radiographs, tmp_path):
    path = graph(tmp_path / "m.onnx", (1, 8, 8))
    with pytest.raises(BundleError, match="no output 'score'") as raised:
        OnnxSubject(path, HOW, output="score")
    assert "scores" in raised.value.hint
    with pytest.raises(ConfigError, match="3 columns"):
        OnnxSubject(path, HOW, index=3).guarded(radiographs)
    path = graph(tmp_path / "one.onnx", (1, 8, 8), columns=1)
    with pytest.raises(ConfigError, match="has 1 column, of which softmax makes 1"):
        OnnxSubject(path, HOW, activation="softmax").guarded(radiographs)


@pytest.mark.parametrize(
    ("predict", "message"),
    [(lambda films: [0.5], "1 scores for 3 films"), (lambda films: [0, 50, 90], "a score of 50")],
)
def test_what_is_no_score_is_refused(predict, message, radiographs):
    with pytest.raises(ConfigError, match=message):
        PredictSubject(predict).guarded(radiographs)


def test_a_bundle_is_looked_at_as_it_reads(small_bundle, films):
    reader = load_bundle(small_bundle)
    subject = BundleSubject(reader, "pneumonia")
    path = films / "a.png"
    expected = reader.read(path).findings[1]
    radiograph = open_radiograph(path)
    look = subject.look([radiograph], [None], detail=True)
    assert look.score[0] == pytest.approx(expected.score)
    assert look.evidence[0].shape == radiograph.shape
    assert subject.guarded([radiograph])[0] == pytest.approx(expected.score, abs=1e-4)
    blank = Radiograph(np.full((100, 100), 0.5, np.float32), "blank", "PNG", 8)
    assert np.isnan(subject.guarded([blank])[0])
    with pytest.raises(ConfigError, match="label 'sars'"):
        BundleSubject(reader, "sars")


def test_a_bundle_is_shown_films_without_what_its_own_map_marks(tmp_path):
    """On a film with opacities in one lung, so that as much clear lung can be painted over."""
    names = ("one-lung", "clear")
    opaque, clear = (
        cv2.imread(str(ROOT / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        for name in ("frontal-opacities", "frontal")
    )
    half = opaque.shape[1] // 2
    paths = [str(tmp_path / f"{name}.png") for name in names]
    cv2.imwrite(paths[0], np.hstack([opaque[:, :half], clear[:, half:]]))
    cv2.imwrite(paths[1], clear)
    subject = BundleSubject(load_bundle(), "covid-19")
    film = open_radiograph(paths[0])
    opaque = subject.opacities(film, subject.reader.segment(film))
    assert opaque.shape == film.shape
    assert opaque.any()
    cases = pd.DataFrame(
        {
            "case_id": names,
            "path": paths,
            "cohort": "virtual",
            "source": "virtual",
            "patient_id": names,
            "covid-19": [1.0, 0.0],
        }
    )
    found = audit(
        subject=subject, cases=cases, threshold=0, find_lungs=subject.reader.segment,
        only=["opacity-hidden", "ward"], folds=20, out=tmp_path, progress=False,
    )  # fmt: skip
    assert "The map marks opacities on" in found["opacity-hidden"].said
    assert "has no portable" in found["ward"].said
    scores = pd.read_csv(tmp_path / "scores.csv", index_col="case_id")
    assert scores.loc[names[0], "score_opacity-hidden"] != scores.loc[names[0], "score"]


def test_a_bundle_is_audited_on_the_films_that_it_reads_and_as_it_reads_them(tmp_path):
    """The lateral film is refused, the negative put right, one file broken: as by evaluate."""
    names = ("clear", "opaque", "negative", "lateral", "broken", "small")
    paths = {name: str(tmp_path / f"{name}.png") for name in names}
    clear, opaque, lateral = (
        cv2.imread(str(ROOT / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        for name in ("frontal", "frontal-opacities", "lateral")
    )
    pictures = (clear, opaque, 255 - opaque, lateral, None, clear[:40, :40])
    for name, picture in zip(names, pictures, strict=True):
        if picture is not None:
            cv2.imwrite(paths[name], picture)
    (tmp_path / "broken.png").write_bytes(b"no film")
    cases = pd.DataFrame(
        {
            "case_id": names,
            "path": list(paths.values()),
            "cohort": "virtual",
            "source": "virtual",
            "patient_id": names,
            "covid-19": [0.0, 1.0, 1.0, 0.0, 0.0, 1.0],
        }
    )
    reader = load_bundle()
    judged = evaluate(
        reader, cases, labels=["covid-19"], settings=EvaluationSettings(folds=0, nuisance=False),
        out=tmp_path / "evaluated", progress=False,
    )  # fmt: skip
    found = audit(
        subject=BundleSubject(reader, "covid-19"), cases=cases, only=["informative"], folds=20,
        out=tmp_path / "audited", progress=False,
    )  # fmt: skip
    scores, expected = (
        pd.read_csv(tmp_path / folder / file, index_col="case_id")["score"].sort_index()
        for folder, file in (("audited", "scores.csv"), ("evaluated", "predictions.csv"))
    )
    assert set(expected.index) == {"clear", "opaque", "negative"}
    pd.testing.assert_series_equal(scores, expected, atol=1e-5)
    by_name = sorted(judged.not_read, key=lambda film: film.case_id)
    assert sorted(found.not_read, key=lambda film: film.case_id) == by_name
    assert {film.case_id: film.code for film in by_name} == {
        "broken": "",
        "lateral": "lateral",
        "small": "too-small",
    }
    assert found.flow[-1].detail == (
        "2 positive, 1 negative; 2 refused, 1 in error; the reasons are below"
    )
    assert found.flow[-1].films == judged.flow[2].films == 3


def test_lungs_that_are_needed_are_found(radiographs, tmp_path):
    path = graph(tmp_path / "m.onnx", (1, 8, 8))
    field = HOW.model_copy(update={"region": "lung-field", "margin": 0.0})
    mask = np.zeros((100, 80), bool)
    mask[20:50, 10:40] = True
    lungs = Lungs.drawn(mask)
    found = OnnxSubject(path, field, index=1, find_lungs=lambda film: lungs).guarded(radiographs)
    given = OnnxSubject(path, field, index=1).look(radiographs, [lungs] * 3).score
    whole = OnnxSubject(path, HOW, index=1).guarded(radiographs)
    assert np.array_equal(found, given)
    assert not np.allclose(found, whole, atol=1e-6)


def test_masks_of_a_table_become_lungs(tmp_path):
    mask = np.zeros((100, 80), np.uint8)
    mask[20:80, 10:70] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    cases = pd.DataFrame({"path": ["a.png", "b.png"], "lung_mask": [str(tmp_path / "m.png"), ""]})
    find = lungs_of_table(cases)
    pixels = np.zeros((100, 80), np.float32)
    assert find(Radiograph(pixels, "a.png", "PNG", 8)).area == pytest.approx(0.45, abs=0.01)
    assert find(Radiograph(pixels, "b.png", "PNG", 8)).area == 0
    with pytest.raises(CohortError, match="lung_mask"):
        lungs_of_table(cases.assign(lung_mask=""))


def test_a_mask_of_a_film_that_the_gate_turned_is_none_of_the_film_that_is_read(tmp_path):
    """The mask lies as the file does; a negative that is put right lies as it came."""
    mask = np.zeros((100, 80), np.uint8)
    mask[20:80, 10:70] = 255
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    cases = pd.DataFrame({"path": ["a.png"], "lung_mask": [str(tmp_path / "m.png")]})
    film = Radiograph(np.zeros((100, 80), np.float32), "a.png", "PNG", 8)
    areas = {
        name: lungs_of_table(cases)(
            film.stepped(np.asarray(way.put_right(film.pixels)), "corrected", f"{way.done} (why)")
        ).area
        for name, way in CORRECTIONS.items()
    }
    assert areas.pop("inverted") == pytest.approx(0.45, abs=0.01)
    assert areas == dict.fromkeys(("rotated-left", "rotated-right", "upside-down"), 0)


def test_faults_of_a_table_of_scores_are_named():
    good = pd.DataFrame({"case_id": ["a", "b"], "score": [0.1, 0.2]})
    assert GivenScores.of(good, "covid-19", "x").scores.loc["b", "probability"] == 0.2
    both = pd.concat([good.assign(label="covid-19"), good.assign(label="sars", score=0.9)])
    assert GivenScores.of(both, "sars", "x").scores["score"].tolist() == [0.9, 0.9]
    with pytest.raises(CohortError, match="no column 'score'"):
        GivenScores.of(good.rename(columns={"score": "scores"}), "covid-19", "x")
    with pytest.raises(CohortError, match="a stands twice"):
        GivenScores.of(pd.concat([good, good]), "covid-19", "x")
    with pytest.raises(ConfigError, match=r"expected a number in \[0, 1\]"):
        GivenScores.of(good.assign(score=[3, 99]), "covid-19", "x")


def test_an_audit_needs_one_model_and_a_table():
    with pytest.raises(ConfigError, match="one of predict"):
        audit(cases=pd.DataFrame())
    with pytest.raises(ConfigError, match="cases table"):
        audit(lambda films: [])
