"""Objects of films of several kinds, judged by implementations that share no code with ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from highdicom.sr import srread as sr_of
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from hilum.bundle.folder import Bundle
from hilum.core.errors import ConfigError, HilumError, UnsupportedImageError
from hilum.core.labels import Label
from hilum.core.reading import Reading
from hilum.image.open import open_radiograph
from hilum.serve.dicom import (
    KINDS,
    Form,
    PersonMark,
    Sent,
    documents,
    make_objects,
    objects_of,
    parse_kinds,
    rejection_of,
)
from hilum.serve.dicom.codes import OWN
from hilum.serve.samples import ROOT

from .conftest import CASES

DCIODVFY = (  # warnings that may be, with the reason
    "Unrecognized defined term <99HILUM>",  # our own scheme, identified in the object
    "Unrecognized defined term <2.25.",  # and the UID of that scheme
    "is only permitted to be empty when actually unknown",  # Laterality, of a pair of lungs
    "Unrecognized defined term <99WARD>",  # a film's own codes
    "Value dubious for this VR - (0x0010,0x0010) PN",  # a film's own name of one component
)
WITHOUT_SPACING = ("cr", "bare")
IN_UNICODE = ("names", "coded")
DIFFERENT = {  # in a film and its objects: what lacks there is empty here, and text is in Unicode
    "names": ["PatientName"],
    "coded": ["PatientName", "ReferringPhysicianName", "StudyDescription", "InstitutionName"],
    "bare": ["PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName"],
}
PIXELMED = Path("/usr/share/java/pixelmed.jar")


def _bytes(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _walk(item):
    yield item
    for each in item.get("ContentSequence", []):
        yield from _walk(each)


def _groups(document):
    return [each for each in _walk(document) if _name(each) == "125007"]


def _name(item):
    names = item.get("ConceptNameCodeSequence")
    return names[0].CodeValue if names else ""


def _tracked(document):
    return {
        next(each.TextValue for each in group.ContentSequence if _name(each) == "112039"): group
        for group in _groups(document)
    }


def _polygon(group):
    (region,) = (each for each in group.ContentSequence if each.ValueType == "SCOORD")
    return np.array(region.GraphicData).reshape(-1, 2)


def _frames(dataset):
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    names = [each.TrackingID for each in dataset.SegmentSequence]
    return dict(zip(names, frames, strict=True))


def _dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize("name", CASES)
def test_dciodvfy_finds_no_error(cases, tool, name):
    program = tool("dciodvfy", "dicom3tools")
    for kind in cases[name].made:
        run = subprocess.run([program, cases[name].file(kind)], capture_output=True, text=True)
        said = [line for line in run.stderr.splitlines() if line.startswith(("Error", "Warning"))]
        assert [line for line in said if not any(each in line for each in DCIODVFY)] == [], kind


@pytest.mark.parametrize("name", CASES)
def test_dcentvfy_finds_one_patient_and_one_study(cases, tool, name):
    files = [cases[name].path, *(cases[name].file(kind) for kind in cases[name].made)]
    call = [tool("dcentvfy", "dicom3tools"), *files]
    run = subprocess.run(call, capture_output=True, text=True, errors="replace")
    said = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    # the program takes the accession number of a report for one of its series, and compares text
    # byte by byte, whatever its character sets are
    allowed = ["AccessionNumber> IE <", *(f"{each}> " for each in DIFFERENT.get(name, ()))]
    assert [line for line in said if not any(f"Element=<{each}" in line for each in allowed)] == []


def test_dcmtk_reads_report_and_presentation_state(cases, tool):
    for case in cases.values():
        run = subprocess.run(
            [tool("dsrdump", "dcmtk"), case.file("sr")], capture_output=True, text=True
        )
        said = [line for line in run.stderr.splitlines() if "ISO_IR 192" not in line]
        assert (run.returncode, said) == (0, [])
        subprocess.run([tool("dsr2html", "dcmtk"), case.file("sr"), os.devnull], check=True)
        if case.path.stem in IN_UNICODE:
            continue  # dcmpschk counts the bytes of a name in Unicode as letters
        run = subprocess.run(
            [tool("dcmpschk", "dcmtk"), case.file("gsps")], capture_output=True, text=True
        )
        assert "Test passed" in run.stdout + run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_pixelmed_finds_no_error(cases, tool, name):
    """The program takes one document, and 15 s of CPU."""
    if not PIXELMED.exists() and not os.environ.get("CI"):
        pytest.skip("PixelMed is not installed (apt-get install libpixelmed-java)")
    limits = [f"-Djdk.xml.xpath{each}Limit=0" for each in ("TotalOp", "ExprOp", "ExprGrp")]
    program = "com.pixelmed.validate.DicomSRValidator"
    call = [tool("java", "default-jre-headless"), *limits, "-cp", PIXELMED, program]
    run = subprocess.run([*call, cases[name].file("sr")], capture_output=True, text=True)
    assert "Root Template Validation Complete" in run.stdout, run.stdout + run.stderr
    assert "Found Root Template TID_1500" in run.stdout
    assert [line for line in run.stdout.splitlines() if "Error" in line] == []


def test_highdicom_reads_them_again(cases):
    from highdicom.seg import segread
    from highdicom.sr import srread

    document = srread(cases["demo"].file("sr"))
    groups = document.content.get_planar_roi_measurement_groups()
    assert len(groups) == len(_groups(document))
    assert segread(cases["demo"].file("seg")).number_of_segments >= 2


def test_every_object_says_research_use_and_belongs_to_the_film(cases):
    for case in cases.values():
        film = dcmread(case.path, stop_before_pixels=True)
        assert set(case.made) | set(case.why) == set(KINDS)
        for kind, dataset in case.made.items():
            assert dataset.SOPClassUID == KINDS[kind]
            assert dataset.StudyInstanceUID == film.StudyInstanceUID
            assert dataset.SeriesInstanceUID != film.SeriesInstanceUID
            assert str(dataset.PatientName) == str(film.PatientName)
            assert "research use only" in dataset.SeriesDescription
            assert film.SOPInstanceUID.encode() in _bytes(dataset)


def test_the_report_says_what_the_reading_says(cases):
    for case in cases.values():
        groups = _tracked(case.made["sr"])
        for finding in case.reading["findings"]:
            numbers, said = _content(groups[finding["label"]])
            assert numbers["probability"] == pytest.approx(100 * finding["probability"], abs=1e-4)
            assert numbers["score"] == pytest.approx(finding["score"], abs=1e-4)
            assert said["call"] == ("Present" if finding["present"] else "Absent")
            assert said["answer"].lower().replace(" ", "-") == finding["answer"].replace(
                "indeterminate", "cannot-say"
            )
        for scale in case.reading["details"]["severity"]:
            numbers, _ = _content(groups["severity"])
            own = {"geographic-extent": "extent"}.get(scale["scale"], scale["scale"])
            found = [numbers[own], numbers[f"{own}-low"], numbers[f"{own}-high"]]
            assert found == [scale["value"], scale["low"], scale["high"]]
        for row in case.reading["details"]["affected"]:
            if row["side"] and not row["zone"]:
                numbers, _ = _content(groups[f"lung-{row['side']}"])
                assert numbers["opaque"] == pytest.approx(100 * row["share"], abs=1e-4)
        text = "\n".join(each.get("TextValue", "") for each in _walk(case.made["sr"]))
        assert all(note.replace("\\", "/") in text for note in case.reading["notes"])
        assert "Research use only; not a medical device." in text
        assert case.made["sr"].PreliminaryFlag == "PRELIMINARY"
        assert case.made["sr"].VerificationFlag == "UNVERIFIED"


def _content(group):
    numbers, said = {}, {}
    for each in group.ContentSequence:
        if each.ValueType == "NUM":
            numbers[_name(each)] = float(each.MeasuredValueSequence[0].NumericValue)
        elif each.ValueType == "CODE" and _name(each) in OWN:
            said[_name(each)] = each.ConceptCodeSequence[0].CodeMeaning
    return numbers, said


def test_what_was_measured_of_one_lung_is_not_said_of_both(cases):
    reading = cases["demo"].reading
    (whole,) = make_objects(reading, cases["demo"].path, ["sr"])
    assert "opaque" in _content(_tracked(whole)["severity"])[0]
    found = [each for each in reading["details"]["affected"] if each["side"] != "left"]
    details = reading["details"] | {"affected": found}
    (document,) = make_objects(reading | {"details": details}, cases["demo"].path, ["sr"])
    numbers = _content(_tracked(document)["severity"])[0]
    assert numbers
    assert "opaque" not in numbers
    assert "opaque" in _content(_tracked(document)["lung-right"])[0]


def test_every_group_has_a_region_on_the_film(cases):
    for case in cases.values():
        sr, film = case.made["sr"], dcmread(case.path, stop_before_pixels=True)
        assert len(_groups(sr)) >= 4
        begun = Counter()
        for name, group in _tracked(sr).items():
            assert group.ContentTemplateSequence[0].TemplateIdentifier == "1410"
            polygon = _polygon(group)
            assert (polygon[0] == polygon[-1]).all()
            assert 3 < len(polygon) <= 400
            assert (polygon >= 0).all()
            assert (polygon <= [film.Columns, film.Rows]).all()
            if name in {*Label, "appearance", "severity"}:
                begun[len(polygon)] += 1
        assert set(begun) <= {5, 6}
        assert begun[6]  # of one rectangle, they begin where their numbers can be told apart


def test_without_a_calibration_there_is_no_probability(cases):
    reading = cases["demo"].reading
    bare = [each | {"prevalence": None} for each in reading["findings"]]
    (document,) = make_objects(reading | {"findings": bare}, cases["demo"].path, ["sr"])
    for label in (each["label"] for each in bare):
        numbers, _ = _content(_tracked(document)[label])
        assert "probability" not in numbers
        assert "score" in numbers


@pytest.mark.parametrize("name", [each for each in CASES if each not in WITHOUT_SPACING])
def test_the_segments_are_the_outlines_of_the_report(cases, name):
    groups, frames = _tracked(cases[name].made["sr"]), _frames(cases[name].made["seg"])
    for lung in ("lung-right", "lung-left"):
        drawn = np.zeros(frames[lung].shape, np.uint8)
        cv2.fillPoly(drawn, [np.rint(_polygon(groups[lung]) - 0.5).astype(np.int32)], (1,))
        away = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, 5)
        assert away[frames[lung] > 0].max() <= 1.5
        assert _dice(drawn > 0, frames[lung] > 0) > 0.99
        uids = {
            each.TrackingID: each.TrackingUID for each in cases[name].made["seg"].SegmentSequence
        }
        tracked = [each for each in groups[lung].ContentSequence if _name(each) == "112040"]
        assert uids[lung] == tracked[0].UID


BACK = {
    "mirrored": lambda mask: mask[:, ::-1],
    "left": lambda mask: np.rot90(mask),
    "upside-down": lambda mask: mask[::-1, ::-1],
    "oblong": lambda mask: mask[::2],
}


@pytest.mark.parametrize("name", BACK)
def test_a_turned_film_is_drawn_as_it_is_stored(cases, name):
    """The lungs of the upright film, turned as the file is, are the segments of the turned film.

    The upright film was shown through a window, in other tones, so that its lungs differ a little.
    """
    reading = cases[name].reading
    if name in ("left", "upside-down"):
        assert any(step.startswith("corrected: turned ") for step in reading["history"])
    upright = _frames(cases["window"].made["seg"])
    frames = _frames(cases[name].made["seg"])
    for lung in ("lung-right", "lung-left"):
        assert _dice(BACK[name](upright[lung]) > 0, frames[lung] > 0) > 0.9
    own = _frames_of_reading(reading)
    for lung in ("lung-right", "lung-left"):
        assert _dice(BACK[name](own[lung]) > 0, frames[lung] > 0) > 0.99


def _frames_of_reading(reading):
    """Fill the outlines of a reading in the matrix of the film as it was read."""
    shape = reading["film"]["height"], reading["film"]["width"]
    frames = {}
    for lung in reading["details"]["lungs"]:
        mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [np.array(lung["outline"], np.int32)], (1,))
        frames[f"lung-{lung['side']}"] = mask
    return frames


@pytest.mark.parametrize("name", CASES)
def test_the_presentation_state_shows_the_film_as_it_was_read(cases, tool, name, tmp_path):
    """Rendered by dcmtk, without the marks; and the picture lies as the file does."""
    case = cases[name]
    film = dcmread(case.path)
    if film.file_meta.TransferSyntaxUID.is_compressed:
        film.decompress()
    state = dcmread(case.file("gsps"))
    del state.GraphicAnnotationSequence
    film.save_as(tmp_path / "film.dcm")
    state.save_as(tmp_path / "gsps.dcm")
    call = [tool("dcmp2pgm", "dcmtk"), "-p", "gsps.dcm", "film.dcm", "out.pgm"]
    subprocess.run(call, check=True, cwd=tmp_path, capture_output=True)
    shown = np.asarray(Image.open(tmp_path / "out.pgm")).astype(np.float32)
    (sc,) = make_objects(case.reading | {"details": None}, case.path, ["sc"])  # without marks
    picture = sc.pixel_array.astype(np.float32).mean(-1)
    read = open_radiograph(case.path).shape
    height = round(picture.shape[1] * film.Rows / film.Columns)
    if name == "oblong":
        height *= 2
    assert max(read) >= max(picture.shape[1], height)
    top = round(0.08 * height)
    inside = picture[top : top + height]
    shown = cv2.resize(shown, inside.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.corrcoef(inside.ravel(), shown.ravel())[0, 1] > 0.95


def test_a_film_that_came_inverted_is_shown_right(cases):
    reading = cases["window"].reading
    assert cases["demo"].made["gsps"].PresentationLUTShape == "INVERSE"
    assert cases["window"].made["gsps"].PresentationLUTShape == "IDENTITY"
    history = [*reading["history"], "corrected: polarity turned, bone is white now (found so: 1)"]
    state, picture = make_objects(
        reading | {"history": history}, cases["window"].path, ["gsps", "sc"]
    )
    assert state.PresentationLUTShape == "INVERSE"
    plain = cases["window"].made["sc"].pixel_array[300:600].astype(float).mean(-1)
    assert np.corrcoef(plain.ravel(), picture.pixel_array[300:600].mean(-1).ravel())[0, 1] < -0.7


def test_the_words_cover_nothing_of_the_film_and_name_nobody(cases):
    case = cases["demo"]
    sc, film = case.made["sc"], open_radiograph(case.path).pixels
    picture = sc.pixel_array
    assert picture.shape[0] > 1.15 * film.shape[0]
    top = round(0.08 * film.shape[0])
    grey = np.rint(255 * film)
    same = abs(picture[top : top + film.shape[0]].astype(float) - grey[..., None]).max(-1) <= 1
    assert same.mean() > 0.9, "only thin lines are drawn over it"
    assert (picture[:top] == [255, 190, 60]).all(-1).any(), "the banner"


def test_the_page_is_a_pdf_without_the_patient(cases):
    pypdf = pytest.importorskip("pypdf")
    pdf = cases["names"].made["pdf"]
    data = pdf.EncapsulatedDocument[: pdf.EncapsulatedDocumentLength]
    text = pypdf.PdfReader(BytesIO(data)).pages[0].extract_text()
    assert "Research use only" in text
    assert "Yamada" not in text
    assert pdf.BurnedInAnnotation == dcmread(cases["names"].path).get("BurnedInAnnotation", "YES")
    assert pdf.VerificationFlag == "UNVERIFIED"


def test_names_are_written_in_unicode(cases):
    for kind, dataset in cases["names"].made.items():
        again = dcmread(cases["names"].file(kind), stop_before_pixels=True)
        assert again.SpecificCharacterSet == "ISO_IR 192"
        assert str(again.PatientName).split("=")[1] == "山田^太郎"
        assert "PatientAge" not in dataset


def test_without_spacing_there_is_no_segmentation(cases):
    why = {"seg": "the film does not say how far its pixels lie apart"}
    assert {name: case.why for name, case in cases.items() if case.why} == dict.fromkeys(
        WITHOUT_SPACING, why
    )


MARKS = (
    PersonMark("anna", "line", [[10, 20], [10, 120]], "left base", 31.0, 1, True, True),
    PersonMark("anna", "ellipse", [[100, 200], [300, 280]], "", 500.0, 2),
    PersonMark("anna", "rectangle", [[-50, 5], [60, 9000]]),
    PersonMark("борис", "point", [[7, 8]], "here"),
    PersonMark("anna", "polygon", [[9, 9], [29, 9], [9, 29]], "", 200.0, 2, millimeters=False),
)


@pytest.mark.parametrize("name", ["window", "left"])
def test_what_persons_drew_stands_there_as_theirs(cases, tool, tmp_path, name):
    case = cases[name]
    objects = make_objects(case.reading, case.path, ["gsps", "sr"], marks=MARKS)
    for dataset in objects:
        dataset.save_as(tmp_path / "object.dcm", enforce_file_format=True)
        run = subprocess.run(
            [tool("dciodvfy", "dicom3tools"), tmp_path / "object.dcm"],
            capture_output=True,
            text=True,
        )
        assert [line for line in run.stderr.splitlines() if line.startswith("Error")] == []
    state, document = objects
    groups = _tracked(document)
    model = {
        each.TextValue
        for group in groups.values()
        for each in group.ContentSequence
        if _name(each) == "111001"
    }
    assert model == {"Hilum"}
    for place, mark in enumerate(MARKS, start=1):
        group = groups[f"person-{place}"]
        said = {_name(each): each for each in group.ContentSequence}
        assert said["121005"].ConceptCodeSequence[0].CodeMeaning == "Person"
        assert str(said["121008"].PersonName) == mark.by
        assert "111001" not in said, "no algorithm drew it"
        assert mark.text in said["121106"].TextValue
        assert (_polygon(group) <= [state.DisplayedAreaSelectionSequence[0]
                .DisplayedAreaBottomRightHandCorner]).all()  # fmt: skip
    length = next(e for e in groups["person-1"].ContentSequence if e.ValueType == "NUM")
    assert float(length.MeasuredValueSequence[0].NumericValue) == 31.0
    area = next(e for e in groups["person-5"].ContentSequence if e.ValueType == "NUM")
    (unit,) = area.MeasuredValueSequence[0].MeasurementUnitsCodeSequence
    assert (_name(area), unit.CodeValue) == ("42798000", "{square_pixels}")
    height = case.reading["film"]["height"]
    expected = {
        "window": [[10.5, 20.5], [10.5, 120.5]],
        # the film was turned right to be read: its x is the stored height, from below
        "left": [[20.5, case.reading["film"]["width"] - 10.5],
                 [120.5, case.reading["film"]["width"] - 10.5]],
    }[name]  # fmt: skip
    assert height > 0
    assert _polygon(groups["person-1"]).tolist() == expected
    (layer,) = (e for e in state.GraphicAnnotationSequence if e.GraphicLayer == "PERSON")
    assert [len(e.GraphicData) for e in layer.GraphicObjectSequence] == [4, 74, 10, 2, 8]
    assert "anna" in layer.TextObjectSequence[0].UnformattedTextValue
    others = [e for e in state.GraphicAnnotationSequence if e.GraphicLayer != "PERSON"]
    assert not any("anna" in str(each) for each in others)


def test_the_same_reading_gives_the_same_bytes_and_any_other_another_uid(cases):
    case = cases["demo"]
    again = make_objects(case.reading | {"path": "/other/name", "elapsed_ms": 9.0}, case.path)
    assert [_bytes(each) for each in again] == [_bytes(each) for each in case.made.values()]
    when = datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC)
    dated = make_objects(case.reading, case.path, read_at=when)
    other = make_objects(case.reading | {"notes": ["another"]}, case.path, ["sr"])
    uids = [each.SOPInstanceUID for each in (*again, *dated, *other)]
    assert len(set(uids)) == 2 * len(KINDS) + 1
    assert {each.SeriesInstanceUID for each in dated} == {each.SeriesInstanceUID for each in again}
    assert dated[-1].ContentDate == "20261103"
    assert dated[-1].TimezoneOffsetFromUTC == "+0000"
    assert all(re.fullmatch(r"2\.25\.[1-9]\d{0,38}", each) for each in uids)


@pytest.mark.parametrize("kind", ["sr", "sc", "pdf"])
def test_how_large_a_film_may_be_is_said_by_the_caller(cases, monkeypatch, kind):
    case = cases["demo"]
    with pytest.raises(UnsupportedImageError, match="pixels"):
        list(objects_of(case.reading, case.path, [kind], max_megapixels=0.1))
    opened = []
    real = documents.open_radiograph
    monkeypatch.setattr(
        documents, "open_radiograph", lambda *a, **k: opened.append(k) or real(*a, **k)
    )
    assert [each.kind for each in objects_of(case.reading, case.path, [kind], max_megapixels=200)]
    assert all(each["max_megapixels"] == 200 for each in opened)
    assert len(opened) == (kind != "sr")


def test_the_report_lists_film_and_segmentation_as_evidence(cases):
    (study,) = cases["demo"].made["sr"].CurrentRequestedProcedureEvidenceSequence
    listed = {
        each.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    }
    film = dcmread(cases["demo"].path, stop_before_pixels=True)
    assert listed == {film.SOPInstanceUID, cases["demo"].made["seg"].SOPInstanceUID}


def test_a_film_that_was_not_read_has_no_objects(cases):
    refused = cases["demo"].reading | {
        "status": "error",
        "reason": "broken",
        "findings": [],
        "appearance": None,
        "details": None,
    }
    assert make_objects(refused, cases["demo"].path) == []


def test_another_bundle_makes_no_page_of_the_reading(cases, reader):
    other = Bundle(reader.bundle.root, reader.bundle.manifest, "0" * 64)
    pdf, sr = objects_of(cases["demo"].reading, cases["demo"].path, ["pdf", "sr"], bundle=other)
    assert pdf.dataset is None
    assert "the reading is of" in pdf.why
    assert sr.dataset is not None


def test_kinds_are_named():
    assert parse_kinds("sr, SEG,sr") == ("seg", "sr")
    for wrong in ("", "sr,sgps"):
        with pytest.raises(ConfigError, match="expected seg, gsps, sc, pdf, sr"):
            parse_kinds(wrong)


_TEXT = st.text(st.characters(codec="latin-1"), max_size=80)
_KEYWORDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "InstanceNumber",
    "PatientOrientation",
    "ImagerPixelSpacing",
    "InstitutionName",
    "StudyDescription",
    "Modality",
    "ContentDate",
    "TimezoneOffsetFromUTC",
)


@pytest.mark.filterwarnings("ignore")
@given(st.dictionaries(st.sampled_from(_KEYWORDS), st.none() | _TEXT, min_size=1, max_size=6))
@settings(max_examples=8)
def test_whatever_the_header_says_there_are_objects_or_a_reason(cases, tmp_path_factory, damage):
    film = dcmread(cases["window"].path)
    film.SpecificCharacterSet = "ISO_IR 100"
    for keyword, value in damage.items():
        if value is None:
            film.pop(keyword, None)
        else:  # as a string of another VR: pydicom would refuse to write many of them
            film.add_new(keyword, "LO", value)
    path = tmp_path_factory.mktemp("damaged") / "film.dcm"
    film.save_as(path)
    try:
        made = list(objects_of(cases["window"].reading, path, ["seg", "gsps", "sr"]))
    except HilumError:
        return
    assert [each.kind for each in made] == ["seg", "gsps", "sr"]
    for each in made:
        if each.dataset is not None:
            assert dcmread(BytesIO(_bytes(each.dataset))).SOPInstanceUID
        else:
            assert each.why


def test_reading_without_objects_imports_neither_library(tmp_path):
    code = (
        "import sys; from hilum.apps.cli.main import run\n"
        f"run(['read', {str(ROOT / 'frontal.png')!r}, '--json'])\n"
        "print(sorted({'highdicom', 'pynetdicom'} & set(sys.modules)), file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.stderr.strip().endswith("[]"), run.stderr
    assert '"status":"read"' in run.stdout


@pytest.mark.real_data
def test_dciodvfy_finds_no_error_in_objects_of_real_films(data_root, reader, tool, tmp_path):
    films = sorted(path for path in data_root.glob("dicom/*") if path.is_file())
    if not films:
        pytest.skip("no DICOM films there")
    program, count = tool("dciodvfy", "dicom3tools"), 0
    for path, reading in zip(films, reader.read_many(films, details=True), strict=True):
        if not reading.film.get("format", "").startswith("DICOM"):
            continue
        for dataset in make_objects(reading.model_dump(mode="json"), path):
            dataset.save_as(tmp_path / "object.dcm", enforce_file_format=True)
            run = subprocess.run([program, tmp_path / "object.dcm"], capture_output=True, text=True)
            assert [line for line in run.stderr.splitlines() if line.startswith("Error")] == []
            count += 1
    assert count >= 5


def _sent(made):
    return [Sent(k, d.SOPClassUID, d.SOPInstanceUID, d.SeriesInstanceUID) for k, d in made.items()]


@pytest.mark.parametrize("reason", ["quality", "wrong-patient", "worklist"])
def test_a_rejection_note_names_what_was_sent(cases, tool, tmp_path, reason):
    case = cases["demo"]
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    note = rejection_of(case.reading, case.path, reason, _sent(case.made), at=at)
    path = tmp_path / "note.dcm"
    note.save_as(path, enforce_file_format=True)
    for command in (["dciodvfy", path], ["dcentvfy", path, case.file("sr"), case.path]):
        program = tool(command[0], "dicom3tools")
        run = subprocess.run([program, *command[1:]], capture_output=True, text=True)
        said = run.stderr.splitlines()
        assert [line for line in said if line.startswith("Error")] == [], said
    dump = subprocess.run([tool("dsrdump", "dcmtk"), path], capture_output=True, text=True).stdout
    titles = {
        "quality": "Rejected for Quality Reasons",
        "wrong-patient": "Rejected for Patient Safety Reasons",
        "worklist": "Incorrect Modality Worklist Entry",
    }
    assert titles[reason] in dump
    assert len(re.findall(r"<contains (?:IMAGE|COMPOSITE)", dump)) == len(KINDS)
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    named = {
        (series.SeriesInstanceUID, each.ReferencedSOPInstanceUID, each.ReferencedSOPClassUID)
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    }
    assert named == {(each.series_uid, each.sop_uid, each.sop_class) for each in _sent(case.made)}
    again = rejection_of(case.reading, case.path, reason, _sent(case.made), at=at)
    assert _bytes(again) == _bytes(note)
    assert (note.Manufacturer, note.ContentDate) == ("Hilum", "20261122")
    assert note.PatientID == case.made["sr"].PatientID


def test_a_reading_that_replaces_another_says_so_under_new_uids(cases, tool, tmp_path):
    case = cases["demo"]
    former = Sent("sr", KINDS["sr"], "2.25.17", "2.25.18")
    made = {each.kind: each.dataset for each in objects_of(case.reading, case.path, former=former)}
    (study,) = made["sr"].PredecessorDocumentsSequence
    assert study.StudyInstanceUID == made["sr"].StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    (document,) = series.ReferencedSOPSequence
    assert (series.SeriesInstanceUID, document.ReferencedSOPInstanceUID) == ("2.25.18", "2.25.17")
    for kind, dataset in made.items():
        assert dataset.SOPInstanceUID != case.made[kind].SOPInstanceUID
    made["sr"].save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    program = tool("dciodvfy", "dicom3tools")
    run = subprocess.run([program, tmp_path / "sr.dcm"], capture_output=True, text=True)
    assert [line for line in run.stderr.splitlines() if line.startswith("Error")] == []
    picture = former._replace(kind="sc")
    (document,) = (
        each.dataset for each in objects_of(case.reading, case.path, ["sr"], former=picture)
    )
    assert "PredecessorDocumentsSequence" not in document  # a picture is no document


@pytest.mark.parametrize("kept", [("typical", "indeterminate"), ("negative",), ()])
def test_the_appearance_is_a_group_of_its_own_and_said_not_to_be_the_infection(
    cases, reader, say_looks, tool, tmp_path, kept
):
    case = cases["demo"]
    silent = case.reading | {"appearance": None}
    (sr,) = make_objects(silent, case.path, ["sr"], bundle=reader.bundle)
    assert "appearance" not in _tracked(sr)
    told = say_looks(Reading.model_validate(case.reading), *kept).model_dump(mode="json")
    made = {k: d for k, d, _ in objects_of(told, case.path, ["sr", "gsps"], bundle=reader.bundle)}
    group = _tracked(made["sr"])["appearance"]
    codes = [
        each.ConceptCodeSequence[0].CodeValue
        for each in group.ContentSequence
        if each.ValueType == "CODE" and _name(each) == "appearances"
    ]
    expected = ["no-pneumonia" if each == "negative" else each for each in kept]
    assert codes == (expected or ["no-appearance"])
    numbers, _ = _content(group)
    assert numbers == {
        "p-typical": 62, "p-indeterminate": 23, "p-atypical": 6, "p-no-pneumonia": 9, "coverage": 90
    }  # fmt: skip
    comments = [each.TextValue for each in _walk(made["sr"]) if _name(each) == "121106"]
    assert any("not the infection" in each for each in comments)
    for dataset in made.values():
        dataset.save_as(tmp_path / "object.dcm", enforce_file_format=True)
        run = subprocess.run(
            [tool("dciodvfy", "dicom3tools"), tmp_path / "object.dcm"],
            capture_output=True,
            text=True,
        )
        said = [line for line in run.stderr.splitlines() if line.startswith(("Error", "Warning"))]
        assert [line for line in said if not any(each in line for each in DCIODVFY)] == []


def _errors(dataset, tool, tmp_path):
    path = tmp_path / "object.dcm"
    dataset.save_as(path, enforce_file_format=True)
    run = subprocess.run([tool("dciodvfy", "dicom3tools"), path], capture_output=True, text=True)
    said = [line for line in run.stderr.splitlines() if line.startswith(("Error", "Warning"))]
    return [line for line in said if not any(each in line for each in DCIODVFY)]


@pytest.mark.parametrize(("distance", "warned"), [(0.0, True), (0.5, False)])
def test_a_film_of_the_training_is_named_as_one(cases, reader, monkeypatch, distance, warned):
    """By the report's comments and on the strip under the picture, as by the page."""
    case, drawn = cases["demo"], []
    strip = documents._strip
    monkeypatch.setattr(
        documents, "_strip", lambda said, *rest: drawn.extend(said) or strip(said, *rest)
    )
    like = {"case_id": "a/1", "cohort": "a", "distance": distance, "labels": {}}
    told = case.reading | {"details": case.reading["details"] | {"similar": [like]}}
    made = {k: d for k, d, _ in objects_of(told, case.path, ["sr", "sc"], bundle=reader.bundle)}
    comments = [each.TextValue for each in _walk(made["sr"]) if _name(each) == "121106"]
    assert any("trained on this film" in each for each in comments) is warned
    lines = ["".join(text for text, _ in line) for line in drawn]
    assert any("trained on this film" in each for each in lines) is warned


