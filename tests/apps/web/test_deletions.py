"""Deleting many studies, erasing a patient, retention; and who looked at what."""

from __future__ import annotations

import io
import json
import zlib
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update

from hilum.apps.cli.main import run
from hilum.apps.store import deletion, outbox, resultfiles, trash
from hilum.apps.store.people import Role, add_person, add_token
from hilum.apps.store.store import open_store
from hilum.apps.store.tables import (
    Bygone,
    Desk,
    Film,
    Job,
    Read,
    Reference,
    Report,
    Ruler,
    Study,
    Table,
    Trashed,
    Verdict,
    now_ms,
)  # fmt: skip
from hilum.apps.web import app, looks
from hilum.apps.web.settings import Retention, Settings
from hilum.core.errors import ConfigError, StoreError

API = "/api/v1"
PATIENT = "Ivanova-1957/04"
OTHER = "P-other"


def _worked_on(station, make_film, numbers, patient):
    """Films of a patient, each read, judged, marked and reported."""
    films = []
    for number in numbers:
        film_id = station.film(make_film(number), patient_id=patient)
        films.append(film_id)
        client, path = station.client("reviewer"), f"{API}/films/{film_id}"
        mark = {"kind": "point", "points": [[3, 4]], "text": "here"}
        verdict = {"finding": "covid-19", "verdict": "present", "marks": [mark]}
        assert client.post(f"{path}/verdicts", json=verdict).status_code == 201
        truth = {"finding": "covid-19", "value": 1}
        assert client.put(f"{path}/reference", json=truth).status_code == 200
        assert client.put(f"{path}/desk", json={"text": "begun"}).status_code == 200
        ruler = {"points": [[0, 0], [50, 0]], "mm": 25}
        assert client.put(f"{path}/ruler", json=ruler).status_code == 200
        report = {"findings": f"of {patient}"}
        assert client.post(f"{path}/reports", json=report).status_code == 201
        client.get(f"{path}/thumbnail.jpg")
    return films


def _ids(station, patient):
    with station.service.store.read() as session:
        query = select(Study.id).where(Study.patient_id == patient).order_by(Study.created_ms)
        return list(session.scalars(query))


def _counts(station):
    kinds = (Study, Film, Job, Read, Verdict, Reference, Report, Desk, Ruler)
    with station.service.store.read() as session:
        return {
            kind.__name__: session.scalar(select(func.count()).select_from(kind)) for kind in kinds
        }


def _actions(station):
    lines = reversed(station.service.log.lines(limit=1000))
    return [(line.action, json.loads(line.data)) for line in lines]


def _held(station, words):
    """Files of the folder of data, the database and its journal among them, that hold a text."""
    found = station.service.data.rglob("*")
    return [each.name for each in found if each.is_file() and words.encode() in each.read_bytes()]


def test_a_patient_is_erased_whole_and_the_log_names_nobody(station, make_film):
    gone = _worked_on(station, make_film, (1, 2, 3), PATIENT)
    _worked_on(station, make_film, (4,), OTHER)
    admin, body = station.client("administrator"), {"patient_id": PATIENT}
    shown = admin.post(f"{API}/deletions/preview", json=body).json()
    counts = {key: shown[key] for key in ("studies", "films", "readings", "verdicts", "marks")}
    assert counts == dict.fromkeys(counts, 3)
    assert (shown["reference_standards"], shown["reports"]) == (3, 3)
    assert (shown["unfinished"], shown["rulers"]) == (3, 3)
    assert _counts(station)["Study"] == 4  # so far it was only shown
    sure = {"confirm": shown["confirm"], "reason": "asked for"}
    done = admin.post(f"{API}/deletions", json=body | sure)
    assert (done.status_code, done.json()) == (200, shown)
    assert set(_counts(station).values()) == {1}
    for film_id in gone:
        for what in ("", "/image", "/pixels", "/thumbnail.jpg", "/reading", "/reports"):
            assert admin.get(f"{API}/films/{film_id}{what}").status_code == 404
    kept = [each for each in station.service.folder.root.rglob("*") if each.is_file()]
    assert len(kept) == 1
    assert _held(station, PATIENT) == []
    assert _held(station, f"of {PATIENT}") == []
    action, data = _actions(station)[-1]
    assert (action, data["studies"], data["reason"]) == ("patient-erased", 3, "asked for")
    assert data["patient"] == station.service.log.pseudonym(PATIENT)
    assert station.service.log.verify().ok
    again = admin.post(f"{API}/deletions/preview", json=body).json()
    assert (again["studies"], again["first_at"]) == (0, None)


