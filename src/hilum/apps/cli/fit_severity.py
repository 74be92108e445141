"""``hilum bundle fit-severity``: severity models for a bundle, and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.apps.cli.console import plain
from hilum.apps.cli.options import (
    AllowSeen,
    Bootstrap,
    Bundle,
    CasesTable,
    Folds,
    Json,
    Seed,
    out_folder,
)
from hilum.apps.cli.streams import print_json
from hilum.core.errors import BundleError, CohortError
from hilum.core.prefetch import watched

if TYPE_CHECKING:
    import pandas as pd

    from hilum.bundle.onepass import AnyOpacities
    from hilum.bundle.opacities import OpacitySpec
    from hilum.bundle.seen import KnownFilms
    from hilum.bundle.severity import SeverityModels
    from hilum.judge.severity import SeveritySettings
    from hilum.judge.severity_study import SeverityStudy, StudyFilms
    from hilum.serve.reader import Reader
    from hilum.serve.severity import SeverityFeatures


def fit_severity(
    cases: CasesTable,
    out: Annotated[
        Path,
        out_folder(
            "Folder for what is made.", files=("severity.json", "severity.csv", "estimates.csv")
        ),
    ],
    bundle: Bundle = None,
    opacities: Annotated[
        Path | None,
        typer.Option(help="Folder with opacities.onnx and .json. Default: that of the bundle."),
    ] = None,
    normals: Annotated[
        int, typer.Option(min=0, help="Normal films of each collection, at most.")
    ] = 100,
    folds: Folds = 10,
    bootstrap: Bootstrap = 1000,
    seed: Seed = 0,
    allow_seen: AllowSeen = False,
    as_json: Json = False,
) -> None:
    """Fit severity scores on what a bundle's networks make of films that readers scored.

    The scores stand in the column 'scores' of the table. Geographic extent
    (0-8), opacity (0-6) and Brixia (0-18) are regressed on the extents of
    opacities and the logits, and, for a bundle without an opacity network, on
    embeddings and grey in six zones; cross-validated by patient. Films without
    a finding stand for 0. Writes severity.json for the bundle, estimates.csv
    (one row a film, cross-fitted) and severity.csv (how far they are from
    readers). Needs scores of at least 20 patients for a scale; a scale with
    fewer is left out.

    Extents of films that the opacity network learned from are better than
    those of new films; how many there are is said on stderr and in
    severity.json.

    \b
    Example:
      hilum bundle fit-severity cases.csv -o out/severity -b runs/default/bundle
    """
    from hilum.core.extras import require

    require("evaluate")
    from hilum.apps.unseen import in_sample, unseen_marks
    from hilum.bundle.onepass import open_map_opacities
    from hilum.bundle.opacities import open_opacities
    from hilum.bundle.seen import WEIGHTS
    from hilum.bundle.severity import SEVERITY
    from hilum.core.files import atomic_path
    from hilum.data.table import read_cases
    from hilum.judge.severity import SeveritySettings
    from hilum.judge.severity_study import figures_of, study
    from hilum.serve.reader import load_bundle
    from hilum.serve.severity import gather_features

    settings = SeveritySettings(folds=folds, bootstrap=bootstrap, seed=seed)
    reader = load_bundle(bundle, threads=1)
    folder = opacities or reader.bundle.root
    segmenter = open_map_opacities(folder) or open_opacities(folder)
    if opacities is not None and segmenter is None:
        raise BundleError(
            f"--opacities {opacities}: no opacity network there",
            hint="name a folder with opacities.onnx and opacities.json",
        )
    table = read_cases(cases)
    seen = reader.bundle.seen(table)
    spec = _spec_of(segmenter, seen)
    marks = unseen_marks(table, seen, spec)
    chosen = _choose(table.assign(**marks), normals, seed)
    seen = seen.among(chosen["case_id"]).refuse(allow=allow_seen, kinds=WEIGHTS)
    flattered = in_sample(chosen[chosen["scores"] != ""], spec)
    _warn(flattered)
    paths = {case: Path(path) for case, path in zip(chosen["case_id"], chosen["path"], strict=True)}
    gathered = gather_features(reader, paths, segmenter)
    seen = seen.with_copies(gathered.copies).refuse(allow=allow_seen, kinds=WEIGHTS)
    films = _films(chosen, gathered, reader, segmenter)
    found = study(
        films, settings, lambda steps: watched(steps, len(steps), shown=True, unit="step")
    )
    figures = figures_of(found, settings)
    counts = {
        "films_not_read": len(gathered.not_read),
        "extents_in_sample": len(flattered & set(gathered.features)),
        "seen": seen.record(WEIGHTS).model_dump(mode="json"),
    }
    models = _pack(found, figures, reader, segmenter, settings, counts)
    models.write(out / SEVERITY)
    estimates = found.estimates.round(3)
    estimates.insert(0, "case_id", films.table["case_id"])
    for name, written in {"severity.csv": figures, "estimates.csv": estimates}.items():
        with atomic_path(out / name) as temporary:
            written.to_csv(temporary, index=False, lineterminator="\n")
    if as_json:
        said = {"figures": _rows(figures), "not_read": gathered.not_read, "seen": counts["seen"]}
        print_json(said, indent=2)
    else:
        _say(figures, gathered, out, seen.said(WEIGHTS))


def _spec_of(segmenter: AnyOpacities | None, seen: KnownFilms) -> OpacitySpec | None:
    """Return what is known of the opacity network; a bundle of one network learned all of it."""
    from hilum.bundle.onepass import MapOpacities
    from hilum.bundle.seen import WEIGHTS

    if not isinstance(segmenter, MapOpacities):
        return None if segmenter is None else segmenter.spec
    learned = {"trained_on": sorted(seen.counted(WEIGHTS))}
    return segmenter.spec.model_copy(update={"made": segmenter.spec.made | learned})


def _choose(cases: pd.DataFrame, normals: int, seed: int) -> pd.DataFrame:
    """Take the scored films, and normal ones of each collection."""
    import numpy as np
    import pandas as pd

    from hilum.core.case import LABEL_COLUMNS, owner_of

    cases = cases.reindex(columns=[*cases.columns, *set(LABEL_COLUMNS) - set(cases.columns)])
    scored = (cases["scores"] != "").to_numpy()
    clear = (cases["no-finding"] == 1) & (cases["covid-19"] == 0) & cases["lung-opacity"].isna()
    clear &= ~scored
    picked = [
        part.sample(min(normals, len(part)), random_state=seed)
        for _, part in cases[clear.to_numpy()].groupby("cohort")
    ]
    rows = pd.concat([cases[scored], *picked]).sort_index()
    return rows.assign(
        group=owner_of(cases)[rows.index],
        normal=np.isin(rows.index, np.concatenate([[-1], *(part.index for part in picked)])),
    )


def _films(
    chosen: pd.DataFrame,
    gathered: SeverityFeatures,
    reader: Reader,
    segmenter: AnyOpacities | None,
) -> StudyFilms:
    from hilum.image.severity import EXTENTS
    from hilum.judge.severity_study import SETS, StudyFilms, scores_of

    if not gathered.features:
        first = next(iter(gathered.not_read.items()), ("", ""))
        raise CohortError(
            f"none of {len(chosen)} films could be read"
            + (f"; the first: {first[0]}: {first[1]}" if first[0] else ""),
            hint="column scores says which films count; check that the paths still hold",
        )
    names = list(SETS["all but extents"]) + [EXTENTS] * bool(segmenter)
    had = set[str]().union(*gathered.features.values())
    if lacking := [name for name in names if name not in had]:
        raise BundleError(
            f"{reader.bundle.identity}: no film has features of group '{lacking[0]}'",
            hint="the network needs an output 'embedding', and films lungs; 'hilum doctor' tells",
        )
    ids, blocks = gathered.blocks(names)
    table = chosen.set_index("case_id", drop=False).loc[ids].reset_index(drop=True)
    return StudyFilms(table, scores_of(table), blocks)


def _warn(flattered: Set[str]) -> None:
    if flattered:
        message = (
            f"warning: the opacity network learned from {len(flattered)} of the scored films: "
            "their extents are better than those of new films will be, and so is every number "
            "that rests on them"
        )
        typer.secho(message, fg="yellow", err=True)


def _pack(
    found: SeverityStudy,
    figures: pd.DataFrame,
    reader: Reader,
    segmenter: AnyOpacities | None,
    settings: SeveritySettings,
    counts: dict[str, Any],
) -> SeverityModels:
    from importlib.metadata import version

    from hilum.bundle.severity import SeverityModels
    from hilum.core.command import command_line
    from hilum.core.details import Scale
    from hilum.serve.severity import networks_of, pack_model

    models = []
    for fitted in found.fits.values():
        question = fitted.question
        films = int(question.scored.sum())
        patients = len(set(question.owners[question.scored]))
        for place, name in enumerate(question.names):
            if name in set(Scale):
                words = f"{films} films of {patients} patients scored by readers"
                model = pack_model(
                    Scale(name),
                    fitted.model,
                    place,
                    half_width=round(float(fitted.half_widths[place]), 3),
                    coverage=settings.coverage,
                    films=films,
                    patients=patients,
                    fitted_on=f"{words}; {int(question.normal.sum())} normal films as 0",
                )
                models.append(model)
    kept = figures[figures["score"].isin(list(Scale)) & (figures["films"] == "all")]
    return SeverityModels(
        models=tuple(models),
        made_for=networks_of(reader, segmenter),
        made={
            "command": command_line(),
            "hilum": version("hilum"),
            "bundle": reader.bundle.identity,
            "settings": settings.model_dump(mode="json"),
        }
        | counts,
        measured={"cross-validated by patient": _rows(kept)},
    )


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows for JSON: NaN becomes null."""
    rows: list[dict[str, Any]] = json.loads(table.to_json(orient="records"))
    return rows


def _say(figures: pd.DataFrame, gathered: SeverityFeatures, out: Path, seen: str) -> None:
    from rich.table import Table

    from hilum.core.details import RESEARCH_SCORE, Scale
    from hilum.core.reading import RESEARCH_USE

    console = plain()
    for scale in Scale:
        table = Table("features", "MAE", "Spearman", "Pearson", "coverage", "n", title=scale.value)
        for row in _rows(figures[(figures["score"] == scale) & (figures["films"] == "all")]):
            cells = [_cell(row, name) for name in ("mae", "spearman", "pearson", "coverage")]
            table.add_row(row["features"], *cells, str(row["n"]))
        console.print(table)
    console.print(f"Training films: {seen}.")
    console.print(f"{len(gathered.not_read)} films were not read. Written: {out}", soft_wrap=True)
    console.print(f"{RESEARCH_SCORE.capitalize()}s. {RESEARCH_USE}", style="dim")


def _cell(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return "-"
    return f"{value:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"
