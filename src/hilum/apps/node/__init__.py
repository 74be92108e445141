"""The node: films come from the network by DICOM, and results go back to it."""
