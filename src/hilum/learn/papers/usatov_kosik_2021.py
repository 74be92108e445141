"""usatov-kosik-2021: the second founding paper's comparisons, and the same networks asked again.

    out/usatov-kosik-2021.html          the page; needs no other file
    out/usatov-kosik-2021/result.json   its numbers
    out/usatov-kosik-2021/*.png, *.csv  curves, confusion matrix, ROC, three maps
    out/usatov-kosik-2021/experiments/  one file a finished training, found again after a break

The paper compares ELU with ReLU, 1 with 3 input channels (training took 5:33 and 5:55) and
augmentation on with off, tests on 6 films of class False and 12 of class True, and shows the
brightness after layer 19. Neither its films nor its training set are public. We take frontal
films of covid-chestxray-dataset alone, True = COVID-19 and False = other disease, in the paper's
proportion of 1 to 2; what it does not state is an option.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from hilum.core.config import Config, Written
from hilum.core.estimate import Estimate
from hilum.core.files import write_text
from hilum.core.labels import View
from hilum.core.page import render
from hilum.core.reading import RESEARCH_USE
from hilum.image.open import open_radiograph
from hilum.judge import plots
from hilum.judge.panel import ScoredCases
from hilum.judge.schema import CallCounts, ClassRow
from hilum.learn.augment import Augmentation
from hilum.learn.networks.usatov_kosik_2021 import MAP_LAYER
from hilum.learn.papers import judging, maps, pictures
from hilum.learn.papers.experiment import Experiment, Outcome, load_network, run_all
from hilum.learn.papers.films import (
    PaperFilms,
    Places,
    draw,
    open_paper_films,
    read_collection,
    shared_patients,
)
from hilum.learn.papers.judging import HeadRow
from hilum.learn.papers.timing import time_side_by_side
from hilum.learn.papers.training import Training, to_inputs

NAME = "usatov-kosik-2021"
PAPER_SECONDS = {1: 5 * 60 + 33, 3: 5 * 60 + 55}
PAPER_CONFUSION = ((4, 2), (2, 10))
"""Films by truth (rows) and call (columns): the only counts that give the paper's table."""
PAPER_CLASSES = (("False", 0.66, 0.65, 0.66, 6), ("True", 0.83, 0.84, 0.83, 12))

_TEMPLATE = Path(__file__).parent / "templates" / f"{NAME}.html"
_COHEN = ("covid-chestxray-dataset",)
_MAIN = "elu-3-channels-augmented"


class UsatovKosikOptions(Config):
    """What the paper leaves open.

    Attributes:
        size: side of the input in pixels.
        epochs, batch_size, learning_rate: of each training, with Adam.
        dropout: before the dense layer.
        augmentation: of the runs that have it.
        train_films: a third of class False, two thirds of class True, as in the paper's test.
        test_false, test_true: as in the paper.
        seed: of every draw.
    """

    size: int = Field(default=96, ge=32)
    epochs: int = Field(default=40, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0)
    dropout: float = Field(default=0.5, ge=0, lt=1)
    augmentation: Augmentation = Augmentation()
    train_films: int = Field(default=150, ge=6)
    test_false: int = Field(default=6, ge=1)
    test_true: int = Field(default=12, ge=1)
    seed: int = Field(default=0, ge=0)


class TrainedVariant(Config):
    """One of the compared trainings."""

    name: str
    activation: Literal["elu", "relu"]
    channels: Literal[1, 3]
    augmented: bool

    def training(self, options: UsatovKosikOptions) -> Training:
        """Return its run."""
        return Training(
            network=NAME,
            network_options={"activation": self.activation, "dropout": options.dropout},
            channels=self.channels,
            size=options.size,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            mean=0.5,
            std=0.25,
            augmentation=options.augmentation if self.augmented else Augmentation.off(),
            seed=options.seed,
        )


