"""The time of a row in UTC: a typed time, a number from 1970, or a text in one of many spellings."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

import ibis

from tasks.ingest.engine import Step, composed_by_java, has_rows, named
from tasks.ingest.log_format import LogFormat
from tasks.ingest.time_spellings import SPELLINGS, as_iso, parts_of, pattern_of

EVENT_TIME, TIME_TEXT, DELIVERED = "event_time", "time_text", "delivered"
EARLIEST, LATEST = datetime(1, 1, 2), datetime(9999, 12, 30)  # Python's own times hold these in every zone
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
EPOCH = datetime(1970, 1, 1)
MICROSECONDS = 10**6
WHOLE_NUMBER, NUMBER = r"^\s*[+-]?\d{1,18}\s*$", r"^\s*[+-]?\d+\.?\d*([eE][+-]?\d+)?\s*$"

# A day, perhaps a time, perhaps an offset; the name of a zone is no offset.
OFFSET = r"[Zz]|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?"
ISO_8601 = r"^\s*(\d{4}-\d{2}-\d{2})(?:[Tt ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,30})?)?))?\s*(" + OFFSET + r")?\s*$"


class Change(NamedTuple):
    """When a zone's clocks change, as they show it, and the minutes that they are ahead of UTC until then."""

    until: datetime
    minutes: int


class LocalTime(NamedTuple):
    """How far the clocks of a zone are ahead of UTC: minutes before each change, and after the last."""

    changes: Sequence[Change]
    minutes: int

    @classmethod
    def of(cls, zone: str | None, first: date, last: date) -> "LocalTime":
        """The zone's clocks from one day to another; None: UTC.

        An hour that comes twice counts as the first, one that is left out as if clocks had not been changed yet: fold 0
        of PEP 495, and what Java does.
        """
        if zone is None:
            return UTC_CLOCKS
        clock, changes = ZoneInfo(zone), list[Change]()
        begin, end = (datetime.combine(day, time(), UTC) for day in (first, last + timedelta(days=1)))
        hours = [begin + timedelta(hours=hour) for hour in range(int((end - begin) / timedelta(hours=1)) + 1)]
        minutes = [_minutes(hour, clock) for hour in hours]
        for before, (old, new) in zip(hours, pairwise(minutes), strict=False):
            if old != new:
                at = next(minute for minute in _minutes_of(before) if _minutes(minute, clock) != old)
                changes.append(Change(at.replace(tzinfo=None) + timedelta(minutes=max(old, new)), old))
        return cls(changes, minutes[-1])

    def ahead(self, local: ibis.Value) -> ibis.Value:
        """Minutes that the clocks are ahead of UTC when they show a time."""
        if not self.changes:
            return ibis.literal(self.minutes, "int64")
        ahead = [(local < change.until, ibis.literal(change.minutes, "int64")) for change in self.changes]
        return ibis.cases(*ahead, else_=ibis.literal(self.minutes, "int64"))


UTC_CLOCKS = LocalTime((), 0)


def _minutes(moment: datetime, clock: ZoneInfo) -> int:
    offset = moment.astimezone(clock).utcoffset() or timedelta()
    return round(offset / timedelta(minutes=1))


def _minutes_of(hour: datetime) -> list[datetime]:
    return [hour + timedelta(minutes=minute) for minute in range(61)]


def with_times(rows: ibis.Table, log_format: LogFormat, local: LocalTime, step: Step = named) -> ibis.Table:
    """The rows with event_time, in UTC, null where it cannot be read; without `delivered`, which it is made of.

    rows: delivered, the time as it was delivered, and time_text, the same as text. Of a time that is one by its type
    and can be read, time_text becomes null: it has no spelling of its own.
    """
    dtype, text = rows[DELIVERED].type(), rows[TIME_TEXT]
    if dtype.is_timestamp() or dtype.is_date():
        moment = _typed(rows[DELIVERED], local)
        times = {EVENT_TIME: moment, TIME_TEXT: ibis.ifelse(moment.isnull(), text, None)}
    elif log_format.time_unit:
        times = {EVENT_TIME: _counted(text, log_format.time_unit)}
    elif log_format.time_format:
        rows = _spelled_out(rows.mutate(exact=ibis.null("timestamp")), [pattern_of(log_format.time_format)], step)
        times = {EVENT_TIME: _iso_8601(rows.spelled, local)}
    else:
        rows = step(rows.mutate(exact=_iso_8601(text, local)))
        if not has_rows(rows.filter(rows.exact.isnull() & rows[TIME_TEXT].notnull())):  # to plan the rest takes longer
            return rows.drop(DELIVERED).rename({EVENT_TIME: "exact"})
        rows = _spelled_out(rows, SPELLINGS, step)
        times = {EVENT_TIME: ibis.coalesce(rows.exact, _iso_8601(rows.spelled, local))}
    return rows.mutate(**times).drop(set(rows.columns) & {DELIVERED, "exact", "parts", "spelled"})