def test_a_site_has_its_own_uids_numbers_and_sizes(cases, tool, tmp_path):
    case, root = cases["names"], "1.2.826.0.1.3680043.10.1234"
    form = Form.parse(
        {
            "organization_root": root, "series_number": 700, "regions": 0, "sc_long_side": 300,
            "sc_modality": "source",
        },
        where="t",
    )  # fmt: skip
    seg, sc, sr = make_objects(case.reading, case.path, ["seg", "sc", "sr"], form=form)
    usual = {kind: case.made[kind] for kind in ("seg", "sc", "sr")}
    for kind, made in (("seg", seg), ("sc", sc), ("sr", sr)):
        assert made.SOPInstanceUID.startswith(f"{root}.")
        assert made.SeriesInstanceUID.startswith(f"{root}.")
        assert made.SeriesNumber - 700 == usual[kind].SeriesNumber - 9200
        assert _errors(made, tool, tmp_path) == []
    assert seg.FrameOfReferenceUID.startswith(f"{root}.")
    assert {each.TrackingUID[: len(root)] for each in seg.SegmentSequence} == {root}
    names = set(_tracked(usual["sr"])) - set(_tracked(sr))
    assert names
    assert all(each.startswith(("opacity-", "box-")) for each in names)
    assert max(sc.Columns, sc.Rows) < 450 < max(usual["sc"].Columns, usual["sc"].Rows)
    assert (sc.Modality, usual["sc"].Modality) == ("DX", "OT")
    long = f"1.{'2' * 32}"
    (longest,) = make_objects(
        case.reading, case.path, ["sc"], form=Form.parse({"organization_root": long}, where="t")
    )
    assert all(len(longest[each].value) <= 64 for each in ("SOPInstanceUID", "SeriesInstanceUID"))