VARIANTS = (
    TrainedVariant(name=_MAIN, activation="elu", channels=3, augmented=True),
    TrainedVariant(name="relu-3-channels-augmented", activation="relu", channels=3, augmented=True),
    TrainedVariant(name="elu-1-channel-augmented", activation="elu", channels=1, augmented=True),
    TrainedVariant(name="elu-3-channels-plain", activation="elu", channels=3, augmented=False),
)
"""The first is the paper's; each other one changes one thing."""


class VariantRow(Written):
    """A variant on the paper's kind of test, and on all films of patients it has not seen.

    ``wider_test_pa`` is the part of the wider test that was taken standing (PA), where the view
    cannot give the class away.
    """

    variant: TrainedVariant
    paper_test: HeadRow
    wider_test: HeadRow
    wider_test_pa: HeadRow
    training_accuracy: float
    seconds: float
    cpu_seconds: float


class ChannelTiming(Written):
    """Seconds for an epoch with 1 and with 3 channels: the fastest of turns taken in alternation.

    The fastest, because whatever else the machine does can only slow an epoch down.
    """

    one_s: float
    three_s: float
    rounds: int

    @property
    def ratio(self) -> float:
        """Time with 1 channel / time with 3."""
        return self.one_s / self.three_s


class UsatovKosikResult(Written):
    """Everything that the page shows.

    Attributes:
        classes: of the paper's network on the paper's kind of test.
        confusion: films by truth (rows: False, True) and call (columns).
        bedside: share of (True, False) films of all that are AP or AP supine.
        patients_on_both_sides: test films, drawn by film, whose patient is in training too.
        map_case_id, map_score: the true positive of the maps; "" where there is none.
    """

    paper: str = NAME
    options: UsatovKosikOptions
    variants: list[VariantRow]
    classes: tuple[ClassRow, ClassRow]
    confusion: list[list[int]]
    nuisance: HeadRow
    timing: ChannelTiming
    films: dict[str, tuple[int, int]]
    refused: int
    bedside: tuple[float, float]
    patients_on_both_sides: int
    map_case_id: str
    map_score: float | None
    page: str
    notice: str = RESEARCH_USE


def reproduce_usatov_kosik(
    data: Path, out: Path, options: UsatovKosikOptions, *, progress: bool = True
) -> UsatovKosikResult:
    """Repeat the paper's comparisons, ask a wider test beside them, and write the page.

    Args:
        data: folder that holds ``covid-chestxray-dataset``.
        out: output folder; what an earlier call with the same options finished is kept.
        options: what the paper leaves open.
        progress: show progress on stderr.

    Raises:
        CohortError: the collection or films are missing.
        ConfigError: an option that does not fit.
    """
    folder = out / NAME
    films = _open(data, options, folder / "films", progress=progress)
    plan = _Plan(films, options)
    outcomes = run_all(plan.experiments, films, folder, progress=progress)
    timing = _time_channels(plan, folder)
    network = load_network(plan.experiments[0], folder)
    found = _true_positive(outcomes[_MAIN], plan)
    result = _result(plan, outcomes, timing, found)
    if found is not None:
        _write_maps(network, plan, found[0], folder)
    write_text(folder / "result.json", result.model_dump_json(indent=1) + "\n")
    _write_page(result, plan, outcomes, out)
    return result


def _open(data: Path, options: UsatovKosikOptions, cache: Path, *, progress: bool) -> PaperFilms:
    cases = read_collection("covid-chestxray-dataset", data, _COHEN)
    frontal = [view.value for view in View if view.frontal]
    chosen = (cases["modality"] == "X-ray") & cases["view"].isin(frontal)
    cases = cases[chosen & cases["covid-19"].notna()]
    cases = cases.assign(truth=cases["covid-19"])
    return open_paper_films(cases, options.size, cache, progress=progress)


