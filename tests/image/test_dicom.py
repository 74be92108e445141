"""The same exposure, however it is stored, opens to the same picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.sequence import Sequence

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.core.labels import View
from hilum.image.codestream import frame_size
from hilum.image.dicom import read_dicom_header
from hilum.image.open import open_radiograph


def names(radiograph) -> list[str]:
    return [step.name for step in radiograph.history]


def lut(entries: np.ndarray, bits: int, first: int = 0) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item.LUTData = entries.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    item["LUTDescriptor"].VR = "US"
    return item


def jpeg_lossless(path: Path, predictor: int) -> Path:
    """Encode by libjpeg-turbo; pydicom has no encoder for it. test_dcmtk.py has another."""
    import imagecodecs

    dataset = pydicom.dcmread(path)
    kind = f"<u{dataset.BitsAllocated // 8}"
    codes = np.frombuffer(dataset.PixelData, kind)[: dataset.Rows * dataset.Columns]
    codes = (codes & (2**dataset.BitsStored - 1)).reshape(dataset.Rows, dataset.Columns)
    frame = imagecodecs.jpeg8_encode(
        codes, lossless=True, predictor=predictor, bitspersample=dataset.BitsStored
    )
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    syntax = uid.JPEGLosslessSV1 if predictor == 1 else uid.JPEGLossless
    dataset.file_meta.TransferSyntaxUID = syntax
    out = path.with_suffix(f".{predictor}.dcm")
    dataset.save_as(out)
    return out


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("bits", "signed"), [(8, 0), (10, 0), (12, 0), (12, 1), (16, 0), (16, 1)])
def test_bits_and_polarity(make_dicom, film, bits, signed, photometric):
    path = make_dicom(bits=bits, signed=bool(signed), PhotometricInterpretation=photometric)
    opened = open_radiograph(path)
    assert opened.pixels.dtype == np.float32
    assert opened.bits == bits
    assert abs(opened.pixels - film).max() <= 0.51 / (2**bits - 1) + 1e-6
    assert names(opened).count("polarity") == (photometric == "MONOCHROME1")


@pytest.mark.parametrize("how", ["window", "exact", "rescale", "voi", "modality", "slope"])
def test_value_transformations_of_12_bits(make_dicom, film, how):
    ramp = np.arange(4096)
    attributes = {
        "window": {"WindowCenter": 2048, "WindowWidth": 4096},
        "exact": {"WindowCenter": 2047.5, "WindowWidth": 4095, "VOILUTFunction": "LINEAR_EXACT"},
        "rescale": {
            "RescaleSlope": 2,
            "RescaleIntercept": -1000,
            "WindowCenter": 3095.5,
            "WindowWidth": 8191,
        },
        "voi": {
            "VOILUTSequence": Sequence([lut(ramp * 65535 // 4095, 16)]),
            "WindowCenter": 10,
            "WindowWidth": 1,
        },
        "modality": {"ModalityLUTSequence": Sequence([lut(ramp * 16, 16)])},
        "slope": {"RescaleSlope": -1, "RescaleIntercept": 4095},
    }[how]
    opened = open_radiograph(make_dicom(**attributes))
    expected = 1 - film if how == "slope" else film
    assert abs(opened.pixels - expected).max() <= 1.5 / 4095 + (15 / 65535 if how != "voi" else 0)


LOSSLESS = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "RLE": uid.RLELossless,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG 2000": uid.JPEG2000Lossless,
    "JPEG lossless": 4,
    "JPEG lossless SV1": 1,
}


@pytest.mark.parametrize(
    ("bits", "signed"), [(8, False), (12, False), (16, False), (8, True), (12, True)]
)
@pytest.mark.parametrize("how", LOSSLESS)
def test_every_lossless_syntax_gives_the_very_same_pixels(make_dicom, how, bits, signed):
    expected = open_radiograph(make_dicom("plain.dcm", bits=bits, signed=signed))
    syntax = LOSSLESS[how]
    if how.startswith("JPEG lossless"):
        path = jpeg_lossless(make_dicom("raw.dcm", bits=bits, signed=signed), syntax)
    elif uid.UID(syntax).is_compressed and syntax != uid.DeflatedExplicitVRLittleEndian:
        path = make_dicom(
            bits=bits, signed=signed, edit=lambda d: d.compress(syntax, generate_instance_uid=False)
        )
    else:
        path = make_dicom(bits=bits, signed=signed, syntax=syntax)
    opened = open_radiograph(path)
    np.testing.assert_array_equal(opened.pixels, expected.pixels)
    assert opened.history[1:] == expected.history[1:]


@pytest.mark.parametrize("bits", [8, 16])
def test_png_and_dicom_agree(make_dicom, film, tmp_path, bits):
    kind = np.uint8 if bits == 8 else np.uint16
    stored = np.rint(film * (2**bits - 1)).astype(kind)
    Image.fromarray(stored).save(tmp_path / "film.png")
    png = open_radiograph(tmp_path / "film.png")
    np.testing.assert_allclose(png.pixels, open_radiograph(make_dicom(bits=bits)).pixels, atol=1e-6)
    assert png.bits == bits


@pytest.mark.parametrize("signed", [False, True])
def test_high_bit_and_dirty_bits(make_dicom, film, signed):
    low = -2048 if signed else 0
    values = np.rint(film * 4095).astype(np.int64) + low
    dirty = ((values & 0xFFF) << 4) | 0b1010  # stored in the upper 12 bits, an overlay below
    kind = "<i2" if signed else "<u2"

    def edit(dataset):
        dataset.HighBit = 15
        dataset.PixelData = dirty.astype(np.uint16).view(kind).tobytes()

    opened = open_radiograph(make_dicom(bits=12, signed=signed, edit=edit))
    assert abs(opened.pixels - film).max() < 0.51 / 4095 + 1e-6
    assert "bits" in names(opened)


def test_inverse_shape_and_monochrome1_say_the_same_thing(make_dicom, film):
    both = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    once = open_radiograph(make_dicom(**both))
    assert abs(once.pixels - film).max() < 1e-3
    assert names(once).count("polarity") == 1
    shape = open_radiograph(make_dicom("b.dcm", PresentationLUTShape="INVERSE"))
    assert abs(shape.pixels - (1 - film)).max() < 1e-3
    odd = make_dicom(
        "c.dcm", PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="IDENTITY"
    )
    assert any("contradict" in note for note in open_radiograph(odd).notes)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_is_black_after_polarity(make_dicom, film, photometric, signed):
    low = -2048 if signed else 0
    picture = 1 - film if photometric == "MONOCHROME1" else film
    stored = np.rint(picture * 3000).astype(np.int64) + low
    stored[:10] = low + 4000
    stored[10:20] = low + 4050
    path = make_dicom(
        stored=stored,
        signed=signed,
        PhotometricInterpretation=photometric,
        PixelPaddingValue=low + 4095,
        PixelPaddingRangeLimit=low + 4000,
        WindowCenter=low + 1500.5,
        WindowWidth=3001,
    )
    opened = open_radiograph(path)
    assert (opened.pixels[:20] == 0).all()
    assert abs(opened.pixels[20:] - film[20:]).max() < 1e-3
    assert names(opened)[-1] == "padding"


def test_aspect_ratio_makes_pixels_square(make_dicom, film):
    opened = open_radiograph(make_dicom(PixelAspectRatio=[2, 1]))
    assert opened.shape == (2 * film.shape[0], film.shape[1])
    wide = open_radiograph(make_dicom("b.dcm", PixelSpacing=[0.1, 0.2], PixelAspectRatio=[2, 1]))
    assert wide.shape == (film.shape[0], 2 * film.shape[1])  # the spacing is what counts
    assert wide.metadata.spacing_mm == (0.1, 0.1)
    assert abs(wide.pixels[:, ::2] - film).max() < 0.1
    square = open_radiograph(make_dicom("c.dcm", ImagerPixelSpacing=[0.14, 0.14]))
    assert square.shape == film.shape
    assert square.metadata.spacing_mm == (0.14, 0.14)


def test_invalid_window_is_left_out_with_a_note(make_dicom, film):
    opened = open_radiograph(make_dicom(WindowCenter=0, WindowWidth=0))
    assert abs(opened.pixels - film).max() < 1e-3
    assert any("not allowed" in note for note in opened.notes)


def test_little_contrast_is_said(make_dicom, film):
    opened = open_radiograph(make_dicom(bits=8, stored=np.rint(film * 40).astype(np.int64)))
    assert any("little contrast" in note for note in opened.notes)
    assert opened.pixels.max() == pytest.approx(40 / 255)


def test_metadata_and_notes(make_dicom):
    attributes = {
        "ViewPosition": "AP",
        "SeriesDescription": "Chest supine bedside",
        "ImageLaterality": "U",
        "PatientAge": "018M",
        "PatientSex": "F",
        "StudyDate": "20200401",
        "BurnedInAnnotation": "YES",
        "Manufacturer": "Maker",
        "PresentationIntentType": "FOR PROCESSING",
    }
    opened = open_radiograph(make_dicom(**attributes))
    known = opened.metadata
    assert (known.view, known.laterality, known.age_years) == (View.AP_SUPINE, "U", 1.5)
    assert (known.sex, known.study_date, known.manufacturer) == ("F", "2020-04-01", "Maker")
    assert known.burned_in_annotation is True
    assert known.patient_id == "P1"
    assert opened.format == "DICOM DX"
    assert any("FOR PROCESSING" in note for note in opened.notes)
    assert any("burned-in" in note for note in opened.notes)


def test_other_single_frame_class_opens_with_a_note(make_dicom):
    opened = open_radiograph(make_dicom(SOPClassUID=uid.CTImageStorage, Modality="CT"))
    assert opened.format == "DICOM CT"
    assert any("CT Image Storage" in note for note in opened.notes)


def test_without_preamble(make_dicom, film, tmp_path):
    whole = make_dicom(syntax=uid.ImplicitVRLittleEndian).read_bytes()
    end = 144 + int.from_bytes(whole[140:144], "little")
    for name, data in {"meta": whole[132:], "bare": whole[end:]}.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert abs(open_radiograph(path).pixels - film).max() < 1e-3, name


def test_grey_content_in_colour_opens_and_colour_is_refused(make_dicom, film, tmp_path):
    rgb = np.repeat(np.rint(film * 255).astype(np.uint8)[..., None], 3, axis=2)

    def edit(dataset):
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = "RGB"
        data = rgb.tobytes()
        dataset.PixelData = data + b"\x00" * (len(data) % 2)

    assert abs(open_radiograph(make_dicom(bits=8, edit=edit)).pixels - film).max() < 3e-3
    rgb = np.random.default_rng(0).integers(0, 256, rgb.shape, np.uint8)
    with pytest.raises(UnsupportedImageError, match="colour"):
        open_radiograph(make_dicom(bits=8, edit=edit))


def refused(path, kind, match, **options):
    with pytest.raises(kind, match=match) as caught:
        open_radiograph(path, **options)
    assert caught.value.hint
    assert str(path) in str(caught.value)


def test_refusals(make_dicom, tmp_path):
    refused(make_dicom("a", NumberOfFrames=3), UnsupportedImageError, "3 frames; expected one")
    no_pixels = make_dicom(
        "b",
        SOPClassUID=uid.BasicTextSRStorage,
        edit=lambda d: (d.pop("PixelData"), d.pop("Rows")),
    )
    refused(no_pixels, UnsupportedImageError, "no pixel data")
    others = make_dicom(
        "f", edit=lambda d: (d.pop("PixelData"), setattr(d, "FloatPixelData", bytes(64)))
    )
    refused(others, UnsupportedImageError, "FloatPixelData; expected PixelData")
    refused(make_dicom("c"), UnsupportedImageError, "megapixels", max_megapixels=0.01)
    mpeg = make_dicom("d", edit=lambda d: setattr(d, "PixelData", encapsulate([b"1234"])))
    changed = mpeg.read_bytes()
    mpeg.write_bytes(changed.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.8\x00"))
    refused(mpeg, UnreadableImageError, "cannot be decoded|broken")
    table = lut(np.arange(100), 12)
    table.LUTDescriptor = [4096, 0, 12]
    refused(make_dicom("e", VOILUTSequence=[table]), UnreadableImageError, "100 entries")
    refused(make_dicom("f", BitsStored=14, HighBit=3), UnreadableImageError, "HighBit")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    "syntax", ["plain", uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless]
)
def test_truncated_anywhere(make_dicom, syntax, share):
    edit = None if syntax == "plain" else lambda d: d.compress(syntax)
    path = make_dicom(edit=edit)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, UnreadableImageError, "truncated|decoded")


@pytest.mark.parametrize("bits", [8, 16])
def test_native_pixels_that_lack_some_are_refused_by_the_header(make_dicom, bits):
    data = make_dicom(bits=bits).read_bytes()
    read_dicom_header(data, "film", 100)
    with pytest.raises(UnreadableImageError, match=f"expected {150 * 121 * bits // 8}"):
        read_dicom_header(data[:-3000], "film", 100)


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"])
@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless, uid.RLELossless])
def test_frame_cut_in_a_sound_file(make_dicom, syntax, end):
    def edit(dataset):
        dataset.compress(syntax)
        frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
        dataset.PixelData = encapsulate([frame[: len(frame) // 4 * 2] + end])

    refused(make_dicom(edit=edit), UnreadableImageError, "decoded|truncated")


def test_lossless_jpeg_cut_is_refused(make_dicom):
    dataset = pydicom.dcmread(jpeg_lossless(make_dicom(), 1))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    path = make_dicom("cut.dcm")
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    refused(path, UnreadableImageError, "truncated JPEG frame")


def test_frame_larger_than_its_header_is_refused_before_decoding(make_dicom):
    dataset = pydicom.dcmread(jpeg_lossless(make_dicom(), 1))
    frame = bytearray(get_frame(dataset.PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xc3") + 5
    frame[at : at + 4] = b"\xff\xff\xff\xff"
    dataset.PixelData = encapsulate([bytes(frame)])
    path = make_dicom("large.dcm")
    dataset.save_as(path)
    refused(path, UnreadableImageError, "65535 x 65535 pixels; the header says 121 x 150")


@pytest.mark.parametrize("syntax", [uid.JPEGLSLossless, uid.JPEG2000Lossless])
def test_frame_size_is_read_from_every_codestream(make_dicom, syntax):
    dataset = pydicom.dcmread(make_dicom(edit=lambda d: d.compress(syntax)))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    assert frame_size(frame) == (150, 121)


def test_deflated_bomb_is_not_inflated(make_dicom):
    def edit(dataset):
        dataset.add_new(0x00091010, "OB", bytes(80_000_000))

    bomb = make_dicom(syntax=uid.DeflatedExplicitVRLittleEndian, edit=edit)
    assert bomb.stat().st_size < 1_000_000
    refused(bomb, UnsupportedImageError, "inflates beyond", max_megapixels=0.1)


def test_radiograph_can_be_stepped(make_dicom):
    opened = open_radiograph(make_dicom())
    after = opened.stepped(opened.pixels[::2], "halve", "every other row")
    assert names(after) == [*names(opened), "halve"]
    assert replace(after, history=opened.history).history == opened.history