@pytest.mark.parametrize("root", ["1.02", "3.1", "abc", "1.2.", f"1.{'2' * 33}"])
def test_what_is_no_root_of_uids(root):
    with pytest.raises(ConfigError, match="organization_root"):
        Form.parse({"organization_root": root}, where="t")


def test_groups_of_the_whole_film_may_have_no_region(cases, tool, tmp_path):
    case = cases["demo"]
    (report,) = make_objects(case.reading, case.path, ["sr"], form=Form(sr_groups="air"))
    assert _errors(report, tool, tmp_path) == []
    run = subprocess.run(
        [tool("dsrdump", "dcmtk"), tmp_path / "object.dcm"], capture_output=True, text=True
    )
    assert run.returncode == 0
    whole_film = {each["label"] for each in case.reading["findings"]} | {"appearance", "severity"}
    groups, usual = _tracked(report), _tracked(case.made["sr"])
    assert set(groups) == set(usual)
    for name, group in groups.items():
        whole = name in whole_film
        (template,) = (each.TemplateIdentifier for each in group.ContentTemplateSequence)
        assert template == ("1501" if whole else "1410")
        kinds = [each.ValueType for each in group.ContentSequence]
        assert ("SCOORD" in kinds) is not whole
        told, before = (
            {_name(each): each.MeasuredValueSequence[0].NumericValue
             for each in found.ContentSequence if each.ValueType == "NUM"}
            for found in (group, usual[name])
        )  # fmt: skip
        assert told == before
    again = sr_of(BytesIO(_bytes(report)))
    found = again.content.get_image_measurement_groups()
    assert len(found) == len(whole_film & set(groups))


