"""Films by DICOMweb (STOW-RS, PS3.18 10.5): the same road as a C-STORE, and the same statuses."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from hilum.apps.node.settings import Node
from hilum.apps.node.taking import TakenObject, Taker
from hilum.apps.store.people import Role
from hilum.apps.web.access import Visitor, address_of, needs
from hilum.apps.web.pace import taking
from hilum.apps.web.problems import RETRY_S, Problem, problem_of, too_large
from hilum.apps.web.schemas import API
from hilum.apps.web.service import Served, Service

router = APIRouter(prefix=API, tags=["films"])
STUDIES = "/dicom-web/studies"
_JSON, _DICOM = "application/dicom+json", "application/dicom"
_Reviewer = Annotated[Visitor, needs(Role.REVIEWER)]
_StudyUid = Annotated[str, InPath(pattern=r"^[0-9.]{1,64}$", examples=["1.2.3"])]
_ANSWER = {"content": {_JSON: {"schema": {"type": "object"}}}}
_DESCRIBED: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"multipart/related": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    "responses": {
        200: _ANSWER | {"description": "All are on disk and in the store, or are no films"},
        202: _ANSWER | {"description": "Some were not taken: FailedSOPSequence says which"},
        409: _ANSWER | {"description": "None was taken: FailedSOPSequence says why"},
    },
}


@router.post(STUDIES, summary="Store objects (STOW-RS)", **_DESCRIBED)
async def store(request: Request, visitor: _Reviewer, service: Served) -> Response:
    """Take DICOM objects by DICOMweb, as the node takes them by C-STORE.

    What is answered follows PS3.18 10.5.3; each FailureReason is the status of a C-STORE.
    """
    return await _stored(request, visitor, service, None)


@router.post(STUDIES + "/{study}", summary="Store objects of a study (STOW-RS)", **_DESCRIBED)
async def store_of_study(
    study: _StudyUid, request: Request, visitor: _Reviewer, service: Served
) -> Response:
    """Take DICOM objects of one study; an object of another one fails."""
    return await _stored(request, visitor, service, study)


async def _stored(
    request: Request, visitor: Visitor, service: Service, study: str | None
) -> Response:
    node = service.settings.node or Node(reserve_gb=0)
    sender = node.stows(visitor.name, address_of(request))
    if sender is None:
        raise Problem(
            403, "not-allowed", "films are not taken from this peer", hint="see [[node.peers]]"
        )
    if shutil.disk_usage(service.data).free < node.reserve_gb * 1e9:
        again = {"Retry-After": RETRY_S}
        raise Problem(503, "disk-full", "less space is left than reserve_gb", headers=again)
    parts = _Parts(service)
    try:
        await parts.receive(request)
        megapixels = service.settings.limits.megapixels
        taker = Taker(service.store, service.folder, service.log, node, megapixels)
        take = partial(taker.take, sender=sender, who=visitor.name, study=study)
        answers = await to_thread.run_sync(partial(_each, take, parts.paths), limiter=taking())
    finally:
        parts.close()
    for each in answers:
        _count(service, each)
    return _answer(answers)


def _each(take: Callable[[Path], TakenObject], paths: list[Path]) -> list[TakenObject]:
    return [take(path) for path in paths]


class _Parts:
    """The parts of a body, each in a file of its own as it comes: none is held in memory.

    Args:
        service: in whose folder they are until they are taken.
    """

    def __init__(self, service: Service) -> None:
        self._folder, self._limits = service.folder.incoming, service.settings.limits
        self._file: BinaryIO | None = None
        self._name, self._value = b"", b""
        self._whole = False
        self.paths: list[Path] = []

    async def receive(self, request: Request) -> None:
        """Write the body.

        Raises:
            Problem: it is none of DICOM objects, is too large, or is cut off.
        """
        parser = MultipartParser(_boundary(request), cast("Any", self._callbacks()))
        try:
            async for chunk in request.stream():
                parser.write(chunk)
        except MultipartParseError:
            raise Problem(400, "invalid", "the body is no multipart of its boundary") from None
        if not self._whole or not self.paths:
            raise Problem(400, "invalid", "the body ends before its last boundary, or has no part")

    def close(self) -> None:
        """Remove what was not taken."""
        if self._file is not None:
            with suppress(OSError):  # on a full disk what it still holds cannot be written
                self._file.close()
        for path in self.paths:
            path.unlink(missing_ok=True)

    def _callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._content,
            "on_header_end": self._header,
            "on_part_data": self._data,
            "on_part_end": self._finish,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        if len(self.paths) >= self._limits.files:
            raise too_large(f"more than {self._limits.files} objects in one request")
        handle, name = tempfile.mkstemp(dir=self._folder)
        self._file = os.fdopen(handle, "wb")
        self.paths.append(Path(name))

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _content(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header(self) -> None:
        if self._name.lower() == b"content-type":
            kind, _ = parse_options_header(self._value)
            if kind.decode("latin-1") != _DICOM:
                raise _not_dicom("a part")
        self._name, self._value = b"", b""

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            if self._file.tell() > self._limits.file_mb * 1e6:
                raise too_large(f"an object is larger than {self._limits.file_mb:g} MB")

    def _finish(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self._whole = True


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/related" or options.get(b"type", b"").decode("latin-1") != _DICOM:
        raise _not_dicom("the request")
    if not (boundary := options.get(b"boundary")):
        raise Problem(400, "invalid", "the Content-Type has no boundary")
    return boundary


def _not_dicom(what: str) -> Problem:
    expected = f'multipart/related; type="{_DICOM}"; boundary=..., of parts {_DICOM}'
    return Problem(415, "invalid", f"{what} has another Content-Type; expected {expected}")


def _count(service: Service, answer: TakenObject) -> None:
    meter = service.meter
    if answer.outcome == "accepted":
        meter.accepted.inc()
    elif answer.outcome == "duplicate":
        meter.duplicates.inc()
    elif answer.status:
        code = problem_of(answer.error)["code"] if answer.error is not None else answer.outcome
        meter.rejected.labels(code).inc()


def _answer(answers: list[TakenObject]) -> Response:
    """Say what became of each (PS3.18 10.5.3, Store Instances Response Module)."""
    stored = [_item(each) for each in answers if not each.status]
    failed = [
        _item(each) | {"00081197": {"vr": "US", "Value": [each.status]}}
        for each in answers
        if each.status
    ]
    told = {
        tag: {"vr": "SQ", "Value": items}
        for tag, items in (("00081198", failed), ("00081199", stored))
        if items
    }
    status, headers = (200 if not failed else 202), {}
    if not stored:
        status = 409
        if all(each.later for each in answers):
            status, headers = 503, {"Retry-After": RETRY_S}
    return Response(json.dumps(told), status, media_type=_JSON, headers=headers)


def _item(answer: TakenObject) -> dict[str, Any]:
    header = answer.header
    uids = (header.class_uid, header.instance_uid) if header is not None else (None, None)
    return {
        tag: {"vr": "UI", "Value": [uid]}
        for tag, uid in zip(("00081150", "00081155"), uids, strict=True)
        if uid
    }
