from __future__ import annotations

import importlib.metadata
import json
import sys

import pytest

from hilum.apps.cli.main import run


@pytest.fixture
def doctor(capsys):
    def call():
        code = run(["doctor", "--json"])
        found = json.loads(capsys.readouterr().out)
        return code, found["ok"], {check["name"]: check for check in found["checks"]}

    return call


@pytest.fixture
def built_in(small_bundle, monkeypatch):
    import hilum.serve.reader  # noqa: F401 - keeps the lung network of the package

    monkeypatch.setattr("hilum.bundle.folder.DEFAULT_BUNDLE", small_bundle)


def test_all_is_well(doctor, built_in):
    code, ok, checks = doctor()
    assert (code, ok) == (0, True)
    assert checks["default bundle"]["found"].endswith("checksums hold")
    assert checks["torchvision"]["state"] == "ok"
    assert checks["extra evaluate"]["state"] == "ok"
    assert "RLELossless" in checks["DICOM codecs"]["found"]
    assert "cores" in checks["processor"]["found"]


def test_a_bundle_that_does_not_hold_is_broken(doctor, monkeypatch, tmp_path):
    monkeypatch.setattr("hilum.bundle.folder.DEFAULT_BUNDLE", tmp_path)
    code, ok, checks = doctor()
    assert (code, ok) == (1, False)
    assert checks["default bundle"]["state"] == "broken"


def test_a_library_that_does_not_import_is_broken(doctor, built_in, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setattr("hilum.apps.cli.doctor._codecs", list)
    code, _, checks = doctor()
    assert code == 1
    assert checks["pydicom"]["state"] == "broken"
    assert "pip install" in checks["pydicom"]["hint"]


def test_a_missing_extra_is_a_note_with_its_line(doctor, built_in, monkeypatch):
    monkeypatch.setitem(
        __import__("hilum.core.extras", fromlist=["EXTRAS"]).EXTRAS, "train", ("no_such_module",)
    )
    code, _, checks = doctor()
    assert code == 0
    assert checks["extra train"]["hint"] == "pip install 'hilum[train]'"


@pytest.mark.parametrize(("value", "state"), [("", "note"), ("/no/such", "note"), (".", "ok")])
def test_the_data(doctor, built_in, monkeypatch, value, state):
    monkeypatch.setenv("HILUM_DATA", value)
    _, _, checks = doctor()
    assert checks["HILUM_DATA"]["state"] == state


def test_the_table_is_for_people(capsys, built_in):
    assert run(["doctor"]) == 0
    assert "onnxruntime" in capsys.readouterr().out


def test_versions_are_those_of_the_metadata(capsys, built_in):
    assert run(["--version", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for name in ("hilum", "numpy", "onnxruntime", "pydicom", "pillow"):
        assert found[name] == importlib.metadata.version(name)
    assert found["bundle"].startswith("blocks 0.0.1 (")
    assert run(["--json", "--version"]) == 0


def test_a_version_without_a_bundle_says_null(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("hilum.bundle.folder.DEFAULT_BUNDLE", tmp_path)
    assert run(["--version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bundle"] is None


@pytest.fixture
def graphics_card(monkeypatch):
    """A stand-in for ONNX Runtime with CUDA: answers on the CPU, with logits moved by so much."""
    import onnxruntime

    real, moved = onnxruntime.InferenceSession, [0.0]

    class Session:
        def __init__(self, path, options, providers):
            self._cuda = len(providers) > 1
            self._session = real(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self):
            return ["CUDAExecutionProvider"] * self._cuda + ["CPUExecutionProvider"]

        def run(self, names, inputs):
            return [out + moved[0] * self._cuda for out in self._session.run(names, inputs)]

        def __getattr__(self, name):
            return getattr(self._session, name)

    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: there)
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    return moved


def test_the_engine_and_why_it_is_used(doctor, built_in, monkeypatch, graphics_card):
    _, _, checks = doctor()
    assert "on the processor" in checks["engine"]["found"]
    assert "thresholds were chosen" in checks["engine"]["found"]
    assert "by up to 0.0000" in checks["engine cuda"]["found"]
    assert checks["engine cuda"]["hint"] == "to use it: HILUM_ENGINE=cuda"
    monkeypatch.setenv("HILUM_ENGINE", "cuda")
    graphics_card[0] = 3.0
    code, _, checks = doctor()
    assert "on cuda, because HILUM_ENGINE says so" in checks["engine"]["found"]
    assert (code, checks["engine cuda"]["state"]) == (1, "broken")
