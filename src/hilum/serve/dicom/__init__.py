"""DICOM: what a reading becomes in an archive: SR, SEG, GSPS, SC and PDF of the film."""

from hilum.serve.dicom.common import KINDS, Kind, PersonMark
from hilum.serve.dicom.make import Made, make_objects, objects_of, parse_kinds

__all__ = ["KINDS", "Kind", "Made", "PersonMark", "make_objects", "objects_of", "parse_kinds"]
