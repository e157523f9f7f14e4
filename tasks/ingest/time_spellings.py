"""Times as writers spell them: patterns of a date and a time of day, and how their parts become ISO 8601."""

import re
from collections.abc import Mapping, Sequence

import ibis

PARTS = ("year", "month", "name", "day", "hour", "minute", "second", "fraction", "half", "offset")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_NAME = rf"(?P<name>{'|'.join(MONTHS)})[a-z]*\.?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?"
_CLOCK = (
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?:[:.](?P<second>\d\d)(?:[.,](?P<fraction>\d{1,30}))?)?"
    r"(?:\s?(?P<half>[ap])\.?m\.?)?"
)
_OFFSET = r"z|(?:utc|gmt)?\s?[+-](?:0\d|1[0-4])(?::?[0-5]\d)?|utc|gmt"
# An offset, and what some writers say twice: +02:00[Europe/Berlin], +0000 UTC, GMT+0200 (Central European Summer Time).
_ZONE = rf"\s*(?:(?P<offset>{_OFFSET})(?:\s?\[[\w/+:-]+\]|\s\([^()]+\)|\s[a-z]{{3,5}})?)?"

# Of one meaning each. Case is no matter.
SPELLINGS = tuple(
    rf"(?i)^\s*\[?{spelling}\]?\s*$"
    for spelling in (
        # log4j, Java, Go, Snowflake, PostgreSQL, DB2: 2017-06-30 10:00:00,123; 2017/6/30 9:05
        rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?:(?:[t_-]|,?\s+){_CLOCK})?{_ZONE}",
        # basic ISO 8601: 20170630T100000Z
        r"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)"
        rf"(?:[t\s]?(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{{1,30}}))?)?{_ZONE})?",
        # Apache, Oracle, HTTP: 30/Jun/2017:10:00:00 +0000; 30-JUN-17 10.00.00 AM; Fri, 30 Jun 2017 10:00:00 GMT
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[\s/.-]{_NAME}[\s/.,-]+(?P<year>\d{{4}}|\d\d)(?:(?:,?\s+|:|t){_CLOCK})?{_ZONE}",
        # JavaScript, Java's DateFormat: Fri Jun 30 2017 10:00:00 GMT+0200 (...); Jun 30, 2017, 10:00:00 AM
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}}),?\s+(?P<year>\d{{4}})(?:,?\s+{_CLOCK})?{_ZONE}",
        # ctime, Java's Date: Fri Jun 30 10:00:00 UTC 2017
        rf"{_WEEKDAY}{_NAME}\s+(?P<day>\d{{1,2}})\s+{_CLOCK}{_ZONE}\s+(?P<year>\d{{4}})",
    )
)

# 03/04/2017 is March or April; CST is Chicago or Shanghai.
AMBIGUOUS = (
    r"(?i)^\s*\d{1,2}[/.-]\d{1,2}[/.-](?:\d{4}|\d\d)(?:\D.*)?$"
    r"|\d:\d\d(?:[:.,]\d+)*(?:\s?[ap]m)?\s+[a-z]{3,5}(?:\s+\d{4})?\s*$"
)

# strptime's, with what each stands for here.
DIRECTIVES = {
    "Y": r"(?P<year>\d{4})",
    "y": r"(?P<year>\d\d)",
    "m": r"(?P<month>\d{1,2})",
    "b": _NAME,
    "B": _NAME,
    "d": r"(?P<day>\d{1,2})",
    "H": r"(?P<hour>\d{1,2})",
    "I": r"(?P<hour>\d{1,2})",
    "M": r"(?P<minute>\d{1,2})",
    "S": r"(?P<second>\d{1,2})",
    "f": r"(?P<fraction>\d{1,30})",
    "p": r"(?P<half>[ap])\.?m\.?",
    "z": rf"(?P<offset>{_OFFSET})",
    "Z": r"(?P<offset>utc|gmt|z)",
    "a": r"[a-z]+\.?",
    "A": r"[a-z]+\.?",
    "%": "%",
}


