"""What the documentation says of the code is so, and the site can be read without a network."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
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
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
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
_NO_TABLE = {
    "explanation/feature-space.md": {"0.64 [0.55, 0.69]"},
    "explanation/opacities.md": {"0.22 [0.01, 0.44]"},
}
"""Estimates whose run was not kept: they stand in no committed table."""


@pytest.fixture(scope="module")
def measured():
    """Every number of the committed tables and of the bundle's records, a row a line or object."""
    rows = []
    for path in sorted((DOCS / "results").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            lines = [re.findall(r"-?\d+(?:\.\d+)?", " ".join(row)) for row in csv.reader(file)]
        rows += [[float(number) for number in line] for line in lines]
    bundle = ROOT / "src" / "hilum" / "serve" / "default"
    for name in ("audit", "bundle", "evaluation", "out-of-source"):
        json.loads(
            (bundle / f"{name}.json").read_text(encoding="utf-8"),
            object_hook=lambda each: rows.append(_numbers(each)) or each,
        )
    width = max(map(len, rows))
    return np.array([row + [np.nan] * (width - len(row)) for row in rows])


def _numbers(found):
    return [each for each in found.values() if type(each) in (int, float)]


@pytest.mark.parametrize(
    "page",
    [f"explanation/{name}.md" for name in ("boxes", "maps", "numbers", "opacities", "shortcuts")]
    + ["explanation/feature-space.md", "../README.md"],
)
def test_an_estimate_with_its_interval_stands_in_a_committed_table(page, measured):
    unknown = []
    for found in _ESTIMATE.finditer(_page(page)):
        here = np.ones((2, len(measured)), bool)  # as it is, and in hundredths
        for word in found.groups():
            slack = 0.5001 * 10.0 ** -len(word.partition(".")[2])
            for scale, rows in zip((1, 100), here, strict=True):
                rows &= (abs(abs(scale * measured) - abs(float(word))) <= slack).any(axis=1)
        if not here.any():
            unknown.append(found[0])
    assert set(unknown) <= _NO_TABLE.get(page, set())


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


def test_the_site_asks_nobody_and_its_search_finds(site):
    """Opened from the folder, as in a hospital without a network."""
    if CHROMIUM is None and "CI" not in os.environ:
        pytest.skip("no chromium on this machine: apt install chromium")
    asked, broken = set(), []
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
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
