"""DICOMweb: results go to a peer by STOW-RS (PS3.18 10.5), and are looked for by QIDO-RS (10.6)."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from pydicom.dataset import Dataset

from hilum.apps.node.settings import Peer
from hilum.core.errors import ConfigError, PeerError

STORED, WARNED, CANNOT_UNDERSTAND = 0x0000, 0xB000, 0xC000
_ANSWERED = (200, 202, 409)
"""Whose body says what became of each object (PS3.18 table 10.5.3-1)."""
_NOT_ALLOWED, _LATER = (401, 403), (408, 429)
_GONE, _CANNOT = (404, 410), (500, 501)
_JSON = "application/dicom+json"
_FAILED, _REASON, _SOP_UID = "00081198", "00081197", "00081155"
_ASK = "ask its administrator for the address, and what this node may do there"


class Web:
    """A DICOMweb server, as long as it is sent to.

    Args:
        client: for its address.
        peer: which one it is.
    """

    def __init__(self, client: httpx.Client, peer: Peer) -> None:
        self._client, self._peer = client, peer

    def store(self, dataset: Dataset) -> int:
        """Send a file that was read, as it lies on disk (STOW-RS).

        Returns:
            the status as a C-STORE has it: 0x0000, 0xB000, or why it was not taken.

        Raises:
            PeerError: the server cannot be reached, or takes nothing now; ``permanent`` where
                trying again is in vain.
        """
        boundary = uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = head + Path(dataset.filename).read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        response = self._ask("POST", "/studies", content=body, headers={"Content-Type": kind})
        if response.status_code not in _ANSWERED:
            return CANNOT_UNDERSTAND
        return _status(response, str(dataset.SOPInstanceUID))

    def has(self, sop_uid: str) -> bool:
        """Say whether it has an object (QIDO-RS).

        Raises:
            PeerError: as for ``store``; or it does not say.
        """
        response = self._ask("GET", "/instances", params={"SOPInstanceUID": sop_uid})
        if response.status_code == 204:
            return False
        if response.status_code != 200:
            raise self._error(response)
        found = _json(response)
        if not isinstance(found, list):
            raise self._error(response)
        return bool(found)

    def delete(self, study: str, series: str, sop_uid: str) -> str | None:
        """Delete an object that was taken back; not of the standard, but many servers have it.

        Returns:
            why it was not deleted; None where it is gone, or was not there.

        Raises:
            PeerError: the server cannot be reached, or does nothing now.
        """
        place = f"/studies/{study}/series/{series}/instances/{sop_uid}"
        anything = {"Accept": "*/*"}  # Orthanc refuses the type of the other calls here, with 400
        response = self._ask("DELETE", place, gone=True, headers=anything)
        if response.is_success or response.status_code in _GONE:
            return None
        return f"the peer answered {response.status_code} to DELETE"

    def check(self) -> None:
        """Look whether it answers.

        Raises:
            PeerError: it does not, or not as DICOMweb does.
        """
        response = self._ask("GET", "/studies", params={"limit": "1"})
        if response.status_code not in (200, 204):
            raise self._error(response)

    def _ask(self, method: str, path: str, *, gone: bool = False, **request: Any) -> httpx.Response:
        try:
            response = self._client.request(method, self._peer.dicomweb + path, **request)
        except httpx.HTTPError as error:
            why = "does not answer" if isinstance(error, httpx.ReadTimeout) else "cannot be reached"
            raise PeerError(f"{self._peer.name}: {why}", hint=_ASK) from None
        status = response.status_code
        if gone and status in (
            *_NOT_ALLOWED,
            *_GONE,
            *_CANNOT,
        ):  # of this object, whatever becomes of others
            return response
        if status in _NOT_ALLOWED or status in _LATER or status >= 500 or 300 <= status < 400:
            raise self._error(response)
        if status == 404:
            raise self._error(response)
        return response

    def _error(self, response: httpx.Response) -> PeerError:
        status = response.status_code
        error = PeerError(f"{self._peer.name}: answered {status}", hint=_ASK)
        error.permanent = status in (*_NOT_ALLOWED, 404) or 300 <= status < 400
        return error


@contextmanager
def opened(peer: Peer, data: Path) -> Iterator[Web]:
    """Yield a DICOMweb server; nothing is asked of it yet.

    Args:
        peer: with ``dicomweb``.
        data: folder of data, for its files of secrets and certificates.

    Raises:
        ConfigError: one of those is missing, or others may read it.
    """
    headers = {"Accept": _JSON}
    if peer.token_file is not None:
        headers["Authorization"] = f"Bearer {_secret(data / peer.token_file)}"
    user = (peer.user, _secret(data / peer.password_file)) if peer.password_file else None
    try:
        believed = ssl.create_default_context(cafile=str(data / peer.ca) if peer.ca else None)
    except OSError as error:
        raise ConfigError(f"{data / str(peer.ca)}: {error.strerror or error}") from None
    with httpx.Client(
        headers=headers, auth=user, verify=believed, timeout=peer.timeout_s, trust_env=False
    ) as client:
        yield Web(client, peer)


def _secret(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others may read this secret", hint=f"chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _status(response: httpx.Response, sop_uid: str) -> int:
    """Read what became of an object from the Store Instances Response (PS3.18 10.5.3)."""
    told = _json(response)
    told = told[0] if isinstance(told, list) and told else told
    rows = told.get(_FAILED, {}).get("Value") or [] if isinstance(told, dict) else []
    for row in rows:
        named = (row.get(_SOP_UID, {}).get("Value") or [sop_uid])[0]
        if named == sop_uid:
            return int((row.get(_REASON, {}).get("Value") or [CANNOT_UNDERSTAND])[0])
    return {200: STORED, 202: WARNED}.get(response.status_code, CANNOT_UNDERSTAND)
