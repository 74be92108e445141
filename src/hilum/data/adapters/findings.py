"""Findings: the words of covid-chestxray-dataset and its kin, mapped to labels one by one.

A finding is flat ("COVID-19, ARDS") or a path ("Pneumonia/Viral/COVID-19"). Each word of it is
looked up whole. A word that names an agent or another cause of the pneumonia excludes COVID-19 and
the other agents: the collection gives one type of pneumonia a film. A word that names none (plain
"Pneumonia", "ARDS") excludes COVID-19 only on films from before its first known case. A word that
says nothing ("todo", "Unknown") leaves every label unknown.
"""

from __future__ import annotations

import math

from hilum.core.labels import Label

_VIRAL = (Label.PNEUMONIA, Label.VIRAL_PNEUMONIA)
_BACTERIAL = (Label.PNEUMONIA, Label.BACTERIAL_PNEUMONIA)
_FUNGAL = (Label.PNEUMONIA, Label.FUNGAL_PNEUMONIA)

SPECIFIC: dict[str, tuple[Label, ...]] = {
    "covid-19": (*_VIRAL, Label.COVID_19),
    "sars": (*_VIRAL, Label.SARS),
    "mers": (*_VIRAL, Label.MERS),
    "mers-cov": (*_VIRAL, Label.MERS),
    "influenza": _VIRAL,
    "h1n1": _VIRAL,
    "varicella": _VIRAL,
    "herpes": _VIRAL,
    "bacterial": _BACTERIAL,
    "streptococcus": _BACTERIAL,
    "klebsiella": _BACTERIAL,
    "mycoplasma": _BACTERIAL,
    "mycoplasma bacterial pneumonia": _BACTERIAL,
    "legionella": _BACTERIAL,
    "e.coli": _BACTERIAL,
    "chlamydophila": _BACTERIAL,
    "nocardia": _BACTERIAL,
    "staphylococcus": _BACTERIAL,
    "mrsa": _BACTERIAL,
    "fungal": _FUNGAL,
    "pneumocystis": _FUNGAL,
    "aspergillosis": _FUNGAL,
    "lipoid": (Label.PNEUMONIA,),
    "aspiration": (Label.PNEUMONIA,),
    "tuberculosis": (Label.TUBERCULOSIS,),
}
"""Word -> labels; it names the cause, so other causes are excluded."""

GENERAL: dict[str, tuple[Label, ...]] = {
    "pneumonia": (Label.PNEUMONIA,),
    "viral": _VIRAL,
    "ards": (Label.ARDS,),
}
"""Word -> labels; it leaves the cause open."""

NO_FINDING = "no finding"
SILENT = frozenset({"", "todo", "unknown"})
"""Words that say nothing of the film."""

LABELS: tuple[Label, ...] = (
    Label.COVID_19,
    Label.PNEUMONIA,
    Label.VIRAL_PNEUMONIA,
    Label.BACTERIAL_PNEUMONIA,
    Label.FUNGAL_PNEUMONIA,
    Label.SARS,
    Label.MERS,
    Label.ARDS,
    Label.TUBERCULOSIS,
    Label.NO_FINDING,
)
"""The labels that such a collection can give."""

_CAUSES = (
    Label.COVID_19,
    Label.VIRAL_PNEUMONIA,
    Label.BACTERIAL_PNEUMONIA,
    Label.FUNGAL_PNEUMONIA,
    Label.SARS,
    Label.MERS,
    Label.TUBERCULOSIS,
)
FIRST_COVID_MONTH = "2019-12"
"""The month of the first known cases; nothing older shows COVID-19."""


def labels_of(
    finding: str, *, before_covid: bool = False, unmapped: set[str] | None = None
) -> dict[str, float]:
    """Map a finding to labels: 1, 0, or NaN for unknown.

    Args:
        finding: the collection's words.
        before_covid: the film is known to be older than ``FIRST_COVID_MONTH``.
        unmapped: collects words that are in no table; they change no label.

    >>> found = labels_of("Pneumonia/Viral/COVID-19")
    >>> found["covid-19"], found["viral-pneumonia"], found["sars"], found["ards"]
    (1.0, 1.0, 0.0, nan)
    >>> labels_of("No Finding")["covid-19"]
    nan
    """
    found = {label.value: math.nan for label in LABELS}
    words = _words(finding)
    if unmapped is not None:
        known = {*SPECIFIC, *GENERAL, NO_FINDING, *SILENT}
        unmapped.update(word for word in words if word not in known)
    if words == [NO_FINDING]:
        found[Label.NO_FINDING.value] = 1.0
        found[Label.PNEUMONIA.value] = 0.0
    specific = [label for word in words for label in SPECIFIC.get(word, ())]
    general = [label for word in words for label in GENERAL.get(word, ())]
    if specific:
        found.update({label.value: 0.0 for label in _CAUSES})
    if specific or general:
        found[Label.NO_FINDING.value] = 0.0
    if general and before_covid:
        found[Label.COVID_19.value] = 0.0
    found.update({label.value: 1.0 for label in (*specific, *general)})
    return found


def _words(finding: str) -> list[str]:
    parts = finding.replace("/", ",").split(",")
    return [part.strip().lower() for part in parts if part.strip()]
