from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.manifold import trustworthiness

from hilum.core.errors import CohortError, ConfigError, MissingExtraError
from hilum.judge.featuremap import (
    FEWEST,
    METHODS,
    TITLES,
    measure_map,
    neighbors_probe,
    project,
)


def _world(source_speaks: float, label_speaks: float, films: int = 160, seed: int = 0):
    """Embeddings (n, 12) in which source and label each lie along an axis of their own."""
    generator = np.random.default_rng(seed)
    source, truth = generator.integers(0, 2, films), generator.integers(0, 2, films)
    embedding = generator.normal(size=(films, 12))
    embedding[:, 0] += source_speaks * source
    embedding[:, 1] += label_speaks * truth
    table = pd.DataFrame(
        {
            "source": np.where(source == 1, "east", "west"),
            "cohort": "made",
            "group": [f"p{i // 2}" for i in range(films)],
            "truth": truth.astype(float),
        }
    )
    return embedding, table


def _value(rows, **wanted):
    (found,) = [r for r in rows if all(getattr(r, k) == v for k, v in wanted.items())]
    return found.value.value


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_layout_is_the_same_for_the_same_seed_and_fits_the_box(method):
    embedding, _ = _world(4, 4, films=60)
    first, again = project(embedding, method, seed=3), project(embedding, method, seed=3)
    assert first.shape == (60, 2)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first).max() == pytest.approx(1)


def test_pca_is_that_of_numpy():
    embedding, _ = _world(4, 4, films=60)
    centered = embedding - embedding.mean(axis=0)
    u, s, _ = np.linalg.svd(centered, full_matrices=False)
    expected = u[:, :2] * s[:2]
    found = project(embedding, "pca")
    for axis in range(2):
        assert abs(np.corrcoef(found[:, axis], expected[:, axis])[0, 1]) == pytest.approx(1)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_very_few_films_are_placed_and_fewer_are_refused(method):
    generator = np.random.default_rng(0)
    assert np.isfinite(project(generator.normal(size=(FEWEST, 8)), method)).all()
    assert project(np.ones((FEWEST + 2, 8)), "pca").shape == (FEWEST + 2, 2)
    with pytest.raises(CohortError, match="4 films; a map needs at least 5"):
        project(generator.normal(size=(4, 8)), method)


def test_an_unknown_method_is_refused_and_every_method_has_a_title():
    with pytest.raises(ConfigError) as caught:
        project(np.ones((9, 3)), "tsen")
    assert caught.value.hint == "did you mean 'tsne'?"
    assert METHODS.keys() == TITLES.keys()


def test_umap_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("hilum.judge.featuremap.find_spec", lambda name: None)
    monkeypatch.setattr("hilum.judge.featuremap.require", lambda extra: None)
    with pytest.raises(MissingExtraError) as caught:
        project(np.random.default_rng(0).normal(size=(9, 3)), "umap")
    assert "pip install umap-learn" in caught.value.hint


def test_what_can_be_read_is_what_was_put_there():
    speaks = measure_map(*_inputs(_world(6, 0)), folds=30)
    silent = measure_map(*_inputs(_world(0, 6)), folds=30)
    for how in ("linear probe", "vote of 15 neighbors"):
        one = {"space": "embedding", "how": how, "where": "all films"}
        assert _value(speaks, what="source", **one) > 0.95
        assert 0.3 < _value(speaks, what="label", **one) < 0.7
        assert _value(silent, what="label", **one) > 0.95
        assert 0.3 < _value(silent, what="source", **one) < 0.7
    assert _value(silent, what="label", how="linear probe", where="east", space="embedding") > 0.9


def _inputs(world):
    embedding, table = world
    return embedding, {"PCA": project(embedding, "pca")}, table


def test_trustworthiness_is_that_of_scikit_learn_and_continuity_its_mirror():
    embedding, layouts, table = _inputs(_world(5, 5))
    found = measure_map(embedding, layouts, table, folds=0)
    placed = layouts["PCA"]
    assert _value(found, what="trustworthiness") == trustworthiness(
        embedding, placed, n_neighbors=15
    )
    assert _value(found, what="continuity") == trustworthiness(placed, embedding, n_neighbors=15)
    assert _value(found, what="trustworthiness") < 1


def test_intervals_hold_their_value_and_chance_is_stated():
    found = measure_map(*_inputs(_world(1, 1)), folds=60)
    readable = [row for row in found if row.chance is not None]
    assert readable
    for row in readable:
        assert row.value.low <= row.value.value <= row.value.high
        assert row.chance == 0.5
        assert row.patients <= row.value.n


def test_a_source_that_repeats_a_patient_is_not_read_by_recognizing_him():
    """Twelve films a patient, each patient his own cluster, sources drawn by lot."""
    generator = np.random.default_rng(1)
    groups = np.repeat([f"p{i}" for i in range(16)], 12)
    center = generator.normal(size=(16, 8)) * 10
    space = np.repeat(center, 12, axis=0) + generator.normal(size=(192, 8)) * 0.1
    answer = np.repeat(np.array(["east", "west"] * 8), 12)
    said = neighbors_probe(space, answer, groups, seed=0)
    right = (said[:, 1] > 0.5) == (answer == "west")
    assert right.mean() < 0.8
