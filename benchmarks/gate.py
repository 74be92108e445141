"""The gate at work: `hilum read` over what must be read and what must not, and what it said.

    hilum train recipes/gate.toml --data ../shared/data -o runs/gate
    python benchmarks/gate.py --data ../shared/data --run runs/gate

Each film is read by a gate that was fitted on other patients: one gate for each fold of the run.
Laterals, CT slices, children, the films of originals/, 300 good films of adults, 100 of these
turned and inverted, and crops of photographs that come with scikit-learn and Matplotlib, of a kind
that no gate was fitted on. Writes to a temporary folder only.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np
import pandas as pd

GOOD, TURNED, CROPS = 300, 100, 25
TURNS = {
    "inverted": lambda film: 1 - film,
    "turned left": lambda film: np.rot90(film, 1),
    "turned right": lambda film: np.rot90(film, -1),
    "upside down": lambda film: np.rot90(film, 2),
}

RIGHT = {
    "inverted": "inverted",
    "turned left": "rotated-left",
    "turned right": "rotated-right",
    "upside down": "upside-down",
}
"""What was done to a film -> the kind whose correction undoes it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the collections")
    parser.add_argument("--run", type=Path, required=True, help="folder of the fitted gate")
    parser.add_argument("--out", type=Path, help="write the table to this CSV too")
    options = parser.parse_args()
    films = _films(options.data, options.run)
    with tempfile.TemporaryDirectory() as folder:
        made = [_turned(films, Path(folder)), _photographs(Path(folder))]
        films = pd.concat([films, *made], ignore_index=True)
        said = _read(films, options.run)
    table = pd.crosstab(films["what"], said)
    table = table.reindex(films["what"].unique())
    table.insert(0, "films", table.sum(axis=1))
    print(table.to_string())
    if options.out:
        table.reset_index().to_csv(options.out, index=False)
    _time(films)


def _films(data: Path, run: Path) -> pd.DataFrame:
    """Return path, fold and what each film is."""
    from hilum.data.cohorts import read_cohort
    from hilum.data.table import merge_cases
    from hilum.learn.gate.material import kinds_of
    from hilum.learn.gate.recipe import GateRecipe

    recipe = GateRecipe.load(run / "recipe.toml")
    read = [read_cohort(each.name, data / each.folder) for each in recipe.data.cohorts]
    cases = merge_cases([one.cases for one in read], [each.folder for each in recipe.data.cohorts])
    folds = pd.read_csv(run / "films.csv").set_index("case_id")["fold"]
    cases = cases.assign(fold=cases["case_id"].map(folds), what=kinds_of(cases, recipe.data))
    good = cases[cases["what"] == "frontal"].sample(GOOD, random_state=0)
    good = good.assign(what="good: " + good["cohort"])
    parts = [
        cases[cases["what"] == kind] for kind in ("lateral", "ct-slice", "pediatric", "teenager")
    ]
    films = pd.concat([*parts, good.sort_values("what")])[["path", "fold", "what"]]
    return pd.concat([films, _originals(data, cases)], ignore_index=True)


def _originals(data: Path, cases: pd.DataFrame) -> pd.DataFrame:
    """The unmodified upstream files, each with the fold of its scaled copy in a collection."""
    manifest = pd.read_csv(data / "manifest.csv")
    folds = {str(Path(path).resolve()): fold for path, fold in cases[["path", "fold"]].to_numpy()}
    rows = []
    for row in manifest[manifest["source"] == "originals"].itertuples():
        copy = re.search(r"scaled copy: (.+)$", str(row.note))
        fold = folds.get(str((data / copy[1]).resolve())) if copy else None
        what = "originals: lateral" if row.view == "L" else "originals: frontal"
        rows.append((str(data / row.path), fold or 1.0, what))
    return pd.DataFrame(rows, columns=["path", "fold", "what"])


