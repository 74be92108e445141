"""Limits: what a model may do at most, or must do at least, and why that number.

One place; ``hilum audit --set NAME=VALUE`` changes one for one run, and the report says so.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from hilum.core.config import Config


class AuditLimits(Config):
    """Every limit of the audit, with its reason."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    min_films: int = Field(default=10, ge=2)
    """Films of a class (or of a subgroup) below which no number is given. With fewer than ten the
    interval of a share is wider than half of [0, 1]."""
    source_films: int = Field(default=30, ge=2)
    """Films from which a source is judged on its own; a smaller one is counted with its cohort, as
    the journals and web sites behind a teaching collection are."""
    chance: float = Field(default=0.5, ge=0, le=1)
    """AUROC that the interval within sources must exceed. It is what a coin reaches."""
    useful: float = Field(default=0.75, ge=0, le=1)
    """An AUROC worth having; an interval that holds both chance and this tells nothing, so the test
    says "too few films" instead of a verdict."""
    source_gap: float = Field(default=0.10, ge=0, le=1)
    """Pooled AUROC less AUROC within sources, at most. Sources differ in severity as well as in
    equipment, so a small gap is honest; beyond 0.10 the pooled number describes the collections
    more than the reader."""
    nuisance_gain: float = Field(default=0.05, ge=-1, le=1)
    """AUROC above the twelve nuisance numbers, at least. The baseline is fitted on the films
    audited, which flatters it by a few hundredths; a reader of lungs should still be 0.05 ahead."""
    embedding_source: float = Field(default=0.90, ge=0, le=1)
    """AUROC of a linear probe that names the source of films of one class from the embedding, at
    most. 0.5 is blind. Patients differ between sites, so some trace is honest; from 0.90 the
    network has in effect a plate with the hospital's name."""
    loso_gap: float = Field(default=0.10, ge=0, le=1)
    """Pooled AUROC less AUROC on sources left out of training, at most."""
    lungs_removed: float = Field(default=0.50, ge=0)
    """Share of the AUROC above chance that is left without lungs, at most. Heart, tubes and body
    habitus say something; half or more of all that a reader knows must come from lungs."""
    lungs_only: float = Field(default=0.50, ge=0)
    """Share of the AUROC above chance that is left when only lungs are shown, at least. Such
    pictures are strange to a network, hence no more than half."""
    filled_shift: float = Field(default=0.10, ge=0, le=1)
    """Change of the score, on its scale of 0 to 1, that counts as one when opacities or clear lung
    are filled. An even patch is stranger to a network than a letter, hence twice what a marker may
    do."""
    opacity_falls: float = Field(default=0.50, ge=0, le=1)
    """Share of called films whose score falls when their opacities are filled from clear lung, at
    least. Most of what was called must rest on what the map shows."""
    lung_moves: float = Field(default=0.20, ge=0, le=1)
    """Share of called films whose score changes when as much clear lung is filled, at most. A fill
    is smooth, which lungs are not; one in five leaves room for that."""
    occlusion_loss: float = Field(default=0.05, ge=0, le=1)
    """AUROC lost when border or corners are covered, at most. There is no lung."""
    occlusion_flips: float = Field(default=0.10, ge=0, le=1)
    """Share of calls that change then, at most. A little more than for markers, since arms, chin
    and upper abdomen lie there too."""
    marker_flips: float = Field(default=0.05, ge=0, le=1)
    """Share of calls that change when a marker is pasted, at most. A letter must not change a
    diagnosis; 0.05 leaves room for films that stand on the threshold."""
    marker_shift: float = Field(default=0.05, ge=0, le=1)
    """Mean absolute change of the score then, at most, on its scale of 0 to 1."""
    stability_flips: float = Field(default=0.10, ge=0, le=1)
    """Share of calls that change by crop, JPEG or size, at most. The lungs are all still there; one
    in ten leaves room for films that stand on the threshold."""
    polarity_flips: float = Field(default=0.10, ge=0, le=1)
    """Share of calls that change when the film is inverted, at most, among those films that the
    reader does not refuse. Refusing them is right."""
    false_positives: float = Field(default=0.10, ge=0, le=1)
    """Share of negative films called, at most, in every source. At a prevalence of 5 % and a
    sensitivity of 0.8 three calls in ten are then right; with 0.2 one in six."""
    left_out_false_positives: float = Field(default=0.20, ge=0, le=1)
    """Share of ward films, or of films with tuberculosis, called at sources that the model did not
    learn from, at most. These are the films that are taken for COVID-19 most easily; beyond one in
    five nobody believes a call there."""
    sensitivity: float = Field(default=0.80, ge=0, le=1)
    """Share of positive films called, at least, in every source. Below it more than one patient in
    five is missed."""
    subgroup_auroc: float = Field(default=0.10, ge=0, le=1)
    """AUROC that a view, sex or age band may lie below all films, at most."""
    subgroup_rate: float = Field(default=0.15, ge=0, le=1)
    """Sensitivity or specificity that it may lie below all films, at most."""
    ece: float = Field(default=0.10, ge=0, le=1)
    """Expected calibration error of the probability over all films, at most. Ten bins over a few
    hundred films give 0.03 to 0.05 to a perfectly calibrated reader."""
    source_calibration: float = Field(default=0.20, ge=0, le=1)
    """Mean probability less share of positives in a source, at most in absolute value. Beyond it a
    stated 20 % may be 0 or 40 there."""
    evidence_ratio: float = Field(default=1.2, ge=0)
    """Share of the evidence inside the lungs over the lungs' share of the picture, at least. A map
    that knows no anatomy has 1.0; coarse maps (7 x 7) blur over the edge of the lungs, so little
    more is asked."""
