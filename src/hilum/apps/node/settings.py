"""Settings of the node: the table ``[node]`` of ``hilum.toml``."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator
from pydicom.datadict import tag_for_keyword

from hilum.apps.store.intake import Sender
from hilum.core.config import Config
from hilum.core.errors import ConfigError
from hilum.serve.dicom import KINDS, Form, Kind

AE_TITLE = "HILUM"
ANY = "*"
ELSEWHERE = "other"
"""Under this name callers are counted that are no peers: they may call themselves anything."""
_TITLE = re.compile(r"[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?")
"""PS3.5 6.2: 1 to 16 characters of ASCII but the backslash; spaces at the ends do not count."""
_OF_DATA = ("films", "incoming", "receiving", "results")
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"


def _ae_title(title: str) -> str:
    """Return the AE title as it is compared.

    Raises:
        ValueError: it is none.
    """
    if not _TITLE.fullmatch(title):
        raise ValueError("an AE title has 1 to 16 characters of ASCII, and no backslash")
    return title


Title = Annotated[str, AfterValidator(_ae_title)]


def address(text: str) -> tuple[str, int]:
    """Take ``HOST:PORT`` apart.

    >>> address("0.0.0.0:11112"), address("[::1]:104")
    (('0.0.0.0', 11112), ('::1', 104))
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"'{text}' is not HOST:PORT")
    return host.strip("[]"), int(port)


