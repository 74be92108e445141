"""Words: the one catalogue of what a reading says, in English and in Russian (``text/``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "ru"]


@cache
def words(language: Language = "en") -> dict[str, str]:
    """Return every phrase of a language by its key; holes stand in braces.

    >>> words()["answer.cannot-say"]
    'cannot say'
    """
    path = Path(__file__).parent / "text" / f"{language}.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def local(number: str, text: Mapping[str, str]) -> str:
    """Write a rounded number with the decimal sign of the language of these words.

    >>> local("0.6", words("en")), local("0.6", words("ru"))
    ('0.6', '0,6')
    """
    return number.replace(".", text["decimal"])
