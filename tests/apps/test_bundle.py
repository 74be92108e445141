from __future__ import annotations

import json
import shutil

from hilum.apps.cli.main import run
from hilum.bundle.facts import Facts, honest_numbers
from hilum.bundle.folder import DEFAULT_BUNDLE
from hilum.judge.schema import Evaluation


def test_show_has_manifest_points_and_card(small_bundle, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["bundle", "show", "-b", str(small_bundle)]) == 0
    out = capsys.readouterr().out
    for words in ("blocks 0.0.1", "SCT 840539006", "0.90 [0.80, 0.95] (n=40)", "val of a test"):
        assert words in out
    assert "What it is worth: not measured." in out
    assert "Made for" not in out
    assert run(["bundle", "show", "--card", "-b", str(small_bundle)]) == 0
    assert "Made for tests." in capsys.readouterr().out  # the card, rendered


def test_show_of_the_default_bundle_has_the_honest_numbers(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    evaluation = Evaluation.load(DEFAULT_BUNDLE / "evaluation.json")
    assert run(["bundle", "show"]) == 0
    out = capsys.readouterr().out
    for label in evaluation.labels:
        assert str(label.metrics["auroc"]) in out
        for row in label.baseline:
            assert str(row.baseline) in out
    assert "nan" not in out.lower().split()


def test_show_html_writes_the_card_as_a_page(small_bundle, tmp_path, capsys):
    page = tmp_path / "card.html"
    assert run(["bundle", "show", "--html", str(page), "-b", str(small_bundle)]) == 0
    assert "Made for <strong>tests</strong>." in page.read_text()
    assert str(page) in capsys.readouterr().out


def test_card_writes_it_anew_and_seals(small_bundle, tmp_path, capsys):
    root = shutil.copytree(small_bundle, tmp_path / "bundle")
    assert run(["bundle", "card", "-b", str(root)]) == 0
    assert "blocks 0.0.1 (" in capsys.readouterr().out
    assert "## How it was made" in (root / "MODEL_CARD.md").read_text()
    assert run(["bundle", "verify", "-b", str(root)]) == 0
    nothing = tmp_path / "table.json"
    nothing.write_text("{}")
    assert run(["bundle", "card", "-b", str(root), "--comparison", str(nothing)]) == 4
    assert "table.json: not the table of a comparison" in capsys.readouterr().err


def test_show_json_is_the_manifest(small_bundle, capsys):
    assert run(["bundle", "show", "--json", "-b", str(small_bundle)]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["name"] == "blocks"
    assert len(values["checksum"]) == 64
    assert (values["honest_numbers"], values["audits"]) == ([], [])
    assert run(["bundle", "show", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    facts = Facts.read(DEFAULT_BUNDLE)
    lines = honest_numbers(facts)
    assert [line["auroc"]["value"] for line in values["honest_numbers"]] == [
        line.auroc.value for line in lines
    ]
    verdicts = [(audit.label, audit.verdict) for audit in facts.audits]
    assert [(each["label"], each["verdict"]) for each in values["audits"]] == verdicts


def test_verify_holds_and_fails(small_bundle, tmp_path, capsys):
    root = shutil.copytree(small_bundle, tmp_path / "bundle")
    assert run(["bundle", "verify", "-b", str(root)]) == 0
    assert "as it was packed" in capsys.readouterr().out
    (root / "MODEL_CARD.md").write_text("# better\n")
    assert run(["bundle", "verify", "-b", str(root)]) == 7
    assert "MODEL_CARD.md" in capsys.readouterr().err
