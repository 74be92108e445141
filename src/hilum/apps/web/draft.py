"""Draft: a report's text as the reading suggests it; the person edits it, and signs."""

from __future__ import annotations

from collections.abc import Sequence

from hilum.apps.web.answers.verdicts import ReportDraft
from hilum.core.reading import Reading
from hilum.core.words import Language, words
from hilum.serve.said import compared, dictated


def draft(
    reading: Reading | None,
    language: Language,
    view: str | None = None,
    earlier: Sequence[tuple[str, Reading | None]] = (),
    unopened: Sequence[str] = (),
    undated: bool = False,
) -> ReportDraft:
    """Write the text of a new report.

    Args:
        reading: of the film; None if there is none.
        language: of the text.
        view: of the film; None where it is not stated.
        earlier: films that were looked at beside it: the date of each, and its reading where the
            same model has read both.
        unopened: dates of earlier films, where none was looked at.
        undated: the patient has other films, of which a missing date hides which are earlier.
    """
    text = words(language)
    found, impression = [text["report.unread"]], list[str]()
    if reading is not None:
        found, impression = dictated(reading, language)
    title = text["sheet.title"]
    technique = text["dictated.technique" if view else "dictated.technique.unknown"]
    if reading is not None and reading.refusal is not None:
        title, technique = text["report"], ""  # it may be no chest radiograph at all
    told = [compared(then, reading, date, language) for date, then in earlier]
    told += [text["dictated.earlier.unopened"].format(date=date) for date in unopened]
    told += [text["dictated.earlier.undated"]] if undated else []
    return ReportDraft(
        title=title,
        indication="",
        technique=technique.format(view=view),
        comparison="\n".join(told) or text["sheet.none"],
        findings="\n".join(found),
        impression="\n".join(impression),
        language=language,
    )