def pattern_of(time_format: str) -> str:
    """The pattern of a format of strptime.

    Raises ValueError for a directive that is none of DIRECTIVES, one that comes twice, and a format without a day.
    """
    pattern = ""
    for directive, blanks, literal in re.findall(r"%(.?)|(\s+)|([^%\s]+)", time_format):
        if not (blanks or literal) and directive not in DIRECTIVES:
            raise ValueError(f"time_format knows %{', %'.join(DIRECTIVES)}, got %{directive} in {time_format!r}")
        pattern += r"\s+" if blanks else re.escape(literal) or DIRECTIVES[directive]
    pattern = rf"(?i)^\s*{pattern}\s*$"
    try:
        parts = re.compile(pattern).groupindex.keys()
    except re.error as error:
        raise ValueError(f"time_format must say each part of a time once, got {time_format!r}: {error}") from None
    if not {"year", "day"} <= parts or not {"month", "name"} & parts or ("second" in parts and "minute" not in parts):
        raise ValueError(
            f"time_format must have a year, a month and a day, got {time_format!r}: write %d/%m/%Y %H:%M:%S"
        )
    return pattern


def parts_of(text: ibis.Value, patterns: Sequence[str], engine: str) -> ibis.Value:
    """The PARTS of a time with @ between, by the first of the patterns that it matches; null where it matches none."""
    return ibis.cases(*(_parts(text, pattern, engine) for pattern in patterns), else_=ibis.null("string"))


def _parts(text: ibis.Value, pattern: str, engine: str) -> tuple[ibis.Value, ibis.Value]:
    places = re.compile(pattern).groupindex
    plain = re.sub(r"\(\?P<\w+>", "(", pattern)  # each engine writes a group's name, and refers to it, in its own way
    mark = "\\" if engine == "duckdb" else "$"
    return text.re_search(plain), text.re_replace(
        plain, "@".join(f"{mark}{places[p]}" if p in places else "" for p in PARTS)
    )


def as_iso(parts: ibis.Value) -> ibis.Value:
    """A time as ISO 8601 writes it, of its parts; what cannot be is left to whoever reads that."""
    part = {name: parts.split("@")[place] for place, name in enumerate(PARTS)}
    day = _year(part["year"]) + "-" + _month(part) + "-" + _two_digits(part["day"])
    return day + ibis.ifelse(part["hour"] == "", "", _clock(part)) + _offset(part["offset"].upper())


def _year(year: ibis.Value) -> ibis.Value:
    """Of two digits, 69 to 99 are of the last century, as strptime has it."""
    century = ibis.ifelse(year < "69", "20", "19")
    return ibis.ifelse(year.length() == 2, century + year, year)


def _month(part: Mapping[str, ibis.Value]) -> ibis.Value:
    numbers = ((name, f"{number:02d}") for number, name in enumerate(MONTHS, 1))
    return part["name"].lower().cases(*numbers, else_=_two_digits(part["month"]))


def _two_digits(number: ibis.Value) -> ibis.Value:
    return (ibis.literal("00") + number).right(2)


def _clock(part: Mapping[str, ibis.Value]) -> ibis.Value:
    """A blank and HH:MM:SS.FFFFFF; 00 for what is not said."""
    clock = ibis.literal(" ") + _hour(part) + ":" + _two_digits(part["minute"]) + ":" + _two_digits(part["second"])
    return clock + ibis.ifelse(part["fraction"] == "", "", ibis.literal(".") + part["fraction"].left(6))


def _hour(part: Mapping[str, ibis.Value]) -> ibis.Value:
    """Of the day, where it may be one of half a day; 99, which no clock shows, where it can be neither."""
    number = part["hour"].try_cast("int64")
    of_day = number % 12 + ibis.ifelse(part["half"].lower() == "p", 12, 0)
    of_day = ibis.ifelse(number.between(1, 12), _two_digits(of_day.cast("string")), "99")
    return ibis.ifelse(part["half"] == "", _two_digits(part["hour"]), of_day)


def _offset(offset: ibis.Value) -> ibis.Value:
    return ibis.ifelse(offset.isin(("UTC", "GMT")), "Z", offset.re_extract(r"([+-].*|Z)$", 1))
