from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.bundle.similar import (
    SIMILAR,
    UNKNOWN,
    Index,
    Neighbors,
    open_similar,
    read_similar,
    write_similar,
)
from hilum.core.errors import BundleError
from hilum.core.files import sha256_of
from hilum.core.labels import Label
from hilum.data.fingerprint import LOOK_SIDE, look

FILMS, WIDTH, AXES = 30, 20, 6


def make_index(model="0" * 64, seed=0):
    generator = np.random.default_rng(seed)
    embedding = generator.normal(size=(FILMS, WIDTH)).astype(np.float32)
    axes = np.linalg.qr(generator.normal(size=(WIDTH, AXES)))[0].T.astype(np.float16)
    mean = embedding.mean(axis=0)
    along = (embedding - mean) @ axes.T.astype(np.float32)
    films = (along / np.linalg.norm(along, axis=1, keepdims=True)).astype(np.float16)
    index = Index(
        model=model,
        mean=mean,
        axes=axes,
        films=films,
        case_id=np.array([f"made/{i}" for i in range(FILMS)]),
        cohort=np.array(["east", "west"] * (FILMS // 2)),
        group=np.arange(FILMS, dtype=np.int32) // 2,
        labels=np.tile(np.array([[1, UNKNOWN], [0, 1]], np.int8), (FILMS // 2, 1)),
        names=np.array(["covid-19", "edema"]),
    )
    return index, embedding


def test_what_is_written_is_read_and_the_same_bytes_come_again(tmp_path):
    index, _ = make_index()
    write_similar(tmp_path / "a.npz", index)
    write_similar(tmp_path / "b.npz", index)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_similar(tmp_path / "a.npz")
    assert found.model == index.model
    assert found.look is None
    for name in Index.__slots__[1:-1]:
        np.testing.assert_array_equal(getattr(found, name), getattr(index, name))


def films(count, seed=0):
    """Pictures with structure of all sizes, as different as films of strangers or more."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(count, 300, 240)).astype(np.float32)
    smooth = [cv2.GaussianBlur(one, (0, 0), 8) for one in noise]
    return [np.float32(0.5) + one / (6 * one.std()) for one in smooth]


def with_looks(pictures):
    looks = np.stack([look(np.clip(one, 0, 1)) for one in pictures])
    return replace(make_index()[0], look=looks)


def test_an_index_with_looks_is_version_2_and_one_without_stays_version_1(tmp_path):
    plain, looking = make_index()[0], with_looks(films(FILMS))
    for index, version in ((plain, 1), (looking, 2)):
        write_similar(tmp_path / "x.npz", index)
        with np.load(tmp_path / "x.npz") as stored:
            assert int(stored["version"]) == version
            assert ("look" in stored.files) == (version == 2)
        found = read_similar(tmp_path / "x.npz").look
        np.testing.assert_array_equal(found, index.look)


def test_a_copy_has_the_look_of_its_original_and_a_stranger_has_not():
    """By NumPy's own correlation, of looks that were made of other pixels than the stored ones."""
    known, strangers = films(FILMS), films(FILMS, seed=1)
    index = with_looks(known)
    neighbors = Neighbors(index)
    for i, one in enumerate(known):
        changed = np.clip(
            cv2.resize(one, (150, 150), interpolation=cv2.INTER_AREA) * 1.2 - 0.1, 0, 1
        )
        small = look(np.round(changed * 63) / np.float32(63))
        assert np.corrcoef(small, index.look[i])[0, 1] > 0.95
        for kind in (small, look(1 - changed), look(np.ascontiguousarray(changed[:, ::-1]))):
            assert neighbors.copy_of(None, kind) == f"made/{i}"
    for one in strangers:
        alike = look(np.clip(one, 0, 1))
        assert max(abs(np.corrcoef(alike, index.look)[0, 1:])) < 0.7
        assert neighbors.copy_of(None, alike) == ""


def test_a_film_that_shows_nothing_is_no_copy_of_another():
    known = films(FILMS)
    known[3] = np.full((300, 240), 0.5, np.float32)
    neighbors = Neighbors(with_looks(known))
    assert neighbors.copy_of(None, look(np.zeros((50, 60), np.float32))) == ""
    assert neighbors.copy_of(None, look(np.ones((50, 60), np.float32))) == ""
    assert neighbors.copy_of(make_index()[1][0], None) == ""


def test_without_looks_the_embedding_tells_equal_pixels():
    index, embedding = make_index()
    strange = look(films(1)[0])
    assert Neighbors(index).copy_of(embedding[0], strange) == ""  # along too few axes
    generator = np.random.default_rng(1)
    axes = np.linalg.qr(generator.normal(size=(WIDTH, 16)))[0].T.astype(np.float16)
    along = (embedding - index.mean) @ axes.T.astype(np.float32)
    index = replace(index, axes=axes, films=along.astype(np.float16))
    assert Neighbors(index).copy_of(embedding[5], strange) == "made/5"
    assert Neighbors(index).copy_of(None, strange) == ""


def test_a_film_of_the_index_finds_itself_at_distance_zero():
    index, embedding = make_index()
    neighbors = Neighbors(index)
    assert len(neighbors) == FILMS
    for i in range(FILMS):
        first = neighbors.nearest(embedding[i], 1)[0]
        assert first.case_id == f"made/{i}"
        assert first.distance < 1e-3


def test_distances_are_one_less_the_cosine():
    index, embedding = make_index()
    asked = embedding[3] + np.float32(0.3)
    axes = index.axes.astype(np.float64)
    a, b = axes @ (asked - index.mean), (embedding - index.mean) @ axes.T
    expected = np.sort(1 - b @ a / np.linalg.norm(b, axis=1) / np.linalg.norm(a))
    found = Neighbors(index).nearest(asked, FILMS, per_patient=None)
    np.testing.assert_allclose([one.distance for one in found], expected, atol=2e-3)


def test_one_film_a_patient_unless_all_are_asked_for():
    index, embedding = make_index()
    neighbors = Neighbors(index)
    found = neighbors.nearest(embedding[0], FILMS)
    patients = [int(one.case_id.split("/")[1]) // 2 for one in found]
    assert len(patients) == len(set(patients)) == FILMS // 2
    assert len(neighbors.nearest(embedding[0], FILMS, per_patient=None)) == FILMS


def test_films_of_a_named_patient_are_left_out():
    index, embedding = make_index()
    found = Neighbors(index).nearest(
        embedding[4], FILMS, per_patient=None, not_of=["made/5", "not here"]
    )
    assert not {"made/4", "made/5"} & {one.case_id for one in found}
    assert len(found) == FILMS - 2


def test_unknown_labels_are_left_out():
    index, embedding = make_index()
    neighbors = Neighbors(index)
    assert neighbors.nearest(embedding[0], 1)[0].labels == {Label.COVID_19: 1}
    one = neighbors.nearest(embedding[1], 1)[0]
    assert one.labels == {Label.COVID_19: 0, Label.EDEMA: 1}
    assert one.cohort == "west"


def test_an_embedding_of_another_length_is_refused():
    with pytest.raises(BundleError, match="embeddings of 20 numbers; this one has 7"):
        Neighbors(make_index()[0]).nearest(np.zeros(7, np.float32))


def test_a_bundle_without_an_index_has_none_and_that_of_another_network_is_refused(
    make_bundle, tmp_path
):
    root = make_bundle(tmp_path / "blocks")
    assert open_similar(root) is None
    write_similar(root / SIMILAR, make_index()[0])
    with pytest.raises(BundleError, match="made by the network 000000000000"):
        open_similar(root)
    write_similar(root / SIMILAR, make_index(sha256_of(root / "model.onnx"))[0])
    assert len(open_similar(root)) == FILMS


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"films": np.ones((FILMS, 3), np.float16)}, "films"),
        ({"films": np.full((FILMS, AXES), np.nan, np.float16)}, "films"),
        ({"mean": np.ones(WIDTH, np.float64)}, "mean"),
        ({"labels": np.ones((FILMS, 3), np.int8)}, "labels"),
        ({"names": np.array(["covid-19", "cough"])}, "names"),
        ({"cohort": np.arange(FILMS)}, "cohort"),
        ({"look": np.ones((FILMS, LOOK_SIDE), np.int8)}, "look"),
        ({"look": np.ones((FILMS, LOOK_SIDE**2), np.float32)}, "look"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, change, named):
    with pytest.raises(BundleError, match=f"'{named}' does not fit"):
        write_similar(tmp_path / "x.npz", replace(make_index()[0], **change))
    assert not (tmp_path / "x.npz").exists()


def test_an_index_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("hilum.bundle.similar.MAX_BYTES", 100)
    with pytest.raises(BundleError, match="expected at most 100"):
        write_similar(tmp_path / "x.npz", make_index()[0])
    assert list(tmp_path.iterdir()) == []


def test_pickles_are_never_opened(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, version=np.array([{"a": 1}], dtype=object))
    with pytest.raises(BundleError, match="cannot be read"):
        read_similar(path)
    np.savez(path, version=np.int32(7))
    with pytest.raises(BundleError, match="version 7; this Hilum reads 1 and 2"):
        read_similar(path)
    np.savez(path, version=np.int32(1), mean=np.zeros(3))
    with pytest.raises(BundleError, match="holds mean; expected model, mean"):
        read_similar(path)
    with pytest.raises(BundleError, match="no such file"):
        read_similar(tmp_path / "none.npz")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "x.npz"
    index = with_looks(films(FILMS))
    write_similar(path, index)
    return path, index


def test_a_flag_that_calls_a_part_encrypted_is_a_bundle_error(written, tmp_path):
    content = bytearray(written[0].read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(BundleError, match="cannot be read"):
        read_similar(tmp_path / "x.npz")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_a_bundle_error_or_the_same_index(written, data):
    whole, index = written
    content = bytearray(whole.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = whole.with_name("damaged.npz")
    path.write_bytes(content)
    try:
        found = read_similar(path)
    except BundleError:
        return
    np.testing.assert_array_equal(found.films, index.films)
    np.testing.assert_array_equal(found.look, index.look)
