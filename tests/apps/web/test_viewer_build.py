"""The viewer's committed build and its catalogue of words, looked at without a browser."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

from hilum.core.words import Language, words

ROOT = Path(__file__).parents[3]
STATIC = ROOT / "src" / "hilum" / "apps" / "web" / "static"
SOURCES = ROOT / "viewer" / "src"
TEXT = SOURCES / "text"
MEGABYTE = 1_000_000
GROUPS = {"fact", "measure", "point-name", "preset", "problem"}
"""Texts that are looked up by a name which the server gives."""


CYRILLIC = "[\u0400-\u04ff]"


def catalogue(language: Language) -> dict[str, str]:
    """The pages' own words; those of a reading stand in ``core/text``."""
    found: dict[str, str] = json.loads((TEXT / f"{language}.json").read_text(encoding="utf-8"))
    return found


def test_a_phrase_is_written_once() -> None:
    """What a reading says stands in one catalogue, and no page words it for itself."""
    languages: tuple[Language, ...] = ("en", "ru")
    both = {each: (catalogue(each), words(each)) for each in languages}
    assert not both["en"][0].keys() & both["en"][1].keys()
    pages, readings = (
        {tuple(both[each][which][key].casefold().strip(" .:") for each in languages): key
         for key in both["en"][which]}
        for which in (0, 1)
    )  # fmt: skip
    again = {pages[each] for each in pages.keys() & readings.keys()}
    # a page that is not there, and a lung; a state of a film in the list, and of its reading
    assert again <= {"problem.not-found", "status.error"}


def test_both_languages_say_the_same_things() -> None:
    english, russian = catalogue("en"), catalogue("ru")
    assert list(english) == list(russian)
    for key, text in english.items():
        assert text.strip(), key
        assert russian[key].strip(), key
        holes = re.findall(r"\{\w+\}", text)
        assert sorted(re.findall(r"\{\w+\}", russian[key])) == sorted(holes), key


def test_russian_is_russian() -> None:
    same = {"scale.brixia", "label.covid-19"}
    for key, text in (words("ru") | catalogue("ru")).items():
        said = re.sub(r"\{\w+\}", "", text)  # what is no more than a hole needs no word
        assert re.search(CYRILLIC, said) or key in same or not re.search(r"\w\w", said), key


def test_every_text_of_the_pages_is_in_the_catalogue_and_used() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.ts*")))
    known = set(catalogue("en"))
    asked = set(re.findall(r'\bt\(\s*"([\w.-]+)"', source))
    assert asked <= known | words().keys(), asked - known
    # a key is written out, or made of a beginning that is: t(`status.${status}`)
    made = set(re.findall(r"`([\w-]+(?:\.[\w-]+)*\.)\$\{", source))
    unused = {
        key
        for key in known
        if f'"{key}"' not in source
        and key.split(".")[0] not in GROUPS
        and not any(key.startswith(beginning) for beginning in made)
    }
    assert not unused


def test_every_refusal_and_label_has_a_text() -> None:
    from hilum.core.labels import Label
    from hilum.core.refusal import Reason

    known = words()
    for reason in Reason:
        assert known[f"refusal.{reason.value}"] == reason.meaning
        assert known[f"refusal-hint.{reason.value}"] in reason.hint
    assert all(f"label.{label.value}" in known for label in Label)


def test_the_notice_is_that_of_a_reading() -> None:
    from hilum.core.reading import RESEARCH_USE

    assert words()["notice"] == RESEARCH_USE


def test_the_build_is_small_whole_and_self_hosted() -> None:
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "an inline script"
    assert "<style" not in page
    assert " style=" not in page
    named = re.findall(r'(?:src|href)="\./([^"]+)"', page)
    assert named
    assert all((STATIC / name).is_file() for name in named)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    first = sum(len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in named)
    everything = sum(
        len(gzip.compress(path.read_bytes(), 9)) for path in STATIC.rglob("*") if path.is_file()
    )
    assert first < 0.1 * MEGABYTE  # the worklist
    assert everything < 1.5 * MEGABYTE  # with the viewer
    assert not list(STATIC.rglob("*.map"))


def test_the_build_needs_no_eval() -> None:
    for script in STATIC.rglob("*.js"):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"\bnew Function\(|[^.\w]eval\(", text), script.name
        assert "sourceMappingURL" not in text
