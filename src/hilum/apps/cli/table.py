"""The table of ``hilum read``: rows for a person, each as soon as it is known."""

from __future__ import annotations

import sys
from collections import Counter

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hilum.bundle.folder import Bundle
from hilum.core.details import Details
from hilum.core.radiograph import Sides
from hilum.core.reading import RESEARCH_USE, Answer, AppearanceFinding, Finding, Reading
from hilum.core.rounded import figures, fixed, percent
from hilum.serve.marks import share
from hilum.serve.reader import Examined
from hilum.serve.words import against_threshold, answered, known_labels, trained_on_it

TURNED = ("corrected: ", "orientation: ")
"""How the step of a film begins that was put right: by the gate, or as its file asks for it."""
_BAR = 10
_WIDTH_OF_PIPE = 140


class Table:
    """Rows for a person on stdout, each as soon as it is known, with what they mean beneath."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._console = Console(
            highlight=False, soft_wrap=False, width=None if sys.stdout.isatty() else _WIDTH_OF_PIPE
        )
        self._labels = max(len(output.label) for output in bundle.manifest.labels)
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._points: dict[str, Finding] = {}
        self._looks: AppearanceFinding | None = None

    def add(self, examined: Examined) -> None:
        """Print one film: a line for each label, or the reason why it was not read."""
        reading = examined.reading
        table = self._empty(header=not self._counts)
        self._counts[_status(reading)] += 1
        if reading.refusal is not None:
            self._refused[reading.refusal.code] += 1
        table.add_row(*_cells(reading, self._free // 2))
        self._points |= {finding.label: finding for finding in reading.findings}
        self._looks = reading.appearance or self._looks
        self._console.print(table)

    def close(self) -> None:
        """Print the counts, the operating points and the notice."""
        total = sum(self._counts.values())
        counts = ", ".join(f"{number} {status}" for status, number in self._counts.items())
        self._console.print(f"\n{total} film{'' if total == 1 else 's'}: {counts or 'none'}")
        if self._refused:
            reasons = ", ".join(f"{code} {count}" for code, count in self._refused.most_common())
            self._console.print(f"Refused by reason: {reasons}")
        for finding in self._points.values():
            self._console.print(self._meaning(finding), style="dim")
        if self._looks is not None:
            self._console.print(_of_looks(self._looks, self._bundle), style="dim")
        self._console.print(f"Bundle {self._bundle.identity}. {RESEARCH_USE}", style="dim")

    @property
    def _free(self) -> int:
        """Characters that the film and the finding share."""
        fixed = 7 + self._labels + _BAR + 6 + 4 * 2
        return max(self._console.width - fixed, 30)

    def _empty(self, *, header: bool) -> RichTable:
        free = self._free
        table = RichTable(box=None, show_header=header, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("film", width=free // 2)
        table.add_column("status", width=7)
        table.add_column("label", width=self._labels)
        table.add_column("probability", width=_BAR + 6)
        table.add_column("finding or reason", width=free - free // 2, overflow="fold")
        return table

    def _meaning(self, finding: Finding) -> str:
        output = next(o for o in self._bundle.manifest.labels if o.label == finding.label)
        point = next(p for p in output.operating_points if p.name == finding.operating_point)
        words = (
            f"{finding.label}: threshold {fixed(point.threshold, 3)} on the score ({point.name}: "
            f"sensitivity {point.sensitivity}, specificity {point.specificity}, "
            f"on {point.chosen_on})."
        )
        return words + _of_probability(finding, output.calibration.fitted_on) + _of_sets(finding)


def _of_probability(finding: Finding, fitted_on: str) -> str:
    if finding.prevalence is None:
        return " Not calibrated: probability = score; it ranks films, it is no frequency."
    same = finding.calibration == "identity"
    how = "the score, which no method bettered" if same else f"by {finding.calibration}"
    prevalence = percent(finding.prevalence, 1)
    return f" Probability: {how} on {fitted_on}, for a prevalence of {prevalence}%."


def _of_looks(said: AppearanceFinding, bundle: Bundle) -> str:
    output = bundle.manifest.appearance
    how = "not calibrated"
    if output is not None and output.fitted:
        how = f"fitted on {output.fitted_on}"
    sets = "" if said.coverage is None else f"; set at {percent(said.coverage)}%"
    return f"appearance: {how}{sets}. {said.notice}"


def _of_sets(finding: Finding) -> str:
    if finding.coverage is None:
        return ""
    return (
        f" Sets hold the truth in {percent(finding.coverage)}% of films like those; "
        "'indeterminate' rules out neither answer, 'none' fits neither."
    )


def _cells(reading: Reading, width: int) -> tuple[Text, ...]:
    """Return one row; a cell has a line for each label, and the path its last characters."""
    named = _status(reading)
    color = {"read": "", "refused": "yellow", "forced": "yellow", "error": "red"}[named]
    path, status = Text(_ending(reading.path, width)), Text(named, style=color)
    if not reading.findings:
        return path, status, Text("-"), Text("-"), Text(_reason(reading), style=color)
    findings = reading.findings
    said = [
        Text(in_words(finding), style="bold" if finding.answer is Answer.PRESENT else "")
        for finding in findings
    ]
    said += [Text(f"appearance: {looks.words}")] if (looks := reading.appearance) else []
    said += [Text(line) for line in _details(reading.details, reading.film.get("sides"))]
    said += [Text(step, style="yellow") for step in reading.history if step.startswith(TURNED)]
    if reading.forced:
        said.append(Text(f"refused as {_reason(reading)}", style=color))
    return (
        path,
        status,
        Text("\n".join(finding.label for finding in findings)),
        Text("\n".join(f"{fixed(f.probability, 3)} {_bar(f.probability)}" for f in findings)),
        Text("\n").join(said),
    )


def _status(reading: Reading) -> str:
    return "forced" if reading.forced else reading.status.value


def _reason(reading: Reading) -> str:
    """Return the reason after its code: "[one-lung] one lung: ..."."""
    words = reading.reason or ""
    return words if reading.refusal is None else f"[{reading.refusal.code}] {words}"


def in_words(finding: Finding) -> str:
    """Give the answer first, then what it was made of."""
    said = f"{answered(finding)}; {against_threshold(finding)}"
    if finding.prediction_set is None:
        return said
    return f"{said}; set: {finding.prediction_set.in_words(finding.label)}"


def _details(details: Details | None, known: str | None = None) -> list[str]:
    """Say how much of the lungs is opaque, how severe, and what resembles the film."""
    if details is None:
        return []
    lines = []
    if details.affected:
        whole, *parts = [row for row in details.affected if row.zone is None]
        sides = ", ".join(f"{row.side} {share(row.share)}" for row in parts)
        sides += "; sides assumed" if known == Sides.ASSUMED else ""
        lines.append(f"opaque: {share(whole.share)} of the lungs ({sides})")
    lines += [
        f"{each.notice}: {each.scale} {fixed(each.value, 1)} "
        f"[{fixed(each.low, 1)}, {fixed(each.high, 1)}] of {figures(each.maximum)}"
        for each in details.severity
    ]
    if details.similar:
        nearest = details.similar[0]
        lines.append(f"most similar: {nearest.case_id} ({known_labels(nearest)})")
        lines += filter(None, [trained_on_it(details.similar)])
    return lines


def _ending(path: str, width: int) -> str:
    """Return a path that fits: its beginning is the part that people can spare.

    >>> _ending("ward/2020/film-1.png", 13)
    '…0/film-1.png'
    """
    return path if len(path) <= width else f"…{path[1 - width :]}"


def _bar(fraction: float) -> str:
    full = round(fraction * _BAR)
    return "█" * full + "░" * (_BAR - full)
