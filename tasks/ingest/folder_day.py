"""The day of a folder: from which moments on, and until when, its clicks are taken, and which UTC days these are."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tasks.settings import Settings

# How long after midnight in UTC the day ends where it ends last; a folder whose zone is not known may be cut there.
LATEST_MIDNIGHT = timedelta(hours=12)
ONE = timedelta(days=1)


def midnight(day: date, zone: str = "UTC") -> datetime:
    """When a day begins in a zone, in UTC."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None)


def moments_of(day: date, settings: Settings) -> tuple[datetime, datetime]:
    """From when on, late ones included, and until before when a folder's clicks are taken, in UTC."""
    zone = settings.log_time_zone or "UTC"
    end = midnight(day + ONE, zone)
    if settings.log_time_zone is None:
        end += LATEST_MIDNIGHT
    return midnight(day - settings.lateness_days * ONE, zone), end


def days_of_clicks(day: date, settings: Settings) -> list[date]:
    """The UTC days that clicks in a day's folder may be of, oldest first."""
    first, end = moments_of(day, settings)
    last = (end - timedelta.resolution).date()
    return [first.date() + days * ONE for days in range((last - first.date()).days + 1)]


def folders_with(day: date, settings: Settings) -> list[date]:
    """The days in whose folders clicks of a UTC day may be: its own, then the others.

    The day before is always among them: what it brought early counts, whatever LOG_TIME_ZONE has become since.
    """
    after = [day + days * ONE for days in range(1, settings.lateness_days + 2)]
    return [day, day - ONE, *(folder for folder in after if day in days_of_clicks(folder, settings))]
