"""De-identification: nothing of the patient is left in any byte, and the film is still the film.

The list of what stays is compared with table E.1-1 as ``dicom-anonymizer`` has it, and what is
written is judged by dciodvfy.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import ExplicitVRLittleEndian

from hilum.apps.cli.main import run
from hilum.core.errors import ImageError, RejectedImageError, UnsupportedImageError
from hilum.image.open import open_radiograph
from hilum.serve.dicom.deidentify import KEPT, deidentify
from hilum.serve.samples import ROOT

KEY = b"sixteen bytes or more"
TABLE = import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
LISTS = [name for name in vars(TABLE) if name.endswith("_TAGS") and name != "ALL_TAGS"]
NAMED = {each for name in LISTS for each in getattr(TABLE, name)}
MARK = "Zyxwvut"
TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
DCIODVFY = shutil.which("dciodvfy")


def load(made):
    return dcmread(io.BytesIO(made.file))


def save(dataset, path):
    dataset.save_as(path, enforce_file_format=True)
    return str(path)


@pytest.fixture
def film(tmp_path):
    """Write the built-in film: ``film(PatientID="A")``; it says that its pixels name nobody."""

    def make(**attributes):
        dataset = dcmread(ROOT / "frontal.dcm")
        for keyword, value in ({"BurnedInAnnotation": "NO"} | attributes).items():
            if value is None:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, value)
        return save(dataset, tmp_path / f"{len(list(tmp_path.iterdir()))}.dcm")

    return make


def test_nothing_that_stays_is_in_table_e_1_1():
    tags = {tag_for_keyword(keyword): keyword for keyword in KEPT}
    assert None not in tags
    assert len(NAMED) > 500
    named = {group << 16 | element for group, element, *_ in NAMED}
    assert {keyword for tag, keyword in tags.items() if tag in named} == set()


def _value(vr, number):
    """Return a value that can be found again, with the texts and numbers that it is found by."""
    if vr in TEXT:
        text = f"{MARK}{number}"
        return (text.upper() if vr == "CS" else text)[:16]
    if vr == "UI":
        return f"1.2.987654321.{number}"
    if vr in ("OB", "UN", "OW"):
        return f"{MARK}{number:05}".encode()
    return {
        "DA": "19870605", "TM": "070839.987", "DT": "19870605070839.987", "AS": "071Y",
        "DS": "98765.4321", "IS": "987654321",
    }.get(vr)  # fmt: skip


def test_no_value_of_the_original_is_left_in_any_byte(tmp_path):
    """Every attribute of the table is planted, in the film and in a sequence, and more besides."""
    dataset = dcmread(ROOT / "frontal.dcm")
    inside, planted = Dataset(), 0
    for number, (group, element, *_) in enumerate(sorted(NAMED)):
        tag = group << 16 | element
        keyword = keyword_for_tag(tag)
        if not keyword or group < 0x0008:
            continue  # commands, and the file meta, which is planted below
        vr = dictionary_VR(tag).partition(" ")[0]
        value = _value(vr, number)
        if value is None or keyword == "SOPInstanceUID":
            continue
        for place in (dataset, inside):
            place.add_new(tag, vr, value)
        planted += 1
    assert planted > 300
    dataset.SOPInstanceUID = "1.2.987654321.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.987654321.1"
    dataset.file_meta.SourceApplicationEntityTitle = MARK
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.987654321.2"
    dataset.file_meta.PrivateInformation = MARK.encode() + b"!"
    dataset.preamble = (MARK.encode() * 20)[:128]
    block = dataset.private_block(0x0009, MARK, create=True)
    block.add_new(1, "LO", MARK)
    dataset.RequestAttributesSequence = [inside]
    dataset.ViewCodeSequence[0].ContextUID = "1.2.987654321.3"
    dataset.ViewCodeSequence[0].MappingResourceName = MARK
    dataset.add_new(0x60003000, "OW", MARK.encode() + b"!")
    dataset.add_new(0xFFFCFFFC, "OB", MARK.encode() + b"!")
    dataset.BurnedInAnnotation = "NO"
    # a compressed frame may hold a comment of its own (JPEG COM)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    comment = MARK.encode() + b"!"
    frame = frame[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + frame[2:]
    dataset.PixelData = encapsulate([frame])
    made = deidentify(save(dataset, tmp_path / f"{MARK}.dcm"), key=KEY)
    for found in (MARK, MARK.upper(), "987654321", "19870605", "070839", "071Y", "98765.4321"):
        assert found.encode() not in made.file, found
    before, after = dcmread(ROOT / "frontal.dcm"), load(made)
    assert np.array_equal(after.pixel_array, before.pixel_array)
    kept = {each.keyword for each in after} - KEPT
    assert kept == {
        "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName",
        "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
        "ReferringPhysicianName", "AcquisitionContextSequence", "SpecificCharacterSet",
        "BurnedInAnnotation", "PatientIdentityRemoved", "DeidentificationMethod",
        "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
        "BitsAllocated", "BitsStored", "HighBit", "PixelData",
    }  # fmt: skip


def test_films_of_a_patient_stay_together_and_are_the_same_whenever_they_are_made(film):
    one = load(first := deidentify(film(PatientID="A", SOPInstanceUID="1.2.1"), key=KEY))
    two = load(deidentify(film(PatientID="A", SOPInstanceUID="1.2.2"), key=KEY))
    other = load(deidentify(film(PatientID="B", SOPInstanceUID="1.2.3"), key=KEY))
    elsewhere = load(deidentify(film(PatientID="A", SOPInstanceUID="1.2.1"), key=KEY + b"!"))
    assert deidentify(film(PatientID="A", SOPInstanceUID="1.2.1"), key=KEY) == first
    assert one.PatientID == two.PatientID == first.patient == str(one.PatientName)
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert len({one.PatientID, other.PatientID, elsewhere.PatientID}) == 3
    assert one.StudyInstanceUID != elsewhere.StudyInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID == first.sop_uid
    for each in (one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID):
        assert re.fullmatch(r"2\.25\.\d{30,39}", each)
    codes = [each.CodeValue for each in one.DeidentificationMethodCodeSequence]
    assert (codes, one.PatientIdentityRemoved, one.PatientSex) == (["113100"], "YES", "")
    assert not any(each in one for each in ("PatientAge", "AcquisitionDate", "StationName"))


def test_what_stays_has_a_value_that_it_may_have(tmp_path):
    """A file states any VR that it likes: a name under an attribute that stays is a name."""
    dataset = dcmread(ROOT / "frontal.dcm")
    dataset.BurnedInAnnotation = "NO"
    secret = f"{MARK}^Jo 19500101"
    for keyword, vr in (("ViewPosition", "LO"), ("ImageType", "LT"), ("ExposureIndex", "ST"),
                        ("SeriesNumber", "LO"), ("PixelPaddingValue", "LO"),
                        ("RescaleType", "LO"), ("BodyPartExamined", "SH")):  # fmt: skip
        dataset.pop(keyword, None)
        dataset.add_new(tag_for_keyword(keyword), vr, secret[:16] if vr == "SH" else secret)
    dataset.add_new(tag_for_keyword("Grid"), "SH", "fixed")  # lower case is raised
    dataset.XRayTubeCurrent = ""
    dataset.add_new(tag_for_keyword("ExposureTimeInuS"), "LO", "1234.567890123456789")
    dataset.add_new(
        tag_for_keyword("AnatomicRegionModifierSequence"), "UN", (MARK * 11000).encode()
    )
    dataset.AnatomicRegionSequence[0].CodeMeaning = MARK
    own = Dataset()
    own.CodeValue, own.CodingSchemeDesignator, own.CodeMeaning = MARK, "99OWN", MARK
    dataset.ViewCodeSequence.append(own)
    made = deidentify(save(dataset, tmp_path / "film.dcm"), key=KEY)
    assert MARK.encode() not in made.file
    assert MARK.upper().encode() not in made.file
    assert b"19500101" not in made.file
    after = load(made)
    assert (after.Grid, after.XRayTubeCurrent, after.KVP) == ("FIXED", None, 100)
    assert float(after.ExposureTimeInuS) == pytest.approx(1234.567890)
    assert after.ImagerPixelSpacing == [0.36, 0.36]
    assert [each.CodeMeaning for each in after.AnatomicRegionSequence] == ["51185008"]
    assert [each.CodeMeaning for each in after.ViewCodeSequence] == ["postero-anterior"]


@pytest.mark.parametrize("age", ["95y", "095", "1200M", "5000W", "99 Y", "95 years"])
def test_an_age_or_a_sex_that_cannot_be_is_left_out(film, age):
    path = film()
    dataset = dcmread(path)
    dataset.add_new(tag_for_keyword("PatientAge"), "LO", age)
    dataset["PatientSex"] = DataElement(tag_for_keyword("PatientSex"), "LO", "F DOE")
    made = load(deidentify(save(dataset, path), key=KEY, keep_person=True))
    assert "PatientAge" not in made
    assert made.PatientSex == ""


def test_age_and_sex_stay_where_they_are_asked_for(film):
    for age, kept in (("045Y", "045Y"), ("089Y", "089Y"), ("099Y", "090Y"), ("003M", "003M")):
        made = load(deidentify(film(PatientAge=age, PatientSex="F"), key=KEY, keep_person=True))
        assert (made.PatientAge, made.PatientSex) == (kept, "F")
    codes = [each.CodeValue for each in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113108"]


def test_a_film_that_may_name_its_patient_in_its_picture_is_refused(film):
    with pytest.raises(RejectedImageError, match="is YES"):
        deidentify(film(BurnedInAnnotation="YES"), key=KEY, accept_pixels=True)
    with pytest.raises(RejectedImageError, match="not stated"):
        deidentify(film(BurnedInAnnotation=None), key=KEY)
    made = load(deidentify(film(BurnedInAnnotation=None), key=KEY, accept_pixels=True))
    assert made.BurnedInAnnotation == "NO"


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"Modality": "SR"}, "modality SR"),
        ({"Modality": "OT"}, "modality OT"),
        ({"Modality": None}, "modality None"),
        ({"StudyInstanceUID": None}, "StudyInstanceUID is missing"),
        ({"PixelData": None}, "ends before"),
    ],
)
def test_what_is_no_film_is_refused(film, attributes, said):
    with pytest.raises(ImageError, match=said):
        deidentify(film(**attributes), key=KEY)


def test_a_colour_picture_is_refused(film, tmp_path):
    dataset = dcmread(film())
    dataset.decompress()
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration, dataset.BitsAllocated, dataset.BitsStored = 0, 8, 8
    dataset.HighBit = 7
    dataset.PixelData = bytes(dataset.Rows * dataset.Columns * 3)
    with pytest.raises(UnsupportedImageError, match="grey"):
        deidentify(save(dataset, tmp_path / "rgb.dcm"), key=KEY)


@pytest.mark.parametrize(("signed", "high"), [(0, 11), (0, 13), (1, 11)])
def test_what_lies_in_unused_bits_is_gone_and_the_values_are_the_same(tmp_path, signed, high):
    values = np.random.default_rng(1).integers(0, 1 << 12, (40, 50))
    values -= (1 << 11) if signed else 0
    shift = high - 11
    codes = ((values & 0xFFF) << shift).astype(np.uint16)
    secret = (1 << 15) | ((1 << shift) - 1)  # a plane of an overlay above, and dirt below
    codes[::2] |= secret
    dataset = dcmread(ROOT / "frontal.dcm")
    dataset.Rows, dataset.Columns = values.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, high
    dataset.PixelRepresentation, dataset.BurnedInAnnotation = signed, "NO"
    dataset.PixelData = codes.tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = load(deidentify(save(dataset, tmp_path / "film.dcm"), key=KEY))
    assert np.array_equal(made.pixel_array, values)
    assert (made.BitsStored, made.HighBit) == (12, 11)
    stored = np.frombuffer(made.PixelData, "<i2" if signed else "<u2")
    assert np.array_equal(stored.reshape(values.shape), values)


def test_hilum_sees_the_same_film(film, tmp_path):
    path = film()
    written = tmp_path / "out.dcm"
    written.write_bytes(deidentify(path, key=KEY).file)
    before, after = open_radiograph(path), open_radiograph(written)
    assert np.array_equal(before.pixels, after.pixels)
    assert after.metadata.patient_id != before.metadata.patient_id
    assert after.metadata.study_date is None


@pytest.mark.skipif(DCIODVFY is None, reason="not installed (apt-get install dicom3tools)")
def test_dciodvfy_finds_no_error(film, tmp_path):
    path = tmp_path / "out.dcm"
    for number, keep in enumerate((False, True)):
        made = deidentify(film(), key=KEY, keep_person=keep)
        path = tmp_path / f"out{number}.dcm"
        path.write_bytes(made.file)
        said = subprocess.run([DCIODVFY, str(path)], capture_output=True, text=True, check=False)
        assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []


def test_the_verb_writes_films_and_names_those_that_it_left_out(film, tmp_path, capsys):
    ward, out, key = tmp_path / "ward", tmp_path / "out", tmp_path / "keys" / "site.key"
    ward.mkdir()
    for number, burned in enumerate(("NO", "NO", "YES", None)):
        path = film(PatientID=f"P{number // 2}", SOPInstanceUID=f"1.2.{number}",
                    BurnedInAnnotation=burned)  # fmt: skip
        shutil.move(path, ward / f"film{number}.dcm")
    (ward / "note.txt").write_text("no film")
    command = ["deidentify", str(ward), "-o", str(out), "--key", str(key)]
    assert run(command) == 6  # a key that is not there is a slip of the pen
    assert "--make-key" in capsys.readouterr().err
    assert not key.exists()
    assert run([*command, "--make-key"]) == 3
    said = capsys.readouterr()
    assert f"2 of 5 films written to {out}; patients: 1" in said.out
    assert "film2.dcm: Burned In Annotation is YES" in said.err
    assert "--accept-pixels" in said.err
    assert key.stat().st_mode & 0o077 == 0
    first = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.dcm")}
    assert len(first) == 2
    # again, by the same key: the same files, and the one that a person has looked at
    assert run([*command, "--accept-pixels"]) == 3
    again = {path.relative_to(out): path.read_bytes() for path in out.rglob("*.dcm")}
    assert len(again) == 3
    assert first.items() <= again.items()
    assert run([*command, "--json"]) == 3
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["written"], told["patients"], len(told["left_out"])) == (2, 1, 3)
    key.chmod(0o644)
    assert run(command) == 6
    assert "chmod 600" in capsys.readouterr().err
    key.chmod(0o600)
    key.write_text("short")
    assert run(command) == 6


def test_two_films_of_one_uid_are_not_one(film, tmp_path, capsys):
    ward, out = tmp_path / "ward", tmp_path / "out"
    ward.mkdir()
    for name, attributes in {"a": {}, "b": {}, "c": {"KVP": "99"}}.items():
        shutil.move(film(SOPInstanceUID="1.2.1", **attributes), ward / f"{name}.dcm")
    assert run(["deidentify", str(ward), "-o", str(out)]) == 3
    said = capsys.readouterr()
    assert "2 of 3 films written" in said.out
    assert f"c.dcm: has the SOP Instance UID of {ward / 'a.dcm'}" in said.err
    (written,) = out.rglob("*.dcm")
    assert dcmread(written).KVP == 100


def test_films_that_are_written_into_their_own_folder_are_not_taken_again(film, tmp_path, capsys):
    ward = tmp_path / "ward"
    ward.mkdir()
    shutil.move(film(), ward / "a.dcm")
    for _ in range(2):
        assert run(["deidentify", str(ward), "-o", str(ward / "shared")]) == 0
        assert "1 of 1 films written" in capsys.readouterr().out
    (written,) = (ward / "shared").rglob("*.dcm")
    # elsewhere it is refused: its patient would get a second name
    assert run(["deidentify", str(written), "-o", str(tmp_path / "other")]) == 3
    assert "was de-identified by Hilum" in capsys.readouterr().err


def test_what_is_no_dicom_is_told_as_hilum_read_tells_it(film, films, tmp_path, capsys):
    """Also at once: nothing is waited for at the end of a pipe."""
    ward = tmp_path / "ward"
    ward.mkdir()
    for name in ("notes.txt", "broken.jpg"):
        shutil.copyfile(films / name, ward / name)
    (ward / "empty.dcm").write_bytes(b"")
    (ward / "cut.dcm").write_bytes(Path(film()).read_bytes()[:3000])
    os.mkfifo(ward / "pipe.dcm")
    (ward / "link.dcm").symlink_to("nothing")
    assert run(["read", str(ward), "--json"]) == 3
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    read = {Path(row["path"]).name: row["reason"] for row in rows}
    assert run(["deidentify", str(ward), "-o", str(tmp_path / "out"), "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    here = {Path(each["path"]).name: each["reason"] for each in told["left_out"]}
    assert here.keys() == read.keys()
    for name in ("notes.txt", "empty.dcm", "pipe.dcm", "link.dcm"):
        reason = here[name].partition(": ")[2]
        assert reason
        assert reason in read[name], (here[name], read[name])
    assert here["broken.jpg"].endswith(": a film as JPEG; expected DICOM")
