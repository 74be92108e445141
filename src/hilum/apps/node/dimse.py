"""DIMSE: associations as this node accepts them, and as it asks for them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.transport import AssociationSocket

from hilum.apps.node.settings import Node, Peer
from hilum.core.errors import ConfigError, PeerError, UnreadableImageError

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
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
    ae.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)  # its answer comes here
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


def store(association: Association, peer: Peer, dataset: Dataset) -> int | None:
    """Send a file that was read (C-STORE).

    Returns:
        The status that was answered; None where the peer does not take its class or syntax.

    Raises:
        PeerError: it ended the association, or did not answer.
    """
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


def send(
    node: Node, peer: Peer, paths: Iterable[Path], data: Path
) -> Iterator[tuple[Path, int | None]]:
    """Send any DICOM files on one association; yield each with what ``store`` returned."""
    files = list(paths)
    wanted: dict[tuple[str, str], None] = {}
    for path in files:
        try:
            header = dcmread(path, stop_before_pixels=True)
            wanted[str(header.SOPClassUID), str(header.file_meta.TransferSyntaxUID)] = None
        except (InvalidDicomError, AttributeError) as error:
            raise UnreadableImageError(f"{path}: no DICOM file: {error}") from None
    contexts = [build_context(*each) for each in wanted]
    with associated(node, peer, contexts, data=data) as association:
        for path in files:
            yield path, store(association, peer, dcmread(path))


def ask_commitment(
    association: Association, transaction: str, objects: Iterable[tuple[str, str]]
) -> bool:
    """Ask a peer to confirm that it keeps objects (N-ACTION, PS3.4 J.3.2); False if it will not.

    Args:
        association: with ``COMMITMENT`` among its contexts.
        transaction: a new UID, by which its answer is known.
        objects: SOP class and instance UID of each.
    """
    if not any(each.abstract_syntax == COMMITMENT for each in association.accepted_contexts):
        return False
    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = []
    for sop_class, sop_uid in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_uid
        asked.ReferencedSOPSequence.append(item)
    answer, _ = association.send_n_action(asked, 1, COMMITMENT, COMMITMENT_INSTANCE)
    return bool(answer.get("Status") == 0)


class CommitmentReport(NamedTuple):
    """What a peer answered to ``ask_commitment``: UIDs that it keeps, and those not, with why."""

    transaction: str
    kept: set[str]
    failed: dict[str, int]


def report_of(event: Event) -> CommitmentReport:
    """Read an N-EVENT-REPORT of storage commitment (PS3.4 J.3.3)."""
    told = event.event_information

    def items(keyword: str) -> Iterable[Dataset]:
        return told.get(keyword) or ()

    return CommitmentReport(
        transaction=str(told.TransactionUID),
        kept={str(each.ReferencedSOPInstanceUID) for each in items("ReferencedSOPSequence")},
        failed={
            str(each.ReferencedSOPInstanceUID): int(each.get("FailureReason") or 0x0110)
            for each in items("FailedSOPSequence")
        },
    )


def taken(node: Node, peer: Peer, classes: Iterable[str], data: Path) -> set[str]:
    """Ask a peer which of these classes it takes.

    Raises:
        PeerError: it is not there, or refuses.
    """
    with associated(node, peer, contexts_of(classes), data=data) as association:
        return {str(each.abstract_syntax) for each in association.accepted_contexts}


@contextmanager
def associated(
    node: Node,
    peer: Peer,
    contexts: list[PresentationContext],
    *,
    data: Path,
    on_report: Callable[[Event], tuple[int, None]] | None = None,
) -> Iterator[Association]:
    """Yield an association with a peer; release it in the end.

    Args:
        node, peer: between whom.
        contexts: to propose.
        data: folder of data, for the files of ``[node.tls]``.
        on_report: takes what the peer says of a storage commitment meanwhile.

    Raises:
        ConfigError: it has no ``host``; or the files for TLS are wrong.
        PeerError: it cannot be reached, or refuses.
    """
    if peer.host is None:
        raise ConfigError(f"peer '{peer.name}' has no host", hint="it can send films only")
    ae = AE(node.ae_title)
    ae.maximum_pdu_size = PDU_BYTES
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = peer.timeout_s
    ae.connection_timeout = peer.timeout_s
    ae.requested_contexts = contexts
    tls = node.tls.context(data, server=False) if peer.tls and node.tls is not None else None
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, on_report)] if on_report else []
    association = ae.associate(
        peer.host,
        peer.port,
        ae_title=peer.ae_title or "",
        tls_args=(tls, peer.host) if tls else None,
        evt_handlers=handlers,
    )
    if not association.is_established:
        raise _refused(peer.name, association)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def echo(node: Node, peer: Peer, data: Path) -> None:
    """Ask a peer whether it is there (C-ECHO).

    Raises:
        PeerError: it is not, or does not say so.
    """
    contexts = [build_context(VERIFICATION)]
    with associated(node, peer, contexts, data=data) as association:
        if association.accepted_contexts:
            status = association.send_c_echo().get("Status")
            if status != 0:
                raise PeerError(
                    f"{peer.name}: answered C-ECHO by {status}; expected 0x0000", hint=_ASK
                )
            return
    raise PeerError(f"{peer.name}: does not take C-ECHO", hint=_ASK)


def _shut(wire: Any) -> None:
    """Close a socket, also one that was never connected, which pynetdicom leaves open."""
    if wire.socket is not None:
        with suppress(OSError):
            wire.socket.shutdown(socket.SHUT_RDWR)
        wire.socket.close()


setattr(AssociationSocket, "_shutdown_socket", _shut)  # noqa: B010 - a method


def _refused(name: str, association: Any) -> PeerError:
    """There is no association; ``permanent`` where the peer says that trying again is in vain."""
    error = PeerError(f"{name}: {_why_not(association)}", hint=_ASK)
    answer = association.acceptor.primitive
    error.permanent = bool(association.is_rejected and answer is not None and answer.result == 1)
    return error


_ASK = "ask its administrator for host, port, AE title, and whether it knows this node's"


def _why_not(association: Any) -> str:
    """Say why there is no association."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"refused the association: {answer.reason_str}"
    if association.is_aborted and answer is None:
        return "cannot be reached, or does not answer"
    return "ended the association"
