import gzip
import json
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.errors import BadInput
from tasks.ingest import lines as lines_module
from tasks.ingest import text_files, unreadable
from tasks.ingest.file_format import FileFormat
from tasks.ingest.input_files import Bounds
from tasks.ingest.json_array import elements
from tasks.ingest.kinds import kind_of
from tasks.ingest.nested import DECODER
from tasks.ingest.parsed_file import ParsedFile
from tasks.ingest.presets import Of
from tasks.ingest.text_files import text_to_parquet
from tasks.ingest.unreadable import Unreadable
from tasks.settings import Settings


class Three(FileFormat):
    """Of these columns alone; required: those that a file must have."""

    of: ClassVar[Of] = "log"

    must: tuple[str, ...] = ("event_time", "session_id", "product_id")

    @property
    def required(self) -> tuple[str, ...]:
        return self.must

    @property
    def sources(self) -> dict[str, tuple[str, ...]]:
        return {name: self.sources_of(name) for name in ("event_time", "session_id", "product_id")}


HEADER = b"event_time,session_id,product_id\n"
GOOD = b"2017-06-30,s,p\n"
MARK = b"\xef\xbb\xbf"
OBJECT = b'{"event_time": "t", "session_id": "s", "product_id": "p"}'


@pytest.fixture
def parse(tmp_path: Path) -> "Parsing":
    return Parsing(tmp_path)


