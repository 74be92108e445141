"""Browser tests: Debian's Chromium, driven by Playwright, against the viewer's committed build.

The server is the real one. Most tests run on copies of one day of its work, read by a stub: a
reader that says of each film what a test wants to see, and of a phantom where. `test_server.py`
runs `hilum serve` itself. Only loopback is ever asked: any other address fails the test.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest
import uvicorn
from sqlalchemy import delete

from hilum.apps.store.people import Role, add_person, begin_visit, local_person
from hilum.apps.store.tables import Job
from hilum.apps.web.app import create_app
from hilum.apps.web.orders import Orders
from hilum.apps.web.serve import Place, make_service
from hilum.apps.web.service import Service
from hilum.apps.web.settings import Settings
from hilum.apps.web.upload import Intake, Part
from hilum.apps.web.worker import Worker
from hilum.bundle.folder import open_bundle

from . import world

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

T = TypeVar("T")

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu-sandbox",
    "--disable-gpu-compositing",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
PASSWORD = "correct horse"
SCREEN = {"width": 1366, "height": 768}
PATIENCE_MS = 45_000
"""A busy machine with two cores draws slowly; a browser that hangs still ends the test."""
playwright.expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="package")  # another test of this process may start a browser of its own
def chromium(chromium_path: str) -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield browser
        browser.close()


def beside(name: str) -> ModuleType:
    """A test module of the folder above, for what it has of its own."""
    spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), HERE.parent / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Served:
    """An ASGI application on a free port of loopback, in a thread."""

    def __init__(self, app: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> Served:
        self._thread.start()
        deadline = time.monotonic() + 60
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()


@cache
def _kinds() -> dict[str, str]:
    """The digest of each film of the world -> its name."""
    films = world.films().items()
    return {hashlib.sha256(content).hexdigest(): name for name, (content, _) in films}


@contextmanager
def _stub() -> Iterator[None]:
    """Let workers read with the stub, and only as long as a test of the browser needs it."""
    with pytest.MonkeyPatch.context() as patch:
        stub = lambda root, **_: world.StubReader(open_bundle(root), _kinds())  # noqa: E731
        patch.setattr("hilum.apps.web.worker.load_bundle", stub)
        yield


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data: three people, and films of which all but the last were read by the stub."""
    data, sent = tmp_path_factory.mktemp("day") / "data", world.films()
    world.write_bundle(_bundle(data))
    service = make_service(
        Place.of(data, None), bundle=_bundle(data), settings=Settings(), worker=False
    )
    with service.store.write() as session:
        add_person(session, "ada", Role.ADMINISTRATOR, PASSWORD)
        add_person(session, "bo", Role.REVIEWER, PASSWORD)
        add_person(session, "rita", Role.READER, PASSWORD)
    for name, (content, patient) in sent.items():
        intake = Intake(service, "ada", patient or None)
        intake.take(Part(name, io.BytesIO(content)))
        assert intake.outcome.accepted, intake.outcome
    worker = _worker(service, _bundle(data), threading.Event())
    with _stub():
        for _ in range(len(sent) - 1):
            assert worker.step()
    with service.store.write() as session:
        session.execute(delete(Job).where(Job.state != "done"))  # until it is asked for again
    service.store.close()
    return data


@contextmanager
def _open(day: Path, folder: Path, *, signed_in: bool) -> Iterator[str]:
    """Serve a copy of the day, its worker reading what is sent; yields the address."""
    shutil.copytree(day, folder / "data")
    service = make_service(
        Place.of(folder / "data", None),
        bundle=_bundle(day),
        settings=Settings(),
        link=True,
        worker=False,
    )
    app, stop = create_app(service), threading.Event()
    if signed_in:
        with service.store.write() as session:
            secret = begin_visit(session, local_person(session), 3_600_000)[1]
        app = SignedIn(app, f"{service.cookie}={secret}".encode())
    worker = threading.Thread(target=_worker(service, _bundle(day), stop).run)
    with _stub():
        worker.start()
        try:
            with Served(app) as served:
                yield served.address
        finally:
            stop.set()
            worker.join()
            service.store.close()


def _bundle(data: Path) -> Path:
    return data.with_name("bundle")