def _values(found):
    """An analysis without its intervals, which hang on the order of patients by name.

    And without what a reader misses: an erased film is missed no more.
    """
    if isinstance(found, dict):
        left = {key: each for key, each in found.items() if key not in ("low", "high", "asked")}
        return {key: _values(each) for key, each in left.items()}
    return [_values(each) for each in found] if isinstance(found, list) else found


def test_a_reader_study_keeps_its_figures_and_nobody_else_when_a_patient_is_erased(
    station, make_film
):
    """Call, confidence, truth and the machine's answer; no film, words, marks or patient."""
    films = [station.film(make_film(number), patient_id=PATIENT) for number in (1, 2)]
    films.append(station.film(make_film(3), patient_id=OTHER))
    admin, client = station.client("administrator"), station.client("reviewer")
    people = admin.get(f"{API}/users").json()["items"]
    readers = [each["user_id"] for each in people if each["name"] == "reviewer-1"]
    body = {
        "name": "study", "film_ids": films, "readers": readers, "findings": ["covid-19"],
        "blind": True, "confidence": True,
    }  # fmt: skip
    path = f"{API}/lists/{admin.post(f'{API}/lists', json=body).json()['list_id']}"
    mark = {"kind": "point", "points": [[3, 4]], "text": "secret mark"}
    for film_id, sure, truth in zip(films, (90, 20, 60), (1, 0, 1), strict=True):
        known = {"finding": "covid-19", "value": truth}
        admin.put(f"{API}/films/{film_id}/reference", json=known)
        said = {
            "finding": "covid-19", "verdict": "present" if sure > 50 else "absent", "blind": True,
            "confidence": sure, "list_id": path.rpartition("/")[2], "marks": [mark],
            "text": f"said of {sure}", "seconds": 9.5,
        }  # fmt: skip
        assert client.post(f"{API}/films/{film_id}/verdicts", json=said).status_code == 201
    assert client.get(f"{API}/films/{films[0]}/reading").status_code == 200  # and held to it
    client.post(f"{API}/films/{films[0]}/verdicts", json={"finding": "mass", "verdict": "absent"})

    def figures():
        found = _values(admin.get(f"{path}/analysis").json())
        table = admin.get(f"{path}/mrmc.csv").text.splitlines()
        return found, table

    before, table = figures()
    # one of the studies lies in the trash, and one of its films came again for somebody else
    assert admin.delete(f"{API}/studies/{_ids(station, PATIENT)[1]}").status_code == 204
    station.film(make_film(2), patient_id="P-third")
    erase = {"patient_id": PATIENT}
    shown = admin.post(f"{API}/deletions/preview", json=erase).json()
    assert (shown["verdicts"], shown["trashed"], shown["kept_verdicts"]) == (2, 1, 2)
    done = admin.post(f"{API}/deletions", json=erase | {"confirm": shown["confirm"]})
    assert done.status_code == 200, done.text
    after, left = figures()
    assert (before.pop("erased"), after.pop("erased")) == (0, 2)
    assert after == before
    case, patient = 1, 6  # of a row: both are other names now, of one patient
    cells, rest = ([line.split(",") for line in each[1:]] for each in (table, left))
    assert [row[case] for row in rest if row[case] in films] == [films[2]]
    gone = {row[patient] for row in rest if row[case] != films[2]}
    assert len(gone) == 1
    assert not gone & {row[patient] for row in cells}
    bare = [[v for at, v in enumerate(row) if at not in (case, patient)] for row in cells]
    same = [[v for at, v in enumerate(row) if at not in (case, patient)] for row in rest]
    assert sorted(bare) == sorted(same)
    with station.service.store.read() as session:
        kept = [vars(each) for each in session.scalars(select(Bygone))]
    assert not {value for row in kept for value in row.values() if value in films}
    assert _held(station, PATIENT) == _held(station, "said of 90") == []
    assert _held(station, "said of 60") != []
    # the list lives on: its reader stays, it is not deleted, and another erasure adds nothing
    listed = admin.patch(path, json={"readers": []}).json()
    assert [each["name"] for each in listed["readers"]] == ["reviewer-1"]
    assert admin.delete(path).status_code == 409
    # whoever deletes the study itself takes its verdicts along
    body = {"study_ids": _ids(station, OTHER)}
    shown = admin.post(f"{API}/deletions/preview", json=body).json()
    assert (shown["verdicts"], shown["kept_verdicts"]) == (1, 0)
    sure = body | {"confirm": shown["confirm"], "for_good": True}
    admin.post(f"{API}/deletions", json=sure)
    with station.service.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Bygone)) == 2
    assert station.service.log.verify().ok


