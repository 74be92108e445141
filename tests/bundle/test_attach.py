from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hilum.apps.cli.main import run
from hilum.bundle.attach import attach_results
from hilum.bundle.folder import DEFAULT_BUNDLE, open_bundle
from hilum.bundle.outofsource import from_comparison
from hilum.core.errors import BundleError, BundleIntegrityError, CohortError
from hilum.learn.compare.grid import Grid, resolve

ROOT = Path(__file__).parents[2]

WriteAudit = Callable[..., Path]


def _bytes(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


def test_results_come_in_and_nothing_that_reads_changes(
    full_bundle: Path, write_audit: WriteAudit, comparison: Path
) -> None:
    before = _bytes(full_bundle)
    first = open_bundle(full_bundle)
    done = attach_results(full_bundle, audits=[write_audit(first.checksum)])
    opened = done.bundle
    assert (done.new, done.note) == (True, "")
    after = _bytes(full_bundle)
    assert opened.checksum != first.checksum
    changed = {"MODEL_CARD.md", "environment.json", "checksums.json"}
    assert {name for name in before if before[name] != after[name]} == changed
    assert after.keys() - before.keys() == {"audit.json"}
    # an audit of the bundle as it was before the first came in is still one of it
    other = write_audit(first.checksum, label="pneumonia")
    done = attach_results(full_bundle, audits=[other], out_of_source=comparison, variant="lungs")
    assert "'lungs'" in done.note
    assert "does not say its recipe" in done.note
    names = {path.name for path in full_bundle.iterdir()}
    assert {"audit.json", "audit-pneumonia.json", "out-of-source.json"} <= names
    card = (full_bundle / "MODEL_CARD.md").read_text()
    assert card.index("**covid-19: fail.**") < card.index("**pneumonia: fail.**")
    assert sorted(path.name for path in full_bundle.parent.iterdir()) == ["full"]


def test_what_is_there_already_leaves_the_bundle_as_it_is(
    full_bundle: Path,
    write_audit: WriteAudit,
    comparison: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    audit = write_audit(open_bundle(full_bundle).checksum)
    add = ["bundle", "card", "-b", str(full_bundle), "--audit", str(audit)]
    assert run(add) == 0
    assert "nothing is new" not in capsys.readouterr().out
    first, before = open_bundle(full_bundle), _bytes(full_bundle)
    assert run(add) == 0
    assert "nothing is new" in capsys.readouterr().out
    assert _bytes(full_bundle) == before
    assert sorted(path.name for path in full_bundle.parent.iterdir()) == ["full"]
    second = attach_results(full_bundle, out_of_source=comparison, variant="lungs").bundle
    earlier = json.loads((full_bundle / "environment.json").read_text())["earlier_checksums"]
    assert second.checksum != first.checksum
    assert earlier[-1] == first.checksum
    assert len(earlier) == len(set(earlier)) == 2


@pytest.mark.parametrize(
    ("variant", "error", "words"),
    [(None, CohortError, "2 variants"), ("lung", CohortError, "no variant 'lung'")],
)
def test_a_wrong_variant_leaves_the_bundle_as_it_was(
    full_bundle: Path,
    comparison: Path,
    variant: str | None,
    error: type[Exception],
    words: str,
) -> None:
    before = _bytes(full_bundle)
    with pytest.raises(error, match=words):
        attach_results(full_bundle, out_of_source=comparison, variant=variant)
    assert _bytes(full_bundle) == before


def _of_recipe(comparison: Path, folder: Path, **fit: object) -> Path:
    """The comparison, whose variant "lungs" has these settings, and others that may differ."""
    values = json.loads(comparison.read_text())
    settings = {"epochs": 7, "learning_rate": 0.013, "seed": 5, "patience": None} | fit
    values["recipes"] = {"lungs": {"fit": settings, "split": {"kind": "leave-one-out"}}}
    path = folder / "table.json"
    path.write_text(json.dumps(values))
    return path


def test_a_comparison_of_another_recipe_is_refused(
    full_bundle: Path, comparison: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _bytes(full_bundle)
    other = _of_recipe(comparison, tmp_path, learning_rate=0.02)
    said = r"another recipe .*: fit\.learning_rate 0\.02, in the bundle 0\.013"
    with pytest.raises(BundleError, match=said):
        attach_results(full_bundle, out_of_source=other, variant="lungs")
    assert _bytes(full_bundle) == before
    add = ["bundle", "card", "-b", str(full_bundle), "--variant", "lungs", "--comparison"]
    assert run([*add, str(_of_recipe(comparison, tmp_path))]) == 0
    assert capsys.readouterr().err == ""
    assert (full_bundle / "out-of-source.json").is_file()
    assert run([*add, str(comparison)]) == 0
    assert "does not say its recipe" in capsys.readouterr().err


def test_an_audit_of_something_else_is_refused(full_bundle: Path, write_audit: WriteAudit) -> None:
    before = _bytes(full_bundle)
    with pytest.raises(BundleError, match=r"expected one of blocks 0\.0\.1"):
        attach_results(full_bundle, audits=[write_audit("0" * 64)])
    unknown = write_audit(open_bundle(full_bundle).checksum, label="edema")
    with pytest.raises(BundleError, match="label edema"):
        attach_results(full_bundle, audits=[unknown])
    assert _bytes(full_bundle) == before


def test_a_bundle_that_was_edited_gets_no_new_seal(full_bundle: Path) -> None:
    (full_bundle / "recipe.toml").write_text("[fit]\nepochs = 8\n")
    with pytest.raises(BundleIntegrityError, match=r"recipe\.toml"):
        attach_results(full_bundle)


def test_a_failure_in_the_middle_leaves_the_bundle_as_it_was(
    full_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _bytes(full_bundle)

    def fail(root: Path) -> None:
        raise OSError(28, "No space left on device", str(root))

    monkeypatch.setattr("hilum.bundle.attach.seal", fail)
    with pytest.raises(OSError, match="No space"):
        attach_results(full_bundle)
    assert _bytes(full_bundle) == before
    assert sorted(path.name for path in full_bundle.parent.iterdir()) == ["full"]


def test_the_table_keeps_the_variant_and_leaves_out_cross_validation(
    full_bundle: Path, comparison: Path
) -> None:
    attach_results(full_bundle, out_of_source=comparison, variant="lungs")
    stored = json.loads((full_bundle / "out-of-source.json").read_text())
    assert stored["variant"] == "lungs"
    assert [row["left_out"] for row in stored["rows"]] == ["east", "all left out", "shenzhen"]
    assert stored["gaps"][0]["gap"]["value"] == 0.297


def test_the_shipped_comparison_is_of_the_recipe_of_the_built_in_bundle(
    full_bundle: Path, comparison: Path, tmp_path: Path
) -> None:
    path = ROOT / "recipes/leave-one-source-out.toml"
    theirs = resolve(Grid.load(path), path, [])["contrasts"].model_dump(mode="json")
    ours = tomllib.loads((DEFAULT_BUNDLE / "recipe.toml").read_text())
    table = json.loads(comparison.read_text())
    table["recipes"] = {"lungs": theirs}
    written = tmp_path / "table.json"
    written.write_text(json.dumps(table))
    _, note = from_comparison(written, "lungs", ours)
    assert note.endswith("table.json was trained for 6 epochs, the bundle for 12")
    table["recipes"]["lungs"]["fit"]["epochs"] = 12
    written.write_text(json.dumps(table))
    assert from_comparison(written, "lungs", ours)[1] == ""
