from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle, seal
from hilum.bundle.lungs import LUNGS, LUNGS_SPEC, LungSegmenter
from hilum.core.errors import BundleError
from hilum.core.reading import Status
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.serve.lungs import COLORS, find_lungs, outline, with_notice
from hilum.serve.reader import Reader, load_bundle
from hilum.serve.report import Report
from hilum.serve.samples import ROOT

FRONTAL = ROOT / "frontal.png"


@pytest.fixture(scope="module")
def lung_reader(
    make_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Reader:
    """A bundle that reads the lung field, with a lung network of its own."""
    root = make_bundle(tmp_path_factory.mktemp("field") / "bundle", region="lung-field")
    for name in (LUNGS, LUNGS_SPEC):
        shutil.copyfile(DEFAULT_BUNDLE / name, root / name)
    seal(root)
    return load_bundle(root, threads=1)


def of_the_ct() -> np.ndarray:
    """The lungs of the CT, projected: with what lies behind heart and diaphragm."""
    return np.asarray(Image.open(ROOT / "frontal.lungs.png").convert("L")) > 127


def test_every_reading_comes_with_the_lungs(small_bundle: Path, lung_reader: Reader) -> None:
    for reader in (load_bundle(small_bundle, threads=1), lung_reader):
        (one,) = reader.examine([FRONTAL])
        assert one.lungs is not None
        radiograph = open_radiograph(FRONTAL)
        expected = reader.segment(radiograph)
        assert expected is not None
        np.testing.assert_array_equal(one.lungs.mask, expected.mask)
        found = one.lungs.on_film(radiograph.shape)
        assert (found & of_the_ct()).sum() > 0.93 * found.sum()
        assert (found & of_the_ct()).sum() > 0.5 * of_the_ct().sum()


def test_the_lungs_are_found_once_a_film(
    lung_reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = LungSegmenter.run

    def counted(self: LungSegmenter, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls.append(len(inputs))
        return real(self, inputs)

    monkeypatch.setattr(LungSegmenter, "run", counted)
    assert [one.reading.status for one in lung_reader.examine([FRONTAL] * 3)] == [Status.READ] * 3
    assert sum(calls) == 3


def test_a_reading_of_the_lung_field_sees_the_crop_alone(lung_reader: Reader) -> None:
    (one,) = lung_reader.examine([FRONTAL], keep=True)
    assert one.radiograph is not None
    assert one.evidence is not None
    inputs = lung_reader.preprocess(one.radiograph, one.lungs)
    logits, _ = lung_reader.run(inputs[None])
    assert [f.logit for f in one.reading.findings] == pytest.approx(logits[0].tolist(), abs=1e-4)
    assert "preprocess: cut to the box around the lungs, with a margin of 10% of its sides" in (
        one.reading.history
    )
    heatmap = lung_reader.on_film(one.evidence, "covid-19", one.radiograph.shape, one.lungs)
    np.testing.assert_array_equal(heatmap, lung_reader.heatmap(one.radiograph, "covid-19"))
    assert one.lungs is not None
    top, left, bottom, right = one.lungs.box(0.1)
    height, width = one.radiograph.shape
    seen = np.isfinite(heatmap)
    assert seen.mean() == pytest.approx((bottom - top) * (right - left), abs=0.01)
    assert seen[int((top + bottom) / 2 * height), int((left + right) / 2 * width)]


def test_findings_say_how_much_of_their_evidence_lies_in_the_lungs(lung_reader: Reader) -> None:
    (one,) = lung_reader.examine([FRONTAL], keep=True)
    assert one.radiograph is not None
    assert one.evidence is not None
    assert one.lungs is not None
    for finding in one.reading.findings:
        shape = one.radiograph.shape
        heatmap = lung_reader.on_film(one.evidence, finding.label, shape, one.lungs)
        positive = np.maximum(np.nan_to_num(heatmap), 0)
        expected = positive[one.lungs.on_film(shape)].sum() / positive.sum()
        assert finding.in_lung_share == pytest.approx(float(expected), abs=0.01)
    report = Report(lung_reader)
    report.add(one)
    shown = f"{100 * (one.reading.findings[0].in_lung_share or 0):.0f} %"
    assert shown in report.html()


def test_a_network_without_maps_has_no_share(make_bundle: Callable[..., Path], tmp_path) -> None:
    reader = load_bundle(make_bundle(tmp_path / "plain", evidence=False), threads=1)
    (one,) = reader.examine([FRONTAL])
    assert one.reading.status is Status.READ
    assert [finding.in_lung_share for finding in one.reading.findings] == [None, None]


def test_a_bundle_that_reads_the_lung_field_must_carry_its_network(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_bundle(tmp_path / "lacking", region="lung-field")
    with pytest.raises(BundleError, match="no lung network here"):
        Reader(open_bundle(root), threads=1)


def test_numbers_picture_and_mask_of_one_film(tmp_path: Path) -> None:
    segmenter = LungSegmenter(threads=1)
    picture, mask = tmp_path / "a.png", tmp_path / "b.png"
    report = find_lungs(FRONTAL, segmenter, picture=picture, mask=mask)
    radiograph = open_radiograph(FRONTAL)
    stored = np.asarray(Image.open(mask))
    assert stored.dtype == np.uint8
    assert stored.shape == radiograph.shape == (report.height, report.width)
    assert set(np.unique(stored)) == {0, 255}
    inside = stored > 0
    assert report.area == pytest.approx(inside.mean(), abs=0.003)
    assert len(report.parts) == 2
    rows, columns = np.nonzero(inside)
    left, top, width, height = report.box or (0, 0, 0, 0)
    near = 2 * radiograph.shape[0] / 224
    found = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert np.abs(np.subtract((left, top, width, height), found)).max() <= near
    shown = np.asarray(Image.open(picture))
    assert shown.shape == (*radiograph.shape, 3)
    for color in COLORS:
        line = np.abs(shown.astype(int) - color).max(2) == 0
        assert 200 < line.sum() < 0.05 * line.size


def test_the_contour_follows_the_border_of_the_mask() -> None:
    mask = np.zeros((200, 200), bool)
    mask[50:150, 30:90] = True
    picture = outline(np.full((200, 200), 0.5, np.float32), Lungs.drawn(mask, size=200))
    colored = np.ptp(picture.astype(int), axis=2) > 0
    rows, columns = np.nonzero(colored)
    assert abs(rows.min() - 50) <= 1
    assert abs(rows.max() - 149) <= 1
    assert abs(columns.min() - 30) <= 1
    assert abs(columns.max() - 89) <= 1
    assert not colored[60:140, 40:80].any()


@pytest.mark.parametrize("width", [80, 400, 3000])
def test_the_notice_stands_in_the_corner(width: int) -> None:
    plain = np.full((width, width, 3), 90, np.uint8)
    rows, _ = np.nonzero((with_notice(plain) != plain).any(2))
    assert rows.min() > width * 0.8


def test_a_film_without_lungs_and_a_file_that_is_none(tmp_path: Path) -> None:
    segmenter = LungSegmenter(threads=1)
    Image.fromarray(np.full((200, 150), 128, np.uint8)).save(tmp_path / "grey.png")
    none = find_lungs(tmp_path / "grey.png", segmenter, mask=tmp_path / "mask.png")
    assert (none.status, none.box, none.parts, none.area) == ("none", None, (), 0)
    assert none.reason == "no lungs found on this film"
    (tmp_path / "text.png").write_text("no film")
    error = find_lungs(tmp_path / "text.png", segmenter, mask=tmp_path / "never.png")
    assert error.status == "error"
    assert "text" in (error.reason or "")
    assert not (tmp_path / "never.png").exists()
