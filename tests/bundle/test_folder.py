from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hilum.bundle.folder import CHECKSUMS, DEFAULT_BUNDLE, open_bundle, seal, verify
from hilum.core.errors import BundleError, BundleIntegrityError, BundleVersionError


@pytest.fixture
def bundle(small_bundle, tmp_path):
    return Path(shutil.copytree(small_bundle, tmp_path / "bundle"))


def _change(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_an_untouched_bundle_opens(bundle):
    opened = open_bundle(bundle)
    assert opened.manifest.name == "blocks"
    assert opened.identity == f"blocks 0.0.1 ({opened.checksum[:8]})"
    assert opened.model.is_file()


@pytest.mark.parametrize("where", [0.0, 0.37, 0.73, 1.0])
@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "MODEL_CARD.md", "LICENSE"])
def test_a_changed_byte_is_named(bundle, name, where):
    path = bundle / name
    _change(path, round(where * (path.stat().st_size - 1)))
    with pytest.raises(BundleError, match=name) as caught:
        open_bundle(bundle)
    assert caught.value.exit_code == 7


def test_a_changed_byte_anywhere_in_the_checksums_is_named(bundle):
    path = bundle / CHECKSUMS
    whole = path.read_bytes()
    for position in range(len(whole)):
        _change(path, position)
        with pytest.raises(BundleIntegrityError, match=CHECKSUMS):
            verify(bundle)
        path.write_bytes(whole)
    verify(bundle)


@pytest.mark.parametrize("text", [b"[]", b"{}", b"7", b'{"files": 3}', b"\xff\xfe", b""])
def test_checksums_of_another_shape_are_named(bundle, text):
    (bundle / CHECKSUMS).write_bytes(text)
    with pytest.raises(BundleIntegrityError, match=CHECKSUMS):
        verify(bundle)


def test_a_missing_and_an_added_file_are_named(bundle):
    (bundle / "extra" / CHECKSUMS).parent.mkdir()
    (bundle / "extra" / CHECKSUMS).write_text("{}")
    with pytest.raises(BundleIntegrityError, match=f"extra/{CHECKSUMS}: not part"):
        verify(bundle)
    shutil.rmtree(bundle / "extra")
    (bundle / "LICENSE").unlink()
    with pytest.raises(BundleIntegrityError, match="LICENSE: missing"):
        verify(bundle)


def test_no_bundle_says_which_folder_to_name(tmp_path):
    with pytest.raises(BundleError, match="no bundle here") as caught:
        open_bundle(tmp_path)
    assert "hilum train" in caught.value.hint


def test_no_built_in_bundle_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("hilum.bundle.folder.DEFAULT_BUNDLE", tmp_path)
    with pytest.raises(BundleError) as caught:
        open_bundle()
    assert "--bundle" in caught.value.hint
    assert DEFAULT_BUNDLE.parts[-2:] == ("serve", "default")


def _rewrite(bundle: Path, **changes: object) -> None:
    values = json.loads((bundle / "bundle.json").read_text())
    (bundle / "bundle.json").write_text(json.dumps(values | changes))
    seal(bundle)


def test_another_format_is_a_version_error(bundle):
    _rewrite(bundle, schema_version="2")
    with pytest.raises(BundleVersionError, match=r"schema_version '2'; this Hilum reads '1'"):
        open_bundle(bundle)


def test_a_manifest_with_an_unknown_or_wrong_key_is_named(bundle):
    _rewrite(bundle, colour="blue")
    with pytest.raises(BundleError, match="colour"):
        open_bundle(bundle)


def test_a_manifest_without_labels_is_refused(bundle):
    _rewrite(bundle, labels=[])
    with pytest.raises(BundleError, match="labels"):
        open_bundle(bundle)


def test_default_names_the_bundle_inside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_bundle(Path("default")).root == open_bundle().root
    (tmp_path / "default").mkdir()
    with pytest.raises(BundleError, match="no bundle here"):
        open_bundle(Path("default"))
