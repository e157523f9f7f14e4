"""Records of CSV over line ends, against a reader that takes one character after the other."""

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.ingest import csv_records, lines, text_files
from tests.tasks.ingest.test_text_files import BYTES, GOOD, HEADER, Parsing, parse

__all__ = ["parse"]

COLUMNS = HEADER.count(b",") + 1


def ends_within_quotes(line: bytes) -> bool:
    """A quote counts in front of a field alone, and is doubled within one."""
    state = "start"
    for place, letter in enumerate(line):
        if state == "quoted":
            if letter == ord('"') and line[place + 1 : place + 2] != b'"' and not doubles(line, place):
                state = "closed"
        elif letter == ord(","):
            state = "start"
        elif state == "start":
            state = "quoted" if letter == ord('"') else "plain"
    return state == "quoted"


def doubles(text: bytes, place: int) -> bool:
    """Whether the quote at a place is the second of a pair, counted from where the quotes before it begin."""
    begin = place
    while begin and text[begin - 1 : begin] == b'"':
        begin -= 1
    opens = begin == 0 or text[begin - 1 : begin] in (b",", b"\n")  # the first of the run opens the field
    return (place - begin - opens) % 2 == 1


def end_of_record(text: bytes) -> int | None:
    """The size of the record in front, None where a field does not end as its quotes do."""
    place = 0
    while True:
        if text[place : place + 1] == b'"':
            place += 1
            while (close := text.find(b'"', place)) >= 0 and text[close + 1 : close + 2] == b'"':
                place = close + 2
            if close < 0:
                return None
            place = close + 1
            if text[place : place + 2] == b"\r\n":
                place += 1
            elif text[place : place + 1] not in (b",", b"\n"):
                return None
        else:
            while place < len(text) and text[place : place + 1] not in (b",", b"\n"):
                place += 1
        if place >= len(text):
            return None
        place += 1
        if text[place - 1 : place] == b"\n":
            return place


def first_lines(content: bytes, most: int) -> Iterator[int]:
    """The line in which each record begins, blank lines left out, after the rule that csv_records states."""
    rows = content.split(b"\n")
    number = 0
    while number < len(rows):
        last = number
        if ends_within_quotes(rows[number]):
            size = end_of_record(b"\n".join([*rows[number:], b""])[:most])
            if size:
                last = number + b"\n".join([*rows[number:], b""])[:size].count(b"\n") - 1
                within = [row.count(b",") == COLUMNS - 1 for row in rows[number + 1 : last + 1]]
                if len(within) > 1 and 2 * sum(within) > len(within):
                    last = number
        if last > number or rows[number] not in (b"", b"\r"):
            yield number + 1
        number = last + 1


QUOTED = st.lists(
    st.one_of(
        BYTES.filter(lambda text: len(text) < 9),
        st.sampled_from([b'"a\nb"', b'"', b'""', b"\n", b",", b"x", b'"\r\n"']),
    ),
    max_size=14,
).map(b"".join)


@given(content=BYTES | QUOTED, block=st.integers(1, 40))
@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_record_is_a_row_or_unreadable_whatever_the_bytes(
    parse: Parsing, monkeypatch: pytest.MonkeyPatch, content: bytes, block: int
) -> None:
    for module, name, size in ((text_files, "BLOCK_BYTES", block), (text_files, "HEAD_BYTES", block)):
        monkeypatch.setattr(module, name, size)
    for module in (lines, csv_records):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", 40)
    rows = parse("log.csv", HEADER + content, must=())
    expected = [number + 1 for number in first_lines(content, 40)]
    assert sorted([row["line"] for row in rows] + [line for line, _ in parse.unreadable]) == expected


ENDS = ["\n", "\r\n"]
FIELDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), min_size=3, max_size=3)


