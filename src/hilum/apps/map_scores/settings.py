"""Settings: what is measured of a map, and on how many films."""

from __future__ import annotations

from hilum.core.config import Config

HELD_OUT, ALL = "held out", "all annotated"
UNIFORM, RANDOM, GREY = "uniform in lungs", "random blocks", "grey levels in lungs"

METRICS: dict[str, str] = {
    "in-lung share": "share of what speaks for the label inside the lungs",
    "pointing": "pointing game: the strongest pixel lies on the target",
    "energy": "share of what speaks for the label on the target",
    "energy in lungs": "the same, of what lies inside the lungs",
    "auroc in lungs": "a target's pixel beats another pixel of the lungs; 0.5 is chance",
    "deletion": "area under the score as the strongest pixels go black; small is good",
    "insertion": "area under the score as the strongest pixels come back; large is good",
    "random weights": "rank correlation inside the lungs with the map of random weights",
    "seconds": "time a map",
}
"""Name -> what it says, in the order of the table."""


class ScoreSettings(Config):
    """How maps are scored.

    Attributes:
        side: long side of the film in pixels on which maps and targets are compared.
        max_films: held-out films a target, drawn by ``seed``; 0 for all.
        max_trained: films of the bundle's training a target, for the second block; 0 for none.
        faithful_films: films a label for deletion and insertion.
        random_films: films a label for the check with random weights.
        networks: with random weights.
        steps: of deletion and insertion.
        survives: a mean correlation with the maps of random weights from here on is flagged.
        seed: of every draw.
    """

    side: int = 256
    max_films: int = 30
    max_trained: int = 6
    faithful_films: int = 8
    random_films: int = 4
    networks: int = 1
    steps: int = 8
    survives: float = 0.5
    seed: int = 0
