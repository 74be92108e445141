"""The catalog knows every collection that has an adapter."""

from __future__ import annotations

import re

import pytest

from hilum.data.catalog import CATALOG
from hilum.data.cohorts import COHORTS

OWN_DATA = {"csv", "folders"}


def test_every_collection_has_an_entry():
    assert CATALOG.keys() == COHORTS.keys() - OWN_DATA


@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG.keys())
def test_an_entry_is_complete(entry):
    for text in (entry.what, entry.size, entry.licence, entry.citation):
        assert text
    assert entry.films > 0
    assert entry.address.startswith("https://")
    assert bool(entry.remotes) != bool(entry.how), "fetched by us, or told how"
    for remote in entry.remotes:
        assert remote.url.startswith("https://")
        assert re.fullmatch("([0-9a-f]{64})?", remote.sha256)
        assert remote.unpack == remote.file.endswith(".zip")