def _turned(films: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write good films turned and inverted."""
    from hilum.image.open import open_radiograph

    good = films[films["what"].str.startswith("good")].sample(TURNED, random_state=1)
    rows = []
    for number, film in enumerate(good.itertuples()):
        pixels = open_radiograph(film.path).pixels
        for what, turn in TURNS.items():
            path = folder / f"{number}-{what.replace(' ', '-')}.png"
            cv2.imwrite(str(path), np.rint(255 * turn(pixels)).astype(np.uint8))
            rows.append((str(path), film.fold, what))
    return pd.DataFrame(rows, columns=["path", "fold", "what"])


def _photographs(folder: Path) -> pd.DataFrame:
    """Cut a temple, a flower, a portrait and a terrain map into crops, in grey."""
    import matplotlib as mpl
    import sklearn

    pictures = Path(sklearn.__file__).parent / "datasets" / "images"
    samples = Path(mpl.get_data_path()) / "sample_data"
    greys = {
        path.stem: cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for path in (pictures / "china.jpg", pictures / "flower.jpg", samples / "grace_hopper.jpg")
    }
    terrain = np.load(samples / "jacksboro_fault_dem.npz")["elevation"].astype(float)
    greys["terrain"] = np.rint(255 * (terrain - terrain.min()) / np.ptp(terrain)).astype(np.uint8)
    rows = []
    random = np.random.default_rng(0)
    for name, grey in greys.items():
        for number in range(CROPS):
            side = int(random.integers(160, min(grey.shape)))
            top, left = (int(random.integers(0, length - side + 1)) for length in grey.shape)
            path = folder / f"{name}-{number}.png"
            cv2.imwrite(str(path), grey[top : top + side, left : left + side])
            rows.append((str(path), float(number % 5 + 1), "photographs"))
    return pd.DataFrame(rows, columns=["path", "fold", "what"])


def _read(films: pd.DataFrame, run: Path) -> pd.Series:
    """Return what `hilum read` says of each film: "read", "corrected, read", or the reason."""
    from hilum.learn.gate.fit import score_held_out, with_limits
    from hilum.learn.gate.measure import kept
    from hilum.learn.gate.recipe import GateRecipe
    from hilum.learn.gate.run import MEASURED, folds_of
    from hilum.serve.reader import load_bundle

    recipe, measured = GateRecipe.load(run / "recipe.toml"), kept(run / MEASURED)
    folds = folds_of(measured, pd.read_csv(run / "films.csv"), recipe)
    views = score_held_out(measured, folds, recipe.fit)
    reader = load_bundle()
    said = pd.Series("", index=films.index)
    for fold, gate in views.folds.gates.items():
        reader.gate = with_limits(gate, views, measured, folds != fold, recipe.fit)
        some = films[films["fold"] == fold]
        readings = reader.read_many(some["path"])
        said[some.index] = [_in_words(*pair) for pair in zip(readings, some["what"], strict=True)]
    return said


def _in_words(reading, what: str) -> str:
    from hilum.serve.gate import CORRECTIONS

    if reading.refusal is not None:
        return reading.refusal.code.value
    steps = [step for step in reading.history if step.startswith("corrected")]
    if not steps:
        return reading.status.value
    right = RIGHT.get(what)
    if len(steps) == 1 and right and CORRECTIONS[right].done in steps[0]:
        return "corrected, read"
    return "corrected wrongly, read"


def _time(films: pd.DataFrame) -> None:
    """Print what the gate costs beyond the lung network."""
    from hilum.image.open import open_radiograph
    from hilum.image.signs import signs
    from hilum.serve.reader import load_bundle

    reader = load_bundle()
    if reader.gate is None or reader.segmenter is None:
        print("the built-in bundle has no gate")
        return
    film = open_radiograph(films["path"][0])
    square = reader.segmenter.preprocess.square(film)
    lungs = reader.segmenter.segment_squares([square])[0]
    costs = []
    for _ in range(50):
        started = perf_counter()
        reader.gate.judge(lungs.embedding, signs(film, square, lungs))
        costs.append(1000 * (perf_counter() - started))
    print(f"the gate beyond the lung network: {np.median(costs):.2f} ms a film")


if __name__ == "__main__":
    main()
