from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hilum.bundle.attach import attach_results
from hilum.bundle.card import card_page, model_card, write_adapted_card, write_card
from hilum.bundle.datasheet import Datasheet
from hilum.bundle.facts import Facts, honest_line, load_audit
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle, seal
from hilum.judge.schema import Evaluation, Stratum
from hilum.judge.words import NO_PATIENTS

TEMPLATES = Path(write_card.__code__.co_filename).parent / "templates"
CHECKLISTS = Path(__file__).parents[2] / "docs" / "reference" / "checklists.md"


@pytest.fixture(scope="module")
def everything(
    packed: Path,
    write_audit: Callable[..., Path],
    comparison: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path]:
    """A card with every section, and its bundle; no test may change it."""
    root = shutil.copytree(packed, tmp_path_factory.mktemp("everything") / "full")
    audit = write_audit(open_bundle(root).checksum)
    attach_results(root, audits=[audit], out_of_source=comparison, variant="lungs")
    return (root / "MODEL_CARD.md").read_text(), root


def _numbers(value: Any) -> set[str]:
    """Every way in which the card may write the numbers of a JSON value."""
    if isinstance(value, dict):
        return {n for key, each in value.items() for n in _numbers(each) | _in_text(str(key))}
    if isinstance(value, list):
        return {n for each in value for n in _numbers(each)}
    if isinstance(value, str):
        return _in_text(value)
    if isinstance(value, bool) or value is None:
        return set()
    forms = ("{:d}", "{:g}", "{:.4g}", "{:.1f}", "{:.2f}", "{:.4f}", "{:.1e}", "{:.3g}")
    written = {form.format(value) for form in forms if form != "{:d}" or isinstance(value, int)}
    return {n for text in written for n in _in_text(text)} | {
        f"{100 * value:.1f}",
        f"{100 * value:.0f}",
    }


