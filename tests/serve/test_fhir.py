"""FHIR: what ``fhir.resources`` takes, and no number or word that the reading has not."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from fhir.resources.R4B.bundle import Bundle
from pydicom import dcmread

from hilum.apps.cli.main import run
from hilum.core.reading import RESEARCH_USE, Reading
from hilum.serve.fhir import SYSTEMS, fhir_bundle, header_of
from hilum.serve.said import said_of
from hilum.serve.samples import ROOT

FINDING = {
    "label": "covid-19", "code": "840539006", "logit": 1.2, "score": 0.7685, "probability": 0.9134,
    "calibration": "platt", "present": True, "operating_point": "balanced", "threshold": 0.5,
    "prevalence": 0.05, "prediction_set": "present", "coverage": 0.9,
}  # fmt: skip
READING = {
    "path": "/ward/Secretive.dcm",
    "status": "read",
    "findings": [
        FINDING,
        FINDING | {"label": "lung-opacity", "code": None, "prediction_set": "indeterminate"},
        FINDING | {"label": "pneumonia", "prevalence": None, "prediction_set": None,
                   "coverage": None, "present": False, "score": 0.2, "probability": 0.2},
    ],
    "appearance": {
        "chances": {"typical": 0.7, "indeterminate": 0.1, "atypical": 0.1, "negative": 0.1},
        "calibration": "temperature", "prediction_set": ["typical"], "coverage": 0.9,
    },
    "details": {
        "affected": [
            {"side": None, "zone": None, "share": 0.25, "kinds": {"ground-glass": 0.25}},
            {"side": "right", "zone": None, "share": 0.2, "kinds": {}},
            {"side": "right", "zone": "upper", "share": 0.3, "kinds": {}},
            {"side": "left", "zone": None, "share": 0.3, "kinds": {}},
        ],
        "severity": [{"scale": "brixia", "value": 7.04, "low": 4.1, "high": 9.9, "coverage": 0.9,
                      "maximum": 18.0}],
    },
    "bundle": "hilum-default 0.2.0 (38fc1977)",
    "elapsed_ms": 10.0,
    "film": {"patient_id": "P-17", "study_uid": "1.2.3", "study_date": "2020-03-04",
             "sides": "stated"},
    "notes": ["turned upright"],
}  # fmt: skip


def _of(bundle, kind):
    resources = [each["resource"] for each in bundle["entry"]]
    return [each for each in resources if each["resourceType"] == kind]


@pytest.fixture
def made():
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    return fhir_bundle(READING, read_at=at, accession="ACC-1")


def test_it_is_what_fhir_says_a_bundle_is(made):
    Bundle.model_validate(json.loads(json.dumps(made)))
    names = [each["fullUrl"] for each in made["entry"]]
    assert len(set(names)) == len(names) == 1 + 3 + 1 + 3 + 1 + 1
    text = json.dumps(made)
    referred = {part.partition('"')[0] for part in text.split('"reference": "')[1:]}
    assert referred == set(names[:-1])  # all but the report are referred to, and nothing else
    assert "Secretive" not in text
    for each in made["entry"]:
        kind, resource = each["request"]["url"], each["resource"]
        assert resource["resourceType"] == kind
        assert each["request"]["ifNoneExist"].endswith(resource["identifier"][0]["value"])


def test_the_report_says_what_the_other_reports_say(made):
    (report,) = _of(made, "DiagnosticReport")
    said = said_of(Reading.model_validate(READING))
    for line in (RESEARCH_USE, *(f"{each.label}: {each.line}" for each in said.findings),
                 said.opaque,
                 said.severity[0].line, said.appearance.line, "turned upright"):  # fmt: skip
        assert line in report["conclusion"]
    assert "covid-19: very likely, 91 in 100 where 5.0 in 100 have it" in report["conclusion"]
    assert not re.search("score 0|threshold", report["conclusion"])  # in each Observation's note
    assert report["status"] == "preliminary"
    assert report["issued"] == "2026-03-04T05:06:07+00:00"
    assert report["effectiveDateTime"] == "2020-03-04"
    assert report["subject"] == {"type": "Patient", "identifier": {"value": "P-17"}}
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.3"
    assert report["basedOn"][0]["identifier"]["value"] == "ACC-1"


def test_findings_have_their_answer_and_their_numbers(made):
    covid, opacity, pneumonia, looks, both, right, _, brixia = _of(made, "Observation")
    assert covid["code"]["coding"][0] == {
        "system": "http://snomed.info/sct", "code": "840539006",
        "display": "Disease caused by SARS-CoV-2",
    }  # fmt: skip
    assert covid["valueCodeableConcept"]["coding"][0]["code"] == "52101004"
    assert covid["interpretation"][0]["coding"][0]["code"] == "POS"
    numbers = {
        each["code"]["coding"][0]["code"]: each.get("valueQuantity", {}).get("value")
        for each in covid["component"]
    }
    assert numbers == {
        "probability": 91.3, "score": 0.768, "threshold": 0.5, "prevalence": 5.0,
        "prediction-set": None, "coverage": 90.0,
    }  # fmt: skip
    assert opacity["interpretation"][0]["coding"][0]["code"] == "IND"
    assert opacity["code"]["coding"][0]["system"] == SYSTEMS["99HILUM"]
    # without calibration there is no probability
    assert [each["code"]["coding"][0]["code"] for each in pneumonia["component"]] == [
        "score", "threshold",
    ]  # fmt: skip
    assert looks["valueCodeableConcept"]["coding"][0]["code"] == "typical"
    assert len(looks["component"]) == 4
    assert (both["valueQuantity"]["value"], right["valueQuantity"]["value"]) == (25.0, 20.0)
    assert right["bodySite"]["coding"][0]["code"] == "3341006"
    assert (brixia["valueQuantity"]["value"], brixia["valueQuantity"]["code"]) == (7.0, "{score}")
    assert [each["valueQuantity"]["value"] for each in brixia["component"]] == [4.1, 9.9]


def test_what_was_measured_of_one_lung_is_not_said_of_both():
    details = READING["details"] | {"affected": READING["details"]["affected"][:3]}
    bundle = fhir_bundle(READING | {"details": details})
    places = [each["bodySite"]["text"] for each in _of(bundle, "Observation")
              if each["code"]["coding"][0]["code"] == "opaque"]  # fmt: skip
    assert places == ["Right lung"]


def test_the_same_reading_is_the_same_bundle_and_another_is_another(made):
    at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    elsewhere = READING | {"path": "other.dcm", "elapsed_ms": 99.0}
    assert fhir_bundle(elsewhere, read_at=at, accession="ACC-1") == made
    other = fhir_bundle(READING | {"notes": []}, read_at=at, accession="ACC-1")
    names, others = ({each["fullUrl"] for each in bundle["entry"]} for bundle in (made, other))
    # the reader is one Device, however many films it reads
    assert names & others == {made["entry"][0]["fullUrl"]}
    assert made["entry"][0]["request"]["url"] == "Device"
    newer = fhir_bundle(READING | {"bundle": "hilum-default 0.3.0 (1a2b3c4d)"})
    assert newer["entry"][0]["fullUrl"] not in names


def test_each_observation_says_what_it_is_and_a_forced_one_is_no_plain_answer(made):
    refusal = {"code": "other-modality", "measured": "log-odds -3", "hint": "look"}
    reason = Reading.model_validate(READING | {"forced": True, "refusal": refusal, "reason": "odd"})
    forced = fhir_bundle(reading := reason.model_dump(mode="json"))
    Bundle.model_validate(json.loads(json.dumps(forced)))
    for each in _of(made, "Observation"):
        assert each["note"][0] == {"text": RESEARCH_USE}
    said = said_of(Reading.model_validate(reading))
    assert said.refusal
    for each in _of(forced, "Observation"):
        assert [note["text"] for note in each["note"]][:2] == [RESEARCH_USE, said.refusal]
    finding = _of(forced, "Observation")[0]
    assert finding["interpretation"][0]["coding"][0]["code"] == "IND"
    assert finding["note"][-1]["text"] == said.findings[0].sentence


def test_a_picture_and_a_film_that_was_not_read():
    bundle = fhir_bundle(READING | {"film": {}, "details": None, "appearance": None})
    Bundle.model_validate(json.loads(json.dumps(bundle)))
    (report,) = _of(bundle, "DiagnosticReport")
    assert not {"subject", "imagingStudy", "issued", "basedOn"} & set(report)
    refused = {"status": "error", "path": "x", "bundle": "b", "elapsed_ms": 1.0, "reason": "torn"}
    assert fhir_bundle(refused) is None


def test_the_header_tells_the_order_and_whose_number_the_patient_has(tmp_path):
    film = dcmread(ROOT / "frontal.dcm")
    film.AccessionNumber, film.IssuerOfPatientID = "ACC-2", "WARD"
    film.save_as(tmp_path / "film.dcm")
    told = header_of(tmp_path / "film.dcm")
    (report,) = _of(bundle := fhir_bundle(READING, **told), "DiagnosticReport")
    Bundle.model_validate(json.loads(json.dumps(bundle)))
    assert report["basedOn"][0]["identifier"]["value"] == "ACC-2"
    assert report["subject"]["identifier"] == {"value": "P-17", "assigner": {"display": "WARD"}}
    # a broken header, and a picture, tell nothing, and end nothing
    head, torn = film.preamble + b"DICM", tmp_path / "torn.dcm"
    meta = bytes.fromhex("02001000") + b"UI\x16\x001.2.840.10008.1.2.1.99"
    torn.write_bytes(head + meta + b"no deflated data set")
    for path in (torn, ROOT / "frontal.png"):
        assert header_of(path) == {}


def test_the_verb_writes_a_file_a_film(tmp_path, small_bundle, capsys):
    films = [str(ROOT / name) for name in ("frontal.dcm", "frontal.png")]
    command = ["read", *films, "--bundle", str(small_bundle), "--fhir", str(tmp_path)]
    assert run(command) == 0
    assert f"wrote 2 FHIR bundles to {tmp_path}" in capsys.readouterr().err
    for path in tmp_path.iterdir():
        Bundle.model_validate_json(path.read_text(encoding="utf-8"))
