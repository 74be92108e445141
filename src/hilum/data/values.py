"""Values: the words that collections use for view, sex, age and date, mapped one by one.

Every mapping is explicit: a word that is not listed is unknown, never guessed from a part of it.
"""

from __future__ import annotations

import datetime
import math
import re
from urllib.parse import urlsplit

from hilum.core.csvtable import number_of
from hilum.core.labels import View

VIEWS: dict[str, View] = {
    "pa": View.PA,
    "ap": View.AP,
    "ap erect": View.AP,
    "ap semi erect": View.AP,
    "ap supine": View.AP_SUPINE,
    "aps": View.AP_SUPINE,
    "l": View.LATERAL,
    "ll": View.LATERAL,
    "rl": View.LATERAL,
    "lateral": View.LATERAL,
}
"""Collections' words (lower case) -> view."""

SEXES: dict[str, str] = {"m": "M", "male": "M", "f": "F", "female": "F"}

_DATES = ("%Y-%m-%d", "%Y%m%d", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%m/%d/%Y", "%m/%d/%y")
_DICOM_AGE = re.compile(r"(\d{1,3})([YMWD])")
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_OLDEST = 120


def view_of(text: str) -> str:
    """Return the view that a collection's word means, or "".

    >>> view_of("AP Supine"), view_of("Axial")
    ('AP supine', '')
    """
    view = VIEWS.get(text.strip().lower())
    return view.value if view else ""


def sex_of(text: str) -> str:
    """Return "M", "F" or ""."""
    return SEXES.get(text.strip().lower(), "")


def age_of(text: str) -> float:
    """Return an age in years: plain years, or a DICOM age string (PS3.5 section 6.2, AS).

    An age beyond 0 to 120 is a typing error of the collection, hence unknown.

    >>> age_of("65"), age_of("027Y"), age_of("006M"), age_of("411"), age_of("50+")
    (65.0, 27.0, 0.5, nan, nan)
    """
    dicom = _DICOM_AGE.fullmatch(text.strip().upper())
    years = int(dicom[1]) * _YEARS[dicom[2]] if dicom else number_of(text)
    return years if 0 <= years <= _OLDEST else math.nan


def date_of(text: str) -> str:
    """Return a whole date as ISO 8601, or "" where day, month or year is not stated.

    Dates with slashes are month/day/year, as in covid-chestxray-dataset.

    >>> date_of("January 22, 2020"), date_of("03/16/20"), date_of("2015")
    ('2020-01-22', '2020-03-16', '')
    """
    for pattern in _DATES if len(text.strip()) > len("2020") else ():
        try:
            day = datetime.datetime.strptime(text.strip(), pattern)
        except ValueError:
            continue
        return day.date().isoformat()
    return ""


def site_of(url: str) -> str:
    """Return the host of an address as the name of a site, or "".

    >>> site_of("https://www.eurorad.org/case/16583")
    'eurorad.org'
    """
    host = (urlsplit(url.strip()).hostname or "").lower()
    return host.removeprefix("www.")
