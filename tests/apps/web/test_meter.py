from __future__ import annotations

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
