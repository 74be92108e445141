from __future__ import annotations

from hilum.apps.node.settings import Node
from hilum.apps.node.status import RECEIVER, SENDER
from hilum.apps.store.tables import Delivery, Film, Result, Setting
from hilum.apps.web.settings import Settings

API = "/api/v1"


def test_what_strangers_ask_for_makes_no_new_series(station):
    """Each series stays in memory for ever, and a method may be any word."""
    client = station.client()

    def series():
        return station.service.meter.text().count(b"hilum_request_seconds_count")

    client.request("INVENTED", f"{API}/health")
    before = series()
    for number in range(20):
        client.request(f"INVENTED{number}", f"{API}/health")
        client.get(f"{API}/invented/{number}")
        client.get(f"/invented/{number}")
    assert series() <= before + 2


def test_the_node_is_counted(make_station, make_film):
    station = make_station(Settings(node=Node()))
    film = station.film(make_film(1))
    with station.service.store.write() as session:
        counts = {"pacs": {"accepted": 7}}
        value = {"listen": None, "pid": 1, "at_ms": 1, "counts": counts}
        session.add(Setting(key=RECEIVER, value=value))
        session.add(Setting(key=f"{SENDER}pacs", value={"error": "away", "since_ms": 1}))
        uids = {"sop_class": "1.2", "study_uid": "1.3", "sha256": "a" * 64, "size": 1}
        reading = session.get_one(Film, film).reading_id
        result = Result(film_id=film, reading_id=reading, kind="sr", sop_uid="1.4", **uids)
        session.add(result)
        session.flush()
        session.add(Delivery(result_id=result.id, peer="pacs"))
        session.add(Delivery(result_id=result.id, peer="new"))
    text = station.client("metrics").get(f"{API}/metrics").text
    assert 'hilum_node_received{outcome="accepted",peer="pacs"} 7.0' in text
    assert 'hilum_node_deliveries{peer="pacs",state="waiting"} 1.0' in text
    assert 'hilum_node_peer_up{peer="pacs"} 0.0' in text
    assert 'hilum_node_peer_up{peer="new"}' not in text  # nobody knows yet
    assert 'hilum_node_oldest_waiting_seconds{peer="pacs"}' in text
