"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import hilum  # noqa: F401 - before any test imports ONNX Runtime: see hilum.core.silence

# a busy machine is no fault of the code: neither 200 ms an example nor slow data end a test
settings.register_profile("hilum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hilum")

# what a shell starts in the background ignores Ctrl-C, and so would all that the tests start
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real radiographs that HILUM_DATA names; tests without it are skipped."""
    named = os.environ.get("HILUM_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("HILUM_DATA names no folder")
    return Path(named).resolve()


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Debian's Chromium; if there is one its headless shell, which spends a quarter less."""
    for name in ("chromium-headless-shell", "chromium", "chromium-browser"):
        if found := shutil.which(name):
            return found
    said = "no browser on this machine: apt install chromium-headless-shell"
    return pytest.fail(said) if "CI" in os.environ else pytest.skip(said)


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Path]:
    """Pack a bundle whose arithmetic a test can repeat: evidence = gain x mean of an 8 x 8 block.

    ``make_bundle(root, evidence=True, **preprocess)``; labels covid-19 (gain 3, bias -0.5) and
    pneumonia (gain -1.5, bias 0.25); input 64 x 64.
    """
    return _pack


def _pack(root: Path, *, evidence: bool = True, **preprocess: Any) -> Path:
    from hilum.bundle.folder import seal
    from hilum.bundle.manifest import LabelOutput, Manifest
    from hilum.core.estimate import Estimate
    from hilum.core.labels import CODES, Label
    from hilum.image.preprocess import Preprocess
    from hilum.judge.calibration import OperatingPoint

    def output(label: Label, bias: float) -> LabelOutput:
        points = [
            OperatingPoint(
                name=name,
                label=label,
                threshold=threshold,
                sensitivity=Estimate(value=0.9, low=0.8, high=0.95, n=40),
                specificity=Estimate(value=0.7, low=0.6, high=0.8, n=60),
                chosen_on="val of a test, 1 source",
                rule="largest Youden index",
            )
            for name, threshold in (("balanced", 0.5), ("sensitive", 0.1))
        ]
        code = CODES[label]
        return LabelOutput(
            label=label,
            code=code.value,
            scheme=code.scheme,
            meaning=code.meaning,
            bias=bias if evidence else None,
            operating_points=tuple(points),
        )

    how = Preprocess(**{"size": 64, "channels": 1} | preprocess)
    manifest = Manifest(
        name="blocks",
        version="0.0.1",
        created="2026-11-01",
        network="tiny",
        evidence=evidence,
        preprocess=how,
        labels=(output(Label.COVID_19, -0.5), output(Label.PNEUMONIA, 0.25)),
        trained_on="nothing: made for tests",
    )
    root.mkdir(parents=True)
    (root / "bundle.json").write_text(manifest.model_dump_json(indent=2))
    (root / "model.onnx").write_bytes(_blocks(how.channels, how.size, evidence))
    (root / "MODEL_CARD.md").write_text("# Blocks\n\nMade for **tests**.\n")
    (root / "LICENSE").write_text("CC0\n")
    seal(root)
    return root


