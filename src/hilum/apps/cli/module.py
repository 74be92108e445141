"""``hilum node module``: one task of mercure, or of a router like it: a folder in, a folder out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import Field, field_validator

from hilum.apps.cli.options import Bundle, Json
from hilum.apps.cli.streams import print_json, tell_not_restated
from hilum.core.config import Config
from hilum.core.errors import ConfigError, ImageError
from hilum.core.labels import Label
from hilum.core.reading import RESEARCH_USE, Reading, Status

if TYPE_CHECKING:
    from hilum.serve.reader import Reader

_IN, _OUT, _TASK = "MERCURE_IN_DIR", "MERCURE_OUT_DIR", "task.json"


class ModuleSettings(Config):
    """Settings of a rule or a module of mercure (``process.settings`` of ``task.json``).

    Attributes:
        objects: kinds of objects to write: of "sr", "seg", "gsps", "sc" and "pdf".
        operating_point: whose threshold says "present"; "": the bundle's default.
        prevalence: share of films with COVID-19 pneumonia at this site; the other labels move
            along. None: those of the bundle.
        notify_above: of findings that are present with at least this probability mercure is told,
            so that it can send a message; empty: of none.
    """

    objects: tuple[str, ...] = ("sr", "sc")
    operating_point: str = ""
    prevalence: float | None = Field(default=None, gt=0, lt=1)
    notify_above: dict[Label, float] = Field(default_factory=dict)

    @field_validator("objects", mode="before")
    @classmethod
    def _kinds(cls, objects: Any) -> tuple[str, ...]:
        """Take "sr,sc" or a list."""
        from hilum.serve.dicom import parse_kinds

        return parse_kinds(objects if isinstance(objects, str) else ",".join(map(str, objects)))


def module(
    folder_in: Annotated[
        Path, typer.Argument(metavar="IN", envvar=_IN, help="Folder with the films of one task.")
    ],
    folder_out: Annotated[
        Path, typer.Argument(metavar="OUT", envvar=_OUT, help="Folder for objects, result.json.")
    ],
    bundle: Bundle = None,
    as_json: Json = False,
) -> None:
    """Read the films of one task of mercure, and write what it is to send on.

    mercure starts this in a container and names two folders by MERCURE_IN_DIR
    and MERCURE_OUT_DIR. Every *.dcm that is a chest film is read; its objects
    are written as SERIES#INSTANCE.dcm, and result.json holds the readings.
    Settings come from task.json: objects, operating_point, prevalence,
    notify_above. Tested against the contract of mercure's documentation, not
    with a mercure server.

    Exit code 0: done, also where films were refused, because mercure takes
    any other for a failed task; 1: no film could be opened.

    \b
    Example:
      hilum node module task/ results/
    """
    from hilum.core.files import write_text
    from hilum.image import decoders
    from hilum.serve.findings import check_prevalence
    from hilum.serve.reader import load_bundle

    settings = _settings(folder_in / _TASK)
    decoders.start()
    films = [path for path in sorted(folder_in.glob("*.dcm")) if not _is_own(path)]
    reader = load_bundle(bundle)
    kept = check_prevalence(reader.bundle.manifest, settings.prevalence)
    tell_not_restated(kept, f"prevalence of {folder_in / _TASK}")
    readings, written = [], 0
    folder_out.mkdir(parents=True, exist_ok=True)
    for examined in reader.examine(
        films,
        operating_point=settings.operating_point or None,
        prevalence=settings.prevalence,
        details=True,
    ):
        written += _write(examined.reading, reader, settings.objects, folder_out)
        readings.append(examined.reading)
    told: dict[str, Any] = {
        "notice": RESEARCH_USE,
        "readings": [each.model_dump(mode="json", exclude={"path"}) for each in readings],
    }
    if text := "; ".join(_above(readings, settings.notify_above)):
        told["__mercure_notification"] = {"text": f"{text}. {RESEARCH_USE}"}
    write_text(folder_out / "result.json", json.dumps(told, indent=1))
    read = sum(each.status is Status.READ for each in readings)
    counts = {"films": len(films), "read": read, "objects": written}
    if as_json:
        print_json(counts)
    else:
        typer.echo(", ".join(f"{name}: {count}" for name, count in counts.items()))
    if films and all(each.status is Status.ERROR for each in readings):
        typer.echo("no film could be opened", err=True)
        raise typer.Exit(1)


def _settings(task: Path) -> ModuleSettings:
    """Read the settings of a task; of several steps those of the later ones count."""
    if not task.exists():
        return ModuleSettings()
    try:
        process = json.loads(task.read_text(encoding="utf-8")).get("process") or {}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{task}: cannot be read: {type(error).__name__}") from None
    steps = process if isinstance(process, list) else [process]
    found: dict[str, Any] = {}
    for step in steps:
        given = step.get("settings") if isinstance(step, Mapping) else None
        found |= given if isinstance(given, Mapping) else {}
    return ModuleSettings.parse(found, where=f"{task}: process.settings")


def _is_own(path: Path) -> bool:
    """Say whether Hilum wrote it: its results are no films."""
    from hilum.image import decoders
    from hilum.image.dicom import read_dicom_file
    from hilum.image.open import MAX_MEGAPIXELS
    from hilum.serve.dicom.common import MANUFACTURER, MODEL

    name = path.name
    try:
        told = decoders.run(
            read_dicom_file, name, path.stat().st_size, MAX_MEGAPIXELS,
            str(path), name, (), MAX_MEGAPIXELS,
        )  # fmt: skip
    except (ImageError, OSError):  # the reader says what is wrong with it
        return False
    return (told.maker, told.model) == (MANUFACTURER, MODEL)


def _write(reading: Reading, reader: Reader, kinds: tuple[str, ...], out: Path) -> int:
    """Write the objects of one film; return how many."""
    from hilum.core.files import atomic_path
    from hilum.serve.dicom import objects_of

    written = 0
    try:
        for _, dataset, _ in objects_of(
            reading.model_dump(mode="json"), Path(reading.path), kinds, bundle=reader.bundle
        ):
            if dataset is None:
                continue
            name = f"{dataset.SeriesInstanceUID}#{dataset.SOPInstanceUID}.dcm"
            with atomic_path(out / name) as temporary:
                dataset.save_as(temporary, enforce_file_format=True)
            written += 1
    except ImageError as error:  # no CR, DX or SC of a study; its reading is in result.json
        typer.echo(f"no objects: {error.message.removeprefix(f'{reading.path}: ')}", err=True)
    return written


def _above(readings: list[Reading], limits: Mapping[Label, float]) -> Iterator[str]:
    """Yield how many films have a finding, for a message that names nobody."""
    for label, least in limits.items():
        count = sum(
            finding.label == label and finding.present and finding.probability >= least
            for reading in readings
            for finding in reading.findings
        )
        if count:
            yield f"{label}: {count} of {len(readings)} films"
