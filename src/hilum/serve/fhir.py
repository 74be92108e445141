"""FHIR R4: a reading as DiagnosticReport and Observations, for a record that speaks no DICOM.

A pure function of the reading, in the words of ``said``. Each resource has an identifier that
follows from its content and is created only where there is none with it: what is sent twice is
there once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from pydicom import dcmread

from hilum.core.details import Affected, Severity, Side
from hilum.core.labels import Code
from hilum.core.reading import RESEARCH_USE, Answer, AppearanceFinding, Finding, Reading, Status
from hilum.core.rounded import fixed, percent
from hilum.image.dicom_values import text_of
from hilum.image.limits import gathered_warnings
from hilum.serve.dicom import codes
from hilum.serve.dicom.common import MANUFACTURER, MODEL, uid
from hilum.serve.said import FindingSaid, Wording, said_of

UCUM, URI = "http://unitsofmeasure.org", "urn:ietf:rfc:3986"
_TERMS = "http://terminology.hl7.org/CodeSystem"
SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    codes.SCHEME: f"urn:oid:{uid('coding scheme', codes.SCHEME)}",
}
"""Coding scheme of DICOM -> code system of FHIR."""
ANSWERS = {
    Answer.PRESENT: (codes.PRESENT, "POS", "Positive"),
    Answer.ABSENT: (codes.ABSENT, "NEG", "Negative"),
    Answer.CANNOT_SAY: (codes.OWN["cannot-say"], "IND", "Indeterminate"),
}
LUNGS = {
    None: Code("74101002", "SCT", "Both lungs"),
    Side.RIGHT: Code("3341006", "SCT", "Right lung"),
    Side.LEFT: Code("44029006", "SCT", "Left lung"),
}
_Json = dict[str, Any]


def fhir_bundle(
    reading: Mapping[str, Any],
    *,
    read_at: datetime | None = None,
    accession: str = "",
    issuer: str = "",
) -> _Json | None:
    """Return a reading as a transaction Bundle of FHIR R4; None for a film that was not read.

    It holds a Device (Hilum and the bundle), an Observation for each finding, for the appearance,
    for the opaque share of both lungs and of each, and for each severity score, and a
    DiagnosticReport of them. Patient, study and order are named by their identifiers alone, so
    that the record links them with its own. Everything is ``preliminary``: no person has seen it.

    Args:
        reading: as JSON has it; with details it says more.
        read_at: when it was read; without a time zone it is UTC. None: it is not said.
        accession: Accession Number of the study, by which a record knows the order.
        issuer: of the PatientID (0010,0021): which register's number it is.
    """
    told = Reading.model_validate(dict(reading))
    if told.status is not Status.READ:
        return None
    return _Telling(told, said_of(told), read_at, accession, issuer).bundle()


def header_of(film: Path) -> dict[str, Any]:
    """Return what else ``fhir_bundle`` is told of a film: accession and issuer, as far as known."""
    tags = {"accession": "AccessionNumber", "issuer": "IssuerOfPatientID"}
    try:
        with gathered_warnings():
            header = dcmread(film, specific_tags=list(tags.values()))
            return {name: text_of(header, tag) or "" for name, tag in tags.items()}
    except Exception:  # pydicom raises anything at what is no DICOM
        return {}


class _Telling:
    """One reading on its way to resources."""

    def __init__(
        self, told: Reading, said: Wording, read_at: datetime | None, accession: str, issuer: str
    ) -> None:
        self._told, self._said, self._accession, self._issuer = told, said, accession, issuer
        about = told.model_dump_json(exclude={"path", "elapsed_ms"})
        self._digest = sha256(f"{about}{read_at}{accession}{issuer}".encode()).hexdigest()
        self._facts = self._common(read_at)

    def bundle(self) -> _Json:
        device = self._entry("Device", self._device())
        self._facts |= {"device": {"reference": device["fullUrl"]}}
        results = [self._entry("Observation", each) for each in self._observations()]
        report = self._entry("DiagnosticReport", self._report(results))
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [device, *results, report],
        }

    def _common(self, read_at: datetime | None) -> _Json:
        """Return what report and observations say alike."""
        film = self._told.film
        facts: _Json = {"status": "preliminary"}
        if patient := film.get("patient_id"):
            by = {"assigner": {"display": self._issuer}} if self._issuer else {}
            facts["subject"] = {"type": "Patient", "identifier": {"value": patient} | by}
        if day := film.get("study_date"):
            facts["effectiveDateTime"] = day
        if read_at is not None:
            moment = read_at if read_at.tzinfo else read_at.replace(tzinfo=UTC)
            facts["issued"] = moment.isoformat(timespec="seconds")
        if self._accession:
            kind = _concept(f"{_TERMS}/v2-0203", "ACSN", "Accession ID")
            number = {"type": kind, "value": self._accession}
            facts["basedOn"] = [{"type": "ServiceRequest", "identifier": number}]
        return facts

    def _entry(self, kind: str, content: _Json) -> _Json:
        """Return a resource to create, unless there is one with its identifier."""
        of = "" if kind == "Device" else self._digest  # the reader is one, whatever it reads
        name = f"urn:uuid:{uuid5(NAMESPACE_OID, f'{kind} {of} {content}')}"
        identifier = [{"system": URI, "value": name}]
        return {
            "fullUrl": name,
            "resource": {"resourceType": kind, "identifier": identifier} | content,
            "request": {
                "method": "POST",
                "url": kind,
                "ifNoneExist": f"identifier={URI}%7C{name}",
            },
        }

    def _device(self) -> _Json:
        return {
            "manufacturer": MANUFACTURER,
            "deviceName": [{"name": MODEL, "type": "model-name"}],
            "version": [{"value": f"hilum {version('hilum')}"}, {"value": self._told.bundle}],
            "note": [{"text": RESEARCH_USE}],
        }

    def _report(self, results: list[_Json]) -> _Json:
        facts = {key: value for key, value in self._facts.items() if key != "device"}
        loinc = _concept("http://loinc.org", "18748-4", "Diagnostic imaging study")
        return (
            facts
            | {
                "category": [_concept(f"{_TERMS}/v2-0074", "RAD", "Radiology")],
                "code": loinc,
                "result": [{"reference": each["fullUrl"]} for each in results],
                "conclusion": "\n".join(self._lines()),
            }
            | ({"imagingStudy": studies} if (studies := self._studies()) else {})
        )

    def _lines(self) -> Iterator[str]:
        """Yield what the report says, as the other reports say it."""
        said = self._said
        yield RESEARCH_USE
        yield from filter(None, (said.refusal, said.trained))
        yield from (f"{each.label}: {each.line}" for each in said.findings)
        if said.appearance is not None:
            yield f"{said.appearance.line}. {said.appearance.notice}"
        yield from said.measured
        yield from (said.sides, *said.notes) if said.sides else said.notes
        yield self._told.bundle

    def _studies(self) -> list[_Json]:
        study = self._told.film.get("study_uid")
        known = {"system": "urn:dicom:uid", "value": f"urn:oid:{study}"}
        return [{"type": "ImagingStudy", "identifier": known}] if study else []

    def _observations(self) -> Iterator[_Json]:
        told, said = self._told, self._said
        for finding, words in zip(told.findings, said.findings, strict=True):
            told_as = _finding(finding, words)
            if told.forced:  # a plain POS would be taken for what the gate let pass
                told_as |= {"interpretation": [_interpreted("IND", "Indeterminate")]}
            yield self._observed(told_as)
        if told.appearance is not None:
            yield self._observed(_appearance(told.appearance))
        details = told.details
        regions = details.by_lung.values() if details else ()
        scores = details.severity if details else ()
        for each in chain(map(_region, regions), map(_severity, scores)):
            yield self._observed(each)

    def _observed(self, content: _Json) -> _Json:
        studies = self._studies()
        warned = (RESEARCH_USE, self._said.refusal, self._said.trained)
        imaging = _concept(f"{_TERMS}/observation-category", "imaging", "Imaging")
        return (
            self._facts
            | {"category": [imaging], "bodySite": _coded(LUNGS[None])}
            | content
            | ({"derivedFrom": studies} if studies else {})
            | {"note": [{"text": each} for each in filter(None, warned)] + content.get("note", [])}
        )


def _finding(finding: Finding, said: FindingSaid) -> _Json:
    code = codes.of_label(finding.label)
    answer, letters, meaning = ANSWERS[finding.answer]
    fitted = finding.prevalence is not None

    def named(own: str) -> _Json:
        return _coded(codes.OWN[own], f"{finding.label}, {codes.OWN[own].meaning}")

    numbers = [
        _number(named("score"), finding.score),
        _number(named("threshold"), finding.threshold),
    ]
    if fitted:
        numbers.insert(0, _percent(named("probability"), finding.probability))
        numbers.append(_percent(named("prevalence"), finding.prevalence or 0.0))
    if finding.prediction_set is not None:
        kept = {"code": named("prediction-set")}
        kept |= {"valueCodeableConcept": _coded(codes.ANSWERS[finding.prediction_set])}
        numbers += [kept, _percent(named("coverage"), finding.coverage or 0.0)]
    return {
        "code": _coded(code, str(finding.label)),
        "valueCodeableConcept": _coded(answer, said.answered),
        "interpretation": [_interpreted(letters, meaning)],
        "note": [{"text": said.sentence}],
        "component": numbers,
    }


def _appearance(looks: AppearanceFinding) -> _Json:
    only = looks.prediction_set if looks.prediction_set and len(looks.prediction_set) == 1 else ()
    value = _coded(codes.APPEARANCES[only[0]], looks.words) if only else {"text": looks.words}
    return {
        "code": _coded(codes.OWN["appearance"]),
        "valueCodeableConcept": value,
        "note": [{"text": looks.notice}],
        "component": [
            _percent(_coded(codes.OWN[f"p-{codes.APPEARANCES[each].value}"]), chance)
            for each, chance in looks.chances.items()
        ],
    }


def _region(affected: Affected) -> _Json:
    kinds = [
        _percent(_coded(codes.OWN[codes.SHARES[kind]]), share)
        for kind, share in affected.kinds.items()
    ]
    shown = _percent(_coded(codes.OWN["opaque"]), affected.share)
    return (
        shown | {"bodySite": _coded(LUNGS[affected.side])} | ({"component": kinds} if kinds else {})
    )


def _severity(score: Severity) -> _Json:
    own = codes.SCALES[score.scale]
    ends = {"low": score.low, "high": score.high}
    covered = f"{percent(score.coverage)} % of films lie in the interval; {score.notice}"
    return _score(_coded(codes.OWN[own]), score.value) | {
        "note": [{"text": covered}],
        "component": [
            _score(_coded(codes.OWN[f"{own}-{end}"]), value) for end, value in ends.items()
        ],
    }


def _coded(code: Code, text: str = "") -> _Json:
    coding = {"system": SYSTEMS[code.scheme], "code": code.value, "display": code.meaning}
    return {"coding": [coding], "text": text or code.meaning}


def _concept(system: str, code: str, display: str) -> _Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _interpreted(letters: str, meaning: str) -> _Json:
    return _concept(f"{_TERMS}/v3-ObservationInterpretation", letters, meaning)


def _quantity(code: _Json, value: str, unit: str) -> _Json:
    shown = unit.strip("{}")
    quantity = {"value": float(value), "unit": shown, "system": UCUM, "code": unit}
    return {"code": code, "valueQuantity": quantity}


def _percent(code: _Json, share: float) -> _Json:
    return _quantity(code, percent(share, 1), "%")


def _number(code: _Json, value: float) -> _Json:
    return _quantity(code, fixed(value, 3), "1")


def _score(code: _Json, value: float) -> _Json:
    return _quantity(code, fixed(value, 1), "{score}")
