"""Said: what a reading says, in order, in words and rounded, for whoever shows it.

Table, page, PDF, report and DICOM objects print these words; none of them words or rounds a number
of a reading by itself. The words are those of one catalogue (``core/words.py``), in two languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hilum.core.details import Affected, Details, Opacity, Severity, Side, Similar, Zone
from hilum.core.labels import Label
from hilum.core.radiograph import Sides
from hilum.core.reading import (
    LIKELY,
    UNLIKELY,
    Answer,
    AppearanceFinding,
    Finding,
    PredictionSet,
    Reading,
    Status,
    appearance_words,
)
from hilum.core.rounded import figures, fixed, percent
from hilum.core.words import Language, local, words
from hilum.serve.marks import share

_LIKELIHOOD = (
    (0.01, "exceptionally-unlikely"),
    (0.10, "very-unlikely"),
    (UNLIKELY, "unlikely"),
    (LIKELY, "as-likely-as-not"),
    (0.90, "likely"),
    (0.99, "very-likely"),
    (1.01, "virtually-certain"),
)
SAME_FILM = 0.01
"""Distance below which two films are one film. In the default bundle no two of its 5,508
training films that show different patients are nearer than 0.027."""
LEAST = 0.01
"""Share of a lung, or of a zone, from which on its opacity is dictated."""
REAL = 0.1
"""Part of what the three zones of a lung add up to from which on a zone is named: what spills over
the border of a zone puts no opacity there. Of equal zones it is a tenth of the lung's opacity."""
MARGIN = 0.05
"""Shares of both lungs of two films that differ by less say no change: 92 of 100 films that were
turned, shifted, enlarged or lightened a little and read again moved less
(``docs/explanation/opacities.md``)."""
LUNG_MARGIN = 0.10
"""The same for one lung: twice as much, as it is half of the area. 96 of 100 lungs moved less."""
TURNED = ("corrected: ", "orientation: ")
"""How the step of a film begins that was put right: by the gate, or as its file asks for it."""


class FindingSaid(NamedTuple):
    """What is said of one label.

    Attributes:
        code: with its scheme, or "".
        answer: the headline; ``why`` there is none, or "".
        probability: to three decimals; ``chance`` the same in percent, or the score where nothing
            was calibrated.
        likelihood: on the scale of the IPCC (Mastrandrea et al., 2010, table 1).
        holds_for: which share of positives the probability holds for, and how it was made.
        against: the score against the threshold of the operating point; no answer by itself.
        answers: the prediction set, or "-"; ``coverage`` of it, or "".
        inside: share of what speaks for the label that lies inside the lungs, or "-".
        sentence: all of it in one line of a report.
        line: what there is to know at a glance: the answer, or that there is none and why; then
            how likely it is. Set, threshold and probability never contradict one another there.
    """

    label: str
    code: str
    answer: str
    why: str
    probability: str
    chance: str
    likelihood: str
    holds_for: str
    against: str
    answers: str
    coverage: str
    set: str
    inside: str
    sentence: str
    line: str

    @property
    def answered(self) -> str:
        """The headline with the reason where there is no answer."""
        return f"{self.answer}: {self.why}" if self.why else self.answer

    @property
    def grounds(self) -> str:
        """The comparison with the threshold, and the set if there is one."""
        return "; ".join(filter(None, [self.against, self.set]))


class AppearanceSaid(NamedTuple):
    """What the film looks like: the set in words, the four chances, and what that is not.

    ``line`` are the words after their heading; ``over`` the same, for over a film.
    """

    words: str
    line: str
    over: str
    chances: str
    notice: str


class RegionSaid(NamedTuple):
    """How much of both lungs, or of one, is opaque: of any kind, then of each of ``Opacity``."""

    name: str
    share: str
    kinds: tuple[str, ...]


class SeveritySaid(NamedTuple):
    """A severity score; ``low``, ``high`` and ``at`` are places on its scale, in [0, 1]."""

    scale: str
    value: str
    interval: str
    line: str
    low: float
    high: float
    at: float


