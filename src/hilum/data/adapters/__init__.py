"""Adapters: one plain function a collection, ``read_x(root, *, name) -> Cohort``."""
