"""Time the workstation's pages in Chromium, as somebody who opens them meets them.

    python benchmarks/browser.py              ten times each, every time with an empty cache
    python benchmarks/browser.py --runs 3

Needs the extra 'dev' (playwright) and a Chromium at /usr/bin/chromium. "hilum serve --demo" runs in
a process of its own and has read its films before the first page is opened. The worklist counts as
usable when a key that is pressed at the sight of the first rows has moved the choice and that is on
the screen; a film two frames after the viewer has asked for its first picture, and so does the next
film of a round after its key: DICOM of 8 MB, fetched and drawn ahead while the one before was seen.
Chromium runs as on a computer without a graphics card, where the viewer draws on the processor;
once more with a WebGL that is software, which the viewer must be told to use ("?webgl").
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import serve

CHROMIUM = "/usr/bin/chromium"
ARGS = ("--no-sandbox", "--disable-background-networking")
SCREENS = {
    "no graphics card": ("", "--disable-gpu"),
    "software WebGL": ("?webgl", "--use-angle=swiftshader"),
}
"""What draws -> what the viewer is told, and what Chromium is."""
WATCH = """(() => {
  const frames = (then) => requestAnimationFrame(() => requestAnimationFrame(then));
  const each = () => {
    const row = document.querySelector(".studies tbody tr");
    if (row && !window.pressed) {
      window.pressed = true;
      document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "j", bubbles: true }));
    }
    const second = document.querySelector(".studies tbody tr:nth-child(2).chosen");
    if (second && !window.usable) frames(() => (window.usable ??= performance.now()));
    const drawn = document.querySelector(".corners");
    if (drawn && !window.drawn) frames(() => (window.drawn ??= performance.now()));
    requestAnimationFrame(each);
  };
  requestAnimationFrame(each);
  addEventListener("keydown", () => {
    const before = document.querySelector(".corners");
    const began = performance.now();
    window.stepped = null;
    const next = () => {
      const now = document.querySelector(".corners");
      if (now && now !== before) frames(() => (window.stepped ??= performance.now() - began));
      else requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }, true);
  addEventListener("click", () => (window.clicked = performance.now()), true);
})();"""


def main() -> None:
    """Print one row for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{platform.machine()}, load {load}\n\n| figure | aim | measured |\n|---|---|---|")
    with (
        tempfile.TemporaryDirectory() as folder,
        demo(Path(folder)) as link,
        sync_playwright() as engine,
    ):
        state = None
        for name, (query, drawing) in SCREENS.items():
            browser = engine.chromium.launch(executable_path=CHROMIUM, args=[*ARGS, drawing])
            state = state or signed_in(browser, link)
            address = link.split("/open")[0] + "/" + query
            found = [one(browser, state, address) for _ in range(options.runs)]
            usable, drawn = zip(*found, strict=True)
            if not query:
                print(f"| address opened to worklist usable | 2 s | {spread(usable)} |")
            print(f"| film's link clicked to film drawn, {name} | 2 s | {spread(drawn)} |")
            times = through(browser, Path(folder) / f"day{query[1:]}", query, options.runs)
            p95 = f"p95 {np.percentile(times, 95) / 1000:.3f} s"
            print(f"| key to the next film drawn, {name} | 0.15 s p95 | {p95}, {spread(times)} |")
            browser.close()


def one(browser, state, address):
    """Open the worklist with an empty cache, then a film; both in milliseconds."""
    context = browser.new_context(storage_state=state, viewport={"width": 1366, "height": 768})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_function("() => window.usable", timeout=120_000)
    page.locator(".studies").get_by_role("link", name="frontal.dcm").click()
    page.wait_for_function("() => window.drawn", timeout=120_000)
    usable, drawn = page.evaluate("[window.usable, window.drawn - window.clicked]")
    context.close()
    return usable, drawn


def through(browser, data, query, steps):
    """Read through films of 8 MB that were drawn ahead; milliseconds from key to drawn."""
    times = []
    with serve.Running(data) as served, served.client(served.token) as client:
        for number in range(steps + 1):
            serve._wait(client, serve._send(client, serve._film(number)), every_s=0.2)
        context = browser.new_context(viewport={"width": 1366, "height": 768})
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(served.link)
        page.locator(".studies tbody tr").first.wait_for()
        page.goto(f"{served.base}/{query}")
        page.locator(".studies a").first.click()
        for _ in range(steps):
            page.locator(".verdict.keys").wait_for()
            time.sleep(2)  # somebody looks at the film
            page.keyboard.press("j")
            page.wait_for_function("() => window.stepped")
            times.append(page.evaluate("window.stepped"))
        context.close()
    return times


def signed_in(browser, link):
    """Use the link that works once; wait until every film was read; return the session."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(link)
    waiting = page.locator(".studies").locator(".status-queued, .status-reading")
    page.locator(".studies .status-read").first.wait_for(timeout=120_000)
    while waiting.count():
        time.sleep(0.5)
    state = context.storage_state()
    context.close()
    return state


def spread(times):
    """Median, and the fastest to the slowest."""
    low, middle, high = (each / 1000 for each in (min(times), statistics.median(times), max(times)))
    return f"median {middle:.2f} s ({low:.2f} to {high:.2f}, n = {len(times)})"


@contextmanager
def demo(folder):
    """Run ``hilum serve --demo`` in a folder; gives its link."""
    log = folder / "log"
    command = [
        sys.executable,
        "-m",
        "hilum",
        "serve",
        "--demo",
        "--home",
        str(folder),
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(
            [*command, "--port", "0"], stdout=out, stderr=out, start_new_session=True
        )
    try:
        while "serves at" not in log.read_text():
            if server.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        link = [sys.executable, "-m", "hilum", "user", "link", "--home", str(folder)]
        yield subprocess.run(link, check=True, capture_output=True, text=True).stdout.strip()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


if __name__ == "__main__":
    main()
