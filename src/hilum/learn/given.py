"""Given: COVID-19 given opacity, learned off the finished map of a dense network.

A logistic regression on the *layout* of the map (``networks.dense.LAYOUT``: where, how much, how
alike on both sides) and on nothing else. Two kinds of contrast teach it:

- inside a collection that has both: COVID-19 against another pneumonia; where appearances are told,
  a typical one against the two others, of which nobody said whether they are COVID-19;
- across collections: opacities of COVID-19 against tuberculosis and other opacities of collections
  without it. Twenty-three numbers of a map do not know a hospital as its pixels do: with a
  collection of tuberculosis left out, it still tells COVID-19 from it.

All contrasts across weigh twice as much as those inside one collection; among them each collection
weighs the same, and so do both answers everywhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hilum.core.config import Config, validated
from hilum.core.errors import ConfigError
from hilum.core.files import write_text
from hilum.core.labels import Label
from hilum.image.preprocess import Preprocess
from hilum.learn.dense import APPEARANCES, Known
from hilum.learn.films import Films
from hilum.learn.networks.dense import LAYOUT, DenseNetwork
from hilum.learn.predict import inputs_of

GIVEN = "given.json"
_C = 0.01
"""Inverse strength of the ridge penalty; as ``ACROSS``, chosen on val."""
ACROSS = 2.0
_AT_A_TIME = 32


class Given(Config):
    """What a run keeps in ``given.json``, beside the settings that it was learned with."""

    bias: float
    weights: dict[str, float]
    c: float
    across: float


def learn_given(network: DenseNetwork, films: Films, preprocess: Preprocess, path: Path) -> None:
    """Set what says COVID-19 given opacity, from ``path`` or, where that is not there, from films.

    Without a contrast it says one half of every film.

    Args:
        network: in eval mode; its layer ``layout`` is changed.
        films: of train.
        preprocess: of the run.
        path: where it is kept.

    Raises:
        ConfigError: what is kept is damaged, or was learned with other settings.
    """
    if not path.is_file():
        answer, weight = contrasts(films.cases)
        used = weight > 0
        bias, weights = 0.0, np.zeros(len(LAYOUT))
        if used.any():
            layouts = layouts_of(network, films.take(used), preprocess)
            bias, weights = regression(layouts, answer[used], weight[used])
        named = dict(zip(LAYOUT, weights.tolist(), strict=True))
        learned = Given(bias=bias, weights=named, c=_C, across=ACROSS)
        write_text(path, learned.model_dump_json(indent=2) + "\n")
    hint = "delete it; the same command with --resume learns it again"
    kept = validated(Given, path.read_bytes(), ConfigError, hint, where=str(path))
    if (kept.c, kept.across, *kept.weights) != (_C, ACROSS, *LAYOUT):
        raise ConfigError(f"{path}: learned by another version of Hilum", hint=hint)
    with torch.no_grad():
        network.layout.bias[0] = kept.bias
        network.layout.weight[0] = torch.tensor(list(kept.weights.values()))


def layouts_of(network: DenseNetwork, films: Films, preprocess: Preprocess) -> NDArray[np.float64]:
    """Return the layout of each film's map, standardized, float64 (n, 23)."""
    starts = range(0, len(films.cases), _AT_A_TIME)
    inputs = (inputs_of(films, preprocess, start, start + _AT_A_TIME) for start in starts)
    with torch.inference_mode():
        parts = [network.look_at(torch.from_numpy(each)).double().numpy() for each in inputs]
    return np.concatenate(parts)


def regression(
    layouts: NDArray[np.float64], answer: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the bias and the weights, float64 (23,), of the penalized logistic regression."""
    model = LogisticRegression(C=_C, max_iter=5000).fit(layouts, answer, weight)
    return float(model.intercept_[0]), model.coef_[0]


def contrasts(
    cases: pd.DataFrame, *, across: float = ACROSS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Say which films teach COVID-19 given opacity, and how much.

    Args:
        cases: a cases table.
        across: weight of the contrasts between collections, beside those inside one.

    Returns:
        float64 (n,): 1 for COVID-19, 0 for another opacity, NaN for neither; and the weights, of
        mean 1 where they are not 0.
    """
    known = Known.of(cases)
    covid = cases.get(Label.COVID_19.value, pd.Series(np.nan, index=cases.index)).to_numpy(
        np.float64
    )
    look = known.appearance.numpy()
    answer = np.where(look >= 0, look == APPEARANCES.index("typical"), covid)
    answer = np.where((known.opacity.numpy() == 1) | (covid == 1), answer, np.nan)
    said = pd.DataFrame({"cohort": cases["cohort"].to_numpy(), "answer": answer}).dropna()
    share = 1 / said.groupby(["cohort", "answer"])["answer"].transform("size")
    answers = said.groupby("cohort")["answer"]
    both = answers.transform("min") != answers.transform("max")
    weight = share.where(both, 0.0)
    beside = said[(said["answer"] == 1) | ~both]
    if {0, 1} <= set(beside["answer"]):
        collections = beside.groupby("answer")["cohort"].transform("nunique")
        weight = weight.add(across * share / collections, fill_value=0)
    weights = weight.reindex(range(len(cases)), fill_value=0.0).to_numpy(np.float64)
    return answer, weights * (weights > 0).sum() / max(weights.sum(), 1e-12)
