from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from hilum.bundle.folder import seal
from hilum.bundle.lungs import LungSegmenter
from hilum.core.details import Scale, Side
from hilum.core.reading import Status
from hilum.serve.reader import load_bundle
from hilum.serve.samples import ROOT, read_samples

FILM = ROOT / "frontal-opacities.png"
TEACHER = Path(__file__).parents[2] / "recipes" / "teacher"


@pytest.fixture(scope="module")
def reader():
    return load_bundle()


@pytest.fixture(scope="module")
def examined(reader):
    (one,) = reader.examine([FILM], details=True, keep=True)
    return one


@pytest.fixture(scope="module")
def details(examined):
    return examined.reading.details


def _filled(outline, shape):
    return cv2.fillPoly(np.zeros(shape, np.uint8), [np.array(outline, np.int32)], 1) > 0


def test_details_are_there_only_when_they_are_asked_for(reader):
    assert reader.read(FILM).details is None
    assert reader.read(FILM, details=True).details is not None


def test_a_film_that_was_not_read_has_none(reader, tmp_path):
    (tmp_path / "notes.txt").write_text("no film")
    lateral = next(sample.path for sample in read_samples() if "lateral" in sample.file)
    for path in (tmp_path / "notes.txt", lateral):
        reading = reader.read(path, details=True)
        assert reading.status is not Status.READ
        assert reading.details is None


def test_a_bundle_without_parts_still_says_where_the_lungs_are(small_bundle):
    details = load_bundle(small_bundle).read(FILM, details=True).details
    assert details is not None
    assert [lung.side for lung in details.lungs] == [Side.RIGHT, Side.LEFT]
    rest = details.affected, details.lesions, details.boxes, details.severity, details.similar
    assert not any(rest)


def test_outlines_of_lungs_enclose_the_lungs_and_lesions_lie_within(examined, details):
    shape = examined.radiograph.shape
    lungs = examined.lungs.on_film(shape)
    drawn = np.logical_or.reduce([_filled(lung.outline, shape) for lung in details.lungs])
    assert (drawn & lungs).sum() / (drawn | lungs).sum() > 0.95
    for lesion in details.lesions:
        inside = _filled(lesion.outline, shape)
        assert (inside & drawn).sum() > 0.95 * inside.sum()


def test_shares_of_sides_and_zones_add_up(examined, details):
    rows = {(row.side, row.zone): row.share for row in details.affected}
    assert len(rows) == 9
    areas = {lung.side: lung.area for lung in details.lungs}
    mean = sum(rows[side, None] * area for side, area in areas.items()) / sum(areas.values())
    assert rows[None, None] == pytest.approx(mean, abs=1e-3)
    opaque = examined.opacities.mask() & examined.lungs.mask
    assert rows[None, None] == pytest.approx(opaque.sum() / examined.lungs.mask.sum(), abs=0.01)


def test_the_opacities_that_were_put_into_the_film_are_among_those_found(examined):
    """The renderer put opacities into both lungs; chance would cover them by their share."""
    put = cv2.imread(str(ROOT / "frontal-opacities.lesions.png"), cv2.IMREAD_GRAYSCALE) > 127
    lungs = examined.lungs.on_film(put.shape)
    found = examined.opacities.on_film(put.shape)
    assert found[put & lungs].mean() > 0.85
    assert found[put & lungs].mean() > found[lungs & ~put].mean() + 0.2


def test_severity_has_every_scale_and_its_interval(details):
    assert [each.scale for each in details.severity] == list(Scale)
    for each in details.severity:
        assert each.minimum <= each.low <= each.value <= each.high <= each.maximum
        assert each.notice == "research score"


@pytest.mark.parametrize("side", [Side.RIGHT, Side.LEFT])
def test_a_film_of_one_lung_has_no_severity_of_both(reader, tmp_path, side):
    film = cv2.imread(str(FILM), cv2.IMREAD_GRAYSCALE)
    half = slice(0, film.shape[1] // 2) if side is Side.LEFT else slice(film.shape[1] // 2, None)
    film[:, half] = int(film.mean())
    cv2.imwrite(str(tmp_path / "half.png"), film)
    details = reader.read(tmp_path / "half.png", details=True).details
    assert [each.side for each in details.lungs] == [side]
    assert details.affected
    assert details.severity == ()


def test_similar_films_come_nearest_first(reader, details):
    distances = [each.distance for each in details.similar]
    assert len(distances) == 5
    assert distances == sorted(distances)
    assert all(set(each.labels) <= set(reader.labels) for each in details.similar)


def test_many_together_say_what_each_says_alone(reader):
    paths = [ROOT / "frontal.png", FILM, ROOT / "frontal.dcm"] * 2
    many = list(reader.read_many(paths, details=True, batch_size=4, workers=2))
    for path, together in zip(paths, many, strict=True):
        alone = reader.read(path, details=True).details
        assert together.details.affected == alone.affected
        assert together.details.boxes == alone.boxes
        for one, other in zip(together.details.severity, alone.severity, strict=True):
            assert one.value == pytest.approx(other.value, abs=0.02)


def test_a_bundle_of_0_3_0_reads_with_its_three_networks(make_bundle, tmp_path):
    """Lungs, opacities and answers each had a network; the two here are those of that release."""
    root = make_bundle(tmp_path / "old", region="lungs-only", margin=0.1)
    for file in TEACHER.glob("*.on*"):
        shutil.copyfile(file, root / file.name)
        shutil.copyfile(file.with_suffix(".json"), root / file.with_suffix(".json").name)
    assert {"lungs.onnx", "opacities.onnx"} < {path.name for path in root.iterdir()}
    seal(root)
    reader = load_bundle(root)
    assert isinstance(reader.segmenter, LungSegmenter)
    (one,) = reader.examine([FILM], details=True, keep=True)
    assert one.reading.status is Status.READ
    assert [lung.side for lung in one.reading.details.lungs] == [Side.RIGHT, Side.LEFT]
    put = cv2.imread(str(ROOT / "frontal-opacities.lesions.png"), cv2.IMREAD_GRAYSCALE) > 127
    found = one.opacities.on_film(put.shape)
    assert 2 * (found & put).sum() / (found.sum() + put.sum()) > 0.75
    heat = reader.heatmap(one.radiograph, "covid-19")
    assert 0.05 < np.isnan(heat).mean() < 0.9  # beyond the box around the lungs
