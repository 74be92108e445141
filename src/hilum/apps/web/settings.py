"""Settings of the server: ``hilum.toml`` in the folder of data, a table per concern."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, field_validator

from hilum.apps.node.settings import Node
from hilum.apps.store.people import Role
from hilum.core.config import Config

FILE = "hilum.toml"
_OWN = ("api", "assets", "open")
"""Where the server's own paths begin: under these it could not tell them from a prefix."""


class Limits(Config):
    """How much one request may bring.

    Attributes:
        file_mb, request_mb: largest file, and all files of one request, in 10^6 bytes; a ZIP counts
            as what it unpacks to, too.
        files: most films in one request, those inside ZIP files included.
        megapixels: largest film.
        zip_ratio: a member of a ZIP that unpacks to more than this many times its size is a bomb.
        head_s: seconds in which the head of a request must have come.
        idle_s: seconds that a request's body may stand still.
        request_s: seconds that it may take in all.
        login_failures, login_minutes: failures in that time after which a name, and an address,
            must wait.
    """

    file_mb: float = Field(default=100, gt=0)
    request_mb: float = Field(default=500, gt=0)
    files: int = Field(default=500, gt=0)
    megapixels: float = Field(default=100, gt=0)
    zip_ratio: float = Field(default=200, gt=1)
    head_s: float = Field(default=20, gt=0)
    idle_s: float = Field(default=30, gt=0)
    request_s: float = Field(default=900, gt=0)
    login_failures: int = Field(default=5, gt=0)
    login_minutes: float = Field(default=5, gt=0)


class Session(Config):
    """How long a browser stays signed in.

    NIST SP 800-63B (section 4.2.3, AAL2) asks for a new sign-in after 12 hours, and after
    30 minutes in which nobody did anything.

    Attributes:
        idle_minutes: without a key, a click or a request; then the page is covered, and the session
            ends.
        hours: in all.
    """

    idle_minutes: float = Field(default=30, gt=0)
    hours: float = Field(default=12, gt=0)

    @property
    def idle_ms(self) -> int:
        """The same in milliseconds."""
        return round(self.idle_minutes * 60_000)

    @property
    def whole_ms(self) -> int:
        """The longest that a session lasts, in milliseconds."""
        return round(self.hours * 3_600_000)


class OpenId(Config):
    """An OpenID Connect provider (authorization code with PKCE).

    Attributes:
        issuer: its address; ``issuer/.well-known/openid-configuration`` must answer.
        client_id, client_secret: as registered there.
        redirect_url: ".../api/v1/oidc/callback" as the provider knows it.
        name_claim: of the ID token, becomes the person's name.
        role_claim: of the ID token: a word or a list of words.
        roles: word of ``role_claim`` -> role; the highest one counts.
        default_role: of who has none of these words; None turns them away.
    """

    issuer: str
    client_id: str
    client_secret: SecretStr
    redirect_url: str
    name_claim: str = "preferred_username"
    role_claim: str = "groups"
    roles: dict[str, Role] = Field(default_factory=dict)
    default_role: Role | None = None


class Monitoring(Config):
    """When the monitoring page raises an alarm.

    Attributes:
        psi_limit: population stability index above which the scores have drifted; 0.25 is the
            customary limit of a major shift (Siddiqi, Credit Risk Scorecards, 2006).
        least_films: films below which no drift is computed.
    """

    psi_limit: float = Field(default=0.25, gt=0)
    least_films: int = Field(default=50, gt=0)


class Retention(Config):
    """How long films are kept.

    Attributes:
        days: after its arrival, when a study with all that belongs to it is deleted; None: never.
            A study in the trash stays for its ``trash_days``: put there on its last day, it goes so
            much later. Where the law sets the limit, ``days`` is that less ``trash_days``.
        trash_days: for which a study that a person deleted can be put back; 0: it goes at once.
    """

    days: float | None = Field(default=None, gt=0)
    trash_days: float = Field(default=30, ge=0)


class Identity(Config):
    """Who sees whose film it is, beside the patient's id: on page and film, in reports and objects.

    Attributes:
        name: the least role that sees the patient's name; None: nobody does.
        accession: the same of the accession number.
    """

    name: Role | None = None
    accession: Role | None = None


class Settings(Config):
    """What ``hilum.toml`` may hold.

    Attributes:
        hosts: names by which browsers may address this server, beside the one it listens on.
        proxies: addresses or networks of the proxies in front ("10.0.0.5", "10.1.0.0/16"): only
            what these say in X-Forwarded-For is believed. Without it all who come through a proxy
            are one address, and the wrong passwords of one keep the others out.
        blind_first: who has not chosen otherwise reads blind first, from the first sign-in on.
        prefix: path under which a proxy shows the page: "/hilum"; whether the proxy leaves it in
            the address or takes it out. Cookies are for this path alone.
        zone: time zone of the site, for days that are asked for without one and for the times of
            DICOM objects: "Europe/Berlin".
        node: receives films by DICOM; None: it listens for none.
        https: it is reached through https (a proxy in front): cookies are ``Secure``.
    """

    limits: Limits = Limits()
    session: Session = Session()
    retention: Retention = Retention()
    identity: Identity = Identity()
    monitoring: Monitoring = Monitoring()
    oidc: OpenId | None = None
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    prefix: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")
    zone: str = "UTC"
    https: bool = False
    blind_first: bool = False
    node: Node | None = None

    @field_validator("prefix")
    @classmethod
    def _own_paths_stay(cls, prefix: str) -> str:
        parts = prefix.split("/")[1:]
        if {".", ".."} & set(parts) or (parts and parts[0] in _OWN):
            raise ValueError(f"'{prefix}' is not a path that a proxy can show the page under")
        return prefix

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"there is no time zone '{name}'")
        return name

    def moment(self, at_ms: int) -> datetime:
        """Return when a reading was made, for its objects; without a zone where none was set.

        The times of a film are those of its site: objects must not say that they are UTC.
        """
        moment = datetime.fromtimestamp(at_ms // 1000, ZoneInfo(self.zone))
        return moment if "zone" in self.model_fields_set else moment.replace(tzinfo=None)

    @property
    def for_others(self) -> bool:
        """Others than who sits at this machine are meant to reach it: a proxy is in front."""
        return bool(self.https or self.hosts or self.proxies or self.oidc or self.prefix)


def load_settings(data: Path) -> Settings:
    """Read ``hilum.toml`` of a folder of data; the defaults where there is none.

    Raises:
        ConfigError: an unknown key, a wrong value, or an inbox in which other files lie.
    """
    path = data / FILE
    settings = Settings.load(path) if path.exists() else Settings()
    if settings.node is not None:
        settings.node.check_folders(data)
    return settings