class _Plan:
    """Which films go where, and the experiments that follow from it.

    The test of every experiment is the paper's kind of test followed by the wider one, so that
    one training serves both.
    """

    def __init__(self, films: PaperFilms, options: UsatovKosikOptions) -> None:
        self.films, self.options = films, options
        random = np.random.default_rng(options.seed)
        truth = films.cases["truth"].to_numpy()
        true, false = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
        self.test = draw(true, false, (options.test_true, options.test_false), random)
        true, false = np.setdiff1d(true, self.test), np.setdiff1d(false, self.test)
        third = options.train_films // 3
        self.train = draw(true, false, (options.train_films - third, third), random)
        self.wider = self._unseen()
        # Places may stand twice; they are cut apart again by position, never by film.
        tested = np.concatenate([self.test, self.wider])
        self.experiments = [
            Experiment(
                variant.name,
                variant.training(options),
                self.train,
                tested,
                keep=variant.name == _MAIN,
            )
            for variant in VARIANTS
        ]

    def _unseen(self) -> Places:
        """Places of all films whose patient has none in training."""
        groups = self.films.cases["group"]
        return np.flatnonzero(~groups.isin(set(groups.iloc[self.train])).to_numpy())

    def on_paper_test(self, outcome: Outcome) -> ScoredCases:
        """The films of the paper's kind of test, scored."""
        return judging.scored_of(outcome.predictions.iloc[: len(self.test)], self.films)

    def on_wider_test(self, outcome: Outcome) -> ScoredCases:
        """All films of unseen patients, scored."""
        return judging.scored_of(outcome.predictions.iloc[len(self.test) :], self.films)


def _time_channels(plan: _Plan, folder: Path) -> ChannelTiming:
    runs = [plan.experiments[0].training, plan.experiments[2].training]
    films = plan.films.labelled(plan.train)
    three, one = time_side_by_side(runs, films, folder / "experiments" / "timing.json")
    return ChannelTiming(one_s=min(one), three_s=min(three), rounds=len(one))


def _true_positive(main: Outcome, plan: _Plan) -> tuple[int, float] | None:
    """Return (place, score) of the test film of class True that scored highest, if called."""
    test = main.predictions.iloc[: len(plan.test)]
    scores = test["score"].where(test["truth"] == 1, -1.0).to_numpy()
    best = int(scores.argmax())
    if scores[best] < judging.THRESHOLD:
        return None
    return int(plan.test[best]), float(scores[best])


def _write_maps(network: torch.nn.Module, plan: _Plan, place: int, folder: Path) -> None:
    training = plan.experiments[0].training
    inputs = to_inputs(plan.films.squares[place : place + 1], training)
    layers = list(network.layers)  # type: ignore[arg-type]
    front, back = (torch.nn.Sequential(*part) for part in (layers[:MAP_LAYER], layers[MAP_LAYER:]))
    found = {
        "brightness-map": maps.brightness(front, inputs),
        "weighted-map": maps.weighted(front, back, inputs),
        "grad-cam": maps.grad_cam(front, back, inputs),
    }
    film = open_radiograph(plan.films.cases["path"].iloc[place]).pixels
    for name, heat in found.items():
        plots.save(pictures.draw_map(film, heat, name.replace("-", " ")), folder / f"{name}.png")


def _result(
    plan: _Plan,
    outcomes: dict[str, Outcome],
    timing: ChannelTiming,
    found: tuple[int, float] | None,
) -> UsatovKosikResult:
    films, seed = plan.films, plan.options.seed
    paper_test = plan.on_paper_test(outcomes[_MAIN])
    everything = np.arange(len(films.cases))
    return UsatovKosikResult(
        options=plan.options,
        variants=[_variant_row(each, outcomes[each.name], plan) for each in VARIANTS],
        classes=judging.class_table(paper_test, seed=seed),
        confusion=judging.counts_of(paper_test).tolist(),
        nuisance=judging.nuisance_row(
            "Nuisance baseline, all frontal films, by patient",
            "Twelve numbers of the file (size, aspect, brightness, border, corners); no lung.",
            films,
            everything,
            seed=seed,
        ),
        timing=timing,
        films={
            "training": _count(films, plan.train),
            "test, as the paper": _count(films, plan.test),
            "wider test": _count(films, plan.wider),
        },
        refused=films.refused,
        bedside=_bedside(films),
        patients_on_both_sides=shared_patients(films, plan.train, plan.test),
        map_case_id=films.cases["case_id"].iloc[found[0]] if found else "",
        map_score=found[1] if found else None,
        page=f"{NAME}.html",
    )


