"""Embedding: can the source of a film be read from what the network makes of it?

Films of one class only, so that the class itself cannot stand for the source; a linear probe,
cross-validated by patient (Alain and Bengio, ICLR workshop 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.core.estimate import Estimate
from hilum.core.extras import require
from hilum.judge.audit.material import Chosen, Material
from hilum.judge.audit.schema import AuditAnswer, AuditRow, at_most, decide, not_run
from hilum.judge.metrics import Floats, auroc

FOLDS = 5
_COMPONENTS = 50
_C = 0.1


def embedding_source(material: Material) -> AuditAnswer:
    """How well does a linear probe name the source of films of one class?"""
    if material.embedding is None:
        return not_run(material.absent.get("embedding", "the model gives no embedding"))
    groups = material.table["group"].to_numpy(dtype=str)
    rows, columns = [], []
    for side, word in ((False, "negative"), (True, "positive")):
        chosen = _enough(material, material.truth == side)
        names = np.unique(material.source[chosen])
        if names.size < 2:
            continue
        embedding, source = material.embedding[chosen], material.source[chosen]
        probed = probe(embedding, source, groups[chosen], seed=material.seed)
        if probed is None:
            continue
        for index, name in enumerate(names):
            of = (chosen, source == name, probed[:, index])
            columns.append(of)
            rows.append(AuditRow(name=f"{name} among {word} films", measured=_one(material, of)))
    if not columns:
        return not_run("no class has two sources with enough patients")

    def mean(weights: Floats) -> Floats:
        return np.asarray(np.mean([auroc(t, s, weights[..., c]) for c, t, s in columns], axis=0))

    check = at_most(
        "mean AUROC of naming the source, within one class",
        material.estimate(mean),
        material.limits.embedding_source,
    )
    return decide([check], "0.5 would be blind to the source.", rows, "AUROC of naming the source")


def probe(
    embedding: Floats, source: NDArray[np.str_], groups: NDArray[np.str_], *, seed: int
) -> Floats | None:
    """Name the source by a logistic regression that was fitted on other patients.

    Args:
        embedding: float (n, E).
        source, groups: (n,).

    Returns:
        float64 (n, sources) out-of-fold probabilities in the order of the names; None where a
        source has fewer than two patients.
    """
    require("evaluate")
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def model(films: int) -> Any:
        return make_pipeline(
            StandardScaler(),
            PCA(min(_COMPONENTS, embedding.shape[1], films - 1), random_state=seed),
            LogisticRegression(C=_C, max_iter=3000),
        )

    return out_of_fold(model, embedding, source, groups, seed)


def out_of_fold(
    model: Callable[[int], Any],
    space: NDArray[np.floating[Any]],
    answer: NDArray[np.str_],
    groups: NDArray[np.str_],
    seed: int,
) -> Floats | None:
    """Return what a classifier says of each film, fitted on other patients; see ``probe``.

    Args:
        model: makes one for so many films to fit.
        space: float (n, E).
        answer, groups: (n,).
        seed: divides the patients.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    names = np.unique(answer)
    folds = min(FOLDS, *(np.unique(groups[answer == name]).size for name in names))
    if folds < 2:
        return None
    found = np.zeros((answer.size, names.size))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    for fit, rest in splitter.split(space, answer, groups):
        if rest.size and np.unique(answer[fit]).size == names.size:
            fitted = model(fit.size).fit(space[fit], answer[fit])
            found[rest] = fitted.predict_proba(space[rest])
    return found


def _enough(material: Material, side: Chosen) -> Chosen:
    names, counts = np.unique(material.source[side], return_counts=True)
    return np.asarray(side & np.isin(material.source, names[counts >= material.limits.min_films]))


def _one(material: Material, of: tuple[Chosen, Chosen, Floats]) -> Estimate:
    chosen, truth, score = of
    return material.estimate(lambda w: auroc(truth, score, w), chosen)
