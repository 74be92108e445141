"""Examined films with every detail filled by hand, and the words of a PDF by another library."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hilum.core.details import (
    Affected,
    Details,
    Lesion,
    LungDetail,
    Opacity,
    OpacityBox,
    Scale,
    Severity,
    Side,
    Similar,
    Zone,
)


@pytest.fixture(scope="session")
def details() -> Details:
    """Of a film of 160 x 200 pixels."""
    right = ((20, 30), (70, 30), (70, 150), (20, 150))
    left = tuple((160 - x, y) for x, y in right)
    kinds = {Opacity.GROUND_GLASS: 0.31, Opacity.CONSOLIDATION: 0.08}
    regions = [(None, None), (Side.RIGHT, None), (Side.LEFT, None)]
    regions += [(side, zone) for side in Side for zone in Zone]
    return Details(
        lungs=(
            LungDetail(side=Side.RIGHT, area=0.19, box=(20, 30, 50, 120), outline=right),
            LungDetail(side=Side.LEFT, area=0.19, box=(90, 30, 50, 120), outline=left),
        ),
        affected=tuple(
            Affected(side=side, zone=zone, share=0.11 * place + 0.01, kinds=kinds)
            for place, (side, zone) in enumerate(regions)
        ),
        lesions=(
            Lesion(
                kind=Opacity.CONSOLIDATION,
                area=0.04,
                score=0.7,
                box=(20, 100, 50, 50),
                outline=((20, 100), (70, 100), (70, 150), (20, 150)),
            ),
        ),
        boxes=(OpacityBox(box=(15, 90, 60, 70), score=0.613),),
        severity=tuple(
            Severity(scale=scale, value=2.25, low=0.5, high=4.75, coverage=0.8, maximum=maximum)
            for scale, maximum in zip(Scale, (8, 6, 18), strict=True)
        ),
        similar=tuple(
            Similar(
                case_id=f"far-away/film{place}",
                cohort="far-away",
                distance=0.123 * place,
                labels={"covid-19": 1, "pneumonia": 0},
            )
            for place in range(1, 6)
        ),
    )


@pytest.fixture
def with_details(details: Details) -> Any:
    """``with_details(examined, **changes)``: the same film, its reading changed."""

    def change(examined: Any, **changes: Any) -> Any:
        reading = examined.reading.model_copy(update={"details": details} | changes)
        return dataclasses.replace(examined, reading=reading)

    return change


@pytest.fixture
def words() -> Any:
    """``words(path)``: the text of each page, in one line each, as pypdf reads it."""
    pypdf = pytest.importorskip("pypdf")

    def read(path: Path) -> list[str]:
        return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(path).pages]

    return read
