"""Draft: a report's text as the reading suggests it; the person edits it, and decides."""

from __future__ import annotations

from typing import Literal

from hilum.apps.web.answers import ReportDraft
from hilum.core.details import Severity
from hilum.core.reading import Answer, AppearanceFinding, Finding, Reading, Status
from hilum.core.rounded import figures, fixed, percent
from hilum.serve.marks import share
from hilum.serve.words import doubt

Language = Literal["en", "ru"]

WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "title": "Chest radiograph",
        "notice": "Research use only; not a medical device.",
        "indication": "Indication",
        "technique": "Technique",
        "comparison": "Comparison",
        "findings": "Findings",
        "measurements": "Measurements",
        "impression": "Impression",
        "none": "None available.",
        "finding": "{label}: {answer}{why}. Probability {probability} %{for_prevalence}; score "
        "{score} {sign} {threshold}, the threshold of the operating point '{point}'{said}.",
        "for_prevalence": " (for a prevalence of {prevalence} %)",
        "answer-present": "present",
        "answer-absent": "absent",
        "answer-cannot-say": "the model cannot say",
        "doubt-indeterminate": "neither answer can be ruled out",
        "doubt-none": "the score is unusual for both answers",
        "doubt-even": "present is about as likely as absent",
        "doubt-differ": "threshold, probability and set do not point to one answer",
        "set": "; prediction set at {coverage} % coverage: {answer}",
        "set-present": "{label}",
        "set-absent": "not {label}",
        "set-indeterminate": "either",
        "set-none": "neither",
        "appearance": "Appearance: {said}. This is how the film looks, not whether the patient is "
        "infected.",
        "looks-typical": "typical of COVID-19 pneumonia",
        "looks-indeterminate": "indeterminate for COVID-19 pneumonia",
        "looks-atypical": "atypical of COVID-19 pneumonia",
        "looks-negative": "no pneumonia seen, which does not rule out an infection",
        "looks-several": "the model cannot say which: {said}",
        "looks-none": "unusual for each of the four appearances",
        "looks-unfitted": "likeliest, of unknown reliability, {said}",
        "affected": "Opacities cover {share} of the lungs.",
        "severity": "Severity ({scale}, research score): {value} of {maximum} [{low} to {high}].",
        "impression-present": "The model calls {labels} present; to be judged by the reader.",
        "impression-absent": "The model calls none of its findings present; to be judged by the "
        "reader.",
        "impression-cannot-say": "The model cannot say for {labels}; to be judged by the reader.",
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
        "measurements": "Измерения",
        "impression": "Заключение",
        "none": "Нет.",
        "finding": "{label}: {answer}{why}. Вероятность {probability} %{for_prevalence}; оценка "
        "{score} {sign} {threshold}, порог рабочей точки «{point}»{said}.",
        "for_prevalence": " (при распространённости {prevalence} %)",
        "answer-present": "признак есть",
        "answer-absent": "признака нет",
        "answer-cannot-say": "модель не может сказать",
        "doubt-indeterminate": "нельзя исключить ни один из ответов",
        "doubt-none": "оценка необычна для обоих ответов",
        "doubt-even": "есть и нет примерно равновероятны",
        "doubt-differ": "порог, вероятность и множество не указывают на один ответ",
        "set": "; множество ответов при охвате {coverage} %: {answer}",
        "set-present": "{label}",
        "set-absent": "не {label}",
        "set-indeterminate": "любой",
        "set-none": "ни один",
        "appearance": "Вид снимка: {said}. Заражение подтверждает или исключает только тест.",
        "looks-typical": "типичен для пневмонии COVID-19",
        "looks-indeterminate": "неопределённый для пневмонии COVID-19",
        "looks-atypical": "нетипичен для пневмонии COVID-19",
        "looks-negative": "признаков пневмонии не видно, что не исключает инфекцию",
        "looks-several": "модель не может сказать, какой из них: {said}",
        "looks-none": "необычен для всех четырёх вариантов",
        "looks-unfitted": "вероятнее всего, при неизвестной надёжности, {said}",
        "affected": "Затемнения занимают {share} площади лёгких.",
        "severity": "Тяжесть ({scale}, исследовательская шкала): {value} из {maximum} "
        "[от {low} до {high}].",
        "impression-present": "Модель считает присутствующими: {labels}; решение за врачом.",
        "impression-absent": "Модель не находит ни одного из своих признаков; решение за врачом.",
        "impression-cannot-say": "Модель не может сказать: {labels}; решение за врачом.",
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
) -> ReportDraft:
    """Write the text of a new report.

    Args:
        reading: of the film; None if there is none.
        language: of the text.
        technique: format and view of the film.
        comparison: dates of earlier films; "" for none.
    """
    words = WORDS[language]
    return ReportDraft(
        title=words["title"],
        indication="",
        technique=technique,
        comparison=comparison or words["none"],
        findings="\n".join(_findings(reading, words)),
        impression=_impression(reading, words),
        language=language,
    )


