"""Draft: a report's text as the reading suggests it; the person edits it, and decides."""

from __future__ import annotations

from typing import Any, Literal

from hilum.core.reading import PredictionSet, Reading, Status

Language = Literal["en", "ru"]

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Chest radiograph",
        "notice": "Research use only; not a medical device.",
        "indication": "Indication",
        "technique": "Technique",
        "comparison": "Comparison",
        "findings": "Findings",
        "impression": "Impression",
        "none": "None available.",
        "finding": "{label}: probability {probability:.0%}{for_prevalence}; {called} at the "
        "operating point '{point}'{said}.",
        "for_prevalence": " (for a prevalence of {prevalence:.0%})",
        "present": "called present",
        "absent": "called absent",
        "set": "; at {coverage:.0%} coverage: {answer}",
        "set-present": "{label}",
        "set-absent": "not {label}",
        "set-indeterminate": "cannot say",
        "set-none": "unlike both",
        "affected": "Opacities cover {share:.0%} of the lungs.",
        "severity": "Severity ({scale}, research score): {value:.1f} of {maximum:g} "
        "[{low:.1f} to {high:.1f}].",
        "impression-present": "The model calls {labels} present; to be judged by the reader.",
        "impression-absent": "The model calls none of its findings present; to be judged by the "
        "reader.",
        "refused": "The model did not read this film: {reason}",
        "forced": "The film was refused and read all the same: {reason}",
        "by": "Written by {by}, {at}; version {version}",
        "model": "Model: {bundle}",
        "unread": "The film was not read by a model.",
        "signature": "Signature",
    },
    "ru": {
        "title": "Рентгенограмма органов грудной клетки",
        "notice": "Только для исследований; не является медицинским изделием.",
        "indication": "Показания",
        "technique": "Методика",
        "comparison": "Сравнение",
        "findings": "Описание",
        "impression": "Заключение",
        "none": "Нет.",
        "finding": "{label}: вероятность {probability:.0%}{for_prevalence}; {called} в рабочей "
        "точке «{point}»{said}.",
        "for_prevalence": " (при распространённости {prevalence:.0%})",
        "present": "признак есть",
        "absent": "признака нет",
        "set": "; при охвате {coverage:.0%}: {answer}",
        "set-present": "{label}",
        "set-absent": "не {label}",
        "set-indeterminate": "неопределённо",
        "set-none": "не похоже ни на то, ни на другое",
        "affected": "Затемнения занимают {share:.0%} площади лёгких.",
        "severity": "Тяжесть ({scale}, исследовательская шкала): {value:.1f} из {maximum:g} "
        "[от {low:.1f} до {high:.1f}].",
        "impression-present": "Модель считает присутствующими: {labels}; решение за врачом.",
        "impression-absent": "Модель не находит ни одного из своих признаков; решение за врачом.",
        "refused": "Модель не читала этот снимок: {reason}",
        "forced": "Снимок был отклонён и всё же прочитан: {reason}",
        "by": "Автор: {by}, {at}; версия {version}",
        "model": "Модель: {bundle}",
        "unread": "Снимок не был прочитан моделью.",
        "signature": "Подпись",
    },
}
"""Every sentence of a report, in each language."""


def draft(
    reading: Reading | None, language: Language, technique: str, comparison: str
) -> dict[str, Any]:
    """Write the text of a new report.

    Args:
        reading: of the film; None if there is none.
        language: of the text.
        technique: format and view of the film.
        comparison: dates of earlier films; "" for none.
    """
    words = WORDS[language]
    return {
        "title": words["title"],
        "indication": "",
        "technique": technique,
        "comparison": comparison or words["none"],
        "findings": "\n".join(_findings(reading, words)),
        "impression": _impression(reading, words),
        "language": language,
    }


def _findings(reading: Reading | None, words: dict[str, str]) -> list[str]:
    if reading is None:
        return [words["unread"]]
    if reading.status is not Status.READ:
        return [words["refused"].format(reason=reading.reason)]
    lines = [words["forced"].format(reason=reading.reason)] if reading.forced else []
    for finding in reading.findings:
        prevalence = finding.prevalence
        known = prevalence is not None
        for_prevalence = words["for_prevalence"].format(prevalence=prevalence) if known else ""
        lines.append(
            words["finding"].format(
                label=finding.label,
                probability=finding.probability,
                for_prevalence=for_prevalence,
                called=words["present" if finding.present else "absent"],
                point=finding.operating_point,
                said=_said(finding.prediction_set, finding.coverage, finding.label, words),
            )
        )
    return lines + _details(reading, words)


def _said(
    answer: PredictionSet | None, coverage: float | None, label: str, words: dict[str, str]
) -> str:
    if answer is None or coverage is None:
        return ""
    said = words[f"set-{answer.value}"].format(label=label)
    return words["set"].format(coverage=coverage, answer=said)


def _details(reading: Reading, words: dict[str, str]) -> list[str]:
    if reading.details is None:
        return []
    whole = [each for each in reading.details.affected if each.side is None and each.zone is None]
    lines = [words["affected"].format(share=each.share) for each in whole]
    scores = (each.model_dump(exclude={"notice"}) for each in reading.details.severity)
    return [*lines, *(words["severity"].format(**each) for each in scores)]


def _impression(reading: Reading | None, words: dict[str, str]) -> str:
    if reading is None or reading.status is not Status.READ:
        return ""
    present = [str(finding.label) for finding in reading.findings if finding.present]
    if present:
        return words["impression-present"].format(labels=", ".join(present))
    return words["impression-absent"]
