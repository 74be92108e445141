"""The API as its own description has it: whatever is sent, the server makes no mistake."""

from __future__ import annotations

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

EXAMPLES = int(os.environ.get("HILUM_SCHEMA_EXAMPLES", "10"))
API = "/api/v1"


def test_every_call_is_described_with_who_may_call_it(station):
    described = station.client().get(f"{API}/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    calls = [
        (path, method, call)
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    ]
    assert len(calls) > 45
    for path, method, call in calls:
        assert call["summary"], (method, path)
        assert "Role: " in call["description"], (method, path)
        assert "application/problem+json" in call["responses"]["default"]["content"]
    assert "example" in str(described["paths"][f"{API}/studies"]["get"]["responses"]["200"])


def _operations():
    return [
        ("GET", "/studies"), ("GET", "/studies/{study_id}"), ("DELETE", "/studies/{study_id}"),
        ("POST", "/films"), ("GET", "/films/{film_id}"), ("GET", "/films/{film_id}/reading"),
        ("GET", "/films/{film_id}/heatmaps/{label}.png"),
        ("POST", "/films/{film_id}/read"), ("POST", "/films/{film_id}/verdicts"),
        ("PUT", "/films/{film_id}/reference"), ("POST", "/films/{film_id}/reports"),
        ("GET", "/films/{film_id}/reports/draft"), ("GET", "/agreement"), ("GET", "/monitoring"),
        ("POST", "/calibration/apply"), ("POST", "/calibration/preview"), ("POST", "/login"),
        ("PUT", "/me/blind"), ("POST", "/users"), ("PATCH", "/users/{user_id}"),
        ("POST", "/tokens"), ("GET", "/log"), ("GET", "/oidc/callback"),
    ]  # fmt: skip


@pytest.fixture
def schema(station):
    """The API's description, called with an administrator's token."""
    loaded = schemathesis.openapi.from_dict(station.client().get(f"{API}/openapi.json").json())
    loaded.app = station.app
    return loaded


@pytest.mark.parametrize(("method", "path"), _operations())
def test_no_request_makes_the_server_fail(station, schema, make_film, method, path):
    film_id = station.film(make_film(1))
    client = station.client("administrator")
    study_id = client.get(f"{API}/films/{film_id}").json()["study_id"]

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case):
        if method != "DELETE" and "film_id" in case.path_parameters:
            case.path_parameters["film_id"] = film_id
        if method != "DELETE" and "study_id" in case.path_parameters:
            case.path_parameters["study_id"] = study_id
        answer = case.call(
            base_url="http://127.0.0.1:8337",
            session=client,
            headers={"Authorization": f"Bearer {station.tokens['administrator']}"},
        )
        case.validate_response(answer, checks=(not_a_server_error,))

    from hypothesis import given

    given(case=schema[API + path][method].as_strategy())(check)()
