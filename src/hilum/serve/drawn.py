"""Drawn: what a reader finds on films beside what people drew on them, lungs and opacities.

Masks are compared on the square that the lungs lie on (``Lungs.mask``), as areas; Dice is
2 x common / (found + drawn). A kind of opacity that was not drawn on an outlined film is taken as
absent, and what was drawn outside the lungs that were found counts as missed. Films without a
finding say how much is found where nothing is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.core.errors import CohortError
from hilum.core.estimate import Estimate
from hilum.core.files import atomic_path
from hilum.core.labels import Label
from hilum.core.radiograph import Pixels, Radiograph
from hilum.data.masks import drawn_by_hand, read_kinds, read_mask
from hilum.image.lungs import Lungs
from hilum.image.opacities import KINDS, Opacities
from hilum.image.write import write_png
from hilum.judge.bootstrap import Support, bootstrap_all
from hilum.serve.gate import lies_otherwise

COLUMNS = ("lung_mask", "lesion_masks", Label.NO_FINDING.value, Label.LUNG_OPACITY.value)
"""Of a cases table: what says that a film can be compared, and with what."""

ANY = "any opacity"
PARTS = ("lungs", *(kind.value for kind in KINDS), ANY)
WIDE = 0.1
"""A film without a finding of which more of the lungs is called opaque is plainly wrong."""

_PANELS = 6
_HEIGHT = 320
_GREEN, _WHITE, _ORANGE = (0, 158, 115), (255, 255, 255), (240, 130, 0)

Mask = NDArray[np.bool_]


@dataclass
class Drawn:
    """Films on which something was drawn, or nothing is, as they are read.

    Attributes:
        rows: one a film: case_id, group; for each of ``PARTS`` that can be compared "common PART",
            "found PART" and "drawn PART", as shares of the film; on films without a finding
            "clear": the share of the lungs that is called opaque.
        unread: of masks that cannot be compared, why.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    _panels: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    def add(
        self,
        case: Mapping[Any, Any],
        owner: str,
        film: Radiograph,
        lungs: Lungs,
        opacities: Opacities | None,
    ) -> None:
        """Compare one film; one of which nothing is known is left out.

        Args:
            case: its row of the cases table, with ``COLUMNS`` as far as the table has them.
            owner: its patient.
            film: the opened film.
            lungs, opacities: found on it; None where the bundle does not look for opacities.
        """
        outlined = (case.get("lesion_masks") or "") if opacities else ""
        clear = opacities is not None and not outlined and is_clear(case)
        row: dict[str, Any] = {"case_id": case["case_id"], "group": owner}
        if lies_otherwise(film) and (outlined or drawn_by_hand(case)):
            self.unread.append(f"{case['case_id']}: its film was turned before it was read")
            return
        try:
            if drawn_by_hand(case):
                truth = Lungs.drawn(read_mask(case["lung_mask"], film.shape), len(lungs.mask)).mask
                row |= _areas("lungs", lungs.mask, truth)
            if opacities and outlined:
                kinds = read_kinds(outlined, film.shape)
                truths = [Lungs.drawn(kind, len(lungs.mask)).mask for kind in kinds]
                for kind, truth in zip(KINDS, truths, strict=True):
                    row |= _areas(kind.value, opacities.mask(kind), truth)
                row |= _areas(ANY, opacities.mask(), np.logical_or(*truths))
                self._panels[case["case_id"]] = _panel(film.pixels, lungs, opacities, kinds)
        except CohortError as error:
            self.unread.append(error.message)
            return
        if opacities and clear:
            inside = lungs.mask.sum()
            row["clear"] = float((opacities.mask() & lungs.mask).sum() / max(int(inside), 1))
        if len(row) > 2:
            self.rows.append(row)

    @property
    def table(self) -> pd.DataFrame:
        """The rows, and "dice PART" of each film on which that part was drawn."""
        known = [f"{what} {part}" for part in PARTS for what in ("common", "found", "drawn")]
        table = pd.DataFrame(self.rows).reindex(columns=["case_id", "group", *known, "clear"])
        for part in PARTS:
            total = table[f"found {part}"] + table[f"drawn {part}"]
            dice = 2 * table[f"common {part}"] / total
            table[f"dice {part}"] = dice.where(table[f"drawn {part}"] > 0)
        return table

    @property
    def not_known(self) -> tuple[str, ...]:
        """Say how many masks cannot be compared, as a sentence; nothing where all can."""
        if not self.unread:
            return ()
        return (f"{len(self.unread)} masks cannot be compared; the first: {self.unread[0]}.",)

    def summarize(self, *, folds: int = 1000, seed: int = 0) -> dict[str, Estimate]:
        """Return Dice and false opacity with intervals over patients, for what there is.

        Returns:
            "PART": mean Dice over the films on which it was drawn; "PART, pooled": of all films
            on which anything of its kind could have been drawn, taken together; "opaque share of
            clear films", and "clear films over a tenth opaque".
        """
        table = self.table
        found = {}
        for part in PARTS:
            drawn = table.dropna(subset=[f"dice {part}"])
            ones = np.ones(len(drawn))
            found[part] = _ratio(drawn, drawn[f"dice {part}"], ones, folds, seed)
            if part == "lungs":
                continue
            looked = table.dropna(subset=[f"drawn {part}"])
            total = looked[f"found {part}"] + looked[f"drawn {part}"]
            pooled = _ratio(looked, 2 * looked[f"common {part}"], total, folds, seed)
            found[f"{part}, pooled"] = pooled
        clear = table.dropna(subset=["clear"])
        ones = np.ones(len(clear))
        wide = (clear["clear"] > WIDE).astype(float)
        found["opaque share of clear films"] = _ratio(clear, clear["clear"], ones, folds, seed)
        found["clear films over a tenth opaque"] = _ratio(clear, wide, ones, folds, seed)
        return {name: each for name, each in found.items() if each.n}

    def write(self, out: Path) -> None:
        """Write drawn.csv, and drawn.png: some outlined films, from the worst Dice to the best."""
        if not self.rows:
            return
        table = self.table
        with atomic_path(out / "drawn.csv") as temporary:
            table.dropna(axis="columns", how="all").round(5).to_csv(temporary, index=False)
        ranked = table.dropna(subset=[f"dice {ANY}"]).sort_values(f"dice {ANY}", kind="stable")
        if len(ranked):
            places = np.unique(np.linspace(0, len(ranked) - 1, _PANELS).round().astype(int))
            some = ranked.iloc[places]
            shown = [
                _titled(self._panels[case_id], f"Dice {dice:.2f}")
                for case_id, dice in zip(some["case_id"], some[f"dice {ANY}"], strict=True)
            ]
            write_png(out / "drawn.png", np.concatenate(shown, axis=1))


