"""Whether some values are times, and how they are written: as ISO 8601, as a number of a unit, or in a format."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from tasks.ingest.time_spellings import SPELLINGS
from tasks.ingest.times import PER_SECOND as UNITS

FIRST, LAST = datetime(1995, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)  # no shop clicks before and after
ISO_LIKE = re.compile(
    r"^\s*(\d{4}-\d{2}-\d{2}|\d{8})(?:[Tt ](\d{1,2}:?\d{2}(?::?\d{2}(?:[.,]\d+)?)?))?"
    r"\s*(Z|z|UTC|[+-]\d{2}(?::?\d{2})?(?: UTC)?)?(\[[\w/+-]+\])?\s*$"
)
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M:%S", ", %H:%M", "T%H:%M:%S")
OTHERS = ("%d/%b/%Y:%H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT", "%d %b %Y %H:%M:%S", "%b %d, %Y %H:%M:%S", "%d-%b-%Y")
FORMATS = (*(day + clock for day in DAYS for clock in CLOCKS), *OTHERS)
SPELLED = [re.compile(spelling) for spelling in SPELLINGS]
LOOKED_AT = 2_000
LEAST_SHARE = 0.9


@dataclass(frozen=True)
class TimeShape:
    """How times are written.

    kind: typed (a column of times), iso, number (of `unit`), format (of `time_format`, as strptime writes it) or
    spelled (in another way that the ingest reads by itself);
    share: of the values that are written so; has_zone: whether they say their offset from UTC; ambiguous: another
    format that all values fit, in which day and month change places.
    """

    kind: str
    share: float
    unit: str | None = None
    time_format: str | None = None
    has_zone: bool = False
    ambiguous: str | None = None

    @property
    def described(self) -> str:
        """In words."""
        if self.kind == "number":
            names = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
            return f"{names[self.unit or 's']} since 1970"
        if self.kind == "format":
            return f"times written {self.time_format}"
        if self.kind == "typed":
            return "a column of times"
        if self.kind == "spelled":
            return "times in a spelling that is read as it is"
        return "times as ISO 8601 writes them, " + ("with" if self.has_zone else "without") + " an offset"


def time_shape(values: Sequence[Any]) -> TimeShape | None:
    """How these values are written as times; None where fewer than LEAST_SHARE of them are."""
    some = values[:: max(-(-len(values) // LOOKED_AT), 1)]
    if not some:
        return None
    for shape in (_typed(some), _iso([str(value) for value in some]), _number(some)):
        if shape and shape.share >= LEAST_SHARE:
            return shape
    texts = [str(value) for value in some]
    return _formatted(texts) or _spelled(texts)


def _typed(values: Sequence[Any]) -> TimeShape | None:
    times = [value for value in values if isinstance(value, date)]
    if not times:
        return None
    return TimeShape("typed", len(times) / len(values), has_zone=bool(getattr(times[0], "tzinfo", None)))


def _iso(texts: Sequence[str]) -> TimeShape | None:
    found = [match for match in map(ISO_LIKE.match, texts) if match and not _is_only_number(match[0])]
    zones = sum(bool(match[3]) for match in found)
    return TimeShape("iso", len(found) / len(texts), has_zone=zones > len(found) / 2)


def _is_only_number(text: str) -> bool:
    """Eight digits are a day only where they are one of this age."""
    text = text.strip()
    return text.isdigit() and not ("1995" <= text[:4] <= "2100" and "01" <= text[4:6] <= "12" and text[6:8] <= "31")


def _number(values: Sequence[Any]) -> TimeShape | None:
    shapes = []
    for unit, a_second in UNITS.items():
        first, last = FIRST.timestamp() * a_second, LAST.timestamp() * a_second
        fitting = sum(number is not None and first <= number <= last for number in map(_as_number, values))
        shapes.append(TimeShape("number", fitting / len(values), unit=unit))
    return max(shapes, key=lambda shape: shape.share)


def _as_number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _formatted(texts: Sequence[str]) -> TimeShape | None:
    shares = {each: sum(_fits(text, each) for text in texts) / len(texts) for each in FORMATS if _fits(texts[0], each)}
    shares |= {
        each: sum(_fits(text, each) for text in texts) / len(texts) for each in FORMATS if _fits(texts[-1], each)
    }
    good = {each: share for each, share in shares.items() if share >= LEAST_SHARE}
    if not good:
        return None
    best = max(good, key=lambda each: good[each])  # of equal ones the first of FORMATS: day before month
    swapped = best.replace("%d", "%x").replace("%m", "%d").replace("%x", "%m")
    ambiguous = swapped if swapped != best and good.get(swapped) == good[best] else None
    return TimeShape("format", good[best], time_format=best, has_zone="%z" in best, ambiguous=ambiguous)


def _spelled(texts: Sequence[str]) -> TimeShape | None:
    found = [match for text in texts if (match := next(filter(None, (each.match(text) for each in SPELLED)), None))]
    found = [match for match in found if not _is_only_number(match[0])]
    zones = sum(bool(match.groupdict().get("offset")) for match in found)
    shape = TimeShape("spelled", len(found) / len(texts), has_zone=zones > len(found) / 2)
    return shape if shape.share >= LEAST_SHARE else None


def _fits(text: str, time_format: str) -> bool:
    try:
        datetime.strptime(text.strip(), time_format)
    except ValueError:
        return False
    return True
