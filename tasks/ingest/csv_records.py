"""Which lines of a CSV are one record: where a quote opens and goes over line ends, and where it was never meant to."""

import re
from typing import NamedTuple

import numpy as np

from tasks.ingest.lines import (
    HOLDS_RETURN,
    MAX_LINE_BYTES,
    MAX_RECORD_LINES,
    NEWLINE,
    QUOTE,
    RETURN,
    Flags,
    Lines,
    Records,
)
from tasks.ingest.parsed_file import Numbers

TAB = ord("\t")
SPARE_COLUMNS = 16  # of a record beyond those of the header, with which it is still known for one
NEVER_CLOSES = "a quote never closes"
WITHIN_QUOTES = re.compile(rb'"(?:[^"]++|"")*+"')


class Dialect(NamedTuple):
    """What a record looks like: the delimiter, how many columns it has, and patterns of a record and of an open line.

    columns: None where that is not known yet. is_whole matches a record up to its line end, of which every quote that
    opens in front of a field closes behind it; ends_open matches a line that ends within quotes.
    """

    delimiter: int
    columns: int | None
    is_whole: re.Pattern[bytes]
    ends_open: re.Pattern[bytes]

    @classmethod
    def of(cls, delimiter: bytes, columns: int | None) -> "Dialect":
        """The patterns for a delimiter."""
        d = re.escape(delimiter)
        quoted, plain = WITHIN_QUOTES.pattern, rb'[^"\n' + d + rb"][^\n" + d + rb"]*+"
        field = rb"(?:" + quoted + rb"(?=" + d + rb"|\r?\n)|" + plain + rb"|)"
        closed = rb"(?:" + quoted + rb"[^" + d + rb"]*+|" + plain + rb"|)"
        # Bounded: after a stray quote a match would go on over many lines.
        most = b"*+" if columns is None else b"{0,%d}+" % (columns + SPARE_COLUMNS)
        whole = re.compile(field + rb"(?:" + d + field + rb")" + most + rb"\r?\n")
        return cls(delimiter[0], columns, whole, re.compile(rb"(?:" + closed + d + rb')*+"(?:[^"]++|"")*+'))


def csv_records(lines: Lines, dialect: Dialect, *, is_last: bool) -> tuple[Records, int]:
    """The records of whole lines, and how many lines belong to them; the others begin a record that goes on.

    A record may go over MAX_RECORD_LINES lines and MAX_LINE_BYTES bytes. A line that ends within quotes is a record
    with those after it, up to where the quotes close at a field's end. Where they do not, or most of the lines after it
    look like rows themselves, the quote is a stray one: that line alone is unreadable, and reading goes on after it.
    """
    to_look_at = _unusual(lines, dialect)
    records = Records.of(lines)
    if not len(to_look_at) and HOLDS_RETURN not in records.faults:
        return records, len(lines)
    last, never_closes = np.arange(len(lines)), np.zeros(len(lines), bool)  # of the record that a line begins
    free, taken = 0, len(lines)
    for i in to_look_at.tolist():
        if i < free:
            continue
        if not dialect.ends_open.fullmatch(lines.block.content, lines.starts[i], lines.ends[i]):
            never_closes[i] = dialect.delimiter != TAB and _quotes(i, lines) % 2 == 1  # values with tabs have no quotes
            continue
        end = _end_of(i, lines, dialect)
        if end is None and not is_last and _may_go_on(i, lines):
            taken = i
            break
        if end is None or _are_rows(lines, i + 1, end, dialect):
            never_closes[i] = True
        else:
            last[i], free = end, end + 1
    return _joined(records, lines, last, never_closes, taken), taken


