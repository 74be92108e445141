"""Damage films in every way, read them, and see that each is one row with a reason.

python tools/fuzz.py --seed 7 -n 10000 --into findings
python tools/fuzz.py --seed 7 --only 4711        one file again

Sound films in every format and syntax that opens are damaged and read among sound ones; some go
through the workstation, too. Promised are: one row a file; no error that is not of our tree; no
crash; at most 20 seconds and 1,500 MB; sound neighbors read as alone; nothing on stderr. What
breaks a promise is written into a folder with the way to repeat it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

PATIENCE_S = 150.0
"""A process that says nothing for so long hangs; a batch of 24 may take some seconds a file."""
ALONE_S = 60.0
BATCH = 24
_SLICE = 2400
"""Files that one process reads; a new one then shows what has grown."""

_ENDED = ("ended its decoder", "decoder was ended", "not decoded within", "GB of memory")
"""A decoder in its own process that crashed, hung or took all memory: kept apart, and typed."""

Row = dict[str, Any]


@dataclass
class Tally:
    """What was seen so far."""

    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    findings: list[Row] = field(default_factory=list)
    slowest: Row = field(default_factory=lambda: {"number": None, "seconds": 0.0})
    megabytes: float = 0.0
    ended: int = 0

    def add(self, row: Row) -> None:
        """Count a row; keep it if a promise was broken."""
        self.statuses[row["status"]] += 1
        if row["status"] != "read":
            self.kinds[_kind(row["reason"])] += 1
        self.slowest = max(self.slowest, row, key=lambda each: each["seconds"])
        self.ended += any(words in row["reason"] for words in _ENDED)
        self.megabytes = max(self.megabytes, row["megabytes"])
        if row["wrong"]:
            self.findings.append(row)


def main() -> int:
    """Run from the command line."""
    options = _options()
    if options.child:
        return _child(options)
    tally, numbers = Tally(), [options.only] if options.only is not None else range(options.n)
    with tqdm(total=len(numbers), unit="film", disable=options.quiet) as bar:
        for start in range(0, len(numbers), _SLICE):
            part = list(numbers[start : start + _SLICE])
            for row in _watched(options.seed, part, BATCH, PATIENCE_S):
                tally.add(row)
                bar.update()
                if row["wrong"] and options.into:
                    _keep(row, options.seed, options.into)
    print(_summary(tally, options.seed))
    return 1 if tally.findings else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1, help="of the damages")
    parser.add_argument("-n", type=int, default=1000, help="how many files")
    parser.add_argument("--only", type=int, help="the number of one file to read again")
    parser.add_argument("--into", type=Path, help="folder for findings")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _child(options: argparse.Namespace) -> int:
    from fuzzing.work import main as work

    work(options.seed, **json.load(sys.stdin))
    return 0


def _watched(seed: int, numbers: list[int], batch: int, patience_s: float) -> Iterator[Row]:
    """Yield a row a number, whatever becomes of the process that reads them."""
    with tempfile.TemporaryFile() as errors:
        begun: list[int] = []
        done: set[int] = set()
        end = ""
        for line in _lines(seed, {"numbers": numbers, "batch": batch}, patience_s, errors):
            end, begun = line.get("end", ""), line.get("begins", begun)
            if "number" in line:
                done.add(line["number"])
                yield line
        said = _text_of(errors)
    if end == "0" and said:
        yield _row(numbers[0], f"stderr: {said}")
    elif end != "0":
        rest = [number for number in begun if number not in done]
        yield from _guilty(seed, rest, f"crash: {end} {said[-200:]}")
        after = [number for number in numbers if number not in {*done, *begun}]
        yield from _watched(seed, after, batch, patience_s) if after else ()


def _guilty(seed: int, numbers: list[int], crash: str) -> Iterator[Row]:
    """Read the files of a batch that ended its process one by one, to find which it was."""
    if len(numbers) == 1:
        yield _row(numbers[0], crash)
        return
    rows = list(_watched(seed, numbers, 1, ALONE_S))
    if rows and not any(row["wrong"] for row in rows):
        rows[0]["wrong"] = [f"{crash}, but not when each is read alone"]
    yield from rows


def _lines(seed: int, task: Row, patience_s: float, errors: BinaryIO) -> Iterator[Row]:
    """Yield what a child says, and at last how it ended: {"end": "0"}, a signal, or "hangs"."""
    command = [sys.executable, __file__, "--child", "--seed", str(seed)]
    pipe = subprocess.PIPE
    child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, text=True)
    said: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_listen, args=(child, task, said), daemon=True).start()
    try:
        while (line := said.get(timeout=patience_s)) is not None:
            yield json.loads(line)
        yield {"end": str(child.wait(10))}
    except queue.Empty:
        yield {"end": "hangs"}
    finally:
        child.kill()
        child.wait()


def _listen(child: subprocess.Popen[str], task: Row, said: queue.Queue[str | None]) -> None:
    if child.stdin is not None and child.stdout is not None:
        child.stdin.write(json.dumps(task))
        child.stdin.close()
        for line in child.stdout:
            said.put(line)
    said.put(None)


def _text_of(errors: BinaryIO) -> str:
    errors.seek(0)
    return errors.read().decode("utf-8", "replace").strip()[-1000:]


def _row(number: int, wrong: str) -> Row:
    nothing = {"film": "?", "damage": "?", "status": "lost", "reason": "", "seconds": 0.0}
    return {"number": number, "megabytes": 0.0, "wrong": [wrong], **nothing}


def _kind(reason: str) -> str:
    """The kind of a refusal: its words without what is of this file."""
    words = "".join("#" if letter.isdigit() else letter for letter in reason.split(": ")[0])
    return words.split(";")[0].replace("##", "#")[:50]


def _keep(row: Row, seed: int, into: Path) -> None:
    """Write a finding down at once: the file, what was seen, and how to see it again."""
    from fuzzing.work import Maker

    made, data = Maker(seed).make(row["number"])
    again = f"python tools/fuzz.py --seed {seed} --only {row['number']}"
    told = row | {"film": made.film, "damage": made.damage, "again": again}
    into.mkdir(parents=True, exist_ok=True)
    path = into / f"{seed}-{row['number']}"
    path.with_suffix(".film").write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def _summary(tally: Tally, seed: int) -> str:
    broken = [wrong for row in tally.findings for wrong in row["wrong"]]
    crashes = sum(wrong.startswith("crash") for wrong in broken)
    untyped = sum(wrong.startswith("untyped") for wrong in broken)
    kinds = "\n".join(f"  {count:6d}  {kind}" for kind, count in tally.kinds.most_common(12))
    first = "\n".join(
        f"  {row['number']}: {wrong[:300]}" for row in tally.findings[:20] for wrong in row["wrong"]
    )
    statuses = ", ".join(f"{name} {count}" for name, count in sorted(tally.statuses.items()))
    return (
        f"{sum(tally.statuses.values())} files, seed {seed}: {statuses}\n{kinds}\n"
        f"decoders ended {tally.ended}, crashes {crashes}, untyped {untyped}, broken promises "
        f"{len(broken)}; worst {tally.slowest['seconds']:.1f} s (number "
        f"{tally.slowest['number']}), {tally.megabytes:.0f} MB" + (f"\n{first}" if first else "")
    )


if __name__ == "__main__":
    sys.exit(main())