def _findings(reading: Reading | None, words: dict[str, str]) -> list[str]:
    if reading is None:
        return [words["unread"]]
    if reading.status is not Status.READ:
        return [words["refused"].format(reason=reading.reason)]
    lines = [words["forced"].format(reason=reading.reason)] if reading.forced else []
    lines += [_finding(each, words) for each in reading.findings]
    if reading.appearance is not None:
        lines.append(words["appearance"].format(said=_looks(reading.appearance, words)))
    return lines + _details(reading, words)


def _looks(found: AppearanceFinding, words: dict[str, str]) -> str:
    kept = found.prediction_set
    if kept is None:
        likeliest = max(found.chances, key=lambda each: found.chances[each])
        return words["looks-unfitted"].format(said=words[f"looks-{likeliest}"])
    if not kept:
        return words["looks-none"]
    said = "; ".join(words[f"looks-{each}"] for each in kept)
    return said if len(kept) == 1 else words["looks-several"].format(said=said)


def _finding(finding: Finding, words: dict[str, str]) -> str:
    why, known = doubt(finding), finding.prevalence is not None
    among = finding.prevalence or 0.0
    prevalence = percent(among, 1 if among < 0.1 else 0)  # as the page says it
    return words["finding"].format(
        label=finding.label,
        answer=words[f"answer-{finding.answer}"],
        why="" if why is None else f" ({words[f'doubt-{why}']})",
        probability=percent(finding.probability),
        for_prevalence=words["for_prevalence"].format(prevalence=prevalence) if known else "",
        score=fixed(finding.score, 3),
        sign="\u2265" if finding.present else "<",
        threshold=fixed(finding.threshold, 3),
        point=finding.operating_point,
        said=_said(finding, words),
    )


def _said(finding: Finding, words: dict[str, str]) -> str:
    if finding.prediction_set is None or finding.coverage is None:
        return ""
    answer = words[f"set-{finding.prediction_set}"].format(label=finding.label)
    return words["set"].format(coverage=percent(finding.coverage), answer=answer)


def _details(reading: Reading, words: dict[str, str]) -> list[str]:
    if reading.details is None:
        return []
    whole = [each for each in reading.details.affected if each.side is None and each.zone is None]
    lines = [words["affected"].format(share=share(each.share)) for each in whole]
    return [*lines, *(_severity(each, words) for each in reading.details.severity)]


def _severity(score: Severity, words: dict[str, str]) -> str:
    value, low, high = (fixed(each, 1) for each in (score.value, score.low, score.high))
    maximum = figures(score.maximum)
    return words["severity"].format(
        scale=score.scale, value=value, low=low, high=high, maximum=maximum
    )


def _impression(reading: Reading | None, words: dict[str, str]) -> str:
    if reading is None or reading.status is not Status.READ:
        return ""
    for answer in (Answer.PRESENT, Answer.CANNOT_SAY):
        labels = [str(each.label) for each in reading.findings if each.answer is answer]
        if labels:
            return words[f"impression-{answer}"].format(labels=", ".join(labels))
    return words["impression-absent"]
