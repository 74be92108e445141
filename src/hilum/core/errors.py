"""Every error that Hilum raises on purpose, in one tree.

    HilumError
    +-- ImageError                 a film
    |   +-- UnreadableImageError       broken: truncated, zero bytes, no codec
    |   +-- UnsupportedImageError      sound, but not one grey frame of pixels
    |   +-- RejectedImageError         opened, but not to be read (the gate)
    +-- CohortError                a collection or a cases table
    |   +-- LeakageError               one patient or film on both sides of a split
    +-- ConfigError                a recipe, an option, a setting
    +-- TrainingError              a run that cannot go on
    +-- BundleError                a bundle
    |   +-- BundleIntegrityError       a byte differs from what was packed
    |   +-- BundleVersionError         made by a newer or older Hilum
    +-- StoreError                 films and readings that are kept
    |   +-- StoreBusyError             locked, or the server of the database does not answer
    |   +-- StoreFullError             no space left
    +-- PeerError                  another application in the network
    +-- MissingExtraError          a part that was not installed

A message says where, what was found and what was expected; ``hint`` says what to do next.
Each kind has one exit code, one HTTP status and one C-STORE status (DICOM PS3.4 table B.2-1,
PS3.7 annex C), so that every way into Hilum refuses alike.
"""

from __future__ import annotations

import re
from typing import ClassVar

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_SOME_NOT_READ = 3
EXIT_AUDIT_FAILED = 10
"""The audit ran to its end, and the model or the lists failed it."""
EXIT_INTERRUPTED = 130


_FOLDERS = re.compile(r"(?<![\w:/\\.<])(?:[A-Za-z]:)?[/\\][^:;,'\"\n]*[/\\]")
"""From the root of a disk to the last separator of a path."""


class HilumError(Exception):
    """An error that a person can act on.

    Args:
        message: where, what was found, what was expected; one line.
        hint: what to do next; one line, or "".
    """

    exit_code: ClassVar[int] = EXIT_UNEXPECTED
    http_status: ClassVar[int] = 500
    c_store_status: ClassVar[int] = 0x0110  # processing failure

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def public(self) -> str:
        """The message without the folders of this machine: what others in the network are told.

        >>> HilumError("/srv/films of us/7b/film.png: broken or truncated PNG").public
        'film.png: broken or truncated PNG'
        """
        return _FOLDERS.sub("", self.message)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the hint when an error crosses from one process to another."""
        return _rebuild, (type(self), self.message, self.hint)


def _rebuild(kind: type[HilumError], message: str, hint: str) -> HilumError:
    return kind(message, hint=hint)


class ImageError(HilumError):
    """A film that cannot be opened or read."""

    exit_code = EXIT_SOME_NOT_READ
    http_status = 422
    c_store_status = 0xC000  # cannot understand


class UnreadableImageError(ImageError):
    """The file is broken: truncated, empty, encrypted, or its codec fails."""


class UnsupportedImageError(ImageError):
    """The file is sound, but it does not hold one grey frame of pixels."""

    http_status = 415
    c_store_status = 0xA900  # data set does not match SOP class


class RejectedImageError(ImageError):
    """The film opened, but it should not be read; ``hint`` says why."""


class CohortError(HilumError):
    """A collection on disk or a cases table is not as expected."""

    exit_code = 4
    http_status = 422


class LeakageError(CohortError):
    """One patient, or one film, stands on both sides of a split."""

    exit_code = 5


class ConfigError(HilumError):
    """A recipe, an option or a setting is wrong."""

    exit_code = 6
    http_status = 400


class TrainingError(HilumError):
    """A training run cannot go on; what was trained so far is kept."""

    exit_code = 9


class BundleError(HilumError):
    """A bundle cannot be used."""

    exit_code = 7
    http_status = 503
    c_store_status = 0xA700  # out of resources


class BundleIntegrityError(BundleError):
    """A file of a bundle differs from what was packed, or is gone."""


class BundleVersionError(BundleError):
    """A bundle was written in a format that this Hilum does not read."""


class StoreError(HilumError):
    """The store of films and readings cannot be used; nothing was half-written."""

    exit_code = 11
    http_status = 503
    c_store_status = 0xA700  # out of resources


class StoreBusyError(StoreError):
    """The store is locked by another process, or its database does not answer."""


class StoreFullError(StoreError):
    """There is no space left where films or the store lie."""

    http_status = 507


class PeerError(HilumError):
    """An application in the network did not answer as it must.

    Attributes:
        permanent: it says that trying again is in vain.
        after_s: it says after how many seconds to come again; 0 where it does not.
    """

    permanent = False
    after_s = 0.0
    exit_code = 12
    http_status = 502


class MissingExtraError(HilumError):
    """A part of Hilum that this command needs was not installed."""

    exit_code = 8
    http_status = 501

    @classmethod
    def of(cls, extra: str, *packages: str) -> MissingExtraError:
        """Say which extra brings ``packages``.

        >>> print(MissingExtraError.of("train", "torch").hint)
        pip install 'hilum[train]'
        """
        return cls(
            f"this command needs {', '.join(packages)}: not installed",
            hint=f"pip install 'hilum[{extra}]'",
        )
