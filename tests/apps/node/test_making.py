"""What is made of a reading, by which route, and what becomes of it when that fails."""

from __future__ import annotations

import json

import pytest
from pydicom import dcmread

from hilum.apps.node.making import Maker
from hilum.apps.node.settings import Node
from hilum.apps.node.status import summary
from hilum.apps.store import outbox, wanted
from hilum.apps.store.folder import FilmFolder
from hilum.apps.store.log import open_log
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import Delivery, Film, Line, Made, Model, Read, Received, Result, Study
from hilum.core.errors import StoreFullError, UnsupportedImageError

FINDING = {"label": "covid-19", "present": True, "probability": 0.7}
PEERS = [
    {"name": name, "ae_title": name.upper(), "host": "127.0.0.1"} for name in ("ct", "pacs", "ward")
]


class Desk:
    """A reading of a film from the peer ``ct``, and a maker for it."""

    def __init__(self, data, url, make_dicom):
        self.store = open_store(url)
        self.log, self.folder = open_log(self.store, data), FilmFolder(data)
        self.asked, self._make_dicom = [], make_dicom
        with self.store.write() as session:
            session.add(Model(checksum="c", identity="b", manifest={}))
            session.add(Study(id="s", name="x", status="read"))
            session.flush()
            session.add(Film(id="f", study_id="s", sha256="f", name="x", size=1, format="DX"))
            session.flush()
            reading = {"status": "read", "findings": [FINDING]}
            read = Read(id="r", film_id="f", checksum="c", status="read", reading=reading)
            session.add_all((read, Received(film_id="f", peer="ct", address="127.0.0.1")))
            session.flush()
            wanted.want(session, read)

    def make(self, making, film, kinds):
        """Make plain objects."""
        self.asked.append((making.reading_id, film.name, kinds))
        for place, kind in enumerate(kinds):
            yield kind, dcmread(self._make_dicom(place, SOPInstanceUID=f"1.2.{place}")), ""

    def maker(self, *routes, make=None, peers=PEERS, site=None):
        node = Node.parse({"peers": peers, "routes": routes, "objects": site or {}}, where="t")
        return Maker(self.store, self.folder, self.log, node, make or self.make, None)

    def all(self, table):
        with self.store.read() as session:
            return session.query(table).all()


@pytest.fixture
def desk(tmp_path, make_dicom, put_store):
    data = tmp_path / "data"
    made = Desk(data, put_store(data), make_dicom)
    yield made
    made.store.close()


def _route(source="ct", to=("pacs",), **more):
    return {"from": source, "to": list(to), **more}


@pytest.mark.parametrize(
    ("routes", "to"),
    [
        ([_route()], ["pacs"]),
        ([_route("*", ["pacs", "ward"])], ["pacs", "ward"]),
        ([_route("ward"), _route("ct", ["ward"])], ["ward"]),
        ([_route("ward")], []),
        ([_route(when={"present": "covid-19", "min_probability": 0.7})], ["pacs"]),
        ([_route(when={"present": "covid-19", "min_probability": 0.8})], []),
        ([_route(when={"present": "pneumonia"}), _route(to=["ward"])], ["ward"]),
    ],
)
def test_the_first_route_that_fits_counts(desk, routes, to):
    maker = desk.maker(*routes)
    assert maker.step()
    assert not maker.step()
    assert sorted({each.peer for each in desk.all(Delivery)}) == to
    assert desk.asked == ([("r", "f", ("sc", "sr"))] if to else [])
    assert [each.state for each in desk.all(Made)] == ["made"]
    for result in desk.all(Result):
        assert dcmread(desk.folder.result(result.sha256)).SOPInstanceUID == result.sop_uid


def test_each_peer_gets_the_kinds_that_it_takes(desk):
    objects = {"pacs": ["sc", "pdf"], "ward": ["sr"]}
    peers = [each | {"objects": objects.get(each["name"], [])} for each in PEERS]
    route = _route(to=["pacs", "ward"], objects=["seg", "sc", "sr"])
    assert desk.maker(route, peers=peers).step()
    assert [kinds for _, _, kinds in desk.asked] == [("sc", "sr")]  # nobody takes the seg
    kinds = {each.id: each.kind for each in desk.all(Result)}
    found = sorted((each.peer, kinds[each.result_id]) for each in desk.all(Delivery))
    assert found == [("pacs", "sc"), ("ward", "sr")]


