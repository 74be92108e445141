"""Draft: a report's text as the reading suggests it; the person edits it, and decides."""

from __future__ import annotations

from hilum.apps.web.answers import ReportDraft
from hilum.core.reading import Answer, Reading, Status
from hilum.core.words import Language, words
from hilum.serve.said import said_of


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
    text = words(language)
    return ReportDraft(
        title=text["report.title"],
        indication="",
        technique=technique,
        comparison=comparison or text["report.none"],
        findings="\n".join(_findings(reading, language)),
        impression=_impression(reading, text),
        language=language,
    )


def _findings(reading: Reading | None, language: Language) -> list[str]:
    if reading is None:
        return [words(language)["report.unread"]]
    told = said_of(reading, language)
    lines = [told.refusal, *(each.sentence for each in told.findings)]
    if told.appearance:
        lines.append(f"{told.appearance.line}. {told.appearance.notice}")
    lines += [told.opaque, *(each.line for each in told.severity)]
    return [f"{line.rstrip('.')}." for line in lines if line]


def _impression(reading: Reading | None, text: dict[str, str]) -> str:
    if reading is None or reading.status is not Status.READ:
        return ""
    for answer in (Answer.PRESENT, Answer.CANNOT_SAY):
        labels = [str(each.label) for each in reading.findings if each.answer is answer]
        if labels:
            return text[f"report.impression-{answer}"].format(labels=", ".join(labels))
    return text["report.impression-absent"]
