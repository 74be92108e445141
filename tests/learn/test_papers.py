"""The papers' machinery: the loop, experiments found again, draws, folds, numbers, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from monai.visualize import GradCAM
from sklearn.metrics import log_loss, precision_recall_fscore_support
from torch import nn

from hilum.core.errors import CohortError, ConfigError, TrainingError
from hilum.judge.panel import ScoredCases
from hilum.learn.augment import Augmentation
from hilum.learn.networks import build_network
from hilum.learn.networks.abdelhady_2020 import Abdelhady2020
from hilum.learn.networks.usatov_kosik_2021 import MAP_LAYER, UsatovKosik2021
from hilum.learn.papers import experiment as experiments
from hilum.learn.papers import judging, maps, pictures
from hilum.learn.papers.abdelhady_2020 import AbdelhadyOptions, paper_films
from hilum.learn.papers.experiment import Experiment, fingerprint, load_network, run_all
from hilum.learn.papers.films import PaperFilms, draw, folds_of, shared_patients
from hilum.learn.papers.timing import time_side_by_side
from hilum.learn.papers.training import Epoch, Labelled, Training, score, to_inputs, train
from hilum.learn.papers.usatov_kosik_2021 import (
    PAPER_CLASSES,
    PAPER_CONFUSION,
)
from hilum.learn.seeds import ORDER, WEIGHTS, derive_seed, generator

FAST = Training(network="tiny", size=32, channels=1, epochs=2, batch_size=8, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def films() -> PaperFilms:
    """Forty made films of twenty people; class 1 has a bright lower half."""
    chance = np.random.default_rng(1)
    truth = np.arange(40) // 2 % 2
    squares = 0.4 + 0.1 * chance.random((40, 1, 32, 32))
    squares[truth == 1, :, 16:] += 0.3
    cases = pd.DataFrame(
        {
            "case_id": [f"made/{number}" for number in range(40)],
            "group": [f"person-{number // 2}" for number in range(40)],
            "truth": truth.astype(float),
        }
    )
    checksums = {case_id: f"sum of {case_id}" for case_id in cases["case_id"]}
    return PaperFilms(cases, torch.from_numpy(squares).float(), checksums, refused=0)


EVEN, ODD = np.arange(0, 40, 2), np.arange(1, 40, 2)


def test_the_loop_learns_and_measures_test_films_without_learning_from_them(
    films: PaperFilms,
) -> None:
    longer = FAST.model_copy(update={"epochs": 12})
    watched = train(longer, films.labelled(EVEN), watched=films.labelled(ODD))
    alone = train(longer, films.labelled(EVEN))
    assert watched.curve[-1].test_accuracy == 1.0
    assert watched.curve[-1].loss < watched.curve[0].loss
    assert [each.loss for each in alone.curve] == [each.loss for each in watched.curve]
    assert alone.curve[-1].test_loss is None


def test_one_seed_is_one_training_and_leaves_the_global_generator_alone(
    films: PaperFilms,
) -> None:
    training = FAST.model_copy(update={"augmentation": Augmentation(flip=True)})
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = train(training, films.labelled(EVEN))
    torch.testing.assert_close(torch.rand(3), expected)
    second = train(training, films.labelled(EVEN))
    other = train(training.model_copy(update={"seed": 1}), films.labelled(EVEN))
    assert first.curve == second.curve
    assert first.curve != other.curve


def test_the_loop_does_what_a_loop_written_plainly_does(films: PaperFilms) -> None:
    training = FAST.model_copy(
        update={"network": "abdelhady-2020", "channels": 3, "learning_rate": 1e-3, "mean": 0.5}
    )
    ours = train(training, films.labelled(EVEN))

    torch.manual_seed(derive_seed(0, WEIGHTS))
    network = build_network("abdelhady-2020", labels=1, channels=3, size=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7)
    order = generator(0, ORDER)
    inputs = (films.squares[EVEN] - 0.5).repeat(1, 3, 1, 1)
    truth = torch.from_numpy(films.cases["truth"].to_numpy(np.float32)[EVEN])
    for _ in range(2):
        for batch in torch.randperm(20, generator=order).split(8):
            chance = torch.sigmoid(network(inputs[batch]).logits[:, 0])
            loss = torch.nn.functional.binary_cross_entropy(chance, truth[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        expected = torch.sigmoid(network(inputs).logits[:, 0]).numpy()
    found = score(ours.network, training, films.squares[EVEN])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_loss_that_is_not_a_number_ends_the_training_with_one_message() -> None:
    broken = Labelled(torch.full((8, 1, 32, 32), torch.nan), torch.ones(8))
    with pytest.raises(TrainingError, match="loss is nan in epoch 1"):
        train(FAST, broken)


class TestExperiments:
    def plan(self, *, epochs: int = 2, keep: bool = False) -> list[Experiment]:
        training = FAST.model_copy(update={"epochs": epochs})
        return [
            Experiment("first", training, EVEN, ODD, keep=keep),
            Experiment("second", training, ODD, EVEN),
        ]

    @pytest.fixture
    def trainings(self, monkeypatch: pytest.MonkeyPatch) -> list[Training]:
        """Every training that is really run."""
        seen: list[Training] = []

        def counted(training: Training, *films: Any, **options: Any) -> Any:
            seen.append(training)
            return train(training, *films, **options)

        monkeypatch.setattr(experiments, "train", counted)
        return seen

    def test_a_finished_one_is_found_again(
        self, films: PaperFilms, tmp_path: Path, trainings: list[Training]
    ) -> None:
        first = run_all(self.plan(), films, tmp_path, progress=False)
        again = run_all(self.plan(), films, tmp_path, progress=False)
        assert len(trainings) == 2
        assert first == again
        assert (
            first["first"].predictions["case_id"].tolist() == films.cases["case_id"][ODD].tolist()
        )
        assert first["first"].truth == films.cases["truth"][ODD].tolist()

    def test_options_or_films_that_changed_are_run_anew(
        self, films: PaperFilms, tmp_path: Path, trainings: list[Training]
    ) -> None:
        run_all(self.plan(), films, tmp_path, progress=False)
        run_all(self.plan(epochs=3), films, tmp_path, progress=False)
        assert len(trainings) == 4
        films.checksums["made/0"] = "another file"  # in train of one, in test of the other
        run_all(self.plan(epochs=3), films, tmp_path, progress=False)
        assert len(trainings) == 6

    def test_a_broken_one_loses_nothing_that_was_finished(
        self,
        films: PaperFilms,
        tmp_path: Path,
        trainings: list[Training],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        counted = experiments.train

        def broken(*arguments: Any, **options: Any) -> Any:
            if trainings:
                raise KeyboardInterrupt
            return counted(*arguments, **options)

        monkeypatch.setattr(experiments, "train", broken)
        with pytest.raises(KeyboardInterrupt):
            run_all(self.plan(), films, tmp_path, progress=False)
        monkeypatch.setattr(experiments, "train", counted)
        outcomes = run_all(self.plan(), films, tmp_path, progress=False)
        assert len(trainings) == 2
        assert list(outcomes) == ["first", "second"]

    def test_half_a_file_or_lost_weights_are_run_anew(
        self, films: PaperFilms, tmp_path: Path, trainings: list[Training]
    ) -> None:
        run_all(self.plan(keep=True), films, tmp_path, progress=False)
        stored = tmp_path / "experiments" / "second.json"
        stored.write_text(stored.read_text()[:50])
        (tmp_path / "experiments" / "first.pt").unlink()
        run_all(self.plan(keep=True), films, tmp_path, progress=False)
        assert len(trainings) == 4

    def test_kept_weights_give_the_stored_scores(self, films: PaperFilms, tmp_path: Path) -> None:
        plan = self.plan(keep=True)
        outcome = run_all(plan, films, tmp_path, progress=False)["first"]
        network = load_network(plan[0], tmp_path)
        again = score(network, plan[0].training, films.squares[ODD])
        np.testing.assert_allclose(again, outcome.scores, atol=1e-6)

    def test_the_fingerprint_covers_every_setting(self, films: PaperFilms) -> None:
        base = self.plan()[0]
        changes = {"seed": 1, "batch_size": 4, "augmentation": Augmentation(), "mean": 0.1}
        prints = {fingerprint(base, films)}
        for key, value in changes.items():
            training = base.training.model_copy(update={key: value})
            prints.add(fingerprint(Experiment("first", training, EVEN, ODD), films))
        assert len(prints) == 1 + len(changes)


def test_folds_test_every_film_once_and_by_patient_divide_nobody(films: PaperFilms) -> None:
    places = np.random.default_rng(0).permutation(40)[:31]
    for by_patient in (True, False):
        divided = folds_of(films, places, 4, by_patient=by_patient, seed=3)
        tested = np.concatenate([test for _, test in divided])
        assert sorted(tested) == sorted(places)
        shared = 0
        for train_places, test_places in divided:
            assert sorted([*train_places, *test_places]) == sorted(places)
            shared += shared_patients(films, train_places, test_places)
        assert (shared == 0) == by_patient


def test_a_draw_is_by_class_without_repeats_and_refuses_too_few() -> None:
    chance = np.random.default_rng(0)
    drawn = draw(np.arange(10), np.arange(10, 14), (5, 3), chance)
    assert len(set(drawn)) == 8
    assert int((drawn < 10).sum()) == 5
    with pytest.raises(CohortError, match="4 negative films; expected at least 5"):
        draw(np.arange(10), np.arange(10, 14), (5, 5), chance)


@pytest.fixture
def cases() -> ScoredCases:
    chance = np.random.default_rng(4)
    truth = chance.random(60) < 0.6
    scores = np.clip(0.3 + 0.3 * truth + 0.3 * chance.standard_normal(60), 0, 1)
    groups = np.array([f"p{number // 2}" for number in range(60)])
    return ScoredCases(truth, scores, scores, scores >= 0.5, groups)


def test_loss_and_class_table_agree_with_scikit_learn(cases: ScoredCases) -> None:
    found = judging.log_loss(cases, seed=0)
    clipped = np.clip(cases.score, 1e-7, 1 - 1e-7)
    assert found.value == pytest.approx(log_loss(cases.truth, clipped))
    assert found.low < found.value < found.high
    expected = precision_recall_fscore_support(cases.truth, cases.called)
    table = judging.class_table(cases, seed=0)
    for place, row in enumerate(table):
        values = (row.precision.value, row.recall.value, row.f1.value, row.support)
        assert values == pytest.approx([column[place] for column in expected])
    counts = judging.counts_of(cases)
    assert counts[1, 1] == int((cases.truth & cases.called).sum())
    assert counts[0, 1] == int((~cases.truth & cases.called).sum())
    assert counts.sum() == 60


def test_the_papers_table_fits_one_set_of_counts_only() -> None:
    fitting = []
    for right_false in range(7):
        for right_true in range(13):
            wrong_true, wrong_false = 12 - right_true, 6 - right_false
            called = ((right_false, wrong_true, 6), (right_true, wrong_false, 12))
            values = [
                (right / max(1, right + wrong), right / support) for right, wrong, support in called
            ]
            printed = [(precision, recall) for _, precision, recall, _, _ in PAPER_CLASSES]
            if np.abs(np.array(values) - np.array(printed)).max() < 0.02:
                fitting.append(((right_false, wrong_false), (wrong_true, right_true)))
    assert fitting == [PAPER_CONFUSION]


def _parts(name: str) -> tuple[nn.Module, nn.Sequential, torch.Tensor]:
    """A network of a paper up to its last feature map, what follows, and a film."""
    torch.manual_seed(0)
    network = build_network(name, labels=2, channels=3, size=32).eval()
    with torch.no_grad():  # biases that can be told from zero
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    film = to_inputs(torch.rand(1, 1, 32, 32), Training(network=name))
    if isinstance(network, UsatovKosik2021):
        return network.layers[:MAP_LAYER], network.layers[MAP_LAYER:], film
    assert isinstance(network, Abdelhady2020)
    return network.features, network.head, film


PAPERS = pytest.mark.parametrize("name", ["usatov-kosik-2021", "abdelhady-2020"])


def test_brightness_is_the_sum_over_channels_of_layer_19() -> None:
    front, _, film = _parts("usatov-kosik-2021")
    with torch.no_grad():
        expected = front(film)[0].numpy().sum(0)
    np.testing.assert_allclose(maps.brightness(front, film), expected, atol=1e-4)


@PAPERS
@pytest.mark.parametrize("place", [0, 1])
def test_weighted_activations_add_up_to_the_logit_without_bends(name: str, place: int) -> None:
    front, back, film = _parts(name)
    with torch.no_grad():
        before = front(film)
        pooled = back[0](before) if isinstance(back[0], nn.MaxPool2d) else before
        first, last = (layer for layer in back if isinstance(layer, nn.Linear))
        weights = (last.weight[place] @ first.weight).reshape(pooled.shape[1:])
        expected = float((weights * pooled[0]).sum())
    found = maps.weighted(front, back, film, place)
    assert found.shape == tuple(before.shape[2:])
    assert float(found.sum()) == pytest.approx(expected, rel=1e-4)
    if pooled is before:
        np.testing.assert_allclose(found, (weights * before[0]).sum(0).numpy(), atol=1e-4)


@PAPERS
def test_grad_cam_agrees_with_monai(name: str) -> None:
    front, back, film = _parts(name)
    whole = nn.Sequential(front, back).eval()
    theirs = GradCAM(whole, "0").compute_map(film.clone().requires_grad_(), class_idx=1)
    ours = maps.grad_cam(front, back, film, 1)
    assert ours.max() > 0
    np.testing.assert_allclose(ours, theirs[0, 0].detach().numpy(), rtol=1e-4, atol=1e-6)


def test_a_smoothed_map_stays_where_it_was() -> None:
    brightness = np.zeros((12, 12), np.float32)
    brightness[3, 9] = 1.0
    smoothed = maps.smooth(brightness, (240, 360))
    assert smoothed.shape == (240, 360)
    row, column = np.unravel_index(smoothed.argmax(), smoothed.shape)
    assert abs(row - 3.5 * 20) <= 2
    assert abs(column - 9.5 * 30) <= 2
    flat = maps.smooth(np.full((12, 12), 0.7, np.float32), (100, 100))
    np.testing.assert_allclose(flat, 0.7, atol=1e-5)


def test_a_curve_is_written_as_table_and_picture(tmp_path: Path) -> None:
    curve = [
        Epoch(epoch=1, loss=0.7, accuracy=0.5, test_loss=0.8, test_accuracy=0.4),
        Epoch(epoch=2, loss=0.5, accuracy=0.75, test_loss=0.6, test_accuracy=0.5),
    ]
    picture = pictures.write_curve(curve, tmp_path / "curve")
    assert cv2.imread(str(picture)) is not None
    table = pd.read_csv(tmp_path / "curve.csv")
    assert [Epoch(**row) for row in table.to_dict("records")] == curve
    assert pictures.inside(picture).startswith("data:image/png;base64,")


def test_a_curve_of_one_epoch_is_no_empty_picture() -> None:
    """Nothing is drawn of a line of one point; its marker is."""
    curve = [Epoch(epoch=1, loss=0.7, accuracy=0.5, test_loss=0.8, test_accuracy=0.4)]
    lines = [line for axes in pictures.draw_curve(curve).axes for line in axes.lines]
    assert len(lines) == 4
    assert all(line.get_marker() == "." for line in lines)


def test_a_timing_is_taken_once(films: PaperFilms, tmp_path: Path) -> None:
    runs = [FAST, FAST.model_copy(update={"channels": 3})]
    stored = tmp_path / "timing.json"
    first = time_side_by_side(runs, films.labelled(EVEN), stored, rounds=2)
    assert [len(times) for times in first] == [2, 2]
    assert time_side_by_side(runs, films.labelled(EVEN), stored, rounds=2) == first
    assert time_side_by_side(runs[:1], films.labelled(EVEN), stored, rounds=2) != first[:1]
    stored.write_text("[")
    assert time_side_by_side(runs[:1], films.labelled(EVEN), stored, rounds=1)


def test_the_customary_set_up_is_the_default_and_an_unknown_setting_is_refused() -> None:
    training = AbdelhadyOptions().training()
    assert (training.size, training.channels, training.batch_size) == (64, 3, 32)
    assert training.epochs == 100
    on = {k: v for k, v in training.augmentation.model_dump().items() if v}
    assert on == {"scale": 0.2, "scale_axes_apart": True, "shear_degrees": 0.2, "flip": True}
    with pytest.raises(ConfigError, match="unknown key 'epoch'"):
        AbdelhadyOptions.parse({"epoch": 3}, where="--set")


@pytest.mark.real_data
def test_abdelhadys_films_are_130_of_two_sources(data_root: Path, tmp_path: Path) -> None:
    options = AbdelhadyOptions(size=32)
    films, places = paper_films(data_root, options, tmp_path, progress=False)
    chosen = films.cases.iloc[places]
    assert len(set(places)) == 130
    assert chosen.groupby("cohort")["truth"].agg(["count", "mean"]).to_dict("index") == {
        "covid-chestxray-dataset": {"count": 79, "mean": 1.0},
        "kermany": {"count": 51, "mean": 0.0},
    }
    again, same = paper_films(data_root, options, tmp_path, progress=False)
    assert (same == places).all()
    assert torch.equal(again.squares, films.squares)
    expected = cv2.imread(chosen["path"].iloc[0], cv2.IMREAD_GRAYSCALE)
    shrunk = cv2.resize(expected.astype(np.float32) / 255, (32, 32), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(films.squares[places[0], 0].numpy(), shrunk, atol=0.03)
    assert json.dumps(options.model_dump(mode="json"))