def test_who_had_not_judged_an_erased_film_is_done_with_those_that_are_left(station, make_film):
    films = [station.film(make_film(1), patient_id=PATIENT)]
    films += [station.film(make_film(number), patient_id=OTHER) for number in (2, 3)]
    admin, early, late = station.client("administrator"), station.client("reviewer"), None
    with station.service.store.write() as session:
        person = add_person(session, "anna", Role.REVIEWER)
        late = station.client(None, Authorization=f"Bearer {add_token(session, person, 'x')[1]}")
    people = admin.get(f"{API}/users").json()["items"]
    readers = [each["user_id"] for each in people if each["name"] in ("reviewer-1", "anna")]
    body = {"name": "study", "film_ids": films, "readers": readers, "findings": ["covid-19"]}
    path = f"{API}/lists/{admin.post(f'{API}/lists', json=body).json()['list_id']}"
    said = {"finding": "covid-19", "verdict": "present", "list_id": path.rpartition("/")[2]}

    def give(client, *film_ids):
        for film_id in film_ids:
            assert client.post(f"{API}/films/{film_id}/verdicts", json=said).status_code == 201

    def done():
        found = admin.get(f"{path}/analysis").json()
        told = {
            each["name"]: (each["films"], each["aided"]["asked"], each["whole"])
            for each in found["readers"]
        }
        return told["reviewer-1"], told["anna"], found["aided"]["whole"]

    give(early, *films)
    give(late, films[1])
    assert done() == ((3, 3, True), (1, 3, False), 1)
    erase = {"patient_id": PATIENT}
    shown = admin.post(f"{API}/deletions/preview", json=erase).json()
    admin.post(f"{API}/deletions", json=erase | {"confirm": shown["confirm"]})
    assert done() == ((3, 3, True), (1, 2, False), 1)
    give(late, films[2])
    assert done() == ((3, 3, True), (2, 2, True), 2)


def test_only_work_that_was_begun_and_not_given_is_unfinished(station, make_film):
    """A verdict leaves an empty desk behind; two people at one film are one film."""
    ids = [station.film(make_film(number), patient_id=PATIENT) for number in (1, 2, 3)]
    empty = {"choices": {}, "text": "", "marks": [], "corrected_label": None, "blind": True}
    mark = {"kind": "point", "points": [[3, 4]], "text": ""}
    for film_id, role, body in (
        (ids[0], "reviewer", empty), (ids[0], "administrator", empty),
        (ids[1], "reviewer", {"choices": {"covid-19": "absent"}}),
        (ids[1], "administrator", {"marks": [mark]}),
        (ids[2], "reviewer", {"corrected_label": "mass"}),
    ):  # fmt: skip
        answer = station.client(role).put(f"{API}/films/{film_id}/desk", json=body)
        assert answer.status_code == 200, answer.text
    admin = station.client("administrator")
    shown = admin.post(f"{API}/deletions/preview", json={"patient_id": PATIENT}).json()
    assert (shown["films"], shown["unfinished"]) == (3, 2)


def test_many_studies_are_deleted_at_once(station, make_film):
    _worked_on(station, make_film, (1, 2, 3), PATIENT)
    admin = station.client("administrator")
    body = {"study_ids": [*_ids(station, PATIENT)[:2], "0" * 16]}
    shown = admin.post(f"{API}/deletions/preview", json=body).json()
    assert (shown["studies"], shown["trash_days"]) == (2, 30)
    sure = body | {"confirm": shown["confirm"], "for_good": True}
    assert admin.post(f"{API}/deletions", json=sure).json()["trash_days"] is None
    assert set(_counts(station).values()) == {1}
    assert [action for action, _ in _actions(station)][-2:] == ["deleted", "deleted"]


