from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.core.labels import View
from hilum.core.radiograph import Radiograph
from hilum.core.refusal import Reason
from hilum.image.lungs import Lungs
from hilum.learn.gate import material, pictures
from hilum.learn.gate.recipe import GateData

SHAPE = (300, 260)


def _drawn():
    """A film with two drawn lungs, and the lungs."""
    film = np.full(SHAPE, 0.75, np.float32)
    mask = np.zeros(SHAPE, np.uint8)
    for x in (75, 185):
        cv2.ellipse(mask, (x, 150), (40, 95), 0, 0, 360, 1, -1)
    film[mask > 0] = 0.25
    film += np.random.default_rng(0).normal(0, 0.02, SHAPE)
    return np.clip(film, 0, 1).astype(np.float32), Lungs.drawn(mask.astype(bool))


def _sound(picture):
    assert picture.dtype == np.float32
    assert picture.ndim == 2
    assert min(picture.shape) >= 40
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert np.isfinite(picture).all()


@pytest.mark.parametrize("name", sorted(material.CHANGED))
def test_every_change_gives_a_sound_picture_that_follows_from_its_seed(name):
    film, lungs = _drawn()
    change = material.CHANGED[name][1]
    for seed in range(6):
        one, again = (
            np.asarray(change(film.copy(), lungs, np.random.default_rng(seed)), np.float32)
            for _ in range(2)
        )
        _sound(one)
        np.testing.assert_array_equal(one, again)


@pytest.mark.parametrize("name", sorted(material.MADE))
def test_every_made_picture_is_sound_and_follows_from_its_seed(name):
    make = material.MADE[name][1]
    seen = [make(np.random.default_rng(seed)) for seed in range(12)]
    for seed, picture in enumerate(seen):
        _sound(picture)
        np.testing.assert_array_equal(picture, make(np.random.default_rng(seed)))
    assert len({picture.tobytes() for picture in seen}) == len(seen)


def test_no_change_touches_the_film_itself():
    film, lungs = _drawn()
    before = film.copy()
    for _, change in material.CHANGED.values():
        change(film, lungs, np.random.default_rng(3))
    np.testing.assert_array_equal(film, before)


def _lung_left(change, seed):
    """Change the mask as a film: how much of the lungs is left."""
    _, lungs = _drawn()
    mask = lungs.on_film(SHAPE).astype(np.float32)
    return change(mask, lungs, np.random.default_rng(seed)).sum() / mask.sum()


@pytest.mark.parametrize("seed", range(12))
def test_one_lung_keeps_one_lung_and_half_of_them_are_cut_off(seed):
    assert 0.35 <= _lung_left(pictures.one_lung, seed) <= 0.7
    assert 0.25 <= _lung_left(pictures.cut_lungs, seed) <= 0.65


def test_turned_left_and_right_are_each_others_reverse():
    film, lungs = _drawn()
    seed = next(s for s in range(9) if np.random.default_rng(s).random() >= 0.5)  # not varied
    left, right, down = (
        material.CHANGED[name][1](film, lungs, np.random.default_rng(seed))
        for name in ("rotated-left", "rotated-right", "upside-down")
    )
    np.testing.assert_array_equal(np.rot90(left, -1), film)
    np.testing.assert_array_equal(np.rot90(right), film)
    np.testing.assert_array_equal(down[::-1, ::-1], film)


def test_a_badly_exposed_film_has_lost_its_lungs():
    film, lungs = _drawn()
    inside = lungs.on_film(SHAPE)
    for seed in range(12):
        spoiled = pictures.badly_exposed(film, lungs, np.random.default_rng(seed))
        clipped = ((spoiled[inside] == 0) | (spoiled[inside] == 1)).mean()
        assert clipped > 0.5 or len(np.unique(spoiled)) < 20


def test_panels_hold_every_place_of_their_grid():
    film, _ = _drawn()
    for seed in range(10):
        sheet = pictures.panel([film, 1 - film], np.random.default_rng(seed))
        _sound(sheet)
        assert sheet.std() > 0.1


