"""Check: whether a peer is there, knows this node, and takes what is to go to it."""

from __future__ import annotations

from pathlib import Path

from hilum.apps.node import dicomweb, dimse
from hilum.apps.node.settings import Node, Peer
from hilum.apps.node.watching import check_folders
from hilum.core.errors import PeerError
from hilum.serve.dicom import KINDS, NOTE_CLASS


def check_peer(node: Node, peer: Peer, data: Path) -> str:
    """Return in words what a peer does.

    Raises:
        ConfigError: the files for TLS are wrong.
        PeerError: it does not answer, does not take what a route sends to it, or a folder of it is
            missing.
    """
    folders = check_folders(peer, data)
    if peer.dicomweb:
        with dicomweb.opened(peer, data) as web:
            web.check()
            polled = peer.poll_s is not None
            if polled:
                next(web.find({"Modality": node.read[0]}), None)
        words = ["answers DICOMweb", "is asked for films" if polled else "", folders]
        return ", ".join(filter(None, words))
    if not peer.host:
        return folders or "sends only; it has no host"
    dimse.echo(node, peer, data)
    words = ["answers C-ECHO by TLS" if peer.tls else "answers C-ECHO"]
    words += [folders] if folders else []
    routes = [route for route in node.routes if peer.name in route.to]
    routed = {kind for route in routes for kind in node.kinds(route, peer)}
    wanted: dict[str, str] = {kind: KINDS[kind] for kind in KINDS if kind in routed}
    if node.objects.sends_notes and wanted:
        wanted["rejection notes"] = NOTE_CLASS
    if peer.commit:
        wanted["storage commitment"] = dimse.COMMITMENT
    if wanted:
        taken = dimse.taken(node, peer, wanted.values(), data)
        missing = [kind for kind, uid in wanted.items() if uid not in taken]
        if missing:
            raise PeerError(
                f"{peer.name}: {words[0]}, does not take {', '.join(missing)}",
                hint="have it accept them, or change objects = or commit = in hilum.toml",
            )
        words.append(f"takes {', '.join(wanted)}")
    return ", ".join(words)
