"""How well and how fast duplicates are found among the films of HILUM_DATA.

The yardstick is the column near_duplicate_group of manifest.csv, which the finder never reads:
its pairs are films of one group, a false alarm is a pair of grouped films of different groups.
Pairs with films outside the groups are listed (--list) to be looked at, since the yardstick does
not know them.

    HILUM_DATA=../shared/data python benchmarks/duplicates.py
    HILUM_DATA=../shared/data python benchmarks/duplicates.py --alter 200
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from hilum.data.duplicates import compare, find_duplicates, link_groups
from hilum.data.fingerprint import fingerprint
from hilum.image.open import open_radiograph

SIZES = (500, 1000, 2000, 3000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="list pairs that the groups lack")
    parser.add_argument("--sizes", action="store_true", help="time 500 to 3,000 films")
    parser.add_argument("--alter", type=int, default=0, help="alter this many films and find them")
    arguments = parser.parse_args()
    root = Path(os.environ["HILUM_DATA"])
    manifest = pd.read_csv(root / "manifest.csv")
    manifest["case_id"] = manifest["path"]
    cases = pd.DataFrame(
        {
            "case_id": manifest["path"],
            "path": [str(root / path) for path in manifest["path"]],
            "cohort": manifest["source"],
            "source": manifest["source"],
            "patient_id": manifest["path"],
        }
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    if arguments.alter:
        altered(cases, arguments.alter)
    elif arguments.sizes:
        for size in SIZES:
            _, took = timed(cases.sample(size, random_state=0))
            print(took)
    else:
        pairs, took = timed(cases)
        print(took)
        report(manifest, cases, pairs, arguments.list)


def timed(cases: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Find duplicates; say the wall time, and the CPU time that other programs do not lengthen."""
    start, start_cpu = time.perf_counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pairs = find_duplicates(cases)
    for warning in caught:
        print(f"note: {warning.message}")
    seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    count = len(cases)
    return pairs, (
        f"{count:5d} films: {seconds:6.1f} s, {1000 * seconds / count:5.1f} ms a film; "
        f"CPU {cpu:6.1f} s, {1000 * cpu / count:5.1f} ms a film"
    )


def report(manifest: pd.DataFrame, cases: pd.DataFrame, pairs: pd.DataFrame, listed: bool) -> None:
    group = manifest.set_index("case_id")["near_duplicate_group"].dropna()
    source = manifest.set_index("case_id")["source"]
    person = manifest.set_index("case_id")["patient_id"]
    found = complete(pairs)
    linked = link_groups(cases, pairs).set_index("case_id")["group"]
    wanted = {
        tuple(sorted(pair))
        for _, films in group.groupby(group)
        for pair in combinations(films.index, 2)
    }
    for name, across in (("across collections", True), ("within a collection", False)):
        some = [pair for pair in wanted if (source[pair[0]] != source[pair[1]]) == across]
        hit = [pair for pair in some if pair in found]
        joined = [pair for pair in some if linked[pair[0]] == linked[pair[1]]]
        print(
            f"pairs {name}: {len(hit)} of {len(some)} found ({len(hit) / len(some):.1%}), "
            f"{len(joined)} ({len(joined) / len(some):.1%}) linked"
        )
        for pair in sorted(set(some) - set(hit)):
            print(f"    missed: {pair[0]} {pair[1]}")
    grouped = [pair for pair in found if pair[0] in group.index and pair[1] in group.index]
    false = [pair for pair in grouped if group[pair[0]] != group[pair[1]]]
    films = {film for pair in false for film in pair}
    print(
        f"false alarms among grouped films: {len(false)} of {len(grouped)} pairs found "
        f"({len(false) / len(grouped):.2%}); {len(films)} of {len(group)} films "
        f"({len(films) / len(group):.2%})"
    )
    beyond = [pair for pair in found if pair not in wanted]
    other = [pair for pair in beyond if person[pair[0]] != person[pair[1]]]
    print(f"pairs beyond the groups: {len(beyond)}, {len(other)} of them of two patients")
    for pair in sorted(beyond if listed else false + other):
        print(f"    {pair[0]} {pair[1]}")


