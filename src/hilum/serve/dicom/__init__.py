"""DICOM: what a reading becomes in an archive: SR, SEG, GSPS, SC and PDF of the film."""
