"""abdelhady-2020: the first founding paper's experiment, and the same network asked again.

    out/abdelhady-2020.html          the page; needs no other file
    out/abdelhady-2020/result.json   its numbers
    out/abdelhady-2020/curve.png     accuracy and loss (and curve.csv)
    out/abdelhady-2020/example-*.png the two example films
    out/abdelhady-2020/experiments/  one file a finished training, found again after a break

The paper: 130 training and 18 test films in two classes, augmentation, 100 epochs; accuracy 0.98,
loss 0.04. It states neither input size nor augmentation. We take the customary set-up of this
very network (64 x 64 RGB, batch 32, shear 0.2, zoom 0.2, horizontal flip, rescale 1/255, Adam,
binary cross-entropy), and the customary films: posteroanterior COVID-19 films of
covid-chestxray-dataset against normal films of Kermany's collection, drawn film by film.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from hilum.core.config import Config, Written
from hilum.core.files import write_text
from hilum.core.page import render
from hilum.core.reading import RESEARCH_USE
from hilum.image.open import open_radiograph
from hilum.learn.augment import Augmentation
from hilum.learn.papers import judging, pictures
from hilum.learn.papers.experiment import Experiment, Outcome, run_all
from hilum.learn.papers.films import (
    PaperFilms,
    Places,
    draw,
    folds_of,
    open_paper_films,
    read_collection,
    shared_patients,
)
from hilum.learn.papers.judging import HeadRow
from hilum.learn.papers.training import Training

NAME = "abdelhady-2020"
PAPER_ACCURACY, PAPER_LOSS, PAPER_TEST_FILMS = 0.98, 0.04, 18

_TEMPLATE = Path(__file__).parent / "templates" / f"{NAME}.html"
_COHEN = ("covid-chestxray-dataset",)
_KERMANY = ("chest_xray", "kermany")


class AbdelhadyOptions(Config):
    """What the paper leaves open, at its customary values.

    Attributes:
        size, channels: of the input.
        epochs, batch_size, learning_rate: of the training.
        shear_degrees: Keras counts its ``shear_range`` in degrees, so the customary 0.2 does
            almost nothing; we keep it.
        zoom: each axis on its own in [1 - zoom, 1 + zoom], as Keras does.
        flip: mirror left and right.
        train_films, test_films: as in the paper.
        folds: of the cross-validations beside it.
        seed: of every draw.
    """

    size: int = Field(default=64, ge=32)
    channels: Literal[1, 3] = 3
    epochs: int = Field(default=100, ge=1)
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    shear_degrees: float = 0.2
    zoom: float = 0.2
    flip: bool = True
    train_films: int = Field(default=130, ge=4)
    test_films: int = Field(default=18, ge=2)
    folds: int = Field(default=8, ge=2)
    seed: int = Field(default=0, ge=0)

    def training(self) -> Training:
        """Return the training run that these options describe."""
        augmentation = Augmentation.off().model_copy(
            update={
                "shear_degrees": self.shear_degrees,
                "scale": self.zoom,
                "scale_axes_apart": True,
                "flip": self.flip,
            }
        )
        return Training.parse(
            {
                "network": NAME,
                "channels": self.channels,
                "size": self.size,
                "epochs": self.epochs,
                "batch_size": self.batch_size,
                "learning_rate": self.learning_rate,
                "augmentation": augmentation,
                "seed": self.seed,
            },
            where=NAME,
        )


class Example(Written):
    """One test film with what the network says of it."""

    case_id: str
    truth: bool
    score: float
    picture: str


class AbdelhadyResult(Written):
    """Everything that the page shows.

    Attributes:
        films: description -> (COVID-19 films, others).
        patients_on_both_sides: test films of the paper's way whose patient is in training too.
        training_time_s: wall time of the epochs of the paper's way, in seconds.
    """

    paper: str = NAME
    options: AbdelhadyOptions
    rows: list[HeadRow]
    examples: list[Example]
    films: dict[str, tuple[int, int]]
    refused: int
    patients_on_both_sides: int
    training_time_s: float
    page: str
    notice: str = RESEARCH_USE


def reproduce_abdelhady(
    data: Path, out: Path, options: AbdelhadyOptions, *, progress: bool = True
) -> AbdelhadyResult:
    """Repeat the paper, put the honest experiments beside it, and write the page.

    Args:
        data: folder that holds ``covid-chestxray-dataset`` and ``chest_xray`` (Kermany).
        out: output folder; what an earlier call with the same options finished is kept.
        options: what the paper leaves open.
        progress: show progress on stderr.

    Raises:
        CohortError: a collection or films are missing.
        ConfigError: an option that does not fit.
    """
    folder = out / NAME
    films = _open(data, options, folder / "films", progress=progress)
    plan = _Plan(films, options)
    outcomes = run_all(plan.experiments, films, folder, progress=progress)
    result = _result(plan, outcomes, out)
    write_text(folder / "result.json", result.model_dump_json(indent=1) + "\n")
    _write_page(result, outcomes["as-the-paper"], out)
    return result


def _open(data: Path, options: AbdelhadyOptions, cache: Path, *, progress: bool) -> PaperFilms:
    cohen = read_collection("covid-chestxray-dataset", data, _COHEN)
    cohen = cohen[(cohen["modality"] == "X-ray") & (cohen["view"] == "PA")]
    kermany = read_collection("kermany", data, _KERMANY)
    kermany = kermany[kermany["no-finding"] == 1]
    cases = pd.concat([cohen, kermany], ignore_index=True)
    cases = cases[cases["covid-19"].notna()].assign(truth=lambda table: table["covid-19"])
    return open_paper_films(cases, options.size, cache, progress=progress)


def paper_films(
    data: Path, options: AbdelhadyOptions, cache: Path, *, progress: bool = True
) -> tuple[PaperFilms, Places]:
    """Open the films, and return them with the places of those that the paper's way trains on."""
    films = _open(data, options, cache, progress=progress)
    return films, _Plan(films, options).train


