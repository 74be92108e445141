"""Examples: one answer, and one body, for each call of the API; they are of nobody."""

from __future__ import annotations

from typing import Any

from hilum.apps.web import answers
from hilum.apps.web.schemas import API
from hilum.core.reading import RESEARCH_USE

_FILM, _STUDY, _READING = "9f2c4e0d1a3b5c7d", "0a1b2c3d4e5f6071", "5566778899aabbcc"
_AT, _LATER = "2026-11-22T12:00:00.000Z", "2026-11-22T12:00:01.000Z"
_IDENTITY, _CHECKSUM = "hilum-default 0.2.0 (38fc1977)", "38fc1977" + "0" * 56
_MEASURED = {"value": 0.8, "low": 0.7, "high": 0.88, "n": 120, "note": ""}
_UNDEFINED = {"value": None, "low": None, "high": None, "n": 0, "note": "no case"}

_UPLOADED = {
    "accepted": [
        {
            "film_id": _FILM,
            "study_id": _STUDY,
            "name": "film.dcm",
            "duplicate": False,
            "differs": None,
            "replaced": False,
        }
    ],
    "rejected": [
        {
            "name": "notes.txt",
            "type": "https://hilum.invalid/problems/not-a-film",
            "title": "Not a film",
            "status": 415,
            "code": "not-a-film",
            "detail": "text; expected a film",
            "hint": "name an image: DICOM, PNG, JPEG, TIFF, WEBP or BMP",
            "film_id": None,
            "study_id": None,
        }
    ],
}
_ONE_FILM = {
    "film_id": _FILM,
    "study_id": _STUDY,
    "name": "film.dcm",
    "status": "read",
    "format": "DICOM DX",
    "view": "PA",
    "size": 8388608,
    "created_at": _AT,
    "read_at": _LATER,
    "reading_id": _READING,
    "blind_pending": False,
    "blind_owed": [],
}
_IMAGE = {
    "rows": 2000,
    "columns": 1600,
    "bits": 12,
    "min": 0,
    "max": 4095,
    "slope": 1.0,
    "intercept": -1024.0,
    "orientation": ["L", "F"],
    "sides": "stated",
    "spacing_mm": [0.143, 0.143],
    "spacing_plane": "detector",
    "spacing_source": "ImagerPixelSpacing",
    "ruler": None,
    "inverted": True,
    "corrected": [],
    "presets": [{"name": "film", "center": 2048.0, "width": 4096.0, "low": 0.0, "high": 4095.0}],
    "default": "film",
    "metadata": {
        "format": "DICOM DX",
        "modality": "DX",
        "view": "PA",
        "laterality": None,
        "patient_id": "P123",
        "age_years": 61.0,
        "sex": "M",
        "study_date": "2020-03-14",
        "manufacturer": "Example",
    },
    "notes": ["lossy compressed at some time"],
}
_KNOWN_LENGTH = {"points": [[310.0, 420.5], [560.0, 420.5]], "mm": 25.0}
_RULER = _KNOWN_LENGTH | {"by": "anna", "at": _LATER}
_FINDING = {
    "label": "covid-19",
    "code": "840539006",
    "logit": 1.2,
    "score": 0.77,
    "probability": 0.71,
    "calibration": "platt",
    "present": True,
    "operating_point": "balanced",
    "threshold": 0.6,
    "prevalence": 0.42,
    "prediction_set": "present",
    "coverage": 0.9,
    "in_lung_share": 0.93,
    "answer": "present",
}
_SIMILAR = {"case_id": "a/1", "cohort": "a", "distance": 0.03, "labels": {"covid-19": 1}}
_DETAILS = {
    "lungs": [],
    "affected": [{"side": None, "zone": None, "share": 0.2, "kinds": {"ground-glass": 0.2}}],
    "lesions": [],
    "boxes": [],
    "severity": [],
    "similar": [_SIMILAR],
}
_READ = {
    "film_id": _FILM,
    "status": "read",
    "queue_ahead": 0,
    "reading_id": _READING,
    "read_at": _LATER,
    "bundle": _IDENTITY,
    "bundle_checksum": _CHECKSUM,
    "site": None,
    "reading": {
        "schema_version": "1.3",
        "path": "film.dcm",
        "status": "read",
        "reason": None,
        "hint": None,
        "refusal": None,
        "forced": False,
        "findings": [_FINDING],
        "details": _DETAILS,
        "bundle": _IDENTITY,
        "elapsed_ms": 120.0,
        "film": {"format": "DICOM DX", "height": 2000, "width": 1600, "sides": "stated"},
        "history": [],
        "notes": [],
        "notice": RESEARCH_USE,
    },
    "similar_pictures": [f"{API}/readings/{_READING}/similar/0.jpg"],
}
_OUTLINE = [[310, 200], [420, 210], [400, 900]]
_OVERLAYS = {
    "rows": 2000,
    "columns": 1600,
    "lungs": [{"side": "right", "outline": _OUTLINE}],
    "lesions": [
        {
            "kind": "ground-glass",
            "area": 0.08,
            "score": 0.7,
            "box": [310, 200, 110, 700],
            "outline": _OUTLINE,
        }
    ],
    "boxes": [{"box": [100, 200, 300, 250], "score": 0.6}],
    "heatmaps": [
        {
            "label": "covid-19",
            "png": f"{API}/films/{_FILM}/heatmaps/covid-19.png",
            "f32": f"{API}/films/{_FILM}/heatmaps/covid-19.f32",
            "rows": 512,
            "columns": 410,
            "low": -1.2,
            "high": 2.3,
            "limit": 5.0,
            "unit": "logit",
        }
    ],
}
_STUDY_FACTS: dict[str, Any] = {
    "study_id": _STUDY,
    "status": "read",
    "created_at": _AT,
    "read_at": _LATER,
    "study_date": "2020-03-14",
    "name": "film.dcm",
    "view": "PA",
    "film_id": _FILM,
    "patient": {"id": "P123", "sex": "M", "age_years": 61.0},
    "findings": [
        {
            "label": "covid-19",
            "probability": 0.71,
            "present": True,
            "prediction_set": "present",
            "answer": "present",
        }
    ],
    "refusal": None,
    "priority": 0.71,
    "reviewed": True,
    "blind_pending": False,
}
_ITEM = _STUDY_FACTS | {"films": 1, "verdicts": 1, "reports": 1}
_STUDIES = {
    "items": [_ITEM],
    "total": 1,
    "next": None,
    "counts": {"queued": 0, "reading": 0, "read": 1, "refused": 0, "error": 0},
}
_MARK = {"kind": "ellipse", "points": [[310.0, 200.0], [420.0, 330.0]], "text": "here"}
_NEW_VERDICT = {
    "finding": "covid-19",
    "verdict": "absent",
    "text": "looks like atelectasis",
    "corrected_label": "atelectasis",
    "marks": [_MARK],
    "blind": False,
}
_VERDICT = _NEW_VERDICT | {
    "verdict_id": "1122334455667788",
    "film_id": _FILM,
    "reading_id": _READING,
    "by": "anna",
    "at": _LATER,
    "call": "absent",
}
_LINE: dict[str, Any] = {"kind": "line", "points": [[310.0, 200.0], [310.0, 690.0]], "text": ""}
_ON_DESK: dict[str, Any] = {
    "version": 3,
    "choices": {"covid-19": "present"},
    "text": "left base",
    "corrected_label": None,
    "blind": False,
    "marks": [_LINE],
}
_DESK = _ON_DESK | {"version": 4, "marks": [_LINE | {"measured": "Length 122.5 mm"}]}
_NEW_REFERENCE = {"finding": "covid-19", "value": 1, "standard": "RT-PCR"}
_REFERENCES = {"items": [_NEW_REFERENCE | {"by": "anna", "at": _LATER}]}
_TEXT = {
    "title": "Chest radiograph",
    "indication": "Cough",
    "technique": "DICOM DX, PA",
    "comparison": "None available.",
    "findings": "covid-19: present. Probability 71 %; score 0.770 \u2265 0.600, the threshold",
    "impression": "To be judged by the reader.",
    "language": "en",
}
_REPORT = _TEXT | {
    "report_id": "8877665544332211",
    "film_id": _FILM,
    "reading_id": _READING,
    "version": 1,
    "by": "anna",
    "at": _LATER,
    "measurements": "Length 122.5 mm",
}
_AGAINST = {"sensitivity": _MEASURED, "specificity": _UNDEFINED}
_AGREEMENT = {
    "label": "covid-19",
    "films": 120,
    "reviewers": 2,
    "kappa": _MEASURED,
    "agreement": _MEASURED,
    "blind_kappa": _UNDEFINED,
    "changed_after_reading": _UNDEFINED,
    "machine": _AGAINST,
    "human": _AGAINST,
    "blind_human": _AGAINST,
    "counts": {
        "both_present": 40,
        "only_machine": 10,
        "only_human": 5,
        "both_absent": 65,
        "unsure": 3,
        "cannot_say": 7,
    },
}
_BASE = {
    "identity": _IDENTITY,
    "checksum": _CHECKSUM,
    "candidate_id": None,
    "adaptation": None,
}
_CANDIDATE = {
    "identity": "hilum-default 0.2.0 (7d0c55aa)",
    "checksum": "7d0c55aa" + "0" * 56,
    "candidate_id": "00aa11bb22cc33dd",
    "adaptation": {
        "site": "St. Anna",
        "created": "2026-11-22",
        "bundle": _IDENTITY,
        "films": 141,
        "patients": 141,
        "not_read": 0,
        "labels": [
            {
                "label": "covid-19",
                "films": 141,
                "positives": 61,
                "negatives": 80,
                "before": {"brier": _MEASURED},
                "after": {"brier": _MEASURED},
            }
        ],
        "kept": {"pneumonia": "12 positives; 50 are needed"},
        "leak_check": "films reviewed at this site",
    },
}
_COUNTED = {"covid-19": {"positives": 61, "negatives": 80, "needed": 50}}
_CALIBRATION = {
    "active": _BASE,
    "previous": None,
    "candidates": [_CANDIDATE],
    "available": {"reference": _COUNTED, "verdicts": _COUNTED},
}
_MONITORING = {
    "days": [
        {
            "day": "2026-11-22",
            "films": 40,
            "read": 36,
            "refused": 3,
            "error": 1,
            "latency_ms": {"p50": 900.0, "p95": 1800.0},
        }
    ],
    "films": 40,
    "refusals": {"lateral": 2, "ct-slice": 1},
    "refusal_rate": 0.075,
    "scores": {
        "label": "covid-19",
        "edges": [0.0, 0.5, 1.0],
        "n": 36,
        "site": [0.7, 0.3],
        "validation": [0.6, 0.4],
        "psi": None,
        "chance": None,
        "limit": 0.25,
        "alarm": False,
        "note": "fewer than 50 films were read",
    },
    "agreement": [{"week": "2026-11-16", "films": 12, "agreement": 0.83, "kappa": 0.6}],
}
_ME = {
    "name": "anna",
    "role": "reviewer",
    "local": False,
    "blind": False,
    "csrf": "3kK...",
    "notice": RESEARCH_USE,
    "version": "0.3.0",
    "bundle": {
        "identity": _IDENTITY,
        "name": "hilum-default",
        "version": "0.2.0",
        "checksum": _CHECKSUM,
        "site": None,
        "calibrated": True,
        "intended_use": "Research.",
        "labels": [
            {
                "label": "covid-19",
                "calibration": "platt",
                "prevalence": 0.42,
                "coverage": 0.9,
                "operating_points": [
                    {
                        "name": "balanced",
                        "threshold": 0.602,
                        "sensitivity": _MEASURED,
                        "specificity": _MEASURED,
                        "chosen_on": "val",
                        "rule": "largest sum of sensitivity and specificity",
                    }
                ],
            }
        ],
    },
    "bundle_error": None,
    "idle_minutes": 30.0,
    "labels": ["covid-19", "pneumonia"],
    "limits": {"file_mb": 100.0, "request_mb": 500.0, "files": 500, "megapixels": 100.0},
}
_PERSON = {
    "user_id": "aabbccddeeff0011",
    "name": "anna",
    "role": "reviewer",
    "password": True,
    "openid": False,
    "blind": None,
    "disabled": False,
    "created_at": _AT,
}
_TOKEN = {
    "token_id": "1100ffeeddccbbaa",
    "name": "archive",
    "user": "anna",
    "created_at": _AT,
}
_LINE = {
    "seq": 812,
    "at": _LATER,
    "who": "hilum",
    "action": "read",
    "film_id": _FILM,
    "study_id": _STUDY,
    "bundle": _CHECKSUM,
    "data": {"forced": False, "reading_id": _READING, "status": "read"},
    "hash": "e3b0c442" + "0" * 56,
}
_DELETION = {
    "studies": 3,
    "films": 4,
    "readings": 4,
    "verdicts": 2,
    "marks": 1,
    "reference_standards": 1,
    "reports": 1,
    "unfinished": 1,
    "rulers": 0,
    "first_at": _AT,
    "last_at": _LATER,
    "confirm": "77aa88bb99cc00dd",
}
_ONE = f"{API}/films/{{film_id}}"

