"""The gate of a bundle: limits beyond which a picture is no frontal chest film of an adult.

NAME/gate.json   a small linear head, a distance and their limits, as readable numbers

The head is a multinomial logistic regression on what the lung network says of a film (its
embedding) and on the signs of ``hilum.image.signs``. It gives for each kind of picture that must
not be read the log-odds of that kind against "a frontal film of an adult". The distance
(Mahalanobis, 1936, along the principal axes of the embedding) is for what no kind foresaw.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.core.config import Config, did_you_mean, validated
from hilum.core.errors import BundleError
from hilum.core.refusal import Reason
from hilum.image.signs import SIGNS

GATE = "gate.json"
FRONTAL = "frontal"
"""The kind that is read; the first class of every head."""

Row = tuple[float, ...]
Numbers = NDArray[np.float32]


class Limit(Config):
    """A limit and where it comes from.

    Attributes:
        value: a film beyond it is refused.
        chosen: in words: which quantile of which films.
    """

    value: float
    chosen: str


class Rule(Config):
    """One sign with limits of its own.

    Attributes:
        sign: one of ``SIGNS``.
        reason: to refuse a film whose sign is below ``low`` or above ``high``.
    """

    sign: str
    reason: Reason
    low: Limit | None = None
    high: Limit | None = None

    @field_validator("sign")
    @classmethod
    def _known(cls, sign: str) -> str:
        if sign not in SIGNS:
            raise ValueError(f"no sign '{sign}'; {did_you_mean(sign, SIGNS)}")
        return sign


class KindLimit(Config):
    """What log-odds of a kind mean.

    Attributes:
        kind: a class of the head.
        reason: to refuse such a film.
        refuse: log-odds (natural) against "frontal" beyond which it is refused.
        correct: beyond which it is certain enough to be corrected; None where nothing can be.
    """

    kind: str
    reason: Reason
    refuse: Limit
    correct: Limit | None = None


class GateHead(Config):
    """The multinomial logistic regression: ``logits = coefficients @ (x - mean) / scale + bias``.

    Attributes:
        kinds: K classes, "frontal" first.
        mean, scale: of the F features: the embedding, then the signs.
        coefficients: K rows of F; ``bias`` K.
    """

    kinds: tuple[str, ...]
    mean: Row
    scale: Row
    coefficients: tuple[Row, ...]
    bias: Row

    @model_validator(mode="after")
    def _fits(self) -> GateHead:
        sizes = {len(self.mean), len(self.scale), *(len(row) for row in self.coefficients)}
        if len(sizes) != 1 or not len(self.kinds) == len(self.coefficients) == len(self.bias):
            raise ValueError("the numbers of the head do not fit together")
        if self.kinds[:1] != (FRONTAL,):
            raise ValueError(f"the first kind must be '{FRONTAL}'")
        return self


class Distance(Config):
    """How far an embedding lies from those of the films to be read.

    Attributes:
        mean: of their embeddings, E.
        axes: k rows of E: principal axes over the standard deviation along each, so that the
            distance is the length of ``axes @ (embedding - mean)`` over the root of k.
        refuse: limit of it.
    """

    mean: Row
    axes: tuple[Row, ...]
    refuse: Limit


class GateSpec(Config):
    """What ``gate.json`` holds.

    Attributes:
        schema_version: of this format.
        lungs: SHA-256 of the ``lungs.onnx`` whose embeddings it was fitted on.
        signs: names of the signs, in order.
        head, kinds: the classes and their limits.
        distance: the catch-all.
        rules: limits on single signs.
        made: recipe, environment, command and data fingerprint of the fit.
        measured: shares refused, per kind and collection, on films held out.
    """

    schema_version: Literal["1"] = "1"
    lungs: str
    signs: tuple[str, ...]
    head: GateHead
    kinds: tuple[KindLimit, ...]
    distance: Distance
    rules: tuple[Rule, ...] = ()
    made: dict[str, Any] = Field(default_factory=dict)
    measured: dict[str, Any] = Field(default_factory=dict)


class Broken(Config):
    """A limit that a film broke.

    Attributes:
        reason: to refuse it.
        measured: what, in words.
        value, limit: of it.
        kind: class of the head; "" for a rule or the distance.
        certain: it can be corrected, and the log-odds are beyond that limit too.
    """

    reason: Reason
    measured: str
    value: float
    limit: float
    kind: str = ""
    certain: bool = False


class Gate:
    """A gate at work, in numpy alone; safe to share between threads.

    Args:
        spec: what ``gate.json`` holds.
    """

    def __init__(self, spec: GateSpec) -> None:
        self.spec = spec
        head = spec.head
        scale = np.asarray(head.scale, np.float64)
        weights = np.asarray(head.coefficients, np.float64) / scale
        self._weights = weights - weights[0]
        bias = np.asarray(head.bias, np.float64) - weights @ np.asarray(head.mean, np.float64)
        self._bias = bias - bias[0]
        self._mean = np.asarray(spec.distance.mean, np.float64)
        self._axes = np.asarray(spec.distance.axes, np.float64)
        self._places = {name: place for place, name in enumerate(spec.signs)}

    def log_odds(self, embedding: Numbers, signs: Numbers) -> NDArray[np.float64]:
        """Return the log-odds of every class against "frontal".

        Args:
            embedding: float32 (..., E), ``Lungs.embedding``.
            signs: float32 (..., len(SIGNS)).

        Returns:
            float64 (..., K), natural logarithms; the first is 0.
        """
        features = np.concatenate([embedding, signs], axis=-1, dtype=np.float64)
        return np.asarray(features @ self._weights.T + self._bias)

    def distance(self, embedding: Numbers) -> NDArray[np.float64]:
        """Return the distance of embeddings (..., E) from the films to be read, float64 (...)."""
        along = (np.asarray(embedding, np.float64) - self._mean) @ self._axes.T
        return np.asarray(np.sqrt((along**2).mean(axis=-1)))

    def judge(self, embedding: Numbers, signs: Numbers) -> Broken | None:
        """Return the limit that one film broke, or None if it may be read.

        The head comes first, for it names reasons best; the distance comes last, for it gives
        none. Of several kinds the likeliest is named.

        Args:
            embedding: float32 (E,).
            signs: float32 (len(SIGNS),).
        """
        log_odds, distance = self.log_odds(embedding, signs), float(self.distance(embedding))
        return self.decide(log_odds, distance, signs)

    def decide(
        self, log_odds: NDArray[np.float64], distance: float, signs: Numbers
    ) -> Broken | None:
        """Return the limit that one film broke, from its scores; see ``judge``.

        Args:
            log_odds: float64 (K,); NaN for a kind that was not asked about.
            distance: of the film.
            signs: float32 (len(SIGNS),).
        """
        return self._kind(log_odds) or self._rule(signs) or self._far(distance)

    def _rule(self, signs: Numbers) -> Broken | None:
        for rule in self.spec.rules:
            value = float(signs[self._places[rule.sign]])
            for limit, beyond in ((rule.low, -1), (rule.high, 1)):
                if limit is not None and beyond * (value - limit.value) > 0:
                    return Broken(
                        reason=rule.reason,
                        measured=rule.sign.replace("_", " "),
                        value=value,
                        limit=limit.value,
                    )
        return None

    def _kind(self, log_odds: NDArray[np.float64]) -> Broken | None:
        found = [
            (float(log_odds[self.spec.head.kinds.index(one.kind)]), one) for one in self.spec.kinds
        ]
        broken = [(value, one) for value, one in found if value > one.refuse.value]
        if not broken:
            return None
        value, one = max(broken, key=lambda pair: pair[0])
        return Broken(
            reason=one.reason,
            measured=f"log-odds of '{one.kind}' against '{FRONTAL}'",
            value=value,
            limit=one.refuse.value,
            kind=one.kind,
            certain=one.correct is not None and value > one.correct.value,
        )

    def _far(self, distance: float) -> Broken | None:
        limit = self.spec.distance.refuse.value
        if distance <= limit:
            return None
        return Broken(
            reason=Reason.UNLIKE_TRAINING,
            measured="distance to the films that the gate was fitted on",
            value=distance,
            limit=limit,
        )


def open_gate(root: Path | None = None, *, lungs: str) -> Gate | None:
    """Open the gate of a bundle.

    Args:
        root: its folder; None for the one inside the package.
        lungs: SHA-256 of the lung network that will make the embeddings.

    Returns:
        The gate, or None if the bundle has none.

    Raises:
        BundleError: ``gate.json`` cannot be read, or was fitted on another lung network.
    """
    path = (root or DEFAULT_BUNDLE) / GATE
    if not path.is_file():
        return None
    spec = read_gate(path)
    if spec.lungs != lungs:
        raise BundleError(
            f"{path}: fitted on the lung network {spec.lungs[:12]}; this one is {lungs[:12]}",
            hint=_AGAIN,
        )
    return Gate(spec)


_AGAIN = "fit it again: hilum train recipes/gate.toml -b BUNDLE"


def read_gate(path: Path) -> GateSpec:
    """Read ``gate.json``.

    Raises:
        BundleError: it cannot be read, or was made for other signs.
    """
    spec = validated(GateSpec, path.read_bytes(), BundleError, _AGAIN, where=str(path))
    if spec.signs != SIGNS:
        raise BundleError(
            f"{path}: made for other signs than this Hilum takes",
            hint=_AGAIN,
        )
    return spec
