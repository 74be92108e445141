from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hilum.core.errors import CohortError, ConfigError, TrainingError
from hilum.judge.metrics import auroc
from hilum.learn.callbacks import CHECKPOINT, WholeCheckpoints
from hilum.learn.fit import fit
from hilum.learn.module import Learner
from hilum.learn.networks.output import NetworkOutput
from hilum.learn.predict import predict_logits
from hilum.learn.recipe import Recipe

MakeCases = Callable[..., pd.DataFrame]
MakeRecipe = Callable[..., Recipe]


def test_it_learns_what_can_be_learned(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe({"epochs": 12})
    result = fit(recipe, make_cases(60), tmp_path / "run")
    logits = predict_logits(result.network, result.val, recipe.preprocess)[:, 0]
    assert auroc(result.val.cases["covid-19"].to_numpy(), logits) > 0.95
    assert result.rows[-1]["train_loss"] < result.rows[0]["train_loss"]


def test_the_run_folder_holds_what_the_page_of_fit_says(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    recipe = tiny_recipe({"loggers": ["tensorboard", "csv"]})
    fit(recipe, make_cases(), out)
    curves = pd.read_csv(out / "curves.csv")
    assert curves["epoch"].tolist() == [1, 2]
    assert {"train_loss", "val_loss", "train_accuracy", "val_accuracy", "val_auroc"} <= set(curves)
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert Recipe.load(out / "recipe.toml") == recipe
    assert list((out / "logs" / "tensorboard").glob("events*"))
    assert list((out / "logs" / "csv").rglob("metrics.csv"))
    assert json.loads((out / "metrics.json").read_text())["epochs"][1]["epoch"] == 2


def test_the_weights_are_those_of_the_best_epoch_also_when_training_goes_past_it(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    ended = Learner.on_train_epoch_end

    def spoiled(self: Learner) -> None:
        ended(self)
        self.numbers["val_auroc"] = (0.6, 0.9, 0.7)[self.current_epoch]
        seen.append({name: each.clone() for name, each in self.network.state_dict().items()})

    monkeypatch.setattr(Learner, "on_train_epoch_end", spoiled)
    result = fit(tiny_recipe({"epochs": 3}), make_cases(), tmp_path / "run")
    assert result.best_epoch == 2
    for name, weights in result.network.state_dict().items():
        assert torch.equal(weights, seen[1][name]), name
    assert not torch.equal(seen[1]["bias"], seen[2]["bias"])


def test_patience_stops_the_run(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Learner.on_train_epoch_end

    def never_better(self: Learner) -> None:
        ended(self)
        self.numbers["val_loss"] = 1.0 + self.current_epoch

    monkeypatch.setattr(Learner, "on_train_epoch_end", never_better)
    recipe = tiny_recipe({"epochs": 9, "monitor": "loss", "patience": 2})
    result = fit(recipe, make_cases(), tmp_path / "run")
    assert (result.best_epoch, len(result.rows)) == (1, 3)
    again = fit(recipe, make_cases(), tmp_path / "run", resume=True)
    assert len(again.rows) == 3, "a run that was stopped stays stopped"


def test_last_keeps_the_last_epoch_whatever_val_says(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Learner.on_train_epoch_end

    def ever_worse(self: Learner) -> None:
        ended(self)
        self.numbers["val_loss"] = 1.0 + self.current_epoch
        self.numbers["val_auroc"] = 1.0 / (1 + self.current_epoch)

    monkeypatch.setattr(Learner, "on_train_epoch_end", ever_worse)
    recipe = tiny_recipe({"epochs": 3, "monitor": "last"})
    assert fit(recipe, make_cases(), tmp_path / "run").best_epoch == 3


def test_two_runs_are_alike_and_another_seed_is_not(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    cases = make_cases()
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(hash(name))  # what came before must not matter
        fit(tiny_recipe({"seed": seed, "deterministic": True}), cases, tmp_path / name)
    a, b, c = ((tmp_path / name / "metrics.json").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_it_leaves_torch_as_it_was(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fit(tiny_recipe({"deterministic": True}), make_cases(), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


KILLED_IN_EPOCH = """
import os, signal, sys
from pathlib import Path
from hilum.data.table import read_cases
from hilum.learn.module import Learner
from hilum.learn.fit import fit
from hilum.learn.module import Learner
from hilum.learn.recipe import Recipe

folder, out, kill, resume = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
step = Learner.training_step
def fatal(self, batch, batch_idx):
    if kill == "yes" and (self.current_epoch, batch_idx) == (2, 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, batch_idx)
Learner.training_step = fatal
fit(Recipe.load(folder / "r.toml"), read_cases(folder / "cases.csv"), out, resume=resume == "yes")
"""


@pytest.mark.slow
def test_a_run_killed_in_an_epoch_and_resumed_ends_like_an_unbroken_one(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = tiny_recipe({"epochs": 4, "deterministic": True, "loggers": ["csv"]})
    (tmp_path / "r.toml").write_text(recipe.to_toml())
    make_cases().to_csv(tmp_path / "cases.csv", index=False)

    def run(out: str, *, kill: str = "no", resume: str = "no") -> int:
        arguments = [str(tmp_path), str(tmp_path / out), kill, resume]
        process = subprocess.run(
            [sys.executable, "-W", "error", "-c", KILLED_IN_EPOCH, *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        assert process.returncode in (0, -signal.SIGKILL), process.stderr
        assert "Warning" not in process.stderr, process.stderr
        return process.returncode

    assert run("broken", kill="yes") == -signal.SIGKILL
    assert len(pd.read_csv(tmp_path / "broken" / "curves.csv")) == 2
    assert not (tmp_path / "broken" / "metrics.json").exists()
    assert run("broken", resume="yes") == 0
    assert run("whole") == 0
    for name in ("metrics.json", "curves.csv"):
        whole, broken = ((tmp_path / run / name).read_bytes() for run in ("whole", "broken"))
        assert whole == broken, name


def test_a_network_that_leaves_parts_out_at_random_resumes_like_an_unbroken_run(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lite0 = {"name": "efficientnet-lite0", "options": {"pretrained": False}}
    small = {"size": 64, "channels": 1}
    recipe = tiny_recipe({"epochs": 2, "monitor": "last"}, network=lite0, preprocess=small)
    whole = fit(recipe, make_cases(), tmp_path / "whole", progress=False)
    start = Learner.on_train_epoch_start

    def stop(learner: Learner) -> None:
        if learner.current_epoch == 1:
            raise KeyboardInterrupt
        start(learner)

    monkeypatch.setattr(Learner, "on_train_epoch_start", stop)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, make_cases(), tmp_path / "broken", progress=False)
    monkeypatch.setattr(Learner, "on_train_epoch_start", start)
    resumed = fit(recipe, make_cases(), tmp_path / "broken", resume=True, progress=False)
    assert resumed.rows == whole.rows


def test_curves_beyond_the_checkpoint_are_forgotten_on_resume(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases, recipe, out = make_cases(), tiny_recipe({"epochs": 3}), tmp_path / "run"
    save = WholeCheckpoints.save_checkpoint
    written: list[int] = []

    def full_disk(self: WholeCheckpoints, checkpoint: object, path: Path, **rest: object) -> None:
        written.append(1)
        if len(written) == 2:
            raise OSError(28, "No space left on device", str(path))
        save(self, checkpoint, path, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(WholeCheckpoints, "save_checkpoint", full_disk)
    with pytest.raises(OSError, match="No space left"):
        fit(recipe, cases, out)
    assert len(pd.read_csv(out / "curves.csv")) == 2
    assert torch.load(out / CHECKPOINT, weights_only=True)["epoch"] == 0
    fit(recipe, cases, out, resume=True)
    assert pd.read_csv(out / "curves.csv")["epoch"].tolist() == [1, 2, 3]


def test_a_checkpoint_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint({"epoch": 1}, path)
    before = path.read_bytes()

    def half(checkpoint: object, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        WholeCheckpoints().save_checkpoint({"epoch": 2}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_loss_that_becomes_nan_is_one_message_and_keeps_the_epochs_before(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Learner._look

    def explode(self: Learner, squares: torch.Tensor) -> NetworkOutput:
        output = look(self, squares)
        factor = np.nan if self.current_epoch == 1 else 1.0
        return output._replace(logits=output.logits * factor)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "_look", explode)
        with pytest.raises(TrainingError, match=r"epoch 2, batch 1: the loss is nan.*made/"):
            fit(tiny_recipe(), make_cases(), tmp_path / "run")
    assert torch.load(tmp_path / "run" / CHECKPOINT, weights_only=True)["epoch"] == 0
    result = fit(tiny_recipe(), make_cases(), tmp_path / "run", resume=True)
    assert len(result.rows) == 2


def test_unknown_labels_are_masked_and_not_learned_as_absent(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    cases = make_cases(60)
    cases.loc[(cases["pneumonia"] == 0) & (cases.index % 3 != 0), "pneumonia"] = np.nan
    recipe = tiny_recipe(
        {"epochs": 16}, data={"cases": "c.csv", "labels": ["covid-19", "pneumonia"]}
    )
    result = fit(recipe, cases, tmp_path / "run")
    logits = predict_logits(result.network, result.train, recipe.preprocess)
    unknown = result.train.cases["pneumonia"].isna() & (result.train.cases["covid-19"] == 1)
    assert unknown.any()
    assert (logits[unknown.to_numpy(), 1] > 0).mean() > 0.8
    assert "val_auroc_pneumonia" in result.rows[0]


def test_test_films_are_never_opened(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    cases = make_cases()
    for path in cases.loc[cases["split"] == "test", "path"]:
        Path(path).unlink()
    result = fit(tiny_recipe(), cases, tmp_path / "run")
    assert result.train.refused.empty


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda cases: cases.drop(columns="covid-19"), "no column covid-19"),
        (lambda cases: cases.drop(columns="split"), "no column split"),
        (lambda cases: cases[cases["split"] != "val"], "'val' has no film with covid-19 = 1"),
        (lambda cases: cases[cases["covid-19"] == 1], "'train' has no film with covid-19 = 0"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_one_message(
    make_cases: MakeCases,
    tiny_recipe: MakeRecipe,
    tmp_path: Path,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    message: str,
) -> None:
    with pytest.raises(CohortError, match=message):
        fit(tiny_recipe(), spoil(make_cases()), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_film_that_does_not_open_is_listed_and_the_rest_is_learned(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    cases = make_cases()
    broken = cases[cases["split"] == "train"].iloc[0]
    Path(broken["path"]).write_bytes(b"not a film")
    result = fit(tiny_recipe(), cases, tmp_path / "run")
    listed = pd.read_csv(tmp_path / "run" / "refused.csv")
    assert listed["case_id"].tolist() == [broken["case_id"]]
    assert listed["reason"].str.len().iloc[0] > 0
    assert broken["case_id"] not in set(result.train.cases["case_id"])


def test_a_folder_of_another_run_is_not_touched(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    cases, out = make_cases(), tmp_path / "run"
    fit(tiny_recipe({"epochs": 1}), cases, out)
    with pytest.raises(ConfigError, match="holds a run already"):
        fit(tiny_recipe({"epochs": 1}), cases, out)
    with pytest.raises(ConfigError, match=r"fit\.epochs: 1 and 2"):
        fit(tiny_recipe({"epochs": 2}), cases, out, resume=True)


def test_a_device_that_is_not_there_is_one_message(
    make_cases: MakeCases, tiny_recipe: MakeRecipe, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="device 'gpu'"):
        fit(tiny_recipe(), make_cases(), tmp_path / "run", device="gpu")


@pytest.mark.parametrize("options", [{"precision": "bf16-mixed"}, {"channels_last": False}])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_way_to_train_trains(
    make_cases: MakeCases,
    tiny_recipe: MakeRecipe,
    tmp_path: Path,
    options: dict[str, object],
    optimizer: str,
) -> None:
    recipe = tiny_recipe(
        {"epochs": 1, "optimizer": optimizer, "balance": "as-is", "gradient_clip": 1.0, **options}
    )
    result = fit(recipe, make_cases(20), tmp_path / "run")
    assert np.isfinite(result.rows[0]["train_loss"])
    assert next(result.network.parameters()).dtype == torch.float32