class SimilarSaid(NamedTuple):
    """A film of the training: its name, how far it is and what is known of it."""

    name: str
    words: str


class Wording(NamedTuple):
    """Everything that is said of one film, in the order in which it is shown.

    Attributes:
        status: "read", "refused", "error" or "forced", in words.
        why: what the reason begins with; ``code`` of the refusal, in brackets; ``reason`` why the
            film was not read or was refused; ``hint`` what to do. All "" for a film that was
            simply read.
        regions: both lungs if both were found, right, left; ``opaque`` the same in one line.
        trained: a warning where the film, or a copy of it, was in the training; else "".
        sides: how it is known which lung is the right one; "" for a film that did not open.
        corrections: steps by which the film was put right before it was read.
    """

    status: str
    why: str
    code: str
    reason: str
    hint: str
    findings: tuple[FindingSaid, ...]
    appearance: AppearanceSaid | None
    regions: tuple[RegionSaid, ...]
    opaque: str
    severity: tuple[SeveritySaid, ...]
    similar: tuple[SimilarSaid, ...]
    trained: str
    sides: str
    notes: tuple[str, ...]
    corrections: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Why the film was not read, or was refused and read all the same; or ""."""
        return f"{self.why} {self.reason}" if self.reason else ""

    @property
    def measured(self) -> tuple[str, ...]:
        """Every number beside the findings, a line each, for whoever does not draw them."""
        return (*[self.opaque] * bool(self.opaque), *(each.line for each in self.severity))

    @property
    def overlay(self) -> list[str]:
        """The few lines that stand over a film."""
        lines = [
            f"{each.label}: {each.answer} ({'; '.join(filter(None, [each.chance, each.set]))})"
            for each in self.findings
        ]
        return lines + ([self.appearance.over] if self.appearance else [])


def said_of(reading: Reading, language: Language = "en") -> Wording:
    """Put a reading into words."""
    text, details = words(language), reading.details or Details()
    refusal = reading.refusal
    reason, hint = reading.reason or "", reading.hint or ""
    if refusal and language != "en":  # what was measured is known in English only
        reason, hint = text[f"refusal.{refusal.code}"], refusal.code.hint_in(language)
    looks = reading.appearance
    regions = _regions(details.by_lung, text)
    return Wording(
        status=text[f"outcome.{'forced' if reading.forced else reading.status}"],
        why=text["why.forced" if reading.forced else "why"] if reason else "",
        code=f"[{refusal.code}] " if refusal else "",
        reason=reason,
        hint=text["hint"].format(hint=hint) if hint else "",
        findings=tuple(_finding(each, text) for each in reading.findings),
        appearance=_appearance(looks, language) if looks else None,
        regions=regions,
        opaque=_opaque(regions, reading.film.get("sides") == Sides.ASSUMED, text),
        severity=tuple(_severity(each, text) for each in details.severity),
        similar=tuple(_similar(each, text) for each in details.similar),
        trained=_trained(details.similar, text),
        sides=text.get(f"sides.{reading.film.get('sides')}", ""),
        notes=reading.notes,
        corrections=tuple(step for step in reading.history if step.startswith(TURNED)),
    )


def _finding(finding: Finding, text: dict[str, str]) -> FindingSaid:
    fitted, kept, inside = finding.prevalence is not None, finding.prediction_set, ""
    among = local(percent(finding.prevalence or 0.0, 1), text)
    score, covered = local(fixed(finding.score, 3), text), percent(finding.coverage or 0.0)
    answers = text[f"set.{kept}"].format(label=finding.label) if kept else "-"
    if finding.in_lung_share is not None:
        inside = f"{percent(finding.in_lung_share)} %"
    # By the probability itself, not as it is rounded: 0.986 is very likely, though 99 % is shown.
    likely = next(words for below, words in _LIKELIHOOD if finding.probability < below)
    state = "" if fitted else ".uncalibrated"
    said = FindingSaid(
        label=finding.label,
        code=f"SNOMED CT {finding.code}" if finding.code else "",
        answer=text[f"answer.{finding.answer}"],
        why=text[f"doubt.{_doubt(finding)}"] if finding.answer is Answer.CANNOT_SAY else "",
        probability=local(fixed(finding.probability, 3), text),
        chance=text[f"chance{state}"].format(chance=local(_chance(finding), text), score=score),
        likelihood=text[f"likelihood.{likely if fitted else 'uncalibrated'}"],
        holds_for=text[f"holds-for{state}"].format(
            prevalence=among, calibration=finding.calibration
        ),
        against=text["against"].format(
            score=score,
            sign=">=" if finding.present else "<",
            threshold=local(fixed(finding.threshold, 3), text),
            point=finding.operating_point,
        ),
        answers=answers,
        coverage=text["coverage"].format(coverage=covered) if finding.coverage else "",
        set=text["set"].format(coverage=covered, answer=answers) if kept else "",
        inside=inside or "-",
        sentence="",
        line=_line(finding, likely, text),
    )
    chance = f"{said.chance}, {said.holds_for}" if fitted else said.likelihood
    return said._replace(sentence=f"{said.label}: {said.answered}; {chance}; {said.grounds}")


def _chance(finding: Finding) -> str:
    """Write the probability in percent; close to none and to all with one digit more.

    It is never written as none or all.
    """
    shown = percent(finding.probability, 0 if 0.01 <= finding.probability < 0.99 else 1)
    return {"0.0": "< 0.1", "100.0": "> 99.9"}.get(shown, shown)


def _line(finding: Finding, likely: str, text: dict[str, str]) -> str:
    if finding.answer is Answer.CANNOT_SAY:
        return text["line.cannot-say"].format(why=text[f"doubt.{_doubt(finding)}"])
    if finding.prevalence is None:
        return text["line.uncalibrated"].format(answer=text[f"answer.{finding.answer}"])
    chance = _chance(finding)
    prevalence = percent(finding.prevalence, 0 if finding.prevalence >= 0.1 else 1)
    return text["line"].format(
        likely=text[f"likelihood.{likely}"],
        chance=local(chance, text),
        prevalence=local(prevalence, text),
    )


def lines_of(reading: Reading, language: Language = "en") -> dict[Label | None, str]:
    """Say each finding in one line; under None why there is nothing to say of any."""
    text = words(language)
    lines: dict[Label | None, str] = {}
    if reading.refusal is not None:
        why = text[f"refusal.{reading.refusal.code}"]
        lines[None] = text["line.unread"].format(why=why)
        if reading.forced:
            lines[None] = f"{text['why.forced']} {why}"
    elif reading.status is not Status.READ:
        lines[None] = text["line.unread"].format(why=reading.reason or "")
    said = said_of(reading, language).findings
    return lines | {each.label: one.line for each, one in zip(reading.findings, said, strict=True)}


def dictated(reading: Reading, language: Language = "en") -> tuple[list[str], list[str]]:
    """Say a reading as a radiologist dictates: the findings, and the impression, a line each.

    What no network of the bundle looks at is said to be open, so that nobody signs it as normal.
    """
    text, details = words(language), reading.details or Details()
    lines = lines_of(reading, language)
    if reading.status is not Status.READ:
        return [_sentence(lines[None])], []
    found = []
    if reading.refusal is not None:
        why = text[f"refusal.{reading.refusal.code}"]
        found.append(text["dictated.limited"].format(why=why))
    found += _opacities(details, text)
    if details.affected and reading.film.get("sides") == Sides.ASSUMED:
        found.append(text["dictated.sides"])
    found.append(text["dictated.open"])
    impression = []
    for each in reading.findings:
        label = text[f"label.{each.label}"]
        if each.answer is Answer.CANNOT_SAY:
            impression.append(text["dictated.finding.cannot-say"].format(label=label))
        elif each.prevalence is None:
            impression.append(text[f"dictated.finding.{each.answer}"].format(label=label))
        else:
            impression.append(_sentence(f"{label}: {lines[each.label]}"))
    if (looks := reading.appearance) is not None:
        plain = {"appearance.several": "{words}", "appearance.unfitted": text["dictated.likeliest"]}
        seen = appearance_words(looks.chances, looks.prediction_set, text | plain)
        impression.append(_sentence(f"{text['appearance']}: {seen}"))
    if impression:
        impression.append(text["dictated.test"])
    if trained := _trained(details.similar, text):
        impression.append(trained)
    return found, impression


def compared(then: Reading | None, now: Reading | None, date: str, language: Language) -> str:
    """Say what an earlier film is compared for: how much of the lungs was opaque, and is.

    Compared is what was found on both films: each lung, and both together. They are said together
    only where that hides nothing that one of them did.
    """
    text = words(language)
    before, after = (((each and each.details) or Details()).by_lung for each in (then, now))
    shares = {each: (before[each].share, after[each].share) for each in before if each in after}
    lungs = {side: shares[side] for side in Side if side in shares}
    kinds = {side: _change(*lungs[side]) for side in lungs}
    if None in shares:
        holes = {"date": date, "then": share(shares[None][0]), "now": share(shares[None][1])}
        found = set(kinds.values())
        kind = "clear" if found == {"clear"} else _moved(*shares[None], MARGIN)
        hidden = kind == "same" and any(_moved(*each, MARGIN) != kind for each in lungs.values())
        if not hidden and (found == {kind} or found <= {"same", "clear"}):
            return text[f"dictated.earlier.{kind}"].format(**holes)
    said = [text["dictated.earlier"].format(date=date)]
    for side, kind in kinds.items():
        first, last = (share(each) for each in lungs[side])
        name = text[f"dictated.lung.{side}"]
        said.append(text[f"dictated.change.{kind}"].format(lung=name, then=first, now=last))
    return " ".join(said) + text["dictated.one"] * (len(lungs) == 1)


def _change(then: float, now: float) -> str:
    """What one lung did; an opacity where none was is never called no change."""
    if max(then, now) < LEAST:
        return "clear"
    return "new" if then < LEAST else _moved(then, now, LUNG_MARGIN)


def _moved(then: float, now: float, margin: float) -> str:
    if abs(round(now - then, 4)) < margin:  # shares have four decimals
        return "same"
    return "more" if now > then else "less"


def _opacities(details: Details, text: dict[str, str]) -> list[str]:
    lungs = details.by_lung
    if not lungs:
        return []
    if None in lungs and all(lungs[side].share < LEAST for side in Side):
        return [text["dictated.clear.both"]]
    said = []
    for side in Side:
        name = text[f"dictated.lung.{side}"]
        lung = lungs.get(side)
        if lung is None:
            said.append(text["dictated.lung.missing"].format(lung=name))
            continue
        if lung.share < LEAST:
            said.append(text["dictated.clear"].format(lung=name))
            continue
        kinds = [f"dictated.kind.{kind}" for kind in Opacity if lung.kinds.get(kind, 0) >= LEAST]
        of = text["dictated.and"].join(text[each] for each in kinds or ["dictated.kind.any"])
        parts = {each.zone: each.share for each in details.affected if each.side == side}
        shares = {zone: parts.get(zone, 0.0) for zone in Zone}
        real = max(LEAST, REAL * sum(shares.values()))
        zones = [str(zone) for zone in Zone if shares[zone] >= real]
        where = ".everywhere" if len(zones) == len(Zone) else "" if zones else ".faint"
        at = text[f"dictated.zone.{'+'.join(zones)}"] if where == "" else ""
        holes = {"lung": name, "kinds": of, "zones": at, "share": share(lung.share)}
        said.append(text[f"dictated.opacity{where}"].format(**holes))
    if None in lungs:
        said.append(text["dictated.together"].format(share=share(lungs[None].share)))
    scores = [
        text["dictated.score"].format(
            scale=text[f"scale.{each.scale}"],
            maximum=local(figures(each.maximum), text),
            **{
                name: local(fixed(value, 1), text)
                for name, value in (("value", each.value), ("low", each.low), ("high", each.high))
            },
        )
        for each in details.severity
    ]
    if None not in lungs:
        said.append(text["dictated.severity.unknown"])
    elif scores:
        said.append(text["dictated.severity"].format(scores="; ".join(scores)))
    return said


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:].rstrip('.')}."


def _doubt(finding: Finding) -> str:
    """Say why there is no answer."""
    if finding.prediction_set in (PredictionSet.INDETERMINATE, PredictionSet.NONE):
        return finding.prediction_set.value
    even = finding.prevalence is not None and UNLIKELY <= finding.probability < LIKELY
    return "even" if even else "differ"


def _appearance(looks: AppearanceFinding, language: Language) -> AppearanceSaid:
    text = words(language)
    chances = ", ".join(
        f"{text[f'appearance-short.{each}']} {percent(chance)} %"
        for each, chance in looks.chances.items()
    )
    set_at = "" if looks.coverage is None else text["chances.set"]
    how = "chances.uncalibrated" if looks.calibration == "identity" else "chances"
    line = text[how].format(chances=chances) + set_at.format(coverage=percent(looks.coverage or 0))
    said, notice = looks.words, looks.notice
    if language != "en":
        said = appearance_words(looks.chances, looks.prediction_set, text)
        notice = text["appearance.notice"]
    over = f"{text['appearance.over']}: {said}"
    return AppearanceSaid(said, f"{text['appearance']}: {said}", over, f"{line}.", notice)


def _regions(lungs: dict[Side | None, Affected], text: dict[str, str]) -> tuple[RegionSaid, ...]:
    if not lungs:
        return ()
    sides = (*[None] * (None in lungs), *Side)
    return tuple(_region(side, lungs.get(side), text) for side in sides)


def _region(side: Side | None, lung: Affected | None, text: dict[str, str]) -> RegionSaid:
    name = text[f"region.{side or 'both'}"]
    if lung is None:
        return RegionSaid(name, text["region.missing"], ("-",) * len(Opacity))
    kinds = tuple("-" if kind not in lung.kinds else share(lung.kinds[kind]) for kind in Opacity)
    return RegionSaid(name, share(lung.share), kinds)


def _opaque(regions: Sequence[RegionSaid], assumed: bool, text: dict[str, str]) -> str:
    if not regions:
        return ""
    *whole, right, left = regions
    sides = f"{right.name} {right.share}, {left.name} {left.share}"
    sides += text["affected.assumed"] if assumed else ""
    if not whole:
        return f"{text['affected.one']}: {sides}"
    return f"{text['affected'].format(share=whole[0].share)} ({sides})"


def _severity(score: Severity, text: dict[str, str]) -> SeveritySaid:
    span = max(score.maximum - score.minimum, 1e-9)
    value, low, high = score.value, score.low, score.high
    places = [min(max((each - score.minimum) / span, 0.0), 1.0) for each in (low, high, value)]
    holes = {
        "scale": text[f"scale.{score.scale}"],
        "value": local(fixed(value, 1), text),
        "low": local(fixed(low, 1), text),
        "high": local(fixed(high, 1), text),
        "minimum": local(figures(score.minimum), text),
        "maximum": local(figures(score.maximum), text),
        "coverage": percent(score.coverage),
    }
    return SeveritySaid(
        holes["scale"],
        holes["value"],
        text["severity.interval"].format(**holes),
        text["severity"].format(**holes),
        *places,
    )


def _similar(film: Similar, text: dict[str, str]) -> SimilarSaid:
    known = [
        name if value else text["similar.not"].format(label=name)
        for name, value in film.labels.items()
    ]
    labels = ", ".join(known) or text["similar.unknown"]
    name = film.case_id if film.cohort in film.case_id else f"{film.cohort}: {film.case_id}"
    line = text["similar"].format(distance=local(figures(film.distance), text), labels=labels)
    return SimilarSaid(name, line)


def _trained(similar: Sequence[Similar], text: dict[str, str]) -> str:
    """Warn where a film, or a copy of it, was in the training: its reading proves nothing."""
    known = bool(similar) and similar[0].distance < SAME_FILM
    return text["similar.trained"] if known else ""
