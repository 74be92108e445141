"""What the documentation says of the code is so, and the site can be read without a network."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hilum.apps.web.settings import Settings
from hilum.core import errors
from hilum.core.config import read_toml
from hilum.data.table import read_cases
from hilum.learn.recipe import Recipe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def _tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def _page(name):
    return (DOCS / name).read_text(encoding="utf-8")


def _blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["bundle", "cases-table", "errors", "recipe", "settings"])
def test_a_reference_page_says_what_the_code_says(name):
    page = _page(f"reference/{name}.md")
    tool = _tool("reference")
    assert tool.PLACE.search(page)
    assert tool.fill(page) == page, "run: python tools/reference.py docs/reference"


def test_every_setting_of_the_schema_has_its_row():
    """Counted by the JSON schema, which the page is not made from."""
    rows = set(re.findall(r"^\| `(\w+)` \|", _page("reference/settings.md"), re.MULTILINE))
    schema = Settings.model_json_schema()
    kinds = [schema, *(each for each in schema["$defs"].values() if "properties" in each)]
    assert rows == {name for each in kinds for name in each["properties"]}


def test_every_error_that_is_defined_has_its_row():
    rows = re.findall(r"^\| `(\w+)` \|", _page("reference/errors.md"), re.MULTILINE)
    defined = [
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.HilumError)
    ]
    assert sorted(rows) == sorted(defined)


def test_the_examples_of_settings_and_recipe_are_read(tmp_path):
    for number, (page, kind) in enumerate((("settings", Settings), ("recipe", Recipe))):
        path = tmp_path / f"{number}.toml"
        path.write_text(_blocks(_page(f"reference/{page}.md"), "toml")[0], encoding="utf-8")
        assert kind.load(path).model_dump(exclude_unset=True).keys() == read_toml(path).keys()


def test_the_example_of_a_cases_table_is_read(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text(_blocks(_page("reference/cases-table.md"), "csv")[0], encoding="utf-8")
    cases = read_cases(path)
    assert len(cases) == 3
    assert cases["covid-19"].isna().tolist() == [False, False, True]


def test_the_example_of_an_error_is_what_is_said():
    with pytest.raises(errors.ConfigError) as caught:
        Recipe.load(ROOT / "recipes" / "quick.toml", ["fit.epocs=2"])
    where = caught.value.message.replace(f"{ROOT}/", "")
    said = f"error: {where}\n  hint: {caught.value.hint}\n"
    assert said in _blocks(_page("reference/errors.md"), "text")


def test_numbers_of_the_readme_are_those_of_their_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|.*\d\.\d\d \[.*$", readme, re.MULTILINE)
    page = _page("explanation/numbers.md")
    assert rows
    assert [row for row in rows if row not in page] == []


def test_what_the_light_install_weighs_is_what_was_measured():
    page = _page("how-to/install.md")
    for name in ("install", "install-parts"):
        with (DOCS / "results" / f"{name}.csv").open(encoding="utf-8") as file:
            for row in list(csv.reader(file))[1:]:
                assert re.search(
                    r"^\| " + re.escape(" | ".join(row)) + r" \|", page, re.MULTILINE
                ), row


_ESTIMATE = re.compile(r"(-?\d+(?:\.\d+)?) ?%? \[(-?\d+(?:\.\d+)?), (-?\d+(?:\.\d+)?)\]")
MEASURED = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
    if _ESTIMATE.search(path.read_text(encoding="utf-8"))
]
"""Every page with an estimate and its interval, but for the model card."""


@pytest.fixture(scope="module")
def measured():
    """(n, 3) value, low and high of every estimate of the committed tables and bundle's records."""
    triples = []
    for path in sorted((DOCS / "results").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                triples += _estimates(row)
    bundle = ROOT / "src" / "hilum" / "serve" / "default"
    records = [
        bundle / f"{name}.json" for name in ("audit", "bundle", "evaluation", "out-of-source")
    ]
    for record in [*records, ROOT / "recipes" / "teacher" / "lungs.json"]:
        json.loads(
            record.read_text(encoding="utf-8"),
            object_hook=lambda each: triples.append(_estimate(each)) or each,
        )
    return np.array([each for each in triples if each[1] <= each[0] <= each[2]])


def _estimates(row):
    """Of a table's row: every x beside x_low and x_high, and what stands before low and high."""
    names = list(row)
    for at, low in enumerate(names):
        if low == "low" or low.endswith("_low"):
            value = low.removesuffix("_low") if low != "low" else names[at - 1]
            found = [row[name] for name in (value, low, low.removesuffix("low") + "high")]
            if all(found):
                yield [float(each) for each in found]


def _estimate(found):
    numbers = [found.get(name) for name in ("value", "low", "high")]
    return numbers if None not in numbers else (0, 1, 0)


@pytest.mark.parametrize("page", MEASURED)
def test_an_estimate_with_its_interval_stands_in_a_committed_table(page, measured):
    unknown = []
    for found in _ESTIMATE.finditer((ROOT / page).read_text(encoding="utf-8")):
        stated = np.array([float(word) for word in found.groups()])
        slack = np.array([0.5001 * 10.0 ** -len(word.partition(".")[2]) for word in found.groups()])
        scales = (1, 100) if abs(stated).max() > 1 else (1,)
        if not any((abs(s * measured - stated) <= slack).all(axis=1).any() for s in scales):
            unknown.append(found[0])
    assert unknown == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site as scripts/docs does."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


def test_the_site_asks_nobody_and_its_search_finds(site, chromium_path):
    """Opened from the folder, as in a hospital without a network."""
    asked, broken = set(), []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium_path, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.add(request.url.partition(":")[0]))
        page.on("pageerror", lambda error: broken.append(str(error)))
        for words, found in (
            ("VOI LUT", "formats.html"),
            ("operating point", "probability.html"),
            ("BundleIntegrityError", "errors.html"),
        ):
            page.goto((site / "index.html").as_uri())
            page.click(".md-search__input")
            page.keyboard.type(words)
            page.locator(f".md-search-result__item a[href*='{found}']").first.wait_for()
        for name in ("index", "tutorials/read-your-films", "reference/python-objects"):
            page.goto((site / f"{name}.html").as_uri())
        browser.close()
    assert asked <= {"file", "data", "blob"}
    assert broken == []
