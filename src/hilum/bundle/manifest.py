"""The manifest of a bundle: everything that inference needs, as readable JSON beside the weights.

NAME/
  bundle.json        this manifest
  model.onnx         "image" (N, C, S, S) -> "logits" (N, L), "evidence" (N, L, h, w); float32.
                     Of the network "dense" also "maps" and "appearance" (N, 4)
  lungs.onnx         the network that finds the lungs; lungs.json says how it was made
                     (absent where model.onnx has the output "maps")
  gate.json          what must not be read (absent: only what the file says of itself is refused)
  recipe.toml        the resolved recipe of the run
  environment.json   versions, machine, seed, data fingerprint, command
  evaluation.json    what it scored, with intervals (absent until evaluated)
  MODEL_CARD.md      for people
  LICENSE            of the weights
  splits.csv         case_id, split, cohort and a digest of the patient of every film of the run
                     (absent for large collections); what ``Bundle.seen`` compares with
  checksums.json     sha256 of every other file
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hilum.core.config import Config
from hilum.core.labels import Label
from hilum.image.preprocess import Preprocess
from hilum.judge.adaptation import Adaptation
from hilum.judge.appearance import AppearanceOutput
from hilum.judge.calibration import Calibration, OperatingPoint
from hilum.judge.conformal import Conformal

SCHEMA_VERSION = "1"
MANIFEST = "bundle.json"
MODEL = "model.onnx"
CHECKSUMS = "checksums.json"
MODEL_CARD = "MODEL_CARD.md"
EVALUATION = "evaluation.json"
ENVIRONMENT = "environment.json"


class LabelOutput(Config):
    """One output of the network.

    Attributes:
        label: what it answers; output i of the network belongs to entry i.
        code, scheme, meaning: its coded concept where there is one.
        bias: so that ``logit == evidence.mean((h, w)) + bias``; None without evidence, and for
            COVID-19 of the network "dense": its evidence is that of opacity, and its logit that of
            P(opacity) x P(COVID-19 given opacity).
        calibration: from score to probability.
        prevalence: share of positives that a reading states the probability for, where the caller
            names none; None: that of the cases of the calibration.
        operating_points: thresholds on the score; the first is the default.
        conformal: which answers a score leaves, at a stated coverage; None if it was not fitted.
    """

    label: Label
    code: str | None = None
    scheme: str | None = None
    meaning: str | None = None
    bias: float | None = None
    calibration: Calibration = Calibration()
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    operating_points: tuple[OperatingPoint, ...] = Field(min_length=1)
    conformal: Conformal | None = None

    @property
    def stated(self) -> float | None:
        """The prevalence that a probability holds for by default; None if nothing was fitted."""
        fitted = self.calibration.prevalence
        return fitted if fitted is None or self.prevalence is None else self.prevalence


class Manifest(Config):
    """What ``bundle.json`` holds.

    Attributes:
        schema_version: version of this format.
        name, version: of the bundle.
        created: ISO 8601 date.
        network: name in ``NETWORKS``; "external" for a model made elsewhere.
        evidence: whether the ONNX graph has the exact evidence output.
        maps: whether it gives lungs and opacities, too, see ``hilum.bundle.onepass``.
        appearance: how its output "appearance" (N, 4) is said; None where it has none, or learned
            none.
        preprocess: from a film to the input of the network.
        labels: the outputs of the network, in their order.
        licence: SPDX identifier of the weights' licence.
        trained_on: cohorts in words, with the number of films and patients.
        intended_use: one sentence.
        adaptations: the sites that it was calibrated to, the last one last; empty as packed.
    """

    schema_version: Literal["1"] = "1"
    name: str
    version: str
    created: str
    network: str
    evidence: bool
    maps: bool = False
    appearance: AppearanceOutput | None = None
    preprocess: Preprocess
    labels: tuple[LabelOutput, ...] = Field(min_length=1)
    licence: str = "CC-BY-NC-SA-4.0"
    trained_on: str
    intended_use: str = "Research on adult frontal chest radiographs; not a medical device."
    adaptations: tuple[Adaptation, ...] = ()
