"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real radiographs that HILUM_DATA names; tests without it are skipped."""
    named = os.environ.get("HILUM_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("HILUM_DATA names no folder")
    return Path(named).resolve()
