"""Serve: from the options of ``hilum serve`` to a running server."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from types import FrameType

import uvicorn
from platformdirs import user_data_path

from hilum.apps.store import queue
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import KEY, Log, open_log
from hilum.apps.store.people import any_person
from hilum.apps.store.store import Store, open_store, sqlite_url
from hilum.apps.web.access import is_loopback
from hilum.apps.web.app import LOOPBACK, create_app
from hilum.apps.web.bundles import Bundles
from hilum.apps.web.collection import open_collection
from hilum.apps.web.link import LINK_MINUTES, make_link, may_open, note_address
from hilum.apps.web.looks import Looks
from hilum.apps.web.meter import Meter
from hilum.apps.web.protocol import Impatient
from hilum.apps.web.service import Service
from hilum.apps.web.settings import Settings, load_settings
from hilum.apps.web.supervisor import RECEIVER, SENDER, Supervisor
from hilum.apps.web.ticker import Ticker
from hilum.core.errors import ConfigError, HilumError
from hilum.core.extras import require

PORT = 8337
_LOCK = "server.lock"
_STORE = "store.db"
_GRACE_S = 3


@dataclass(frozen=True)
class Place:
    """Where a workstation keeps its things.

    Attributes:
        data: folder of films, keys and calibrated bundles.
        url: address of the store.
    """

    data: Path
    url: str

    @classmethod
    def of(cls, data: Path | None, store: str | None, *, demo: bool = False) -> Place:
        """Take the user's own folder of data, and SQLite in it, unless told otherwise."""
        root = data or user_data_path("hilum") / ("demo" if demo else "workstation")
        root = root.resolve()
        return cls(root, store or sqlite_url(root / _STORE))


def open_place(place: Place, *, make: bool = True) -> tuple[Store, Log]:
    """Open the store and the log of a place.

    Args:
        place: where they lie.
        make: make them where there are none.

    Raises:
        ConfigError: there are none, or the folder of data is not that of the store.
        StoreError: they cannot be opened.
    """
    if not make and not any((place.data / each).is_file() for each in (KEY, _STORE)):
        raise ConfigError(f"{place.data}: no workstation here", hint="name its folder")
    place.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    store = open_store(place.url)
    try:
        return store, open_log(store, place.data)
    except HilumError:
        store.close()
        raise


