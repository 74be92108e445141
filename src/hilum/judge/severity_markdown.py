"""The tables of a severity study in Markdown, as docs/explanation/severity.md shows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from hilum.core.details import Scale
from hilum.judge.severity_study import SHIPPED
from hilum.judge.severity_tables import CONSTANT

_MEASURES = {"mae": "MAE", "spearman": "Spearman", "pearson": "Pearson", "coverage": "coverage"}
_READERS = {"mae": "MAE", "bias": "bias", "spearman": "Spearman", "kappa": "kappa", "icc": "ICC"}


def markdown_of(tables: dict[str, pd.DataFrame]) -> str:
    """Return the tables, each under a comment with its name; the CSV files hold every row."""
    figures, readers = tables["figures"], tables["readers"]
    parts = {}
    for where in dict.fromkeys(figures["films"]):
        rows = figures[figures["score"].isin(list(Scale)) & (figures["films"] == where)]
        if where != "all":
            rows = rows[rows["features"].isin([CONSTANT, *SHIPPED])]
        rows = rows.sort_values(
            "score", key=lambda each: each.map(list(Scale).index), kind="stable"
        )
        parts[f"figures, {where}"] = _table(rows, ("score", "features", "n"), _MEASURES)
    if not readers.empty:
        whole, zones = readers["score"] == "brixia", readers["films"] == "all"
        parts["readers"] = _table(readers[whole], ("between", "films", "n"), _READERS)
        shown = readers[zones & ~whole]
        parts["zone scores"] = _table(
            shown, ("score", "between", "n"), {"mae": "MAE", "spearman": "Spearman"}
        )
    if not tables["zones"].empty:
        parts["zones"] = _zones(tables["zones"])
    if not tables["normals"].empty:
        keys = ("score", "cohort", "features", "fit", "n")
        more = {"median": "median", "percentile_90": "90th percentile"}
        rows = tables["normals"][tables["normals"]["score"] == _shown(tables["normals"])]
        parts["normals"] = _table(rows, keys, {"mean": "mean"} | more)
    if not tables["elsewhere"].empty:
        asked = ("score", "features", "fit", "view", "n", "opaque")
        measures = {
            "auroc": "AUROC of an opacity",
            "mean_opaque": "mean, opacity",
            "mean_clear": "mean, none",
            "spearman_box_area": "Spearman with box area",
        }
        rows = tables["elsewhere"][tables["elsewhere"]["score"] == _shown(tables["elsewhere"])]
        parts["elsewhere"] = _table(rows, asked, measures)
    return "\n".join(f"<!-- {name} -->\n\n{text}" for name, text in parts.items())


def _shown(rows: pd.DataFrame) -> str:
    """Return the scale that stands for the others, which are alike: the last."""
    return str(rows["score"].iloc[-1])


def _table(rows: pd.DataFrame, keys: tuple[str, ...], measures: dict[str, str]) -> str:
    shown = {name: words for name, words in measures.items() if name in rows}
    lines = [
        [*(str(row[key]).replace("_", " ") for key in keys), *(_cell(row, name) for name in shown)]
        for row in rows.to_dict("records")
    ]
    return _lines([*keys, *shown.values()], lines)


def _zones(rows: pd.DataFrame) -> str:
    square = rows.pivot_table(index="score", columns="opacities_in", values="spearman")
    heads = ["score of zone", *(f"opacities in {zone.upper()}" for zone in square.columns)]
    lines = []
    for score, values in square.iterrows():
        cells = [f"{value:.2f}" for value in values]
        best = int(values.to_numpy().argmax())
        cells[best] = f"**{cells[best]}**"
        lines.append([str(score)[-1].upper(), *cells])
    return _lines(heads, lines)


def _cell(row: dict[Any, Any], name: str) -> str:
    value, low = row[name], row.get(f"{name}_low")
    if pd.isna(value):
        return ""
    if low is None or pd.isna(low):
        return f"{value:.2f}"
    return f"{value:.2f} [{low:.2f}, {row[f'{name}_high']:.2f}]"


def _lines(heads: list[str], rows: Iterable[list[str]]) -> str:
    every = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in every)