class Peer(Config):
    """One DICOM application in the network.

    Attributes:
        name: for this table, the log and the metrics.
        ae_title: of its own; the name by which it calls here, too. A peer that neither calls nor is
            called by DIMSE needs none.
        host, port: where it listens; None for one that only sends.
        dicomweb: address of its DICOMweb service, instead of ``host``: results go there by STOW-RS.
        token_file: holds a token for it, or ``user`` and ``password_file`` are given. Relative to
            the folder of data, and for its owner's eyes alone.
        user: name for it, instead of a token.
        password_file: holds the password of ``user``; as ``token_file``.
        ca: PEM file of the authority of its certificate; None: those that this machine believes.
        poll_s: with ``dicomweb``: every so many seconds it is asked for films (QIDO-RS), and those
            that are new are fetched (WADO-RS); None: never.
        poll_days: of the studies of so many days, today's among them.
        poll: more of what is asked for, by DICOM keyword: ``{ StationName = "ROOM1" }``; where that
            names no Modality, those of ``[node] read``.
        inbox: folder in which it puts films: each file that has stood still is taken, and moved
            into ``done`` or ``failed`` there. Relative to the folder of data.
        settle_s: seconds for which a file there must not have changed.
        outbox: folder in which it finds results, one a study, instead of ``host``; as ``inbox``.
        person: name of the person, or script, whose token it sends films with by STOW-RS.
        objects: kinds of results that it is sent; empty: all that a route names.
        receive: it may send films here.
        addresses: from which it may; "10.0.0.5", "10.1.0.0/16"; empty for any.
        tls: it is spoken to by TLS; needs ``[node.tls]``.
        commit: it is asked to confirm that it keeps what it was sent (storage commitment).
        delete: with ``dicomweb``: what is taken back is deleted there, beside the note.
        timeout_s: seconds in which it must answer.
        max_objects: most that are sent on one association.
        give_up_h: hours after which a result that could not be sent is given up.
        silence_h: hours without a film of it after which there is an alarm; 0: never.
    """

    name: str = Field(pattern=_NAME)
    ae_title: Title | None = None
    host: str | None = None
    port: int = Field(default=104, gt=0, le=65_535)
    dicomweb: str = ""
    token_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    ca: Path | None = None
    poll_s: float | None = Field(default=None, ge=1)
    poll_days: int = Field(default=2, gt=0, le=365)
    poll: dict[str, str] = Field(default={})
    inbox: Path | None = None
    settle_s: float = Field(default=10, gt=0)
    outbox: Path | None = None
    person: str = ""
    objects: tuple[Kind, ...] = ()
    receive: bool = True
    addresses: tuple[str, ...] = ()
    tls: bool = False
    commit: bool = False
    delete: bool = False
    timeout_s: float = Field(default=30, gt=0)
    max_objects: int = Field(default=200, gt=0)
    give_up_h: float = Field(default=72, gt=0)
    silence_h: float = Field(default=0, ge=0)

    @field_validator("addresses")
    @classmethod
    def _networks(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for each in addresses:
            ip_network(each, strict=False)
        return addresses

    @field_validator("poll")
    @classmethod
    def _keywords(cls, poll: dict[str, str]) -> dict[str, str]:
        for each in poll:
            if tag_for_keyword(each) is None or each in ("StudyDate", "limit", "offset"):
                raise ValueError(f"'{each}' is no keyword of DICOM that can be asked for")
        return poll

    @field_validator("dicomweb")
    @classmethod
    def _is_address(cls, dicomweb: str) -> str:
        if dicomweb and not re.match(r"https?://[^/@\s]+(/[^\s?#]*)?$", dicomweb):
            raise ValueError(f"'{dicomweb}' is not https://HOST/PATH; secrets have files")
        return dicomweb.rstrip("/")

    @model_validator(mode="after")
    def _one_way_there(self) -> Self:
        ways = {"host": self.host, "dicomweb": self.dicomweb, "outbox": self.outbox}
        named = [name for name, way in ways.items() if way]
        if len(named) > 1:
            raise ValueError(
                f"peer '{self.name}' has both {' and '.join(named)}: make two peers of it"
            )
        if self.delete and not self.dicomweb:
            raise ValueError(f"peer '{self.name}' has delete = true, but no dicomweb")
        if self.poll_s is not None and not self.dicomweb:
            raise ValueError(f"peer '{self.name}' has poll_s, but no dicomweb")
        if self.commit and self.outbox:
            raise ValueError(f"peer '{self.name}' has commit = true: a folder confirms nothing")
        if self.host and not self.ae_title:
            raise ValueError(f"peer '{self.name}' has a host, but no ae_title")
        if not (self.ae_title or self.dicomweb or self.inbox or self.outbox or self.person):
            raise ValueError(
                f"peer '{self.name}' has no ae_title; nor dicomweb, inbox, outbox or person"
            )
        return self

    @property
    def is_reached(self) -> bool:
        """Results can be sent to it."""
        return bool(self.host or self.dicomweb or self.outbox)

    def lives_at(self, host: str) -> bool:
        """Say whether it may call from this address."""
        if not self.addresses:
            return True
        if not _is_ip(host.partition("%")[0]):
            return False
        at = ip_address(host.partition("%")[0])
        at = getattr(at, "ipv4_mapped", None) or at
        return any(at in ip_network(each, strict=False) for each in self.addresses)


class Tls(Config):
    """TLS 1.2 or later in both directions, each side with a certificate (PS3.15 B).

    Attributes:
        certificate, key: PEM files of this node; relative to the folder of data. The key must be
            for its owner's eyes alone.
        peers: PEM file of the authorities whose certificates are believed.
    """

    certificate: Path
    key: Path
    peers: Path

    def context(self, data: Path, *, server: bool) -> ssl.SSLContext:
        """Return what to listen, or to call, with.

        Names in certificates are not compared with addresses: devices have certificates for their
        AE, and the authority named here is the site's own.

        Raises:
            ConfigError: a file is missing, is none, does not fit, or others may read the key.
        """
        purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
        key = data / self.key
        try:
            if os.name == "posix" and key.stat().st_mode & 0o077:
                raise ConfigError(f"{key}: others may read this key", hint=f"chmod 600 {key}")
            made = ssl.create_default_context(purpose, cafile=str(data / self.peers))
            made.check_hostname = False
            made.verify_mode = ssl.CERT_REQUIRED
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            made.load_cert_chain(data / self.certificate, key)
        except OSError as error:  # ssl.SSLError is one
            names = ", ".join(str(data / each) for each in (self.certificate, self.key, self.peers))
            raise ConfigError(
                f"[node.tls]: {error.strerror or error}", hint=f"look at {names}"
            ) from None
        return made


class When(Config):
    """Of which films results are sent.

    Attributes:
        present: a finding that must be present at the operating point.
        min_probability: that it must have.
    """

    present: str
    min_probability: float = Field(default=0, ge=0, le=1)


class Route(Config):
    """Where results go of films that came from a peer.

    Attributes:
        source: ``from``: name of that peer, or "*" for any.
        to: names of peers.
        objects: kinds of results; empty: those of ``[node.objects] make``.
        when: of which films; None: of every film that was read.
        urgent: films of ``from`` are read before those that wait, whatever ``when`` says, and
            results that go this way are made and sent before others.
    """

    source: str = Field(alias="from")
    to: tuple[str, ...] = Field(min_length=1)
    objects: tuple[Kind, ...] = ()
    when: When | None = None
    urgent: bool = False

    def takes(self, sources: Collection[str], findings: Iterable[Mapping[str, Any]]) -> bool:
        """Say whether results of a film are sent by this route.

        Args:
            sources: peers that the film came from.
            findings: of its reading.
        """
        return self.is_from(sources) and self._is_of(findings)

    def is_from(self, sources: Collection[str]) -> bool:
        """Say whether it is for films that came from these peers."""
        return self.source == ANY or self.source in sources

    def _is_of(self, findings: Iterable[Mapping[str, Any]]) -> bool:
        return self.when is None or any(
            each["label"] == self.when.present
            and each["present"]
            and each["probability"] >= self.when.min_probability
            for each in findings
        )


class Objects(Form):
    """How results are made, and what comes of those that were sent and no longer hold.

    Attributes:
        make: kinds of results of a route that names none.
        supersede: when another bundle has read a film, "keep" leaves the former results in the
            archive, "reject" sends a rejection note (IHE IOCM) before the new ones.
        contradicted: when a person's verdict says otherwise than the model, "keep" leaves its
            results in the archive, "reject" takes them back.
    """

    make: tuple[Kind, ...] = Field(default=("sr", "sc"), min_length=1)
    supersede: Literal["keep", "reject"] = "keep"
    contradicted: Literal["keep", "reject"] = "keep"

    @property
    def sends_notes(self) -> bool:
        """Rejection notes are sent without anybody's asking for one."""
        return "reject" in (self.supersede, self.contradicted)


class Node(Config):
    """How films are received.

    Attributes:
        ae_title: of this node; a caller must name it.
        listen: "HOST:PORT". An AE title is a name and not a password: an address that others reach
            needs peers, or ``accept_any``.
        accept_any: who is no peer may send films, too.
        max_associations: at once; one more is told to try again.
        reserve_gb: in 10^9 bytes; with less space left on the disk, nobody may begin to send.
        association_idle_s: seconds after which a connection on which nothing happens is closed.
        read: modalities that are taken as films.
        others: what comes of an object that is no such film: "ignore" answers success and drops
            it, so that whoever sends whole studies need not choose; "refuse" answers 0xA900.
        tls: ``listen`` speaks TLS, and nothing else.
        keep_results_days: after which results are deleted whose every delivery is closed.
        keep_films_days: counted from the last film, after which studies are deleted whose films
            all came by DICOM, were read, and were not worked on by anybody here (no verdict,
            reference standard, report, mark or ruler); None: never. Not while results could not be
            made, wait, are dead, lack the confirmation of a peer with ``commit``, or are still to
            be deleted by one with ``delete``. What a person drops is not waited for.
        objects: how results are made.
        peers: those that are known.
        routes: where results go; the first that fits counts. Without any they stay here.
    """

    ae_title: Title = AE_TITLE
    listen: str = "127.0.0.1:11112"
    accept_any: bool = False
    max_associations: int = Field(default=40, gt=0, le=1000)
    reserve_gb: float = Field(default=5, ge=0)
    association_idle_s: float = Field(default=60, gt=0)
    read: tuple[str, ...] = Field(default=("DX", "CR"), min_length=1)
    others: Literal["ignore", "refuse"] = "ignore"
    tls: Tls | None = None
    keep_results_days: float = Field(default=30, gt=0)
    keep_films_days: float | None = Field(default=None, gt=0)
    objects: Objects = Objects()
    peers: tuple[Peer, ...] = ()
    routes: tuple[Route, ...] = ()

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, listen: str) -> str:
        address(listen)
        return listen

    @model_validator(mode="after")
    def _who_may_call(self) -> Self:
        titles = [each.ae_title for each in self.peers if each.ae_title]
        people = [each.person for each in self.peers if each.person]
        for names in ([each.name for each in self.peers], titles, people):
            if twice := next((each for each in names if names.count(each) > 1), None):
                raise ValueError(f"two peers are called '{twice}'")
        if self.peer(ELSEWHERE) is not None:
            raise ValueError(f"a peer called '{ELSEWHERE}', as callers are that are no peers")
        if self.tls is None and any(each.tls for each in self.peers):
            raise ValueError("a peer with tls = true, but no [node.tls]")
        reached = {each.name for each in self.peers if each.is_reached}
        for route in self.routes:
            if route.source != ANY and self.peer(route.source) is None:
                raise ValueError(f"a route from '{route.source}', which is no peer")
            if unknown := next((name for name in route.to if name not in reached), None):
                raise ValueError(
                    f"a route to '{unknown}', which is no peer with a host, dicomweb or outbox"
                )
        host, _ = address(self.listen)
        loopback = host == "localhost" or (_is_ip(host) and ip_address(host).is_loopback)
        if not (
            loopback
            or self.accept_any
            or any(each.receive and each.ae_title for each in self.peers)
        ):
            raise ValueError(
                f"listen = '{self.listen}' is reached by others: name in [[node.peers]] who may "
                "send films, or set accept_any = true"
            )
        return self

    def check_folders(self, data: Path) -> None:
        """Refuse an inbox in which other files lie than those that its peer puts there.

        Args:
            data: folder of data.

        Raises:
            ConfigError: it holds the folder of data, or overlaps a folder of another use.
        """
        home = data.resolve()
        used = [
            (f"the {kind} of '{peer.name}'", (home / folder).resolve())
            for peer in self.peers
            for kind, folder in (("inbox", peer.inbox), ("outbox", peer.outbox))
            if folder is not None
        ]
        used += [(f"the folder '{each}' of data", home / each) for each in _OF_DATA]
        for name, inbox in used:
            if not name.startswith("the inbox "):
                continue
            hint = "give each inbox a folder of its own"
            if home.is_relative_to(inbox):
                raise ConfigError(f"{name}, {inbox}, holds the folder of data {home}", hint=hint)
            for other, folder in used:
                overlap = folder.is_relative_to(inbox) or inbox.is_relative_to(folder)
                if other != name and overlap:
                    raise ConfigError(f"{name}, {inbox}, overlaps {other}, {folder}", hint=hint)

    def kinds(self, route: Route, peer: Peer | None) -> tuple[str, ...]:
        """Return the kinds of results that a peer is sent by a route, in the order of sending."""
        named = route.objects or self.objects.make
        taken = peer.objects if peer is not None and peer.objects else named
        return tuple(kind for kind in KINDS if kind in named and kind in taken)

    def sender(self, name: str, address: str) -> Sender:
        """Return who sends films from an address, and what is to become of them."""
        return Sender(
            name,
            address,
            results=bool(self.routes),
            refusals=self.objects.refusals != "none",
            urgent=any(each.urgent and each.is_from((name,)) for each in self.routes),
        )

    def caller(self, title: str, host: str) -> str | None:
        """Return the name of who calls from an address; None for one who may not.

        A stranger is "?" and its title: the name of no peer, whatever it calls itself.
        """
        peer = next((each for each in self.peers if each.ae_title == title), None)
        if peer is not None:
            calls = peer.receive or peer.commit  # an archive calls back to confirm
            return peer.name if calls and peer.lives_at(host) else None
        anyone = self.accept_any or not self.peers
        return f"?{title}" if anyone else None

    def stows(self, person: str, address: str) -> Sender | None:
        """Return who sends films by STOW-RS with the token of a person; None: not from there."""
        peer = next((each for each in self.peers if each.person == person), None)
        if peer is not None and not (peer.receive and peer.lives_at(address)):
            return None
        return self.sender(peer.name if peer else f"?{person}"[:64], address)

    def peer(self, name: str) -> Peer | None:
        """Return the peer of this name."""
        return next((each for each in self.peers if each.name == name), None)


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


INITIAL = """
[node]                           # DICOM: docs/reference/node.md; needs 'hilum[pacs]'
ae_title = "HILUM"               # by which the archive calls this node
listen = "127.0.0.1:11112"       # "0.0.0.0:11112" for others; then name below who may send
# read = ["DX", "CR"]            # modalities that are taken as films
# reserve_gb = 5.0               # less left on the disk: nobody may begin to send

# [[node.peers]]
# name = "pacs"
# ae_title = "ARCHIVE"
# host = "10.0.0.4"
# port = 104
# addresses = ["10.0.0.0/24"]    # from where it may call

# [[node.routes]]                # results go back; without it they stay here
# from = "pacs"
# to = ["pacs"]
# objects = ["sr", "sc"]         # of seg, gsps, sc, pdf, sr
"""
"""What ``hilum node init`` adds to ``hilum.toml``."""
