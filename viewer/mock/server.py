"""A stand-in for `hilum serve`: the same routes with made-up answers, for work on the viewer.

    python viewer/mock/server.py --port 8400        # then open http://127.0.0.1:8400/

It holds the built-in virtual films and a phantom, whose overlays lie where its own squares lie, so
that a test can read back from the screen whether an overlay sits on the film. Nothing is read by a
model here: every number is invented, and says so nowhere else than here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.datastructures import QueryParams

sys.path.insert(0, str(Path(__file__).parent))
import answers
import films
from world import NOW, World

from hilum.apps.store.rulers import with_ruler

BASE = "/api/v1"
STATIC = Path(__file__).parents[2] / "src/hilum/apps/web/static"
PASSWORD = "correct horse"  # noqa: S105 - of nobody; this server holds nothing
POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def create_app(*, signed_in: bool = True) -> FastAPI:
    """Return the stand-in; each has a world of its own."""
    app = FastAPI(openapi_url=None)
    world = World(signed_in=signed_in)

    @app.middleware("http")
    async def guard(request: Request, call_next: Any) -> Response:
        open_paths = (f"{BASE}/login", f"{BASE}/me")
        path = request.url.path
        if path.startswith(BASE) and path not in open_paths and not world.me:
            return _not_signed_in()
        unsafe = request.method not in ("GET", "HEAD") and path != f"{BASE}/login"
        if unsafe and request.headers.get("x-csrf-token") != "mock-csrf":
            return problem(403, "csrf", "the X-CSRF-Token is missing")
        answer: Response = await call_next(request)
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    @app.exception_handler(answers.Refused)
    async def refused(_: Request, error: answers.Refused) -> Response:
        return problem(error.status, error.code, error.detail)

    _session(app, world)
    _films(app, world)
    _work(app, world)
    _administration(app, world)

    @app.get("/{path:path}")
    async def page(path: str) -> Response:
        found = STATIC / path
        inside = found.resolve().is_relative_to(STATIC.resolve())
        return FileResponse(found if inside and found.is_file() else STATIC / "index.html")

    return app


def problem(status: int, code: str, detail: str, **more: Any) -> Response:
    """Return an error as RFC 9457 has it."""
    body = {"type": f"https://hilum.invalid/problems/{code}", "title": code, "status": status}
    body |= {"code": code, "detail": detail, "hint": None, **more}
    return JSONResponse(body, status, media_type="application/problem+json")


def _not_signed_in() -> Response:
    offers = {"password": True, "oidc": None, "link": True}
    return problem(401, "not-signed-in", "sign in first", sign_in=offers)


def _session(app: FastAPI, world: World) -> None:
    @app.get(f"{BASE}/me")
    async def me() -> Any:
        return answers.me(world.me, world.blind) if world.me else _not_signed_in()

    @app.post(f"{BASE}/login")
    async def login(request: Request) -> Any:
        given = await request.json()
        if given["password"] != PASSWORD:
            return problem(401, "not-signed-in", "wrong name or password", sign_in={})
        roles = {"ada": "administrator", "rita": "reader"}
        world.me = {"name": given["name"], "role": roles.get(given["name"], "reviewer")}
        return answers.me(world.me, world.blind)

    @app.post(f"{BASE}/logout")
    async def logout() -> Response:
        world.me = None
        return Response(status_code=204)

    @app.put(f"{BASE}/me/password")
    async def password(request: Request) -> Any:
        if (await request.json())["old"] != PASSWORD:
            return problem(422, "invalid", "the current password is wrong")
        return answers.me(world.me, world.blind)

    @app.put(f"{BASE}/me/blind")
    async def blind(request: Request) -> Any:
        world.blind = bool((await request.json())["on"])
        return answers.me(world.me, world.blind)

    @app.get(f"{BASE}/events")
    async def events() -> Response:
        before = len(world.events)  # as the server does: what happened until now is not told

        async def lines() -> Any:
            sent = before
            while True:
                for event in world.events[sent:]:
                    yield f"id: {sent}\nevent: {event['name']}\ndata: {json.dumps(event)}\n\n"
                    sent += 1
                await asyncio.sleep(0.05)

        return StreamingResponse(lines(), media_type="text/event-stream")


def _films(app: FastAPI, world: World) -> None:
    @app.post(f"{BASE}/films", status_code=201)
    async def upload(request: Request) -> Any:
        taken: dict[str, list[Any]] = {"accepted": [], "rejected": []}
        async with request.form() as form:
            for file in form.getlist("files"):
                world.accept(file.filename, await file.read(), taken)  # type: ignore[union-attr]
        if not taken["accepted"]:
            first = taken["rejected"][0]
            return problem(first["status"], first["code"], first["detail"], **taken)
        return taken

    @app.get(f"{BASE}/films/{{film_id}}")
    async def film(film_id: str) -> Any:
        return world.film(film_id)

    @app.get(f"{BASE}/films/{{film_id}}/image")
    async def image(film_id: str) -> Any:
        return with_ruler(films.image(world.picture(film_id)), world.rulers.get(film_id))

    @app.put(f"{BASE}/films/{{film_id}}/ruler")
    async def ruler(film_id: str, request: Request) -> Any:
        given = await request.json()
        world.rulers[film_id] = given | {"by": "local", "at": NOW} if given["mm"] else None
        return {"ruler": world.rulers[film_id]}

    @app.get(f"{BASE}/films/{{film_id}}/pixels")
    async def pixels(film_id: str) -> Response:
        content = world.picture(film_id).pixels.astype("<u2").tobytes()
        return Response(content, media_type="application/octet-stream")

    @app.get(f"{BASE}/films/{{film_id}}/thumbnail.jpg")
    async def thumbnail(film_id: str) -> Response:
        return Response(films.thumbnail(world.picture(film_id)), media_type="image/jpeg")

    @app.get(f"{BASE}/films/{{film_id}}/reading")
    async def reading(film_id: str, prevalence: float | None = None) -> Any:
        world.check_blind(film_id)
        return answers.reading(world.film(film_id), world.picture(film_id), prevalence)

    @app.get(f"{BASE}/readings/{{reading_id}}/similar/{{place}}.jpg")
    async def similar(reading_id: str, place: int) -> Response:
        picture = next(each for each in world.pictures.values() if not each.phantom)
        return Response(films.thumbnail(picture), media_type="image/jpeg")

    @app.get(f"{BASE}/films/{{film_id}}/overlays")
    async def overlays(film_id: str) -> Any:
        world.check_blind(film_id)
        return films.overlays(film_id, world.picture(film_id))

    @app.get(f"{BASE}/films/{{film_id}}/heatmaps/{{label}}.f32")
    async def heatmap(film_id: str, label: str) -> Response:
        values = films.heatmap(world.picture(film_id), label).astype("<f4")
        return Response(values.tobytes(), media_type="application/octet-stream")

    @app.post(f"{BASE}/films/{{film_id}}/opened", status_code=204)
    async def opened(film_id: str) -> Response:
        return Response(status_code=204)

    @app.post(f"{BASE}/films/{{film_id}}/read", status_code=202)
    async def read(film_id: str, request: Request) -> Any:
        world.read_again(film_id, force=(await request.json())["force"])
        return {}

    @app.get(f"{BASE}/studies")
    async def studies(request: Request) -> Any:
        return world.studies(request.query_params)

    @app.post(f"{BASE}/studies/search")
    async def search(request: Request) -> Any:
        asked = await request.json()
        flat = [(k, v) for k, v in asked.items() if k != "status"]
        return world.studies(QueryParams(flat + [("status", each) for each in asked["status"]]))

    @app.get(f"{BASE}/studies/{{study_id}}")
    async def study(study_id: str) -> Any:
        return world.study(study_id)

    @app.delete(f"{BASE}/studies/{{study_id}}", status_code=204)
    async def delete(study_id: str) -> Response:
        world.delete(study_id)
        return Response(status_code=204)


def _work(app: FastAPI, world: World) -> None:
    @app.get(f"{BASE}/films/{{film_id}}/verdicts")
    async def verdicts(film_id: str) -> Any:
        return {"items": world.verdicts.get(film_id, [])}

    @app.post(f"{BASE}/films/{{film_id}}/verdicts", status_code=201)
    async def give(film_id: str, request: Request) -> Any:
        return world.give(film_id, await request.json())

    @app.post(f"{BASE}/films/{{film_id}}/verdicts/all", status_code=201)
    async def give_all(film_id: str, request: Request) -> Any:
        given = (await request.json())["verdicts"]
        return {"items": [world.give(film_id, each) for each in given]}

    @app.get(f"{BASE}/films/{{film_id}}/desk")
    async def desk(film_id: str) -> Any:
        return world.desks.get(film_id, answers.EMPTY_DESK)

    @app.put(f"{BASE}/films/{{film_id}}/desk")
    async def keep_desk(film_id: str, request: Request) -> Any:
        given = await request.json()
        world.desks[film_id] = given | {"version": given["version"] + 1}
        return world.desks[film_id]

    @app.get(f"{BASE}/films/{{film_id}}/reference")
    async def references(film_id: str) -> Any:
        return {"items": list(world.references.get(film_id, {}).values())}

    @app.put(f"{BASE}/films/{{film_id}}/reference")
    async def reference(film_id: str, request: Request) -> Any:
        given = await request.json()
        world.references.setdefault(film_id, {})[given["finding"]] = given
        return given

    @app.get(f"{BASE}/films/{{film_id}}/reports/draft")
    async def draft(film_id: str, language: str = "en") -> Any:
        return answers.draft(language)

    @app.get(f"{BASE}/films/{{film_id}}/reports")
    async def reports(film_id: str) -> Any:
        return {"items": world.reports.get(film_id, [])}

    @app.post(f"{BASE}/films/{{film_id}}/reports", status_code=201)
    async def save(film_id: str, request: Request) -> Any:
        return world.save_report(film_id, await request.json())

    @app.get(f"{BASE}/reports/{{report_id}}.html")
    async def report(report_id: str) -> Response:
        return Response(f"<!doctype html><title>{report_id}</title>", media_type="text/html")

    @app.get(f"{BASE}/agreement")
    async def agreement(label: str) -> Any:
        return answers.agreement(label)

    @app.get(f"{BASE}/monitoring")
    async def monitoring(days: int, label: str) -> Any:
        return answers.monitoring(days, label)


def _administration(app: FastAPI, world: World) -> None:
    @app.get(f"{BASE}/calibration")
    async def calibration() -> Any:
        return world.calibration

    @app.post(f"{BASE}/calibration/preview", status_code=201)
    async def preview(request: Request) -> Any:
        candidate = answers.candidate((await request.json())["site"])
        world.calibration["candidates"].append(candidate)
        return candidate

    @app.post(f"{BASE}/calibration/apply")
    async def apply(request: Request) -> Any:
        chosen = (await request.json())["candidate_id"]
        found = next(c for c in world.calibration["candidates"] if c["candidate_id"] == chosen)
        keys = ("identity", "candidate_id", "adaptation")
        world.calibration["previous"] = {"base": True, "candidate_id": None}
        world.calibration["active"] = {key: found[key] for key in keys}
        return world.calibration

    @app.post(f"{BASE}/calibration/undo")
    async def undo() -> Any:
        world.calibration |= {"active": answers.calibration()["active"], "previous": None}
        return world.calibration

    @app.get(f"{BASE}/log")
    async def log() -> Any:
        return {"items": answers.log(), "next": None}

    @app.get(f"{BASE}/log/verify")
    async def verify() -> Any:
        return {"ok": True, "lines": len(answers.log()), "problem": None}

    @app.get(f"{BASE}/users")
    async def users() -> Any:
        return {"items": world.users}

    @app.post(f"{BASE}/users", status_code=201)
    async def add(request: Request) -> Any:
        given = await request.json()
        user = {"user_id": f"u{len(world.users)}", "disabled": False} | given
        del user["password"]
        world.users.append(user)
        return user

    @app.patch(f"{BASE}/users/{{user_id}}")
    async def change(user_id: str, request: Request) -> Any:
        user = next(each for each in world.users if each["user_id"] == user_id)
        user |= await request.json()
        return user

    @app.get(f"{BASE}/tokens")
    async def tokens() -> Any:
        return {"items": world.tokens}

    @app.post(f"{BASE}/tokens", status_code=201)
    async def token(request: Request) -> Any:
        made = {"token_id": f"t{len(world.tokens)}"} | await request.json()
        world.tokens.append(made)
        return made | {"token": "hilum_mock_0123456789abcdef"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8400)
    parser.add_argument("--sign-in", action="store_true", help="start at the sign-in page")
    given = parser.parse_args()
    uvicorn.run(create_app(signed_in=not given.sign_in), host="127.0.0.1", port=given.port)
