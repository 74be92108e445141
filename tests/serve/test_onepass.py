"""A bundle of one network: lungs, opacities and answers from one inference."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from hilum.bundle import onnx
from hilum.bundle.folder import seal
from hilum.bundle.lungs import LungSegmenter, copy_lungs
from hilum.bundle.onepass import MapOpacities, OnePass, SeenLungs, open_segmenter
from hilum.bundle.onnx import Graph
from hilum.bundle.opacities import OPACITIES_SPEC, read_spec
from hilum.core.details import Opacity
from hilum.core.errors import BundleError
from hilum.core.reading import Status
from hilum.image.boxes import BoxSettings
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS
from hilum.image.open import open_radiograph
from hilum.serve.reader import Reader, load_bundle

GLASS, DENSE = (64, 112, 48, 80), (144, 192, 160, 208)
"""Rows and columns of the two opacities on the film."""


def draw() -> np.ndarray:
    """A light chest with two dark lungs; ground-glass in the right one, consolidation in the left.

    uint8 (256, 256): 230 outside, 30 in the lungs, 100 and 140 in the opacities.
    """
    film = np.full((256, 256), 230, np.uint8)
    film[48:208, 32:112] = film[48:208, 144:224] = 30
    for (top, bottom, left, right), grey in ((GLASS, 100), (DENSE, 140)):
        film[top:bottom, left:right] = grey
    return film


@pytest.fixture
def bundle(one_pass_bundle: Path) -> Path:
    return one_pass_bundle


@pytest.fixture
def reader(bundle: Path) -> Reader:
    return load_bundle(bundle)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "film.png"), draw())
    return tmp_path / "film.png"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many films each inference saw."""
    seen: list[int] = []
    run = Graph.run

    def count(self: Graph, inputs: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        seen.append(len(inputs))
        return run(self, inputs, outputs)

    monkeypatch.setattr(Graph, "run", count)
    return seen


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_one_inference_says_everything_of_a_film(
    reader: Reader, film: Path, runs: list[int]
) -> None:
    (examined,) = reader.examine([film], details=True)
    assert runs == [1]
    assert examined.reading.status is Status.READ
    grey = draw()
    assert isinstance(examined.lungs, SeenLungs)
    assert overlap(examined.lungs.mask, grey < 200) > 0.93
    assert examined.opacities is not None
    glass, dense = map(examined.opacities.mask, KINDS)
    for found, grey_level in ((glass, 100), (dense, 140)):
        assert overlap(found, grey == grey_level) > 0.8
    details = examined.reading.details
    assert details is not None
    assert len(details.lungs) == 2
    assert {lesion.kind for lesion in details.lesions} == set(Opacity)


def test_the_answers_are_those_of_the_network_alone(
    reader: Reader, film: Path, runs: list[int]
) -> None:
    reading = reader.read(film)
    assert runs == [1]
    logits, _ = reader.run(reader.preprocess(open_radiograph(film))[None])
    assert [finding.logit for finding in reading.findings] == pytest.approx(logits[0].tolist())


def test_the_network_is_loaded_once_and_again_when_it_is_asked_alone(
    bundle: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[int] = []
    load = onnx._load

    def count(path: str, threads: int, on: str, hint: str) -> onnxruntime.InferenceSession:
        loaded.append(threads)
        return load(path, threads, on, hint)

    monkeypatch.setattr(onnx, "_load", count)
    reader = load_bundle(bundle, threads=2)
    reader.read(film, details=True)
    assert loaded == [1]
    reader.run(reader.preprocess(open_radiograph(film))[None])
    assert loaded == [1, 2]


def test_a_network_without_what_the_manifest_says_is_refused_at_once(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Graph.__init__

    def without_evidence(self: Graph, path: Path, threads: int | None = None) -> None:
        load(self, path, threads)
        del self.outputs["evidence"]

    monkeypatch.setattr(Graph, "__init__", without_evidence)
    with pytest.raises(BundleError, match="expected 'evidence'"):
        load_bundle(bundle)


def test_many_films_are_each_seen_once_and_a_bad_one_never(
    reader: Reader, film: Path, tmp_path: Path, runs: list[int]
) -> None:
    broken, small = tmp_path / "broken.png", tmp_path / "small.png"
    broken.write_bytes(film.read_bytes()[:200])
    cv2.imwrite(str(small), draw()[:20, :20])
    found = [one.status for one in reader.read_many([film, broken, film, small, film])]
    assert found == [Status.READ, Status.ERROR, Status.READ, Status.REFUSED, Status.READ]
    assert sum(runs) == 3


def test_lungs_drawn_by_hand_are_looked_into_once_more(bundle: Path, film: Path) -> None:
    opacities = MapOpacities(bundle)
    mask = np.zeros((256, 256), bool)
    mask[48:208, 32:112] = True  # the right lung alone
    found = opacities.segment(open_radiograph(film), Lungs.drawn(mask))
    glass, dense = map(found.mask, KINDS)
    assert overlap(glass, draw() == 100) > 0.8
    assert not dense.any()
    none = opacities.segment(open_radiograph(film), Lungs.drawn(np.zeros((256, 256), bool)))
    assert not none.mask().any()


def test_boxes_are_those_of_the_bundle_times_the_films_answer(bundle: Path, film: Path) -> None:
    def boxes(label: str, settings: BoxSettings) -> list[float]:
        values = json.loads((bundle / "bundle.json").read_text())
        said = json.dumps(values["labels"][1]).replace('"pneumonia"', f'"{label}"')
        values["labels"][1] = json.loads(said)
        (bundle / "bundle.json").write_text(json.dumps(values))
        spec = read_spec(bundle / OPACITIES_SPEC).model_copy(update={"boxes": settings})
        (bundle / OPACITIES_SPEC).write_text(spec.model_dump_json())
        seal(bundle)
        reading = load_bundle(bundle).read(film, details=True)
        assert reading.details is not None
        answer = 1 / (1 + math.exp(-reading.findings[1].logit))
        chance = answer if label == "lung-opacity" else 1
        return [each.score / chance for each in reading.details.boxes]

    plain = boxes("pneumonia", BoxSettings())
    assert len(plain) == 2
    assert boxes("lung-opacity", BoxSettings()) == pytest.approx(plain, abs=5e-4)
    assert len(boxes("lung-opacity", BoxSettings(most=1))) == 1


def test_nothing_is_lost_where_the_kinds_meet(reader: Reader, tmp_path: Path) -> None:
    grey = np.full((256, 256), 230, np.uint8)
    grey[48:208, 32:112] = grey[48:208, 144:224] = 100
    grey[112:160, 32:112] = 140  # consolidation between two parts of ground-glass
    cv2.imwrite(str(tmp_path / "meet.png"), grey)
    (examined,) = reader.examine([tmp_path / "meet.png"], details=True)
    assert examined.opacities is not None
    inside = cv2.erode((grey < 200).astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert examined.opacities.mask()[inside].all()


def test_the_network_finds_the_same_lungs_for_a_bundle_of_another(
    bundle: Path, reader: Reader, film: Path, tmp_path: Path, make_bundle
) -> None:
    other = make_bundle(tmp_path / "other", region="lung-field")
    copy_lungs(bundle, other)
    seal(other)
    (examined,) = reader.examine([film])
    (cut,) = load_bundle(other).examine([film])
    assert cut.reading.status is Status.READ
    assert cut.lungs is not None
    assert examined.lungs is not None
    assert not isinstance(cut.lungs, SeenLungs)  # what the other network said is not its answer
    np.testing.assert_array_equal(cut.lungs.mask, examined.lungs.mask)
    np.testing.assert_allclose(cut.lungs.embedding, examined.lungs.embedding, rtol=1e-6)
    assert LungSegmenter(other).checksum == OnePass(bundle).checksum


def test_a_bundle_without_lungs_borrows_those_of_the_package_and_answers_itself(
    bundle: Path, small_bundle: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hilum.bundle.lungs.DEFAULT_BUNDLE", bundle)
    monkeypatch.setattr("hilum.serve.reader.DEFAULT_BUNDLE", bundle)
    own = load_bundle(small_bundle)
    (examined,) = own.examine([film])
    assert examined.lungs is not None
    assert overlap(examined.lungs.mask, draw() < 200) > 0.93
    logits, _ = own.run(own.preprocess(open_radiograph(film))[None])
    found = [finding.logit for finding in examined.reading.findings]
    assert found == pytest.approx(logits[0].tolist())


def test_a_folder_says_what_finds_its_lungs(bundle: Path, tmp_path: Path, make_bundle) -> None:
    assert isinstance(open_segmenter(bundle), OnePass)
    with pytest.raises(BundleError, match="no lung network"):
        open_segmenter(make_bundle(tmp_path / "plain"))