ANSWERS: dict[tuple[str, str], tuple[Any, Any]] = {
    ("POST", f"{API}/films"): (answers.Uploaded, _UPLOADED),
    ("GET", _ONE): (answers.FilmAnswer, _ONE_FILM),
    ("GET", f"{_ONE}/image"): (answers.ImageAnswer, _IMAGE),
    ("PUT", f"{_ONE}/ruler"): (answers.RulerAnswer, {"ruler": _RULER}),
    ("POST", f"{_ONE}/read"): (answers.Queued, {"film_id": _FILM, "status": "queued"}),
    ("GET", f"{_ONE}/reading"): (answers.ReadingAnswer, _READ),
    ("GET", f"{_ONE}/overlays"): (answers.OverlaysAnswer, _OVERLAYS),
    ("GET", f"{API}/studies"): (answers.StudiesAnswer, _STUDIES),
    ("POST", f"{API}/studies/search"): (answers.StudiesAnswer, _STUDIES),
    ("GET", f"{API}/studies/{{study_id}}"): (
        answers.StudyAnswer,
        _STUDY_FACTS
        | {"films": [_ONE_FILM], "prior": [_ITEM], "verdicts": [_VERDICT], "reports": [_REPORT]},
    ),
    ("POST", f"{API}/deletions/preview"): (answers.DeletionAnswer, _DELETION),
    ("POST", f"{API}/deletions"): (answers.DeletionAnswer, _DELETION),
    ("GET", f"{_ONE}/verdicts"): (answers.VerdictsAnswer, {"items": [_VERDICT]}),
    ("POST", f"{_ONE}/verdicts"): (answers.VerdictAnswer, _VERDICT),
    ("GET", f"{_ONE}/desk"): (answers.DeskAnswer, _DESK),
    ("PUT", f"{_ONE}/desk"): (answers.DeskAnswer, _DESK),
    ("POST", f"{_ONE}/verdicts/all"): (answers.VerdictsAnswer, {"items": [_VERDICT]}),
    ("GET", f"{_ONE}/reference"): (answers.ReferencesAnswer, _REFERENCES),
    ("PUT", f"{_ONE}/reference"): (answers.ReferencesAnswer, _REFERENCES),
    ("GET", f"{API}/agreement"): (answers.AgreementAnswer, _AGREEMENT),
    ("GET", f"{_ONE}/reports/draft"): (answers.ReportDraft, _TEXT),
    ("GET", f"{_ONE}/reports"): (answers.ReportsAnswer, {"items": [_REPORT]}),
    ("POST", f"{_ONE}/reports"): (answers.ReportAnswer, _REPORT),
    ("GET", f"{API}/calibration"): (answers.CalibrationAnswer, _CALIBRATION),
    ("POST", f"{API}/calibration/preview"): (answers.CandidateAnswer, _CANDIDATE),
    ("POST", f"{API}/calibration/apply"): (answers.CalibrationAnswer, _CALIBRATION),
    ("POST", f"{API}/calibration/undo"): (answers.CalibrationAnswer, _CALIBRATION),
    ("GET", f"{API}/monitoring"): (answers.MonitoringAnswer, _MONITORING),
    ("GET", f"{API}/me"): (answers.MeAnswer, _ME),
    ("POST", f"{API}/login"): (answers.MeAnswer, _ME),
    ("PUT", f"{API}/me/password"): (answers.MeAnswer, _ME),
    ("PUT", f"{API}/me/blind"): (answers.MeAnswer, _ME | {"blind": True}),
    ("GET", f"{API}/users"): (answers.PeopleAnswer, {"items": [_PERSON]}),
    ("POST", f"{API}/users"): (answers.PersonAnswer, _PERSON),
    ("PATCH", f"{API}/users/{{user_id}}"): (answers.PersonAnswer, _PERSON | {"role": "reader"}),
    ("GET", f"{API}/tokens"): (answers.TokensAnswer, {"items": [_TOKEN]}),
    ("POST", f"{API}/tokens"): (answers.NewTokenAnswer, _TOKEN | {"token": "hilum_..."}),
    ("GET", f"{API}/health"): (answers.Health, {"status": "ok"}),
    ("GET", f"{API}/ready"): (
        answers.Ready,
        {"ready": True, "store": "ok", "worker": "ok", "bundle": "ok", "disk": "ok"},
    ),
    ("GET", f"{API}/log"): (answers.LogAnswer, {"items": [_LINE], "next": 812}),
    ("GET", f"{API}/log/verify"): (
        answers.LogVerified,
        {"ok": True, "lines": 812, "problem": None},
    ),
    ("GET", f"{API}/schema/reading.json"): (
        dict[str, Any],
        {"title": "Reading", "type": "object", "properties": {}},
    ),
}
"""Method and path -> the type of the answer in JSON, and an example of it."""

