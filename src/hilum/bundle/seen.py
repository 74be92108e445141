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

import numpy as np

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
_SIDES = (TRAIN, VAL, SITE)


@dataclass(frozen=True, slots=True)
class KnownFilms:
    """Films of a cases table, and what the bundle knew of them.

    Attributes:
        bundle: its identity.
        films: the case_ids that were asked about.
        how: case_id -> kind, for those that it knew.
        sides: train, val or site -> how many films the bundle says stood there.
        indexed: films of training that copies are looked for among.
        looks: copies are told by their look; without it by equal pixels.
    """

    bundle: str
    films: tuple[str, ...]
    how: Mapping[str, str]
    sides: Mapping[str, int]
    indexed: int
    looks: bool = False

    @property
    def learned(self) -> bool:
        """The bundle says which films it was made from."""
        return bool(self.sides.get(TRAIN) or self.sides.get(VAL))

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
                f"{len(seen)} of {len(self.films)} films were seen by {self.bundle} before; the "
                f"first: {first} ({self.how[first]}); {self._each(kinds)}",
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
        sides = [kind for kind in _SIDES if kind in kinds]
        known = sum(self.sides.get(kind, 0) for kind in sides)
        named = " and ".join(filter(None, (", ".join(sides[:-1]), sides[-1])))
        among = f"one of {self.indexed} films of training"
        if not self.indexed:
            looked = (
                "copies under other names were not looked for, since the bundle carries no index "
                "of similar films ('hilum bundle index' makes it, 'hilum bundle add' puts it in)"
            )
        elif self.looks:
            looked = (
                f"none is a copy of {among}, be it with loss, in another size or window, or "
                "mirrored (cropped and turned copies are not found)"
            )
        else:
            looked = (
                f"none has the pixels of {among} (copies that were resized or stored with loss "
                "are not found)"
            )
        return (
            f"none of {len(self.films)} case_ids is among the {known} of {named} in "
            f"{SPLITS}, nor another film of their patients; {looked}"
        )

    def _each(self, kinds: Collection[str]) -> str:
        found = Counter(self.how.values())
        return ", ".join(f"{found[k]} {KINDS[k]}" for k in KINDS if found[k] and k in kinds)


def find_seen(root: Path, identity: str, cases: pd.DataFrame) -> KnownFilms:
    """Look films up in the split of a bundle; see ``Bundle.seen``."""
    indexed, looks = _indexed(root)
    splits = _splits(root, indexed)
    known = splits[splits["split"].isin(_SIDES)]
    first = _met(cases, known).sort_values("split", key=lambda sides: sides.map(_SIDES.index))
    sides = first.drop_duplicates("film").set_index("film")["split"]
    films = cases["case_id"].astype(str)
    how = sides.reindex(range(len(cases)), fill_value="").set_axis(cases.index)
    owner, patient = owner_of(cases), patient_of(cases)
    people = set(splits["patient"][splits["split"] == TRAIN])
    relative = owner.isin(set(owner[how == TRAIN])) | patient.map(digest).isin(people - {""})
    how = how.mask((how == "") & relative, PATIENT)
    named = dict(zip(films, how, strict=True))
    return KnownFilms(
        bundle=identity,
        films=tuple(films),
        how={case_id: kind for case_id, kind in named.items() if kind},
        sides=Counter(known["split"].tolist()),
        indexed=len(indexed),
        looks=looks,
    )


def learned_from(root: Path) -> frozenset[str] | None:
    """Name the cohorts and sources that a bundle learned from or was calibrated to, as far as its
    datasheet and ``splits.csv`` name them; None where neither does.
    """
    splits = _splits(root, {})
    used = splits[splits["split"].isin(_SIDES)]
    names = {film.partition("/")[0] for film in used["case_id"]} | set(used["cohort"])
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


def add_site(root: Path, films: pd.DataFrame) -> None:
    """Note in the ``splits.csv`` of a bundle which films it is being calibrated to.

    A film of train or val stays there, which says more; one of test is none that nothing was
    chosen on any more.

    Args:
        root: of the bundle.
        films: with ``case_id``, and ``cohort`` where known; one row per film.
    """
    import pandas as pd

    splits = _splits(root, _indexed(root)[0])
    met = _met(films, splits)
    fitted = splits.index.isin(met["row"]) & ~splits["split"].isin((TRAIN, VAL))
    new = films[~pd.Series(range(len(films)), films.index).isin(met["film"])]
    added = pd.DataFrame({"case_id": new["case_id"].astype(str), "cohort": _cohorts(new)})
    rows = pd.concat(
        [
            splits.assign(split=splits["split"].mask(fitted, SITE)),
            added.assign(split=SITE, patient="").sort_values("case_id"),
        ]
    )
    rows.to_csv(root / SPLITS, index=False, lineterminator="\n")


def _splits(root: Path, indexed: Mapping[str, str]) -> pd.DataFrame:
    """Return case_id, split, cohort and patient of ``splits.csv``; "" for what it does not say.

    Args:
        root: of the bundle.
        indexed: case_id -> cohort, for films whose cohort it does not say.
    """
    import pandas as pd

    from hilum.core.csvtable import read_table

    columns, path = ["case_id", "split", "cohort", "patient"], root / SPLITS
    if not path.is_file():
        return pd.DataFrame(columns=columns, dtype=str)
    table = read_table(path, ("case_id", "split")).reset_index(drop=True)
    table = table.reindex(columns=columns, fill_value="")
    cohorts = [
        cohort or indexed.get(film, "")
        for film, cohort in zip(table["case_id"], table["cohort"], strict=True)
    ]
    return table.assign(cohort=cohorts)


def _indexed(root: Path) -> tuple[dict[str, str], bool]:
    """Return case_id -> cohort of the films that the bundle's index has, and has it looks?"""
    if not (root / SIMILAR).is_file():
        return {}, False
    index = read_similar(root / SIMILAR)
    films = dict(zip(index.case_id.tolist(), index.cohort.tolist(), strict=True))
    return films, index.look is not None


def _met(cases: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """Pair films with the rows of ``splits.csv`` that are theirs: those of their name, unless both
    sides name a cohort and it is another one, which the film's own name does not begin with.

    Returns:
        ``film`` and ``row``, places in the two tables, and ``split``.
    """
    import pandas as pd

    films = pd.DataFrame({"case_id": cases["case_id"].astype(str), "ours": _cohorts(cases)})
    met = films.assign(film=range(len(films))).merge(
        splits.assign(row=range(len(splits))), on="case_id"
    )
    one = [
        "" in (ours, theirs) or ours == theirs or film.startswith(f"{theirs}/")
        for film, ours, theirs in zip(met["case_id"], met["ours"], met["cohort"], strict=True)
    ]
    return met[np.array(one, bool)][["film", "row", "split"]]


def _cohorts(cases: pd.DataFrame) -> pd.Series[str]:
    cohorts = cases.get("cohort", cases["case_id"].map(lambda _: ""))
    return cohorts.astype(object).fillna("").astype(str).str.strip()
