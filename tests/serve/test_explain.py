from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hilum.core.errors import BundleError
from hilum.image.lungs import Lungs
from hilum.serve.explain import PANEL, Occlusion, Run, draw_map, make_map, occlude
from hilum.serve.reader import load_bundle

BLACK = -2.0


def _sum_of_a_corner(films):
    """A network whose logits are the sum over the first and over the last quarter, less black."""
    light = films[:, 0] - BLACK
    logits = np.stack([light[:, :8, :8].sum((1, 2)), -light[:, 8:, 8:].sum((1, 2))], 1)
    return logits.astype(np.float32), None


def test_occlusion_finds_what_the_network_adds_up() -> None:
    film = np.ones((1, 16, 16), np.float32)
    settings = Occlusion(patch=0.5, stride=0.5)
    for_it = occlude(_sum_of_a_corner, film, 0, BLACK, settings)
    assert for_it == pytest.approx(np.array([[3.0 * 64, 0], [0, 0]]))
    against = occlude(_sum_of_a_corner, film, 1, BLACK, settings)
    assert against == pytest.approx(np.array([[0, 0], [0, -3.0 * 64]]))


def test_occlusion_does_not_depend_on_the_size_of_a_batch() -> None:
    film = np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32)
    maps = [
        occlude(_sum_of_a_corner, film, 0, BLACK, Occlusion(at_a_time=size)) for size in (1, 7, 200)
    ]
    assert maps[0].shape == (10, 10)
    assert maps[0] == pytest.approx(maps[1], abs=1e-4)
    assert maps[0] == pytest.approx(maps[2], abs=1e-4)


def test_a_patch_on_black_costs_no_inference() -> None:
    seen = []

    def run(films):
        seen.append(len(films))
        return _sum_of_a_corner(films)

    film = np.full((1, 16, 16), BLACK, np.float32)
    assert not occlude(run, film, 0, BLACK, Occlusion()).any()
    assert seen == [1]


def test_the_local_mean_of_an_even_film_takes_nothing_away() -> None:
    film = np.full((1, 16, 16), 0.5, np.float32)
    settings = Occlusion(baseline="local-mean")
    assert occlude(_sum_of_a_corner, film, 0, BLACK, settings) == pytest.approx(0, abs=1e-3)


@pytest.fixture(scope="module")
def network(small_bundle: Path) -> Run:
    return load_bundle(small_bundle, threads=1).run


def test_evidence_is_that_of_the_network(network) -> None:
    film = np.random.default_rng(1).normal(size=(1, 64, 64)).astype(np.float32)
    found = make_map("evidence", network, film, 0, BLACK)
    blocks = film.reshape(8, 8, 8, 8).mean((1, 3))
    assert found == pytest.approx(3 * blocks, abs=1e-4)


def test_shifted_evidence_samples_the_same_map_at_other_places(network) -> None:
    ramp = np.tile(np.linspace(-1, 1, 64, dtype=np.float32), (64, 1))[None]
    coarse, fine = (
        make_map(name, network, ramp, 0, BLACK) for name in ("evidence", "evidence-shifted")
    )
    assert fine.shape == (32, 32)
    inner = fine[4:-4, 4:-4]  # at the border black moves in
    assert (np.diff(inner, axis=1) > 0).all()
    assert inner.std(axis=0).max() < 1e-4
    assert inner.mean() == pytest.approx(coarse[1:-1, 1:-1].mean(), abs=1e-3)


def test_a_bright_spot_is_found_where_it_lies(network) -> None:
    film = np.full((1, 64, 64), BLACK, np.float32)
    film[0, 40:46, 16:22] = 2.0
    for name in ("evidence-shifted", "occlusion"):
        found = make_map(name, network, film, 0, BLACK)
        row, column = np.unravel_index(found.argmax(), found.shape)
        assert abs((row + 0.5) / found.shape[0] - 43 / 64) <= 0.1
        assert abs((column + 0.5) / found.shape[1] - 19 / 64) <= 0.1


def test_a_network_without_evidence_says_so(make_bundle, tmp_path: Path) -> None:
    reader = load_bundle(make_bundle(tmp_path / "b", evidence=False), threads=1)
    film = np.zeros((1, 64, 64), np.float32)
    for name in ("evidence", "evidence-shifted"):
        with pytest.raises(BundleError, match="no evidence output"):
            make_map(name, reader.run, film, 0, BLACK)
    assert not make_map("occlusion", reader.run, film, 0, BLACK)[4, 4] < 0


def _lungs() -> Lungs:
    mask = np.zeros((100, 80), bool)
    mask[20:80, 10:35] = mask[20:80, 45:70] = True
    return Lungs.drawn(mask)


@pytest.mark.parametrize("shape", [(100, 80), (100, 20), (60, 200), (1500, 1200)])
def test_the_picture_holds_both_panels_and_all_text(shape: tuple[int, int]) -> None:
    film = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    heat = np.full(shape, np.nan, np.float32)
    heat[10:50, 5:15] = 1.0
    long = "word " * 60
    picture = draw_map(film, heat, _lungs(), 1.0, "logits", ["short", long], peak=(10, 30))
    assert picture.dtype == np.uint8
    assert picture.shape[0] > PANEL + 100
    assert picture.shape[1] >= 600
    text = picture[PANEL:]
    assert text.max() == 255
    assert not text[:, -4:].any()  # no line runs off the edge


def test_lungs_are_outlined_on_both_panels() -> None:
    film = np.zeros((100, 80), np.float32)
    with_lungs = draw_map(film, film, _lungs(), 1.0, "logits", ["x"])[:PANEL].astype(int)
    green = with_lungs[..., 1] > with_lungs[..., 0] + 100
    middle = with_lungs.shape[1] // 2
    assert green[:, :middle].any()
    assert green[:, middle:].any()
    without = draw_map(film, film, None, 1.0, "logits", ["x"])[:PANEL]
    assert not without.any()
