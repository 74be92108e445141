"""DIMSE: associations as this node accepts them, and as it asks for them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.transport import AssociationSocket

from hilum.apps.node.settings import Node, Peer
from hilum.core.errors import ConfigError, PeerError, UnreadableImageError

VERIFICATION = "1.2.840.10008.1.1"
PDU_BYTES = 262_144
ACSE_S = 30.0
"""How long a connection may wait to become an association."""
_HALF_OPEN = 10
"""Connections, for each association allowed, that may wait to become one."""


def acceptor(node: Node) -> AE:
    """Return the application entity that films are sent to.

    It takes every storage class in every transfer syntax: who sends a whole study would fail at one
    that is refused, and what is no film is dropped when it has come.
    """
    ae = AE(node.ae_title)
    ae.require_called_aet = True
    ae.maximum_pdu_size = PDU_BYTES
    ae.maximum_associations = _HALF_OPEN * node.max_associations
    ae.acse_timeout = ACSE_S
    ae.dimse_timeout = ae.network_timeout = node.association_idle_s
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    ae.add_supported_context(VERIFICATION)
    return ae


EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
SENT = frozenset((0x0000, 0xB000, 0xB006, 0xB007, 0x0111))
"""Stored, with a warning perhaps, or there before (PS3.4 table B.2-1, PS3.7 annex C)."""
NOT_SUPPORTED = 0x0122


def is_temporary(status: int) -> bool:
    """Say whether the same object may be taken later: out of resources, or a failure within."""
    return status & 0xFF00 == 0xA700 or status == 0x0110


def contexts_of(classes: Iterable[str]) -> list[PresentationContext]:
    """Return what to propose for results: each class, explicit or implicit little endian."""
    return [build_context(each, [EXPLICIT, IMPLICIT]) for each in dict.fromkeys(classes)]


def store(association: Association, peer: Peer, path: Path) -> int | None:
    """Send a file (C-STORE).

    Returns:
        The status that was answered; None where the peer does not take its class or syntax.

    Raises:
        PeerError: it ended the association, or did not answer.
    """
    dataset = dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    plain = syntax in (EXPLICIT, IMPLICIT)
    if not any(
        each.abstract_syntax == dataset.SOPClassUID and (plain or each.transfer_syntax[0] == syntax)
        for each in association.accepted_contexts
    ):
        return None
    if not association.is_established:
        raise PeerError(f"{peer.name}: ended the association", hint=_ASK)
    status = association.send_c_store(dataset).get("Status")
    if status is None:
        raise PeerError(f"{peer.name}: ended the association, or did not answer", hint=_ASK)
    return int(status)


def send(node: Node, peer: Peer, paths: Iterable[Path]) -> Iterator[tuple[Path, int | None]]:
    """Send any DICOM files on one association; yield each with what ``store`` returned."""
    files = list(paths)
    wanted: dict[tuple[str, str], None] = {}
    for path in files:
        try:
            header = dcmread(path, stop_before_pixels=True)
            wanted[str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)] = None
        except (InvalidDicomError, AttributeError) as error:
            raise UnreadableImageError(f"{path}: no DICOM file: {error}") from None
    with associated(node, peer, [build_context(*each) for each in wanted]) as association:
        for path in files:
            yield path, store(association, peer, path)


@contextmanager
def associated(
    node: Node, peer: Peer, contexts: list[PresentationContext]
) -> Iterator[Association]:
    """Yield an association with a peer; release it in the end.

    Raises:
        ConfigError: it has no ``host``.
        PeerError: it cannot be reached, or refuses.
    """
    if peer.host is None:
        raise ConfigError(f"peer '{peer.name}' has no host", hint="it can send films only")
    ae = AE(node.ae_title)
    ae.maximum_pdu_size = PDU_BYTES
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_s
    ae.connection_timeout = peer.timeout_s
    ae.requested_contexts = contexts
    association = ae.associate(peer.host, peer.port, ae_title=peer.ae_title)
    if not association.is_established:
        raise _RefusedError(f"{peer.name}: {_why_not(association)}", hint=_ASK, at=association)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def echo(node: Node, peer: Peer) -> None:
    """Ask a peer whether it is there (C-ECHO).

    Raises:
        PeerError: it is not, or does not say so.
    """
    contexts = [build_context(VERIFICATION)]
    with associated(node, peer, contexts) as association:
        if association.accepted_contexts:
            status = association.send_c_echo().get("Status")
            if status != 0:
                raise PeerError(f"{peer.name}: answered C-ECHO by {status}; expected 0x0000")
            return
    raise PeerError(f"{peer.name}: does not take C-ECHO")


def _shut(wire: Any) -> None:
    """Close a socket, also one that was never connected, which pynetdicom leaves open."""
    if wire.socket is not None:
        with suppress(OSError):
            wire.socket.shutdown(socket.SHUT_RDWR)
        wire.socket.close()


setattr(AssociationSocket, "_shutdown_socket", _shut)  # noqa: B010 - a method


class _RefusedError(PeerError):
    """There is no association; ``permanent`` where the peer says that trying again is in vain."""

    def __init__(self, message: str, *, hint: str, at: Any) -> None:
        super().__init__(message, hint=hint)
        answer = at.acceptor.primitive
        self.permanent = bool(at.is_rejected and answer is not None and answer.result == 1)


_ASK = "ask its administrator for host, port, AE title, and whether it knows this node's"


def _why_not(association: Any) -> str:
    """Say why there is no association."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"refused the association: {answer.reason_str}"
    if association.is_aborted and answer is None:
        return "cannot be reached, or does not answer"
    return "ended the association"
