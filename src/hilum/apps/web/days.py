"""Days: when a day begins where the person is, and which day a moment belongs to there."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hilum.apps.web.problems import Problem


def zone_of(name: str | None, site: str) -> ZoneInfo:
    """Return a time zone.

    Args:
        name: of the IANA database, "Europe/Berlin"; None for that of the site.
        site: that of the settings.

    Raises:
        Problem: 422, no such zone.
    """
    try:
        return ZoneInfo(name or site)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Problem(
            422, "invalid", "there is no such time zone", hint="as in Europe/Berlin"
        ) from None


def day_ms(day: str | None, zone: ZoneInfo, days: int = 0) -> int | None:
    """Return when a day begins in a zone, in milliseconds since 1970; or ``days`` days later.

    Raises:
        Problem: no such day.

    >>> day_ms("2026-03-29", ZoneInfo("Europe/Berlin"), days=1) - day_ms(
    ...     "2026-03-29", ZoneInfo("Europe/Berlin")
    ... )
    82800000
    """
    if day is None:
        return None
    try:
        first = date.fromisoformat(day) + timedelta(days=days)
        return begins_ms(first, zone)
    except (ValueError, OverflowError):
        raise Problem(422, "invalid", f"'{day}' is no date", hint="as in 2026-11-22") from None


def begins_ms(day: date, zone: ZoneInfo) -> int:
    """Return when a day begins, in milliseconds since 1970."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def day_of(moment_ms: int, zone: ZoneInfo) -> date:
    """Return the day of a moment.

    >>> day_of(0, ZoneInfo("Asia/Tokyo")).isoformat()
    '1970-01-01'
    """
    return datetime.fromtimestamp(moment_ms / 1000, zone).date()
