"""The world of the stand-in: its films, studies, verdicts and people, all in memory."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import answers
import films
from answers import Refused
from films import Picture

NOW = "2026-11-22T12:00:00Z"


class World:
    """Everything that changes while somebody works."""

    def __init__(self, *, signed_in: bool) -> None:
        self.me: dict[str, Any] | None = (
            {"name": "local", "role": "administrator"} if signed_in else None
        )
        self.blind = False
        self.events: list[dict[str, Any]] = []
        self.pictures: dict[str, Picture] = {}
        self.rows: dict[str, dict[str, Any]] = {}
        self.rulers: dict[str, dict[str, Any] | None] = {}
        self.verdicts: dict[str, list[dict[str, Any]]] = {}
        self.desks: dict[str, dict[str, Any]] = {}
        self.reports: dict[str, list[dict[str, Any]]] = {}
        self.references: dict[str, dict[str, Any]] = {}
        self.users = [
            {"user_id": "u0", "name": "ada", "role": "administrator", "disabled": False},
            {"user_id": "u1", "name": "bo", "role": "reviewer", "disabled": False},
            {"user_id": "u2", "name": "rita", "role": "reader", "disabled": True},
        ]
        self.tokens = [{"token_id": "t0", "user_id": "u1", "name": "nightly import"}]
        self.calibration = answers.calibration()
        self._fill()

    def _fill(self) -> None:
        built_in = films.samples()
        self.add("phantom.dcm", films.phantom(), patient="PHANTOM")
        self.add("frontal-opacities.png", built_in["frontal-opacities.png"], patient="P-17")
        self.add("frontal.dcm", built_in["frontal.dcm"], patient="P-17", date="2025-03-02")
        self.add("lateral.png", built_in["lateral.png"], status="refused", patient="P-17")
        self.add("cropped.jpg", built_in["cropped.jpg"], patient="P-18")
        self.add("waiting.png", built_in["frontal.png"], status="queued", patient="P-19")
        self.add("damaged.dcm", built_in["frontal.png"], status="error", patient="P-20")
        self.add("uncalibrated.png", built_in["frontal.png"], patient="P-21")

    def add(
        self,
        name: str,
        picture: Picture,
        *,
        status: str = "read",
        patient: str | None = None,
        date: str | None = None,
    ) -> str:
        """Put one film in, as a study of its own; return its id."""
        film_id = hashlib.sha256(name.encode() + picture.pixels.tobytes()).hexdigest()[:16]
        self.pictures[film_id] = picture
        unread = status in ("queued", "reading")
        self.rows[film_id] = {
            "film_id": film_id,
            "study_id": f"s{film_id[1:]}",
            "name": name,
            "status": status,
            "format": picture.format,
            "view": picture.metadata.get("view"),
            "size": picture.pixels.nbytes,
            "created_at": NOW,
            "read_at": None if unread else NOW,
            "reading_id": None if unread else f"r{film_id[1:]}",
            "patient": patient,
            "study_date": date,
        }
        return film_id

    def accept(self, name: str, content: bytes, taken: dict[str, list[Any]]) -> None:
        """Take an uploaded file, or say why not."""
        picture = films.opened(content)
        if picture is None:
            why = {"name": name, "title": "Not a film", "status": 415, "code": "not-a-film"}
            why |= {"detail": "expected a film", "hint": "name an image: DICOM, PNG, JPEG"}
            taken["rejected"].append(why)
            return
        before = set(self.rows)
        film_id = self.add(name, picture)
        row = self.rows[film_id]
        taken["accepted"].append(
            {
                "film_id": film_id,
                "study_id": row["study_id"],
                "name": name,
                "duplicate": film_id in before,
                "differs": None,
                "replaced": False,
            }
        )
        self.tell("accepted", row)

    def tell(self, name: str, row: dict[str, Any]) -> None:
        """Send an event."""
        self.events.append({"name": name, "film_id": row["film_id"], "study_id": row["study_id"]})

    def _row(self, film_id: str) -> dict[str, Any]:
        if film_id not in self.rows:
            raise Refused(404, "not-found", "no such film")
        return self.rows[film_id]

    def picture(self, film_id: str) -> Picture:
        """The pixels of a film."""
        self._row(film_id)
        return self.pictures[film_id]

    def film(self, film_id: str) -> dict[str, Any]:
        """A film as the API has it."""
        pending = self.is_blind(film_id)
        owed = ["covid-19", "pneumonia"] if pending else []
        return self._row(film_id) | {"blind_pending": pending, "blind_owed": owed}

    def is_blind(self, film_id: str) -> bool:
        """True while the reader has to give a verdict first."""
        done = any(each["blind"] for each in self.verdicts.get(film_id, []))
        return self.blind and self.rows[film_id]["status"] == "read" and not done

    def check_blind(self, film_id: str) -> None:
        """Refuse what the machine said while a blind verdict is missing."""
        self._row(film_id)
        if self.is_blind(film_id):
            raise Refused(409, "blind-read-pending", "give your blind verdict first")

    def read_again(self, film_id: str, *, force: bool) -> None:
        """Read at once."""
        row = self._row(film_id)
        if force or row["status"] == "queued":
            row |= {"status": "read", "read_at": NOW, "reading_id": f"r{film_id[1:]}"}
        self.tell("read", row)

    def give(self, film_id: str, given: dict[str, Any]) -> dict[str, Any]:
        """Store a verdict."""
        row = self._row(film_id)
        at = datetime.now(UTC).isoformat()
        who = self.me["name"] if self.me else "nobody"
        kept = self.verdicts.setdefault(film_id, [])
        verdict = given | {"verdict_id": f"v{len(kept)}", "film_id": film_id, "by": who, "at": at}
        kept.insert(0, verdict | {"call": None})
        self.tell("verdict", row)
        return kept[0]

    def save_report(self, film_id: str, text: dict[str, Any]) -> dict[str, Any]:
        """Store a version of a report."""
        kept = self.reports.setdefault(film_id, [])
        version = len(kept) + 1
        facts = {"report_id": f"{film_id}-{version}", "film_id": film_id, "version": version}
        kept.insert(0, text | facts | {"by": "local", "at": NOW, "reading_id": "r"})
        return kept[0]

    def studies(self, query: Any) -> dict[str, Any]:
        """The worklist, filtered."""
        rows = list(self.rows.values())[::-1]
        counts: dict[str, int] = {}
        for row in rows:
            counts[row["status"]] = counts.get(row["status"], 0) + 1
        asked = query.get("q", "").lower()
        rows = [r for r in rows if asked in f"{r['name']} {r['patient']}".lower()]
        if query.get("status"):
            rows = [r for r in rows if r["status"] in query.getlist("status")]
        items = [self.item(row["film_id"]) for row in rows]
        if query.get("sort") == "priority":
            items.sort(key=lambda item: -(item["priority"] or 0))
        return {"items": items, "total": len(items), "next": None, "counts": counts}

    def item(self, film_id: str) -> dict[str, Any]:
        """A row of the worklist."""
        row, blind = self.rows[film_id], self.is_blind(film_id)
        said = answers.reading(row, self.pictures[film_id], None)["reading"]
        findings = said["findings"] if said and not blind else []
        keys = ("label", "probability", "present", "prediction_set", "answer")
        return {
            **{key: row[key] for key in ("study_id", "status", "created_at", "read_at")},
            **{key: row[key] for key in ("study_date", "name", "view", "film_id")},
            "films": 1,
            "patient": {"id": row["patient"], "sex": "F", "age_years": 61.0},
            "findings": [{key: each[key] for key in keys} for each in findings],
            "refusal": said["refusal"]["code"] if said and said["refusal"] else None,
            "priority": findings[0]["probability"] if findings else None,
            "reviewed": bool(self.verdicts.get(film_id)),
            "verdicts": len(self.verdicts.get(film_id, [])),
            "reports": len(self.reports.get(film_id, [])),
            "blind_pending": blind,
        }

    def study(self, study_id: str) -> dict[str, Any]:
        """A study with its films and the patient's other studies."""
        row = next((r for r in self.rows.values() if r["study_id"] == study_id), None)
        if row is None:
            raise Refused(404, "not-found", "no such study")
        film_id = row["film_id"]
        others = [
            self.item(each["film_id"])
            for each in self.rows.values()
            if each["patient"] == row["patient"] and each["film_id"] != film_id
        ]
        lists = {"films": [self.film(film_id)], "prior": others}
        lists["verdicts"] = self.verdicts.get(film_id, [])
        lists["reports"] = self.reports.get(film_id, [])
        return self.item(film_id) | lists

    def delete(self, study_id: str) -> None:
        """Take a study out."""
        self.rows = {k: r for k, r in self.rows.items() if r["study_id"] != study_id}
