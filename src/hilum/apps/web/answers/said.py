"""What answers are made of: their base, and the kinds of value that they carry."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from hilum.apps.web.schemas import FilmStatus

Day = Annotated[str, Field(examples=["2026-11-16"], description="ISO 8601")]
Status = Annotated[FilmStatus, Field(examples=["read"])]
At = Annotated[str, Field(examples=["2026-11-22T12:00:01.000Z"])]
Film = Annotated[str, Field(examples=["9f2c4e0d1a3b5c7d"])]
Study = Annotated[str, Field(examples=["0a1b2c3d4e5f6071"])]
ReadingId = Annotated[str, Field(examples=["5566778899aabbcc"])]
ListId = Annotated[str, Field(examples=["66778899aabbccdd"])]
By = Annotated[str, Field(examples=["anna"])]
View = Annotated[str, Field(examples=["PA"])]
Format = Annotated[str, Field(examples=["DICOM DX"])]
Identity = Annotated[str, Field(examples=["hilum-default 0.2.0 (38fc1977)"])]
Checksum = Annotated[str, Field(examples=["38fc1977" + "0" * 56])]
StoredReading = Annotated[dict[str, Any], WithJsonSchema({"$ref": "#/components/schemas/Reading"})]
"""A reading is given as it was stored, in the form of its ``schema_version``."""
Probability = Annotated[float, Field(examples=[0.71])]
UNNAMED = "null while it would tell who reads blind, or in an open reading list, what is asked"
ALONE = "one's own alone while one reads the study in an open list, or blind and unseen"


class Said(BaseModel):
    """Base of what answers carry."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)
