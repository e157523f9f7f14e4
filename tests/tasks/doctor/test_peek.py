"""The beginning of a file: format, encoding, delimiter, header and columns, whatever the name says."""

import gzip
import json
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.doctor.peek import encoding_of, peek
from tasks.errors import BadInput
from tasks.ingest.csv_rows import DELIMITERS

GERMAN = "Datum;Artikel;Bezeichnung\n03.04.2017 10:00;A1;Gießkanne grün\n03.04.2017 11:00;A2;Türschild, weiß\n"


def written(folder: Path, content: bytes, name: str = "file") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_a_spreadsheet_is_read_in_its_encoding(encoding: str, tmp_path: Path) -> None:
    found = peek(written(tmp_path, GERMAN.encode(encoding)))
    assert found.described.startswith("CSV, semicolons, header")
    assert found.columns["Bezeichnung"].texts == ["Gießkanne grün", "Türschild, weiß"]
    assert bool(found.guessed) == (encoding == "cp1252")


def test_utf_16_without_a_mark() -> None:
    for encoding in ("utf-16-le", "utf-16-be"):
        assert encoding_of("a;b\nc;d\n".encode(encoding))[0] == encoding


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("sep=|\na|b\n1|2\n", ["a", "b"], 1),
        ('\n"SEP=|"\r\n\r\na|b\r\n1,5|2,5\r\n', ["a", "b"], 1),
        ("sep=;\ra;b\r1;2\r", ["a", "b"], 1),
        ("a\tb\tc\n1,5\t2,5\t3\n2,5\t3,5\t4\n", ["a", "b", "c"], 2),
        ('a,b\n"1\n2",3\n', ["a", "b"], 1),
        ("7,2017-06-30T10:00:00Z,9\n8,2017-06-30T10:00:00Z,9\n", ["column 1", "column 2", "column 3"], 2),
        ("a,b,\n1,2,\n", ["a", "b"], 1),
        ("ORC,b\n1,2\n", ["ORC", "b"], 1),
        ("one\n1\n2\n", ["one"], 2),
    ],
)
def test_csv(content: str, names: list[str], rows: int, tmp_path: Path) -> None:
    found = peek(written(tmp_path, content.encode()))
    assert (found.kind, list(found.columns), found.rows) == ("csv", names, rows)


@given(st.sampled_from(DELIMITERS), st.integers(2, 6), st.integers(2, 20))
@settings(max_examples=20)
def test_the_delimiter_is_the_one_that_cuts_all_rows_alike(delimiter: str, columns: int, rows: int) -> None:
    from tasks.doctor.peek import _delimiter_of

    other = "," if delimiter == ";" else ";"
    lines = [delimiter.join(f"name {column}" for column in range(columns))]
    lines += [delimiter.join(f"{row}{other}{column}" for column in range(columns)) for row in range(rows)]
    assert _delimiter_of([f"{line}\n" for line in lines]) == delimiter


NESTED = {
    "geo": {"country": "DE"},
    "items": [{"id": "p1"}, {"id": "p2"}],
    "params": [{"key": "page", "value": {"string_value": "/", "int_value": None}}],
    "tags": ["a", "b"],
}


@pytest.mark.parametrize("join", ["\n", "", ",\n"], ids=["lines", "glued", "array"])
def test_json_has_paths_lists_and_keys_with_values(join: str, tmp_path: Path) -> None:
    text = join.join(json.dumps(NESTED) for _ in range(3))
    found = peek(written(tmp_path, gzip.compress((f"[{text}]" if join == ",\n" else text).encode())))
    assert found.rows == 3
    assert found.columns["geo.country"].texts == ["DE"] * 3
    assert found.columns["items.id"].texts == ["p1", "p2"] * 3
    assert found.columns["params.page"].texts == ["/"] * 3
    assert found.lists == {"items": [2, 2, 2], "tags": [2, 2, 2]}


def test_parquet_keeps_types_and_columns_without_a_value(tmp_path: Path) -> None:
    nothing = pa.array([None, None], pa.string())
    table = pa.table({"at": [datetime(2017, 6, 30)] * 2, "nothing": nothing, "items": [[{"id": 1}], []]})
    pq.write_table(table, tmp_path / "a")
    found = peek(tmp_path / "a")
    assert isinstance(found.columns["at"].values[0], datetime)
    assert found.columns["nothing"].blank_share == 1
    assert found.columns["items.id"].texts == ["1"]


def test_what_python_and_utf_8_cannot_hold(tmp_path: Path) -> None:
    years = pa.array([2**62, 1498816800 * 10**6], pa.timestamp("us"))
    pq.write_table(pa.table({"at": years}), tmp_path / "a")
    found = peek(tmp_path / "a").columns["at"]
    assert (found.texts, found.blank) == (["2017-06-30 10:00:00"], 1)
    assert peek(written(tmp_path, b'{"a": "\\ud800 x"}')).columns["a"].texts == ["? x"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest", "is a spreadsheet or a zip archive: save it as CSV"),
        (b"Obj\x01rest", "is Avro: export it as Parquet"),
        (b"", "is empty"),
        (b"\x1f\x8b\x08broken", "does not unpack"),
        (b"PAR1broken", "does not read as Parquet"),
    ],
)
def test_what_holds_no_rows_is_told(content: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=said):
        peek(written(tmp_path, content))
