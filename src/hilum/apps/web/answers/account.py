"""Answers of people, their tokens and what they may do."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from hilum.apps.store.people import Role
from hilum.apps.web.answers.said import At, By, Checksum, Identity, Said
from hilum.core.estimate import Estimate
from hilum.core.labels import Label
from hilum.core.reading import RESEARCH_USE


class PointAnswer(Said):
    """An operating point, and what it cost on the cases that it was chosen on."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(examples=["balanced"])
    threshold: float = Field(examples=[0.602])
    sensitivity: Estimate
    specificity: Estimate
    chosen_on: str = Field(examples=["val"])
    rule: str = Field(examples=["largest Youden index"])


class LabelAnswer(Said):
    """A label that the bundle answers."""

    label: Label
    calibration: str = Field(examples=["platt"])
    prevalence: float | None = Field(examples=[0.42])
    coverage: float | None = Field(examples=[0.9])
    operating_points: list[PointAnswer]


class BundleAnswer(Said):
    """The bundle that reads."""

    identity: Identity
    name: str = Field(examples=["hilum-default"])
    version: str = Field(examples=["0.2.0"])
    checksum: Checksum
    site: str | None = Field(examples=[None])
    calibrated: bool
    intended_use: str = Field(examples=["Research."])
    labels: list[LabelAnswer]


class LimitsAnswer(Said):
    """What a request may bring."""

    model_config = ConfigDict(from_attributes=True)

    file_mb: float = Field(examples=[100.0])
    request_mb: float = Field(examples=[500.0])
    files: int = Field(examples=[500])
    megapixels: float = Field(examples=[100.0])


class MeAnswer(Said):
    """Who is signed in, and what the page may show."""

    name: By
    role: Role = Field(examples=["reviewer"])
    local: bool = Field(examples=[False], description="came by the printed link")
    blind: bool = Field(examples=[False], description="reads blind first")
    csrf: str | None = Field(examples=["3kK..."], description="null for a token")
    notice: str = Field(examples=[RESEARCH_USE])
    version: str = Field(examples=["0.3.0"])
    bundle: BundleAnswer | None = Field(description="null where it is damaged")
    bundle_error: str | None = Field(examples=[None])
    labels: list[Label] = Field(
        examples=[["covid-19", "lung-opacity"]],
        description="what a corrected label or a reference standard may be of",
    )
    idle_minutes: float = Field(examples=[30.0])
    limits: LimitsAnswer


class PersonAnswer(Said):
    """Who may sign in, and how."""

    user_id: str = Field(examples=["aabbccddeeff0011"])
    name: By
    role: Role = Field(examples=["reviewer"])
    password: bool
    openid: bool = Field(examples=[False])
    disabled: bool = Field(examples=[False])
    blind: bool | None = Field(examples=[None], description="null: as the site has it")
    created_at: At


class PeopleAnswer(Said):
    """Everybody."""

    items: list[PersonAnswer]


class TokenAnswer(Said):
    """A token without its secret."""

    token_id: str = Field(examples=["1100ffeeddccbbaa"])
    name: str = Field(examples=["archive"])
    user: By
    created_at: At


class NewTokenAnswer(TokenAnswer):
    """A token with its secret, this once."""

    token: str = Field(examples=["hilum_..."])


class TokensAnswer(Said):
    """All tokens."""

    items: list[TokenAnswer]
