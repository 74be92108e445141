"""PatientOrientation, PS3.3 C.7.6.1.1.1: where rows run, then columns; frontal films show L\\F."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.core.radiograph import Sides
from hilum.image.open import open_radiograph
from hilum.image.stored import open_stored

TO_LEFT, TO_FEET = "LR", "FH"


def lying(film: np.ndarray, rows: str, columns: str) -> np.ndarray:
    """A film displayed L\\F, as a file would store it, pixel by pixel from the definition.

    A pixel that lies ``left`` to the patient's left and ``feet`` towards the feet is stored where
    its place along the row grows towards ``rows`` and its place along the column towards
    ``columns``.
    """
    height, width = film.shape
    across = {"L": lambda y, x: x, "R": lambda y, x: width - 1 - x}
    down = {"F": lambda y, x: y, "H": lambda y, x: height - 1 - y}
    places = across | down
    shape = (width, height) if rows in down else (height, width)
    stored = np.empty(shape, film.dtype)
    for y in range(height):
        for x in range(width):
            stored[places[columns](y, x), places[rows](y, x)] = film[y, x]
    return stored


ALL = [(a, b) for a in TO_LEFT for b in TO_FEET] + [(b, a) for a in TO_LEFT for b in TO_FEET]


@pytest.mark.parametrize(("rows", "columns"), ALL)
@pytest.mark.parametrize("inverted", [False, True])
def test_every_way_to_store_a_frontal_film_opens_the_same(
    make_dicom, film, rows, columns, inverted
):
    values = np.rint((1 - film if inverted else film) * 4095).astype(int)
    path = make_dicom(
        stored=lying(values, rows, columns),
        PhotometricInterpretation="MONOCHROME1" if inverted else "MONOCHROME2",
        PatientOrientation=[rows, columns],
        ImagerPixelSpacing=[0.2, 0.2],
    )
    opened = open_radiograph(path)
    assert opened.shape == film.shape
    assert abs(opened.pixels - film).max() < 1e-3
    assert opened.metadata.orientation == ("L", "F")
    assert opened.metadata.sides is Sides.STATED
    steps = [step.detail for step in opened.history if step.name == "orientation"]
    assert [each.startswith(f"stored {rows}\\{columns}, ") for each in steps] == (
        [] if (rows, columns) == ("L", "F") else [True]
    )
    stored = open_stored(path)
    assert abs(stored.values / stored.top - film).max() < 1e-3
    assert stored.radiograph.metadata == opened.metadata


def test_a_mirrored_film_says_so(make_dicom):
    opened = open_radiograph(make_dicom(PatientOrientation=["R", "F"]))
    assert opened.history[-1].detail == "stored R\\F, mirrored left to right to L\\F"


def test_pixels_that_are_not_square_and_turned(make_dicom, film):
    stored = lying(np.rint(film * 4095).astype(int), "F", "L")
    opened = open_radiograph(
        make_dicom(stored=stored, PatientOrientation=["F", "L"], ImagerPixelSpacing=[0.4, 0.2])
    )
    # rows 0.4 mm apart run along the patient's width: the displayed film is wider
    assert opened.shape == (film.shape[0], 2 * film.shape[1])
    assert opened.metadata.spacing_mm == (0.2, 0.2)


@pytest.mark.parametrize("value", [["LF", "FR"], ["LA", "FP"], ["l", "f"], ["L ", "F"]])
def test_oblique_directions_count_by_their_first_letter(make_dicom, value):
    opened = open_radiograph(make_dicom(edit=unchecked(PatientOrientation=value)))
    assert opened.metadata.sides is Sides.STATED


@pytest.mark.parametrize(
    "value",
    ["L", ["L"], ["L", "R"], ["L", "L"], ["X", "F"], ["LR", "F"], ["LE", "V"], ["L", "F", "A"]],
)
def test_nonsense_is_said_and_nothing_is_turned(make_dicom, film, value):
    opened = open_radiograph(make_dicom(edit=unchecked(PatientOrientation=value)))
    assert abs(opened.pixels - film).max() < 1e-3
    assert opened.metadata.sides is Sides.ASSUMED
    assert opened.metadata.orientation is None
    assert any("PatientOrientation" in note and "assumed" in note for note in opened.notes)


@pytest.mark.parametrize("value", [None, "", ["", ""]])
def test_what_is_not_said_is_assumed(make_dicom, film, value):
    opened = open_radiograph(make_dicom(edit=unchecked(PatientOrientation=value)))
    assert opened.metadata.sides is Sides.ASSUMED
    assert not any("Orientation" in note for note in opened.notes)
    assert abs(opened.pixels - film).max() < 1e-3


@pytest.mark.parametrize("value", [["A", "F"], ["P", "F"], ["L", "P"]])
def test_a_film_that_is_not_frontal_stays_as_it_is(make_dicom, film, value):
    opened = open_radiograph(make_dicom(PatientOrientation=value))
    assert abs(opened.pixels - film).max() < 1e-3
    assert opened.metadata.orientation == tuple(value)
    assert opened.metadata.sides is Sides.ASSUMED
    assert any("no frontal film" in note for note in opened.notes)


def test_cosines_say_it_where_letters_do_not(make_dicom, film):
    """x grows to the patient's left, z to the head: rows to the right, columns to the feet."""
    mirrored = np.rint(film[:, ::-1] * 4095).astype(int)
    opened = open_radiograph(
        make_dicom(stored=mirrored, ImageOrientationPatient=[-1, 0, 0, 0, 0, -1])
    )
    assert abs(opened.pixels - film).max() < 1e-3
    assert opened.metadata.sides is Sides.STATED
    oblique = [0.7071, 0.7071, 0, 0, 0, -1]
    opened = open_radiograph(make_dicom(ImageOrientationPatient=oblique))
    assert opened.metadata.sides is Sides.ASSUMED


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ("PatientOrientationInFrameSequence", {"PatientOrientation": ["R", "F"]}),
        ("PlaneOrientationSequence", {"ImageOrientationPatient": [-1, 0, 0, 0, 0, -1]}),
    ],
)
def test_functional_groups_say_it(make_dicom, film, sequence, said):
    item, group = Dataset(), Dataset()
    for keyword, value in said.items():
        setattr(item, keyword, value)
    setattr(group, sequence, Sequence([item]))
    mirrored = np.rint(film[:, ::-1] * 4095).astype(int)
    path = make_dicom(stored=mirrored, SharedFunctionalGroupsSequence=Sequence([group]))
    assert abs(open_radiograph(path).pixels - film).max() < 1e-3


def test_pictures_do_not_say_it(tmp_path, film):
    from hilum.image.write import write_png

    write_png(tmp_path / "film.png", film.astype(np.float32))
    assert open_radiograph(tmp_path / "film.png").metadata.sides is Sides.ASSUMED


def unchecked(**attributes):
    """Set attributes as files hold them, whatever pydicom thinks of them."""

    def edit(dataset: Dataset) -> None:
        from pydicom import config

        with config.disable_value_validation():
            for keyword, value in attributes.items():
                setattr(dataset, keyword, value)

    return edit