def _spelled_out(rows: ibis.Table, patterns: Sequence[str], step: Step) -> ibis.Table:
    """The rows with `spelled`: where `exact` is null, time_text as ISO 8601 writes it.

    Step by step, because each uses what the one before has made several times.
    """
    rows = step(rows)
    engine = rows.get_backend().name
    rows = step(rows.mutate(parts=ibis.ifelse(rows.exact.isnull(), parts_of(rows[TIME_TEXT], patterns, engine), None)))
    spelled = ibis.ifelse(rows.parts.isnull(), None, as_iso(rows.parts))
    if engine != "duckdb":  # Spark pulls conditions, and all that they are made of, through whatever it can foresee
        spelled = composed_by_java(spelled)
    return step(rows.mutate(spelled=spelled))


def _typed(column: ibis.Value, local: LocalTime) -> ibis.Value:
    dtype = column.type()
    moment = column.try_cast("timestamp")  # the engine works in UTC
    moment = ibis.ifelse(moment.between(EARLIEST, LATEST), moment, None)
    is_moment = dtype.is_timestamp() and dtype.timezone is not None
    return moment if is_moment else moment - local.ahead(moment).as_interval("m")


def _counted(text: ibis.Value, unit: str) -> ibis.Value:
    """From 1970 on; a number with a fraction, or as a double is written, to the microsecond."""
    per_second = PER_SECOND[unit]
    first, last = (int((limit - EPOCH).total_seconds()) for limit in (EARLIEST, LATEST))
    whole, number = text.try_cast("int64"), text.try_cast("float64")
    exact = whole * (MICROSECONDS // per_second) if per_second <= MICROSECONDS else whole // 1000
    rounded = (number * MICROSECONDS / per_second).round().cast("int64")
    fits = number.between(float(first * per_second), float(last * per_second))
    microseconds = ibis.cases(
        (text.re_search(WHOLE_NUMBER) & fits, exact), (text.re_search(NUMBER) & fits, rounded), else_=ibis.null("int64")
    )
    return ibis.literal(EPOCH) + microseconds.as_interval("us")


def _iso_8601(text: ibis.Value, local: LocalTime) -> ibis.Value:
    """Times with an offset moved to UTC, times without one as clocks of the zone show them, anything else null."""
    text = text.re_search(ISO_8601).ifelse(text, None)
    shown = (text.re_extract(ISO_8601, 1) + " " + _or_midnight(text.re_extract(ISO_8601, 2))).try_cast("timestamp")
    return shown - _offset_minutes(text.re_extract(ISO_8601, 3), local.ahead(shown)).as_interval("m")


def _or_midnight(time: ibis.Value) -> ibis.Value:
    return ibis.cases(
        (time == "", "00:00:00"), (time.length() == len("10:00"), time + ":00"), else_=time.left(15).replace(",", ".")
    )


def _offset_minutes(offset: ibis.Value, without: ibis.Value) -> ibis.Value:
    """+02:00, +0200 and +02 as 120; Z and UTC as 0; nothing as what holds without."""
    digits = offset.re_replace(r"\D", "")
    size = digits.left(2).try_cast("int64") * 60 + ibis.ifelse(digits.length() > 2, digits.right(2), "0").try_cast(
        "int64"
    )
    minutes = ibis.ifelse(offset.startswith("-"), -size, size)
    return ibis.cases((offset == "", without), (digits == "", 0), else_=minutes)
