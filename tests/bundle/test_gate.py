from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.linear_model import LogisticRegression

from hilum.bundle.gate import (
    FRONTAL,
    GATE,
    Distance,
    Gate,
    GateHead,
    GateSpec,
    KindLimit,
    Limit,
    Rule,
    open_gate,
)
from hilum.core.errors import BundleError
from hilum.core.refusal import Reason
from hilum.image.signs import SIGNS

E = 4
KINDS = (FRONTAL, "inverted", "lateral")


def _limit(value):
    return Limit(value=value, chosen="for a test")


def _row(values):
    return tuple(float(value) for value in values)


def make_spec(coefficients=None, bias=(0, 0, 0), **changes):
    """Log-odds of "inverted" and "lateral" are the first two numbers of the embedding."""
    if coefficients is None:
        coefficients = np.zeros((3, E + len(SIGNS)))
        coefficients[1, 0] = coefficients[2, 1] = 1
    size = np.shape(coefficients)[1]
    spec = {
        "lungs": "a" * 64,
        "signs": SIGNS,
        "head": GateHead(
            kinds=KINDS,
            mean=_row(np.zeros(size)),
            scale=_row(np.ones(size)),
            coefficients=tuple(_row(row) for row in coefficients),
            bias=_row(bias),
        ),
        "kinds": (
            KindLimit(kind="inverted", reason=Reason.INVERTED, refuse=_limit(2), correct=_limit(5)),
            KindLimit(kind="lateral", reason=Reason.LATERAL, refuse=_limit(3)),
        ),
        "distance": Distance(
            mean=_row(np.zeros(E)), axes=((0.0, 0.0, 1.0, 0.0),), refuse=_limit(10)
        ),
        "rules": (Rule(sign="area", reason=Reason.LUNGS_NOT_IN_FIELD, low=_limit(0.05)),),
    }
    return GateSpec.model_validate(spec | changes)


def _signs(**values):
    found = np.zeros(len(SIGNS), np.float32)
    for name, value in ({"area": 0.3} | values).items():
        found[SIGNS.index(name)] = value
    return found


def _judge(*embedding, **values):
    return Gate(make_spec()).judge(np.array(embedding, np.float32), _signs(**values))


def test_a_film_within_every_limit_passes():
    assert _judge(2, 3, 10, 0) is None


def test_a_kind_beyond_its_limit_is_named_with_value_and_limit():
    broken = _judge(2.5, 0, 0, 0)
    assert broken is not None
    assert (broken.reason, broken.value, broken.limit) == (Reason.INVERTED, 2.5, 2)
    assert not broken.certain


def test_beyond_the_second_limit_it_is_certain():
    broken = _judge(5.5, 0, 0, 0)
    assert broken is not None
    assert broken.certain


def test_of_two_kinds_the_likelier_is_named():
    broken = _judge(4, 6, 0, 0)
    assert broken is not None
    assert broken.reason is Reason.LATERAL


def test_the_head_is_asked_first_and_the_distance_last():
    far = _judge(0, 0, 11, 0)
    assert far is not None
    assert far.reason is Reason.UNLIKE_TRAINING
    near = _judge(9, 0, 11, 0)
    assert near is not None
    assert near.reason is Reason.INVERTED
    none = _judge(0, 0, 11, 0, area=0.01)
    assert none is not None
    assert (none.reason, none.measured) == (Reason.LUNGS_NOT_IN_FIELD, "area")


def test_a_kind_that_was_not_asked_about_is_never_found():
    broken = Gate(make_spec()).decide(np.array([0, np.nan, 9.0]), 0.0, _signs())
    assert broken is not None
    assert broken.reason is Reason.LATERAL


def test_log_odds_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    features = random.normal(size=(300, E + len(SIGNS)))
    kinds = random.integers(0, 3, 300)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    model = LogisticRegression(C=0.1).fit((features - mean) / scale, kinds)
    head = GateHead(
        kinds=KINDS,
        mean=_row(mean),
        scale=_row(scale),
        coefficients=tuple(_row(row) for row in model.coef_),
        bias=_row(model.intercept_),
    )
    found = Gate(make_spec(head=head)).log_odds(
        features[:, :E].astype(np.float32), features[:, E:].astype(np.float32)
    )
    expected = model.predict_log_proba((features - mean) / scale)
    np.testing.assert_allclose(found, expected - expected[:, :1], atol=1e-4)


def test_the_distance_along_all_axes_is_that_of_mahalanobis():
    random = np.random.default_rng(1)
    points = random.normal(size=(500, E)) @ random.normal(size=(E, E))
    mean, covariance = points.mean(axis=0), np.cov(points.T)
    lengths, axes = np.linalg.eigh(covariance)
    distance = Distance(
        mean=_row(mean),
        axes=tuple(_row(row) for row in (axes / np.sqrt(lengths)).T),
        refuse=_limit(10),
    )
    gate = Gate(make_spec(distance=distance))
    inverse = np.linalg.inv(covariance)
    for point in points[:20]:
        expected = mahalanobis(point, mean, inverse) / np.sqrt(E)
        assert gate.distance(point) == pytest.approx(expected, rel=1e-4)


def _write(root, text):
    (root / GATE).write_text(text)


def test_a_gate_comes_back_from_its_file(tmp_path):
    spec = make_spec()
    _write(tmp_path, spec.model_dump_json())
    gate = open_gate(tmp_path, lungs="a" * 64)
    assert gate is not None
    assert gate.spec == spec


def test_a_bundle_without_a_gate_has_none(tmp_path):
    assert open_gate(tmp_path, lungs="a" * 64) is None


def test_the_gate_of_another_lung_network_is_no_gate(tmp_path):
    _write(tmp_path, make_spec().model_dump_json())
    with pytest.raises(BundleError, match="fitted on the lung network aaaaaaaaaaaa"):
        open_gate(tmp_path, lungs="b" * 64)


def test_a_gate_for_other_signs_is_no_gate(tmp_path):
    _write(tmp_path, make_spec().model_dump_json().replace('"fill"', '"filled"'))
    with pytest.raises(BundleError, match="other signs"):
        open_gate(tmp_path, lungs="a" * 64)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"schema_version": "2"}'])
def test_a_broken_file_says_so(tmp_path, text):
    _write(tmp_path, text)
    with pytest.raises(BundleError, match=r"gate\.json"):
        open_gate(tmp_path, lungs="a" * 64)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bias", [0.0, 0.0]),
        ("kinds", ["lateral", "frontal", "inverted"]),
        ("mean", [0.0]),
    ],
)
def test_numbers_of_a_head_that_do_not_fit_are_refused(tmp_path, key, value):
    values = json.loads(make_spec().model_dump_json())
    values["head"][key] = value
    _write(tmp_path, json.dumps(values))
    with pytest.raises(BundleError):
        open_gate(tmp_path, lungs="a" * 64)


def test_a_rule_on_a_sign_that_is_none_is_refused(tmp_path):
    values = json.loads(make_spec().model_dump_json())
    values["rules"][0]["sign"] = "aera"
    _write(tmp_path, json.dumps(values))
    with pytest.raises(BundleError, match="aera"):
        open_gate(tmp_path, lungs="a" * 64)
