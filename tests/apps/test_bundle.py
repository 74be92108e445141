from __future__ import annotations

import json
import shutil

from hilum.apps.cli.main import run


def test_show_has_manifest_points_and_card(small_bundle, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["bundle", "show", str(small_bundle)]) == 0
    out = capsys.readouterr().out
    for words in ("blocks 0.0.1", "SCT 840539006", "0.90 [0.80, 0.95] (n=40)", "val of a test"):
        assert words in out
    assert "Made for tests." in out  # the card, rendered


def test_show_json_is_the_manifest(small_bundle, capsys):
    assert run(["bundle", "show", "--json", str(small_bundle)]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["name"] == "blocks"
    assert len(values["checksum"]) == 64


def test_verify_holds_and_fails(small_bundle, tmp_path, capsys):
    root = shutil.copytree(small_bundle, tmp_path / "bundle")
    assert run(["bundle", "verify", str(root)]) == 0
    assert "as it was packed" in capsys.readouterr().out
    (root / "MODEL_CARD.md").write_text("# better\n")
    assert run(["bundle", "verify", str(root)]) == 7
    assert "MODEL_CARD.md" in capsys.readouterr().err
