"""What a bundle's reader is worth, question by question, on films that it never saw.

Prints one row a question: within one collection (patients held out), each class of one collection
at the threshold that the bundle ships, where the evidence lies beside boxes that radiologists
drew, how well boxes, opacities and lungs lie on those that were drawn, and how often a clear film
is called more than a tenth opaque. With 95 % intervals over patients, and the number of films.

    python benchmarks/reader.py runs/default/cases.csv --bundle runs/default/bundle --csv reader.csv

The table is the ``cases.csv`` of a training run: its films of "test" are read, but for those whose
patient the bundle has seen (a bundle of another run may have seen some). To compare two bundles on
the same films, name the other one with ``--unseen-by``. ``--side all`` reads every film that was
not seen, as for a source that was left out.

For the networks of a comparison, each asked about the collections that it was trained without:

    python benchmarks/reader.py --left-out out/leave-one-source-out --csv reader-left-out.csv
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from hilum import load_bundle
from hilum.bundle.folder import open_bundle
from hilum.bundle.similar import Neighbors, open_similar
from hilum.core.case import owner_of
from hilum.core.labels import Label
from hilum.data.coco import boxed, boxes_in, detections_of, read_coco
from hilum.data.fingerprint import look
from hilum.data.masks import read_kinds, read_mask
from hilum.data.table import read_cases
from hilum.image.lungs import Lungs
from hilum.judge.bootstrap import Support, bootstrap, bootstrap_all, exact_if_perfect
from hilum.judge.detection import FilmBoxes, estimate_detection
from hilum.judge.metrics import auroc
from hilum.serve.reader import Examined, Reader

COVID, OPACITY = Label.COVID_19.value, Label.LUNG_OPACITY.value
RSNA = ("nih-chestxray14", "rsna-pneumonia")
BOXES = ("lung-opacity", "tuberculosis")
LEAST, MOST = 0.01, 0.9
"""Boxes that cover a smaller or larger share of the lungs say nothing of where evidence lies."""
WIDE = 0.1
"""A clear film of which more of the lungs is shown as opaque is plainly wrong."""
MACHINE_MADE = "lungVAE"
"""In the names of lung masks that a network drew."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path, nargs="?", help="cases table with a column split")
    parser.add_argument("--left-out", type=Path, help="folder of `hilum compare`, instead")
    parser.add_argument("--bundle", type=Path, help="default: the one inside the package")
    parser.add_argument("--side", default="test", help="side of the split, or all")
    parser.add_argument("--unseen-by", type=Path, action="append", default=[], metavar="BUNDLE")
    parser.add_argument("--detections", type=Path, help="boxes of a trained detector, beside")
    parser.add_argument("--csv", type=Path, help="add the table to this file, too")
    arguments = parser.parse_args()
    if arguments.left_out:
        for name, films in left_out(arguments.left_out):
            tell(name, films, list(questions(films)), arguments.csv)
        return
    reader = load_bundle(arguments.bundle)
    cases = read_cases(arguments.cases)
    if arguments.side != "all":
        cases = cases[cases["split"] == arguments.side]
    bundles = [reader.bundle, *map(open_bundle, arguments.unseen_by)]
    for bundle in bundles:
        cases = cases[~cases["case_id"].isin(bundle.seen(cases).how)]
    cases = cases.assign(owner=owner_of(cases)).reset_index(drop=True)
    indexes = [found for bundle in bundles if (found := open_similar(bundle.root))]
    films = read_films(reader, cases, indexes)
    if arguments.detections:
        films["detected"] = detected(arguments.detections, films)
    point = next(o for o in reader.bundle.manifest.labels if o.label.value == COVID)
    threshold = {"question": "threshold", "value": point.operating_points[0].threshold}
    tell(reader.bundle.identity, films, [threshold, *questions(films)], arguments.csv)


def tell(name: str, films: pd.DataFrame, answers: list[dict], csv: Path | None) -> None:
    rows = pd.DataFrame(answers)
    print(f"{name}: {len(films)} films of {films['owner'].nunique()} patients")
    print(rows.to_string(index=False, float_format="%.3f"))
    if csv:
        rows.insert(0, "bundle", name)
        rows[["positive", "films"]] = rows[["positive", "films"]].astype("Int64")
        text = rows.to_csv(
            index=False, lineterminator="\n", float_format="%.4f", header=not csv.is_file()
        )
        with csv.open("a", encoding="utf-8") as table:
            table.write(text)


