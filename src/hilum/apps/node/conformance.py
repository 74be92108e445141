"""Conformance: what this configuration does, in the form of PS3.2."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from pydicom.uid import UID

from hilum.apps.node.dimse import (
    ACSE_S,
    COMMITMENT,
    EXPLICIT,
    IMPLICIT,
    PDU_BYTES,
    VERIFICATION,
    acceptor,
)
from hilum.apps.node.settings import Node
from hilum.serve.dicom import KINDS, NOTE_CLASS


def statement(node: Node) -> dict[str, Any]:
    """Return what a test association would find, as JSON."""
    ae = acceptor(node)
    return {
        "product": f"Hilum {version('hilum')}",
        "ae_title": node.ae_title,
        "listen": node.listen,
        "implementation_class_uid": str(ae.implementation_class_uid),
        "implementation_version_name": ae.implementation_version_name,
        "max_pdu_bytes": PDU_BYTES,
        "max_associations": node.max_associations,
        "association_timeout_s": ACSE_S,
        "idle_timeout_s": node.association_idle_s,
        "callers": [each.ae_title for each in node.peers if each.receive and each.ae_title],
        "any_caller": node.accept_any or not node.peers,
        "tls": node.tls is not None,
        "stow": [each.name for each in node.peers if each.dicomweb],
        "scu": _scu(node),
        "modalities": list(node.read),
        "scp": {
            str(each.abstract_syntax): [str(uid) for uid in each.transfer_syntax]
            for each in ae.supported_contexts
        },
    }


def _scu(node: Node) -> dict[str, list[str]]:
    """Return what is proposed to peers: SOP class -> transfer syntaxes."""
    kinds = {kind for route in node.routes for kind in node.kinds(route, None)}
    proposed = {VERIFICATION: [IMPLICIT]}
    proposed |= {KINDS[kind]: [EXPLICIT, IMPLICIT] for kind in KINDS if kind in kinds}
    if node.routes:
        proposed[NOTE_CLASS] = [EXPLICIT, IMPLICIT]
    if any(each.commit for each in node.peers):
        proposed[COMMITMENT] = [EXPLICIT, IMPLICIT]
    return proposed


def markdown(node: Node) -> str:
    """Write the statement for people."""
    facts = statement(node)
    callers = "any" if facts["any_caller"] else ", ".join(facts["callers"]) or "none"
    syntaxes = sorted({uid for each in facts["scp"].values() for uid in each})
    classes = "\n".join(f"| {UID(uid).name} | {uid} |" for uid in facts["scp"])
    listed = "\n".join(f"| {UID(uid).name} | {uid} |" for uid in syntaxes)
    sent = "\n".join(f"| {UID(uid).name} | {uid} |" for uid in facts["scu"])
    modalities = ", ".join(node.read)
    stow = (
        "## DICOMweb user agent\n\nStore (STOW-RS, PS3.18 10.5): one object a request, "
        "multipart/related; type=application/dicom; Search (QIDO-RS, 10.6) of instances by SOP "
        f"Instance UID, as confirmation. To: {', '.join(facts['stow'])}.\n\n"
        if facts["stow"]
        else ""
    )
    security = (
        "TLS 1.2 or later; both sides have a certificate of an authority that the site names "
        "(PS3.15 B.12, the profile of the platform's TLS library)."
        if node.tls
        else "No secure transport connection profile."
    )
    dropped = {
        "ignore": "answered by success (0x0000) and dropped",
        "refuse": "answered by 0xA900",
    }[node.others]
    return f"""# DICOM conformance statement: {facts["product"]}

Made by `hilum node conformance` from the configuration of one site (PS3.2).
Research use only; not a medical device.

## Application entity `{node.ae_title}`

| | |
|---|---|
| Listens at | {node.listen} |
| Implementation class UID | {facts["implementation_class_uid"]} |
| Implementation version name | {facts["implementation_version_name"]} |
| Application context | 1.2.840.10008.3.1.1.1 |
| Largest PDU | {PDU_BYTES} bytes |
| Associations at once | {node.max_associations}; the next is rejected: local limit exceeded |
| Timeouts | association {ACSE_S:g} s, idle {node.association_idle_s:g} s |
| Called AE title | must be `{node.ae_title}` |
| Calling AE titles | {callers} |
| Asynchronous operations | none: one operation at a time |

## Service class provider

Verification, and Storage (level 2: the object is kept as it came). Success is answered when the
object is on disk and in the store. Of Storage Commitment the N-EVENT-REPORT is taken, for what this
node asked to be kept. Objects of modality {modalities} are kept and read; all others
are {dropped}. Results of Hilum itself are answered by success and dropped.

| C-STORE status | when |
|---|---|
| 0x0000 | kept, or kept before, or dropped as said above |
| 0x0110 | a failure that nobody thought of |
| 0x0124 | the caller may not send films |
| 0xA700 | no space, or the store does not answer: send it again |
| 0xA900 | not one grey frame |
| 0xC000 | broken, or known as a film of another patient |
| 0xC001 | a film with other pixels is kept under this SOP Instance UID |

| SOP class | UID |
|---|---|
{classes}

Each storage class is accepted in each of these transfer syntaxes, Verification in the first three
that are not compressed; of several that are proposed, the first is taken.

| Transfer syntax | UID |
|---|---|
{listed}

## Service class user

Results are sent in explicit or implicit VR little endian, not compressed.

| SOP class | UID |
|---|---|
{sent}

{stow}## Character sets

Those of PS3.3 C.12.1.1.2 that Python knows; names and ids are kept as Unicode.

## Security

AE titles are names, not passwords. {security}
"""
