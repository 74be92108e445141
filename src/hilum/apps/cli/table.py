"""The table of ``hilum read``: rows for a person, each as soon as it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.table import Table as RichTable
from rich.text import Text

from hilum.apps.cli.console import plain
from hilum.bundle.folder import Bundle
from hilum.core.reading import RESEARCH_USE, Answer, AppearanceFinding, Finding, Reading
from hilum.core.rounded import fixed, percent
from hilum.judge.calibration import Calibration
from hilum.serve.reader import Examined
from hilum.serve.said import Wording, said_of

_BAR = 10


class ReadingTable:
    """Rows for a person on stdout, each as soon as it is known, with what they mean beneath."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._console = plain()
        self._labels = max(len(output.label) for output in bundle.manifest.labels)
        self._counts: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._points: dict[str, Finding] = {}
        self._looks: AppearanceFinding | None = None

    def add(self, examined: Examined) -> None:
        """Print one film: a row for each label, or the reason why it was not read."""
        reading = examined.reading
        table = self._empty(header=not self._counts)
        self._counts["forced" if reading.forced else reading.status.value] += 1
        if reading.refusal is not None:
            self._refused[reading.refusal.code] += 1
        for row in _rows(reading, self._free // 2):
            table.add_row(*row)
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
        return words + _of_probability(finding, output.calibration) + _of_sets(finding)


def _of_probability(finding: Finding, fit: Calibration) -> str:
    if finding.prevalence is None or fit.prevalence is None:
        return " Not calibrated: probability = score; it ranks films, it is no frequency."
    same = finding.calibration == "identity"
    how = "the score, which no method bettered" if same else f"by {finding.calibration}"
    held, asked = percent(fit.prevalence, 1), percent(finding.prevalence, 1)
    where = f"for a prevalence of {asked}%"
    if asked != held:
        where = f"moved from a prevalence of {held}% to {asked}%"
    return f" Probability: {how} on {fit.fitted_on}, {where}."


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


def _rows(reading: Reading, width: int) -> Iterator[tuple[Text, ...]]:
    """Yield a row for each label, and for each line that is of the whole film.

    The film and its status stand in the first; of the path, its last characters.
    """
    told, named = said_of(reading), "forced" if reading.forced else reading.status.value
    color = {"read": "", "refused": "yellow", "forced": "yellow", "error": "red"}[named]
    rows: list[tuple[str, str, Text]] = []
    if not told.findings:
        rows.append(("-", "-", Text(told.code + told.reason, style=color)))
    else:
        for each, finding in zip(told.findings, reading.findings, strict=True):
            chance = f"{each.probability} {_bar(float(each.probability))}"
            bold = "bold" * (finding.answer is Answer.PRESENT)
            rows.append((each.label, chance, Text(f"{each.answered}; {each.grounds}", bold)))
        said = [Text(line) for line in lines_of(told)]
        said += [Text(step, style="yellow") for step in told.corrections]
        if reading.forced:
            said.append(Text(f"{told.why} {told.code}{told.reason}", style=color))
        rows += [("", "", line) for line in said]
    film = (Text(_ending(reading.path, width)), Text(told.status, style=color))
    for label, chance, words in rows:
        yield *film, Text(label), Text(chance), words
        film = (Text(), Text())


def lines_of(told: Wording) -> list[str]:
    """Say what the film looks like, how much is opaque, how severe, and what resembles it."""
    lines = [told.appearance.line] if told.appearance else []
    lines += told.measured
    lines += [f"most similar: {each.name}, {each.words}" for each in told.similar[:1]]
    return lines + ([told.trained] if told.trained else [])


def _ending(path: str, width: int) -> str:
    """Return a path that fits: its beginning is the part that people can spare.

    >>> _ending("ward/2020/film-1.png", 13)
    '…0/film-1.png'
    """
    return path if len(path) <= width else f"…{path[1 - width :]}"


def _bar(fraction: float) -> str:
    full = round(fraction * _BAR)
    return "█" * full + "░" * (_BAR - full)