def detected(path: Path, films: pd.DataFrame) -> list[list[tuple[float, ...]]]:
    """Return the boxes that a trained detector gives each film: x, y, width, height, score."""
    found = detections_of(read_coco(path), None, str(path))
    pairs = [found.get(case_id, ([], [])) for case_id in films["case_id"]]
    return [[(*box, score) for box, score in zip(*each, strict=True)] for each in pairs]


def left_out(folder: Path) -> Iterator[tuple[str, pd.DataFrame]]:
    """Return variant and films, each scored by the network that was trained without its source.

    ``called`` is by the operating point that the network chose on its own val.
    """
    tables = [path for path in (folder / "cases").iterdir() if path.suffixes == [".csv"]]
    cases = pd.concat(map(read_cases, tables))
    cases = cases.assign(owner=owner_of(cases)).drop_duplicates("case_id").set_index("case_id")
    for variant in sorted((folder / "runs").iterdir()):
        found = []
        for path in sorted(variant.glob("*/*/predictions.csv")):
            rows = pd.read_csv(path)
            rows = rows[rows["split"] == "test"].pivot_table("score", "case_id", "label")
            metrics = json.loads((path.parent / "metrics.json").read_text(encoding="utf-8"))
            point = metrics["labels"][COVID]["operating_point"]
            columns = {"score": rows[COVID], "opacity": rows[OPACITY]}
            found.append(
                pd.DataFrame(columns | {"called": 1.0 * (rows[COVID] >= point["threshold"])})
            )
        if found:
            scores = pd.concat(found)
            yield f"left out, {variant.name}", cases.loc[scores.index].join(scores).reset_index()


def read_films(reader: Reader, cases: pd.DataFrame, indexes: list[Neighbors]) -> pd.DataFrame:
    """Read films; one row each that was read and is no copy of a film of the indexes."""
    examined = reader.examine(cases["path"], details=True, keep=True, force=True)
    bar = tqdm(examined, total=len(cases), desc="read", disable=None)
    rows = [
        {} if is_copy(one, indexes) else scores_of(one, reader, case)
        for one, case in zip(bar, cases.to_dict("records"), strict=True)
    ]
    return cases.join(pd.DataFrame(rows)).dropna(subset=["score"]).reset_index(drop=True)


def is_copy(one: Examined, indexes: list[Neighbors]) -> bool:
    if one.radiograph is None:
        return False
    seen = look(one.radiograph.pixels)
    return any(index.copy_of(None, seen) for index in indexes)


def scores_of(one: Examined, reader: Reader, case: dict) -> dict[str, float]:
    findings = {finding.label.value: finding for finding in one.reading.findings}
    if not findings:
        return {"score": np.nan}
    covid = findings[COVID]
    row = {"score": covid.score, "called": float(covid.present)}
    other = findings.get(OPACITY) or findings.get(Label.PNEUMONIA.value)
    row["opacity"] = other.score if other else np.nan
    return row | where_evidence_lies(one, reader, case) | what_lies_where(one, case)


def what_lies_where(one: Examined, case: dict) -> dict[str, Any]:
    """Boxes, and how much of lungs and opacities is common to the reading and to who drew them."""
    details, opacities = one.reading.details, one.opacities
    shape = one.reading.film["height"], one.reading.film["width"]
    row: dict[str, Any] = {}
    if details is not None:
        row["found"] = [(*each.box, each.score) for each in details.boxes]
        row["wide"] = float(bool(details.affected) and details.affected[0].share > WIDE)
    if case["lesion_masks"] and one.lungs is not None:
        drawn = np.logical_or.reduce(read_kinds(case["lesion_masks"], shape))
        drawn = Lungs.drawn(drawn, one.lungs.mask.shape[0]).mask
        shown = np.zeros_like(drawn) if opacities is None else opacities.mask()
        row |= {"common": 2 * (shown & drawn).sum(), "both": shown.sum() + drawn.sum()}
    if case["lung_mask"] and MACHINE_MADE not in case["lung_mask"]:
        lungs = np.zeros((256, 256), bool) if one.lungs is None else one.lungs.mask
        drawn = Lungs.drawn(read_mask(case["lung_mask"], shape), len(lungs)).mask
        row["lungs"] = 2 * (lungs & drawn).sum() / (lungs.sum() + drawn.sum())
    return row


