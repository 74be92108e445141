from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hilum.apps.node.settings import Node
from hilum.apps.store.tables import Delivery, Person, Received, Result
from hilum.apps.web import stream
from hilum.apps.web.monitoring import drift, psi, validation_shares
from hilum.apps.web.settings import Monitoring, Settings
from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.core.labels import Label
from hilum.judge import site

API = "/api/v1"
FINDING = "covid-19"


def test_health_and_readiness(station, monkeypatch):
    client = station.client()
    assert client.get(f"{API}/health").json() == {"status": "ok"}
    ready = client.get(f"{API}/ready")
    assert ready.status_code == 503  # there is no worker beside this one
    assert ready.json()["store"] == ready.json()["bundle"] == ready.json()["disk"] == "ok"
    station.service.store.engine.dispose()
    monkeypatch.setattr("hilum.apps.web.operation.LEAST_DISK_BYTES", 2**62)
    assert "left" in client.get(f"{API}/ready").json()["disk"]


def test_ready_names_the_receiver(make_station):
    station = make_station(Settings(node=Node(reserve_gb=0)))
    ready = station.client().get("/api/v1/ready").json()
    assert ready["receiver"] == "it is being started"
    assert ready["sender"] == "it is being started"
    full = make_station(Settings(node=Node(reserve_gb=1e9)))
    ready = full.client().get("/api/v1/ready").json()
    assert "nobody may begin to send" in ready["receiver"]


def test_metrics_name_routes_and_no_film(station, make_film):
    film_id = station.film(make_film(1))
    station.send(("x.txt", b"words"))
    client = station.client("reader")
    client.get(f"{API}/films/{film_id}")
    text = client.get(f"{API}/metrics").text
    assert 'hilum_films{status="read"} 1.0' in text
    assert "hilum_films_accepted_total 1.0" in text
    assert 'hilum_films_rejected_total{code="not-a-film"} 1.0' in text
    assert 'route="/api/v1/films/{film_id}"' in text
    assert film_id not in text


def test_the_log_tells_what_happened_and_is_whole(station, make_film):
    film_id = station.film(make_film(1))
    client = station.client("reviewer")
    client.post(f"{API}/films/{film_id}/verdicts", json={"finding": FINDING, "verdict": "present"})
    admin = station.client("administrator")
    page = admin.get(f"{API}/log?limit=2").json()
    assert [each["action"] for each in page["items"]] == ["verdict", "read"]
    assert page["items"][0]["who"] == "reviewer-1"
    assert len(page["items"][1]["bundle"]) == 64
    older = admin.get(f"{API}/log?before={page['next']}").json()
    assert [each["action"] for each in older["items"]] == ["accepted"]
    assert admin.get(f"{API}/log/verify").json() == {"ok": True, "lines": 3, "problem": None}


def test_a_deleted_study_is_gone_with_its_films_and_stays_in_the_log(station, make_film):
    path = make_film(1)
    film_id = station.film(path)
    client = station.client("administrator")
    study_id = client.get(f"{API}/films/{film_id}").json()["study_id"]
    client.get(f"{API}/films/{film_id}/reading")
    assert client.delete(f"{API}/studies/{study_id}").status_code == 204
    assert client.get(f"{API}/films/{film_id}").status_code == 404
    assert client.delete(f"{API}/trash/{study_id}").status_code == 204
    assert [p for p in station.service.folder.root.rglob("*") if p.is_file()] == []
    assert client.get(f"{API}/log").json()["items"][0]["action"] == "deleted"
    assert station.film(path) != film_id


