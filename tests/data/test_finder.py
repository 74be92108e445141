"""Which file a name in a table means: never a guess between two films."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hilum.data import finder
from hilum.data.cohorts import read_cohort
from hilum.data.folder import Folder


@pytest.fixture
def films(tmp_path):
    def make(*names, size=8):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (size, size)).save(path, format="PNG")
        return tmp_path

    return make


def found(root, *names):
    """Return what each name means, relative to the folder, or None; and the folder."""
    folder = Folder(root)
    paths = folder.find_all([(name, f"row {row}") for row, name in enumerate(names, start=2)])
    return [path and path.relative_to(root.resolve()).as_posix() for path in paths], folder


CHEXPERT = [f"patient0000{n}/study1/view1_frontal.jpg" for n in (1, 2, 3)]


@pytest.mark.parametrize("inside", ["", "train/", "chexpert/train/"])
@pytest.mark.parametrize("prefix", ["", "CheXpert-v1.0-small/train/", "/home/a/b/", "C:\\x\\y\\"])
def test_patients_in_folders_keep_their_films(films, inside, prefix):
    root = films(*(inside + name for name in CHEXPERT))
    paths, folder = found(root, *(prefix + name for name in CHEXPERT))
    assert paths == [inside + name for name in CHEXPERT]
    assert folder.missing == folder.ambiguous == []


def test_a_patient_who_is_not_on_disk_gets_nobodys_film(films):
    root = films(*CHEXPERT, "patient00001/study2/view1_frontal.jpg")
    for names in (
        ["CheXpert/patient00009/study1/view1_frontal.jpg"],
        ["CheXpert/patient00002/study2/view1_frontal.jpg"],
        ["CheXpert/patient00009/study2/view1_frontal.jpg", "patient00001/study2/view1_frontal.jpg"],
    ):
        paths, folder = found(root, *names)
        assert paths[0] is None
        assert folder.ambiguous[0].startswith(f"row 2: {names[0]}: is it patient0000")


def test_the_only_film_of_a_name_goes_to_the_row_that_names_it_best(films):
    root = films("p1/view.jpg")
    paths, folder = found(root, "data/p1/view.jpg", "data/p9/view.jpg")
    assert paths == ["p1/view.jpg", None]
    assert folder.ambiguous == [
        "row 3: data/p9/view.jpg: is it p1/view.jpg, which another row names better?"
    ]
    paths, folder = found(root, "data/p8/view.jpg", "data/p9/view.jpg")
    assert paths == [None, None]


def test_a_resized_copy_is_a_second_candidate(films):
    root = films("originals/a.png", "small/a.png")
    paths, folder = found(root, "a.png", "originals/a.png", "/data/small/a.png", "other/a.png")
    assert paths == [None, "originals/a.png", "small/a.png", None]
    assert folder.ambiguous == [
        "row 2: a.png: is it originals/a.png or small/a.png?",
        "row 5: other/a.png: is it originals/a.png or small/a.png?",
    ]


def test_the_path_as_it_stands_comes_first(films):
    root = films("a.png", "small/a.png")
    assert found(root, "a.png", "./a.png", str(root / "small" / "a.png"))[0] == [
        "a.png",
        "a.png",
        "small/a.png",
    ]


def test_the_end_of_a_path_decides(films):
    root = films("x/images/a.png", "y/thumbs/a.png", "x/images/b.png")
    assert found(root, "images/a.png")[0] == ["x/images/a.png"]
    assert found(root, "ages/a.png")[0] == [None], "components are whole"


def test_the_name_of_the_folder_itself_counts(films):
    root = films("images/a.png", "images/small/a.png") / "images"
    assert found(root, "images/a.png")[0] == ["a.png"]


def test_case_and_extension_only_where_one_film_fits(films):
    root = films("one/A.PNG", "two/b.png", "two/b.jpg", "three/c.JPG", "four/C.png")
    paths, folder = found(root, "ONE\\a.png", "b.tif", "c.png", "c.jpg")
    assert paths == ["one/A.PNG", None, "four/C.png", "three/c.JPG"]
    assert folder.resolved == [
        "ONE\\a.png -> one/A.PNG",
        "c.png -> four/C.png",
        "c.jpg -> three/c.JPG",
    ]
    paths, folder = found(root, "three/c.png")
    assert folder.ambiguous == ["row 2: three/c.png: is it three/c.JPG or four/C.png?"]
    root = films("x/D.png", "y/d.PNG")
    assert found(root, "d.png")[0] == [None]


@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_letters_composed_or_not_are_the_same(films, written, on_disk):
    name = "Müller/Röntgen 100%25.png"
    root = films(unicodedata.normalize(on_disk, name), "Möller/Röntgen 100%25.png")
    paths, folder = found(root, unicodedata.normalize(written, name))
    assert paths == [unicodedata.normalize(on_disk, name)]
    assert folder.resolved == []
    table = root / "mine.csv"
    table.write_text(f"path,patient_id\n{unicodedata.normalize(written, name)},1\n")
    assert read_cohort("csv", table).films == 1


@pytest.mark.parametrize("name", ["%20", "a%20b.png", "..", "", ".", "/", "x" * 5000, "a/" * 3000])
def test_odd_names_are_missing(films, name):
    paths, folder = found(films("a b.png"), name)
    assert paths == [None]
    assert folder.missing == [f"row 2: {name}"]


@pytest.mark.parametrize(
    "masks",
    ["masks", "mask", "lung_masks", "Lung Masks", "infection_mask", "ManualMask", "segm-mask"],
)
def test_masks_are_no_films(films, masks):
    root = films("COVID/images/a.png", "Normal/images/b.png", f"COVID/{masks}/a.png")
    root = films(f"Normal/{masks}/b.png", "Normal/images/b_mask.png")
    cohort = read_cohort("folders", root)
    assert (cohort.films, cohort.patients) == (2, 2)
    assert {each for each in cohort.report.notes if "masks, no films" in each} == {
        f"masks, no films: COVID/{masks} (1 files)",
        f"masks, no films: Normal/{masks} (1 files)",
        "masks, no films: Normal/images (1 files)",
    }
    (root / "meta.csv").write_text("path,covid-19\na,1\nb.png,0\n")
    cohort = read_cohort("csv", root / "meta.csv")
    assert [path.split("/")[-2] for path in cohort.cases["path"]] == ["images", "images"]


def test_a_class_that_is_called_like_masks_is_kept_where_it_is_named(films):
    root = films("oxygen_mask/a.png", "covid/b.png")
    assert read_cohort("folders", root).films == 1
    classes = {"oxygen_mask": "covid-19=0"}
    assert read_cohort("folders", root, classes=classes).films == 2


def test_a_film_called_mask_without_another_is_a_film(films):
    assert read_cohort("folders", films("covid/patient_mask.png")).films == 1


def test_rows_that_may_be_one_of_several_are_counted(films):
    root = films("covid/a.png", "small/a.png", "covid/b.png")
    (root / "mine.csv").write_text("path,covid-19\na.png,1\nb.png,0\n")
    cohort = read_cohort("csv", root / "mine.csv")
    assert cohort.films == 1
    assert cohort.report.ambiguous == ("mine.csv row 2: a.png: is it covid/a.png or small/a.png?",)
    assert cohort.report.left_out() == ["1 rows may mean several images"]


def test_many_films_of_one_name_are_found_in_linear_time(films, monkeypatch):
    names = [f"p{n}/study{n % 3}/view.png" for n in range(300)]
    folder = Folder(films("x.png"))
    compared = []
    plain = finder._parts
    monkeypatch.setattr(finder, "_parts", lambda path: compared.append(path) or plain(path))
    many = finder.Finder(folder.root, [folder.root / name for name in names])
    assert [many.find(f"archive/{name}").path for name in names] == [
        folder.root / name for name in names
    ]
    assert len(compared) < 8 * len(names)


PART = st.sampled_from(["p1", "p2", "P1", "study1", "a.png", "A.PNG", "a.jpg", "b.png", "train"])
PATHS = st.lists(
    st.lists(PART.filter(lambda part: "." not in part), max_size=3).flatmap(
        lambda folders: PART.filter(lambda part: "." in part).map(lambda name: (*folders, name))
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


@given(disk=PATHS, table=PATHS, prefix=st.sampled_from(["", "archive/", "/home/x/", "D:\\y\\"]))
def test_no_row_ever_gets_the_film_of_another_row(disk, table, prefix):
    root = Path("/nowhere")
    many = finder.Finder(root, [root.joinpath(*parts) for parts in disk])
    names = sorted({*disk, *table})
    found = {parts: many.find(prefix + "/".join(parts)) for parts in names}
    for parts, each in found.items():
        if each.path is None:
            continue
        ours = each.path.relative_to(root).parts
        assert finder.stem_of(ours[-1]).casefold() == finder.stem_of(parts[-1]).casefold()
        if parts in disk and not prefix:
            assert ours == parts, "the path as it stands comes first"
        if ours != parts and parts in disk:
            theirs = found[ours]
            assert theirs.path == each.path
            assert theirs.strength > each.strength, "the row that names it better keeps it"
