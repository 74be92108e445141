"""Row: films as flat rows, for a spreadsheet or a data frame.

The one catalogue of columns of ``hilum batch``, ``hilum read --csv`` and ``hilum export``. A column
``LABEL_score`` is there for each label: ``covid-19_score``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

from hilum.core.extras import require
from hilum.core.labels import Appearance
from hilum.core.prefetch import batches
from hilum.core.reading import Reading, answer_in

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["text", "number", "whole number", "1 or 0"]


class Column(NamedTuple):
    """What a column holds; blank, or null, where it is not known."""

    kind: Kind
    words: str


_LABEL = "LABEL"
FILM: dict[str, Column] = {
    "address": Column("text", "path or address of the film"),
    "status": Column("text", "`read`, `refused` or `error`; `queued` while it waits"),
    "reason": Column("text", "why it was not read"),
    "hint": Column("text", "what to do about it"),
    "refusal": Column("text", "code of the refusal"),
    "forced": Column("1 or 0", "it was read although it was refused"),
    "format": Column("text", "of the file"),
    "width": Column("whole number", "of the film, in pixels"),
    "height": Column("whole number", "of the film, in pixels"),
    "LABEL_score": Column("number", "sigmoid of the network's output, 0 to 1; ranks films"),
    "LABEL_probability": Column("number", "calibrated score, 0 to 1"),
    "LABEL_present": Column("1 or 0", "the score reaches the operating point"),
    "LABEL_prediction_set": Column(
        "text", "answers that cannot be ruled out: `present`, `absent`, `indeterminate` or `none`"
    ),
    "LABEL_answer": Column("text", "`present`, `absent` or `cannot-say`, all in all"),
    **{
        f"appearance_{each}": Column("number", f"chance of {each} appearance, 0 to 1")
        for each in Appearance
    },
}
"""Of every film, whoever reads it."""
BUNDLE = {"bundle": Column("text", "name, version and checksum of the bundle that read it")}
WHOLE = {"reading": Column("text", "the whole reading as JSON, without `elapsed_ms`")}
KEPT: dict[str, Column] = {
    "film_id": Column("text", "of the film at this workstation"),
    "study_id": Column("text", "of the study at this workstation"),
    "sha256": Column("text", "of the file: the same film elsewhere"),
    "patient": Column("text", "pseudonym that only this site can make, or the id where asked for"),
    "sex": Column("text", "as the file says"),
    "age_years": Column("number", "as the file says"),
    "study_date": Column("text", "as the file says"),
    "view": Column("text", "`PA`, `AP`, `AP supine` or `lateral`"),
    "received_at": Column("text", "when the film came; ISO 8601, UTC"),
    "read_at": Column("text", "when it was read"),
}
SAID: dict[str, Column] = {
    "LABEL_reference": Column("1 or 0", "what the reference standard says"),
    "LABEL_reference_standard": Column("text", "`RT-PCR`, `report`, `radiologist` or `unstated`"),
    "reader": Column("text", "whose verdicts stand in this row; blank for a film without any"),
    "list": Column("text", "reading list in which they were given"),
    "marks": Column(
        "text",
        "JSON of what the reader had drawn and gave with these verdicts, the last of each finding: "
        "`kind`, `points` (x, y) in pixels of the film, `text`, and what a line or an ellipse "
        "`measured` in its `unit`",
    ),
    "LABEL_blind_verdict": Column("text", "`present`, `absent` or `unsure`, before the answer"),
    "LABEL_blind_confidence": Column("whole number", "0 surely absent to 100 surely present"),
    "LABEL_blind_seconds": Column("number", "that the film was looked at before"),
    "LABEL_blind_at": Column("text", "when that verdict was given"),
    "LABEL_verdict": Column("text", "the same with the machine's answer in sight; the last one"),
    "LABEL_confidence": Column("whole number", "of that verdict"),
    "LABEL_seconds": Column("number", "of that verdict"),
    "LABEL_at": Column("text", "of that verdict"),
}
READ_CSV = FILM | BUNDLE
BATCH = FILM | WHOLE
EXPORT = KEPT | FILM | BUNDLE | SAID
"""A row a film and reader, and for each list apart; one row for a film without verdicts."""


def columns(catalogue: Mapping[str, Column], labels: Sequence[str]) -> dict[str, Column]:
    """Return the columns of a table, in order; those of a label stand together.

    >>> [*columns({"a": BUNDLE["bundle"], "LABEL_x": BUNDLE["bundle"]}, ["mass"])]
    ['a', 'mass_x']
    """
    found: dict[str, Column] = {}
    for several, group in groupby(catalogue.items(), lambda each: each[0].startswith(_LABEL)):
        part = dict(group)
        found |= (
            {label + name.removeprefix(_LABEL): of for label in labels for name, of in part.items()}
            if several
            else part
        )
    return found


def row_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a reading (as JSON); what it does not say is not in it."""
    row: dict[str, Any] = {
        "address": said["path"],
        "status": said["status"],
        "reason": said["reason"],
        "hint": said["hint"],
        "refusal": said["refusal"] and said["refusal"]["code"],
        "forced": said["forced"],
        "bundle": said["bundle"],
        **{name: said["film"].get(name) for name in ("format", "width", "height")},
    }
    for finding in said["findings"]:
        names = ("score", "probability", "present", "prediction_set")
        told = {name: finding.get(name) for name in names} | {"answer": answer_in(finding).value}
        row |= {f"{finding['label']}_{name}": value for name, value in told.items()}
    if (appearance := said.get("appearance")) is not None:
        row |= {f"appearance_{each}": chance for each, chance in appearance["chances"].items()}
    return row