def test_events_come_in_order_and_go_on_after_the_last_one(station, make_film):
    station.film(make_film(1))

    async def collected(last, count):
        found = []
        async for each in stream._after(station.service, last, lambda: True):
            found.append(each)
            if len(found) == count:
                return found
        return found

    def collect(last, count):
        """In a thread of its own: Playwright keeps a loop running in that of the tests."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(collected(last, count))).result()

    events = collect(0, 3)
    assert [each["event"] for each in events] == ["accepted", "reading", "read"]
    assert set(json.loads(events[2]["data"])) == {"film_id", "study_id", "status", "at"}
    (last,) = collect(int(events[1]["id"]), 1)
    assert last == events[2]
    station.service.stopping.set()
    assert collect(0, 1) == []


def test_monitoring(station, make_film, tmp_path):
    for i in range(3):
        station.film(make_film(i))
    found = station.client("reader").get(f"{API}/monitoring?days=7").json()
    assert len(found["days"]) == 7
    today = found["days"][-1]
    assert (today["films"], today["read"]) == (3, 3)
    assert today["latency_ms"]["p50"] is not None
    assert found["scores"]["psi"] is None
    assert found["scores"]["note"]
    assert sum(found["scores"]["site"]) == pytest.approx(1)


def test_scores_are_compared_with_the_bundles_own_evaluation(make_station, make_film):
    shares = validation_shares(DEFAULT_BUNDLE, Label.COVID_19)
    assert len(shares) == 10
    assert sum(shares) == pytest.approx(1)
    assert validation_shares(DEFAULT_BUNDLE, Label.MASS) is None
    station = make_station(Settings(monitoring=Monitoring(least_films=5)), bundle=DEFAULT_BUNDLE)
    alike = [(place + 0.5) / 10 for place, s in enumerate(shares) for _ in range(round(200 * s))]
    assert drift(station.service, Label.COVID_19, alike).alarm is False
    away = drift(station.service, Label.COVID_19, [0.99] * 20)
    assert away.alarm is True
    assert away.psi > away.limit
    few = drift(station.service, Label.COVID_19, [0.99] * 4)
    assert (few.psi, few.alarm) == (None, False)


def test_a_film_that_never_ends_ends_its_worker(station, make_film, monkeypatch):
    station.send(make_film(1))
    ended = []
    monkeypatch.setattr("hilum.apps.web.worker.os._exit", ended.append)
    monkeypatch.setattr("hilum.apps.web.worker.RENEW_S", 0.01)
    monkeypatch.setattr("hilum.apps.web.worker.FILM_LIMIT_S", 0.02)
    station.read()
    worker = station.worker
    worker._began = time.monotonic() - 1
    holding = threading.Thread(target=worker._hold)
    holding.start()
    while not ended:
        time.sleep(0.01)
    worker._stop.set()
    holding.join()
    assert ended[0] == 1


def test_psi_is_its_formula_and_survives_empty_bins():
    assert psi([0.6, 0.4], [0.5, 0.5]) == pytest.approx(0.1 * 0.18232 + 0.1 * 0.22314, rel=1e-3)
    assert 0 < psi([1.0, 0.0], [0.5, 0.5]) < 20


def test_calibration_to_this_site_is_previewed_applied_and_undone(
    station, make_film, monkeypatch, make_station
):
    monkeypatch.setattr(site, "LEAST_PATIENTS", 4)
    admin = station.client("administrator")
    path = f"{API}/calibration"
    assert admin.post(f"{path}/preview", json={"site": "St. Anna"}).status_code == 422
    for i in range(10):
        film_id = station.film(make_film(i, level=20 * i), patient_id=f"P{i}")
        value = int(i >= 5) if i not in (4, 5) else int(i == 4)
        reference = {"finding": FINDING, "value": value}
        admin.put(f"{API}/films/{film_id}/reference", json=reference)
    about = admin.get(path).json()
    assert about["available"]["reference"][FINDING] == {
        "positives": 5,
        "negatives": 5,
        "needed": 4,
    }
    base = about["active"]["identity"]
    candidate = admin.post(f"{path}/preview", json={"site": "St. Anna"})
    assert candidate.status_code == 201, candidate.text
    label = candidate.json()["adaptation"]["labels"][0]
    assert (label["label"], label["films"], label["positives"]) == (FINDING, 10, 5)
    assert {"value", "low", "high", "n"} <= set(label["before"]["brier"])
    assert admin.get(f"{API}/me").json()["bundle"]["identity"] == base
    assert admin.post(f"{path}/undo").status_code == 409
    chosen = {"candidate_id": candidate.json()["candidate_id"]}
    assert admin.post(f"{path}/apply", json=chosen).status_code == 200
    assert admin.get(f"{API}/me").json()["bundle"]["site"] == "St. Anna"
    film_id = station.film(make_film(99))
    read = admin.get(f"{API}/films/{film_id}/reading").json()
    assert read["site"] == "St. Anna"
    assert read["bundle"] != base
    assert admin.post(f"{path}/undo").status_code == 200
    assert admin.get(f"{API}/me").json()["bundle"]["identity"] == base
    assert admin.post(f"{path}/undo").status_code == 409
    assert admin.post(f"{path}/apply", json={"candidate_id": "0" * 16}).status_code == 404


def test_the_page_and_its_files(station, tmp_path, monkeypatch):
    root = tmp_path / "static"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html>the page")
    (root / "assets" / "a-1.js").write_text("1")
    (root / "assets" / "a-1.js.br").write_bytes(b"packed")
    (tmp_path / "secret.txt").write_text("secret")
    monkeypatch.setattr("hilum.apps.web.static_files.ROOT", root)
    client = station.client()
    for path in ("/", "/studies/0123", "/monitoring"):
        answer = client.get(path)
        assert answer.text == "<!doctype html>the page"
        assert answer.headers["cache-control"] == "no-cache"
    script = client.get("/assets/a-1.js", headers={"Accept-Encoding": "identity"})
    assert script.text == "1"
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-type"].startswith("text/javascript")
    for path in ("/none.js", "/..%2fsecret.txt", "/assets/%2e%2e/%2e%2e/secret.txt", "/api/v2/x"):
        assert client.get(path).status_code == 404, path


def test_without_a_build_the_page_says_so(station, tmp_path, monkeypatch):
    monkeypatch.setattr("hilum.apps.web.static_files.ROOT", tmp_path / "none")
    assert "no viewer" in station.client().get("/").text


def test_a_mistake_of_the_server_says_nothing_of_its_inside(station, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("secret inside")

    monkeypatch.setattr("hilum.apps.web.studies.page", broken)
    answer = station.client("reader").get(f"{API}/studies?q=PATIENT-7")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "PATIENT-7" not in caplog.text


def test_a_busy_store_is_503(station, monkeypatch):
    from hilum.core.errors import StoreBusyError

    def busy(*_):
        raise StoreBusyError("the store is busy", hint="later")

    monkeypatch.setattr("hilum.apps.web.studies.page", busy)
    answer = station.client("reader").get(f"{API}/studies")
    assert (answer.status_code, answer.json()["code"]) == (503, "store-busy")


def test_people_are_listed_without_their_hashes(station):
    answer = station.client("administrator").get(f"{API}/users")
    assert len(answer.json()["items"]) == 4
    assert "argon2" not in answer.text
    assert not hasattr(Person, "secret")


def test_the_state_of_the_node(make_station, make_film):
    assert make_station().client("reader").get(f"{API}/node").json() == {"node": None}
    peers = [{"name": "ct", "ae_title": "CT"}, {"name": "pacs", "ae_title": "A", "host": "h"}]
    node = Node.parse({"peers": peers, "reserve_gb": 0}, where="t")
    station = make_station(Settings(node=node))
    film_id = station.film(make_film(1))
    with station.service.store.write() as session:
        session.add(Received(film_id=film_id, peer="ct", address="127.0.0.1"))
        result = Result(
            film_id=film_id, reading_id="r", kind="sr", sop_class="1", sop_uid="1.2",
            study_uid="1.3", sha256="a", size=1,
        )  # fmt: skip
        session.add(result)
        session.flush()
        session.add(Delivery(result_id=result.id, peer="pacs", state="dead"))
    found = station.client("reader").get(f"{API}/node").json()["node"]
    assert found["listen"] is None
    assert {(each["code"], each["peer"]) for each in found["alarms"]} == {
        ("receiver", None),
        ("dead", "pacs"),
    }
    ct, pacs = found["peers"]
    assert (ct["name"], ct["films"], ct["last_film"] is not None) == ("ct", 1, True)
    assert (pacs["name"], pacs["dead"], pacs["sent"], pacs["error"]) == ("pacs", 1, 0, None)
    text = station.client("metrics").get(f"{API}/metrics").text
    assert 'hilum_node_alarm{code="dead",peer="pacs"} 1.0' in text
