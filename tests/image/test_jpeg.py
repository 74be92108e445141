"""JPEG: every process that is decoded, what lies around it, and what is missing of it."""

from __future__ import annotations

import io
import subprocess
from shutil import which

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from hilum.core.errors import UnreadableImageError, UnsupportedImageError
from hilum.image.codestream import survey
from hilum.image.jpeg import decode_jpeg_deep
from hilum.image.open import open_bytes


@pytest.fixture
def grey(film) -> np.ndarray:
    return np.rint(film * 255).astype(np.uint8)


def encode(image: np.ndarray | Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(stream, "JPEG", **options)
    return stream.getvalue()


def by_libjpeg(data: bytes, *options: str) -> bytes:
    """Code the same coefficients in another way, by libjpeg-turbo's own tool."""
    command = ["jpegtran", *options]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_every_depth(film, bits, lossless):
    if bits == 16 and not lossless:
        pytest.skip("lossy JPEG ends at 12 bits")
    stored = np.rint(film * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)
    data = imagecodecs.jpeg8_encode(stored, bitspersample=bits, level=98, lossless=lossless)
    opened = open_bytes(data, "film")
    assert opened.bits == bits
    assert abs(opened.pixels - stored / (2**bits - 1)).max() <= (0 if lossless else 0.02) + 1e-6
    assert ("lossless" in opened.history[0].detail) == lossless


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("damage", ["cut", "middle", "doubled", "tail"])
def test_deep_jpeg_that_lost_data_is_refused(film, bits, lossless, damage):
    """imagecodecs alone decodes all of these without a word."""
    if bits == 16 and not lossless:
        pytest.skip("lossy JPEG ends at 12 bits")
    stored = np.rint(film * (2**bits - 1)).astype(np.uint16)
    data = imagecodecs.jpeg8_encode(stored, bitspersample=bits, level=98, lossless=lossless)
    half = len(data) // 2
    torn = {
        "cut": data[:half] + b"\xff\xd9",
        "middle": data[:half] + data[half + 150 :],
        "doubled": data[:half] + data[half - 150 :],
        "tail": data[:-12] + b"\xff\xd9",
    }[damage]
    imagecodecs.jpeg8_decode(torn)
    with pytest.raises(UnreadableImageError):
        open_bytes(torn, "torn")


@pytest.mark.parametrize("seed", range(25))
def test_sound_deep_jpeg_is_never_called_damaged(seed):
    """Flat and saturated ends are where bits could be missed without a difference."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 70, 2)
    stored = rng.integers(0, 4096, (height, width)).astype(np.uint16)
    stored[height // 2 :] = rng.choice([0, 1, 2048, 4094, 4095])
    for lossless in (False, True):
        data = imagecodecs.jpeg8_encode(stored, bitspersample=12, level=90, lossless=lossless)
        decode_jpeg_deep(data, "film")


@pytest.mark.skipif(not which("jpegtran"), reason="needs libjpeg-turbo's tools")
@pytest.mark.parametrize(
    "options",
    [("-arithmetic",), ("-restart", "1B"), ("-progressive", "-restart", "2"), ("-optimize",)],
)
def test_other_ways_to_code_the_same_picture(grey, options):
    data = encode(grey, quality=92)
    same = open_bytes(by_libjpeg(data, *options), "film")
    np.testing.assert_array_equal(same.pixels, open_bytes(data, "film").pixels)


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("cut", range(1, 12))
def test_progressive_without_its_last_scans_is_refused(grey, colour, cut):
    """An end marker behind an early scan: decoders show a blurred film without a word."""
    image = Image.fromarray(grey).convert("RGB" if colour else "L")
    data = encode(image, progressive=True)
    starts = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert survey(data).complete
    if cut >= len(starts):
        pytest.skip("it has fewer scans")
    torn = data[: _before_tables(data, starts[cut])] + b"\xff\xd9"
    with pytest.raises(UnreadableImageError, match="scan"):
        open_bytes(torn, "torn")


def _before_tables(data: bytes, scan: int) -> int:
    """Where the Huffman tables before a scan begin."""
    table = data.rfind(b"\xff\xc4", 0, scan)
    return table if table + 2 + int.from_bytes(data[table + 2 : table + 4], "big") == scan else scan


@pytest.mark.skipif(not which("jpegtran"), reason="needs libjpeg-turbo's tools")
def test_baseline_without_its_colour_scans_is_refused(grey, tmp_path):
    script = tmp_path / "scans"
    script.write_text("0;\n1;\n2;\n")
    data = by_libjpeg(encode(Image.fromarray(grey).convert("RGB")), "-scans", str(script))
    assert open_bytes(data, "film").shape == grey.shape
    second = data.find(b"\xff\xda", data.find(b"\xff\xda") + 2)
    with pytest.raises(UnreadableImageError, match="scan"):
        open_bytes(data[: _before_tables(data, second)] + b"\xff\xd9", "torn")


@pytest.mark.parametrize(("mode", "sampling"), [("CMYK", 0), ("RGB", 0), ("RGB", 1), ("RGB", 2)])
def test_colour_spaces_as_pillow(grey, mode, sampling):
    data = encode(
        Image.fromarray(grey).convert("RGB").convert(mode), quality=95, subsampling=sampling
    )
    theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").convert("L")) / 255
    assert abs(open_bytes(data, "film").pixels - theirs).max() <= 2.5 / 255


@pytest.mark.skipif(not which("cjpeg"), reason="needs libjpeg-turbo's tools")
@pytest.mark.parametrize("sampling", ["1x2,1x1,1x1", "4x1,1x1,1x1", "1x4,1x1,1x1", "3x1", "4x2"])
def test_sampling_of_the_colours(grey, sampling):
    """What TurboJPEG has no name for is called unsupported, not damaged."""
    ppm = io.BytesIO()
    Image.fromarray(grey).convert("RGB").save(ppm, "PPM")
    command = ["cjpeg", "-quality", "95", "-sample", sampling]
    data = subprocess.run(command, input=ppm.getvalue(), capture_output=True, check=True).stdout
    if "," not in sampling:
        with pytest.raises(UnsupportedImageError, match="unusual sampling"):
            open_bytes(data, "film")
        return
    assert abs(open_bytes(data, "film").pixels - grey / 255).max() < 0.08
    half = len(data) // 2
    with pytest.raises(UnreadableImageError):
        open_bytes(data[:half] + data[half + 150 :], "torn")


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (bytes(64), None),
        (b"\xff\xff\xff", None),
        (b"\r\n", None),
        (b"camera maker's trailer", "22 bytes behind the end"),
        (b"\xff\xd9", "2 bytes behind the end"),
        (b"\xff\xd8\xff" + b"x" * 50, "53 bytes behind the end"),
    ],
)
def test_bytes_behind_the_picture_are_a_note(grey, rest, words):
    data = encode(grey)
    opened = open_bytes(data + rest, "film")
    np.testing.assert_array_equal(opened.pixels, open_bytes(data, "film").pixels)
    assert [words in note for note in opened.notes] == [True] if words else not opened.notes


def test_several_pictures_in_one_file(grey):
    data = encode(grey)
    small = encode(grey[:60, :40].copy())
    opened = open_bytes(data + small, "film")
    np.testing.assert_array_equal(opened.pixels, open_bytes(data, "film").pixels)
    assert "smaller picture follows (40 x 60)" in opened.notes[0]
    for second in (data, encode(255 - grey, progressive=True), bytes(9) + data):
        with pytest.raises(UnsupportedImageError, match="2 pictures") as caught:
            open_bytes(data + second, "two")
        assert "export" in caught.value.hint
    with pytest.raises(UnsupportedImageError, match="2 pictures"):
        open_bytes(small + data, "a preview first")


@pytest.mark.parametrize(
    "lead", [b"\r\n", b"\x00\x00", b"Content-Type: image/jpeg\r\n\r\n", b"\xef\xbb\xbf"]
)
def test_bytes_before_the_picture_are_named(grey, lead):
    with pytest.raises(UnsupportedImageError, match=f"{len(lead)} bytes before a JPEG") as caught:
        open_bytes(lead + encode(grey), "film")
    assert "cut" in caught.value.hint


def test_fill_bytes_before_a_marker_are_allowed(grey):
    data = encode(grey)
    filled = data[:2] + b"\xff\xff" + data[2:-2] + b"\xff\xff" + data[-2:]
    np.testing.assert_array_equal(open_bytes(filled, "f").pixels, open_bytes(data, "f").pixels)


@pytest.mark.parametrize("process", [0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xF7])
def test_rare_processes_are_unsupported(grey, process):
    data = encode(grey)
    at = data.find(b"\xff\xc0")
    with pytest.raises(UnsupportedImageError) as caught:
        open_bytes(data[: at + 1] + bytes([process]) + data[at + 2 :], "film")
    assert "PNG" in caught.value.hint


def test_orientation_of_a_deep_jpeg(film):
    stored = np.rint(film * 4095).astype(np.uint16)
    data = imagecodecs.jpeg8_encode(stored, bitspersample=12, lossless=True)
    exif = Image.Exif()
    exif[274] = 6
    block = b"Exif\x00\x00" + exif.tobytes().removeprefix(b"Exif\x00\x00")
    segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    opened = open_bytes(data[:2] + segment + data[2:], "film")
    np.testing.assert_array_equal(np.rint(opened.pixels * 4095), np.rot90(stored, -1))


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless, JPEGExtended12Bit])
def test_dicom_frame_that_lost_its_middle_is_refused(film, make_dicom, syntax):
    """As long as its end marker was there, such a frame opened with made-up pixels."""
    stored = np.rint(film * 4095).astype(np.uint16)
    lossless = syntax != JPEGExtended12Bit
    data = imagecodecs.jpeg8_encode(stored, bitspersample=12, level=98, lossless=lossless)
    half = len(data) // 2

    def write(frame: bytes) -> bytes:
        def edit(dataset):
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.PixelData = encapsulate([frame])
            dataset["PixelData"].is_undefined_length = True

        return make_dicom(edit=edit).read_bytes()

    assert open_bytes(write(data), "film").shape == film.shape
    for torn in (data[:half] + data[half + 150 :], data[:half] + b"\xff\xd9"):
        with pytest.raises(UnreadableImageError):
            open_bytes(write(torn), "torn")


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("damage", ["sound", "middle", "scans"])
def test_damaged_8_bit_jpeg_in_dicom_is_refused(grey, make_dicom, colour, damage):
    """Pillow, which decodes colour there, says nothing of data that is lost."""
    image = Image.fromarray(grey).convert("RGB" if colour else "L")
    data = encode(image, progressive=damage == "scans", quality=95)
    half = len(data) // 2
    second = data.find(b"\xff\xda", data.find(b"\xff\xda") + 2)
    frame = {
        "sound": data,
        "middle": data[:half] + data[half + 150 :],
        "scans": data[: _before_tables(data, second)] + b"\xff\xd9",
    }[damage]

    def edit(dataset):
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        if colour:
            dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
            dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True

    path = make_dicom(bits=8, edit=edit)
    if damage == "sound":
        assert abs(open_bytes(path.read_bytes(), "film").pixels - grey / 255).max() < 0.06
        return
    with pytest.raises(UnreadableImageError):
        open_bytes(path.read_bytes(), "torn")


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEGLSNearLossless])
def test_jpeg_ls_without_its_end_is_not_given_to_the_codec(film, make_dicom, syntax, monkeypatch):
    """The codec needed 8 seconds to refuse such a frame of 150 x 121 pixels."""
    frame = imagecodecs.jpegls_encode(np.rint(film * 4095).astype(np.uint16))

    def edit(dataset):
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([frame[: len(frame) // 4 * 2]])
        dataset["PixelData"].is_undefined_length = True

    data = make_dicom(edit=edit).read_bytes()
    monkeypatch.setattr("hilum.image.dicom_codec.get_decoder", None)  # a call would fail otherwise
    with pytest.raises(UnreadableImageError, match="no end marker"):
        open_bytes(data, "torn")
