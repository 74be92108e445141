"""The receiver: a process beside the server that takes films from the network by DICOM.

    python -m hilum.apps.node.receiver      started by the server, never by hand

It is told what to do by one line of JSON on its standard input, and stops when that closes. Success
(0x0000) is answered to a C-STORE only when the film is on disk and in the store; of what a sender
was told nothing can be lost, whatever is killed. What is being received lies in a folder of its
own, and what a killed sender, or a kill of this process, left there is swept. Folders that peers
put films into (``inbox``) are looked at from here, too, and servers asked for films (``poll_s``).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import _config, evt
from pynetdicom.events import Event
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from hilum.apps.node import status
from hilum.apps.node.dimse import ACSE_S, PDU_BYTES, acceptor, report_of
from hilum.apps.node.polling import Poll
from hilum.apps.node.settings import ELSEWHERE, address
from hilum.apps.node.taking import (
    NOT_AUTHORIZED,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    TakenObject,
    Taker,
)
from hilum.apps.node.watching import Inbox
from hilum.apps.store import outbox
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.intake import Sender
from hilum.apps.store.log import open_log
from hilum.apps.store.store import Store, open_store
from hilum.apps.store.tables import Setting, now_ms
from hilum.apps.web.orders import Orders, until_closed
from hilum.apps.web.settings import load_settings
from hilum.core.errors import (
    ConfigError,
    HilumError,
    ImageError,
    RejectedImageError,
    StoreError,
)
from hilum.image import decoders

PERMANENT, TRANSIENT = (0x01, 0x01, 0x03), (0x02, 0x03, 0x02)
"""Calling AE title not recognized; local limit exceeded (PS3.8 table 9-21)."""
_MOST_PDU_BYTES = 4 * PDU_BYTES
"""A longer one is not waited for: its length alone could ask for 4 GB of memory."""
_TICK_S = 1.0
_LOOK_S, _MESSAGE_S = 0.005, 0.02
"""How often an open association looks at its socket, and at what ended it. Each is two threads,
and at the thousand times a second of pynetdicom twenty that do nothing take half a core."""
_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 26)}
"""The decoders here read only headers, of file after file: the memory of one is kept for the next,
because the system takes longer to give it than they to read a file of 8 MB (GNU C library)."""
_PATIENCE_S = 6.0
_COMMENT = 64
_LOG = logging.getLogger("hilum.receiver")


class Receiver:
    """Listens until it is told to stop.

    Args:
        orders: where the store and the folder of data are.
        store: opened.

    Raises:
        ConfigError: ``hilum.toml`` has no ``[node]``, or the address is taken.
    """

    def __init__(self, orders: Orders, store: Store) -> None:
        data = Path(orders.data)
        settings = load_settings(data)
        if settings.node is None:
            raise ConfigError(f"{data}: hilum.toml has no [node]", hint="hilum node init")
        self._node, self._limits = settings.node, settings.limits
        self._data, self._store = data, store
        self._folder = FilmFolder(data)
        self._log = open_log(store, data)
        self._taker = Taker(store, self._folder, self._log, self._node, self._limits.megapixels)
        self._open: set[Any] = set()
        self._bytes: dict[Any, int] = {}
        self._busy: set[Path] = set()
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}
        self._said: dict[str, Any] = {}
        for left in self._folder.receiving.iterdir():
            left.unlink(missing_ok=True)
        tempfile.tempdir = str(self._folder.receiving)  # where pynetdicom writes what it receives
        _config.STORE_RECV_CHUNKED_DATASET = True
        _config.LOG_HANDLER_LEVEL = "none"
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # its lines hold headers
        self._ae = acceptor(self._node)
        self._server = self._listening()

    def run(self, stop: threading.Event) -> None:
        """Serve until told to stop; then let the objects at hand be received."""
        decoders.start()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        watching = [
            threading.Thread(target=self._watch, args=(each, stop), daemon=True)
            for each in (*self._inboxes(), *self._polls())
        ]
        for thread in watching:
            thread.start()
        while not stop.wait(_TICK_S):
            self._say(self._server.server_address)
            self._sweep()
        self._server.stopping = True
        until = time.monotonic() + _PATIENCE_S
        while self._open and time.monotonic() < until:
            time.sleep(0.05)
        for thread in watching:
            thread.join(max(0.1, until - time.monotonic()))
        self._say(None)
        self._ae.shutdown()

    def _inboxes(self) -> list[Inbox]:
        return [
            Inbox(
                each, self._data, self._folder.receiving, self._limits.file_mb * 1e6,
                partial(self._found, "inbox"),
            )
            for each in self._node.peers
            if each.inbox is not None
        ]  # fmt: skip

    def _polls(self) -> list[Poll]:
        return [
            Poll(
                each, self._data, self._store, self._log, self._folder.receiving,
                self._limits.file_mb * 1e6, self._node.read, partial(self._found, "poll"),
            )
            for each in self._node.peers
            if each.poll_s is not None
        ]  # fmt: skip

    def _watch(self, place: Inbox | Poll, stop: threading.Event) -> None:
        """Look for films again and again, as long as there is space for each."""

        def may() -> bool:
            return not stop.is_set() and self._has_space()

        while not stop.wait(_TICK_S):
            try:
                if may():
                    place.look(may)
            except Exception as error:  # a thread that ended would be missed by nobody
                _LOG.error("%s: %s", type(place).__name__.lower(), type(error).__name__)

    def _found(self, way: str, peer: str, path: Path) -> TakenObject:
        """Take a file that lay in a watched folder, or was fetched."""
        answer = self._take(path, self._node.sender(peer, way), f"{way}:{peer}")
        self._tally(peer, answer.outcome)
        return answer

    def _has_space(self) -> bool:
        return shutil.disk_usage(self._data).free >= self._node.reserve_gb * 1e9

    def _listening(self) -> _Server:
        host, port = address(self._node.listen)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_DIMSE_RECV, self._received),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_C_ECHO, lambda _: SUCCESS),
            (evt.EVT_C_STORE, self._store_object),
            (evt.EVT_N_EVENT_REPORT, self._committed),
        ]
        tls = self._node.tls.context(self._data, server=True) if self._node.tls else None
        try:
            server = _Server(
                self._ae,
                (host, port),
                self._node.ae_title,
                [],  # contexts, which each association would copy: see _Handler
                tls,
                handlers,
                _Handler,
            )
        except OSError as error:
            why = f"{self._node.listen}: {error.strerror or error}"
            raise ConfigError(why, hint="choose another listen = in [node]") from None
        self._ae._servers.append(server)
        return server

    def _admit(self, event: Event) -> None:
        """Let a caller in, or say why not: before anything is sent.

        Never by an exception, which would let in whoever calls.
        """
        association: Any = event.assoc
        try:
            refused = self._refusal(association)
        except Exception as error:
            _LOG.error("a caller was turned away: %s", type(error).__name__)
            refused = TRANSIENT, "unexpected"
        if refused is not None:
            why, word = refused
            self._tally(ELSEWHERE, f"rejected-{word}")
            association.acse.send_reject(*why)
            association.kill()

    def _refusal(self, association: Any) -> tuple[tuple[int, int, int], str] | None:
        """Say why a caller may not come in; None where it is in."""
        title = str(association.requestor.primitive.calling_ae_title).strip()
        host = association.requestor.address
        name = self._node.caller(title, host)
        if name is None:
            return PERMANENT, "unknown"
        if not self._has_space():
            return TRANSIENT, "no-space"
        with self._lock:
            if len(self._open) >= self._node.max_associations:
                return TRANSIENT, "too-many"
            self._open.add(association)
        # with it, because it may hang up before its last object is looked at
        association.sender = self._node.sender(name, host)
        return None

    def _closed(self, event: Event) -> None:
        with self._lock:
            self._open.discard(event.assoc)
            self._bytes.pop(event.assoc, None)

    def _count(self, event: Event) -> None:
        """End an association that sends an object without end."""
        association = event.assoc
        received = self._bytes.get(association, 0) + len(event.data)
        self._bytes[association] = received
        if received > self._limits.file_mb * 1e6 + _MOST_PDU_BYTES:
            self._bytes[association] = -sys.maxsize  # what is on its way yet changes nothing
            self._tally(self._peer(association).peer, "too-large")
            association.abort(block=False)

    def _received(self, event: Event) -> None:
        self._bytes[event.assoc] = 0

    def _store_object(self, event: Event) -> Dataset:
        """Answer a C-STORE; never by an exception, which would read as 'cannot understand'."""
        sender, path, comment = self._peer(event.assoc), None, ""
        try:
            path = Path(event.dataset_path)
            known = self._node.peer(sender.peer)
            if known is not None and not known.receive:
                code, outcome = NOT_AUTHORIZED, "not-authorized"
            else:
                code, outcome, _, error = self._take(path, sender, f"AE:{sender.peer}")
                comment = _comment(error) if error is not None else ""
        except Exception as error:
            code, outcome = PROCESSING_FAILURE, "unexpected"
            _LOG.error("an object of %s: %s", sender.peer, type(error).__name__)
        self._tally(sender.peer, outcome)
        event.assoc.dul._idle_timer.restart()  # till now it was the sender that waited
        answer = Dataset()
        answer.Status = code
        if comment:
            answer.ErrorComment = comment
        return answer

    def _take(self, path: Path, sender: Sender, who: str) -> TakenObject:
        """Take an object, which is not swept meanwhile."""
        self._busy.add(path)
        try:
            return self._taker.take(path, sender, who)
        finally:
            self._busy -= {path}

    def _committed(self, event: Event) -> tuple[int, None]:
        """Take what an archive says of the results that it was asked to keep."""
        try:
            report = report_of(event)
            outbox.reported(self._store, self._peer(event.assoc).peer, *report)
        except StoreError as error:
            _LOG.warning("%s", error.message)
            return OUT_OF_RESOURCES, None
        except Exception as error:
            _LOG.error("a storage commitment: %s", type(error).__name__)
            return PROCESSING_FAILURE, None
        return SUCCESS, None

    def _peer(self, association: Any) -> Sender:
        elsewhere = Sender(ELSEWHERE, association.requestor.address)
        sender: Sender = getattr(association, "sender", elsewhere)
        return sender

    def _tally(self, peer: str, outcome: str) -> None:
        known = peer if self._node.peer(peer) else ELSEWHERE
        with self._lock:
            self._counts.setdefault(known, Counter())[outcome] += 1

    def _say(self, listening: tuple[Any, ...] | None) -> None:
        with self._lock:
            counts = {peer: dict(of) for peer, of in self._counts.items()}
        listen = f"{listening[0]}:{listening[1]}" if listening else None
        at_ms = now_ms() // status.SAID_MS * status.SAID_MS
        value = {"listen": listen, "pid": os.getpid(), "counts": counts, "at_ms": at_ms}
        if value == self._said:
            return
        try:
            with self._store.write() as session:
                session.merge(Setting(key=status.RECEIVER, value=value))
            self._said = value
        except StoreError as error:
            _LOG.warning("%s", error.message)

    def _sweep(self) -> None:
        """Remove what senders left that were killed, or were ended, in the middle."""
        oldest = time.time() - 2 * self._node.association_idle_s
        for path in self._folder.receiving.iterdir():
            with contextlib.suppress(OSError):
                if path not in self._busy and path.stat().st_mtime < oldest:
                    path.unlink()


class _Server(ThreadedAssociationServer):
    """Takes connections; a backlog of 5 would turn away senders that come at once."""

    request_queue_size = 128
    daemon_threads = True
    stopping = False

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take no more connections than could ever become associations, of two threads each."""
        return not self.stopping and threading.active_count() < 2 * self.ae.maximum_associations

    def get_request(self) -> tuple[Any, Any]:
        """Take a connection; TLS comes later, in a thread that nobody else waits for."""
        wire: Any = self.socket
        connection, at = wire.accept()
        return connection, at

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Make an association of a connection; by TLS where that is spoken here."""
        if self.ssl_context is not None:
            request.settimeout(ACSE_S)
            try:
                request = self.ssl_context.wrap_socket(request, server_side=True)
            except OSError:  # not by TLS, without a certificate, or with one of another authority
                self.shutdown_request(request)
                return
        super().process_request_thread(request, client_address)


class _Handler(RequestHandler):
    """Makes an association that begins at once, reads fast, waits idly, and nothing endless."""

    def _create_association(self) -> Any:
        association: Any = super()._create_association()
        # nobody changes them; a copy of all takes longer than a film
        association.acceptor.supported_contexts = self.ae.supported_contexts
        association.dimse.get_msg = partial(_message, association.dimse)
        association.dul._run_loop_delay = _LOOK_S
        wire = association.dul.socket
        wire.socket.settimeout(self.ae.network_timeout)  # else it waits for ever in mid-object
        wire.recv = partial(_receive, wire)
        return association


def _message(dimse: Any, block: bool = False) -> tuple[Any, Any]:
    """Return the next message, as soon as there is one; nothing where none comes for a moment."""
    try:
        found: tuple[Any, Any] = dimse.msg_queue.get(
            timeout=dimse.dimse_timeout if block else _MESSAGE_S
        )
    except queue.Empty:
        return None, None
    return found


def _receive(wire: Any, size: int) -> bytearray:
    """Receive so many bytes, fewer where the other side has ended."""
    if size > _MOST_PDU_BYTES:
        raise OSError("a PDU longer than was agreed")
    data, got = bytearray(size), 0
    view = memoryview(data)
    while got < size:
        count = wire.socket.recv_into(view[got:])
        if not count:
            break
        got += count
    view.release()
    del data[got:]
    return data


def _comment(error: HilumError) -> str:
    """Say to the sender why, without a word of the header or of this machine."""
    if isinstance(error, RejectedImageError):
        return "known as a film of another patient"
    if isinstance(error, ImageError):
        text = error.public.removeprefix("the object: ").encode("ascii", "replace").decode()
        return text.replace("\\", "/")[:_COMMENT]
    return "cannot be kept now; send it again"


def main() -> None:
    """Take orders from standard input and listen."""
    os.umask(0o077)
    os.environ |= _MEMORY
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    orders = Orders.of(sys.stdin.buffer.readline())
    stop = threading.Event()
    threading.Thread(target=until_closed, args=(stop,), daemon=True).start()
    try:
        store = open_store(orders.store, upgrade=False)
        Receiver(orders, store).run(stop)
    except HilumError as error:
        _LOG.error("%s", error.message)
        sys.exit(1)


if __name__ == "__main__":
    main()
