from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings

SETTINGS = Settings(window_days=90, held_out_days=7)


def test_the_window_ends_with_the_night_and_its_last_days_are_held_out() -> None:
    night = Night.of("2017-06-30", Settings(window_days=5, held_out_days=2))
    assert [day.isoformat() for day in night.window] == [f"2017-06-{day}" for day in (26, 27, 28, 29, 30)]
    assert night.first_held_out_day == date(2017, 6, 29)


def test_paths_carry_the_day() -> None:
    night = Night.of(date(2017, 6, 30), SETTINGS)
    assert str(night) == "2017-06-30"
    assert Night.clicks(date(2017, 6, 1)) == "clicks/date=2017-06-01"
    assert night.artefact("model") == "nights/night=2017-06-30/model"


@given(day=st.dates(date(1990, 1, 1), date(2025, 1, 1)), window=st.integers(2, 400), data=st.data())
def test_every_window_holds_training_days_and_held_out_days(day: date, window: int, data: st.DataObject) -> None:
    held_out = data.draw(st.integers(1, window - 1))
    night = Night.of(day, Settings(window_days=window, held_out_days=held_out))
    assert len(night.window) == len(set(night.window)) == window
    assert night.window == sorted(night.window)
    assert sum(each >= night.first_held_out_day for each in night.window) == held_out


@pytest.mark.parametrize("day", ["30.06.2017", "2017-02-30", "", "today", "2017-6-1"])
def test_a_night_is_written_as_a_day(day: str) -> None:
    with pytest.raises(BadInput, match=rf"YYYY-MM-DD, got '{day}'"):
        Night.of(day, SETTINGS)


def test_a_night_in_the_future_is_refused_and_today_is_not() -> None:
    today = datetime.now(UTC).date()
    assert Night.of(today, SETTINGS).day == today
    with pytest.raises(BadInput, match="in the future"):
        Night.of(today + timedelta(days=2), SETTINGS)


@pytest.mark.parametrize("day", ["0001-01-01", "0217-06-30", "1989-12-31"])
def test_a_mistyped_night_is_refused_at_once(day: str) -> None:
    with pytest.raises(BadInput, match=rf"night {day} is before 1990-01-01.*mistyped"):
        Night.of(day, Settings(_env_file=None))
    assert Night.of("1990-01-01", Settings(_env_file=None)).window[0].year == 1989
