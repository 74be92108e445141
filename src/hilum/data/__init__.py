"""Data: collections on disk become cases tables; duplicates, splits, downloads."""