def _rows(station):
    """Every row that belongs to a study, without the numbers that a row gets by the way."""
    with station.service.store.read() as session:
        return {
            table.name: sorted(
                repr({k: v for k, v in row.items() if k not in ("id", "result_id") or v == str(v)})
                for row in session.execute(select(table)).mappings()
            )
            for table in Table.metadata.sorted_tables
            if table.name not in ("log", "events", "trash", "trashed_files", "visits")
        }


def test_what_was_deleted_is_put_back_whole(station, make_film):
    """Every row of every table; and nothing is seen of it while it lies in the trash."""
    films = _worked_on(station, make_film, (1, 2), PATIENT)
    station.sent(films[0], "pacs", "ward")
    assert outbox.claim(station.service.store, "ward", 1)  # by a sender that has ended since
    admin, client = station.client("administrator"), station.client("reviewer")
    people = admin.get(f"{API}/users").json()["items"]
    readers = [each["user_id"] for each in people if each["name"] == "reviewer-1"]
    body = {"name": "l", "film_ids": films, "readers": readers, "findings": ["covid-19"]}
    made = [admin.post(f"{API}/lists", json=body).json()["list_id"] for _ in range(2)]
    client.get(f"{API}/films/{films[0]}/reading")
    pages = client.get(f"{API}/studies").json()
    before = _rows(station)
    study_id = _ids(station, PATIENT)[0]
    assert admin.delete(f"{API}/studies/{study_id}").status_code == 204
    assert client.get(f"{API}/studies?q={PATIENT}").json()["total"] == 1
    for what in ("", "/pixels", "/reading"):
        assert client.get(f"{API}/films/{films[0]}{what}").status_code == 404
    (kept,) = admin.get(f"{API}/trash").json()["items"]
    told = {key: kept[key] for key in ("study_id", "patient_id", "films", "verdicts", "reports")}
    whole = {"study_id": study_id, "patient_id": PATIENT, "films": 1, "verdicts": 1, "reports": 1}
    assert told == whole
    assert (kept["by"], kept["until"] > kept["at"]) == ("administrator-1", True)
    resultfiles.sweep(station.service.store, station.service.folder)
    assert deletion.finish(station.service.store, station.service.folder) == 0
    for expected in (204, 404):
        answer = admin.post(f"{API}/trash/{study_id}/restore")
        assert answer.status_code == expected, answer.text
    after = _rows(station)
    sent, was = after.pop("deliveries"), before.pop("deliveries")
    assert [("claimed" in row, "waiting" in row) for row in sent if "ward" in row] == (
        2 * [(False, True)]
    )
    assert [row for row in sent if "ward" not in row] == [row for row in was if "ward" not in row]
    assert after == before
    assert len(outbox.claim(station.service.store, "ward", 9)) == 2
    assert client.get(f"{API}/studies").json() == pages
    assert client.get(f"{API}/films/{films[0]}/pixels").status_code == 200
    admin.delete(f"{API}/studies/{study_id}")
    assert admin.delete(f"{API}/lists/{made[0]}").status_code == 204
    assert admin.post(f"{API}/trash/{study_id}/restore").status_code == 204
    assert admin.get(f"{API}/lists/{made[1]}").json()["films"] == 2
    assert [a for a, _ in _actions(station)][-1] == "restored"
    assert station.service.log.verify().ok