@pytest.mark.parametrize("name", ["demo", "cr"])
def test_a_card_says_why_a_film_was_refused(cases, tool, tmp_path, name):
    case = cases[name]
    refused = {
        "path": "x", "status": "refused", "reason": "exposure: too dark to be read",
        "hint": "take it again", "bundle": case.reading["bundle"], "elapsed_ms": 1.0,
    }  # fmt: skip
    assert make_objects(refused, case.path) == []
    assert make_objects(refused, case.path, ["sr"], form=Form(refusals="sc")) == []
    (card,) = make_objects(refused, case.path, form=Form(refusals="sc"))
    assert (card.SOPClassUID, card.BurnedInAnnotation) == (KINDS["sc"], "NO")
    assert "PatientID" in card
    assert _errors(card, tool, tmp_path) == []
    pixels = card.pixel_array
    assert pixels.shape[1] == 1024
    gray = (pixels == 70).all(axis=2)
    assert gray.mean() > 0.5
    assert (pixels == 255).all(axis=2).any()  # words
    other = refused | {"reason": "exposure: too bright to be read"}
    (second,) = make_objects(other, case.path, form=Form(refusals="sc"))
    assert second.SOPInstanceUID != card.SOPInstanceUID
    assert (second.pixel_array != pixels).any()
    if os.environ.get("HILUM_SHOW"):
        Image.fromarray(pixels).save(Path(os.environ["HILUM_SHOW"]) / f"{name}.png")
