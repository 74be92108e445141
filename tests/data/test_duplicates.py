from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hilum.core.errors import CohortError
from hilum.data.duplicates import compare, find_duplicates, link_groups
from hilum.data.fingerprint import fingerprint, pixel_hash

Film = NDArray[np.float32]


def make_film(seed: int, height: int = 360, width: int = 300) -> Film:
    """Two dark lungs, a bright middle, ribs, and vessels that differ from person to person."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    film = np.full((height, width), 0.75)
    for middle in (0.28, 0.72):
        lung = ((x - middle) / 0.19) ** 2 + ((y - 0.45) / 0.36) ** 2
        film -= 0.5 / (1 + np.exp(12 * (lung - 1)))
    bow, pace = rng.uniform(0.3, 0.6), rng.uniform(7, 9)
    film += 0.06 * np.sin(2 * np.pi * (pace * (y - bow * (x - 0.5) ** 2) + rng.uniform()))
    for sigma, height_of in ((2.0, 0.12), (5.0, 0.15), (12.0, 0.2)):
        noise = cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma)
        film += height_of * noise / noise.std() * 0.4
    return np.asarray(np.clip(film, 0, 1), np.float32)


def write(path: Path, film: Film) -> Path:
    assert cv2.imwrite(str(path), np.uint8(np.round(film * 255)))
    return path


def table(paths: dict[str, Path], patients: dict[str, str] | None = None) -> pd.DataFrame:
    patients = patients or {}
    return pd.DataFrame(
        {
            "case_id": list(paths),
            "path": [str(path) for path in paths.values()],
            "cohort": "made",
            "source": "made",
            "patient_id": [patients.get(case_id, f"p-{case_id}") for case_id in paths],
        }
    )


def crop(film: Film) -> Film:
    height, width = film.shape
    return film[round(0.1 * height) : round(0.85 * height), round(0.15 * width) :]


def jpeg(film: Film) -> Film:
    _, data = cv2.imencode(".jpg", np.uint8(film * 255), [cv2.IMWRITE_JPEG_QUALITY, 30])
    return np.float32(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)) / 255


def text(film: Film) -> Film:
    grey = np.uint8(film * 255)
    cv2.putText(grey, "AP SUPINE", (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 255, 2)
    cv2.putText(grey, "Day 3", (120, 330), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 0, 2)
    return np.float32(grey) / 255


def small(film: Film) -> Film:
    return cv2.resize(film, (120, 144), interpolation=cv2.INTER_AREA)


ALTERED: dict[str, Callable[[Film], Film]] = {
    "crop": crop,
    "resize": small,
    "square": lambda film: cv2.resize(film, (300, 300), interpolation=cv2.INTER_AREA),
    "re-encode": jpeg,
    "brighter": lambda film: film**0.5,
    "darker": lambda film: film**2,
    "window": lambda film: np.clip((film - 0.2) / 0.5, 0, 1),
    "inversion": lambda film: 1 - film,
    "text": text,
    "all": lambda film: text(jpeg(small(crop(1 - film**1.5)).repeat(3, 0).repeat(3, 1))),
}


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_the_same_film(name: str) -> None:
    film = make_film(1)
    agreement = compare(fingerprint(ALTERED[name](film)), fingerprint(film))
    assert agreement.same_film, agreement


def test_films_of_different_people_are_not_the_same_film() -> None:
    prints = [fingerprint(make_film(seed)) for seed in range(12)]
    agreements = [compare(a, b) for a, b in combinations(prints, 2)]
    assert not any(agreement.same_film for agreement in agreements)


def test_a_shared_text_does_not_make_two_films_one() -> None:
    a, b = fingerprint(text(make_film(1))), fingerprint(text(make_film(2)))
    assert not compare(a, b).same_film


@pytest.mark.parametrize("film", [np.zeros((64, 64), np.float32), make_film(3)[:20, :20]])
def test_an_empty_or_tiny_film_has_a_fingerprint(film: Film) -> None:
    described = fingerprint(film)
    assert described.picture.dtype == np.uint8
    assert len(described.points) == len(described.descriptors)
    assert not compare(described, fingerprint(make_film(4))).same_film


def test_pixel_hash_knows_shape_and_pixels_and_nothing_else() -> None:
    film = np.float32(np.round(make_film(5) * 255) / 255)
    assert pixel_hash(film) == pixel_hash(film + 1e-6)
    assert pixel_hash(film) != pixel_hash(film.T)
    other = film.copy()
    other[7, 7] = 1 - other[7, 7]
    assert pixel_hash(film) != pixel_hash(other)


@pytest.fixture
def collection(tmp_path: Path) -> pd.DataFrame:
    """Eight people; copies of three of them; two exact copies in other formats."""
    films = {f"a/{seed}": make_film(seed) for seed in range(8)}
    films |= {"b/0-all": ALTERED["all"](films["a/0"]), "b/1-crop": crop(films["a/1"])}
    films |= {"b/2-negative": 1 - films["a/2"]}
    paths = {
        name: write(tmp_path / f"{name.replace('/', '-')}.png", film)
        for name, film in films.items()
    }
    paths["c/3-bmp"] = write(tmp_path / "3.bmp", films["a/3"])
    paths["c/3-tif"] = write(tmp_path / "3.tif", films["a/3"])
    return table(paths)


def test_find_duplicates_finds_each_copy_and_nothing_else(collection: pd.DataFrame) -> None:
    pairs = find_duplicates(collection)
    assert list(pairs.columns) == ["case_id_a", "case_id_b", "kind", "distance"]
    assert list(pairs.itertuples(index=False, name=None))[3:] == [
        ("a/3", "c/3-bmp", "exact", 0.0),
        ("a/3", "c/3-tif", "exact", 0.0),
    ]
    near = pairs[pairs["kind"] == "near"]
    assert list(zip(near["case_id_a"], near["case_id_b"], strict=True)) == [
        ("a/0", "b/0-all"),
        ("a/1", "b/1-crop"),
        ("a/2", "b/2-negative"),
    ]
    assert near["distance"].between(0, 0.45).all()


def test_the_order_of_rows_and_threads_does_not_matter(collection: pd.DataFrame) -> None:
    shuffled = collection.sample(frac=1, random_state=3)
    one = find_duplicates(collection, threads=1)
    pd.testing.assert_frame_equal(one, find_duplicates(shuffled, threads=4))


def test_a_film_that_does_not_open_is_counted_and_the_others_are_compared(
    collection: pd.DataFrame, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    broken = table({"d/broken": tmp_path / "broken.png", "d/gone": tmp_path / "gone.png"})
    with pytest.warns(UserWarning, match=r"2 of 15 films could not be opened.*broken\.png"):
        pairs = find_duplicates(pd.concat([collection, broken]))
    assert len(pairs) == 5


@pytest.mark.parametrize("films", [0, 1, 2])
def test_small_tables_have_no_duplicates(tmp_path: Path, films: int) -> None:
    paths = {f"a/{n}": write(tmp_path / f"{n}.png", make_film(n)) for n in range(films)}
    assert find_duplicates(table(paths).astype({"case_id": str})).empty


def pairs_of(*pairs: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["case_id_a", "case_id_b"])


def people(**patients: str) -> pd.DataFrame:
    return pd.DataFrame({"case_id": list(patients), "patient_id": list(patients.values())})


def test_link_groups_joins_patients_through_their_copies() -> None:
    cases = people(a="x", b="x", c="y", d="z", e="", f="")
    linked = link_groups(cases, pairs_of(("b", "c"), ("d", "e")))
    assert list(linked["group"]) == ["x", "x", "x", "e", "e", "f"]
    assert "group" not in cases


def test_link_groups_keeps_the_groups_that_are_there_and_is_idempotent() -> None:
    cases = people(a="x", b="y", c="z").assign(group=["home", "home", ""])
    once = link_groups(cases, pairs_of())
    assert list(once["group"]) == ["x", "x", "z"]
    pd.testing.assert_frame_equal(once, link_groups(once, pairs_of()))


def test_link_groups_refuses_pairs_of_another_table() -> None:
    with pytest.raises(CohortError, match="1 cases are not in the table, the first 'nobody'"):
        link_groups(people(a="x"), pairs_of(("a", "nobody")))
    with pytest.raises(CohortError, match="no column case_id_b"):
        link_groups(people(a="x"), pd.DataFrame({"case_id_a": ["a"]}))


@settings(deadline=None)
@given(st.data())
def test_link_groups_agrees_with_connected_components(data: st.DataObject) -> None:
    components = pytest.importorskip("scipy.sparse.csgraph").connected_components
    count = data.draw(st.integers(1, 30))
    patients = data.draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    number = st.integers(0, count - 1)
    links = data.draw(st.lists(st.tuples(number, number), max_size=30))
    cases = people(**{f"c{n}": f"p{patient}" for n, patient in enumerate(patients)})
    group = link_groups(cases, pairs_of(*((f"c{a}", f"c{b}") for a, b in links)))["group"]
    joined = np.zeros((count, count))
    for a, b in links:
        joined[a, b] = 1
    for a, b in combinations(range(count), 2):
        joined[a, b] = max(joined[a, b], float(patients[a] == patients[b]))
    _, component = components(joined, directed=False)
    assert (
        np.equal.outer(group.to_numpy(), group.to_numpy()) == np.equal.outer(component, component)
    ).all()


@pytest.mark.real_data
def test_copies_across_collections_are_found(data_root: Path) -> None:
    """What protects a split is that copies are linked; benchmarks/duplicates.py takes all films."""
    manifest = pd.read_csv(data_root / "manifest.csv").set_index("path", drop=False)
    manifest = manifest[manifest["source"] != "originals"]
    group = manifest["near_duplicate_group"].dropna()
    group = group[group.isin(sorted(group.unique())[::2])]
    others = manifest[manifest["near_duplicate_group"].isna()]["path"].sample(80, random_state=0)
    cases = table({path: data_root / path for path in [*group.index, *others]})
    linked = link_groups(cases, find_duplicates(cases)).set_index("case_id")["group"]
    pairs = list(combinations(group.index, 2))
    copies = [
        linked[a] == linked[b]
        for a, b in pairs
        if group[a] == group[b] and manifest["source"][a] != manifest["source"][b]
    ]
    false = [linked[a] == linked[b] for a, b in pairs if group[a] != group[b]]
    assert len(copies) > 60
    assert np.mean(copies) >= 0.95
    assert sum(false) <= 0.01 * len(copies)