class _Plan:
    """Which films go where, and the experiments that follow from it."""

    def __init__(self, films: PaperFilms, options: AbdelhadyOptions) -> None:
        self.films, self.options = films, options
        random = np.random.default_rng(options.seed)
        covid, normal, other = self._classes()
        self.train, self.test = self._as_the_paper(covid, normal, random)
        self.paper_films = np.concatenate([self.train, self.test])
        total = options.train_films + options.test_films
        others = min(len(other), total // 2)
        self.one_source = draw(covid, other, (total - others, others), random)
        self.experiments = [
            Experiment("as-the-paper", options.training(), self.train, self.test, watch=True),
            *self._folds("by-film", self.paper_films, by_patient=False),
            *self._folds("by-patient", self.paper_films, by_patient=True),
            *self._folds("one-source", self.one_source, by_patient=True),
        ]

    def _classes(self) -> tuple[Places, Places, Places]:
        """Places of COVID-19, of Kermany's normal films, and of other disease in Cohen's."""
        truth, cohort = self.films.cases["truth"], self.films.cases["cohort"]
        chosen = (truth == 1, cohort == "kermany", (truth == 0) & (cohort != "kermany"))
        return tuple(np.flatnonzero(each) for each in chosen)  # type: ignore[return-value]

    def _as_the_paper(
        self, covid: Places, normal: Places, random: np.random.Generator
    ) -> tuple[Places, Places]:
        """Draw film by film: half of the test films normal, and half of all as far as they go."""
        test_normal = self.options.test_films // 2
        test_covid = self.options.test_films - test_normal
        # Test films are drawn first, so that a small collection shortens training, not the test.
        train_normal = min(self.options.train_films // 2, len(normal) - test_normal)
        test = draw(covid, normal, (test_covid, test_normal), random)
        train = draw(
            np.setdiff1d(covid, test),
            np.setdiff1d(normal, test),
            (self.options.train_films - train_normal, train_normal),
            random,
        )
        return train, test

    def _folds(self, name: str, places: Places, *, by_patient: bool) -> list[Experiment]:
        divided = folds_of(
            self.films, places, self.options.folds, by_patient=by_patient, seed=self.options.seed
        )
        return [
            Experiment(f"{name}-{number}", self.options.training(), train, test)
            for number, (train, test) in enumerate(divided, 1)
        ]


def _result(plan: _Plan, outcomes: dict[str, Outcome], out: Path) -> AbdelhadyResult:
    main = outcomes["as-the-paper"]
    return AbdelhadyResult(
        options=plan.options,
        rows=_rows(plan, outcomes),
        examples=_examples(main, plan.films, out / NAME),
        films={
            "training, as the paper": _count(plan.films, plan.train),
            "test, as the paper": _count(plan.films, plan.test),
            "within one source": _count(plan.films, plan.one_source),
        },
        refused=plan.films.refused,
        patients_on_both_sides=shared_patients(plan.films, plan.train, plan.test),
        training_time_s=main.seconds,
        page=f"{NAME}.html",
    )


def _rows(plan: _Plan, outcomes: dict[str, Outcome]) -> list[HeadRow]:
    films, seed, folds = plan.films, plan.options.seed, plan.options.folds
    main = outcomes["as-the-paper"]

    def cross_validated(name: str) -> list[Outcome]:
        return [outcomes[f"{name}-{number}"] for number in range(1, folds + 1)]

    sets = (
        (
            "Ours, as the paper did it",
            "Two sources (adults with COVID-19, healthy children), drawn film by film.",
            main.predictions,
        ),
        (
            f"The same, {folds} folds by film",
            "Every one of these films is tested once: a narrower interval for the same question.",
            judging.pooled(cross_validated("by-film")),
        ),
        (
            f"The same films, {folds} folds by patient",
            "No patient is on both sides. Source still gives the class away.",
            judging.pooled(cross_validated("by-patient")),
        ),
        (
            f"Within one source, {folds} folds by patient",
            "COVID-19 against other disease, all from covid-chestxray-dataset: here the source "
            "does not give the class away.",
            judging.pooled(cross_validated("one-source")),
        ),
    )
    rows = [_paper(), _on_training_films(main)]
    rows += [
        judging.row_of(what, detail, judging.scored_of(predictions, films), seed=seed)
        for what, detail, predictions in sets
    ]
    baseline = "Twelve numbers of the file (size, aspect, brightness, border, corners); no lung."
    for what, places in (("two sources", plan.paper_films), ("one source", plan.one_source)):
        title = f"Nuisance baseline, {what}, by patient"
        rows.append(judging.nuisance_row(title, baseline, films, places, seed=seed))
    return rows


def _paper() -> HeadRow:
    return HeadRow(
        what="The paper",
        detail="Accuracy and loss as printed. 0.98 is no share of 18 films (17 of 18 is 0.94), "
        "so it may be the accuracy on the training films.",
        accuracy=judging.plain(PAPER_ACCURACY, PAPER_TEST_FILMS),
        loss=judging.plain(PAPER_LOSS, PAPER_TEST_FILMS),
        auroc=judging.not_given(PAPER_TEST_FILMS),
    )


def _on_training_films(main: Outcome) -> HeadRow:
    last = main.curve[-1]
    return HeadRow(
        what="Ours, on its own training films",
        detail="Last epoch, augmented, as the curve shows it: no evidence of anything.",
        accuracy=judging.plain(last.accuracy, main.train_films),
        loss=judging.plain(last.loss, main.train_films),
        auroc=judging.not_given(main.train_films),
    )


def _examples(main: Outcome, films: PaperFilms, folder: Path) -> list[Example]:
    """Take the first test film of each class, whatever the network says of it."""
    predictions = main.predictions
    paths = films.cases.set_index("case_id")["path"]
    examples = []
    for truth, name in ((1, "covid-19"), (0, "normal")):
        first = predictions[predictions["truth"] == truth].iloc[0]
        picture = folder / f"example-{name}.png"
        pictures.write_film(open_radiograph(paths[first["case_id"]]).pixels, picture)
        examples.append(
            Example(
                case_id=first["case_id"],
                truth=bool(truth),
                score=first["score"],
                picture=f"{NAME}/{picture.name}",
            )
        )
    return examples


def _count(films: PaperFilms, places: Places) -> tuple[int, int]:
    positive = int(films.cases["truth"].iloc[places].sum())
    return positive, len(places) - positive


def _write_page(result: AbdelhadyResult, main: Outcome, out: Path) -> None:
    curve = pictures.write_curve(main.curve, out / NAME / "curve")
    page = render(
        _TEMPLATE,
        result=result,
        options=judging.in_lines(result.options),
        in_cell=judging.in_cell,
        curve=pictures.inside(curve),
        examples=[(each, pictures.inside(out / each.picture)) for each in result.examples],
    )
    write_text(out / result.page, page)
