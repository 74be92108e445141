"""Films that are sent again, as the API answers them."""

from __future__ import annotations

import copy
import io

import pydicom
import pytest
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import RLELossless

from hilum.serve.samples import ROOT

API = "/api/v1"


@pytest.fixture(scope="module")
def dataset():
    found = pydicom.dcmread(next(each for each in sorted(ROOT.rglob("*.dcm"))))
    found.decompress()
    return found


def _file(dataset, name="film.dcm", **attributes):
    out = io.BytesIO()
    dataset.save_as(out)
    changed = pydicom.dcmread(io.BytesIO(out.getvalue()))
    for key, value in attributes.items():
        setattr(changed, key, value)
    again = io.BytesIO()
    changed.save_as(again)
    return name, again.getvalue()


def test_a_torn_film_is_mended_by_sending_it_whole(station, dataset):
    name, whole = _file(dataset)
    refused = station.send(("short.dcm", whole[: len(whole) // 2]))  # its header says so
    assert "truncated" in refused.text
    packed = copy.deepcopy(dataset)
    packed.compress(RLELossless, generate_instance_uid=False)
    frame = get_frame(packed.PixelData, 0, number_of_frames=1)
    torn = _file(packed, "torn.dcm", PixelData=encapsulate([frame[: len(frame) // 4 * 2]]))
    film_id = station.send(torn).json()["accepted"][0]["film_id"]
    station.read()
    client = station.client("reviewer")
    assert client.get(f"{API}/films/{film_id}").json()["status"] == "error"
    answer = station.send((name, whole))
    assert answer.status_code == 201
    (accepted,) = answer.json()["accepted"]
    assert accepted["film_id"] == film_id
    assert (accepted["replaced"], accepted["duplicate"], accepted["differs"]) == (True, False, None)
    station.read()
    film = client.get(f"{API}/films/{film_id}").json()
    assert film["status"] in ("read", "refused")
    assert film["name"] == name
    assert client.get(f"{API}/films/{film_id}/pixels").status_code == 200
    (study,) = client.get(f"{API}/studies").json()["items"]
    assert (study["films"], study["status"]) == (1, film["status"])
    log = station.client("administrator").get(f"{API}/log").json()["items"]
    assert [each["film_id"] for each in log if each["action"] == "replaced"] == [film_id]


def test_other_pixels_under_a_known_uid_are_a_rejection_that_names_the_film(station, dataset):
    first = station.send(_file(dataset)).json()["accepted"][0]
    pixels = bytearray(dataset.PixelData)
    pixels[len(pixels) // 2] ^= 1
    other = _file(dataset, "other.dcm", PixelData=bytes(pixels))
    answer = station.send(other)
    assert answer.status_code == 409
    assert answer.json()["code"] == "other-pixels"
    (rejected,) = answer.json()["rejected"]
    assert (rejected["name"], rejected["code"]) == ("other.dcm", "other-pixels")
    assert rejected["film_id"] == first["film_id"]
    header = station.send(_file(dataset, PatientComments="again"), other)
    assert header.status_code == 201
    (accepted,) = header.json()["accepted"]
    assert (accepted["duplicate"], accepted["differs"]) == (True, "header")
    assert len(header.json()["rejected"]) == 1