def test_a_route_that_names_no_kinds_gets_those_of_the_site(desk):
    assert desk.maker(_route(), site={"make": ["pdf", "seg"]}).step()
    assert [kinds for _, _, kinds in desk.asked] == [("seg", "pdf")]


@pytest.mark.parametrize("urgent", [False, True])
def test_what_goes_by_an_urgent_route_waits_before_the_rest(desk, urgent):
    maker = desk.maker(_route(urgent=urgent))
    with desk.store.write() as session:
        session.get_one(Made, "r").urgent = urgent
    assert maker.presses() is urgent
    assert maker.step()
    assert {each.urgent for each in desk.all(Delivery)} == {urgent}


@pytest.mark.parametrize(
    ("refusals", "when", "kinds"),
    [("none", None, []), ("sc", None, ["sc"]), ("sc", {"present": "covid-19"}, [])],
)
def test_of_a_film_that_was_refused_a_site_may_want_a_picture(desk, refusals, when, kinds):
    with desk.store.write() as session:
        read = session.get_one(Read, "r")
        read.status, read.reading = "refused", {"status": "refused", "findings": []}

    def make(making, film, wanted):
        assert wanted == ("sc", "sr")
        return [each for each in desk.make(making, film, wanted) if each[0] == "sc"]

    route = _route() if when is None else _route(when=when)
    assert desk.maker(route, make=make, site={"refusals": refusals}).step()
    assert [each.kind for each in desk.all(Result)] == kinds


def test_a_film_that_fitted_no_route_is_made_when_it_comes_by_one_that_fits(desk):
    maker = desk.maker(_route("ward"))
    assert maker.step()
    with desk.store.write() as session:
        session.get_one(Film, "f").reading_id = "r"
    for _ in range(2):  # the second time its results are there
        with desk.store.write() as session:
            session.add(Received(film_id="f", peer="ward", address="127.0.0.1", duplicate=True))
            session.flush()
            wanted.want_once(session, "f")
        maker.step()
    assert desk.asked == [("r", "f", ("sc", "sr"))]
    assert {each.peer for each in desk.all(Delivery)} == {"pacs"}


def test_a_full_disk_is_no_failure_of_the_making(desk):
    full = [1, 1, 1, 1, 1]

    def make(*arguments):
        if full:
            full.pop()
            raise StoreFullError("no space left")
        return desk.make(*arguments)

    maker = desk.maker(_route(), make=make)
    for _ in range(5):
        with pytest.raises(StoreFullError):
            maker.step()
    assert maker.step()
    assert [each.state for each in desk.all(Made)] == ["made"]


@pytest.mark.parametrize("error", [UnsupportedImageError("no study"), RuntimeError("SECRET")])
def test_what_cannot_be_made_is_said_and_can_be_tried_again(desk, error):
    def make(_, path, __):
        if isinstance(error, UnsupportedImageError):
            raise UnsupportedImageError(f"{path}: no study")
        raise error

    assert desk.maker(_route(), make=make).step()
    (made,) = desk.all(Made)
    said = "no study" if isinstance(error, UnsupportedImageError) else "unexpected: RuntimeError"
    assert (made.state, made.error) == ("failed", said)
    (line,) = desk.all(Line)
    assert (line.action, line.film_id, json.loads(line.data)["why"]) == (
        "results-failed",
        "f",
        said,
    )
    with desk.store.read() as session:
        assert summary(session)["failed"] == [{"film_id": "f", "error": said}]
    outbox.retry(desk.store, desk.log, "anna")
    assert desk.maker(_route()).step()
    assert [each.state for each in desk.all(Made)] == ["made"]


def test_which_kind_a_film_cannot_have_stands_in_the_log(desk):
    def make(*arguments):
        yield from desk.make(*arguments)
        yield "seg", None, "its pixels lie nobody knows how far apart"

    assert desk.maker(_route(), make=make).step()
    (line,) = desk.all(Line)
    said = json.loads(line.data)
    assert said["kinds"] == ["sc", "sr"]
    assert said["left_out"] == {"seg": "its pixels lie nobody knows how far apart"}


def test_what_ends_its_maker_three_times_is_given_up(desk):
    for _ in range(wanted.MAX_ATTEMPTS):
        assert wanted.claim_making(desk.store) is not None  # and the worker was killed
    assert desk.maker(_route()).step()
    (made,) = desk.all(Made)
    assert made.state == "failed"
    assert "ended the worker" in made.error
    assert desk.asked == []
