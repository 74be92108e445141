"""Answers of the stand-in: invented numbers in the shapes that docs/reference/api.md describes."""

from __future__ import annotations

from typing import Any

from films import Picture

from hilum.apps.web.schemas import OnDesk
from hilum.core.reading import answer_of

BUNDLE = "hilum-default 0.2.0 (38fc1977)"
NOTICE = "Research use only; not a medical device."
EMPTY_DESK: dict[str, Any] = OnDesk().model_dump(mode="json")


class Refused(Exception):  # noqa: N818 - it becomes a problem, not a crash
    """A request that gets a problem for an answer."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


def estimate(value: float | None, spread: float = 0.08, n: int = 120) -> dict[str, Any]:
    """An estimate with its interval."""
    if value is None:
        return {"value": None, "low": None, "high": None, "n": 0, "note": "fewer than 20 films"}
    ends = {"low": round(value - spread, 3), "high": round(value + spread / 2, 3)}
    return {"value": value, **ends, "n": n, "note": ""}


def me(who: dict[str, Any] | None, blind: bool) -> dict[str, Any]:
    """Who is signed in, and with what we read."""
    points = [
        _point("balanced", 0.602, 0.80, 0.91),
        _point("sensitive", 0.334, 0.96, 0.59),
        _point("specific", 0.71, 0.66, 0.97),
    ]
    labels = [
        {
            "label": label,
            "calibration": "platt",
            "prevalence": 0.417,
            "coverage": 0.9,
            "operating_points": points,
        }
        for label in ("covid-19", "pneumonia")
    ]
    return {
        **(who or {}),
        "local": (who or {}).get("name") == "local",
        "blind": blind,
        "csrf": "mock-csrf",
        "notice": NOTICE,
        "version": "0.3.0",
        "bundle": {
            "identity": BUNDLE,
            "name": "hilum-default",
            "version": "0.2.0",
            "checksum": "38fc1977",
            "site": None,
            "calibrated": True,
            "intended_use": "Research on frontal chest radiographs of adults",
            "labels": labels,
        },
        "labels": ["covid-19", "pneumonia", "atelectasis", "effusion", "no-finding"],
        "bundle_error": None,
        "idle_minutes": 30,
        "limits": {"file_mb": 100, "request_mb": 500, "files": 500, "megapixels": 100},
    }


def _point(name: str, threshold: float, sensitivity: float, specificity: float) -> dict[str, Any]:
    return {
        "name": name,
        "threshold": threshold,
        "sensitivity": estimate(sensitivity, n=112),
        "specificity": estimate(specificity, n=158),
        "chosen_on": "val: 270 films of 184 patients",
        "rule": "largest Youden index",
    }


def reading(film: dict[str, Any], picture: Picture, prevalence: float | None) -> dict[str, Any]:
    """What was said of a film; null while it waits."""
    said = None if film["status"] in ("queued", "reading") else _said(film, picture, prevalence)
    return {
        "film_id": film["film_id"],
        "status": film["status"],
        "reading_id": film["reading_id"],
        "read_at": film["read_at"],
        "queue_ahead": 2,
        "bundle": BUNDLE,
        "bundle_checksum": "38fc1977",
        "site": None,
        "reading": said,
        "similar_pictures": _pictures(film["reading_id"], said),
    }


def _pictures(reading_id: str | None, said: dict[str, Any] | None) -> list[str | None]:
    """Where the pictures of similar films are: of the first one alone."""
    similar = ((said or {}).get("details") or {}).get("similar", [])
    address = f"/api/v1/readings/{reading_id}/similar/0.jpg"
    return [None if place else address for place in range(len(similar))]


def _said(film: dict[str, Any], picture: Picture, prevalence: float | None) -> dict[str, Any]:
    status, refusal, reason = film["status"], None, None
    if status == "refused":
        refusal = {
            "code": "lateral",
            "measured": "log-odds of a lateral film",
            "value": 4.31,
            "limit": 1.2,
            "hint": "read the frontal film (PA or AP) of the same study",
        }
        reason = "a lateral film: log-odds of a lateral film 4.31, limit 1.2"
    if status == "error":
        reason = "pixel data ends after 1,204 of 2,048,000 bytes"
    plain = film["name"] == "uncalibrated.png"
    probability = (
        0.64 if prevalence is None else round(prevalence / (prevalence + 0.5625 * 0.71), 3)
    )
    sets = ("present", "absent") if not plain else ("indeterminate", None)
    findings = [
        _finding("covid-19", 1.21, probability, sets[0], None if plain else prevalence or 0.417),
        _finding("pneumonia", -2.2, 0.07, sets[1], None if plain else 0.35),
    ]
    return {
        "schema_version": "1.3",
        "path": film["name"],
        "status": status,
        "reason": reason,
        "hint": "export the film again from the archive" if status == "error" else None,
        "refusal": refusal,
        "forced": False,
        "findings": findings if status == "read" else [],
        "details": _details() if status == "read" and not plain else None,
        "bundle": BUNDLE,
        "elapsed_ms": 412.0,
        "film": {"sides": "stated" if picture.phantom else "assumed"},
        "history": ["modality LUT: identity", "preprocess: stretch to 160 x 160 pixels"],
        "notes": ["lossy compressed at some time"] if picture.format == "JPEG" else [],
        "notice": NOTICE,
    }


def _finding(
    label: str, logit: float, probability: float, answer: str | None, prevalence: float | None
) -> dict[str, Any]:
    known = answer, logit > 0, probability, prevalence
    return {
        "label": label,
        "code": "840539006",
        "logit": logit,
        "score": 0.77 if logit > 0 else 0.1,
        "probability": probability,
        "calibration": "platt",
        "present": logit > 0,
        "operating_point": "balanced",
        "threshold": 0.602,
        "prevalence": prevalence,
        "prediction_set": answer,
        "coverage": 0.9 if answer else None,
        "in_lung_share": 0.93 if logit > 0 else 0.41,
        "answer": answer_of(*known).value,
    }


def _details() -> dict[str, Any]:
    shares = {("right", "upper"): 0.02, ("right", "middle"): 0.1, ("right", "lower"): 0.31}
    shares |= {("left", "upper"): 0.0, ("left", "middle"): 0.22, ("left", "lower"): 0.48}
    affected = [_affected(None, None, 0.23), _affected("right", None, 0.14)]
    affected += [_affected("left", None, 0.27)]
    affected += [_affected(side, zone, share) for (side, zone), share in shares.items()]
    alike = [("covid-cxnet/112", {"covid-19": 1}), ("nih/00012_003", {"pneumonia": 0})]
    return {
        "lungs": [],
        "affected": affected,
        "lesions": [],
        "boxes": [],
        "severity": [_severity("geographic-extent", 3.4, 8), _severity("opacity", 2.6, 6)],
        "similar": [
            {"case_id": case, "cohort": case.split("/")[0], "distance": 0.21, "labels": labels}
            for case, labels in alike
        ],
    }


def _affected(side: str | None, zone: str | None, share: float) -> dict[str, Any]:
    return {"side": side, "zone": zone, "share": share, "kinds": {"ground-glass": share}}


def _severity(scale: str, value: float, maximum: float) -> dict[str, Any]:
    ends = {"low": value - 1.2, "high": value + 1.4, "coverage": 0.9}
    bounds = {"minimum": 0.0, "maximum": maximum, "notice": "research score"}
    return {"scale": scale, "value": value, **ends, **bounds}


def draft(language: str) -> dict[str, Any]:
    """A prefilled report."""
    russian = language == "ru"
    return {
        "title": "Рентгенография грудной клетки" if russian else "Chest radiograph",
        "indication": "",
        "technique": "DICOM DX, PA",
        "comparison": "",
        "findings": "Ground-glass opacities in the left lower zone; 23 % of both lungs.",
        "impression": "COVID-19 likely (64 % where 41.7 % have it).",
        "language": language,
    }


def agreement(label: str) -> dict[str, Any]:
    """Machine against human."""
    pair = {"sensitivity": estimate(0.82), "specificity": estimate(0.88)}
    return {
        "label": label,
        "films": 120,
        "reviewers": 3,
        "kappa": estimate(0.71),
        "blind_kappa": estimate(0.64),
        "agreement": estimate(0.86),
        "changed_after_reading": estimate(None),
        "machine": pair,
        "human": pair,
        "blind_human": {"sensitivity": estimate(0.78), "specificity": estimate(None)},
        "counts": {
            "both_present": 40,
            "only_machine": 10,
            "only_human": 5,
            "both_absent": 65,
            "unsure": 3,
            "cannot_say": 7,
        },
    }


def monitoring(days: int, label: str) -> dict[str, Any]:
    """What came in."""
    shown = [f"2026-{10 + d // 30:02d}-{1 + d % 30:02d}" for d in range(min(days, 60))]
    refused = [d * 5 % 4 for d in range(len(shown))]
    return {
        "days": [
            {
                "day": day,
                "films": 20 + 7 * d % 19,
                "read": 20 + 7 * d % 19 - refused[d],
                "refused": refused[d],
                "error": int(d % 9 == 0),
                "latency_ms": {
                    "p50": None if d % 11 == 3 else 700.0 + 40 * (d % 5),
                    "p95": None if d % 11 == 3 else 1500.0 + 130 * (d % 7),
                },
            }
            for d, day in enumerate(shown)
        ],
        "refusals": {"lateral": 12, "ct-slice": 1, "too-small": 4},
        "films": 812,
        "refusal_rate": 0.052,
        "scores": {
            "label": label,
            "edges": [round(0.1 * k, 1) for k in range(11)],
            "site": [0.2, 0.18, 0.12, 0.1, 0.1, 0.08, 0.07, 0.06, 0.05, 0.04],
            "validation": [0.1, 0.12, 0.12, 0.1, 0.1, 0.1, 0.1, 0.09, 0.09, 0.08],
            "n": 790,
            "psi": 0.31,
            "limit": 0.25,
            "alarm": True,
            "note": "",
        },
        "agreement": [
            {"week": f"2026-11-{w:02d}", "films": 12, "agreement": 0.8 + w / 400, "kappa": 0.6}
            for w in (2, 9, 16)
        ],
    }


def calibration() -> dict[str, Any]:
    """What the site has for a calibration."""
    counts = {
        "covid-19": {"positives": 61, "negatives": 80, "needed": 50},
        "pneumonia": {"positives": 12, "negatives": 80, "needed": 50},
    }
    return {
        "active": {"identity": BUNDLE, "candidate_id": None, "adaptation": None},
        "previous": None,
        "candidates": [],
        "available": {"reference": counts, "verdicts": counts},
    }


def candidate(site: str) -> dict[str, Any]:
    """A calibration that could be used."""
    before = {"brier": estimate(0.19, 0.03), "ece": estimate(0.12, 0.05)}
    after = {"brier": estimate(0.16, 0.03), "ece": estimate(0.04, 0.03)}
    label = {"label": "covid-19", "films": 150, "positives": 61, "negatives": 80}
    return {
        "candidate_id": "c1",
        "checksum": "77aa01bc",
        "identity": f"hilum-default 0.2.0+{site.lower().replace(' ', '-')} (77aa01bc)",
        "adaptation": {
            "site": site,
            "created": "2026-11-22",
            "films": 150,
            "patients": 141,
            "not_read": 4,
            "labels": [label | {"before": before, "after": after}],
            "kept": {"pneumonia": "12 patients with it; 50 are needed"},
            "leak_check": "none of 150 case_ids is among the 1,415 of train and val",
        },
    }


def log() -> list[dict[str, Any]]:
    """Some lines of a log."""
    actions = ("login", "film accepted", "reading", "verdict", "report", "export")
    return [
        {
            "seq": 400 - place,
            "at": "2026-11-22T12:00:00Z",
            "who": "ada" if place % 3 else "worker",
            "action": actions[place % len(actions)],
            "film_id": None if place % 6 == 0 else "9f2c4e0d1a3b5c7d",
            "study_id": None,
            "bundle": BUNDLE if place % 3 == 2 else None,
            "data": {"finding": "covid-19", "verdict": "present"} if place % 3 == 0 else {},
            "hash": f"{place:02d}" * 32,
        }
        for place in range(60)
    ]
