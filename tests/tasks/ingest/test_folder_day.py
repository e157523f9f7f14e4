"""Which moments a day's folder may hold, beside zoneinfo's own arithmetic."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tasks.ingest.clicks import click_folder
from tasks.ingest.folder_day import days_of_clicks, folders_with, moments_of
from tasks.settings import Settings

DAY = date(2017, 6, 30)


def of_zone(zone: str | None, lateness_days: int = 2) -> Settings:
    return Settings(_env_file=None, log_time_zone=zone, lateness_days=lateness_days)


@pytest.mark.parametrize(
    "zone", ["America/Los_Angeles", "Asia/Tokyo", "UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin"]
)
@pytest.mark.parametrize("day", [DAY, date(2017, 11, 5), date(2017, 3, 26), date(2017, 1, 1)])
@pytest.mark.parametrize("lateness_days", [0, 2])
def test_a_folder_of_a_zone_ends_at_its_midnight(zone: str, day: date, lateness_days: int) -> None:
    settings, clock = of_zone(zone, lateness_days), ZoneInfo(zone)
    first, end = moments_of(day, settings)
    hours = [datetime(2016, 12, 20, 0, 30) + timedelta(hours=hour) for hour in range(24 * 340)]
    taken = [moment for moment in hours if first <= moment < end]
    local_days = {moment: moment.replace(tzinfo=UTC).astimezone(clock).date() for moment in hours}
    oldest = day - timedelta(days=lateness_days)
    assert taken == [moment for moment in hours if oldest <= local_days[moment] <= day]
    days = days_of_clicks(day, settings)
    assert days == sorted({moment.date() for moment in taken})
    assert all(day in folders_with(each, settings) for each in days)


def test_a_folder_of_no_zone_may_end_at_any_midnight_on_earth() -> None:
    assert moments_of(DAY, of_zone(None)) == (datetime(2017, 6, 28), datetime(2017, 7, 1, 12))
    assert days_of_clicks(DAY, of_zone(None)) == [date(2017, 6, 28), date(2017, 6, 29), DAY, date(2017, 7, 1)]
    assert folders_with(DAY, of_zone(None)) == [DAY, date(2017, 6, 29), date(2017, 7, 1), date(2017, 7, 2)]


def test_clicks_of_a_day_are_its_own_late_or_early() -> None:
    folders = [click_folder(date(2017, 6, day), DAY) for day in (29, 30)] + [click_folder(date(2017, 7, 1), DAY)]
    assert folders == ["late/date=2017-06-29", "clicks", "early/date=2017-07-01"]


def test_a_zone_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"log_time_zone\n.*IANA"):
        of_zone("Berlin")
