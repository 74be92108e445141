"""Samples: the films inside the package, so that Hilum can be tried without any data.

They are virtual radiographs, rendered from a public chest CT by ``tools/render_samples.py``; the
picture is what an X-ray room would have taken of that body. ``samples.json`` says what each shows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hilum.core.config import Config
from hilum.core.labels import Label, View

ROOT = Path(__file__).parent
DESCRIPTION = ROOT / "samples.json"

WHAT_IS_VIRTUAL = (
    "These are virtual radiographs, calculated from a public chest CT as an X-ray machine would "
    "have taken them; the model was trained on real films only, so its answers here show how "
    "Hilum works, not how well it reads."
)
"""One sentence for whoever sees a sample."""

WHAT_TO_MIND = (
    "A nodule that the CT's patient has in the left lung was taken out; opacities were put in. "
    "The model was made for frontal films: the gate refuses the lateral one, and what a bundle "
    "without a gate says of it means nothing."
)
"""What a reader of these films should know."""


class Sample(Config):
    """One built-in film.

    Attributes:
        file: name in this folder; ``path`` is where it lies.
        title: what it is, in words.
        view: how the beam passed.
        truth: what is known to be there, by construction; None where nobody can know.
        width, height: of the picture, in pixels.
        crop_of, crop: the film that it was cut from, and (left, top, width, height) in it.
        lung_mask, lesion_mask: names of PNG masks of the same size, 255 inside.
    """

    file: str
    title: str
    view: View
    truth: dict[Label, bool | None]
    width: int
    height: int
    crop_of: str | None = None
    crop: tuple[int, int, int, int] | None = None
    lung_mask: str | None = None
    lesion_mask: str | None = None

    @property
    def path(self) -> Path:
        """Where the film lies."""
        return ROOT / self.file


def read_samples() -> tuple[Sample, ...]:
    """Return the built-in films, in the order in which the demo shows them."""
    where = str(DESCRIPTION)
    return tuple(Sample.parse(values, where=where) for values in describe()["samples"])


def describe() -> dict[str, Any]:
    """Return ``samples.json``: the CT, its licence, the seed, the films and their checksums."""
    description: dict[str, Any] = json.loads(DESCRIPTION.read_text(encoding="utf-8"))
    return description