def _blocks(channels: int, size: int, evidence: bool) -> bytes:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    gains = np.array([3.0, -1.5], np.float32) / (64 * channels)
    weights = np.broadcast_to(gains[:, None, None, None], (2, channels, 8, 8))
    constants = {
        "weights": np.ascontiguousarray(weights),
        "axes": np.array([2, 3], np.int64),
        "bias": np.array([-0.5, 0.25], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["evidence"], strides=[8, 8]),
        helper.make_node("ReduceMean", ["evidence", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["logits"]),
    ]
    blocks = size // 8
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])]
    if evidence:
        shape = ["N", 2, blocks, blocks]
        outputs.append(helper.make_tensor_value_info("evidence", TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", channels, size, size])
    graph = helper.make_graph(
        nodes,
        "blocks",
        [image],
        outputs,
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def one_pass_bundle(make_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    """A bundle of one network (64 x 64) that finds lungs and opacities by their grey; no gate."""
    import json

    from hilum.bundle.folder import seal
    from hilum.bundle.manifest import Manifest
    from hilum.bundle.opacities import OPACITIES_SPEC, OpacitySpec
    from hilum.core.details import Opacity

    as_it_is = {"low_percentile": None, "high_percentile": None, "mean": 0.0, "std": 1.0}
    root = make_bundle(tmp_path / "one-pass", **as_it_is)
    values = json.loads((root / "bundle.json").read_text()) | {"maps": True}
    manifest = Manifest.model_validate(values)
    (root / "bundle.json").write_text(manifest.model_dump_json())
    (root / "model.onnx").write_bytes(_one_pass_graph())
    spec = OpacitySpec(preprocess=manifest.preprocess, thresholds=dict.fromkeys(Opacity, 0.5))
    (root / OPACITIES_SPEC).write_text(spec.model_dump_json())
    seal(root)
    return root


def _one_pass_graph() -> bytes:
    """What is darker than 0.65 is lung, on either half; lighter than 0.3, opacity; 0.5, dense.

    What is no lung is no opacity, either.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    gains = np.array([-60.0, -60.0, 60.0, 60.0], np.float32).reshape(1, 4, 1, 1)
    cuts = np.array([0.65, 0.65, 0.3, 0.5], np.float32).reshape(1, 4, 1, 1)
    half = np.zeros((1, 4, 16, 16), np.float32)
    half[0, 0, :, 8:] = half[0, 1, :, :8] = -100
    constants = {
        "gains": gains,
        "cuts": cuts,
        "half": half,
        "falls": np.array([0.0, 0.0, -60.0, -60.0], np.float32).reshape(1, 4, 1, 1),
        "most": np.array([1e3, 1e3, 39.0, 39.0], np.float32).reshape(1, 4, 1, 1),
        "two": np.array([2.0, -3.0], np.float32).reshape(1, 2, 1, 1),
        "bias": np.array([-0.5, 0.25], np.float32),
        "axes": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("AveragePool", ["image"], ["coarse"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Sub", ["coarse", "cuts"], ["above"]),
        helper.make_node("Mul", ["above", "gains"], ["whole"]),
        helper.make_node("Add", ["whole", "half"], ["halves"]),
        helper.make_node("Mul", ["coarse", "falls"], ["darker"]),
        helper.make_node("Add", ["darker", "most"], ["inside"]),
        helper.make_node("Min", ["halves", "inside"], ["maps"]),
        helper.make_node("Mul", ["coarse", "two"], ["evidence"]),
        helper.make_node("ReduceMean", ["evidence", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "bias"], ["logits"]),
        helper.make_node("ReduceMean", ["maps", "axes"], ["embedding"], keepdims=0),
    ]
    shapes = {
        "logits": ["N", 2],
        "evidence": ["N", 2, 16, 16],
        "embedding": ["N", 4],
        "maps": ["N", 4, 16, 16],
    }
    model = helper.make_graph(
        nodes,
        "one pass",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 64, 64])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in shapes.items()
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@pytest.fixture(scope="session")
def small_bundle(make_bundle: Callable[..., Path], tmp_path_factory: Any) -> Path:
    """One packed bundle that no test may change."""
    return make_bundle(tmp_path_factory.mktemp("bundles") / "blocks")


@pytest.fixture(scope="session")
def calibrated_bundle(make_bundle: Callable[..., Path], tmp_path_factory: Any) -> Path:
    """The same with a calibration (platt, prevalence 40 %) and sets (0.3 to 0.6), sealed."""
    import json

    from hilum.bundle.folder import seal

    root = make_bundle(tmp_path_factory.mktemp("bundles") / "calibrated")
    values = json.loads((root / "bundle.json").read_text())
    for output in values["labels"]:
        output["calibration"] = {
            "method": "platt",
            "fitted_on": "val of a test",
            "prevalence": 0.4,
            "a": 0.5,
            "b": 0.5,
            "c": -0.25,
        }
        output["conformal"] = {
            "coverage": 0.9,
            "present_from": 0.3,
            "absent_to": 0.6,
            "positives": 40,
            "negatives": 60,
            "fitted_on": "val of a test",
        }
    (root / "bundle.json").write_text(json.dumps(values))
    seal(root)
    return root


@pytest.fixture(scope="session")
def say_looks() -> Callable[..., Any]:
    """Give an examined film, or a reading, an appearance: ``say_looks(examined, "negative")``."""
    from dataclasses import replace

    from hilum.core.labels import Appearance
    from hilum.core.reading import AppearanceFinding, Reading

    def say(one: Any, *kept: str) -> Any:
        said = AppearanceFinding(
            chances=dict(zip(Appearance, (0.62, 0.23, 0.06, 0.09), strict=True)),
            calibration="temperature",
            prediction_set=tuple(map(Appearance, kept)),
            coverage=0.9,
        )
        if isinstance(one, Reading):
            return one.model_copy(update={"appearance": said})
        return replace(one, reading=say(one.reading, *kept))

    return say


@pytest.fixture(scope="session")
def films(tmp_path_factory: Any) -> Path:
    """A folder: three films, a text, a truncated JPEG, a tiny film, a blank one, a hidden file."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("ward")
    generator = np.random.default_rng(0)
    for name, level in (("a.png", 60), ("b.jpg", 120), ("sub/c.png", 200)):
        (folder / name).parent.mkdir(exist_ok=True)
        ramp = np.linspace(0, level, 160)[None, :] + generator.integers(0, 40, (200, 160))
        cv2.imwrite(str(folder / name), ramp.astype(np.uint8))
    whole = (folder / "b.jpg").read_bytes()
    (folder / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("no film\n")
    cv2.imwrite(str(folder / "tiny.png"), generator.integers(0, 255, (40, 40), dtype=np.uint8))
    cv2.imwrite(str(folder / "blank.png"), np.full((200, 160), 77, np.uint8))
    (folder / ".hidden.png").write_bytes((folder / "a.png").read_bytes())
    return folder


@pytest.fixture(scope="session")
def split_csv(tmp_path_factory: Any) -> Path:
    """A cases table on disk: 40 test films of 20 patients (bright ones have covid-19, mostly),
    8 train films, and in the test a film of unknown truth, a thumbnail and a text file."""
    import cv2
    import numpy as np
    import pandas as pd

    folder = tmp_path_factory.mktemp("split")
    generator = np.random.default_rng(3)
    rows = []
    for i in range(51):
        patient, truth = i // 2, float(i // 2 % 2)
        name = f"film{i:02d}.png"
        gamma = np.exp(generator.normal(-0.4 if truth else 0.4, 0.6))
        ramp = np.linspace(0, 1, 96)[None, :] ** gamma * np.ones((80 + i, 1))
        noise = generator.normal(0, 0.03, ramp.shape)
        pixels = (255 * np.clip(ramp + noise, 0, 1)).astype(np.uint8)
        cv2.imwrite(str(folder / name), pixels[:20, :20] if i == 49 else pixels)
        rows.append(
            {
                "case_id": f"made/{i}",
                "path": name,
                "cohort": "made",
                "source": "east" if patient % 4 < 2 else "west",
                "patient_id": f"made/p{patient}",
                "group": f"made/p{patient}",
                "view": ("PA", "AP", "")[i % 3],
                "sex": ("M", "F")[patient % 2],
                "age_years": 20 + i,
                "reference_standard": "RT-PCR" if truth else "report",
                "covid-19": "" if i == 48 else truth,
                "split": "train" if 40 <= i < 48 else "test",
            }
        )
    table = pd.DataFrame(rows)
    table.loc[table["split"] == "train", "source"] = "east"
    (folder / "film50.png").write_text("no film\n")
    table.to_csv(folder / "split.csv", index=False)
    return folder / "split.csv"


PLANTED = """
import os, signal, sys, time
import hilum.image.decoders, hilum.image.open, hilum.image.stored

hilum.image.decoders.SECONDS = float(os.environ.get("HILUM_TEST_PATIENCE", 4))

def hang():
    with open(os.path.join(os.environ["PYTHONPATH"], "hanging"), "w") as file:
        file.write(str(os.getpid()))
    time.sleep(10**6)

def panic():
    raise type("PanicException", (BaseException,), {})("a panic")

does = {
    b"CRASH": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"HANG": hang,
    b"EAT": lambda: bytearray(10**12),
    b"PANIC": panic,
}

def planted(head, sniff=hilum.image.open.sniff):
    return does.get(head[:128].strip(bytes(1)), lambda: sniff(head))()

hilum.image.open.sniff = hilum.image.stored.sniff = planted
"""


@pytest.fixture
def dangerous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``dangerous(path, "CRASH")`` writes a DICOM film that ends the process which opens it.

    Or "HANG" (it never ends; its process id is in ``path.parent / "planted/hanging"``), "EAT" (all
    memory), "PANIC" (what codecs in Rust do), "" (nothing).
    The word stands in the preamble. Decoders that are started during the test know it, also those
    of child processes; to all others the film is as sound as the built-in one that it is made of.
    """
    from hilum.image import decoders
    from hilum.serve.samples import ROOT

    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / "sitecustomize.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", str(planted))
    monkeypatch.setattr(decoders, "SECONDS", 4.0)
    sound = (ROOT / "frontal.dcm").read_bytes()

    def make(path: Path, what: str) -> Path:
        path.write_bytes(what.encode().ljust(128, b"\x00") + sound[128:])
        return path

    decoders.close()
    yield make
    decoders.close()


@pytest.fixture(scope="session")
def panicking_rle() -> Callable[[Any], None]:
    """``panicking_rle(dataset)`` gives it RLE pixel data that makes its codec, in Rust, panic.

    PS3.5 annex G: two segments, the first of which holds more bytes than the film has pixels.
    """

    def damage(dataset: Any) -> None:
        import struct

        from pydicom.encaps import encapsulate
        from pydicom.uid import RLELossless

        pixels = dataset.Rows * dataset.Columns
        rest = bytes([257 - pixels % 128, 0]) if pixels % 128 > 1 else b""
        segment = b"\x81\x00" * (pixels // 128) + rest + b"\x81\x07" * 2
        header = struct.pack("<16I", 2, 64, 64 + len(segment), *[0] * 13)
        dataset.PixelData = encapsulate([header + segment + segment])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = RLELossless

    return damage