def is_clear(case: Mapping[Any, Any]) -> bool:
    """True for a film without a finding, unless a radiologist saw an opacity on it."""
    return case.get(Label.NO_FINDING.value) == 1 and case.get(Label.LUNG_OPACITY.value) != 1


def _areas(part: str, found: Mask, drawn: Mask) -> dict[str, float]:
    masks = {"common": found & drawn, "found": found, "drawn": drawn}
    return {f"{name} {part}": float(mask.mean()) for name, mask in masks.items()}


def _ratio(films: pd.DataFrame, above: Any, below: Any, folds: int, seed: int) -> Estimate:
    """Return sum(above) / sum(below) over resamples of patients."""
    over, under = np.asarray(above, np.float64), np.asarray(below, np.float64)
    if not under.sum():
        return Estimate.undefined(len(films) if len(films) and under.size else 0, "nothing drawn")

    def ratio(weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        total = weights @ under
        empty = np.full_like(total, np.nan)
        return {"ratio": np.divide(weights @ over, total, out=empty, where=total > 0)}

    support = {"ratio": Support(len(films), films["group"].nunique())}
    return bootstrap_all(ratio, films["group"].to_numpy(), support, folds=folds, seed=seed)["ratio"]


def _panel(
    pixels: Pixels, lungs: Lungs, opacities: Opacities, drawn: list[Mask]
) -> NDArray[np.uint8]:
    """Return a film with outlines: the lungs green, what was drawn white, what is found orange."""
    shape = _HEIGHT, max(round(_HEIGHT * pixels.shape[1] / pixels.shape[0]), 1)
    small = cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_AREA)
    picture = np.repeat(np.rint(255 * small).astype(np.uint8)[..., None], 3, axis=2)
    outlined = cv2.resize(np.logical_or(*drawn).astype(np.uint8), shape[::-1]) > 0
    for mask, color in (
        (lungs.on_film(shape), _GREEN),
        (outlined, _WHITE),
        (opacities.on_film(shape), _ORANGE),
    ):
        lines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, lines, -1, color, 1, cv2.LINE_AA)
    return picture


def _titled(picture: NDArray[np.uint8], words: str) -> NDArray[np.uint8]:
    line = np.zeros((26, picture.shape[1], 3), np.uint8)
    cv2.putText(line, words, (6, 18), 0, 0.5, _WHITE, 1, cv2.LINE_AA)
    return np.concatenate([picture, line])
