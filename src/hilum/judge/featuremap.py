"""Feature map: embeddings in two dimensions, and how far the picture can be believed.

A map of points always shows something. Beside it stand: how far neighbors on the map are neighbors
in the embedding (trustworthiness and continuity: Venna and Kaski, ICANN 2001), how well the source
of a film can be read, and how well its label can be read within a source, from the embedding and
from the map. What is read is read across patients, and has an interval over them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.config import Config, did_you_mean
from hilum.core.errors import CohortError, ConfigError, MissingExtraError
from hilum.core.estimate import Estimate
from hilum.core.extras import require
from hilum.judge.audit.embedding import out_of_fold, probe
from hilum.judge.audit.limits import AuditLimits
from hilum.judge.audit.material import sites
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.judge.metrics import Floats, auroc

NEIGHBORS = 15
"""Nearest films that trustworthiness, continuity and the vote of neighbors look at."""
CHANCE = 0.5
"""AUROC of a coin."""
FEWEST = 5
"""Films below which no map is drawn."""
_COMPONENTS = 50  # before t-SNE and UMAP, as van der Maaten and Hinton (JMLR 2008) do it
_PERPLEXITY = 30

Names = NDArray[np.str_]
Probe = Callable[..., Floats | None]


class MapMeasure(Config):
    """One number beside the map.

    Attributes:
        space: what was looked at: "embedding", or the name of a layout.
        what: "trustworthiness", "continuity", "source" or "label".
        how: by what it was read, or over how many neighbors.
        where: among which films.
        value: with its interval over patients where one is drawn, and n.
        patients: among these films.
        chance: what a coin reaches; None where there is no such level.
    """

    space: str
    what: str
    how: str
    where: str
    value: Estimate
    patients: int
    chance: float | None = None


def project(embedding: NDArray[np.floating[Any]], method: str, *, seed: int = 0) -> Floats:
    """Bring embeddings to two dimensions.

    Args:
        embedding: float (n, E), n >= ``FEWEST``.
        method: a name in ``METHODS``.
        seed: of the layout; the same seed and machine give the same map.

    Returns:
        float64 (n, 2), centered, the larger side within [-1, 1]. Axes have no unit.

    Raises:
        ConfigError: no such method.
        CohortError: too few films.
        MissingExtraError: scikit-learn, or umap-learn for "umap", is not installed.
    """
    require("evaluate")
    if method not in METHODS:
        raise ConfigError(f"method '{method}' of a map", hint=did_you_mean(method, METHODS))
    if len(embedding) < FEWEST:
        raise CohortError(f"{len(embedding)} films; a map needs at least {FEWEST}")
    if not np.ptp(embedding, axis=0).any():
        return np.zeros((len(embedding), 2))  # the same film again and again
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # of scikit-learn

    with threadpool_limits(1):  # sums over several threads differ in the last bit, and so maps do
        placed = METHODS[method](np.asarray(embedding, np.float64), seed)
    low, high = placed.min(axis=0), placed.max(axis=0)
    return np.asarray((placed - (low + high) / 2) / max(float((high - low).max()) / 2, 1e-12))


def measure_map(
    embedding: NDArray[np.floating[Any]],
    layouts: Mapping[str, Floats],
    table: pd.DataFrame,
    *,
    folds: int = 1000,
    seed: int = 0,
) -> tuple[MapMeasure, ...]:
    """Measure layouts of the same embeddings, and what can be read from each.

    Args:
        embedding: float (n, E).
        layouts: name -> float (n, 2).
        table: n rows: source, cohort, group (the patient) and truth (1, 0 or NaN).
        folds, seed: of the bootstrap.
    """
    found = [row for name, placed in layouts.items() for row in _faithful(embedding, name, placed)]
    spaces = {"embedding": embedding, **layouts}
    truth, groups = table["truth"].to_numpy(np.float64), table["group"].to_numpy(dtype=str)
    site = sites(table, AuditLimits())
    for name, space in spaces.items():
        readers: dict[str, Probe] = {f"vote of {NEIGHBORS} neighbors": neighbors_probe}
        if name == "embedding":
            readers = {"linear probe": probe, **readers}
        for how, reader in readers.items():
            for what, where, chosen, answer in _questions(site, truth):
                value = _read(space[chosen], answer, groups[chosen], reader, folds=folds, seed=seed)
                found.append(
                    MapMeasure(
                        space=name,
                        what=what,
                        how=how,
                        where=where,
                        value=value,
                        patients=np.unique(groups[chosen]).size,
                        chance=CHANCE,
                    )
                )
    return tuple(found)


def neighbors_probe(
    space: NDArray[np.floating[Any]], answer: Names, groups: Names, *, seed: int
) -> Floats | None:
    """Name ``answer`` by a vote of the nearest films of other patients; see ``probe``.

    Args:
        space: float (n, E) or (n, 2).
        answer, groups: (n,).

    Returns:
        float64 (n, answers), shares of the votes; None where an answer has too few patients.
    """
    from sklearn.neighbors import KNeighborsClassifier

    return out_of_fold(
        lambda films: KNeighborsClassifier(min(NEIGHBORS, films)), space, answer, groups, seed
    )


def _faithful(
    embedding: NDArray[np.floating[Any]], name: str, placed: Floats
) -> tuple[MapMeasure, ...]:
    from sklearn.manifold import trustworthiness

    films = len(placed)
    near = min(NEIGHBORS, (films - 1) // 2)  # Venna and Kaski: below half of the films
    values = {
        "trustworthiness": trustworthiness(embedding, placed, n_neighbors=near),
        "continuity": trustworthiness(placed, embedding, n_neighbors=near),
    }
    return tuple(
        MapMeasure(
            space=name,
            what=what,
            how=f"{near} neighbors",
            where=ALL,
            value=Estimate(value=float(value), n=films),
            patients=0,
        )
        for what, value in values.items()
    )


ALL = "all films"

Question = tuple[str, str, NDArray[np.bool_], Names]


def _questions(site: Names, truth: Floats) -> Sequence[Question]:
    """What is asked, where, of which films (n,), and what each of them should be called."""
    least = AuditLimits().min_films
    asked: list[Question] = []
    parts = {ALL: np.ones(site.size, bool), "label present": truth == 1, "label absent": truth == 0}
    for where, part in parts.items():
        names, films = np.unique(site[part], return_counts=True)
        chosen = part & np.isin(site, names[films >= least])
        if np.unique(site[chosen]).size > 1:
            asked.append(("source", where, chosen, site[chosen]))
    known = ~np.isnan(truth)
    for where in (ALL, *np.unique(site)):
        chosen = known if where == ALL else known & (site == where)
        if min(int((truth[chosen] == side).sum()) for side in (0, 1)) >= least:
            answer = np.where(truth[chosen] == 1, "present", "absent")
            asked.append(("label", str(where), chosen, answer))
    return asked


def _read(
    space: NDArray[np.floating[Any]],
    answer: Names,
    groups: Names,
    reader: Probe,
    *,
    folds: int,
    seed: int,
) -> Estimate:
    """Mean AUROC over the answers, each against the rest, across patients."""
    said = reader(space, answer, groups, seed=seed)
    if said is None:
        return Estimate.undefined(answer.size, "an answer has fewer than two patients")
    names = np.unique(answer)
    columns = range(names.size) if names.size > 2 else (1,)

    def mean(weights: Floats) -> dict[str, Floats]:
        each = [auroc(answer == names[c], said[:, c], weights) for c in columns]
        return {"value": np.asarray(np.mean(each, axis=0))}

    support = {"value": Support(answer.size, np.unique(groups).size)}
    return bootstrap_all(mean, groups, support, folds=folds, seed=seed)["value"]


def _pca(embedding: Floats, seed: int, components: int = 2) -> Floats:
    from sklearn.decomposition import PCA

    components = min(components, *embedding.shape)
    placed = PCA(components, svd_solver="full", random_state=seed).fit_transform(embedding)
    missing = max(0, 2 - components)
    return np.pad(np.asarray(placed, np.float64), ((0, 0), (0, missing)))


def _tsne(embedding: Floats, seed: int) -> Floats:
    from sklearn.manifold import TSNE

    perplexity = min(_PERPLEXITY, (len(embedding) - 1) / 3)
    layout = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return np.asarray(layout.fit_transform(_pca(embedding, seed, _COMPONENTS)), np.float64)


def _umap(embedding: Floats, seed: int) -> Floats:
    if find_spec("umap") is None:
        raise MissingExtraError(
            "the method 'umap' needs umap-learn, which is not installed",
            hint="pip install umap-learn, or take --method tsne",
        )
    near = min(NEIGHBORS, len(embedding) - 1)
    layout = import_module("umap").UMAP(n_neighbors=near, random_state=seed, n_jobs=1)
    return np.asarray(layout.fit_transform(_pca(embedding, seed, _COMPONENTS)), np.float64)


METHODS: dict[str, Callable[[Floats, int], Floats]] = {"tsne": _tsne, "pca": _pca, "umap": _umap}
"""Name -> from embeddings (n, E) and a seed to (n, 2); the first is the default."""
TITLES = {"tsne": "t-SNE", "pca": "PCA", "umap": "UMAP"}
