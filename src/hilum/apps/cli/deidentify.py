"""``hilum deidentify``: films in, the same films without their patients out."""

from __future__ import annotations

import os
import secrets
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_data_path

from hilum.apps.cli.options import Json, MaxMegapixels, out_folder
from hilum.apps.cli.streams import print_json
from hilum.core.errors import EXIT_SOME_NOT_READ, ConfigError, ImageError, RejectedImageError

_KEY_BYTES = 32
_SHORTEST = 16


def deidentify(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="DICOM films, folders or 'patterns/**/*.dcm'."),
    ],
    out: Annotated[Path, out_folder("Folder for the films: PATIENT/UID.dcm.", "--out", "-o")],
    key: Annotated[
        Path | None,
        typer.Option(help="File with the secret of the site; default: the user's own, made once."),
    ] = None,
    make_key: Annotated[
        bool, typer.Option("--make-key", help="Make the file of --key where there is none.")
    ] = False,
    accept_pixels: Annotated[
        bool,
        typer.Option(
            "--accept-pixels", help="You have looked: no name, number or date is in the pictures."
        ),
    ] = False,
    keep_age_and_sex: Annotated[
        bool, typer.Option("--keep-age-and-sex", help="Keep both; from 90 years on the age is 90.")
    ] = False,
    max_megapixels: MaxMegapixels = 100.0,
    as_json: Json = False,
) -> None:
    """Write CR and DX films without their patients: Basic profile of DICOM PS3.15.

    What a film needs to be shown and read stays; everything else goes: names,
    dates, places, private attributes, overlays, comments in compressed
    pixels. Patient, study, series and film get pseudonyms that follow from
    the key: films of one patient stay together, also those that come later.
    Keep the key where the films are not: who has both can test whether a film
    is of somebody whom they know.

    A film whose picture is said to name its patient (Burned In Annotation) is
    refused; so is one that does not say, without --accept-pixels. A face or
    a rare disease in the picture is looked for by nobody. Reports, pictures
    and other objects are refused, because they hold free text.
    Exit code 0: all were written; 3: some were not.

    \b
    Example:
      hilum deidentify ward/ -o shared --accept-pixels
    """
    from hilum.core.files import atomic_path
    from hilum.image.open import in_decoder
    from hilum.serve.dicom.deidentify import deidentify as without_patient
    from hilum.serve.inputs import find_films

    films = [each for each in find_films(paths) if not _is_written(each, out)]
    call = partial(
        without_patient, key=_secret(key, make=make_key), accept_pixels=accept_pixels,
        keep_person=keep_age_and_sex,
    )  # fmt: skip
    written: dict[Path, str] = {}
    targets: dict[Path, tuple[Path, str]] = {}
    left_out: list[dict[str, str]] = []
    for path in films:
        try:
            made = in_decoder(call, path, max_megapixels)
            target = out / made.patient / f"{made.sop_uid}.dcm"
            digest = sha256(made.file).hexdigest()
            first, same = targets.setdefault(target, (path, digest))
            if same != digest:
                raise RejectedImageError(
                    f"{path}: has the SOP Instance UID of {first}, and is another film",
                    hint="one of them has a wrong UID; in the archive it may have its own",
                )
        except ImageError as error:
            said = error.message + (f"\n  {error.hint}" if error.hint else "")
            typer.echo(said, err=True)
            left_out.append({"path": str(path), "reason": error.message, "hint": error.hint})
            continue
        with atomic_path(target) as temporary:
            temporary.write_bytes(made.file)
        written[path] = made.patient
    patients = len(set(written.values()))
    if as_json:
        print_json({"written": len(written), "patients": patients, "left_out": left_out})
    else:
        typer.echo(f"{len(written)} of {len(films)} films written to {out}; patients: {patients}")
    if len(written) < len(films):
        raise typer.Exit(EXIT_SOME_NOT_READ)


def _is_written(path: Path, out: Path) -> bool:
    """Say whether a film that was found is one that an earlier run wrote: OUT/PATIENT/UID.dcm."""
    return path.name.startswith("2.25.") and path.resolve().parent.parent == out.resolve()


def _secret(path: Path | None, *, make: bool) -> bytes:
    """Read the key; make the user's own where there is none, and another where that is asked."""
    found = path or user_data_path("hilum") / "deidentify.key"
    try:
        if not found.exists():
            if path and not make:  # a slip of the pen would give films of one patient to two
                raise ConfigError(
                    f"{found}: no such key", hint="look at the name; --make-key makes a new one"
                )
            found.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(found, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
                out.write(secrets.token_hex(_KEY_BYTES) + "\n")
            typer.echo(f"made a key: {found}; keep it, and keep it from the films", err=True)
        elif os.name == "posix" and found.stat().st_mode & 0o077:
            raise ConfigError(f"{found}: others may read this key", hint=f"chmod 600 {found}")
        key = found.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{found}: {error.strerror or error}") from None
    if len(key) < _SHORTEST:
        raise ConfigError(
            f"{found}: {len(key)} bytes; expected at least {_SHORTEST}",
            hint="name a file that is not there, with --make-key",
        )
    return key