def test_every_kind_that_is_not_read_has_a_reason_and_every_class_one_reason():
    reasons: dict[str, set] = {}
    for kind in material.KINDS.values():
        if kind.like:
            reasons.setdefault(kind.like, set()).add(kind.reason)
    assert reasons.pop(material.FRONTAL) == {None}
    assert all(len(found) == 1 and None not in found for found in reasons.values())


def _cases():
    rows = [
        ("a", "PA", 40.0, "X-ray"),
        ("b", "", np.nan, "X-ray"),
        ("c", View.LATERAL.value, 50.0, "X-ray"),
        ("d", "", np.nan, "CT"),
        ("e", "AP", 15.0, "X-ray"),
        ("f", "AP", 5.0, "X-ray"),
        ("g", View.LATERAL.value, 3.0, "X-ray"),
    ]
    table = pd.DataFrame(rows, columns=["case_id", "view", "age_years", "modality"])
    return table.assign(cohort="x", group=table["case_id"], fold=1.0)


def _data(**settings):
    return GateData(cohorts=({"name": "csv", "folder": "."},), **settings)


def test_a_film_counts_as_what_its_table_says():
    kinds = material.kinds_of(_cases(), _data())
    assert kinds.tolist() == [
        "frontal", "unstated", "lateral", "ct-slice", "teenager", "pediatric", "lateral",
    ]  # fmt: skip
    assert material.kinds_of(_cases(), _data(frontal_unless_stated=("x",)))[1] == "frontal"
    assert material.kinds_of(_cases(), _data(children=("x",)))[0] == "pediatric"
    assert material.kinds_of(_cases(), _data(child_below_years=16))[4] == "pediatric"


def test_what_is_made_comes_from_frontal_films_of_every_collection_alike():
    cases = pd.DataFrame(
        {"case_id": [f"{c}{i}" for c, n in (("a", 90), ("b", 12)) for i in range(n)]}
    )
    cases["cohort"] = cases["case_id"].str[0]
    kinds = pd.Series("frontal", index=cases.index)
    kinds[:5] = "lateral"
    wanted = material.plan(cases, kinds, _data(made=20))
    assert material.plan(cases, kinds, _data(made=20)) == wanted
    for name in (*material.CHANGED, material.JOINED[0]):
        films = [case_id for case_id, names in wanted.items() if name in names]
        assert [sum(f.startswith(c) for f in films) for c in "ab"] == [10, 10]
        assert not set(films) & set(cases["case_id"][:5])
    assert wanted["a0"] == ["lateral-varied"] * 4


def test_panels_never_join_films_of_two_folds(tmp_path, monkeypatch):
    """A film that stands in a panel of another fold would be on both sides."""
    levels = {"a": 40, "b": 90, "c": 140, "d": 190}
    rows = []
    for place, (name, level) in enumerate(levels.items()):
        texture = np.random.default_rng(place).integers(0, 9, (120, 100)) + level
        cv2.imwrite(str(tmp_path / f"{name}.png"), texture.astype(np.uint8))
        rows.append((name, str(tmp_path / f"{name}.png"), "x", name, float(place % 2)))
    cases = pd.DataFrame(rows, columns=["case_id", "path", "cohort", "group", "fold"])
    joined = {}
    monkeypatch.setattr(
        pictures, "panel", lambda films, random: joined.setdefault(len(joined), films)[0]
    )
    kinds = pd.Series("frontal", index=cases.index)
    wanted = {name: ["panel"] for name in levels}
    drawn = material.draw(cases, wanted, kinds, lambda film: Lungs.drawn(film.pixels > 2), 0)
    kinds_drawn = [(picture.case_id, picture.kind) for picture in drawn]
    assert kinds_drawn == [(n, k) for n in levels for k in ("frontal", "panel")]
    means = [[round(float(film.mean()) * 255) // 50 for film in films] for films in joined.values()]
    assert means == [[0], [1], [2, 0], [3, 1]]


def test_made_pictures_are_radiographs_of_their_own_groups():
    made = list(material.draw_made(2, seed=0))
    assert len(made) == 2 * len(material.MADE)
    assert len({picture.group for picture in made}) == len(made)
    assert all(isinstance(picture.film, Radiograph) for picture in made)
    assert material.KINDS[made[-1].kind].reason is Reason.BLANK
