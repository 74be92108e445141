"""OpenIST (github.com/pi-null-mezon/OpenIST): normal adults with manual lung masks.

Images come from chestx-ray.com; their licence is not stated. ``NAME@.png`` is the lung mask of
``NAME.jpg``; a name begins with the number of the patient: ``1-10-500-500-100.jpg``.
"""

from __future__ import annotations

from pathlib import Path

from hilum.core.labels import Label, ReferenceStandard, View
from hilum.data.cohort import Cohort
from hilum.data.folder import Folder, Record, first_folder

_LICENCE = "not stated; do not redistribute"
_MASK_MARK = "@"


def read_openist(root: Path, *, name: str = "openist") -> Cohort:
    """Read ``Chest_x-ray/``, or ``Datasets/Chest_x-ray/`` as in the repository.

    Raises:
        CohortError: no film there.
    """
    folder = Folder(first_folder(root, "Chest_x-ray", "Datasets/Chest_x-ray"))
    masks = {path.stem: path for path in folder.files if path.stem.endswith(_MASK_MARK)}
    films = [path for path in folder.files if path.stem not in masks]
    records = [_record(film, masks.get(film.stem + _MASK_MARK), name) for film in films]
    paired = {film.stem + _MASK_MARK for film in films}
    folder.missing += [f"film of mask {masks[stem].name}" for stem in sorted(masks.keys() - paired)]
    return folder.cohort(name, records, rows=len(films))


def _record(film: Path, mask: Path | None, name: str) -> Record:
    return {
        "case_id": f"{name}/{film.stem}",
        "path": str(film),
        "source": "chestx-ray.com",
        "patient_id": f"{name}/{film.stem.split('-')[0]}",
        "view": View.PA.value,
        "finding": "No finding",
        "reference_standard": ReferenceStandard.UNSTATED.value,
        "licence": _LICENCE,
        "lung_mask": str(mask) if mask else "",
        Label.COVID_19.value: 0.0,
        Label.PNEUMONIA.value: 0.0,
        Label.NO_FINDING.value: 1.0,
    }
