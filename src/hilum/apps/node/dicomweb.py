"""DICOMweb: results go to a peer by STOW-RS (PS3.18 10.5), and are looked for by QIDO-RS (10.6).

Films are looked for by QIDO-RS, too, and fetched by WADO-RS (10.4).
"""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import uuid4

import httpx
from pydicom.dataset import Dataset
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from hilum.apps.node.settings import Peer
from hilum.core.errors import ConfigError, PeerError

STORED, WARNED, CANNOT_UNDERSTAND = 0x0000, 0xB000, 0xC000
_ANSWERED = (200, 202, 409)
"""Whose body says what became of each object (PS3.18 table 10.5.3-1)."""
_NOT_ALLOWED, _LATER = (401, 403), (408, 429)
_GONE, _CANNOT = (404, 410), (500, 501)
_OF_OBJECT = (*_NOT_ALLOWED, *_GONE, *_CANNOT)
_JSON = "application/dicom+json"
_FAILED, _REASON, _SOP_UID = "00081198", "00081197", "00081155"
_DICOM = "application/dicom"
_UIDS = ("0020000D", "0020000E", "00080018")
"""Study, Series and SOP Instance UID."""
_UID = re.compile(r"[0-9.]{1,64}")
_PAGE, _PAGES = 500, 200
_LOG = logging.getLogger("hilum.receiver")
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

    def find(self, asked: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
        """Yield Study, Series and SOP Instance UID of what fits (QIDO-RS), a page at a time.

        Args:
            asked: keywords and values.

        Raises:
            PeerError: as for ``has``; a page that is refused after the first one is the end.
        """
        known: set[str] = set()
        offset = 0
        for _ in range(_PAGES):
            place = {"limit": str(_PAGE), "offset": str(offset)}
            alone = _GONE if offset else ()
            response = self._ask("GET", "/instances", alone=alone, params={**asked, **place})
            if offset and 400 <= response.status_code < 500:  # some refuse what is beyond the end
                _say_end(self._peer.name, response.status_code)
                return
            rows = _json(response) if response.status_code == 200 else []
            if response.status_code not in (200, 204) or not isinstance(rows, list):
                raise self._error(response)
            found = [uids for row in rows if (uids := _uids(row))]
            new = [uids for uids in found if uids[2] not in known]
            known |= {uids[2] for uids in new}
            yield from new
            if not new:  # the end, or one that knows no offset and begins anew
                return
            offset += len(rows)  # a server may give fewer than it was asked for (PS3.18 8.3.4.4)
        _LOG.warning("%s lists more than %d objects: ask for fewer", self._peer.name, offset)

    def fetch(self, study: str, series: str, sop_uid: str, path: Path, most: float) -> bool:
        """Write an object into a file (WADO-RS); False where the server does not give it.

        Args:
            study, series, sop_uid: of the object.
            path: to write to.
            most: bytes that it may have.

        Raises:
            PeerError: as for ``store``.
            OSError: the file cannot be written.
        """
        place = f"{self._peer.dicomweb}/studies/{study}/series/{series}/instances/{sop_uid}"
        kinds = {"Accept": f'multipart/related; type="{_DICOM}"; transfer-syntax=*'}
        try:
            with (
                self._client.stream("GET", place, headers=kinds) as response,
                path.open("wb") as out,
            ):
                self._judge(response, _OF_OBJECT)
                if response.status_code != 200:
                    return False
                part = _OnlyPart(response.headers.get("Content-Type", ""), out)
                for chunk in response.iter_bytes():
                    part.write(chunk)
                    if out.tell() > most:
                        return False
                return part.whole
        except MultipartParseError:
            return False
        except httpx.HTTPError as error:
            raise self._away(error) from None

    def delete(self, study: str, series: str, sop_uid: str) -> str | None:
        """Delete an object that was taken back; not of the standard, but many servers have it.

        Returns:
            why it was not deleted; None where it is gone, or was not there.

        Raises:
            PeerError: the server cannot be reached, or does nothing now.
        """
        place = f"/studies/{study}/series/{series}/instances/{sop_uid}"
        anything = {"Accept": "*/*"}  # Orthanc refuses the type of the other calls here, with 400
        response = self._ask("DELETE", place, alone=_OF_OBJECT, headers=anything)
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

    def _ask(
        self, method: str, path: str, *, alone: Collection[int] = (), **request: Any
    ) -> httpx.Response:
        try:
            response = self._client.request(method, self._peer.dicomweb + path, **request)
        except httpx.HTTPError as error:
            raise self._away(error) from None
        self._judge(response, alone)
        return response

    def _judge(self, response: httpx.Response, alone: Collection[int]) -> None:
        """Raise where an answer is of the server, and not ``alone`` of what was asked."""
        status = response.status_code
        if status in alone:
            return
        if status in (*_NOT_ALLOWED, *_LATER, 404) or status >= 500 or 300 <= status < 400:
            raise self._error(response)

    def _away(self, error: httpx.HTTPError) -> PeerError:
        why = "does not answer" if isinstance(error, httpx.ReadTimeout) else "cannot be reached"
        return PeerError(f"{self._peer.name}: {why}", hint=_ASK)

    def _error(self, response: httpx.Response) -> PeerError:
        status = response.status_code
        error = PeerError(f"{self._peer.name}: answered {status}", hint=_ASK)
        error.permanent = status in (*_NOT_ALLOWED, 404) or 300 <= status < 400
        after = response.headers.get("Retry-After", "")
        error.after_s = float(after) if re.fullmatch("[0-9]{1,6}", after) else 0.0
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


@cache  # once, not at every poll
def _say_end(peer: str, status: int) -> None:
    _LOG.warning("%s answered %d to a further page: taken for the end of its list", peer, status)


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


def _uids(row: Any) -> tuple[str, str, str] | None:
    """Return the UIDs of a row of DICOM JSON; None where one is missing, or is none."""
    try:
        study, series, sop_uid = (str(row[tag]["Value"][0]) for tag in _UIDS)
    except (KeyError, IndexError, TypeError):
        return None
    uids = study, series, sop_uid
    return uids if all(_UID.fullmatch(each) for each in uids) else None


class _OnlyPart:
    """Writes the first part of a multipart as it comes, or a body that is none.

    Args:
        kind: Content-Type of the body.
        out: to write to.

    Attributes:
        whole: it has come to its end.
    """

    def __init__(self, kind: str, out: BinaryIO) -> None:
        media, options = parse_options_header(kind)
        self._out, self._parts, self._parser = out, 0, None
        self.whole = media == _DICOM.encode()  # no multipart, though one was asked for
        if media == b"multipart/related" and options.get(b"boundary"):
            called = {"on_part_begin": self._begin, "on_part_data": self._data, "on_end": self._end}
            self._parser = MultipartParser(options[b"boundary"], cast("Any", called))
        elif not self.whole:
            raise MultipartParseError("neither a multipart nor an object")

    def write(self, chunk: bytes) -> None:
        """Take what has come.

        Raises:
            MultipartParseError: it is no multipart.
        """
        if self._parser is not None:
            self._parser.write(chunk)
        else:
            self._out.write(chunk)

    def _begin(self) -> None:
        self._parts += 1

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._parts == 1:
            self._out.write(data[start:end])

    def _end(self) -> None:
        self.whole = True


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