def complete(pairs: pd.DataFrame) -> set[tuple[str, str]]:
    """Say each pair of exact copies, and each near pair of all of their copies."""
    exact = pairs[pairs["kind"] == "exact"]
    copies: dict[str, list[str]] = {}
    for first, copy in zip(exact["case_id_a"], exact["case_id_b"], strict=True):
        copies.setdefault(first, [first]).append(copy)
    found = {pair for films in copies.values() for pair in combinations(sorted(films), 2)}
    for a, b in pairs.loc[pairs["kind"] == "near", ["case_id_a", "case_id_b"]].to_numpy():
        found |= {(min(x, y), max(x, y)) for x in copies.get(a, [a]) for y in copies.get(b, [b])}
    return found


def altered(cases: pd.DataFrame, count: int) -> None:
    """Alter films in every way that copies are altered, and compare each with its original."""
    films = [
        open_radiograph(path).pixels
        for path in cases["path"].sample(count, random_state=1)
        if "originals" not in path
    ]
    prints = [fingerprint(film) for film in films]
    for name, alter in ALTERATIONS.items():
        same = [
            compare(fingerprint(alter(film)), original).same_film
            for film, original in zip(films, prints, strict=True)
        ]
        print(f"{name:28s} {np.mean(same):6.1%} of {len(same)} recognized")
    others = [compare(a, b).same_film for a, b in pairwise(prints)]
    print(f"{'another film':28s} {np.mean(others):6.1%} of {len(others)} recognized")


def _crop(share: float) -> Callable[[np.ndarray], np.ndarray]:
    def crop(film: np.ndarray) -> np.ndarray:
        height, width = film.shape
        top, left = round(height * (1 - share) * 0.3), round(width * (1 - share) * 0.7)
        return film[top : top + round(height * share), left : left + round(width * share)]

    return crop


def _resize(side: int) -> Callable[[np.ndarray], np.ndarray]:
    def resize(film: np.ndarray) -> np.ndarray:
        factor = side / max(film.shape)
        return cv2.resize(film, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)

    return resize


def jpeg(quality: int) -> Callable[[np.ndarray], np.ndarray]:
    """Store a film as JPEG, and read it again."""

    def stored(film: np.ndarray) -> np.ndarray:
        _, data = cv2.imencode(".jpg", np.uint8(film * 255), [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.float32(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)) / 255

    return stored


def _text(film: np.ndarray) -> np.ndarray:
    film = np.uint8(film * 255)
    height, width = film.shape
    size = height / 300
    for text, x, y in (("AP SUPINE", 0.03, 0.12), ("Day 3", 0.6, 0.95), ("<-", 0.4, 0.5)):
        place = (round(width * x), round(height * y))
        cv2.putText(film, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, 255, max(1, round(size * 2)))
    return np.float32(film) / 255


def _all(film: np.ndarray) -> np.ndarray:
    return _text(jpeg(25)(_resize(200)(_crop(0.8)(1 - film**1.5))))


def tilt(degrees: float) -> Callable[[np.ndarray], np.ndarray]:
    """Turn a film about its middle."""

    def tilted(film: np.ndarray) -> np.ndarray:
        height, width = film.shape
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        return cv2.warpAffine(film, turn, (width, height))

    return tilted


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "crop to 80 % a side": _crop(0.8),
    "crop to 60 % a side": _crop(0.6),
    "crop to 50 % a side": _crop(0.5),
    "resize to 128 pixels": _resize(128),
    "resize to 96 pixels": _resize(96),
    "square": lambda film: cv2.resize(film, (256, 256), interpolation=cv2.INTER_AREA),
    "JPEG quality 25": jpeg(25),
    "gamma 0.5": lambda film: film**0.5,
    "gamma 2": lambda film: film**2,
    "window 20 to 80 %": lambda film: np.clip((film - 0.2) / 0.6, 0, 1),
    "inversion": lambda film: 1 - film,
    "text burned in": _text,
    "tilt by 3 degrees": tilt(3),
    "tilt by 8 degrees": tilt(8),
    "all of these": _all,
}


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
