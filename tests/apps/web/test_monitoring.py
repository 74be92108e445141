"""Monitoring: an alarm that means something."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import select

from hilum.apps.store.tables import Model, Read
from hilum.apps.web.monitoring import drift, validation_shares
from hilum.bundle.folder import DEFAULT_BUNDLE, manifest_of
from hilum.core.labels import Label

API = "/api/v1"


@pytest.mark.parametrize("label", [output.label for output in manifest_of(DEFAULT_BUNDLE).labels])
@pytest.mark.parametrize("films", [50, 400])
def test_films_like_those_of_the_evaluation_seldom_raise_the_alarm(make_station, label, films):
    """With few films the index is large by chance alone; a limit of 0.25 knows nothing of that."""
    service = make_station(bundle=DEFAULT_BUNDLE).service
    shares = np.array(validation_shares(DEFAULT_BUNDLE, label))
    generator = np.random.default_rng(films)
    alarms = 0
    for _ in range(200):
        counts = generator.multinomial(films, shares / shares.sum())
        alike = np.repeat((np.arange(10) + 0.5) / 10, counts)
        alarms += drift(service, label, alike.tolist()).alarm
    assert alarms <= 8  # 1 in 100 by design; 4 in 100 leaves room for chance


def test_a_drift_is_found_with_fifty_films(make_station):
    service = make_station(bundle=DEFAULT_BUNDLE).service
    found = drift(service, Label.COVID_19, [0.97] * 30 + [0.05] * 20)
    assert found.alarm
    assert found.psi > found.chance > 0


def test_a_damaged_bundle_leaves_the_rest_of_the_page(station, make_film, tmp_path):
    station.film(make_film(1))
    station.service.bundles.base = tmp_path / "gone"
    found = station.client("reader").get(f"{API}/monitoring").json()
    assert (found["films"], found["scores"]["n"]) == (1, 0)


def _reads(session):
    return session.scalars(select(Read).order_by(Read.created_ms)).all()


def test_drift_is_of_the_network_and_not_of_its_calibration(station, make_film):
    """After a calibration to the site other probabilities are wanted, and are no alarm."""
    for i in range(4):
        station.film(make_film(i, level=60 * i))
    client = station.client("reader")
    before = client.get(f"{API}/monitoring").json()["scores"]
    with station.service.store.write() as session:
        model = session.scalars(select(Model)).one()
        adaptation = {"site": "St. Anna", "bundle": model.identity}
        manifest = model.manifest | {"adaptations": [adaptation]}
        session.add(Model(checksum="a" * 64, identity="adapted", manifest=manifest))
        session.flush()
        for read in _reads(session):
            finding = read.reading["findings"][0] | {"probability": 0.999}
            read.reading = read.reading | {"findings": [finding, *read.reading["findings"][1:]]}
            read.checksum = "a" * 64
    after = client.get(f"{API}/monitoring").json()["scores"]
    assert (after["n"], after["site"]) == (4, before["site"])


def test_films_that_were_forced_or_read_by_another_network_are_no_drift(station, make_film):
    for i in range(3):
        station.film(make_film(i))
    with station.service.store.write() as session:
        session.add(Model(checksum="b" * 64, identity="other 1", manifest={"adaptations": []}))
        session.flush()
        forced, foreign, _ = _reads(session)
        forced.forced = True
        foreign.checksum = "b" * 64
    found = station.client("reader").get(f"{API}/monitoring").json()
    assert found["films"] == 3
    assert found["scores"]["n"] == 1