def where_evidence_lies(one: Examined, reader: Reader, case: dict) -> dict[str, float]:
    """Evidence inside the boxes over the boxes' share of the lungs, and whether it peaks there."""
    boxes = [box for box in json.loads(case["boxes"] or "[]") if box["label"] in BOXES]
    if not boxes or one.evidence is None or one.lungs is None:
        return {}
    shape = one.reading.film["height"], one.reading.film["width"]
    small = (128, 128)
    evidence = reader.on_film(one.evidence, reader.labels[0], small, one.lungs)
    lungs = one.lungs.on_film(small)
    inside = np.zeros(small, bool)
    for box in boxes:
        rows = slice(*(round(128 * y / shape[0]) for y in (box["y"], box["y"] + box["height"])))
        columns = slice(*(round(128 * x / shape[1]) for x in (box["x"], box["x"] + box["width"])))
        inside[rows, columns] = True
    share = (inside & lungs).sum() / max(lungs.sum(), 1)
    if not LEAST <= share <= MOST:
        return {}
    here = np.where(lungs & np.isfinite(evidence), evidence, -np.inf)
    positive = here.clip(min=0)
    total = positive.sum()
    energy = positive[inside].sum() / total / share if total else np.nan  # nothing speaks for it
    return {"energy": energy, "hit": float(inside.flat[int(here.argmax())])}


def questions(films: pd.DataFrame) -> Iterator[dict]:
    seen = films.get("appearance", pd.Series("", index=films.index)).fillna("")
    cohort, covid = films["cohort"], films[COVID]
    siim, rsna = cohort == "siim-covid19", cohort.isin(RSNA)
    rest = cohort == "covid-chestxray-dataset"
    normal = rsna & (films["no-finding"] == 1) & (films[OPACITY] == 0)
    pairs = {
        "SIIM, typical against negative": (siim & (seen == "typical"), siim & (seen == "negative")),
        "SIIM, any opacity against negative": (
            siim & (seen != "") & (seen != "negative"),
            siim & (seen == "negative"),
        ),
        "SIIM, typical against other opacities": (
            siim & (seen == "typical"),
            siim & seen.isin(["indeterminate", "atypical"]),
        ),
        "covid-chestxray, COVID-19 against other pneumonia": (
            rest & (covid == 1),
            rest & (covid == 0) & (films["pneumonia"] == 1),
        ),
        "NIH and RSNA, opacity against normal": (rsna & (films[OPACITY] == 1), normal),
        "all, COVID-19 against not": (covid == 1, covid == 0),
        "all, COVID-19 against tuberculosis": (covid == 1, films["tuberculosis"] == 1),
    }
    for name, (present, absent) in pairs.items():
        for column in ("score", "opacity"):
            yield two_classes(name, column, films, present, absent)
    kinds = {
        "called, SIIM typical": siim & (seen == "typical"),
        **{
            f"called, {name} with COVID-19": (cohort == name) & (covid == 1)
            for name in sorted(cohort[covid == 1].unique())
            if name != "siim-covid19"
        },
        "called, SIIM negative": siim & (seen == "negative"),
        "called, NIH and RSNA, normal to RSNA": normal,
        "called, NIH and RSNA, no finding": rsna & (films["no-finding"] == 1),
        "called, NIH and RSNA, all": rsna,
        "called, NIH and RSNA, AP": rsna & films["view"].isin(["AP", "AP supine"]),
        "called, tuberculosis": films["tuberculosis"] == 1,
        "called, Shenzhen normal": (cohort == "shenzhen") & (films["no-finding"] == 1),
        "called, OpenIST": cohort == "openist",
        "called, JSRT": cohort == "jsrt",
    }
    for name, chosen in kinds.items():
        yield mean_of(name, "called", films[chosen])
    for name, chosen in (
        ("SIIM", siim),
        ("NIH and RSNA", rsna),
        ("TBX11K", cohort == "tbx11k"),
    ):
        if "energy" in films:
            yield mean_of(f"evidence in boxes, times their share, {name}", "energy", films[chosen])
            yield mean_of(f"evidence peaks in a box, {name}", "hit", films[chosen])
    for name, chosen in (("SIIM", siim), ("NIH and RSNA", rsna)):
        yield from boxes_lie(name, "found", films[chosen])
        yield from boxes_lie(f"{name}, by the detector", "detected", films[chosen])
    yield overlap_of("opacities as outlined, Dice of all films together", films)
    for name, chosen in {
        "SIIM negative": siim & (seen == "negative"),
        "NIH and RSNA, normal to RSNA": normal,
        "NIH and RSNA, no finding": rsna & (films["no-finding"] == 1),
        **{
            f"{name}, no finding": (cohort == name) & (films["no-finding"] == 1)
            for name in ("openist", "jsrt", "shenzhen")
        },
    }.items():
        yield mean_of(f"over a tenth opaque, {name}", "wide", films[chosen])
    for name in sorted(set(cohort[films["lung_mask"] != ""])):
        yield mean_of(f"lungs as drawn by hand, Dice, {name}", "lungs", films[cohort == name])


