"""Words that the viewer makes of a reading by itself, beside those that the server makes."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import chain, combinations
from pathlib import Path

import pytest

from hilum.core.labels import Appearance
from hilum.core.reading import appearance_words
from hilum.core.words import words

VIEWER = Path(__file__).parents[3] / "viewer"
SAY = """
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
const { appearance } = await vite.ssrLoadModule("/src/core/words.ts");
const { speak } = await vite.ssrLoadModule("/src/core/i18n.ts");
const findings = JSON.parse(process.argv.at(-1));
const said = {};
for (const language of ["en", "ru"]) {
  speak(language);
  said[language] = findings.map(appearance);
}
console.log(JSON.stringify(said));
await vite.close();
"""


def test_an_appearance_is_said_in_the_same_words_by_viewer_and_server():
    """Every set of appearances, and none with each of them the likeliest, in both languages."""
    node = shutil.which("node")
    if node is None or not (VIEWER / "node_modules" / "vite").is_dir():
        pytest.skip("no vite: run npm ci in viewer/")
    sizes = range(len(Appearance) + 1)
    sets = list(chain.from_iterable(combinations(Appearance, size) for size in sizes))
    even = dict.fromkeys(Appearance, 0.2)
    cases = [(even, kept) for kept in sets] + [(even | {each: 0.4}, None) for each in Appearance]
    asked = [{"chances": chances, "prediction_set": kept} for chances, kept in cases]
    told = subprocess.run(
        [node, "--input-type=module", "-e", SAY, json.dumps(asked)],
        cwd=VIEWER, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {
        language: [appearance_words(*each, words(language)) for each in cases]
        for language in ("en", "ru")
    }
    assert len(sets) == 16
