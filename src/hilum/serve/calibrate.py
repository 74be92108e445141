"""Calibrate: a bundle adapted to a site; the weights stay, what is said of a score changes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from hilum.bundle.card import write_adapted_card
from hilum.bundle.folder import Bundle, open_bundle, seal
from hilum.bundle.manifest import CHECKSUMS, EVALUATION, MANIFEST, LabelOutput, Manifest
from hilum.bundle.seen import REFIT, add_site
from hilum.core.case import films_of, patients_in
from hilum.core.errors import CohortError, ConfigError
from hilum.core.extras import require
from hilum.core.files import write_text
from hilum.core.labels import Label
from hilum.judge.adaptation import Adaptation, LabelAdaptation
from hilum.judge.calibrators import Asked, check_method, known_cases
from hilum.judge.conformal import COVERAGE, check_coverage
from hilum.judge.decisions import Decisions
from hilum.judge.evaluation import choose_labels
from hilum.judge.predictions import check_predictions
from hilum.judge.site import fit_site, too_few
from hilum.serve.evaluate import predict
from hilum.serve.reader import Reader


def calibrate(
    reader: Reader,
    cases: pd.DataFrame,
    out: Path,
    *,
    site: str,
    labels: Sequence[str] = (),
    method: Asked = "auto",
    coverage: float = COVERAGE,
    folds: int = 1000,
    seed: int = 0,
    allow_seen: bool = False,
    progress: bool = True,
) -> Adaptation:
    """Fit calibration, operating points and conformal sets to the films of a site.

    Args:
        reader: of the bundle.
        cases: a cases table of the site with labels; see ``hilum.data.table.read_cases``.
        out: folder of the new bundle; must not exist.
        site: its name, for the words and the version of the new bundle.
        labels: which to adapt; none for those that both sides have. A label that is not named and
            has too few patients keeps the decisions of the bundle; ``Adaptation.kept`` says so.
        method, coverage: as in ``hilum.judge.decisions.fit_decisions``.
        folds, seed: of the bootstrap and of the folds.
        allow_seen: take films as well that the bundle was trained on or chosen by; the record
            counts them. Films of an earlier calibration are taken in any case: it goes away.
        progress: show a bar on stderr.

    Returns:
        The record that the new bundle carries.

    Raises:
        LeakageError: the bundle was trained on one of the films or chosen by it, or the table has
            a patient on two sides.
        CohortError: too few patients of a class, no column of the label, no film read.
        ConfigError: ``out`` exists, ``site`` has no letter or digit, or the bundle does not answer
            a label.
        MissingExtraError: the extra ``evaluate`` is not installed.
    """
    require("evaluate")
    bundle = reader.bundle
    check_method(method)
    check_coverage(coverage)
    _check_out(bundle, out, site)
    seen = bundle.seen(cases).refuse(allow=allow_seen, kinds=REFIT)
    names = _names(bundle, cases, labels)
    found = predict(reader, cases, names, nuisance=False, progress=progress)
    seen = seen.with_copies(found.copies).refuse(allow=allow_seen, kinds=REFIT)
    return adapt(
        bundle,
        found.table,
        out,
        site=site,
        asked=labels,
        not_read=len(found.not_read),
        leak_check=seen.said(REFIT),
        method=method,
        coverage=coverage,
        folds=folds,
        seed=seed,
    )


def adapt(
    bundle: Bundle,
    predictions: pd.DataFrame,
    out: Path,
    *,
    site: str,
    asked: Sequence[str] = (),
    not_read: int = 0,
    leak_check: str,
    method: Asked = "auto",
    coverage: float = COVERAGE,
    folds: int = 1000,
    seed: int = 0,
) -> Adaptation:
    """Do what ``calibrate`` does where the films have been read already.

    Args:
        bundle: whose network read them.
        predictions: as ``hilum.judge.predictions.check_predictions`` takes them.
        asked: labels that must be adapted; none for those with enough patients.
        not_read: films that were left out, for the record.
        leak_check: how training films were looked for, in words, for the record.
        out, site, method, coverage, folds, seed: as in ``calibrate``.

    Raises:
        CohortError, ConfigError, MissingExtraError: as ``calibrate``.
    """
    require("evaluate")
    version = _check_out(bundle, out, site)
    table = check_predictions(predictions)
    names = list(table["label"].unique())
    kept = {name: reason for name in names if (reason := _few(table, name))}
    _refuse_too_few(kept, names, asked)
    outputs, records = [], []
    for output in bundle.manifest.labels:
        if output.label in names and output.label not in kept:
            output, record = _adapt(output, table, site, method, coverage, folds, seed)
            records.append(record)
        outputs.append(output)
    adaptation = Adaptation(
        site=site,
        created=datetime.now(UTC).date().isoformat(),
        bundle=bundle.identity,
        films=table["case_id"].nunique(),
        patients=table["group"].nunique(),
        not_read=not_read,
        labels=tuple(records),
        kept=kept,
        leak_check=leak_check,
    )
    changes = {
        "version": version,
        "labels": tuple(outputs),
        "adaptations": (*bundle.manifest.adaptations, adaptation),
    }
    _write(
        bundle, bundle.manifest.model_copy(update=changes), out, table.drop_duplicates("case_id")
    )
    return adaptation


def _check_out(bundle: Bundle, out: Path, site: str) -> str:
    """Return the version of the new bundle; refuse to write over one."""
    version = _version(bundle.manifest.version, site)
    if out.exists():
        raise ConfigError(f"{out}: already there", hint="name a new folder")
    return version


def _names(bundle: Bundle, cases: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    offered = [output.label.value for output in bundle.manifest.labels]
    names = choose_labels(labels, offered, bundle.identity)
    lacking = [name for name in names if name not in cases]
    if lacking and (labels or len(lacking) == len(names)):
        raise CohortError(
            f"no column '{lacking[0]}' in the cases table; {bundle.identity} answers it",
            hint="add it: 1 present, 0 absent, blank unknown",
        )
    return [name for name in names if name in cases]


def _few(table: pd.DataFrame, name: str) -> str:
    rows = table[table["label"] == name]
    present, _, owners = known_cases(rows["truth"], rows["score"], rows["group"])
    return too_few(present, owners)


def _refuse_too_few(kept: dict[str, str], names: list[str], asked: Sequence[str]) -> None:
    """Raise if a label that was asked for has too few patients, or if every label has."""
    refused = [name for name in kept if name in asked or len(kept) == len(names)]
    if refused:
        raise CohortError(
            f"{refused[0]}: {kept[refused[0]]}",
            hint="collect more cases; until then restate the probability with --prevalence",
        )


def _adapt(
    output: LabelOutput,
    table: pd.DataFrame,
    site: str,
    method: Asked,
    coverage: float,
    folds: int,
    seed: int,
) -> tuple[LabelOutput, LabelAdaptation]:
    rows = table[(table["label"] == output.label) & table["truth"].notna()]
    decisions, record = fit_site(
        rows["truth"],
        rows["score"],
        rows["group"],
        label=Label(output.label),
        before=Decisions(output.calibration, output.operating_points, output.conformal),
        fitted_on=f"site '{site}': {films_of(len(rows), patients_in(rows))}",
        method=method,
        coverage=coverage,
        folds=folds,
        seed=seed,
    )
    changes = {
        "calibration": decisions.calibration,
        "prevalence": None,  # that of the site's own films
        "operating_points": decisions.operating_points,
        "conformal": decisions.conformal,
    }
    return output.model_copy(update=changes), record


def _version(version: str, site: str) -> str:
    """Add the site as build metadata (Semantic Versioning 2.0.0, item 10).

    >>> _version("1.2.0", "St. Mary's")
    '1.2.0+st-mary-s'
    """
    slug = re.sub(r"[^0-9a-z]+", "-", site.lower()).strip("-")
    if not slug:
        raise ConfigError(f"site '{site}': expected a name with a letter or digit")
    return f"{version}{'.' if '+' in version else '+'}{slug}"


def _write(bundle: Bundle, manifest: Manifest, out: Path, films: pd.DataFrame) -> None:
    """Copy the bundle with another manifest and card; what it scored before no longer holds."""
    staging = out.with_name(f".{out.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        stale = shutil.ignore_patterns(CHECKSUMS, EVALUATION, "audit*.json")
        shutil.copytree(bundle.root, staging, ignore=stale)
        write_text(staging / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        add_site(staging, films)
        write_adapted_card(staging)
        seal(staging)
        out.parent.mkdir(parents=True, exist_ok=True)
        staging.replace(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    open_bundle(out)
