from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hilum.bundle.attach import attach_results
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.gate import GATE
from hilum.bundle.parts import FILES, open_parts
from hilum.bundle.severity import SEVERITY, SeverityModel, SeverityModels
from hilum.core.details import Scale
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of


def _severity(folder: Path, **made_for: str) -> Path:
    model = SeverityModel(
        scale=Scale.EXTENT,
        intercept=1.0,
        weights={"logits": (0.5, -0.5)},
        half_width=1.5,
        coverage=0.9,
        films=40,
        patients=30,
        fitted_on="films of a test",
    )
    row = {"score": "geographic-extent", "features": "logits", "n": 40, "mae": 1.25}
    row |= {"mae_low": 1.0, "mae_high": 1.5, "spearman": None, "coverage": None}
    measured = {"cross-validated": [row]}
    folder.mkdir(exist_ok=True)
    models = SeverityModels(models=(model,), made_for=made_for, measured=measured)
    models.write(folder / SEVERITY)
    return folder


def test_a_bundle_without_parts_has_none(small_bundle):
    assert open_parts(small_bundle) == (None, None, None)


def test_a_part_comes_in_and_the_card_says_so(full_bundle, tmp_path):
    before = open_bundle(full_bundle)
    model = sha256_of(full_bundle / "model.onnx")
    part = _severity(tmp_path / "s", **{"model.onnx": model})
    opened = attach_results(full_bundle, parts=[part]).bundle
    assert opened.checksum != before.checksum
    assert open_parts(full_bundle).severity is not None
    card = (full_bundle / "MODEL_CARD.md").read_text()
    (line,) = [line for line in card.splitlines() if line.startswith("- Severity: ")]
    assert "plus or minus" in line
    earlier = json.loads((full_bundle / "environment.json").read_text())["earlier_checksums"]
    assert before.checksum in earlier


def test_a_part_of_another_network_is_refused_and_nothing_changes(full_bundle, tmp_path):
    before = open_bundle(full_bundle).checksum
    part = _severity(tmp_path / "s", **{"model.onnx": "0" * 64})
    with pytest.raises(BundleError, match=r"with these parts: severity\.json: fitted with another"):
        attach_results(full_bundle, parts=[part])
    assert open_bundle(full_bundle).checksum == before


@pytest.mark.parametrize("name", ["model.onnx", "notes.txt", "nothing-there"])
def test_what_is_no_part_is_refused(full_bundle, tmp_path, name):
    path = tmp_path / name
    if name != "nothing-there":
        path.write_text("x")
    with pytest.raises(BundleError, match="no part of a bundle") as caught:
        attach_results(full_bundle, parts=[path])
    assert all(part in caught.value.message for part in FILES)


def test_half_an_opacity_network_is_refused(full_bundle, tmp_path):
    (tmp_path / "opacities.json").write_text("{}")
    with pytest.raises(BundleError, match=r"opacities\.json"):
        attach_results(full_bundle, parts=[tmp_path])


def test_a_bundle_that_borrows_its_lungs_is_checked_against_them(small_bundle, tmp_path):
    root = shutil.copytree(small_bundle, tmp_path / "bundle")
    (root / "lungs.onnx").unlink(missing_ok=True)
    _severity(root, **{"lungs.onnx": "0" * 64})
    assert open_parts(root).severity is not None
    assert open_parts(root, lungs="0" * 64).severity is not None
    with pytest.raises(BundleError, match=r"fitted with another lungs\.onnx"):
        open_parts(root, lungs="1" * 64)


def test_a_gate_of_another_network_is_refused_and_its_own_comes_in(one_pass_bundle, tmp_path):
    """The gate of the package, said to be of this network; whether its numbers fit is another
    matter."""
    spec = json.loads((DEFAULT_BUNDLE / GATE).read_text())
    (tmp_path / GATE).write_text(json.dumps(spec))
    before = open_bundle(one_pass_bundle).checksum
    with pytest.raises(BundleError, match=r"with these parts: gate\.json: fitted on the lung netw"):
        attach_results(one_pass_bundle, parts=[tmp_path / GATE])
    assert open_bundle(one_pass_bundle).checksum == before
    spec["lungs"] = sha256_of(one_pass_bundle / "model.onnx")
    (tmp_path / GATE).write_text(json.dumps(spec))
    assert attach_results(one_pass_bundle, parts=[tmp_path / GATE]).bundle.checksum != before
