"""Rejection: a note by which an archive takes objects out of sight (PS3.3 A.35.4; IHE IOCM)."""

from __future__ import annotations

from collections.abc import Iterable

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset

from hilum.serve.dicom.codes import REJECTED
from hilum.serve.dicom.common import MANUFACTURER, NOTE, ObjectContent, Sent, finished
from hilum.serve.dicom.sr import coded, evidence, observer


def make_rejection(subject: ObjectContent, reason: str, sent: Iterable[Sent]) -> Dataset:
    """Return a rejection note (Key Object Selection, 1.2.840.10008.5.1.4.1.1.88.59).

    Args:
        subject: the film; its ``read_at`` is when the objects were rejected.
        reason: of ``codes.REJECTED``.
        sent: what is rejected; at least one object.
    """
    rejected = []
    for each in sent:
        item = evidence(subject.source)
        item.SOPClassUID, item.SOPInstanceUID = each.sop_class, each.sop_uid
        item.SeriesInstanceUID = each.series_uid
        if each.kind not in ("seg", "sc"):  # no image: it is named as a composite object
            del item.Rows, item.Columns
        rejected.append(item)
    content = KeyObjectSelection(
        document_title=coded(REJECTED[reason]),
        referenced_objects=rejected,
        observer_device_context=observer(subject),
        description="Readings by a model (research use only) that no longer hold",
    )
    note = KeyObjectSelectionDocument(
        evidence=rejected,
        content=content,
        series_instance_uid=subject.series_uid(NOTE),
        series_number=1,
        sop_instance_uid="2.25.1",  # the true ones follow from the content
        instance_number=1,
        manufacturer=MANUFACTURER,
        requested_procedures=list(subject.source.requests) or None,
    )
    return finished(note, NOTE, subject, "KO")
