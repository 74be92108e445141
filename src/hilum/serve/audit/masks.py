"""Masks: lungs that a cases table names, instead of those that the network finds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hilum.core.errors import CohortError
from hilum.core.radiograph import Radiograph
from hilum.image.lungs import Lungs
from hilum.image.open import open_radiograph
from hilum.serve.audit.subject import FindLungs


def lungs_of_table(cases: pd.DataFrame) -> FindLungs:
    """Return a function from a film to the lungs that ``lung_mask`` of its row names.

    A film without a mask has empty lungs; the tests of the lungs skip it.

    Raises:
        CohortError: no row names a mask.
    """
    named = cases[["path", "lung_mask"]].astype(str)
    masks = {path: mask for path, mask in named.itertuples(index=False) if mask}
    if not masks:
        raise CohortError(
            "no row of the cases table names a lung_mask", hint="use --lungs network instead"
        )

    def find(film: Radiograph) -> Lungs:
        mask = masks.get(film.path)
        if mask is None:
            return Lungs.drawn(np.zeros((8, 8), bool))
        return Lungs.drawn(open_radiograph(mask).pixels > 0.5)

    return find
