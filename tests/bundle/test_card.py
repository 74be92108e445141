from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hilum.bundle.attach import attach_results
from hilum.bundle.card import model_card, write_card
from hilum.bundle.checklists import CLAIM, TRIPOD
from hilum.bundle.datasheet import Datasheet
from hilum.bundle.facts import Facts
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.markdown import slug
from hilum.judge.schema import Evaluation

TEMPLATES = Path(write_card.__code__.co_filename).parent / "templates"


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
        for by in ("split", "cohort")
        for part in ("sex", "age", "view")
        for n in cells.groupby([by, part])["films"].sum()
    }
    sums |= {int(cells.query("split == 'test' and cohort == 'ours'")["films"].sum())}
    label = Evaluation.load(root / "evaluation.json")["covid-19"]
    sums |= {0, label.counts.false_positive + label.counts.false_negative, len(label.failures)}
    sums |= {200 - 91, len(data["collections"]), 2}  # left out without; collections; not read
    hours = {f"{5400 / 60:.1f}", f"{2 * 5400 / 60:.1f}", f"{2 * 5400 * 10 / 3.6e6:.3g}"}
    return {str(n) for n in sums} | hours


def test_every_number_comes_from_the_files(everything: tuple[str, Path]) -> None:
    card, root = everything
    files = [json.loads(path.read_text()) for path in root.glob("*.json")]
    known = {n for values in files for n in _numbers(values)} | _counts(root)
    known |= _in_text((root / "recipe.toml").read_text())
    for path in TEMPLATES.glob("*.md"):
        known |= _in_text(re.sub(r"\{[{%].*?[%}]\}", " ", path.read_text(), flags=re.DOTALL))
    known |= {n for item in (*CLAIM, *TRIPOD) for text in item for n in _in_text(text)}
    known |= _in_text("0.5 is a coin, 10 bins; 10 W; 0 is chance; 1 is right; 95 % RT-PCR")
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
        "| shenzhen: tuberculosis and normal, Shenzhen No. 3 People's Hospital | 140 | 70 |",
        "2020-03-04 to 2020-03-04 (6 films)",
        "17 pairs show one film: linked",
        " - view not wanted                                    -9 films",
        "- ours: 6 rows have no image",
        "| covid-19 | each source left out of training, together | 91 | 109 | 0.66 ",
        "Audit of covid-19: **fail**: Corners covered.",
        "| Corners covered | fail | 0.31 [0.25, 0.38] (n=77) | at most 0.05 | AUROC lost |",
        "| ours | 40 | lateral | 2 |",
        "| lateral | 54 | 0.963 |  |",
        "| ours, manual | 0.95 [0.94, 0.96] (n=84) |",
        "an estimate, not a measurement: 0.03 kWh over 90.0 min, from 180.0 core-minutes",
        "Of 7 epochs number 5 is kept by its auroc on val.",
        "epochs 7, learning_rate 0.013",
        "| covid-19 | 0.96 [0.10, 0.90] (n=200) | 0.66 [0.10, 0.90] (n=200) | 0.30 ",
        "Sets of covid-19 on test, nominal coverage 0.9:",
        "| all films | 80 | 40 | ",
        "| 33 | testing on external data | [Sources left out of training](#sources-left-out-",
        "NLM public use with acknowledgement",
    ],
)
def test_each_section_says_what_its_file_says(everything: tuple[str, Path], words: str) -> None:
    assert words in everything[0]


def test_failures_are_wrong_readings_with_their_ids(everything: tuple[str, Path]) -> None:
    card, root = everything
    label = Evaluation.load(root / "evaluation.json")["covid-19"]
    assert 0 < len(label.failures) <= 10
    margins = []
    for film in label.failures:
        assert (film.score >= 0.5) != (film.truth == 1)
        margins.append(abs(film.score - 0.5))
        truth = "present" if film.truth else "absent"
        assert f"| `{film.case_id}` | {film.source} | {truth} | {film.score:.4f} |" in card
    assert margins == sorted(margins, reverse=True)


def test_no_table_is_broken_and_nothing_is_nan(everything: tuple[str, Path]) -> None:
    card, _ = everything
    width = 0
    for line in card.splitlines():
        if line.startswith("|"):
            columns = len(re.findall(r"(?<!\\)\|", line))
            assert columns == (width or columns), line
            width = columns
        else:
            assert "|" not in line, line
            width = 0
    assert not re.search(r"\b(nan|None|NaN|inf)\b", card)


def test_every_item_of_both_checklists_stands_once_and_leads_to_a_section(
    everything: tuple[str, Path],
) -> None:
    card, _ = everything
    assert [item.number for item in CLAIM] == [str(n) for n in range(1, 45)]
    assert {int(re.sub("[a-z]", "", item.number)) for item in TRIPOD} == set(range(1, 28))
    assert len({item.number for item in TRIPOD}) == len(TRIPOD)
    headings = {slug(line[3:]) for line in card.splitlines() if line.startswith("## ")}
    for item in (*CLAIM, *TRIPOD):
        assert slug(item.section) in headings if item.section else item.note
    linked = set(re.findall(r"\]\(#([^)]+)\)", card))
    assert linked <= headings
    assert "not measured in this bundle: [Site calibration]" in card


def test_a_bundle_that_was_not_evaluated_says_what_is_not_measured(full_bundle: Path) -> None:
    for name in ("evaluation.json", "data.json", "lungs.json", "gate.json", "recipe.toml"):
        (full_bundle / name).unlink()
    card = model_card(Facts.read(full_bundle))
    assert "Not evaluated yet." in card
    assert "## At a glance\n\nNot measured." in card
    assert "Flow of films: not measured." in card
    assert "| 28 | metrics | not measured in this bundle: [Evaluation](#evaluation) |" in card
    assert "Not audited." in card
    assert "| 33 | testing on external data | not measured in this bundle:" in card


def test_a_bundle_with_nothing_but_a_manifest_has_a_card(small_bundle: Path) -> None:
    card = model_card(Facts.read(small_bundle))
    assert card.startswith("# blocks 0.0.1\n")
    assert "## Training\n\nNot recorded." in card


def test_the_default_bundle_has_a_card(tmp_path: Path) -> None:
    root = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "default")
    write_card(root)
    card = (root / "MODEL_CARD.md").read_text()
    evaluation = Evaluation.load(DEFAULT_BUNDLE / "evaluation.json")
    for label in evaluation.labels:
        assert str(label.metrics["auroc"]) in card
        assert f"{label.films} films of {label.patients} patients" in card
    assert not re.search(r"\b(nan|NaN|inf)\b", card)


def test_the_datasheet_reads_back(full_bundle: Path) -> None:
    data = Datasheet.read(full_bundle / "data.json")
    data.write(full_bundle / "again.json")
    assert (full_bundle / "again.json").read_bytes() == (full_bundle / "data.json").read_bytes()
