"""Grey levels against pydicom's own functions, where those are right."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence

from hilum.core.errors import UnreadableImageError
from hilum.image.dicom_grey import grey_levels, windowed

CODES = np.arange(4096)


def header(**attributes) -> Dataset:
    dataset = Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def table(entries, bits, first) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", [int(entry) for entry in entries])
    return item


def levels(dataset) -> np.ndarray:
    return grey_levels(dataset, "film").values[:4096]


@settings(max_examples=60, deadline=None)
@given(
    center=st.floats(-500, 5000),
    width=st.floats(2, 6000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.floats(0.25, 4),
    intercept=st.floats(-1024, 1024),
)
def test_rescale_and_window_as_pydicom(center, width, function, slope, intercept):
    dataset = header(
        RescaleSlope=float(f"{slope:.6g}"),
        RescaleIntercept=float(f"{intercept:.6g}"),
        WindowCenter=float(f"{center:.6g}"),
        WindowWidth=float(f"{width:.6g}"),
        VOILUTFunction=function,
    )
    with np.errstate(over="ignore"):  # theirs overflows in a narrow sigmoid; ours may not
        theirs = apply_windowing(apply_modality_lut(CODES, dataset), dataset)
    assume(np.ptp(theirs) > 0)  # a window without a value of the film is left out here
    low = float(dataset.RescaleIntercept)
    high = 4095 * float(dataset.RescaleSlope) + low
    np.testing.assert_allclose(levels(dataset), (theirs - low) / (high - low), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(2, 4096),
    first=st.integers(-100, 4000),
    bits=st.sampled_from([10, 12, 16]),
    seed=st.integers(0, 2**32 - 1),
)
def test_voi_lut_as_pydicom(size, first, bits, seed):
    entries = np.random.default_rng(seed).integers(0, 2**bits, size)
    entries[-1] = 2**bits - 1  # a table that needs its bits
    dataset = header(VOILUTSequence=Sequence([table(entries, bits, first)]))
    theirs = apply_voi_lut(CODES.astype(np.int32), dataset) / (2**bits - 1)
    np.testing.assert_allclose(levels(dataset), theirs, atol=1e-12)


@given(st.integers(2, 300), st.integers(0, 4000))
@settings(max_examples=30, deadline=None)
def test_modality_lut_as_pydicom(size, first):
    entries = np.linspace(0, 65535, size).astype(int)
    dataset = header(ModalityLUTSequence=Sequence([table(entries, 16, first)]))
    theirs = apply_modality_lut(CODES, dataset) / 65535
    np.testing.assert_allclose(levels(dataset), theirs, atol=1e-12)


def test_eight_bit_table_longer_than_256():
    """pydicom cuts this index to 8 bits; the standard allows it (C.11.2.1.1)."""
    entries = CODES // 16
    packed = header(VOILUTSequence=Sequence([table(entries, 8, 0)]))
    np.testing.assert_allclose(levels(packed), entries / 255)
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 8])
    item.add_new("LUTData", "OW", entries.astype(np.uint8).tobytes())
    np.testing.assert_allclose(levels(header(VOILUTSequence=Sequence([item]))), entries / 255)


def test_voi_lut_is_preferred_to_the_window():
    lut = table(4095 - CODES, 12, 0)
    dataset = header(VOILUTSequence=Sequence([lut]), WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(levels(dataset), (4095 - CODES) / 4095)
    np.testing.assert_allclose(levels(dataset), apply_voi_lut(CODES, dataset) / 4095)


def test_first_of_several_windows():
    dataset = header(WindowCenter=[1000, 2000], WindowWidth=[101, 4096])
    expected = windowed(CODES.astype(float), 1000, 101, "LINEAR")
    np.testing.assert_allclose(levels(dataset), expected)
    assert "first of 2" in grey_levels(dataset, "film").steps[0].detail


def test_negative_slope_turns_the_film_and_the_window_does_not_turn_it_back():
    dataset = header(RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    found = levels(dataset)
    assert found[0] == 1
    assert found[-1] == 0


def test_extreme_sigmoid_does_not_overflow():
    found = windowed(np.array([-1e9, 0.0, 1e9]), 0, 1e-3, "SIGMOID")
    np.testing.assert_allclose(found, [0, 0.5, 1])


@pytest.mark.parametrize("slope", [0, None])
def test_rescale_that_says_nothing(slope):
    dataset = header(RescaleSlope=slope, RescaleIntercept=0)
    np.testing.assert_allclose(levels(dataset), CODES / 4095)


def test_broken_tables():
    for descriptor in ([4096, 0], [4096, 0, 40]):
        item = table(CODES, 12, 0)
        item.LUTDescriptor = descriptor
        with pytest.raises(UnreadableImageError, match="LUTDescriptor"):
            levels(header(VOILUTSequence=Sequence([item])))
