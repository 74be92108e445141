from __future__ import annotations

from hilum.apps.cli.main import run


def test_help_teaches(capsys):
    assert run(["train-opacities", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "--study" in said
    assert "hilum train-opacities --recipe recipes/opacities.toml" in said


def test_a_recipe_with_a_typo_is_one_line(tmp_path, capsys):
    recipe = tmp_path / "r.toml"
    recipe.write_text('[data]\ncases = "cases.csv"\n[material]\nsyntetic = 0.2\n')
    assert run(["train-opacities", "--recipe", str(recipe), "-o", str(tmp_path / "out")]) == 6
    assert "syntetic" in capsys.readouterr().err


def test_collections_need_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("HILUM_DATA", raising=False)
    recipe = tmp_path / "r.toml"
    recipe.write_text('[[data.cohorts]]\nname = "openist"\nfolder = "OpenIST"\n')
    code = run(["train-opacities", "--recipe", str(recipe), "-o", str(tmp_path / "out")])
    assert code == 6
    assert "--data" in capsys.readouterr().err
