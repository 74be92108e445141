"""DICOM: what a reading becomes in an archive: SR, SEG, GSPS, SC and PDF of the film."""

from hilum.serve.dicom.common import KINDS, NOTE, NOTE_CLASS, Form, Kind, PersonMark, Sent
from hilum.serve.dicom.make import MadeObject, make_objects, objects_of, parse_kinds, rejection_of

__all__ = [
    "KINDS",
    "NOTE",
    "NOTE_CLASS",
    "Form",
    "Kind",
    "MadeObject",
    "PersonMark",
    "Sent",
    "make_objects",
    "objects_of",
    "parse_kinds",
    "rejection_of",
]
