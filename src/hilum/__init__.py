"""Hilum reads chest radiographs for COVID-19 pneumonia and says how far to trust each reading.

The API in five names; each is imported when it is first used, so ``import hilum`` is cheap:

    radiograph = hilum.open_radiograph("film.dcm")
    reader = hilum.load_bundle()                    # the default bundle; or a folder
    reading = reader.read("film.dcm")
    cohort = hilum.read_cohort("nih-chestxray14", "data/nih-chestxray14")
    evaluation = hilum.evaluate(reader, cohort.cases)

Research use only; not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hilum.core.silence import keep_silent

if TYPE_CHECKING:
    from hilum.data.cohorts import read_cohort
    from hilum.image.open import open_radiograph
    from hilum.serve.evaluate import evaluate
    from hilum.serve.reader import load_bundle

__version__ = "1.0.0"

keep_silent()

_WHERE = {
    "open_radiograph": "hilum.image.open",
    "load_bundle": "hilum.serve.reader",
    "read_cohort": "hilum.data.cohorts",
    "evaluate": "hilum.serve.evaluate",
}

__all__ = ["__version__", "evaluate", "load_bundle", "open_radiograph", "read_cohort"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'hilum' has no attribute '{name}'")
    try:
        return getattr(import_module(_WHERE[name]), name)
    except ModuleNotFoundError as error:
        from hilum.core.extras import lacking

        raise lacking(error) or error from None


def __dir__() -> list[str]:
    return sorted(__all__)
