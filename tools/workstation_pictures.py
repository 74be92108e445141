"""Take pictures of every page of the workstation, at four sizes of a screen, light and dark.

    python tools/workstation_pictures.py pictures                    all
    python tools/workstation_pictures.py pictures --pages film lists --sizes 360x640 --themes dark

"hilum serve --demo" runs in a process of its own, with the built-in bundle and virtual films. Three
readers have read a blind list of them, one film has a report. Needs the extra 'dev' and Chromium.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from pathlib import Path
from typing import Any

SIZES = ("1366x768", "3840x2160", "820x1180", "360x640")
SEEN = {
    "worklist": "", "lists": "lists", "agreement": "agreement", "monitoring": "monitoring",
    "calibration": "calibration", "users": "users", "log": "log", "trash": "trash",
    "nowhere": "nowhere",
}  # fmt: skip
ROOM = ("film", "refused", "verdicts", "report", "facts", "beside", "help", "reader-study")
PAGES = (*SEEN, "list", *ROOM, "sign-in", "empty")
READERS = ("anna", "boris", "clara")
PASSWORD = "correct horse battery"
_SERVING = Path(__file__).parents[1] / "tests" / "apps" / "web" / "serving.py"


def main() -> None:
    """Write ``PAGE-SIZE-THEME.png`` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=PAGES)
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--themes", nargs="+", default=("light", "dark"))
    parser.add_argument("--language", default="en")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    spec = importlib.util.spec_from_file_location("serving", _SERVING)
    assert spec is not None
    assert spec.loader is not None
    serving = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(serving)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        browser = engine.chromium.launch(args=["--no-sandbox"], executable_path="/usr/bin/chromium")
        for demo in (True, False):
            data = Path(folder) / ("demo" if demo else "empty")
            token = serving.make_token(data)
            served = serving.Served(data, None, None, *(["--demo"] if demo else []))
            served.start()
            try:
                with served.client(token) as client:
                    made = _day(client) if demo else _people(client)
                pages = [each for each in options.pages if (each != "empty") is demo]
                _take(browser, served.base, made, pages, options)
            finally:
                served.stop()
        browser.close()


def _people(client: Any) -> dict[str, str]:
    """Somebody who administrates, and three who read; returns the id of each."""
    roles = {"ada": "administrator"} | dict.fromkeys(READERS, "reviewer")
    made = {}
    for name, role in roles.items():
        body = {"name": name, "role": role, "password": PASSWORD}
        made[name] = client.post("/users", json=body).raise_for_status().json()["user_id"]
    return made


def _day(client: Any) -> dict[str, str]:
    """What a day leaves: films by what they show, a list that was read, a report, people."""
    while (counts := client.get("/studies").json()["counts"])["queued"] + counts["reading"]:
        time.sleep(0.5)
    people = _people(client)
    studies = client.get("/studies?limit=50").json()["items"]
    read = [each for each in studies if each["status"] == "read"]
    films = {"film": read[0], "refused": next(e for e in studies if e["status"] == "refused")}
    ids = [each["film_id"] for each in read]
    for number, film_id in enumerate(ids):
        known = {"finding": "covid-19", "value": number % 2, "standard": "RT-PCR"}
        client.put(f"/films/{film_id}/reference", json=known).raise_for_status()
    body = {
        "name": "Spring, residents", "film_ids": ids, "findings": ["covid-19"], "blind": True,
        "confidence": True, "readers": [people[each] for each in READERS],
    }  # fmt: skip
    listed = client.post("/lists", json=body).raise_for_status().json()["list_id"]
    for row, name in enumerate(READERS):
        token = client.post("/tokens", json={"user_id": people[name], "name": "pictures"}).json()
        mine = {"Authorization": f"Bearer {token['token']}"}
        for number, film_id in enumerate(ids[: len(ids) - row]):
            sure = (20, 75, 45)[(number + row) % 3] if row else (10, 90)[number % 2]
            said = {
                "finding": "covid-19", "verdict": "present" if sure > 50 else "absent",
                "confidence": sure, "list_id": listed, "blind": True, "seconds": 9.5 + row,
            }  # fmt: skip
            answer = client.post(f"/films/{film_id}/verdicts", json=said, headers=mine)
            answer.raise_for_status()
    film = films["film"]["film_id"]
    text = "Patchy opacity in the left lower zone."
    said = {"finding": "covid-19", "verdict": "present", "text": text}
    client.post(f"/films/{film}/verdicts", json=said).raise_for_status()
    draft = client.get(f"/films/{film}/reports/draft").raise_for_status().json()
    client.post(f"/films/{film}/reports", json=draft).raise_for_status()
    again = body | {"name": "Autumn, residents", "readers": [people["anna"]]}
    owed = client.post("/lists", json=again | {"film_ids": ids[:3]}).raise_for_status().json()
    return {name: each["film_id"] for name, each in films.items()} | {
        "list": listed, "owed": owed["list_id"], "first": owed["order"][0]["film_id"]
    }  # fmt: skip


def _take(browser: Any, base: str, made: dict[str, str], pages: list[str], options: Any) -> None:
    for theme in options.themes:
        for size in options.sizes:
            width, height = map(int, size.split("x"))
            context = browser.new_context(viewport={"width": width, "height": height})
            chosen = f"localStorage['hilum-theme']='{theme}';"
            chosen += f"localStorage['hilum-language']='{options.language}';"
            context.add_init_script(chosen)
            page = context.new_page()
            page.set_default_timeout(120_000)
            page.goto(base)
            for each in sorted(pages, key=lambda one: one != "sign-in"):  # before somebody is in
                out = options.out / f"{each}-{size}-{theme}.png"
                if each != "sign-in":
                    _show(page, base, each, made)
                _settle(page)
                page.screenshot(path=str(out))
                print(out, flush=True)
            context.close()


def _show(page: Any, base: str, what: str, made: dict[str, str]) -> None:
    """Bring a page to where a person would look at it."""
    name = "anna" if what == "reader-study" else "ada"
    who = page.request.get(f"{base}/api/v1/me")
    if not who.ok or who.json()["name"] != name:
        headers = {"Origin": base}
        body = {"name": name, "password": PASSWORD}
        assert page.request.post(f"{base}/api/v1/login", data=body, headers=headers).ok
    where = SEEN.get(what, "")
    if what == "list":
        where = f"lists/{made['list']}"
    elif what == "reader-study":
        where = f"film/{made['first']}?list={made['owed']}"
    elif what in ROOM:
        where = f"film/{made.get(what, made['film'])}"
    page.goto("about:blank")
    page.goto(f"{base}/?cpu#/{where}")
    page.locator("main h1").first.wait_for(state="attached")
    if what in ROOM:
        page.locator(".corners").first.wait_for(state="attached")
        page.locator(".headline").first.wait_for()
    tabs = {"verdicts": "Verdicts", "report": "Report", "facts": "Film"}
    if what in tabs:
        page.locator(f"#tab-{what}").click()
    elif what == "help":
        page.keyboard.press("?")
    elif what == "beside":
        page.locator(".strip-film").first.click()


def _settle(page: Any) -> None:
    page.wait_for_function("() => !document.querySelector('.loading')")
    page.wait_for_timeout(700)


if __name__ == "__main__":
    main()