class Parsing:
    """Writes a file, parses it, and keeps what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bounds = folder, Bounds.of(Settings(_env_file=None))

    def __call__(self, name: str, content: bytes, **written: object) -> list[dict[str, object]]:
        file = self.folder / name
        file.write_bytes(content)
        target, kind = self.folder / "rows.parquet", kind_of(file, name)
        self.parsed: ParsedFile = text_to_parquet(file, kind, Three(**written), target, self.bounds)
        rows: list[dict[str, object]] = pq.read_table(self.folder / "rows.parquet").to_pylist()
        assert len(rows) == self.parsed.rows
        return rows

    @property
    def lines(self) -> list[Unreadable]:
        return [line for some in self.parsed.unreadable.batches() for line in some]

    @property
    def unreadable(self) -> list[tuple[int, str]]:
        return [(line.line, line.why) for line in self.lines]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"2017-06-30,s", "2 columns, not 3"),
        (b"2017-06-30,s,p,more", "4 columns, not 3"),
        (b'2017-06-30,s,"p', "a quote never closes"),
        (b'2017-06-30,"s,p', "a quote never closes"),
        ("2017-06-30,s,café".encode("latin-1"), "not UTF-8"),
        ("2017-06-30,s,p".encode("utf-16-le"), "holds a zero byte"),
        (b"2017-06-30,s,p\0q", "holds a zero byte"),
        (b"2017-06-30,s\rs,p", "holds a carriage return"),
        (b"2017-06-30,s," + b"x" * 100_000_000, "longer than 1,048,576 bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_csv_line_that_is_no_row_is_unreadable_and_costs_no_other(parse: Parsing, line: bytes, why: str) -> None:
    rows = parse("log.csv", HEADER + GOOD + line + b"\n" + GOOD * 2)
    assert parse.unreadable == [(3, why)]
    assert [row["line"] for row in rows] == [2, 4, 5]
    assert all(len(row.beginning) <= 200 for row in parse.lines)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{oops}", "no JSON"),
        (b'{"a": "' + b"x" * 2_000_000 + b'"}', "longer than 1,048,576 bytes"),
        (b'{"a": "\xe9"}', "not UTF-8"),
        (b'{"a": 1', "no JSON"),
        (b"[1, 2]", "no JSON object"),
        (b"17", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": "\0"}', "holds a zero byte"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_json_line_that_is_no_row_is_unreadable_and_costs_no_other(parse: Parsing, line: bytes, why: str) -> None:
    good = json.dumps({"event_time": "2017-06-30", "session_id": "s", "product_id": "p"}).encode() + b"\n"
    rows = parse("log.jsonl", good + line + b"\n" + good)
    assert parse.unreadable == [(2, why)]
    assert [row["line"] for row in rows] == [1, 3]


def test_a_quote_that_never_closes_swallows_no_line_after_it(parse: Parsing) -> None:
    rows = parse("log.csv", HEADER + b'2017-06-30,s,"p\n' + GOOD * 100 + b'2017-06-30,s,p"\n' + GOOD)
    assert len(rows) == 101
    assert [line for line, _ in parse.unreadable] == [2, 103]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_line_ends_blank_lines_and_a_last_line_without_an_end(parse: Parsing, end: bytes, mark: bytes) -> None:
    content = mark + (HEADER + b"\n" + GOOD + b"\n\n#" + GOOD).replace(b"\n", end).removesuffix(end)
    rows = parse("log.csv", content)
    assert [(row["line"], row["event_time"]) for row in rows] == [(3, "2017-06-30"), (6, "#2017-06-30")]
    assert not parse.unreadable


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", MARK + b"\n" + HEADER + GOOD, [3]),
        ("a.csv", MARK + b"\r\n" + HEADER + GOOD, [3]),
        ("a.csv", MARK + MARK + HEADER + GOOD, [2]),
        ("a.csv", b"\n" + MARK + HEADER + GOOD, [3]),
        ("a.jsonl", MARK + b"\n" + OBJECT, [2]),
        ("a.json", MARK + b"\n[" + OBJECT + b"]", [1]),
        ("a.json", MARK + b"\n" + OBJECT, [2]),
        ("a.json", MARK, []),
    ],
)
def test_a_mark_before_the_content_costs_no_row(parse: Parsing, name: str, content: bytes, lines: list[int]) -> None:
    assert [row["line"] for row in parse(name, content)] == lines
    assert not parse.unreadable


def test_values_are_the_text_that_was_written(parse: Parsing) -> None:
    line = b'{"event_time": 1.50, "session_id": 31198570044123456789, "product_id": 1041453.0'
    line += b', "b": [1, {"c": null}], "a": true}'
    (row,) = parse("log.jsonl", line)
    assert row == {
        "event_time": "1.50", "session_id": "31198570044123456789", "product_id": "1041453.0", "line": 1,
        "rest": 'a=true; b=["1", {"c": null}]',
    }  # fmt: skip
    (row,) = parse("log.csv", b'product_id,b,event_time,session_id,a\n"a ""b"", c",2, 2017 ,07.0,\n')
    assert row == {"event_time": " 2017 ", "session_id": "07.0", "product_id": 'a "b", c', "rest": "b=2", "line": 2}


def test_half_a_surrogate_pair_is_replaced(parse: Parsing) -> None:
    (row,) = parse("log.jsonl", b'{"event_time": "t", "session_id": "s", "product_id": "a\\ud800b"}')
    assert row["product_id"] == "a?b"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "\ufeffevent_time,session_id".encode("utf-16"), "must be UTF-8, but line 1 begins like UTF-16"),
        ("a.csv", b'"event_time,session_id,product_id\n' + GOOD, "its header, line 1, a quote never closes"),
        ("a.csv", b"\n\0\n" + HEADER + GOOD, "its header, line 2, holds a zero byte"),
        ("a.csv", b"x" * 20_000_000, "its header, line 1, longer than"),
        ("a.csv", b"event_time,product_id\nt,p\n", "has no column session_id; its columns are event_time, product_id"),
        ("a.jsonl", b'{"event_time": 1, "product_id": 2}\n', "has no column session_id"),
        ("a.json", b'[{"event_time": 1},\n{]', "does not read as JSON, line 2"),
        ("a.json", b'\n\n[{"event_time": 1},\n{]', "does not read as JSON, line 4"),
        ("a.json", MARK + b'\n[{"event_time": 1},\n\n{]', "does not read as JSON, line 4"),
        ("a.json", b"[1,]", "does not read as JSON, line 1"),
        ("a.json", b"[1\n2]", "does not read as JSON, line 2: , or ] must follow, got 2"),
        ("a.json", b"[1", "does not read as JSON, line 1: , or ] must follow, got the end"),
        ("a.json", b"[1]\n[2]", "does not read as JSON, line 2: something follows the array"),
        ("a.json", b'["' + b"x" * (17 << 20), "does not read as JSON, line 1"),
        ("a.csv", b",".join(b"c%d" % i for i in range(1001)) + b"\n" + b"," * 1000, "at most 1,000 columns"),
        ("a.csv", b"n" * 70_000 + b"\n1\n", "names of 65,536 characters together, but has 1 with 70,000"),
    ],
)
def test_a_file_that_is_refused_whole(parse: Parsing, name: str, content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        parse(name, content)


@given(
    values=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        )
    ),
    indent=st.sampled_from([None, 1]),
    size=st.integers(1, 30),
)
def test_an_array_that_comes_in_pieces_has_the_elements_of_the_whole(
    values: list[object], indent: int | None, size: int
) -> None:
    content = json.dumps(values, indent=indent, ensure_ascii=False).encode(errors="replace")
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    whole = DECODER.decode(content.decode())
    assert [element.value for element in elements(pieces)] == whole


def test_an_element_that_is_too_long_or_too_deep_costs_one_row(parse: Parsing) -> None:
    deep = b'{"a": ' + b"[" * 994 + b"]" * 994 + b"}"  # read, but not written as text again
    rows = parse("a.json", b"[%s, {%s}, %s]" % (OBJECT, b'"a": "' + b"x" * 2_000_000 + b'"', OBJECT))
    assert ([row["line"] for row in rows], parse.unreadable) == ([1, 3], [(2, "longer than 1,048,576 bytes")])
    rows = parse("a.jsonl", OBJECT + b"\n" + deep + b"\n" + OBJECT)
    assert [row["line"] for row in rows] == [1, 3]
    assert [line for line, _ in parse.unreadable] == [2]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", HEADER + GOOD * 50),
        ("a.csv", HEADER + GOOD + b"\xff\n" * 50),
        ("a.csv.gz", gzip.compress(HEADER + GOOD * 50, mtime=0)),
        ("a.jsonl", (OBJECT + b"\n") * 50),
        ("a.json", b"[" + b",".join([OBJECT] * 50) + b"]"),
    ],
)
@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (Bounds(rows=49, bytes=1 << 30), "at most MAX_FILE_ROWS rows, 49, but has"),
        (Bounds(rows=100, bytes=100), "at most MAX_FILE_GIB when it is unpacked"),
    ],
)
def test_a_file_beyond_a_bound_is_refused(
    parse: Parsing, name: str, content: bytes, bounds: Bounds, message: str
) -> None:
    parse.bounds = bounds
    with pytest.raises(BadInput, match=message):
        parse(name, content)


def test_lines_that_are_no_rows_are_many(parse: Parsing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "LINES_AT_ONCE", 7)
    parse("a.csv", HEADER + GOOD + b"\xff\n" * 50)
    assert parse.unreadable == [(line, "not UTF-8") for line in range(3, 53)]
    assert len(parse.parsed.unreadable) == 50


def test_a_json_array_may_hold_what_is_no_object(parse: Parsing) -> None:
    row = {"event_time": "t", "session_id": "s", "product_id": "p"}
    rows = parse("a.json", json.dumps([row, 5, row]).encode())
    assert [row["line"] for row in rows] == [1, 3]
    assert parse.unreadable == [(2, "no JSON object")]


@pytest.mark.parametrize("block", range(1, 60))
def test_lines_after_one_that_is_too_long_keep_their_numbers(parse: Parsing, monkeypatch, block: int) -> None:
    monkeypatch.setattr(text_files, "BLOCK_BYTES", block)
    monkeypatch.setattr(text_files, "HEAD_BYTES", block)
    monkeypatch.setattr(lines_module, "MAX_LINE_BYTES", len(HEADER))
    rows = parse("log.csv", HEADER + b"x" * 100 + b"\n\n" + GOOD)
    assert [line for line, _ in parse.unreadable] == [2]
    assert [row["line"] for row in rows] == [4]


BYTES = st.lists(
    st.one_of(
        st.sampled_from([GOOD, b"\n", b"\r\n", b'"', b",", b"\0", b"\xe9", b"\xff\xfe", b'2017,"s",p\n', b"2017,s\n"]),
        st.binary(max_size=6),
    ),
    max_size=30,
).map(b"".join)


@given(content=BYTES, block=st.integers(1, 40))
@hypothesis_settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_lines_of_any_bytes(parse, monkeypatch, content: bytes, block: int) -> None:
    monkeypatch.setattr(text_files, "BLOCK_BYTES", block)
    monkeypatch.setattr(text_files, "HEAD_BYTES", block)
    rows = parse("log.jsonl", b'{"a": 1}\n' + content, must=())
    lines = (b'{"a": 1}\n' + content).split(b"\n")
    said = [number for number, line in enumerate(lines, 1) if line not in (b"", b"\r")]
    assert sorted({row["line"] for row in rows} | {line for line, _ in parse.unreadable}) == said