def _variant_row(variant: TrainedVariant, outcome: Outcome, plan: _Plan) -> VariantRow:
    seed = plan.options.seed
    wider = plan.on_wider_test(outcome)
    standing = (plan.films.cases["view"].iloc[plan.wider] == View.PA.value).to_numpy()
    detail = f"{variant.activation.upper()}, {variant.channels} channels"
    return VariantRow(
        variant=variant,
        paper_test=judging.row_of(
            f"{variant.name}, as the paper", detail, plan.on_paper_test(outcome), seed=seed
        ),
        wider_test=judging.row_of(f"{variant.name}, unseen patients", detail, wider, seed=seed),
        wider_test_pa=judging.row_of(
            f"{variant.name}, unseen patients, PA", detail, wider.where(standing), seed=seed
        ),
        training_accuracy=outcome.curve[-1].accuracy,
        seconds=outcome.seconds,
        cpu_seconds=outcome.cpu_seconds,
    )


def _bedside(films: PaperFilms) -> tuple[float, float]:
    bedside = films.cases["view"] != View.PA.value
    true = films.cases["truth"] == 1
    return float(bedside[true].mean()), float(bedside[~true].mean())


def _count(films: PaperFilms, places: Places) -> tuple[int, int]:
    positive = int(films.cases["truth"].iloc[places].sum())
    return positive, len(places) - positive


def _paper_classes() -> list[ClassRow]:
    return [
        ClassRow(
            name=name,
            precision=Estimate(value=precision, n=support),
            recall=Estimate(value=recall, n=support),
            f1=Estimate(value=f1, n=support),
            support=support,
        )
        for name, precision, recall, f1, support in PAPER_CLASSES
    ]


def _write_page(
    result: UsatovKosikResult, plan: _Plan, outcomes: dict[str, Outcome], out: Path
) -> None:
    folder = out / NAME
    drawn = _draw(result, plan, outcomes, folder)
    page = render(
        _TEMPLATE,
        result=result,
        options=judging.in_lines(result.options),
        in_cell=judging.in_cell,
        paper_classes=_paper_classes(),
        paper_confusion=PAPER_CONFUSION,
        paper_seconds=PAPER_SECONDS,
        layer=MAP_LAYER,
        pictures={name: pictures.inside(path) for name, path in drawn.items()},
    )
    write_text(out / result.page, page)


def _draw(
    result: UsatovKosikResult, plan: _Plan, outcomes: dict[str, Outcome], folder: Path
) -> dict[str, Path]:
    main, row, seed = outcomes[_MAIN], result.variants[0], plan.options.seed
    (true_negative, false_positive), (false_negative, true_positive) = result.confusion
    counts = CallCounts(
        true_positive=true_positive,
        false_positive=false_positive,
        false_negative=false_negative,
        true_negative=true_negative,
    )
    figures = {
        "confusion": plots.confusion_matrix("COVID-19", counts, judging.THRESHOLD),
        "roc-paper": plots.roc(plan.on_paper_test(main), row.paper_test.auroc, seed=seed),
        "roc-wider": plots.roc(plan.on_wider_test(main), row.wider_test.auroc, seed=seed),
    }
    for name, figure in figures.items():
        plots.save(figure, folder / f"{name}.png")
    drawn = {name: folder / f"{name}.png" for name in figures}
    for variant in VARIANTS:
        stem = folder / f"curve-{variant.name}"
        drawn[variant.name] = pictures.write_curve(outcomes[variant.name].curve, stem)
    if result.map_case_id:
        for name in ("brightness-map", "weighted-map", "grad-cam"):
            drawn[name] = folder / f"{name}.png"
    return drawn
