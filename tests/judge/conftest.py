"""Predictions made by a formula, with patients, sources and unknowns as real tables have them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def predictions(made_predictions) -> pd.DataFrame:
    """A copy that a test may change."""
    return made_predictions.copy()


@pytest.fixture(scope="session")
def made_predictions() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 400
    patient = rng.integers(0, 180, n)
    truth = (patient % 3 == 0).astype(float)
    score = np.clip(0.45 + 0.15 * truth + rng.normal(0, 0.15, n), 0, 1)
    cohort = np.where(patient % 2 == 0, "alpha", "beta")
    return pd.DataFrame(
        {
            "case_id": [f"case/{i}" for i in range(n)],
            "label": "covid-19",
            "truth": np.where(np.arange(n) % 20 == 19, np.nan, truth),
            "score": score,
            "group": [f"p{p}" for p in patient],
            "cohort": cohort,
            "source": np.where(cohort == "alpha", "alpha", np.where(patient % 5 == 0, "x", "y")),
            "view": rng.choice(["PA", "AP", ""], n),
            "sex": rng.choice(["M", "F"], n),
            "age_years": np.where(rng.random(n) < 0.2, np.nan, rng.integers(5, 90, n)),
            "reference_standard": np.where(truth == 1, "RT-PCR", ""),
            "nuisance_mean": rng.normal(0.5, 0.1, n) + 0.1 * truth,
            "nuisance_aspect": rng.normal(1, 0.1, n),
            "nuisance_constant": 384.0,
        }
    )