def test_what_was_deleted_before_an_upgrade_is_put_back_after_it(
    store_url, make_station, make_film
):
    """The store is taken back to the tables of then, and opened by this Hilum."""
    station = make_station(url=store_url)
    _worked_on(station, make_film, (1,), PATIENT)
    before, (study_id,) = _rows(station), _ids(station, PATIENT)
    station.client("administrator").delete(f"{API}/studies/{study_id}")
    with station.service.store.write() as session:
        head = session.scalar(text("SELECT version_num FROM alembic_version"))
        assert session.get_one(Trashed, study_id).revision == head
        kept = json.loads(zlib.decompress(session.get_one(Trashed, study_id).rows))
        for row in kept["verdicts"]:
            assert row.pop("text") == ""  # as if that column had come since
            row["gone"] = 1
        packed = zlib.compress(json.dumps(kept).encode())
        session.execute(update(Trashed).values(rows=packed))
        session.execute(text("ALTER TABLE trash DROP COLUMN revision"))
        for now, then, column in (
            ("ix_films_study", "ix_films_study_id ON films", "study_id"),
            ("ix_verdicts_person", "ix_verdicts_person_id ON verdicts", "person_id"),
        ):
            session.execute(text(f"DROP INDEX {now}"))
            session.execute(text(f"CREATE INDEX {then} ({column})"))
        session.execute(text("UPDATE alembic_version SET version_num = '0014'"))
    store = open_store(store_url)
    with store.read() as session:
        assert session.get_one(Trashed, study_id).revision == "0014"
    assert trash.restore(store, station.service.log, study_id, "anna") is True
    store.close()
    assert _rows(station) == before


def test_the_trash_is_emptied_after_its_days_and_at_once_where_a_patient_is_erased(
    station, make_film
):
    _worked_on(station, make_film, (1, 2, 3), PATIENT)
    admin, ids = station.client("administrator"), _ids(station, PATIENT)
    for study_id in ids[:2]:
        admin.delete(f"{API}/studies/{study_id}")
    with station.service.store.write() as session:
        past = now_ms() - round(30.1 * 86_400_000)
        session.execute(update(Trashed).where(Trashed.study_id == ids[0]).values(at_ms=past))
    assert app._retain(station.service)
    assert [each["study_id"] for each in admin.get(f"{API}/trash").json()["items"]] == [ids[1]]
    stored = [each for each in station.service.folder.root.rglob("*") if each.is_file()]
    assert len(stored) == 2
    body = {"patient_id": PATIENT}
    shown = admin.post(f"{API}/deletions/preview", json=body).json()
    assert (shown["studies"], shown["trashed"], shown["trash_days"]) == (1, 1, None)
    admin.post(f"{API}/deletions", json=body | {"confirm": shown["confirm"]})
    assert admin.get(f"{API}/trash").json()["items"] == []
    assert not [each for each in station.service.folder.root.rglob("*") if each.is_file()]
    assert _held(station, PATIENT) == []
    assert _actions(station)[-1][1]["studies"] == 2


def test_what_came_again_keeps_its_file_and_is_not_doubled(station, make_film):
    film_id = station.film(make_film(1), patient_id=PATIENT)
    admin, (study_id,) = station.client("administrator"), _ids(station, PATIENT)
    admin.delete(f"{API}/studies/{study_id}")
    again = station.film(make_film(1), patient_id=PATIENT)
    assert again != film_id
    assert admin.post(f"{API}/trash/{study_id}/restore").status_code == 409
    for _ in range(2):
        assert admin.delete(f"{API}/trash/{study_id}").status_code in (204, 404)
    assert admin.get(f"{API}/films/{again}/pixels").status_code == 200
    other = _ids(station, PATIENT)[0]
    admin.delete(f"{API}/studies/{other}")
    assert admin.delete(f"{API}/trash/{other}").status_code == 204
    assert not [each for each in station.service.folder.root.rglob("*") if each.is_file()]


def test_without_days_nothing_lies_in_the_trash(make_station, make_film):
    station = make_station(Settings(retention=Retention(trash_days=0)))
    station.film(make_film(1), patient_id=PATIENT)
    admin = station.client("administrator")
    assert admin.delete(f"{API}/studies/{_ids(station, PATIENT)[0]}").status_code == 204
    assert admin.get(f"{API}/trash").json()["items"] == []
    assert _held(station, PATIENT) == []


def test_what_came_after_the_preview_is_not_deleted_unseen(station, make_film):
    _worked_on(station, make_film, (1,), PATIENT)
    admin, body = station.client("administrator"), {"patient_id": PATIENT}
    confirm = admin.post(f"{API}/deletions/preview", json=body).json()["confirm"]
    station.film(make_film(2), patient_id=PATIENT)
    refused = admin.post(f"{API}/deletions", json=body | {"confirm": confirm})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert _counts(station)["Study"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"study_ids": []},
        {"patient_id": ""},
        {"study_ids": ["0" * 16], "patient_id": "x"},
        {"study_ids": ["x"]},
    ],
)
def test_one_says_what_to_delete_and_only_that(station, body):
    answer = station.client("administrator").post(f"{API}/deletions/preview", json=body)
    assert answer.status_code == 422


