"""Checklists: where the model card answers the items of CLAIM 2024 and of TRIPOD+AI.

CLAIM 2024: Tejani et al., Radiology: Artificial Intelligence 2024;6(4):e240300 (44 items).
TRIPOD+AI:  Collins et al., BMJ 2024;385:e078378 (27 items, some in parts).

The numbers are those of the checklists; the words are ours and shorter, so that for a submission
the published ones hold. An item is answered by a section of the card, or it says why it is not.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hilum.bundle.markdown import slug

_BUNDLE = "not recorded in a bundle"
_PAPER = "a model card is no paper"
_NONE = "not recorded by the collections"


class Item(NamedTuple):
    """One item.

    Attributes:
        number: in its checklist.
        asks: in our words.
        section: heading of the section that answers it, or "".
        note: why it is not answered, or what the section cannot say.
    """

    number: str
    asks: str
    section: str = ""
    note: str = ""


CLAIM: tuple[Item, ...] = (
    Item("1", "named as a study of AI, and of which kind", "Model"),
    Item("2", "summary of design, methods, results", "At a glance"),
    Item("3", "background, intended use and role", "Intended use"),
    Item("4", "aims and hypotheses", "", _PAPER),
    Item("5", "prospective or retrospective", "Data", "retrospective throughout"),
    Item("6", "goal of the study", "Intended use"),
    Item("7", "data sources", "Data"),
    Item("8", "inclusion and exclusion criteria", "Inclusion"),
    Item("9", "preprocessing", "Model"),
    Item("10", "selection of parts of the data", "Inclusion"),
    Item("11", "de-identification", "", "done by the collections before they were published"),
    Item("12", "missing data", "Data", "unknown labels are masked, never guessed"),
    Item("13", "image acquisition", "Data", "view where stated; equipment is " + _NONE),
    Item("14", "how the reference standard was obtained", "Reference standards"),
    Item("15", "why that reference standard", "", "it is what the collections give"),
    Item("16", "who annotated", "", _NONE + ", as far as labels go"),
    Item("17", "annotation of the test set", "Reference standards", "as for training"),
    Item("18", "variability between and within readers", "", _NONE),
    Item("19", "assignment to partitions", "Inclusion"),
    Item("20", "level at which partitions are disjoint", "Inclusion"),
    Item("21", "intended sample size", "", "none was set: all films that fit were taken"),
    Item("22", "the model in detail", "Model", "the network is in model.onnx"),
    Item("23", "software and versions", "To make it again"),
    Item("24", "initial parameters", "Recipe"),
    Item("25", "training approach", "Recipe"),
    Item("26", "selection of the final model", "Selection"),
    Item("27", "ensembling", "Recipe", "one network; its weights may be averaged over epochs"),
    Item("28", "metrics", "Evaluation"),
    Item("29", "uncertainty and significance", "Evaluation"),
    Item("30", "robustness and sensitivity analysis", "Audit"),
    Item("31", "explainability", "Model", "how much of it lies in lungs: see Audit"),
    Item("32", "evaluation on internal data", "Evaluation"),
    Item("33", "testing on external data", "Sources left out of training"),
    Item("34", "registration as a trial", "", _BUNDLE),
    Item("35", "numbers included and excluded", "Inclusion"),
    Item("36", "characteristics of cases in each partition", "Data"),
    Item("37", "performance with uncertainty", "Evaluation"),
    Item("38", "diagnostic performance and its precision", "Evaluation"),
    Item("39", "analysis of failures", "Known failures", "listed, not analyzed by a radiologist"),
    Item("40", "limitations", "Limits"),
    Item("41", "implications for practice", "Intended use"),
    Item("42", "protocol or further technical detail", "Recipe"),
    Item("43", "availability of software, model, data", "Licence and citation"),
    Item("44", "funding and the role of funders", "", _BUNDLE),
)

TRIPOD: tuple[Item, ...] = (
    Item("1", "title: development or evaluation, population, outcome", "Model"),
    Item("2", "abstract", "At a glance"),
    Item("3a", "context and existing models", "", _PAPER),
    Item("3b", "population, purpose, users", "Intended use"),
    Item("3c", "known health inequalities", "", "the collections record neither origin nor income"),
    Item("4", "objectives", "", _PAPER),
    Item("5a", "sources of data, and how representative", "Data"),
    Item("5b", "dates", "Data", "as far as stated"),
    Item("6a", "setting", "Data", "source by source"),
    Item("6b", "eligibility", "Inclusion"),
    Item("6c", "treatments", "", _NONE),
    Item("7", "preparation and checking of data", "Inclusion"),
    Item("8a", "outcome and how it was assessed", "Reference standards"),
    Item("8b", "who assessed it", "", _NONE),
    Item("8c", "blinding of the assessment", "", _NONE),
    Item("9a", "choice of predictors", "Model", "one film, nothing else"),
    Item("9b", "predictors defined", "Model"),
    Item("9c", "who assessed predictors", "Model", "no person does"),
    Item("10", "sample size", "", "none was set: all films that fit were taken"),
    Item("11", "missing data", "Data", "unknown labels are masked, never guessed"),
    Item("12a", "how data were used", "Inclusion"),
    Item("12b", "handling of predictors", "Model"),
    Item("12c", "type of model, building, tuning, validation", "Recipe"),
    Item("12d", "differences between clusters", "Evaluation"),
    Item("12e", "measures of performance", "Evaluation"),
    Item("12f", "updating of the model", "Probability and sets"),
    Item("12g", "how predictions were calculated", "Model"),
    Item("13", "class imbalance", "Recipe"),
    Item("14", "fairness", "Evaluation", "measured by sex and age; nothing was done about it"),
    Item("15", "output and thresholds", "Operating points"),
    Item("16", "development data against evaluation data", "Data"),
    Item("17", "ethical approval", "", _BUNDLE + "; the collections state theirs"),
    Item("18a", "funding", "", _BUNDLE),
    Item("18b", "conflicts of interest", "", _BUNDLE),
    Item("18c", "protocol", "", _BUNDLE),
    Item("18d", "registration", "", _BUNDLE),
    Item("18e", "sharing of data", "Licence and citation"),
    Item("18f", "sharing of code", "Licence and citation"),
    Item("19", "patients and public", "", _BUNDLE),
    Item("20a", "flow of participants", "Inclusion"),
    Item("20b", "characteristics", "Data"),
    Item("20c", "comparison with development data", "Data"),
    Item("21", "participants and events in each analysis", "Evaluation"),
    Item("22", "the full model", "Model", "model.onnx and bundle.json are all of it"),
    Item("23a", "performance, of subgroups too", "Evaluation"),
    Item("23b", "differences of performance between clusters", "Sources left out of training"),
    Item("24", "results of updating", "Site calibration"),
    Item("25", "interpretation", "Limits"),
    Item("26", "limitations", "Limits"),
    Item("27a", "poor or unavailable input", "Refusals"),
    Item("27b", "interaction and expertise of users", "Intended use"),
    Item("27c", "next steps", "", _PAPER),
)


def answers(items: Collection[Item], said: Collection[str]) -> list[tuple[str, str, str]]:
    """Return (number, what it asks, where it is answered) of each item.

    Args:
        items: of a checklist.
        said: anchors of the sections that have something to say in this bundle.
    """
    rows = []
    for item in items:
        anchor = slug(item.section)
        link = f"[{item.section}](#{anchor})"
        if not item.section:
            where = f"not addressed: {item.note}"
        elif anchor not in said:
            where = f"not measured in this bundle: {link}"
        else:
            where = f"{link}; {item.note}" if item.note else link
        rows.append((item.number, item.asks, where))
    return rows
