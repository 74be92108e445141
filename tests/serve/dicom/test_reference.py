"""The reference of the objects in the docs says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from hilum.core.reading import Reading
from hilum.serve.dicom import KINDS, objects_of
from hilum.serve.dicom.codes import APPEARANCES, OWN
from hilum.serve.dicom.common import SERIES, Form
from hilum.serve.dicom.gsps import LAYERS
from hilum.serve.dicom.source import COPIED
from hilum.serve.dicom.sr import MOST_POINTS

PAGE = (Path(__file__).parents[3] / "docs/reference/dicom.md").read_text(encoding="utf-8")


def _rows(title: str) -> list[list[str]]:
    section = re.search(rf"^##+ {title}\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE)[1]
    found = re.findall(r"^\| `(.*) \|$", section, re.MULTILINE)
    return [[cell.strip(" `") for cell in row.split("|")] for row in found]


def test_kinds(cases):
    rows = [
        [kind, said.split()[-1], modality, int(number)]
        for kind, said, modality, number, _ in _rows("Kinds")
    ]
    made = cases["demo"].made
    assert rows == [
        [kind, sop_class, made[kind].Modality, SERIES[kind]] for kind, sop_class in KINDS.items()
    ]


def test_what_is_copied():
    listed = re.search(r"<!-- copied -->\n(.*?)<!-- /copied -->", PAGE, re.DOTALL)[1]
    assert [each.strip() for each in listed.split(",")] == list(COPIED)


def test_concepts():
    assert _rows("Concepts of 99HILUM") == [[code.value, code.meaning] for code in OWN.values()]


def test_layers():
    assert _rows("GSPS") == [list(each) for each in LAYERS.items()]


def test_groups_and_limits(cases, reader, say_looks):
    section = PAGE.split("## SR\n")[1].split("### Concepts")[0]
    named = set(re.findall(r"`([a-z-]+)`", section))
    demo = cases["demo"]
    told = say_looks(Reading.model_validate(demo.reading), "typical").model_dump(mode="json")
    ((_, looks, _),) = objects_of(told, demo.path, ["sr"], bundle=reader.bundle)
    used = {
        code
        for made in (looks, *(case.made["sr"] for case in cases.values()))
        for code in re.findall(r"'([a-z-]+)'", str(made))
        if code in OWN
    }
    severity = {each for each in OWN if re.match("extent|opacity|brixia", each)}
    answers = {"cannot-say", "none", "no-appearance"} | {
        each.value for each in APPEARANCES.values()
    }
    assert used - severity - answers == (named & set(OWN)) - severity - answers
    assert f"at most {MOST_POINTS} points" in section
    assert f"at most {Form().regions} |" in section