@contextlib.contextmanager
def alone(data: Path) -> Iterator[None]:
    """Hold a folder of data for one server.

    Raises:
        ConfigError: another server has it.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / _LOCK).open("a") as held:
        try:
            import fcntl
        except ImportError:  # Windows: two servers on one folder are the user's to avoid
            yield
            return
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"{data}: another 'hilum serve' uses this folder", hint="stop it, or use --home"
            ) from None
        yield


def make_service(
    place: Place,
    *,
    bundle: Path | None = None,
    settings: Settings | None = None,
    link: bool = False,
    port: int = PORT,
    worker: bool = True,
) -> Service:
    """Open everything that routes work with; ``worker`` False starts none."""
    settings = settings or load_settings(place.data)
    if settings.node is not None:
        require("pacs")
    store, log = open_place(place)
    folder = FilmFolder(place.data)
    folder.sweep()
    named = str(bundle.resolve()) if bundle is not None else None
    watch = partial(Supervisor, store, url=place.url, data=str(place.data), bundle=named)
    node = worker and settings.node is not None
    return Service(
        store=store,
        folder=folder,
        log=log,
        data=place.data,
        settings=settings,
        bundles=Bundles(store, bundle, place.data),
        meter=Meter(),
        looks=Looks(store, log),
        ticker=Ticker(store),
        link=link,
        supervisor=watch() if worker else None,
        beside=(watch(module=RECEIVER), watch(module=SENDER)) if node else (),
        cookie=f"hilum_session_{port}",
    )


def serve(
    place: Place,
    *,
    bundle: Path | None = None,
    collection: Path | None = None,
    host: str = "127.0.0.1",
    port: int = PORT,
    demo: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve until interrupted.

    Args:
        place: where films and store lie.
        bundle: that reads; None for that inside the package.
        collection: cases table of the films that the bundle was trained on, for their pictures.
        host, port: to listen on; port 0 takes a free one.
        demo: put the built-in films into the worklist.
        say: shows a line to who started it.

    Raises:
        ConfigError: the port is taken, or nobody could sign in; or no film of the collection is
            there.
        CohortError: the collection is no cases table, or one of other films.
        StoreError, BundleError: they cannot be opened.
    """
    with alone(place.data), _listening(host, port) as listener:
        port = listener.getsockname()[1]
        local = is_loopback(host)
        base = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        service = make_service(place, bundle=bundle, port=port)
        with contextlib.closing(service.store), _until_told():
            service.link = local and not service.settings.for_others
            note_address(service.store, base if service.link else None)
            opened = service.bundles.open()
            if service.bundles.left_alone():
                say(f"calibration to this site: fitted to another bundle, not to {opened.identity}")
                say("it is not used; fit a new one, or name its bundle by --bundle")
            if collection is not None:
                service.collection, about = open_collection(collection, opened)
                say(about)
            if not service.link:
                _check_people(service)
                if not local and not service.settings.https:
                    say("passwords travel readable: use a proxy with https, and set https = true")
            queue.release_all(service.store)
            if demo:
                add_samples(service)
            hosts = (*LOOPBACK, host) if local else (host, *(service.settings.hosts or ("*",)))
            app = create_app(service, hosts=hosts)
            _Server(app, service, lambda: _announce(say, base, service)).run(sockets=[listener])


@contextlib.contextmanager
def _until_told() -> Iterator[None]:
    """End by SIGTERM (kill, systemd, docker stop) as by Ctrl-C: all that is open is closed.

    uvicorn raises the signal that ended it again, once it has put this handler back.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def add_samples(service: Service) -> None:
    """Accept the built-in films, once; they are of one virtual patient."""
    from hilum.apps.web.upload import Intake, Part
    from hilum.serve.samples import read_samples

    intake = Intake(service, "hilum", VIRTUAL_PATIENT)
    for sample in read_samples():
        intake.take(Part(sample.file, BytesIO(sample.path.read_bytes())))


VIRTUAL_PATIENT = "HILUM-SAMPLE-1"
"""Patient id of the built-in pictures: that of the built-in DICOM film."""


class _Server(uvicorn.Server):
    """Says when it is ready, and lets event streams end before it waits for them."""

    def __init__(self, app: object, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http=partial(Impatient, head_s=service.settings.limits.head_s),  # type: ignore[arg-type]
                access_log=False,  # it would write addresses with ids to the terminal
                log_level="warning",
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
                h11_max_incomplete_event_size=65_536,
            )
        )
        self._service = service
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stopping.set()
        super().handle_exit(sig, frame)


def _announce(say: Callable[[str], None], base: str, service: Service) -> None:
    """Say where it serves; a link only to a terminal: what a service prints is kept in journals."""
    say(f"Hilum serves at {base} (stop it with Ctrl-C)")
    if not service.link or not may_open(service.store):
        return
    another = f"hilum user link --home {shlex.quote(str(service.data))}"
    if sys.stdout is not None and sys.stdout.isatty():
        say(f"open this link once, within {LINK_MINUTES} minutes: {make_link(service.store)}")
        say(f"for another link: {another}")
    else:
        say(f"for a link that opens it: {another}")


def _check_people(service: Service) -> None:
    with service.store.read() as session:
        if any_person(session) or service.settings.oidc is not None:
            return
    raise ConfigError(
        "who is reached by others needs somebody who can sign in, and there is nobody",
        hint="hilum user add NAME --role administrator",
    )


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"{host}:{port}: {error.strerror or error}", hint="choose another --port"
            ) from None
        yield listener
