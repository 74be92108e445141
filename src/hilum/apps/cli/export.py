"""``hilum export``: what a workstation keeps of its films as one flat table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hilum.apps.cli.options import Home, Json, Store, out_file
from hilum.apps.cli.streams import print_json


def export(
    out: Annotated[Path, out_file("CSV, or Parquet where the name ends in .parquet.")],
    home: Home = None,
    patients: Annotated[
        bool,
        typer.Option("--patients", help="Patients by their ids, and the names of their files."),
    ] = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Write readings, verdicts and reference standards of a workstation as a table.

    A row a film and reader, and one for a film without verdicts: what the
    model says, what each reader said before and after its answer was in
    sight, how sure they were, how long it took, and what is known to be true.
    The page "Tables of films" says what each column holds.

    Patients are pseudonyms that only this site can make, the same in every
    export, unless --patients is given: then the table names them. The log
    keeps that it was written. The server need not be stopped.

    \b
    Example:
      hilum export -o films.csv
    """
    from hilum.core.errors import ConfigError
    from hilum.core.extras import require

    require("web")
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f"-o {out}: expected NAME.csv or NAME.parquet")
    from functools import partial

    from sqlalchemy import select

    from hilum.apps.store.export import columns_of, rows
    from hilum.apps.store.folder import FilmFolder
    from hilum.apps.store.tables import Film
    from hilum.apps.web.films import spacing_of
    from hilum.apps.web.pictures import Pictures
    from hilum.apps.web.serve import Place, open_place
    from hilum.apps.web.settings import load_settings
    from hilum.core.files import atomic_path
    from hilum.core.row import write_rows

    place = Place.of(home, store)
    opened, log = open_place(place, make=False)
    try:
        most = load_settings(place.data).limits.megapixels
        measured = partial(spacing_of, Pictures(FilmFolder(place.data), most), opened)
        with atomic_path(out) as temporary:
            with opened.read() as session:
                ids = list(session.scalars(select(Film.id).order_by(Film.created_ms, Film.id)))
                table = rows(session, log, ids, measured, named=patients)
                count = write_rows(temporary, columns_of(session), table)
            with opened.write() as session:
                log.add(
                    session,
                    "command line",
                    "exported",
                    what=out.suffix[1:].lower(),
                    films=len(ids),
                    patients=patients,
                )
    finally:
        opened.close()
    if as_json:
        print_json({"file": str(out), "rows": count, "films": len(ids)})
    else:
        typer.echo(f"wrote {out}: {count} rows of {len(ids)} films", err=True)