def boxes_lie(name: str, column: str, films: pd.DataFrame) -> Iterator[dict]:
    """Boxes against those of radiologists, on films with one or known to be without opacity."""
    if column not in films:
        return
    films = boxed(films[films[column].notna()], OPACITY)
    if films.empty:
        return
    drawn = [boxes_in(each, OPACITY) for each in films["boxes"]]
    pairs = [
        FilmBoxes.of(truth, [each[:4] for each in found], [each[4] for each in found])
        for truth, found in zip(drawn, films[column], strict=True)
    ]
    counts = {"positive": sum(map(bool, drawn)), "films": len(films)}
    estimates = estimate_detection(pairs, films["owner"])
    for metric, words in (("map", "mAP at 0.5"), ("recall", "recall at 0.25 false a film")):
        one = estimates[metric]
        value = {"value": one.value, "low": one.low, "high": one.high}
        yield {"question": f"boxes, {words}, {name}"} | value | counts


def overlap_of(name: str, films: pd.DataFrame) -> dict:
    films = films[films["both"] > 0] if "both" in films else films[:0]
    if films.empty:
        return {"question": name, "films": 0}
    common, both = films["common"].to_numpy(np.float64), films["both"].to_numpy(np.float64)
    one = bootstrap_all(
        lambda weights: {"dice": (weights @ common) / (weights @ both)},
        films["owner"],
        {"dice": Support(len(films), films["owner"].nunique())},
    )["dice"]
    value = {"value": one.value, "low": one.low, "high": one.high}
    return {"question": name} | value | {"films": len(films)}


def two_classes(
    name: str, column: str, films: pd.DataFrame, present: pd.Series, absent: pd.Series
) -> dict:
    chosen = films[(present | absent) & films[column].notna()]
    truth = present[chosen.index].astype(float)
    sides = [chosen["owner"][truth == side].nunique() for side in (0, 1)]
    found = bootstrap(auroc, truth, chosen[column], chosen["owner"])
    estimate = exact_if_perfect(found, min(sides))
    return {
        "question": f"AUROC, {name}, by {'COVID-19' if column == 'score' else column}",
        "value": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "positive": int(truth.sum()),
        "films": len(chosen),
    }


def mean_of(name: str, column: str, films: pd.DataFrame) -> dict:
    films = films[films[column].notna()] if column in films else films[:0]
    if films.empty:
        return {"question": name, "films": 0}
    scores = films[column].to_numpy(np.float64)
    share = column not in ("energy", "lungs")
    support = Support(len(films), films["owner"].nunique(), proportion=share)
    estimate = bootstrap_all(
        lambda weights: {"mean": (weights * scores).sum(1) / weights.sum(1)},
        films["owner"],
        {"mean": support},
    )["mean"]
    value, low, high = estimate.value, estimate.low, estimate.high
    return {"question": name, "value": value, "low": low, "high": high, "films": len(films)}


if __name__ == "__main__":
    main()