TEXTS: dict[str, str] = {
    f"{API}/agreement.csv": "film_id,study_id,patient,finding,reviewer,...\n",
    f"{API}/metrics": 'hilum_films{status="read"} 36.0\n',
    f"{API}/events": f'id: 7\nevent: read\ndata: {{"film_id": "{_FILM}", "study_id": "{_STUDY}", '
    f'"status": "read", "at": "{_LATER}"}}\n\n',
}
"""Path -> how an answer in text begins."""

REDIRECTS = (f"{API}/oidc/login", f"{API}/oidc/callback")
"""Paths that answer 303."""

BODIES: dict[str, Any] = {
    "Again": {"force": False},
    "AskDeletion": {"patient_id": "P-104"},
    "Deletion": {"study_ids": [_STUDY], "confirm": "77aa88bb99cc00dd"},
    "AskApply": {"candidate_id": "00aa11bb22cc33dd"},
    "AskPreview": {"site": "St. Anna", "source": "reference"},
    "Blind": {"on": True},
    "ChangedPerson": {"role": "reader"},
    "Login": {"name": "anna", "password": "correct horse battery"},
    "NewPassword": {"old": "correct horse battery", "new": "staple correct horse"},
    "NewPerson": {"name": "anna", "role": "reviewer", "password": "correct horse battery"},
    "NewReference": _NEW_REFERENCE,
    "NewRuler": _KNOWN_LENGTH,
    "NewToken": {"user_id": "aabbccddeeff0011", "name": "archive"},
    "NewVerdict": _NEW_VERDICT,
    "OnDesk": _ON_DESK,
    "NewVerdicts": {"verdicts": [_NEW_VERDICT]},
    "ReportText": _TEXT,
    "StudyQuery": {"q": "P123", "status": ["read"], "sort": "priority", "limit": 20},
}
"""Name of a body's schema -> an example of it."""
