from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.bundle.gate import Distance, Gate, GateHead, GateSpec, KindLimit, Limit
from hilum.core.labels import View
from hilum.core.radiograph import Metadata, Radiograph
from hilum.core.refusal import Reason
from hilum.image.lungs import Lungs
from hilum.image.preprocess import Preprocess
from hilum.image.signs import SIGNS
from hilum.serve import gate

FRONTAL = ("frontal", "rotated-left", "rotated-right", "upside-down", "inverted", "lateral")


def _film(shape=(200, 160), **metadata):
    pixels = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    return Radiograph(pixels, "ward/film", "PNG", 8, Metadata(**metadata))


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"modality": "CR", "view": View.PA},
        {"modality": "DX", "view": View.AP_SUPINE},
        {"modality": "OT"},
        {"age_years": 18.0},
    ],
)
def test_a_frontal_film_passes(metadata):
    assert gate.refuse(_film(**metadata)) is None


@pytest.mark.parametrize("modality", sorted(gate.OTHER_MODALITIES))
def test_another_modality_is_refused_by_name(modality):
    refusal = gate.refuse(_film(modality=modality))
    assert refusal is not None
    assert f"modality {modality}" in refusal.sentence
    assert refusal.code is (Reason.CT_SLICE if modality == "CT" else Reason.OTHER_MODALITY)


def test_a_lateral_is_refused():
    refusal = gate.refuse(_film(view=View.LATERAL))
    assert refusal is not None
    assert refusal.code is Reason.LATERAL


def test_a_child_is_refused_by_its_stated_age():
    refusal = gate.refuse(_film(age_years=17.9))
    assert refusal is not None
    assert (refusal.code, refusal.value, refusal.limit) == (Reason.PEDIATRIC, 17.9, 18)


def test_size_is_refused_below_the_limit_only():
    assert gate.refuse(_film((gate.MIN_SIDE, gate.MIN_SIDE))) is None
    refusal = gate.refuse(_film((gate.MIN_SIDE - 1, 200)))
    assert refusal is not None
    assert "200 x 63 pixels" in refusal.sentence


def test_a_blank_film_is_refused():
    blank = Radiograph(np.full((200, 200), 0.4, np.float32), "x", "PNG", 8)
    refusal = gate.refuse(blank)
    assert refusal is not None
    assert refusal.code is Reason.BLANK


@dataclass
class Stub:
    """A lung network whose embedding is known: means of the halves and of the frame."""

    preprocess: Preprocess = field(
        default_factory=lambda: Preprocess(
            size=32, channels=1, low_percentile=None, high_percentile=None
        )
    )
    seen: int = 0

    def segment_squares(self, squares):
        self.seen += len(squares)
        return [Lungs(np.ones((32, 32), bool), _embedding(square)) for square in squares]


def _embedding(square):
    top, bottom = square[:8].mean(), square[-8:].mean()
    left, right = square[:, :8].mean(), square[:, -8:].mean()
    return np.array([top, bottom, left, right, square[12:20, 12:20].mean()], np.float32)


def _gate(*, certain=1.0):
    """Upright films are bright below, less so above, and dark in the middle."""
    wanted = {
        "rotated-left": [0, 0, -1, 1, 0],  # turned left: what was below is right
        "rotated-right": [0, 0, 1, -1, 0],
        "upside-down": [1, -1, 0, 0, 0],
        "inverted": [0, 0, 0, 0, 4],
        "lateral": [0, 0, 4, 4, 0],
    }
    rows = np.zeros((len(FRONTAL), 5 + len(SIGNS)))
    for place, kind in enumerate(FRONTAL[1:], start=1):
        rows[place, :5] = 10 * np.array(wanted[kind])
    bias = [0, 0, 0, 0, -25, -55]

    def limit(value):
        return Limit(value=value, chosen="for a test")

    correctable = set(gate.CORRECTIONS)
    return Gate(
        GateSpec(
            lungs="",
            signs=SIGNS,
            head=GateHead(
                kinds=FRONTAL,
                mean=(0.0,) * rows.shape[1],
                scale=(1.0,) * rows.shape[1],
                coefficients=tuple(tuple(map(float, row)) for row in rows),
                bias=tuple(map(float, bias)),
            ),
            kinds=tuple(
                KindLimit(
                    kind=kind,
                    reason=Reason("rotated" if kind.startswith("rotated") else kind),
                    refuse=limit(0.5),
                    correct=limit(certain) if kind in correctable else None,
                )
                for kind in FRONTAL[1:]
            ),
            distance=Distance(mean=(0.0,) * 5, axes=((0.0,) * 5,), refuse=limit(1)),
        )
    )


