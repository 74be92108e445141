"""Answers of reading lists and their analysis."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hilum.apps.web.answers.said import At, By, Film, ListId, Said, Study
from hilum.apps.web.answers.worklist import Around
from hilum.core.estimate import Estimate
from hilum.core.labels import Label, ReferenceStandard

ArmName = Literal["unaided", "aided"]


class ListItem(Said):
    """A reading list; ``done``, ``seen`` and ``place`` are those of who asks."""

    list_id: ListId
    name: str = Field(examples=["Residents, spring"])
    findings: list[Label] = Field(description="that are asked, in this order")
    random: bool = Field(examples=[True], description="each reader has an own order")
    blind: bool = Field(
        examples=[True], description="no machine's answer before the own verdict is given"
    )
    reveal: bool = Field(examples=[True], description="it is shown then; else when the list ends")
    confidence: bool = Field(examples=[True], description="asked with each verdict")
    created_at: At
    deadline: At | None = Field(examples=[None])
    open: bool = Field(examples=[True], description="it takes verdicts")
    reads: bool = Field(examples=[True], description="who asks is one of its readers")
    films: int = Field(examples=[60])
    done: int = Field(examples=[22])
    seen: int = Field(
        examples=[0], description="their answer was seen before; they stay out of blind figures"
    )
    place: int = Field(examples=[22], description="of the first film in ``order`` that is not done")


class ListsAnswer(Said):
    """Reading lists, newest first."""

    items: list[ListItem]


class ListedAnswer(Said):
    """A film of a reading list."""

    film_id: Film
    study_id: Study
    done: bool = Field(examples=[False])
    seen: bool = Field(examples=[False], description="its answer was seen before it was done")


class ReaderProgress(Said):
    """How far one reader of a list is."""

    user_id: str = Field(examples=["aabbccddeeff0011"])
    name: By
    films: int = Field(examples=[60])
    done: int = Field(examples=[22])
    seen: int = Field(examples=[0])
    last_at: At | None = Field(description="of the last verdict")


class ListAnswer(ListItem):
    """A reading list with its films, in the order of who asks."""

    order: list[ListedAnswer]
    readers: list[ReaderProgress] = Field(description="for administrators; else empty")
    begun: bool = Field(
        examples=[True],
        description="verdicts were given in it, of films that may be gone: it cannot be deleted",
    )


class ListedPlace(Around):
    """Where a film stands in the order that who asks reads a list in."""

    list_id: ListId
    name: str = Field(examples=["Residents, spring"])
    open: bool = Field(examples=[True], description="it takes verdicts")


class ReaderFigures(Said):
    """What one reader, all readers, or the machine reaches against the reference standard."""

    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate = Field(
        description="area under the ROC curve by confidence, where the list asks for it"
    )


class ArmFigures(ReaderFigures):
    """Figures of one reader in one arm of a study."""

    films: int = Field(examples=[60], description="with a verdict")
    asked: int = Field(
        examples=[60], description="films not erased, and those erased that had a verdict"
    )
    unsure: int = Field(examples=[3])
    seconds: float | None = Field(examples=[14.2], description="median time to a verdict")
    roc: list[tuple[float, float]] = Field(
        examples=[[[0.0, 0.0], [0.1, 0.8], [1.0, 1.0]]],
        description="(1 - specificity, sensitivity)",
    )
    machine_kappa: Estimate = Field(description="Cohen's kappa with the machine's answer")


class PooledFigures(ReaderFigures):
    """The mean over readers of one arm; who is not whole counts with the films that are there."""

    readers: int = Field(examples=[3])
    whole: int = Field(examples=[2], description="readers with a verdict of every film not erased")


class ArmTogether(PooledFigures):
    """All readers of one arm."""

    fleiss: Estimate = Field(
        description="Fleiss' kappa of these readers, on films that each of them called"
    )


class StudyReader(Said):
    """One reader of a list, without and with the machine; null where no verdict is."""

    name: By
    films: int = Field(examples=[60], description="with a verdict, in either arm")
    whole: bool = Field(examples=[True], description="of every film of the list not erased")
    unaided: ArmFigures | None = Field(description="verdicts before the answer was in sight")
    aided: ArmFigures | None = Field(
        description="with it in sight: the last verdict, which may be the one from before"
    )
    difference: ReaderFigures | None = Field(description="aided less unaided, on films of both")


class ReaderPair(Said):
    """Two readers in one arm, on films that both called there; a pair with both arms has two."""

    names: tuple[str, str] = Field(examples=[["anna", "boris"]])
    arm: ArmName = Field(examples=["unaided"], description="as the figures of that name")
    kappa: Estimate = Field(description="Cohen's")
    agreement: Estimate


class AnalysisAnswer(Said):
    """The analysis of a reading list; intervals over patients, of means over readers, too."""

    list_id: ListId
    finding: Label
    films: int = Field(examples=[60])
    erased: int = Field(examples=[0], description="of these films: their patients were erased")
    positives: int = Field(examples=[25], description="by the reference standard")
    negatives: int = Field(examples=[30])
    readers: list[StudyReader]
    unaided: ArmTogether | None
    aided: ArmTogether | None
    difference: PooledFigures | None = Field(
        description="of readers with both; whole: both of every film not erased"
    )
    pairs: list[ReaderPair]
    fleiss: Estimate = Field(
        description="that of `unaided`; of `aided` where fewer than two readers were unaided"
    )
    machine: ReaderFigures = Field(description="by its operating point and score")
    machine_roc: list[tuple[float, float]] = Field(examples=[[[0.0, 0.0], [0.2, 0.9], [1.0, 1.0]]])


class ReferenceAnswer(Said):
    """What the reference standard says of a finding."""

    finding: Label
    value: Literal[0, 1] = Field(examples=[1])
    standard: ReferenceStandard
    by: By
    at: At


class ReferencesAnswer(Said):
    """What is known of a film."""

    items: list[ReferenceAnswer]