def _worker(service: Service, bundle: Path, stop: threading.Event) -> Worker:
    url = service.store.engine.url.render_as_string(hide_password=False)
    return Worker(Orders("stub", url, str(service.data), str(bundle)), service.store, stop)


class SignedIn:
    """The app for a browser that came by the printed link: who brings no cookie holds this one."""

    def __init__(self, app: Any, cookie: bytes) -> None:
        self._app, self._cookie = app, cookie

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and all(name != b"cookie" for name, _ in scope["headers"]):
            scope = scope | {"headers": [*scope["headers"], (b"cookie", self._cookie)]}
        await self._app(scope, receive, send)


@pytest.fixture
def stand_in(day: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a server of its own, whose reader is a stub; somebody is signed in."""
    with _open(day, tmp_path, signed_in=True) as address:
        yield address


@pytest.fixture
def locked(day: Path, tmp_path: Path) -> Iterator[str]:
    """Address of such a server where nobody is signed in."""
    with _open(day, tmp_path, signed_in=False) as address:
        yield address


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page that fails its test on any script error, refused policy or foreign request."""
    with new_page(chromium) as opened:
        yield opened


@contextmanager
def new_page(chromium: Any, **screen: Any) -> Iterator[Any]:
    """A page as ``page`` is, on another screen, in the words of ``Browser.new_context``."""
    context = chromium.new_context(locale="en-US", **(screen or {"viewport": SCREEN}))
    context.set_default_timeout(PATIENCE_MS)
    context.set_default_navigation_timeout(PATIENCE_MS)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"error: {error} {error.stack}"))
    opened.on("console", lambda said: wrong.append(said.text) if _is_wrong(said) else None)
    opened.on("request", lambda asked: wrong.append(asked.url) if _is_foreign(asked.url) else None)
    yield opened
    context.close()
    assert not wrong, wrong


def _is_wrong(said: Any) -> bool:
    # a problem that the page shows is also a line "Failed to load resource": that is no fault
    return said.type == "error" and "Failed to load resource" not in said.text


def _is_foreign(address: str) -> bool:
    loopback = ("http://127.0.0.1:", "http://localhost:", "https://localhost:")
    return not address.startswith((*loopback, "blob:", "data:"))


def open_film(page: Any, address: str, name: str, query: str = "", search: str = "") -> None:
    """Open a film by its name, and wait until it is drawn."""
    found = page.request.get(f"{address}/api/v1/studies?q={name}").json()["items"][0]
    page.goto(f"{address}/{search}#/film/{found['film_id']}{query}")
    page.locator(".corners").first.wait_for(state="attached")
    page.locator(".headline").first.wait_for()  # what is beneath the film has its place, too
    settled(page)


def takes_keys(page: Any) -> None:
    """Wait until the film is drawn and its question takes keys."""
    film = page.url.split("/film/")[1].split("?")[0]
    page.locator(f'.verdict.keys[data-film="{film}"]').wait_for()


def sign_in(page: Any, name: str, password: str = PASSWORD) -> None:
    """Fill in the form of the sign-in that the page shows, and send it."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def csrf_of(page: Any, address: str) -> dict[str, str]:
    """The header with which the page's session may change something by ``page.request``."""
    return {"X-CSRF-Token": page.request.get(f"{address}/api/v1/me").json()["csrf"]}


def look(page: Any, selector: str = ".film") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What the screen shows of an element: uint8 (H, W, 3), BGR."""
    return decoded(page.locator(selector).first.screenshot())


def decoded(content: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture's file as uint8 (H, W, 3), BGR."""
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def settled(page: Any, selector: str = ".film") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """What an element shows after everything that was asked for is drawn."""
    page.evaluate(FRAMES)
    return look(page, selector)


def eventually(read: Callable[[], T], right: Callable[[T], bool]) -> T:
    """Read until it is right, and return that; what a page does takes the time that it takes.

    For what Playwright's own ``expect`` has no word for; the last thing read is in the error.
    """
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not right(found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


FRAMES = """() => new Promise((done) => {
  const frames = (left, then) =>
    left ? requestAnimationFrame(() => frames(left - 1, then)) : setTimeout(then, 150);
  frames(2, () => frames(3, done));
})"""
"""Frames with a pause between: the page takes the key, cornerstone draws, then the overlays."""
