"""Make: from a stored reading and its film to the objects that an archive keeps.

A pure function of the two: no network, no clock. It may be called in any process, again and at any
time, and gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.dataset import Dataset

from hilum.bundle.folder import Bundle, open_bundle
from hilum.core.config import did_you_mean
from hilum.core.errors import ConfigError
from hilum.core.extras import require
from hilum.core.reading import Reading, Status
from hilum.image.limits import gathered_warnings
from hilum.image.open import MAX_MEGAPIXELS
from hilum.serve.dicom.common import KINDS, Form, ObjectContent, PersonMark, Sent
from hilum.serve.dicom.source import read_source


class MadeObject(NamedTuple):
    """An object, or why there is none for this film."""

    kind: str
    dataset: Dataset | None
    why: str = ""


def parse_kinds(text: str) -> tuple[str, ...]:
    """Read "sr,seg": kinds in the order of ``KINDS``, each once.

    Raises:
        ConfigError: one of them is none, or there is not one.
    """
    named = [each.strip().lower() for each in text.split(",") if each.strip()]
    for each in named:
        if each not in KINDS:
            raise ConfigError(
                f"object '{each}': expected {', '.join(KINDS)}", hint=did_you_mean(each, KINDS)
            )
    if not named:
        raise ConfigError(f"no object named; expected {', '.join(KINDS)}", hint="e.g. sr,sc")
    return tuple(kind for kind in KINDS if kind in named)


def make_objects(
    reading: Mapping[str, Any],
    film: Path,
    kinds: Iterable[str] = tuple(KINDS),
    *,
    read_at: datetime | None = None,
    bundle: Bundle | None = None,
    marks: Iterable[PersonMark] = (),
    form: Form | None = None,
) -> list[Dataset]:
    """Return the objects of one reading: those of ``kinds`` that this film can have.

    Args:
        reading: as JSON has it, with details: without them no region but the whole film is known.
        film: the file that was read.
        kinds: of ``KINDS``.
        read_at: when it was read; without a time zone it is UTC, and the objects state none. None
            dates the objects by the film, because a reading does not say it.
        bundle: that made the reading, for what the PDF says of it: no PDF is made with
            another one. None: the one in the package.
        marks: of persons, for the SR and the GSPS: theirs, and said so.
        form: how they are made, where not as usual.

    Returns:
        complete data sets, to be written with ``save_as(path, enforce_file_format=True)``; none for
        a film that was not read, unless ``form`` wants a picture of a refusal.

    Raises:
        UnsupportedImageError: no CR, DX or SC image of a study; see ``read_source``.
        UnreadableImageError: the file is missing or broken.
        MissingExtraError: highdicom is not installed.
    """
    made = objects_of(reading, film, kinds, read_at=read_at, bundle=bundle, marks=marks, form=form)
    return [each.dataset for each in made if each.dataset is not None]


def objects_of(
    reading: Mapping[str, Any],
    film: Path,
    kinds: Iterable[str] = tuple(KINDS),
    *,
    read_at: datetime | None = None,
    bundle: Bundle | None = None,
    marks: Iterable[PersonMark] = (),
    max_megapixels: float = MAX_MEGAPIXELS,
    former: Sent | None = None,
    form: Form | None = None,
    blank: Collection[str] = (),
) -> Iterator[MadeObject]:
    """Make objects one by one, and say of each that cannot be why; see ``make_objects``.

    Of a film of more than ``max_megapixels`` there are none (UnsupportedImageError). ``former`` was
    sent of a reading that this one replaces. ``blank`` are keywords of patient and study that the
    objects leave empty, for who may not see them; their UIDs are others, then.
    """
    require("pacs")
    told = Reading.model_validate(dict(reading))
    wanted, form = parse_kinds(",".join(kinds)), form or Form()
    if told.status is Status.REFUSED and form.refusals == "sc":
        wanted = tuple(kind for kind in wanted if kind == "sc")
    elif told.status is not Status.READ:
        return
    source = read_source(film, max_megapixels, blank)
    subject = ObjectContent(told, film, source, read_at, tuple(marks), max_megapixels, former, form)
    evidence: list[Dataset] = []
    for kind in wanted:
        with gathered_warnings():
            made = _made(kind, subject, bundle, evidence)
        if kind == "seg" and made.dataset is not None:
            evidence.append(made.dataset)
        yield made


def rejection_of(
    reading: Mapping[str, Any],
    film: Path,
    reason: str,
    sent: Iterable[Sent],
    *,
    at: datetime,
    max_megapixels: float = MAX_MEGAPIXELS,
    form: Form | None = None,
) -> Dataset:
    """Return a note by which an archive takes objects of a film out of sight (IHE IOCM).

    Args:
        reading: that is in force now, or was last.
        film: its file.
        reason: "quality", "wrong-patient" or "worklist".
        sent: what is rejected; at least one object.
        at: when that was decided.
        max_megapixels: larger films are not opened.
        form: how the objects were made.
    """
    require("pacs")
    from hilum.serve.dicom.rejection import make_rejection

    source = read_source(film, max_megapixels)
    with gathered_warnings():
        told = Reading.model_validate(dict(reading))
        subject = ObjectContent(told, film, source, at, form=form or Form())
        return make_rejection(subject, reason, sent)


def _made(
    kind: str, subject: ObjectContent, bundle: Bundle | None, evidence: list[Dataset]
) -> MadeObject:
    """Import what makes it only now: highdicom takes its time."""
    from hilum.serve.dicom import documents, gsps, seg, sr

    if kind == "sr":
        return MadeObject(kind, sr.make_sr(subject, evidence))
    if kind == "seg":
        why = seg.why_no_seg(subject)
        return MadeObject(kind, None if why else seg.make_seg(subject), why)
    if kind == "gsps":
        why = gsps.why_no_gsps(subject)
        return MadeObject(kind, None if why else gsps.make_gsps(subject), why)
    if kind == "sc":
        return MadeObject(kind, documents.make_sc(subject))
    bundle = bundle or open_bundle()
    why = documents.why_no_pdf(subject, bundle)
    return MadeObject(kind, None if why else documents.make_pdf(subject, bundle), why)
