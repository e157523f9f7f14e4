"""What a file looks like from its first mebibyte: format, encoding, delimiter, columns and some of their values."""

import codecs
import csv
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import charset_normalizer
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.ingest.csv_rows import DELIMITERS, preamble_of
from tasks.ingest.kinds import BEGINNING, PARQUET_MAGIC, encoding_by_mark, no_rows_in, open_unpacked, packing_of

PEEKED_BYTES, PEEKED_ROWS = 1 << 20, 5_000
Kind = Literal["parquet", "csv", "json lines", "json array"]
WESTERN = "cp1252"  # ISO 8859-1 and more
ENCODINGS = [WESTERN, *(f"cp125{n}" for n in (0, 1, 3, 4, 5, 6, 7)), "cp850", "koi8_r"]
ENCODINGS += ["cp932", "euc_jp", "gb18030", "big5", "euc_kr"]


@dataclass
class Column:
    """Some values of a column, by its path: text as it is written, typed where the file is; blank ones are counted."""

    values: list[Any] = field(default_factory=list)
    blank: int = 0

    @property
    def texts(self) -> list[str]:
        """The values as text."""
        return [value if isinstance(value, str) else str(value) for value in self.values]

    @property
    def blank_share(self) -> float:
        """Share of the rows, or items, without a value."""
        return self.blank / max(self.blank + len(self.values), 1)