def _unusual(lines: Lines, dialect: Dialect) -> Numbers:
    """Lines with quotes that do not open in front of a field and close behind it, in turn."""
    if b'"' not in lines.block.content:
        return np.empty(0, np.int64)
    data = lines.data
    is_quote = data == QUOTE
    places, of_line = np.flatnonzero(is_quote), lines.count(is_quote)
    at_field = np.zeros(256, bool)
    at_field[[dialect.delimiter, NEWLINE, QUOTE]] = True
    at_field_end = at_field.copy()
    at_field_end[RETURN] = True
    before = data[places - 1]
    before[:1] = NEWLINE if places[0] == 0 else before[:1]
    after = data[places + 1]
    if not (of_line % 2).any() and at_field[before[::2]].all() and at_field_end[after[1::2]].all():
        return np.empty(0, np.int64)  # as almost always
    opens = (np.arange(len(places)) - np.repeat(of_line.cumsum() - of_line, of_line)) % 2 == 0
    fits = np.where(opens, at_field[before], at_field_end[after])
    unusual = of_line % 2 == 1
    unusual[np.repeat(np.arange(len(lines)), of_line)[~fits]] = True
    return np.flatnonzero(unusual)


def _quotes(i: int, lines: Lines) -> int:
    return lines.block.content.count(b'"', lines.starts[i], lines.ends[i])


def _end_of(i: int, lines: Lines, dialect: Dialect) -> int | None:
    """The line in which the record of line i ends, None where it does so nowhere within the bounds."""
    bound = lines.ends[min(i + MAX_RECORD_LINES, len(lines)) - 1] + 1
    found = dialect.is_whole.match(lines.block.content, lines.starts[i], min(bound, lines.starts[i] + MAX_LINE_BYTES))
    return int(np.searchsorted(lines.ends, found.end() - 1)) if found else None


def _may_go_on(i: int, lines: Lines) -> bool:
    return len(lines) - i < MAX_RECORD_LINES and len(lines.data) - lines.starts[i] < MAX_LINE_BYTES


def _are_rows(lines: Lines, first: int, last: int, dialect: Dialect) -> bool:
    """Whether lines within quotes are rows rather: two or more, and most have all columns, as chance rarely gives."""
    if dialect.columns is None or last == first or (last + 1 - first) * (dialect.columns - 1) < 4:
        return False
    within = lines.data[lines.starts[first] : lines.ends[last]] == dialect.delimiter
    counts = np.add.reduceat(within, lines.starts[first : last + 1] - lines.starts[first], dtype=np.int64)
    return bool(2 * np.count_nonzero(counts == dialect.columns - 1) > len(counts))


def _joined(records: Records, lines: Lines, last: Numbers, never_closes: Flags, taken: int) -> Records:
    """Records of one line or several, from those of one line each."""
    is_within = np.zeros(len(lines) + 1, np.int64)
    several = np.flatnonzero(last > np.arange(len(lines)))
    np.add.at(is_within, several + 1, 1)
    np.add.at(is_within, last[several] + 1, -1)
    first = np.flatnonzero(is_within.cumsum()[:taken] == 0)
    if not len(first):
        return Records(b"", first, first, first, {}, first.astype(bool))
    faults = dict(records.faults)
    if HOLDS_RETURN in faults:
        faults[HOLDS_RETURN] = _returns_outside_quotes(records, faults[HOLDS_RETURN], lines, last)
    faults = {why: np.logical_or.reduceat(flags[:taken], first) for why, flags in faults.items()}
    faults[NEVER_CLOSES] = never_closes[first]
    ends = records.ends[last[first]]
    blank = records.blank[first] & (last[first] == first)
    content = records.content[: records.ends[taken - 1] + 1]
    return Records(content, records.starts[first], ends, records.numbers[first], faults, blank)


def _returns_outside_quotes(records: Records, has_return: Flags, lines: Lines, last: Numbers) -> Flags:
    """A carriage return may stand within quotes."""
    outside = np.zeros(len(lines), bool)
    of_record = np.maximum.accumulate(np.where(last > np.arange(len(lines)), np.arange(len(lines)), -1))
    for i in np.flatnonzero(has_return):
        first = of_record[i] if of_record[i] >= 0 and last[of_record[i]] >= i else i
        text = records.content[records.starts[first] : records.ends[last[first]]]
        outside[i] = b"\r" in WITHIN_QUOTES.sub(b"", text).removesuffix(b"\r")
    return outside
