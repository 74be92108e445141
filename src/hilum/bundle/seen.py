"""Seen: what a bundle knew of films before it is judged on them.

``splits.csv`` says where each film of its making stood: "train" (the weights were fitted to it),
"val" (epoch, thresholds and calibration were chosen on it), "test" (nothing was), "site" (a later
calibration was fitted to it). A film counts once, as the first of ``KINDS`` that holds.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hilum.bundle.datasheet import DATA, UNKNOWN, Datasheet
from hilum.bundle.similar import SIMILAR, read_similar
from hilum.core.case import owner_of, patient_of
from hilum.core.errors import LeakageError
from hilum.judge.schema import SeenFilms

if TYPE_CHECKING:
    import pandas as pd

SPLITS = "splits.csv"
TRAIN, VAL, SITE, COPY, PATIENT = "train", "val", "site", "copy", "patient"
KINDS: dict[str, str] = {
    TRAIN: "trained on",
    VAL: "on val, where epoch, thresholds and calibration were chosen",
    SITE: "of the site that the bundle was calibrated to",
    COPY: "copies of films trained on",
    PATIENT: "other films of patients trained on",
}
ANSWERS: tuple[str, ...] = tuple(KINDS)
"""What flatters answers: probabilities and calls rest on every side but test."""
REFIT = (TRAIN, VAL, COPY, PATIENT)
"""What flatters decisions that are fitted anew: an earlier calibration goes away."""
WEIGHTS = (TRAIN, COPY, PATIENT)
"""What flatters maps, embeddings and features: weights alone."""


@dataclass(frozen=True, slots=True)
class KnownFilms:
    """Films of a cases table, and what the bundle knew of them.

    Attributes:
        bundle: its identity.
        films: the case_ids that were asked about.
        how: case_id -> kind, for those that it knew.
        learned: films on the sides of the bundle that it knew; 0 where it does not say.
        indexed: films of training that copies are looked for among.
        looks: copies are told by their look; without it by equal pixels.
    """

    bundle: str
    films: tuple[str, ...]
    how: Mapping[str, str]
    learned: int
    indexed: int
    looks: bool = False

    def among(self, case_ids: Iterable[str]) -> Self:
        """Keep these films: those that are judged, of a table that was asked about as a whole."""
        kept = tuple(map(str, case_ids))
        return replace(
            self, films=kept, how={one: self.how[one] for one in kept if one in self.how}
        )

    def with_copies(self, copies: Collection[str]) -> Self:
        """Add films that are copies of training films; see ``Neighbors.copy_of``."""
        found = {one: COPY for one in copies if self.how.get(one, PATIENT) == PATIENT}
        return replace(self, how={**self.how, **found})

    def counted(self, kinds: Collection[str] = ANSWERS) -> list[str]:
        """Return the films that count, in the order in which they were asked about."""
        return [one for one in self.films if self.how.get(one) in kinds]

    def refuse(self, *, allow: bool = False, kinds: Collection[str] = ANSWERS) -> Self:
        """Return what is known, for the report, unless films were seen that should not be.

        Raises:
            LeakageError: films were seen, and nobody asked for them.
        """
        if (seen := self.counted(kinds)) and not allow:
            first = seen[0]
            raise LeakageError(
                f"{len(seen)} of {len(self.films)} films were in training; the first: {first} "
                f"({self.how[first]}, {self.bundle}); {self._each(kinds)}",
                hint="judge on films that the bundle has not seen; with --allow-seen (allow_seen) "
                "it goes on, and the result says so",
            )
        return self

    def record(self, kinds: Collection[str] = ANSWERS) -> SeenFilms:
        """Return the counts for a report."""
        counts = Counter(self.how.values())
        return SeenFilms(
            asked=len(self.films),
            films=len(self.counted(kinds)),
            trained=counts[TRAIN],
            val=counts[VAL],
            site=counts[SITE],
            copies=counts[COPY],
            patients=counts[PATIENT],
            said=self.said(kinds),
        )

    def said(self, kinds: Collection[str] = ANSWERS) -> str:
        """Say in a sentence what was compared, and what was found."""
        if seen := self.counted(kinds):
            return (
                f"{len(seen)} of {len(self.films)} films were seen by the bundle before, which "
                f"flatters it: {self._each(kinds)}"
            )
        if not self.learned:
            return (
                f"the bundle does not say which films it was trained on ({SPLITS}): training "
                "films could not be looked for"
            )
        sides = [kind for kind in (TRAIN, VAL, SITE) if kind in kinds]
        named = " and ".join(filter(None, (", ".join(sides[:-1]), sides[-1])))
        among = f"one of {self.indexed} films of training"
        looked = (
            f"; none is a copy of {among}, be it with loss, in another size or window, or mirrored "
            "(cropped and turned copies are not found)"
            if self.looks
            else f"; none has the pixels of {among} (copies that were resized or stored with loss "
            "are not found)"
        )
        return (
            f"none of {len(self.films)} case_ids is among the {self.learned} of {named} in "
            f"{SPLITS}, nor another film of their patients{looked if self.indexed else ''}"
        )

    def _each(self, kinds: Collection[str]) -> str:
        found = Counter(self.how.values())
        return ", ".join(f"{found[k]} {KINDS[k]}" for k in KINDS if found[k] and k in kinds)


def find_seen(root: Path, identity: str, cases: pd.DataFrame) -> KnownFilms:
    """Look films up in the split of a bundle; see ``Bundle.seen``."""
    splits, (indexed, looks) = _splits(root), _indexed(root)
    sides = dict(zip(splits["case_id"], splits["split"], strict=True))
    known = {film: side for film, side in sides.items() if side in (TRAIN, VAL, SITE)}
    films = cases["case_id"].astype(str)
    how = films.map(lambda film: known.get(film, ""))
    how = how.mask(_of_another_cohort(cases, splits, indexed), "")
    owner, patient = owner_of(cases), patient_of(cases)
    people = set(splits["patient"][splits["split"] == TRAIN]) if "patient" in splits else set()
    relative = owner.isin(set(owner[how == TRAIN])) | patient.map(digest).isin(people - {""})
    how = how.mask((how == "") & relative, PATIENT)
    named = dict(zip(films, how, strict=True))
    return KnownFilms(
        bundle=identity,
        films=tuple(films),
        how={case_id: kind for case_id, kind in named.items() if kind},
        learned=sum(side in (TRAIN, VAL) for side in known.values()),
        indexed=len(indexed),
        looks=looks,
    )


def learned_from(root: Path) -> frozenset[str] | None:
    """Name the cohorts and sources that a bundle learned from or was calibrated to, as far as its
    datasheet and ``splits.csv`` name them; None where neither does.
    """
    splits = _splits(root)
    used = splits[splits["split"].isin((TRAIN, VAL, SITE))]
    names = {film.partition("/")[0] for film in used["case_id"]} | set(used.get("cohort", ()))
    if (path := root / DATA).is_file():
        cells = (cell for cell in Datasheet.read(path).cells if cell.split in (TRAIN, VAL))
        names |= {name for cell in cells for name in (cell.cohort, cell.source)}
    return frozenset(names - {"", UNKNOWN}) or None


def digest(patient: str) -> str:
    """Return what stands for a patient in ``splits.csv``, which names nobody; "" for unknown.

    >>> digest("here/17") == digest("here/17"), digest("")
    (True, '')
    """
    return hashlib.sha256(patient.encode()).hexdigest()[:16] if patient else ""


def split_table(cases: pd.DataFrame) -> pd.DataFrame:
    """Return ``splits.csv`` of a run: case_id, split, cohort and a digest of the patient.

    Args:
        cases: with ``case_id``, ``split`` and ``cohort``.
    """
    table = cases[["case_id", "split", "cohort"]].assign(patient=patient_of(cases).map(digest))
    return table.sort_values("case_id")


def add_site(root: Path, case_ids: Collection[str]) -> None:
    """Note in the ``splits.csv`` of a bundle which films it is being calibrated to."""
    import pandas as pd

    splits = _splits(root)
    new = sorted(set(map(str, case_ids)) - set(splits["case_id"]))
    rows = pd.concat([splits, pd.DataFrame({"case_id": new, "split": SITE})], ignore_index=True)
    rows.to_csv(root / SPLITS, index=False, lineterminator="\n")


def _splits(root: Path) -> pd.DataFrame:
    import pandas as pd

    from hilum.core.csvtable import read_table

    path = root / SPLITS
    if not path.is_file():
        return pd.DataFrame({"case_id": [], "split": []}, dtype=str)
    return read_table(path, ("case_id", "split")).reset_index(drop=True)


def _indexed(root: Path) -> tuple[dict[str, str], bool]:
    """Return case_id -> cohort of the films that the bundle's index has, and has it looks?"""
    if not (root / SIMILAR).is_file():
        return {}, False
    index = read_similar(root / SIMILAR)
    films = dict(zip(index.case_id.tolist(), index.cohort.tolist(), strict=True))
    return films, index.look is not None


def _of_another_cohort(
    cases: pd.DataFrame, splits: pd.DataFrame, indexed: Mapping[str, str]
) -> pd.Series[bool]:
    """Mark films whose name the bundle knows from another collection, unless it names that one."""
    import pandas as pd

    home = dict(indexed)
    if "cohort" in splits:
        home |= dict(zip(splits["case_id"], splits["cohort"], strict=True))
    films = cases["case_id"].astype(str)
    theirs = films.map(lambda film: home.get(film, ""))
    ours = cases.get("cohort", theirs).astype(object).fillna("").astype(str).str.strip()
    named = [film.startswith(f"{known}/") for film, known in zip(films, theirs, strict=True)]
    return (theirs != "") & (ours != "") & (theirs != ours) & ~pd.Series(named, cases.index)
