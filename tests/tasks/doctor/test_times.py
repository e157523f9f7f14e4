"""How times are written."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.doctor.times import FORMATS, UNITS, time_shape

TIMES = [datetime(2017, 6, 20, 9, 0, 7) + timedelta(hours=7 * n, minutes=13 * n) for n in range(30)]


@pytest.mark.parametrize("unit", list(UNITS))
def test_numbers_tell_their_unit(unit: str) -> None:
    shape = time_shape([int(time.replace(tzinfo=UTC).timestamp() * UNITS[unit]) for time in TIMES])
    assert shape
    assert (shape.kind, shape.unit) == ("number", unit)


@given(st.integers(946684800, 4102444799), st.sampled_from(list(UNITS)))
@settings(max_examples=30)
def test_a_unit_is_never_taken_for_another(second: int, unit: str) -> None:
    shape = time_shape([second * UNITS[unit]])
    assert shape
    assert shape.unit == unit


@pytest.mark.parametrize("time_format", ["%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y", "%d/%b/%Y:%H:%M:%S %z"])
def test_formats(time_format: str) -> None:
    shape = time_shape([time.replace(tzinfo=UTC).strftime(time_format) for time in TIMES])
    assert shape
    assert (shape.kind, shape.time_format, shape.ambiguous) == ("format", time_format, None)


def test_days_up_to_the_twelfth_fit_two_formats() -> None:
    shape = time_shape(["03/04/2017 10:00", "05/06/2017 11:00"])
    assert shape
    assert {shape.time_format, shape.ambiguous} == {"%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"}


@pytest.mark.parametrize(
    ("text", "has_zone"),
    [
        ("2017-06-30", False), ("2017-06-30T10:00:00.123Z", True), ("2017-06-30 10:00:00 +0000 UTC", True),
        ("2017-06-30 10:00:00,123", False), ("20170630T100000Z", True),
        ("2017-06-30T12:00:00+02:00[Europe/Berlin]", True),
    ],
)  # fmt: skip
def test_iso_and_what_writers_make_of_it(text: str, has_zone: bool) -> None:
    shape = time_shape([text] * 3)
    assert shape
    assert (shape.kind, shape.has_zone) == ("iso", has_zone)


@pytest.mark.parametrize(
    ("text", "has_zone"),
    [
        ("Fri Jun 30 2017 10:00:00 GMT+0200 (Central European Summer Time)", True),
        ("Jun 30, 2017, 10:00:00 AM", False), ("2017/6/30 9:05:01.123", False), ("30-JUN-17 10.00.00 AM", False),
    ],
)  # fmt: skip
def test_spellings_that_the_ingest_reads_need_no_format(text: str, has_zone: bool) -> None:
    shape = time_shape([text] * 3)
    assert shape
    assert (shape.kind, shape.time_format, shape.has_zone) == ("spelled", None, has_zone)


@pytest.mark.parametrize("values", [[], ["A1", "B2"], [1, 2, 3], ["12345678", "99999999"], [True, False], [1.5, 2.5]])
def test_what_is_no_time(values: list[object]) -> None:
    assert time_shape(values) is None


def test_typed_times_and_single_bad_ones() -> None:
    shape = time_shape([date(2017, 6, 30)])
    assert shape
    assert shape.kind == "typed"
    mostly = time_shape([*(f"{time}" for time in TIMES), "broken"])
    assert mostly
    assert mostly.share == pytest.approx(30 / 31)


def test_no_format_stands_twice() -> None:
    assert len(set(FORMATS)) == len(FORMATS)
