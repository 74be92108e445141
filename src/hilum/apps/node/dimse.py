"""DIMSE: associations as this node accepts them, and as it asks for them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.transport import AssociationSocket

from hilum.apps.node.settings import Node, Peer
from hilum.core.errors import ConfigError, PeerError

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
        raise PeerError(f"{peer.name}: {_why_not(association)}", hint=_ASK)
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

_ASK = "ask its administrator for host, port, AE title, and whether it knows this node's"


def _why_not(association: Any) -> str:
    """Say why there is no association."""
    answer = association.acceptor.primitive
    if association.is_rejected and answer is not None:
        return f"refused the association: {answer.reason_str}"
    if association.is_aborted and answer is None:
        return "cannot be reached, or does not answer"
    return "ended the association"