def _in_text(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", text))


def _counts(root: Path) -> set[str]:
    """Sums that the card forms of the cells and counts, formed here with pandas."""
    data = json.loads((root / "data.json").read_text())
    columns = ["cohort", "source", "split", "sex", "age", "view", "films"]
    cells = pd.DataFrame(data["cells"], columns=columns)
    sums = {
        int(n)
        for part in ("sex", "age", "view")
        for n in cells.groupby(["split", part]).films.sum()
    }
    sums |= {0, 200 - 91, len(data["collections"]), 2}  # left out without; collections; not read
    return {str(n) for n in sums} | {f"{5400 / 60:.1f}"}


def test_every_number_comes_from_the_files(everything: tuple[str, Path]) -> None:
    card, root = everything
    files = [json.loads(path.read_text()) for path in root.glob("*.json")]
    known = {n for values in files for n in _numbers(values)} | _counts(root)
    known |= _in_text((root / "recipe.toml").read_text())
    for path in TEMPLATES.glob("*.md"):
        known |= _in_text(re.sub(r"\{[{%].*?[%}]\}", " ", path.read_text(), flags=re.DOTALL))
    known |= _in_text("0.5 is a coin, 10 bins; 0 is chance; 1 is right; 95 % RT-PCR")
    strange = {line: _in_text(line) - known for line in card.splitlines()}
    assert not {line: found for line, found in strange.items() if found}


def test_another_number_in_a_file_is_another_number_in_the_card(full_bundle: Path) -> None:
    root, card = full_bundle, model_card(Facts.read(full_bundle))
    values = json.loads((root / "evaluation.json").read_text())
    auroc = values["labels"][0]["metrics"]["auroc"]
    assert f"| AUROC | {auroc['value']:.2f} [{auroc['low']:.2f}, {auroc['high']:.2f}]" in card
    auroc["value"] = 0.1234
    (root / "evaluation.json").write_text(json.dumps(values))
    assert f"| AUROC | 0.12 [{auroc['low']:.2f}" in model_card(Facts.read(root))


@pytest.mark.parametrize(
    "words",
    [
        "| shenzhen | 140 | 70 |",
        "2020-03-04 to 2020-03-04 |",
        "17 pairs show one film: linked",
        " - view not wanted                                    -9 films",
        " - on no side of the split                            -2 films",
        "   of train and val: image not opened                  1 films",
        "- ours: 6 rows have no image",
        "| covid-19 | each source left out of training, together | 91 | 109 | 0.66 ",
        "**covid-19: fail.** It looks at corners.",
        "Audit of covid-19: **fail**: Corners covered.",
        "| Corners covered | fail | 0.31 [0.25, 0.38] (n=77) | at most 0.05 | AUROC lost |",
        "Not read: 2 of ours (lateral).",
        "lateral 96.3 % of 54",
        "Lungs: Dice with lungs drawn by hand ours 0.95 [0.94, 0.96] (n=84).",
        "of 7 epochs number 5 is kept by its auroc on val",
        "flatters by 0.30 [0.10, 0.90] (n=200) (0.96 [0.10, 0.90] (n=200) against 0.66 ",
        "NLM public use with acknowledgement",
    ],
)
def test_each_section_says_what_its_file_says(everything: tuple[str, Path], words: str) -> None:
    assert words in everything[0]


def _with_training(evaluation: Evaluation, training: list[str]) -> Evaluation:
    """The evaluation as if its films' sources had given training films, or not."""
    label = evaluation.labels[0]
    stratum = label.strata[0].model_dump()
    parts = [
        Stratum.model_validate(
            stratum | {"column": "training", "value": value, "films": 70 + place}
        )
        for place, value in enumerate(training)
    ]
    label = label.model_copy(update={"strata": (*label.strata, *parts)})
    return evaluation.model_copy(update={"labels": (label,)})


@pytest.mark.parametrize(
    ("training", "words", "glance", "short"),
    [
        (
            ["yes"],
            "These films come from the sources that the model learned from; expect less",
            "Sources left out of training: not measured",
            "on test films of its own sources",
        ),
        (
            ["no"],
            "These films come from sources that the model never saw",
            "Sources left out of training: the test films, all of them",
            "on test films of sources it never saw",
        ),
        (
            ["yes", "no"],
            "70 of these films come from sources that the model learned from, 71 from others",
            "Sources left out of training: 71 of the test films",
            "on test films of all sources",
        ),
        (
            [],
            "Whether the model learned from other films of their sources is not recorded",
            "Sources left out of training: not measured",
            "on test films of all sources",
        ),
    ],
)
def test_the_card_says_whether_the_sources_of_the_test_films_were_learned_from(
    packed: Path, evaluation: Evaluation, training: list[str], words: str, glance: str, short: str
) -> None:
    facts = replace(Facts.read(packed), evaluation=_with_training(evaluation, training))
    card = model_card(facts)
    assert words in card
    assert glance in card
    assert card.count("These films come from") == (len(training) == 1)
    said = "judge the probability at the prevalence that its calibration was fitted for:\n"
    assert f"{said}40 % (covid-19; a reading states it for the same)." in card
    assert "stand below" not in card
    (first, *rest) = facts.manifest.labels
    labels = (first.model_copy(update={"prevalence": 0.004}), *rest)
    manifest = facts.manifest.model_copy(update={"labels": labels})
    other = model_card(replace(facts, manifest=manifest))
    assert f"{said}40 % (covid-19; a reading states it for 0.4 %)." in other
    assert "stated prevalence of 5 % (covid-19)." in card
    assert short in honest_line(facts)


def test_no_table_is_broken_and_nothing_is_nan(everything: tuple[str, Path]) -> None:
    card, _ = everything
    before, width = "", 0
    for line in card.splitlines():
        if line.startswith("|"):
            columns = len(re.findall(r"(?<!\\)\|", line))
            assert columns == (width or columns), line
            assert width or before == "", line  # a table begins after a blank line
            width = columns
        else:
            assert "|" not in line, line
            width = 0
        before = line
    assert not re.search(r"\b(nan|None|NaN|inf)\b", card)


def test_every_item_of_both_checklists_stands_once_and_leads_to_a_section(
    everything: tuple[str, Path],
) -> None:
    headings = {line[3:] for line in everything[0].splitlines() if line.startswith("## ")}
    claim, tripod = (
        re.findall(r"^\| (\d+\w?) \| .+? \| (.+) \|$", part, re.MULTILINE)
        for part in CHECKLISTS.read_text().split("\n## ")[1:]
    )
    assert [number for number, _ in claim] == [str(n) for n in range(1, 45)]
    assert {int(re.sub("[a-z]", "", number)) for number, _ in tripod} == set(range(1, 28))
    assert len({number for number, _ in tripod}) == len(tripod)
    for number, answer in (*claim, *tripod):
        section, _, note = answer.partition(": ")
        assert section in headings or (section == "not addressed" and note), number


def test_a_bundle_that_was_not_evaluated_says_what_is_not_measured(full_bundle: Path) -> None:
    for name in ("evaluation.json", "data.json", "lungs.json", "gate.json", "recipe.toml"):
        (full_bundle / name).unlink()
    card = model_card(Facts.read(full_bundle))
    assert "Not evaluated yet." in card
    assert "## At a glance\n\nNot measured." in card
    assert "flow of films: not measured" in card
    assert "Gate: on pictures held out not measured." in card
    assert "Not audited." in card


def test_a_bundle_with_nothing_but_a_manifest_has_a_card(small_bundle: Path) -> None:
    card = model_card(Facts.read(small_bundle))
    assert card.startswith("# blocks 0.0.1\n")
    assert "| machine | not recorded |" in card


def test_the_built_in_card_is_what_its_files_say_and_short_enough_to_be_read() -> None:
    card = (DEFAULT_BUNDLE / "MODEL_CARD.md").read_text()
    assert card == model_card(Facts.read(DEFAULT_BUNDLE))
    assert len(card.splitlines()) < 300
    for label in Evaluation.load(DEFAULT_BUNDLE / "evaluation.json").labels:
        assert str(label.metrics["auroc"]) in card
        assert f"{label.films} films of {label.patients} patients" in card


def test_films_are_not_called_patients_where_nobody_gave_them(full_bundle: Path) -> None:
    path = full_bundle / "evaluation.json"
    told = Evaluation.load(path)
    assert "80 films of 80 patients, 40 with" in model_card(Facts.read(full_bundle))
    told.model_copy(update={"not_known": (*told.not_known, NO_PATIENTS)}).write(path)
    card = model_card(Facts.read(full_bundle))
    assert "80 films, patients not given, 40 with" in card
    assert "80 patients" not in card


def test_a_note_of_a_calibration_stands_once_in_an_adapted_card(full_bundle: Path) -> None:
    """In the results; a card that was made elsewhere has none, so that there it stands below."""
    note = "the scores are hardly higher where the finding is"
    path = full_bundle / "bundle.json"
    values = json.loads(path.read_text())
    output = values["labels"][0]
    output["calibration"] |= {"note": note}
    record = {
        "site": "north", "created": "2026-11-30", "bundle": "blocks 0.0.1", "films": 90,
        "patients": 90, "not_read": 0, "leak_check": "none", "kept": {},
        "labels": [
            {"label": output["label"], "films": 90, "positives": 40, "negatives": 50,
             "before": {}, "after": {}}
        ],
    }  # fmt: skip
    path.write_text(json.dumps(values | {"adaptations": [record]}))
    write_adapted_card(full_bundle)
    card = (full_bundle / "MODEL_CARD.md").read_text()
    assert card.count(note) == 1
    assert "fitted to 90 films of\nthis site" in card
    (full_bundle / "environment.json").unlink()
    (full_bundle / "MODEL_CARD.md").write_text("# Made elsewhere\n")
    write_adapted_card(full_bundle)
    card = (full_bundle / "MODEL_CARD.md").read_text()
    assert card.startswith("# Made elsewhere")
    assert card.count(note) == 1


def test_an_audit_from_before_the_latest_tests_opens(
    write_audit: Callable[..., Path], tmp_path: Path
) -> None:
    values = json.loads(write_audit("0" * 64).read_text())
    new = ("left_out_false_positives", "filled_shift", "opacity_falls", "lung_moves")
    for name in new:
        del values["limits"][name]
    (tmp_path / "audit.json").write_text(json.dumps(values))
    found = load_audit(tmp_path / "audit.json")
    assert [test.name for test in found.tests] == [test["name"] for test in values["tests"]]


def test_the_datasheet_reads_back(full_bundle: Path) -> None:
    data = Datasheet.read(full_bundle / "data.json")
    data.write(full_bundle / "again.json")
    assert (full_bundle / "again.json").read_bytes() == (full_bundle / "data.json").read_bytes()


VOID = {"meta", "br", "img", "hr", "link", "input"}


class Checker(HTMLParser):
    """Collects what is wrong with a page: tags that do not close, links that lead nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        for name in ("href", "src"):
            if target := values.get(name):
                self.links.add(target)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def test_the_page_is_whole_and_needs_no_other_file(full_bundle: Path) -> None:
    write_card(full_bundle)
    seal(full_bundle)
    page = card_page(open_bundle(full_bundle))
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.wrong
    assert not checker.open
    assert len(checker.ids) == len(set(checker.ids))
    assert checker.links
    assert all(link.startswith("#") for link in checker.links)
    assert {link[1:] for link in checker.links} <= set(checker.ids)
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)


def test_markup_in_a_card_is_text(full_bundle: Path) -> None:
    (full_bundle / "MODEL_CARD.md").write_text(
        "# x\n\n<script>alert(1)</script> [y](javascript:z)\n"
    )
    seal(full_bundle)
    page = card_page(open_bundle(full_bundle))
    assert "<script" not in page
    assert 'href="javascript' not in page
