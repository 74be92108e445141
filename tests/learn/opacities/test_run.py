from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hilum.bundle.lungs import LungSegmenter
from hilum.bundle.opacities import open_opacities
from hilum.core.case import COLUMNS
from hilum.core.errors import CohortError, ConfigError
from hilum.image.open import open_radiograph
from hilum.learn.opacities import films as gathered
from hilum.learn.opacities.films import gather_opacities, open_all, read_kinds
from hilum.learn.opacities.recipe import OpacityRecipe
from hilum.learn.opacities.run import MEASURED, OUT_OF_FOLD, train_opacities
from hilum.learn.opacities.study import STUDY, StudyRecipe, study
from hilum.serve import samples

SAMPLES = Path(samples.__file__).parent
TABLES = {
    "split": {"kind": "folds", "folds": 2, "label": "none"},
    "network": "fully-convolutional",
    "preprocess": {"size": 32, "channels": 1, "region": "lung-field", "mean": 0.5, "std": 0.5},
    "fit": {"steps": 2, "batch_size": 4},
}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four drawn, four clear, two boxed films; all of the one virtual patient, in new greys."""
    rows = []
    for number in range(10):
        ill = number < 4
        name = "frontal-opacities.png" if ill else "frontal.png"
        film = cv2.imread(str(SAMPLES / name), cv2.IMREAD_GRAYSCALE)
        small = cv2.resize(film, (256, 250), interpolation=cv2.INTER_AREA) / 255
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), (255 * small ** (0.7 + 0.06 * number)).astype(np.uint8))
        mask = json.dumps({"ground-glass": str(SAMPLES / "frontal-opacities.lesions.png")})
        box = json.dumps([{"label": "lung-opacity", "x": 40, "y": 90, "width": 50, "height": 60}])
        rows.append(
            dict.fromkeys(COLUMNS, "")
            | {
                "case_id": f"made/{number}",
                "path": str(path),
                "cohort": "made",
                "source": "made",
                "patient_id": f"made/{number}",
                "modality": "X-ray",
                "view": "PA",
                "lesion_masks": mask if ill else "",
                "boxes": box if number >= 8 else "",
                "no-finding": 1 if 4 <= number < 8 else 0,
                "lung-opacity": 0 if 4 <= number < 8 else 1,
                "covid-19": 0,
            }
        )
    pd.DataFrame(rows).to_csv(tmp_path / "cases.csv", index=False)
    nothing = pd.DataFrame(columns=["case_id_a", "case_id_b"])
    monkeypatch.setattr(gathered, "find_duplicates", lambda *_, **__: nothing)
    monkeypatch.setattr(
        gathered, "link_groups", lambda cases, _: cases.assign(group=cases["case_id"])
    )
    return tmp_path / "cases.csv"


def recipe_for(table: Path, **tables: object) -> OpacityRecipe:
    return OpacityRecipe.parse({"data": {"cases": str(table)}} | TABLES | tables, where="test")


def test_from_a_table_to_a_network_that_a_bundle_opens(table: Path, tmp_path: Path) -> None:
    recipe = recipe_for(table, material={"clear": 0.25, "synthetic": 0.25, "boxed": 0.25})
    out = tmp_path / "run"
    trained = train_opacities(recipe, out, root=None, command="hilum x", progress=False)
    segmenter = open_opacities(out)
    assert segmenter is not None
    assert segmenter.spec == trained.spec
    assert trained.spec.made["films"] == {"drawn": 4, "clear": 4, "boxed": 2}
    assert trained.spec.measured["metrics"]["auroc"]["n"] == 8
    assert trained.spec.measured["metrics"]["share on clear films, made"]["n"] == 4
    assert len(pd.read_csv(out / MEASURED)) == 10
    with np.load(out / OUT_OF_FOLD, allow_pickle=False) as kept:
        assert kept["scores"].shape[:2] == (10, 2)
        assert (kept["scores"].max(1)[~kept["lungs"]] == 0).all()
    film = open_radiograph(SAMPLES / "frontal.png")
    lungs = LungSegmenter().segment(film)
    found = segmenter.segment(film, lungs)
    assert found.scores.shape == (2, *lungs.mask.shape)
    with pytest.raises(ConfigError, match="holds a run"):
        train_opacities(recipe, out, root=None, command="hilum x", progress=False)
    again = train_opacities(recipe, out, root=None, command="hilum x", resume=True, progress=False)
    assert again.spec.thresholds == trained.spec.thresholds
    assert again.spec.regions == trained.spec.regions
    assert trained.spec.regions is not None


def test_masks_and_boxes_lie_where_they_were_drawn(table: Path) -> None:
    recipe = recipe_for(table)
    cases = gather_opacities(recipe, None, progress=False)
    assert cases["material"].value_counts().to_dict() == {"drawn": 4, "clear": 4, "boxed": 2}
    assert sorted(cases.groupby("material")["fold"].nunique()) == [2, 2, 2]
    films = open_all(cases, recipe.preprocess, progress=False)
    drawn = cv2.imread(str(SAMPLES / "frontal-opacities.lesions.png"), cv2.IMREAD_GRAYSCALE) > 127
    assert films.truth[0, 0].mean() == pytest.approx(drawn.mean(), rel=0.05)
    assert not films.truth[0, 1].any()
    box = films.lungs[0].box(recipe.preprocess.margin)
    part = films.targets[0, 0].float().mean() * (box[2] - box[0]) * (box[3] - box[1])
    assert float(part) == pytest.approx(drawn.mean(), rel=0.15)
    boxed = films.targets[films.rows("boxed")[0]]
    assert 0.02 < float(boxed[3].float().mean()) < 0.3
    assert not boxed[4:].any()
    assert not boxed[:2].any()


def test_a_missing_kind_is_empty() -> None:
    assert [each.any() for each in read_kinds("", (20, 30))] == [False, False]
    path = str(SAMPLES / "frontal-opacities.lesions.png")
    glass, dense = read_kinds(json.dumps({"consolidation": path}), (250, 256))
    assert not glass.any()
    assert dense.any()


def test_a_mask_of_another_shape_is_refused() -> None:
    path = str(SAMPLES / "frontal-opacities.lesions.png")
    with pytest.raises(CohortError, match="its film is"):
        read_kinds(json.dumps({"ground-glass": path}), (250, 500))


def test_clear_films_are_limited_by_collection(table: Path) -> None:
    cases = gather_opacities(
        recipe_for(table, material={"clear_per_cohort": 3}), None, progress=False
    )
    assert (cases["material"] == "clear").sum() == 3


def test_no_masks_at_all_is_one_error(table: Path) -> None:
    cases = pd.read_csv(table, keep_default_na=False)
    cases.assign(lesion_masks="").to_csv(table, index=False)
    with pytest.raises(CohortError, match="no film of these collections has a lesion mask"):
        gather_opacities(recipe_for(table), None, progress=False)


def test_a_study_has_a_row_for_each_arm_and_metric(table: Path, tmp_path: Path) -> None:
    arms = [
        {"name": "drawn", "network": "fully-convolutional"},
        {"name": "+ clear", "network": "fully-convolutional", "material": {"clear": 0.5}},
    ]
    values = {"data": {"cases": str(table)}, "arms": arms} | TABLES
    recipe = StudyRecipe.parse(values, where="test")
    rows = study(recipe, tmp_path / "study", root=None, progress=False)
    assert set(rows["material"]) == {"drawn", "+ clear"}
    assert (rows.groupby("material")["metric"].nunique() == 16).all()
    written = pd.read_csv(tmp_path / "study" / STUDY)
    assert len(written) == 32
    gaps = written.set_index(["material", "metric"])["difference"]
    assert gaps["drawn"].isna().all()
    values = written.set_index(["material", "metric"])["value"]
    expected = values["+ clear"] - values["drawn"]
    np.testing.assert_allclose(gaps["+ clear"], expected, atol=2e-4)
    assert recipe.of(recipe.arms[1]).material.clear == 0.5


def test_a_study_that_must_fail_fails_before_it_trains(table: Path) -> None:
    drawn = {"name": "drawn", "network": "u-net"}
    virtual = drawn | {"material": {"virtual": 0.25, "virtual_films": "any"}}
    values = {"data": {"cases": str(table)}} | TABLES
    with pytest.raises(ConfigError, match="the same network and name"):
        StudyRecipe.parse(values | {"arms": [drawn, drawn]}, where="test")
    with pytest.raises(ConfigError, match="virtual_films must name them"):
        StudyRecipe.parse(values | {"arms": [virtual]}, where="test")
    named = {"material": {"virtual_films": "virtual/cases.csv"}}
    recipe = StudyRecipe.parse(values | named | {"arms": [virtual]}, where="test")
    assert recipe.of(recipe.arms[0]).material.virtual_films == "virtual/cases.csv"


def test_shares_must_leave_room_for_drawn_films(table: Path) -> None:
    with pytest.raises(ConfigError, match="leave no room"):
        recipe_for(table, material={"clear": 0.6, "boxed": 0.5})
    with pytest.raises(ConfigError, match="virtual needs"):
        recipe_for(table, material={"virtual": 0.2})