def row_of_reading(reading: Reading) -> dict[str, Any]:
    """Return the row of a reading."""
    parts = {"path", "status", "reason", "hint", "refusal", "forced", "bundle"}
    said = {*parts, "film", "findings", "appearance"}
    return row_of(reading.model_dump(mode="json", include=said))


def inert(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula.

    A program that splits lines at semicolons takes what stands behind one, or on a new line, for
    a cell of its own.

    >>> inert("=1+1"), inert("anna"), inert("a;=1+1")
    ("'=1+1", 'anna', "a;'=1+1")
    """
    text = re.sub(r"([;\t\r\n])(?=[\s\"]*[=+\-@])", r"\1'", text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else text


def csv_writer(stream: IO[str], named: Iterable[str]) -> Callable[[Mapping[str, Any]], object]:
    """Write the header of a CSV file and return what writes a row; blank is what is not known."""
    names = list(named)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    return lambda row: writer.writerow([_cell(row.get(name)) for name in names])


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return repr(value)
    return inert(value) if isinstance(value, str) else value


def schema_of(named: Mapping[str, Column]) -> pa.Schema:
    """Return the columns of a Parquet file."""
    import pyarrow as pa

    kinds = {"text": pa.string(), "number": pa.float64(), "1 or 0": pa.bool_()}
    kinds["whole number"] = pa.int32()
    return pa.schema({name: kinds[each.kind] for name, each in named.items()})


def write_rows(path: Path, named: Mapping[str, Column], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write a table: Parquet where the name ends so, else CSV; count the rows.

    Raises:
        MissingExtraError: Parquet, and pyarrow is not installed.
    """
    count = 0
    if path.suffix.lower() == ".parquet":
        require("batch")
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = schema_of(named)
        with pq.ParquetWriter(path, schema, compression="zstd") as file:
            for some in batches(rows, 1000):
                file.write_table(pa.Table.from_pylist(some, schema))
                count += len(some)
        return count
    with path.open("w", encoding="utf-8", newline="") as stream:
        write = csv_writer(stream, named)
        for row in rows:
            write(row)
            count += 1
    return count
