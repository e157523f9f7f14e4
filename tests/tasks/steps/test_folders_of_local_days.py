"""Folders cut at midnight in Los Angeles: every click on its own UTC day, once, in whatever order they come."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest

from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage

DAYS = [date(2017, 6, day) for day in (28, 29, 30)]
Click = tuple[datetime, str, str]


def clicks_of(folder: date) -> list[Click]:
    """Sessions of two clicks, most of them in the evening, some beyond midnight in UTC."""
    chance, midnight = random.Random(folder.day), datetime(2017, 6, folder.day, tzinfo=ZoneInfo("America/Los_Angeles"))
    clicks: list[Click] = []
    for session in range(40):
        begin = midnight.astimezone(UTC).replace(tzinfo=None) + timedelta(minutes=int(chance.triangular(0, 1420, 1200)))
        times = (begin, begin + timedelta(minutes=15))
        clicks += [(time, f"s{folder.day}-{session}", f"p{chance.randrange(12)}") for time in times]
    return clicks


def deliver(settings: Settings, folder: date, clicks: Sequence[Click]) -> None:
    file = Path(settings.click_log_url, f"date={folder}", "events.csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{time},{session},{product},e{session}{time}\n" for time, session, product in clicks)
    file.write_text("event_time,session_id,product_id,event_id\n" + rows)


def ingest(settings: Settings, day: date) -> dict[str, float]:
    counts = ingest_clicks(Night.of(day, settings), settings)
    aggregate_clicks(Night.of(day, settings), settings)
    return counts


def sessions_of_products(settings: Settings, day: date) -> dict[str, int]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.aggregate(day))) as folder:
        rows = pq.read_table(folder / "products.parquet").to_pylist()
    return {row["product_id"]: row["sessions"] for row in rows}


def expected(clicks: Sequence[Click], day: date) -> dict[str, int]:
    """Sessions of each product, one click after the other."""
    held = {(session, product) for time, session, product in clicks if time.date() == day}
    return {product: sum(each == product for _, each in held) for _, product in held}


@pytest.mark.parametrize("zone", ["America/Los_Angeles", None])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1, 0)])
def test_each_click_counts_on_its_utc_day_once(settings: Settings, zone: str | None, order: Sequence[int]) -> None:
    settings = settings.model_copy(update={"log_time_zone": zone})
    written = {day: clicks_of(day) for day in DAYS}
    # Of the first evening, some are delivered once more with the next day, as exports that overlap do.
    again = [click for click in written[DAYS[0]] if click[0].date() > DAYS[0]][:5]
    for day in DAYS:
        deliver(settings, day, written[day] + (again if day == DAYS[1] else []))
    counts = {DAYS[place]: ingest(settings, DAYS[place]) for place in order}
    assert all(each["quarantined"] == 0 and each["early"] > 10 for each in counts.values())
    clicks = [click for day in DAYS for click in written[day]]
    for day in DAYS:
        assert sessions_of_products(settings, day) == expected(clicks, day)


def test_a_folder_that_goes_on_after_its_day_is_told_of_the_zone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    deliver(settings, DAYS[0], clicks_of(DAYS[0]))
    ingest_clicks(Night.of(DAYS[0], settings), settings)
    assert "are after that day in UTC: if folders are cut at local midnight, set LOG_TIME_ZONE" in caplog.text
    caplog.clear()
    of_zone = settings.model_copy(update={"log_time_zone": "America/Los_Angeles"})
    ingest_clicks(Night.of(DAYS[0], of_zone), of_zone)
    assert "LOG_TIME_ZONE" not in caplog.text