def test_a_patient_is_erased_by_the_whole_id_alone(station, make_film):
    station.film(make_film(1), patient_id="P-1")
    station.film(make_film(2), patient_id="P-10")
    station.film(make_film(3))
    admin = station.client("administrator")
    for given, studies in (("P-1", 1), ("p-1", 0), ("P-", 0), ("P-%", 0), ("None", 0)):
        shown = admin.post(f"{API}/deletions/preview", json={"patient_id": given}).json()
        assert shown["studies"] == studies, given


def _aged(station, study_id, days):
    with station.service.store.write() as session:
        for aged in (
            update(Study).where(Study.id == study_id),
            update(Film).where(Film.study_id == study_id),
        ):
            session.execute(aged.values(created_ms=now_ms() - round(days * 86_400_000)))


def test_retention_deletes_what_is_old_and_says_so(make_station, make_film, monkeypatch):
    station = make_station(Settings(retention=Retention(days=30)))
    _worked_on(station, make_film, (1, 2, 3), PATIENT)
    station.film(make_film(4), patient_id=OTHER)
    (trashed,), admin = _ids(station, OTHER), station.client("administrator")
    _aged(station, trashed, 10_000)
    admin.delete(f"{API}/studies/{trashed}")
    for study_id, days in zip(_ids(station, PATIENT), (31, 30.01, 29), strict=True):
        _aged(station, study_id, days)
    monkeypatch.setattr(deletion, "_MOST", 1)
    assert [app._retain(station.service) for _ in range(3)] == [False, False, True]
    assert set(_counts(station).values()) == {1}
    lines = [data for action, data in _actions(station) if action == "deleted"]
    assert [(line["why"], line["days"]) for line in lines] == [("retention", 30.0)] * 2
    (kept,) = admin.get(f"{API}/trash").json()["items"]  # for the days that were promised
    at, until = (datetime.fromisoformat(kept[key]) for key in ("at", "until"))
    assert (kept["study_id"], until - at) == (trashed, timedelta(days=30))


def test_without_the_setting_nothing_is_ever_old(station, make_film):
    station.film(make_film(1), patient_id=PATIENT)
    _aged(station, _ids(station, PATIENT)[0], 10_000)
    assert app._retain(station.service)
    assert _counts(station)["Study"] == 1


_PACS = {"name": "pacs", "ae_title": "PACS", "dicomweb": "https://archive/web"}


@pytest.mark.parametrize(
    ("toml", "to", "stays"),
    [
        ({"retention": {"days": 30}}, ("pacs", "ward"), False),  # nobody sends to the ward any more
        ({"retention": {"days": 30}, "node": {"peers": [_PACS]}}, ("pacs", "ward"), True),
        ({"node": {"keep_films_days": 30, "peers": [_PACS]}}, ("pacs",), False),
        ({"node": {"keep_films_days": 30, "peers": [_PACS | {"commit": True}]}}, ("pacs",), True),
    ],
)
def test_retention_waits_for_what_the_settings_send(make_station, make_film, toml, to, stays):
    station = make_station(Settings.parse(toml, where="hilum.toml"))
    film_id = station.film(make_film(1), patient_id=PATIENT)
    station.sent(film_id, *to)
    _aged(station, _ids(station, PATIENT)[0], 31)
    assert app._retain(station.service) == stays
    assert _counts(station)["Study"] == stays