@dataclass
class Peek:
    """The beginning of a file.

    columns: by path, such as geo.country, items.item_id of a list of items, or event_params.page of a list of keys and
    values; lists: paths of lists of items, and how many items their rows hold; has_header: of a CSV file; guessed: why
    the encoding is no more than a guess, or nothing.
    """

    kind: Kind
    encoding: str = "utf-8"
    guessed: str = ""
    delimiter: str = ","
    has_header: bool = True
    rows: int = 0
    columns: dict[str, Column] = field(default_factory=dict)
    lists: dict[str, list[int]] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """Format, encoding and delimiter in words."""
        words: list[str] = [{"csv": "CSV", "json lines": "JSON lines", "json array": "JSON"}.get(self.kind, "Parquet")]
        if self.kind == "csv":
            words.append({",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[self.delimiter])
            words.append("header" if self.has_header else "no header")
        if self.kind != "parquet":
            words.append(self.encoding.upper() + (" (a guess)" if self.guessed else ""))
        return ", ".join(words)


def peek(file: Path) -> Peek:
    """Look at the beginning of a file, whatever its name says.

    Raises BadInput, the rest of a sentence about the file, for what holds no rows as text or Parquet.
    """
    with file.open("rb") as opened:
        beginning = opened.read(BEGINNING)
    if beginning.startswith(PARQUET_MAGIC):
        return _parquet(file)
    if what := no_rows_in(beginning):
        raise BadInput(f"is {what}")
    try:
        with open_unpacked(file, packing_of(beginning)) as opened:
            content = opened.read(PEEKED_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"does not unpack: {error}; write the file again") from error
    if not content.strip():
        raise BadInput("is empty: deliver it again")
    encoding, guessed = encoding_of(content)
    text = content.decode(encoding, errors="replace").lstrip("\ufeff")
    found = _text(text, is_whole=len(content) < PEEKED_BYTES)
    found.encoding, found.guessed = encoding, guessed
    return found


def encoding_of(content: bytes) -> tuple[str, str]:
    """The encoding of some text as Python names it, and why it is a guess; nothing where it is none."""
    if encoding := encoding_by_mark(content):
        return encoding.removesuffix("-sig"), ""
    zeros = [content[first:1000:2].count(0) for first in (0, 1)]
    if sum(zeros) > 0.2 * len(content[:1000]):
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le", "every other byte is zero"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError as error:
        start = max(content.rfind(b"\n", 0, error.start) + 1, 0)
        line = content[start : content.find(b"\n", start) if b"\n" in content[start:] else None]
        guess = _guessed(_lines_beyond_ascii(content))
        return guess, f"read so, a line is {line.decode(guess, errors='replace').strip()[:80]!r}"
    return "utf-8", ""


def _lines_beyond_ascii(content: bytes) -> bytes:
    """What the encoding shows in: a guess from a file of numbers with an accent here and there is worse."""
    return b"\n".join(line for line in content.split(b"\n") if not line.isascii())[: 1 << 16]


def _guessed(content: bytes) -> str:
    """What spreadsheets write in the West, unless another encoding reads clearly better."""
    found = charset_normalizer.from_bytes(content, cp_isolation=ENCODINGS)
    best, western = found.best(), next((match for match in found if match.encoding == WESTERN), None)
    if not best or (western and western.chaos <= best.chaos + 0.1 and western.coherence >= best.coherence - 0.05):
        return WESTERN
    is_same = content.decode(best.encoding, errors="replace") == content.decode(WESTERN, errors="replace")
    return WESTERN if is_same else best.encoding


def _text(text: str, *, is_whole: bool) -> Peek:
    if text.lstrip()[:1] in ("{", "["):
        records, kind = list(_json_records(text)), "json array" if text.lstrip()[0] == "[" else "json lines"
        if records:
            found = Peek(cast(Kind, kind))
            _fill(found, records)
            return found
    content = (text if "\n" in text else text.replace("\r", "\n")).encode()
    begin, sep = preamble_of(content)
    lines = content[begin:].decode().splitlines(keepends=True)
    return _csv(lines if is_whole else lines[:-1], sep)


def _json_records(text: str) -> Iterator[Mapping[str, Any]]:
    """The objects of JSON lines, of one array, or written one behind the other, until one is cut off."""
    decoder, place = json.JSONDecoder(parse_float=str), 0
    for _ in range(PEEKED_ROWS):
        while place < len(text) and text[place] in " \t\r\n,[":
            place += 1
        try:
            record, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = text.find("\n", place)
            if end < 0 or end + 1 >= len(text):
                return
            place = end + 1
            continue
        if isinstance(record, dict):
            yield record


def _csv(lines: list[str], sep: str | None) -> Peek:
    delimiter = sep or _delimiter_of(lines)
    records = [record for record in _records(lines, delimiter) if any(map(str.strip, record))]
    if not records:
        raise BadInput("holds no row: deliver it again")
    has_header = _is_header(records[0], records[1:])
    names = (
        [name.strip() for name in records[0]] if has_header else [f"column {i}" for i in range(1, len(records[0]) + 1)]
    )
    while names and not names[-1]:
        names.pop()
    found = Peek("csv", delimiter=delimiter, has_header=has_header)
    _fill(found, (dict(zip(names, record, strict=False)) for record in records[has_header:]))
    for name in names:
        found.columns.setdefault(name, Column())
    found.columns = {name: found.columns.pop(name) for name in names} | found.columns  # in the order of the file
    return found


def _records(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """Records until one that the csv module refuses, which is left to the ingest to tell."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            records.append(record)
            if len(records) > PEEKED_ROWS:
                break
    except csv.Error:
        pass
    return records


def _delimiter_of(lines: Sequence[str]) -> str:
    """The delimiter that cuts most of the first records into as many fields, of two or more."""

    def fit(delimiter: str) -> tuple[float, int]:
        widths = [len(record) for record in _records(lines[:200], delimiter) if record]
        common = max(set(widths), key=widths.count, default=0)
        return (widths.count(common) / len(widths) if common > 1 else 0.0, common)

    return max(DELIMITERS, key=fit)


def _is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Names are no numbers, no times and none twice; a file of one line is its header."""
    names = [name.strip() for name in first]
    if not others:
        return True
    filled = [name for name in names if name]
    return len(set(filled)) == len(filled) and not any(name[:1].isdigit() or name[:1] == "-" for name in filled)


def _parquet(file: Path) -> Peek:
    found = Peek("parquet")
    try:
        opened = pq.ParquetFile(file)
        if not opened.metadata.num_rows:
            raise BadInput("holds no row: deliver it again")
        _fill(found, _rows(next(opened.iter_batches(batch_size=PEEKED_ROWS))))
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"does not read as Parquet: {error}; write the file again") from error
    for name in opened.schema_arrow.names:
        if not any(path == name or path.startswith(f"{name}.") for path in (*found.columns, *found.lists)):
            found.columns[name] = Column(blank=found.rows)
    return found


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows; times beyond the years 1 to 9999, which Python has none for, are blank."""
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except (OverflowError, ValueError):
        columns = [_within_years(column) if pa.types.is_timestamp(column.type) else column for column in batch.columns]
        rows = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
    return rows


def _within_years(times: pa.Array) -> pa.Array:
    year = pc.year(times)
    return pc.if_else(pc.and_(pc.greater(year, 1), pc.less(year, 9999)), times, pa.scalar(None, times.type))


def _fill(found: Peek, records: Iterable[Mapping[str, Any]]) -> None:
    columns: dict[str, Column] = defaultdict(Column)
    for record in records:
        for path, value in _flat(record, "", found):
            path, value = _printable(path), _printable(value)
            if value is None or (isinstance(value, str) and not value.strip()):
                columns[path].blank += 1
            else:
                columns[path].values.append(value)
        found.rows += 1
    for path, column in columns.items():
        if not any(path.startswith(f"{items}.") for items in found.lists):  # what a record leaves out is blank
            column.blank += max(found.rows - column.blank - len(column.values), 0)
    found.columns = dict(columns)


def _printable(value: Any) -> Any:
    """Half of a surrogate pair, which JSON may write and nothing can show, as a question mark."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode(errors="replace").decode()


def _flat(record: Mapping[str, Any], above: str, found: Peek) -> Iterator[tuple[str, Any]]:
    """Path and value of every field, one for each item of a list."""
    for name, value in record.items():
        path = f"{above}{name}"
        if isinstance(value, str) and value[:2] in ("[{", '["') and above == "":
            value = _json_list(value)
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.", found)
        elif isinstance(value, list):
            yield from _items(value, path, found)
        else:
            yield path, value


def _items(items: Sequence[Any], path: str, found: Peek) -> Iterator[tuple[str, Any]]:
    objects = [item for item in items if isinstance(item, Mapping)]
    if objects and all({"key", "value"} <= item.keys() for item in objects):
        for item in objects:  # as GA4's event_params are
            yield f"{path}.{item['key']}", _only_value(item["value"])
        return
    found.lists.setdefault(path, []).append(len(items))
    for item in items:
        if isinstance(item, Mapping):
            yield from _flat(item, f"{path}.", found)
        elif not isinstance(item, list):
            yield path, item


def _only_value(value: Any) -> Any:
    """The one of string_value, int_value, ... that is there."""
    if not isinstance(value, Mapping):
        return value
    return next((typed for typed in value.values() if typed is not None), None)


def _json_list(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
