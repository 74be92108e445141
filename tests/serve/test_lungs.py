from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle, seal
from hilum.bundle.lungs import LungSegmenter, copy_lungs
from hilum.core.errors import BundleError
from hilum.core.reading import Status
from hilum.image.open import open_radiograph
from hilum.serve.reader import Reader, load_bundle
from hilum.serve.report import HtmlReport
from hilum.serve.samples import ROOT

FRONTAL = ROOT / "frontal.png"


@pytest.fixture(scope="module")
def lung_reader(
    make_bundle: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Reader:
    """A bundle that reads the lung field, with a lung network of its own."""
    root = make_bundle(tmp_path_factory.mktemp("field") / "bundle", region="lung-field")
    copy_lungs(DEFAULT_BUNDLE, root)
    seal(root)
    return load_bundle(root, threads=1)


def of_the_ct() -> np.ndarray:
    """The lungs of the CT, projected: with what lies behind the heart, above the diaphragm."""
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
        assert (found & of_the_ct()).sum() > 0.7 * of_the_ct().sum()  # 0.74


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
    report = HtmlReport(lung_reader)
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
