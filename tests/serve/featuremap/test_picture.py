from __future__ import annotations

import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest

from hilum.image.write import jpeg
from hilum.judge.featuremap import MapMeasure
from hilum.judge.schema import NotRead
from hilum.serve.featuremap.picture import data_of, page, write_page, write_picture
from hilum.serve.featuremap.run import MARKS, OTHER, FeatureMap, MapFacts, colorings


def make_map(films=40, pictures=True):
    """A map of films that were never taken; film 3 has a name that tries to leave its element."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "case_id": [f"made/{i}" for i in range(films)],
            "truth": [float(i % 2) if i % 10 else np.nan for i in range(films)],
            "score": generator.random(films),
            "cohort": ["east" if i % 3 else "west" for i in range(films)],
            "source": [f"site {i % 12}" for i in range(films)],
            "view": ["PA" if i % 4 else "" for i in range(films)],
            "sex": "",
            "split": "test",
            "reference_standard": "RT-PCR",
            "finding": "",
        }
    )
    table.loc[3, "case_id"] = "made/</script><b>&3"
    table["present"] = table["score"] > 0.5
    small = jpeg(np.full((32, 25), 0.5, np.float32), 70)
    estimate = {"value": 0.9, "low": 0.8, "high": 0.95, "n": films}
    facts = MapFacts(
        label="covid-19",
        operating_point="balanced",
        threshold=0.5,
        method="t-SNE",
        seed=0,
        films=films,
        patients=films,
        trained=2,
        cases="made.csv",
        split="test",
        command="hilum map",
        created="2026-11-22",
        bundle="made 0 (12345678)",
        checksum="12345678",
        hilum="0",
        measured=(
            MapMeasure(space="t-SNE", what="trustworthiness", how="15 neighbors", where="all films",
                     value=estimate, patients=0),
            MapMeasure(space="t-SNE", what="source", how="vote", where="all films",
                     value=estimate, patients=films, chance=0.5),
        ),
        not_read=(NotRead(case_id="made/x", status="refused", reason="a lateral film"),),
    )  # fmt: skip
    return FeatureMap(
        facts,
        generator.uniform(-1, 1, (films, 2)),
        table,
        colorings(table, "covid-19", "'balanced'"),
        (small,) * films if pictures else (),
    )


def test_groups_count_every_film_once_and_no_two_look_alike():
    found = make_map()
    for coloring in found.colorings:
        assert sum(group.films for group in coloring.groups) == 40
        assert np.bincount(coloring.of).tolist() == [group.films for group in coloring.groups]
        looks = [(group.color, group.mark) for group in coloring.groups]
        assert len(set(looks)) == len(looks)
    keys = [coloring.key for coloring in found.colorings]
    assert keys == ["standard", "right", "cohort", "source", "view", "split"]  # no sex is known


def test_right_and_wrong_are_those_of_the_operating_point():
    found = make_map()
    (right,) = [coloring for coloring in found.colorings if coloring.key == "right"]
    of = {group.name: place for place, group in enumerate(right.groups)}
    for i, row in found.table.iterrows():
        name = right.groups[right.of[i]].name
        if np.isnan(row["truth"]):
            assert name == "unknown"
        else:
            assert name.startswith("right") == (bool(row["truth"]) == row["present"])
    assert len(of) == 5
    marks = {group.mark for group in right.groups if group.name != "unknown"}
    assert len(marks) == 4  # told apart without color


def test_rare_sources_are_others():
    (source,) = [coloring for coloring in make_map().colorings if coloring.key == "source"]
    assert len(source.groups) == len(MARKS) + 1
    assert source.groups[-1].name == f"{OTHER} (5)"


def test_the_page_is_one_file_that_names_no_host():
    text = page(make_map())
    assert not re.search(r"https?://|@import|url\(|<link|src=\"(?!data:)", text)
    assert "default-src 'none'" in text
    assert "Research use only" in text
    assert "small picture of every film" in text
    assert "made 0 (12345678)" in text
    assert "a lateral film" in text
    assert "0.90 [0.80, 0.95]" in text
    assert "the weights have seen 2 of them" in text


def test_a_name_cannot_leave_the_data():
    text = page(make_map())
    (data,) = re.findall(r'id="data">(.*?)</script>', text, re.S)
    assert json.loads(data)["case_id"][3] == "made/</script><b>&3"
    assert "<b>&3" not in text


def test_without_pictures_there_are_none():
    found = make_map(pictures=False)
    assert data_of(found)["pictures"] == []
    assert "small picture of every film" not in page(found)


def test_a_page_of_three_thousand_films_stays_small():
    found = make_map(3000)
    generator = np.random.default_rng(0)
    film = np.cumsum(generator.normal(0, 0.05, (64, 64)), axis=0).astype(np.float32)
    pictures = tuple(jpeg(np.clip(film + 0.5, 0, 1), 64) for _ in range(3000))
    assert len(page(FeatureMap(found.facts, found.points, found.table, found.colorings, pictures)))\
        < 8_000_000  # fmt: skip


def test_the_picture_is_a_png(tmp_path):
    write_picture(make_map(), tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture
def browse(tmp_path, chromium_path):
    """Open a page in Chromium and return what its document became."""

    def call(found, fragment="", script=""):
        path = tmp_path / "map.html"
        write_page(found, path)
        if script:  # a hand on mouse and keyboard; the page's own policy would not let it in
            text = re.sub(r"<meta http-equiv[^>]*>", "", path.read_text(encoding="utf-8"))
            path.write_text(text.replace("</body>", f"<script>{script}</script></body>"))
        command = [
            chromium_path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={tmp_path / 'browser'}", "--window-size=1366,768",
            "--virtual-time-budget=3000", "--dump-dom", f"{path.as_uri()}#{fragment}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return re.sub(r'id="data">.*?</script>', "", done.stdout, flags=re.S)

    return call


def test_the_address_pins_a_film_and_chooses_a_coloring(browse):
    seen = browse(make_map(), "color=cohort&case=made/7&case=made/%3C/script%3E%3Cb%3E%263")
    assert len(re.findall('class="pin"', seen)) == 2
    assert "1. made/7" in seen
    assert "2. made/&lt;/script&gt;" in seen
    assert 'src="data:image/jpeg;base64,' in seen
    legend = re.search(r'id="legend">(.*?)</aside>', seen, re.S)[1]
    assert re.findall(r"<span>(east|west)</span><span>(\d+)", legend) == [
        ("east", "26"),
        ("west", "14"),
    ]


def test_hover_click_keys_search_and_switch(browse):
    script = """
    const out = {}, map = document.getElementById("map"), tip = document.getElementById("tip");
    const data = JSON.parse(document.getElementById("data").textContent);
    const half = (values) => Math.max(...values.map(Math.abs));
    const unit = 0.46 * Math.min(map.clientWidth / half(data.x), map.clientHeight / half(data.y));
    const box = map.getBoundingClientRect();
    const send = (kind, i, more = {}) => map.dispatchEvent(new PointerEvent(kind, {
      clientX: box.left + map.clientWidth / 2 + data.x[i] * unit,
      clientY: box.top + map.clientHeight / 2 - data.y[i] * unit, ...more }));
    map.setPointerCapture = () => {};
    send("pointermove", 5);
    out.hover = tip.hidden ? "" : tip.querySelector("b").textContent;
    send("pointerdown", 5); send("pointerup", 5);
    out.pinned = document.querySelectorAll(".pin").length;
    out.hash = location.hash;
    const inward = data.x[5] > 0 ? "ArrowLeft" : "ArrowRight";
    map.dispatchEvent(new KeyboardEvent("keydown", { key: inward }));
    out.moved = tip.querySelector("b").textContent;
    out.said = document.getElementById("status").textContent;
    const color = document.getElementById("color");
    color.value = "1"; color.dispatchEvent(new Event("change"));
    const buttons = document.querySelectorAll("#legend button");
    out.groups = buttons.length;
    buttons[0].click();
    out.pressed = buttons[0].getAttribute("aria-pressed");
    const search = document.getElementById("search");
    search.value = "made/1"; search.dispatchEvent(new Event("input"));
    out.found = document.getElementById("found").textContent;
    document.title = JSON.stringify(out);
    """
    seen = browse(make_map(), script=script)
    out = json.loads(re.search(r"<title>(.*?)</title>", seen, re.S)[1].replace("&amp;", "&"))
    assert out["hover"] == "made/5"
    assert out["pinned"] == 1
    assert "case=made%2F5" in out["hash"]
    assert out["moved"] != "made/5"
    assert out["said"].startswith(out["moved"])
    assert out["groups"] == 5
    assert out["pressed"] == "false"
    assert out["found"] == "11 of 40 films"