def _upright(shape=(64, 96)):
    rows = np.linspace(0.3, 0.7, shape[0])[:, None] * np.ones(shape)
    rows[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : -shape[1] // 4] -= 0.3
    pixels = np.clip(rows, 0, 1).astype(np.float32)
    return Radiograph(pixels, "film", "PNG", 8, Metadata(spacing_mm=(0.2, 0.1)))


def test_an_upright_film_is_admitted_as_it_is():
    film = _upright()
    admission = gate.admit(film, Stub(), _gate())
    assert admission.refusal is None
    assert admission.radiograph is film
    assert admission.lungs is not None


def test_without_a_lung_network_only_the_simple_rules_hold():
    admission = gate.admit(_upright().stepped(1 - _upright().pixels, "a", "b"))
    assert admission.refusal is None
    assert admission.lungs is None


def test_a_film_that_the_file_itself_rules_out_never_reaches_the_lung_network():
    stub = Stub()
    admission = gate.admit(_film(view=View.LATERAL), stub, _gate())
    assert admission.refusal is not None
    assert stub.seen == 0


@settings(max_examples=24, deadline=None)
@given(quarters=st.integers(0, 3), inverted=st.booleans(), tall=st.integers(64, 130))
def test_a_film_that_was_turned_or_inverted_comes_back_as_it_was(quarters, inverted, tall):
    upright = _upright((tall, 96))
    pixels = np.rot90(upright.pixels, quarters)
    turned = upright.stepped(np.float32(1) - pixels if inverted else pixels, "came", "so")
    admission = gate.admit(turned, Stub(), _gate())
    assert admission.refusal is None
    np.testing.assert_allclose(admission.radiograph.pixels, upright.pixels, atol=1e-6)
    steps = [step.name for step in admission.radiograph.history]
    assert steps.count("corrected") == (quarters > 0) + inverted
    assert len(admission.radiograph.notes) == (quarters > 0) + inverted


def test_spacing_turns_with_the_film():
    upright = _upright()
    left = upright.stepped(np.rot90(upright.pixels), "came", "turned left")
    admitted = gate.admit(left, Stub(), _gate()).radiograph
    assert admitted.metadata.spacing_mm == (0.1, 0.2)
    down = upright.stepped(np.rot90(upright.pixels, 2), "came", "upside down")
    assert gate.admit(down, Stub(), _gate()).radiograph.metadata.spacing_mm == (0.2, 0.1)


def test_what_is_not_certain_is_refused_with_value_and_limit():
    upright = _upright()
    down = upright.stepped(np.rot90(upright.pixels, 2), "came", "upside down")
    admission = gate.admit(down, Stub(), _gate(certain=1000.0))
    assert admission.radiograph is down
    assert admission.refusal is not None
    assert admission.refusal.code is Reason.UPSIDE_DOWN
    assert admission.refusal.limit == 0.5
    assert admission.refusal.value > 0.5
    assert "upside down" in admission.refusal.sentence


def test_a_correction_that_does_not_pass_is_undone():
    """A lateral upside down is no frontal film after it was turned."""
    pixels = np.full((64, 64), 0.9, np.float32)
    pixels[:8], pixels[-8:] = 1, 0.5
    pixels[12:-12, 12:-12] = 0.3
    film = Radiograph(pixels, "film", "PNG", 8)
    rules = _gate()
    broken = rules.judge(_embedding(Stub().preprocess.square(film)), np.zeros(len(SIGNS)))
    assert broken is not None
    admission = gate.admit(film, Stub(), rules)
    assert admission.refusal is not None
    assert admission.radiograph is film
    assert admission.refusal.code is broken.reason


def test_force_finds_the_lungs_of_a_refused_film():
    film = _film(view=View.LATERAL)
    assert gate.admit(film, Stub(), _gate()).lungs is None
    forced = gate.admit(film, Stub(), _gate(), force=True)
    assert forced.lungs is not None
    assert forced.refusal is not None


def test_every_reason_has_words_and_a_hint():
    for reason in Reason:
        assert reason.meaning
        assert reason.hint
