"""Times in every spelling, beside what dateutil, strptime and zoneinfo make of the same texts."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dateutil.parser
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ibis.backends import BaseBackend
from pydantic import ValidationError

from tasks.ingest.engine import duckdb_engine
from tasks.ingest.log_format import LogFormat
from tasks.ingest.times import DELIVERED, EVENT_TIME, TIME_TEXT, LocalTime, with_times
from tasks.ingest.typed_times import is_int96, within_limits

YEAR = date(2017, 1, 1), date(2017, 12, 31)
MORNING = datetime(2017, 6, 30, 10)


@pytest.fixture(scope="module")
def engine() -> Iterator[BaseBackend]:
    with duckdb_engine(0.5) as opened:
        yield opened


def read(
    engine: BaseBackend, delivered: Sequence[object] | pa.Array, log_format: LogFormat | None = None
) -> list[datetime | None]:
    """The times of a column, in its order."""
    column = delivered if isinstance(delivered, pa.Array) else pa.array(delivered)
    texts = column.cast(pa.string()) if not pa.types.is_timestamp(column.type) else pa.nulls(len(column), pa.string())
    table = pa.table({"place": range(len(column)), DELIVERED: column, TIME_TEXT: texts})
    rows = engine.create_table("delivered", table, temp=True, overwrite=True)
    log_format = log_format or LogFormat()
    times = with_times(rows, log_format, LocalTime.of(log_format.time_zone, *YEAR))
    return list(times.order_by("place").to_pyarrow()[EVENT_TIME].to_pylist())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2017-06-30 10:00:00,123", MORNING.replace(microsecond=123_000)),  # log4j, Python's logging
        ("2017-06-30T10:00:00.123Z[UTC]", MORNING.replace(microsecond=123_000)),  # Java
        ("2017-06-30T12:00:00+02:00[Europe/Berlin]", MORNING),
        ("2017-06-30T10:00:00.123+0000", MORNING.replace(microsecond=123_000)),  # Jackson
        ("2017-06-30 10:00:00.123456789 +0000 UTC", MORNING.replace(microsecond=123_456)),  # Go
        ("2017-06-30t10:00:00z", MORNING),  # RFC 3339
        ("20170630T100000Z", MORNING),  # basic ISO 8601
        ("20170630", datetime(2017, 6, 30)),
        ("20170630100000", MORNING),
        ("2017-06-30T10:00:00.123456789012Z", MORNING.replace(microsecond=123_456)),
        ("30/Jun/2017:10:00:00 +0000", MORNING),  # Apache
        ("[30/Jun/2017:12:00:00 +0200]", MORNING),
        ("2017-06-30 10:00:00.123 -0700", MORNING.replace(hour=17, microsecond=123_000)),  # Snowflake
        ("2017-06-30 10:00:00.123 UTC", MORNING.replace(microsecond=123_000)),  # BigQuery
        ("2017-06-30 10:00:00.123+00", MORNING.replace(microsecond=123_000)),  # PostgreSQL
        ("2017-06-30 10:00:00 -0730", MORNING.replace(hour=17, minute=30)),
        ("30-JUN-17 10.00.00.000000 AM", MORNING),  # Oracle
        ("30-JUN-17 12.00.00.000000 AM", datetime(2017, 6, 30)),
        ("30-JUN-17 12.30.00.5 PM", datetime(2017, 6, 30, 12, 30, 0, 500_000)),
        ("2017-06-30 9:05:00", datetime(2017, 6, 30, 9, 5)),
        ("2017-06-30 10:00:00.0", MORNING),  # Hive
        ("2017-06-30 10:00", MORNING),
        ("2017/6/30 10:00", MORNING),
        ("2017-06-30-10.00.00.000000", MORNING),  # DB2
        ("Fri, 30 Jun 2017 10:00:00 GMT", MORNING),  # HTTP
        ("Fri, 30 Jun 2017 12:00:00 +0200", MORNING),  # mail
        ("Fri Jun 30 10:00:00 UTC 2017", MORNING),  # Java's Date
        ("Fri Jun 30 10:00:00 2017", MORNING),  # ctime
        ("Fri Jun 30 2017 12:00:00 GMT+0200 (Central European Summer Time)", MORNING),  # JavaScript
        ("Jun 30, 2017, 10:00:00 PM", MORNING.replace(hour=22)),
        ("June 30, 2017", datetime(2017, 6, 30)),
        ("03/04/2017 10:00", None),
        ("6/30/2017 10:00", None),  # a column of such times is half of them readable at best
        ("2017-06-30 10:00:00 CST", None),
        ("2017-06-30 10:00:00 Europe/Berlin", None),
        ("1498816800", None),
        ("1498816800000", None),
        ("1498816800123456", None),
        ("2017-02-31 10:00", None),
        ("31/Feb/2017:10:00:00 +0000", None),
        ("30-JUN-17 13.00.00 PM", None),
        ("2017-06-30 10:00:00,", None),
        ("noon", None),
        ("@@@@@@@@@@", None),
        ("", None),
    ],
)
def test_times_as_writers_spell_them(engine: BaseBackend, written: str, meant: datetime | None) -> None:
    assert read(engine, [written]) == [meant]


FORMATS = (
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y/%m/%d %H:%M", "%d/%b/%Y:%H:%M:%S %z", "%d %B %Y %I:%M:%S %p"),
    *(
        "%a, %d %b %Y %H:%M:%S",
        "%b %d, %Y, %I:%M:%S %p",
        "%a %b %d %H:%M:%S %Y",
        "%Y%m%dT%H%M%S",
        "%d-%b-%y %I.%M.%S.%f %p",
    ),
)


def moments(count: int, seed: int) -> list[datetime]:
    chance = random.Random(seed)
    zones = [ZoneInfo("UTC"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]
    return [
        datetime(1990, 1, 1, tzinfo=UTC).astimezone(chance.choice(zones))
        + timedelta(days=chance.randrange(15_000), microseconds=chance.randrange(86_400_000_000))
        for _ in range(count)
    ]


def in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


@pytest.mark.parametrize("written", FORMATS)
def test_spellings_are_read_as_dateutil_reads_them(engine: BaseBackend, written: str) -> None:
    texts = [moment.strftime(written) for moment in moments(100, seed=1)]
    known = texts  # by dateutil, which needs colons in times and none before them
    if "%I.%M" in written:
        known = [text.replace(".", ":", 2) for text in texts]
    if "%Y:" in written:
        known = [text.replace(":", " ", 1) for text in texts]
    assert read(engine, texts) == [in_utc(dateutil.parser.parse(text)) for text in known]


@pytest.mark.parametrize("time_format", [*FORMATS, "%d/%m/%Y %H:%M", "%m/%d/%y", "on %A, %d.%m.%Y at %I%p", "%%%Y%m%d"])
def test_a_format_is_read_as_strptime_reads_it(engine: BaseBackend, time_format: str) -> None:
    texts = [moment.strftime(time_format) for moment in moments(100, seed=2)]
    expected = [in_utc(datetime.strptime(text, time_format)) for text in texts]
    assert read(engine, [*texts, "2017", "x"], LogFormat(time_format=time_format)) == [*expected, None, None]


def test_a_time_without_an_offset_is_of_the_zone_that_is_named(engine: BaseBackend) -> None:
    """Hours that clocks show twice are the first of the two, hours that they leave out as if they had not changed."""
    for zone in ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"):
        chance, shown = random.Random(3), []
        for day in (
            date(2017, 3, 12),
            date(2017, 11, 5),
            date(2017, 3, 26),
            date(2017, 10, 29),
            date(2017, 10, 1),
            date(2017, 4, 2),
        ):
            midnight = datetime(day.year, day.month, day.day)
            shown += [midnight + timedelta(minutes=15 * quarter) for quarter in range(20)]
        shown += [datetime(2017, 1, 2) + timedelta(minutes=chance.randrange(363 * 1440)) for _ in range(100)]
        expected = [in_utc(moment.replace(tzinfo=ZoneInfo(zone))) for moment in shown]
        here = LogFormat(time_zone=zone)
        assert read(engine, [str(moment) for moment in shown], here) == expected
        assert read(engine, pa.array(shown, pa.timestamp("us")), here) == expected
        assert read(engine, [f"{moment}Z" for moment in shown], here) == shown  # an offset says more
        assert read(engine, pa.array(shown, pa.timestamp("us", "UTC")), here) == shown


@pytest.mark.parametrize(("unit", "per_second"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_numbers_count_from_1970_in_any_unit(engine: BaseBackend, unit: str, per_second: int) -> None:
    seconds = [1498816800, 0, -1, 253_402_000_000, None]
    expected = [None if second is None else datetime(1970, 1, 1) + timedelta(seconds=second) for second in seconds]
    counted = LogFormat.model_validate({"time_unit": unit})
    whole = [None if second is None else second * per_second for second in seconds]
    if unit != "ns":  # which 64 bits hold until 2262
        assert read(engine, pa.array(whole, pa.int64()), counted) == expected
        doubles = [None if number is None else float(number) for number in whole]
        assert read(engine, pa.array(doubles, pa.float64()), counted) == expected
    texts = [None if number is None else str(number) for number in whole[:3]]
    assert read(engine, texts, counted) == expected[:3]
    half = [str((1498816800 + 0.5) * per_second), f"{1.4988168005 * per_second}E9"]
    assert read(engine, half, counted) == [MORNING.replace(microsecond=500_000)] * 2
    bad = ["", "noon", "2017-06-30", "1e400", "-1e30", "9" * 30, "NaN", "inf", "0x10", "1_0"]
    assert read(engine, bad, counted) == [None] * len(bad)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_one_typed_time_that_cannot_be_costs_one_row(
    engine: BaseBackend, unit: str, zone: str | None, tmp_path: Path
) -> None:
    largest = 2**63 // (1000 if unit == "s" else 1) - 1
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    numbers = [1498816800 * per_second, largest, -largest, None]
    numbers += [] if unit == "ns" else [884_541_340_800 * per_second]  # 30000-01-01
    file = tmp_path / "00000.parquet"
    pq.write_table(pa.table({"ts": pa.array(numbers, pa.timestamp(unit, zone)), "n": range(len(numbers))}), file)
    readable = within_limits(file, "ts")
    rows = engine.read_parquet(str(readable)).rename({DELIVERED: "ts"})
    times = with_times(
        rows.mutate(**{TIME_TEXT: rows[DELIVERED].cast("string")}), LogFormat(), LocalTime.of(None, *YEAR)
    )
    found = times.order_by("n").to_pyarrow()
    assert found[EVENT_TIME][0].as_py().replace(tzinfo=None) == MORNING
    assert found[EVENT_TIME].to_pylist()[1:] == [None] * (len(numbers) - 1)
    assert [text is None for text in found[TIME_TEXT].to_pylist()] == [
        number is None or not place for place, number in enumerate(numbers)
    ]


def test_a_file_of_good_times_is_read_where_it_lies(tmp_path: Path) -> None:
    file = tmp_path / "00000.parquet"
    pq.write_table(pa.table({"ts": [MORNING, None]}), file, write_statistics=False)
    assert within_limits(file, "ts") == within_limits(file, "other") == file


def test_old_typed_times_are_moments(tmp_path: Path) -> None:
    for is_old in (True, False):
        pq.write_table(pa.table({"ts": [MORNING]}), tmp_path / "a.parquet", use_deprecated_int96_timestamps=is_old)
        assert is_int96(tmp_path / "a.parquet", "ts") == is_old


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"time_format": "%H:%M"}, "must have a year, a month and a day"),
        ({"time_format": "%d/%m/%Y %Q"}, "got %Q"),
        ({"time_format": "%d/%m/%Y %d"}, "once"),
        ({"time_format": "%d/%m/%Y", "time_unit": "s"}, "keep one"),
        ({"time_zone": "Berlin"}, "IANA"),
        ({"time_zone": ""}, "IANA"),
        ({"time_unit": "minutes"}, "'s', 'ms', 'us' or 'ns'"),
    ],
)
def test_a_format_that_cannot_be_is_refused(wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        LogFormat.model_validate(wrong)