def test_the_command_shows_asks_and_deletes(station, make_film, capsys, monkeypatch):
    _worked_on(station, make_film, (1, 2), PATIENT)
    _worked_on(station, make_film, (3,), OTHER)
    command = ["store", "delete", "--home", str(station.service.data)]
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody is there to answer
    assert run([*command, "--patient", PATIENT]) == 6
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert run([*command, "--patient", PATIENT]) == 0
    shown = capsys.readouterr().out
    assert "2 studies" in shown
    assert "2 films with unfinished work, 2 known lengths" in shown
    assert _counts(station)["Study"] == 3
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    assert run([*command, "--patient", PATIENT]) == 0
    assert "deleted" in capsys.readouterr().out
    assert set(_counts(station).values()) == {1}
    there = _ids(station, OTHER)[0]
    for named in (["--patient", PATIENT], ["--study", "zz"], ["--study", there, "--study", "zz"]):
        assert run([*command, *named, "--yes"]) == 6
        assert "there is no" in capsys.readouterr().err
    assert set(_counts(station).values()) == {1}
    assert run([*command, "--older-than", "1", "--yes"]) == 0
    assert capsys.readouterr().out.startswith("0 studies")
    assert run([*command, "--study", _ids(station, OTHER)[0], "--yes"]) == 0
    assert set(_counts(station).values()) == {0}
    assert run(command) == run([*command, "--patient", "x", "--older-than", "1"]) == 6
    assert ConfigError.exit_code == 6
    assert station.service.log.verify().ok


def _viewed(station):
    lines = reversed(station.service.log.lines(limit=1000))
    return [(each.who, each.film_id, each.study_id) for each in lines if each.action == "viewed"]


LOOKED_AT = ["image", "pixels", "overlays", "reading", "heatmaps/covid-19.f32", "lungs.png"]


@pytest.mark.parametrize("what", LOOKED_AT)
def test_whatever_shows_a_film_is_logged(station, make_film, what):
    film_id = station.film(make_film(1))
    answer = station.client("reader").get(f"{API}/films/{film_id}/{what}")
    study_id = station.client("reader").get(f"{API}/films/{film_id}").json()["study_id"]
    assert answer.status_code in (200, 404)  # a film that was refused has no maps
    assert _viewed(station) == [("reader-1", film_id, study_id)]


def test_an_opening_is_one_line_and_each_person_has_an_own(station, make_film, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(looks.time, "monotonic", lambda: now[0])
    first, second = (station.film(make_film(number)) for number in (1, 2))
    station.client("reader").get(f"{API}/films/{first}/thumbnail.jpg")
    station.client("reader").get(f"{API}/studies")
    assert _viewed(station) == []
    for role in ("reader", "reviewer"):
        for film_id in (first, second):
            for path in ("image", "pixels", "overlays", "pixels"):
                station.client(role).get(f"{API}/films/{film_id}/{path}")
    people = [(who, film_id) for who, film_id, _ in _viewed(station)]
    assert people == [(f"{r}-1", f) for r in ("reader", "reviewer") for f in (first, second)]
    now[0] += 60
    assert station.client("reader").post(f"{API}/films/{first}/opened").status_code == 204
    station.client("reader").get(f"{API}/films/{first}/reading")
    assert len(_viewed(station)) == 5
    now[0] += looks.OPEN_S + 1
    station.client("reader").get(f"{API}/films/{first}/pixels")
    assert len(_viewed(station)) == 6


def test_a_film_is_not_shown_if_that_cannot_be_logged(station, make_film, monkeypatch):
    film_id = station.film(make_film(1))
    path = f"{API}/films/{film_id}/pixels"

    def full(*_, **__):
        raise StoreError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(station.service.log, "add", full)
        assert station.client("reader").get(path).status_code == 503
        assert station.client("reader").get(path).status_code == 503
    assert station.client("reader").get(path).status_code == 200
    assert len(_viewed(station)) == 1


def test_a_token_for_metrics_sees_metrics_and_no_film(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("metrics")
    assert "hilum_films" in client.get(f"{API}/metrics").text
    paths = (
        "me",
        "studies",
        f"films/{film_id}/pixels",
        f"films/{film_id}/reading",
        "monitoring",
        "events",
    )
    for path in paths:
        answer = client.get(f"{API}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed"), path
    assert _viewed(station) == []


def test_who_sees_metrics_only_has_no_password(station, tmp_path, capsys, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough password\n"))
    data = ["--home", str(tmp_path / "one")]
    assert run(["user", "add", "prometheus", "--role", "metrics", *data]) == 6
    assert "--token" in capsys.readouterr().err
    assert run(["user", "add", "prometheus", "--role", "metrics", "--token", *data]) == 0
    assert capsys.readouterr().out.startswith("hilum_")
    admin = station.client("administrator")
    body = {"name": "x", "role": "metrics", "password": "a long enough password"}
    assert admin.post(f"{API}/users", json=body).status_code == 400
