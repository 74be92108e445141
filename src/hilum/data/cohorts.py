"""Cohorts: every adapter by name, and the one function that reads a collection."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hilum.core.config import did_you_mean
from hilum.core.errors import CohortError
from hilum.data.adapters.bimcv import read_bimcv_covid19
from hilum.data.adapters.covid_chestxray import (
    read_covid_19_image_repository,
    read_covid_chestxray_dataset,
)
from hilum.data.adapters.covid_cxnet import read_covid_cxnet
from hilum.data.adapters.covidx import read_covidx
from hilum.data.adapters.generic import read_csv_cohort, read_folders
from hilum.data.adapters.jsrt import read_jsrt
from hilum.data.adapters.kermany import read_kermany
from hilum.data.adapters.nih import read_nih_chestxray14
from hilum.data.adapters.openist import read_openist
from hilum.data.adapters.rsna import read_rsna_pneumonia
from hilum.data.adapters.siim import read_siim_covid19
from hilum.data.adapters.tbx11k import read_tbx11k
from hilum.data.adapters.tuberculosis import read_montgomery, read_shenzhen
from hilum.data.cohort import Adapter, Cohort

COHORTS: dict[str, Adapter] = {
    "covid-chestxray-dataset": read_covid_chestxray_dataset,
    "covid-19-image-repository": read_covid_19_image_repository,
    "covid-cxnet": read_covid_cxnet,
    "nih-chestxray14": read_nih_chestxray14,
    "rsna-pneumonia": read_rsna_pneumonia,
    "shenzhen": read_shenzhen,
    "montgomery": read_montgomery,
    "openist": read_openist,
    "kermany": read_kermany,
    "covidx": read_covidx,
    "bimcv-covid19": read_bimcv_covid19,
    "siim-covid19": read_siim_covid19,
    "tbx11k": read_tbx11k,
    "jsrt": read_jsrt,
    "csv": read_csv_cohort,
    "folders": read_folders,
}
"""Adapter name -> the function that reads such a collection."""


def read_cohort(name: str, root: str | Path, /, **options: Any) -> Cohort:
    """Read a collection from disk.

    Args:
        name: a key of ``COHORTS``.
        root: the folder that the collection unpacks to.
        options: of that adapter; every one takes ``name``, what to call the cohort.

    Returns:
        The films with labels, patients and sites, and a report of what was missing or odd.

    Raises:
        CohortError: no such adapter, option or folder, or a table that is not as expected.
    """
    reader = _reader(name, options)
    root = Path(root).expanduser()
    if not root.exists():
        raise CohortError(f"{root}: no such folder", hint="check the path of the collection")
    return reader(root, **options)


def option_from_text(name: str, option: str, text: str) -> Any:
    """Return the value of an adapter's option that a command line gives as text.

    >>> option_from_text("bimcv-covid19", "days", "7")
    7

    Raises:
        CohortError: no such adapter or option, or a number that is none.
    """
    parameter = inspect.signature(_reader(name, [option])).parameters[option]
    default = parameter.default
    if "Mapping" in str(parameter.annotation):
        verb = {"columns": "--column OURS=YOURS", "classes": "--class FOLDER=LABEL"}
        raise CohortError(
            f"option {option}={text}: takes pairs", hint=f"say each with {verb[option]}"
        )
    try:
        return int(text) if isinstance(default, int) else text
    except ValueError:
        raise CohortError(f"option {option}={text}: expected a whole number") from None


def _reader(name: str, options: Iterable[str]) -> Adapter:
    if name not in COHORTS:
        raise CohortError(f"no cohort adapter '{name}'", hint=did_you_mean(name, COHORTS))
    known = options_of(name)
    for option in options:
        if option not in known:
            raise CohortError(
                f"adapter '{name}' has no option '{option}'", hint=did_you_mean(option, known)
            )
    return COHORTS[name]


def options_of(name: str) -> list[str]:
    """Return the names of an adapter's options."""
    return [option for option in inspect.signature(COHORTS[name]).parameters if option != "root"]
