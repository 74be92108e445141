"""Words that the viewer makes of a reading by itself, beside those that the server makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import chain, combinations
from pathlib import Path

import pytest

from hilum.core.labels import Appearance
from hilum.core.reading import appearance_words
from hilum.core.words import words

VIEWER = Path(__file__).parents[3] / "viewer"
VITE = """
import { createServer } from "vite";
globalThis.localStorage = { getItem: () => null, setItem() {} };
globalThis.document = { documentElement: {} };
globalThis.navigator ??= { language: "en" };
const vite = await createServer({
  configFile: false,
  logLevel: "error",
  appType: "custom",
  server: { middlewareMode: true, ws: false, hmr: false, watch: null },
  optimizeDeps: { noDiscovery: true, include: [] },
});
const { speak } = await vite.ssrLoadModule("/src/core/i18n.ts");
const { NAME } = await vite.ssrLoadModule("/src/core/FILE.ts");
const asked = JSON.parse(process.argv.at(-1));
const said = {};
for (const language of ["en", "ru"]) {
  speak(language);
  said[language] = asked.map((each) => NAME(each));
}
console.log(JSON.stringify(said));
await vite.close();
"""


def _said_by(name, file, asked):
    """Ask a function of the viewer in both languages."""
    node = shutil.which("node")
    there = node is not None and (VIEWER / "node_modules" / "vite").is_dir()
    if not there and "CI" not in os.environ:
        pytest.skip("no vite: run tools/viewer_build.sh --install")
    script = VITE.replace("NAME", name).replace("FILE", file)
    done = subprocess.run(
        [node, "--input-type=module", "-e", script, json.dumps(asked)],
        cwd=VIEWER, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_measured_values_in_sentences_of_the_server_have_the_decimal_sign_of_the_page():
    asked = [
        "no window, and only 3.4% of the stored range is used: little contrast",
        "1.2.840.10008 = 52.5 megapixels; the limit is 40",
        "made by 1.2.3",
    ]
    told = _said_by("told", "sentences", asked)
    assert told["en"] == asked
    assert told["ru"] == [
        "окно не задано, и занято лишь 3,4% диапазона значений: мало контраста",
        "1.2.840.10008 = 52,5 мегапикселей; предел 40",
        "made by 1.2.3",
    ]


def test_an_appearance_is_said_in_the_same_words_by_viewer_and_server():
    """Every set of appearances, and none with each of them the likeliest, in both languages."""
    sizes = range(len(Appearance) + 1)
    sets = list(chain.from_iterable(combinations(Appearance, size) for size in sizes))
    even = dict.fromkeys(Appearance, 0.2)
    cases = [(even, kept) for kept in sets] + [(even | {each: 0.4}, None) for each in Appearance]
    asked = [{"chances": chances, "prediction_set": kept} for chances, kept in cases]
    assert _said_by("appearance", "words", asked) == {
        language: [appearance_words(*each, words(language)) for each in cases]
        for language in ("en", "ru")
    }
    assert len(sets) == 16
