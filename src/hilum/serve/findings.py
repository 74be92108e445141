"""Findings: from logits to score, probability and a decision at an operating point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.bundle.manifest import LabelOutput, Manifest
from hilum.core.config import did_you_mean
from hilum.core.errors import ConfigError
from hilum.core.labels import Label
from hilum.core.reading import Finding
from hilum.judge.calibration import OperatingPoint
from hilum.judge.decisions import prevalences, whose_prevalence


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-x)), any shape, without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64))))


def choose_points(manifest: Manifest, name: str | None) -> tuple[OperatingPoint, ...]:
    """Return the operating point of each label: the one named, or the first.

    Raises:
        ConfigError: a label has no operating point of that name.
    """
    return tuple(_choose(output, name) for output in manifest.labels)


def check_prevalence(manifest: Manifest, prevalence: float | None) -> tuple[Label, ...]:
    """Return the labels whose probability cannot be restated for a prevalence, since no
    calibration was fitted: ``findings_of`` leaves them as they are.

    Raises:
        ConfigError: the label whose prevalence it is has no calibration, or ``prevalence`` is not
            in (0, 1).
    """
    if prevalence is None:
        return ()
    main = whose_prevalence(output.label for output in manifest.labels)
    (calibration,) = (each.calibration for each in manifest.labels if each.label == main)
    try:
        calibration.at(prevalence, 0.5)
    except ConfigError as error:
        raise ConfigError(f"'{main}': {error.message}", hint=error.hint) from None
    return tuple(output.label for output in manifest.labels if not output.calibration.fitted)


def findings_of(
    manifest: Manifest,
    logits: NDArray[np.float32],
    operating_point: str | None,
    prevalence: float | None = None,
) -> tuple[Finding, ...]:
    """Say what the logits (L,) of one film mean, label by label.

    Args:
        manifest: of the bundle.
        logits: float32 (L,).
        operating_point: name, or None for the first.
        prevalence: of COVID-19 pneumonia, in (0, 1): restates the probability of the labels with a
            calibration, see ``hilum.judge.decisions.prevalences``; None takes those of the bundle,
            see ``LabelOutput``. Neither the decision nor the prediction set depends on it.

    Raises:
        ConfigError: no such operating point, or no share of positives.
    """
    points = choose_points(manifest, operating_point)
    scores = sigmoid(logits)
    asked: dict[str, float | None] = {output.label: output.stated for output in manifest.labels}
    if prevalence is not None:
        asked = prevalences(asked, prevalence)
    return tuple(
        _finding(output, float(logit), float(score), point, asked[output.label])
        for output, logit, score, point in zip(manifest.labels, logits, scores, points, strict=True)
    )


def _choose(output: LabelOutput, name: str | None) -> OperatingPoint:
    if name is None:
        return output.operating_points[0]
    for point in output.operating_points:
        if point.name == name:
            return point
    raise ConfigError(
        f"operating point '{name}': '{output.label}' has none of that name",
        hint=did_you_mean(name, [point.name for point in output.operating_points]),
    )


def _finding(
    output: LabelOutput, logit: float, score: float, point: OperatingPoint, asked: float | None
) -> Finding:
    calibration, sets = output.calibration, output.conformal
    probability = calibration(score) if asked is None else calibration.at(asked, score)
    return Finding(
        label=output.label,
        code=output.code,
        logit=logit,
        score=score,
        probability=float(probability),
        calibration=calibration.method,
        prevalence=asked,
        present=score >= point.threshold,
        operating_point=point.name,
        threshold=point.threshold,
        prediction_set=sets(score) if sets else None,
        coverage=sets.coverage if sets else None,
    )
