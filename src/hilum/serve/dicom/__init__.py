"""DICOM: what a reading becomes in an archive: SR, SEG, GSPS, SC and PDF of the film."""

from hilum.serve.dicom.common import PersonMark
from hilum.serve.dicom.make import KINDS, Made, make_objects, objects_of, parse_kinds

__all__ = ["KINDS", "Made", "PersonMark", "make_objects", "objects_of", "parse_kinds"]