@given(
    rows=st.lists(FIELDS, min_size=1, max_size=6), written=st.tuples(st.sampled_from(",;\t|"), st.sampled_from(ENDS)),
    block=st.integers(1, 60), encoding=st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "utf-16-be", "gb18030"]),
)  # fmt: skip
@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_a_valid_writer_writes_is_read(
    parse: Parsing, monkeypatch, rows: list[list[str]], written: tuple[str, str], block: int, encoding: str
) -> None:
    """The csv module writes, and is the reference; no line within quotes looks like a row."""
    delimiter, end = written
    monkeypatch.setattr(text_files, "BLOCK_BYTES", block)
    content = io.StringIO(newline="")
    writer = csv.writer(content, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    names = HEADER.decode().strip().split(",")
    rows = [[text.replace(delimiter, "") for text in row] for row in rows]
    writer.writerows([names, *rows])
    found = parse("log.csv", content.getvalue().encode(encoding), encoding=encoding.removesuffix("-sig"))
    assert [[row[name] for name in names] for row in found] == [
        [without_fraction(name, text) for name, text in zip(names, row, strict=True)] for row in rows
    ]
    assert not parse.unreadable


def without_fraction(name: str, text: str) -> str:
    whole, dot, zeros = text.partition(".")
    is_whole = whole.removeprefix("-").isdigit() and whole.isascii() and zeros and not zeros.strip("0")
    return whole if dot and is_whole and name.endswith("_id") else text


def test_a_stray_quote_costs_its_line_and_no_other_however_often(parse: Parsing) -> None:
    stray = b'2017-06-30,s,"p\n'
    rows = parse("log.csv", HEADER + (stray + GOOD * 3) * 200)
    assert len(rows) == 600
    assert parse.unreadable == [(2 + 4 * place, "a quote never closes") for place in range(200)]


def test_html_in_quotes_is_one_record_and_a_wrong_one_is_refused_as_one(parse: Parsing) -> None:
    html = b'2017-06-30,"<p>A mug, ""hand made"".</p>\n<ul>\r\n<li>blue, 350 ml</li>\n</ul>",p\n'
    rows = parse("log.csv", HEADER + html + GOOD + html.replace(b",p\n", b",p,q\n") + GOOD)
    assert [row["line"] for row in rows] == [2, 6, 11]
    assert rows[0]["session_id"] == '<p>A mug, "hand made".</p>\n<ul>\r\n<li>blue, 350 ml</li>\n</ul>'
    assert parse.unreadable == [(7, "4 columns, not 3")]


def test_a_record_is_bounded(parse: Parsing) -> None:
    long = b'2017-06-30,s,"' + b"x\n" * csv_records.MAX_RECORD_LINES + b'"\n'
    rows = parse("log.csv", HEADER + long + GOOD)
    assert [row["line"] for row in rows] == [csv_records.MAX_RECORD_LINES + 3]
    assert parse.unreadable[0] == (2, "a quote never closes")
    big = b'2017-06-30,s,"' + (b"x" * 9_999 + b"\n") * 200 + b'"\n'
    assert [row["line"] for row in parse("log.csv", HEADER + big + GOOD)] == [203]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"sep=;\r\nevent_time;session_id;product_id\r\nt;s;p\r\n", [3]),
        (b'"sep=|"\nevent_time|session_id|product_id\nt|s|p\n', [3]),
        (b"Event_Time, SESSION_ID ,Product_ID\nt,s,p\n", [2]),
        (b"event_time,session_id,product_id,,\nt,s,p,,\n", [2]),
        (b"event_time,session_id,product_id\nt,s,p,,,\nt,s,p\nt,s,p,x,\nt,s,\"p\",\n", [2, 3, 5]),
        (b'event_time;session_id;product_id;"a,b,c,d,e"\nt;s;p;\n', [2]),
        (b"event_time\tsession_id\tproduct_id\nt\ts\t5\" tv\n", [2]),
        (b"event_time,session_id,product_id\rt,s,p\rt,s,p\r", [2, 3]),
        (b'"event\ntime",session_id,product_id,event_time\nx,s,p,t\n', [3]),
    ],
)  # fmt: skip
def test_what_spreadsheets_write(parse: Parsing, content: bytes, rows: list[int]) -> None:
    found = parse("log.csv", content)
    assert [row["line"] for row in found] == rows
    assert {(row["event_time"], row["session_id"]) for row in found} == {("t", "s")}


def test_a_file_without_a_header_and_another_charset(parse: Parsing) -> None:
    written = {"header": ["session_id", "event_time", "product_id"], "encoding": "cp1252"}
    (row,) = parse("clicks.dat", "s,t,caf\u00e9 \u20ac".encode("cp1252"), **written)
    assert (row["session_id"], row["product_id"], row["line"]) == ("s", "caf\u00e9 \u20ac", 1)
    rows = parse("clicks.dat", b"s;t;p\ns;t;\x81\n", **written)  # \x81 is none of cp1252
    assert [row["line"] for row in rows] == [1]
    assert [line for line, _ in parse.unreadable] == [2]
