"""CSV and JSON lines, however dirty: each line becomes a row of text or is kept as unreadable, with its number."""

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from tqdm import tqdm

from tasks.errors import BadInput
from tasks.ingest.ids import NumberColumns, is_id
from tasks.ingest.input_files import Bounds, check_columns, check_width, suffix_of
from tasks.ingest.json_rows import Texts, decoded, elements, texts_of
from tasks.ingest.unreadable import UnreadableLines

BLOCK_BYTES = 4 << 20
MAX_LINE_BYTES = 1 << 20
COLUMNS_KEPT = 100  # of a file that has a new one in every line
LINE, REST = "line", "rest"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NEWLINE, RETURN, QUOTE = b'\n\r"'

Numbers = npt.NDArray[np.int64]
Rows = tuple[Mapping[str, Any], Numbers]  # columns by our names, rest among them, and the line of each row


@dataclass
class ParsedText:
    """What a text file holds: rows, which are written as Parquet, lines that are none, and its columns.

    columns: the file's names, of which those that nobody asks for may be left out. numbers: which ids are numbers.
    """

    names: Mapping[str, str]
    unreadable: UnreadableLines
    rows: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    numbers: NumberColumns = field(default_factory=NumberColumns)

    def add_columns(self, seen: Sequence[str]) -> None:
        """Note the names of columns."""
        wanted = self.names.values()
        for name in seen:
            if len(self.columns) < COLUMNS_KEPT or name in wanted:
                self.columns[name] = None


def text_to_parquet(
    file: Path, names: Mapping[str, str], required: Sequence[str], target: Path, bounds: Bounds
) -> ParsedText:
    """Write the rows of a text file to `target` as Parquet: the columns of `names` and `rest` as text, and the line.

    names: our name -> the file's name; `rest` holds every other column as name=value. A line that is no row (not UTF-8,
    a zero byte, a quote that never closes, more or fewer columns, no JSON object, over a mebibyte) is unreadable; they
    lie beside `target`, which must stay as long as they are read.
    Raises BadInput, the rest of a sentence about the file, for a compressed file that does not unpack, for UTF-16, for
    a header that cannot be read, for a file that lacks a required column and for one that exceeds a bound.
    """
    suffix = suffix_of(file.name)
    schema = pa.schema([*((name, pa.string()) for name in names), (REST, pa.string()), (LINE, pa.int64())])
    parsed = ParsedText(names, UnreadableLines(target.with_suffix(".unreadable")))
    try:
        with (
            closing(parsed.unreadable),
            closing(_open(file, suffix)) as content,
            pq.ParquetWriter(target, schema) as writer,
        ):
            for columns, numbers in _rows(_chunks(content, parsed, bounds), suffix, parsed):
                batch = _as_batch(columns, numbers, schema)
                for name in filter(is_id, names):
                    parsed.numbers.add(name, batch[name])
                parsed.rows += len(batch)
                writer.write_batch(batch)
    except (OSError, zlib.error, EOFError, pa.ArrowInvalid) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of the content
            raise
        raise BadInput(f"does not read as {suffix}: {error}; write the file again") from error
    parsed.numbers.decide(target)
    bounds.check_rows(parsed.rows + len(parsed.unreadable))
    if parsed.rows or (parsed.columns and parsed.unreadable):
        check_columns(list(parsed.columns), names, required)
    return parsed


def _open(file: Path, suffix: str) -> BinaryIO:
    if suffix.endswith(".gz"):
        return gzip.open(file)  # type: ignore[return-value]
    if suffix.endswith(".zst"):
        return pa.input_stream(str(file), compression="zstd")  # type: ignore[no-any-return]
    return file.open("rb")


def _rows(chunks: Iterator[bytes], suffix: str, parsed: ParsedText) -> Iterator[Rows]:
    if suffix.startswith(".csv"):
        return _csv_rows(_blocks(chunks, parsed), parsed)
    first = next(chunks, b"")
    chunks = chain([first], chunks)
    if first.lstrip().startswith(b"[") and not suffix.startswith(".jsonl"):
        return _array_rows(chunks, parsed)
    return _json_rows(_blocks(chunks, parsed), parsed)


def _blocks(chunks: Iterator[bytes], parsed: ParsedText) -> Iterator[tuple[bytes, int]]:
    """Whole lines, some mebibytes at a time, and the number of the first; lines that are too long are left out."""
    line = 1  # the number of the line that `carry` begins, or that is being skipped
    carry, is_skipping = b"", False
    for chunk in chunks:
        if is_skipping:
            _, end, chunk = chunk.partition(b"\n")
            if not end:
                continue
            line, is_skipping = line + 1, False
        lines, end, carry = (carry + chunk).rpartition(b"\n")
        if end:
            yield lines + end, line
            line += lines.count(b"\n") + 1
        if len(carry) > MAX_LINE_BYTES:
            parsed.unreadable.add(line, _too_long(), carry)
            carry, is_skipping = b"", True
    if carry:
        yield carry + b"\n", line


def _too_long() -> str:
    return f"longer than {MAX_LINE_BYTES:,} bytes"


def _chunks(content: BinaryIO, parsed: ParsedText, bounds: Bounds) -> Iterator[bytes]:
    """The content, BLOCK_BYTES at a time, without the mark that may begin UTF-8."""
    size, is_first = 0, True
    with tqdm(unit="B", unit_scale=True, desc="reading", disable=None) as progress:
        while chunk := content.read(BLOCK_BYTES):
            progress.update(len(chunk))
            size += len(chunk)
            bounds.check_bytes(size)
            bounds.check_rows(parsed.rows + len(parsed.unreadable))
            if is_first and chunk.startswith(UTF16):
                raise BadInput("must be UTF-8, but line 1 begins like UTF-16: write the file again as UTF-8")
            yield chunk.removeprefix(codecs.BOM_UTF8) if is_first else chunk
            is_first = False


def _readable(block: bytes, first: int, parsed: ParsedText, *, quotes: bool) -> tuple[bytes, Numbers]:
    """The block without blank lines and lines that cannot be read, and the number of each line left."""
    data = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(data == NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1])
    faults = _faults(block, data, starts, ends, quotes=quotes)
    bad = (ends - starts) - (data[np.maximum(ends - 1, 0)] == RETURN) <= 0  # blank
    whys, why = list(faults), np.full(len(ends), -1, np.int8)
    for place, has_fault in enumerate(faults.values()):
        why[has_fault & ~bad] = place
        bad |= has_fault
    for i in np.flatnonzero(why >= 0):
        parsed.unreadable.add(first + int(i), whys[why[i]], block[starts[i] : ends[i]])
    numbers = np.flatnonzero(~bad) + first
    if bad.any():
        block = b"".join(block[starts[i] : ends[i] + 1] for i in np.flatnonzero(~bad))
    return block, numbers


def _faults(
    block: bytes, data: npt.NDArray[np.uint8], starts: Numbers, ends: Numbers, *, quotes: bool
) -> dict[str, npt.NDArray[np.bool_]]:
    def lines_with(byte: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.add.reduceat(byte, starts, dtype=np.int64)

    faults = {_too_long(): ends - starts > MAX_LINE_BYTES}
    if b"\0" in block:
        faults["holds a zero byte"] = lines_with(data == 0) > 0
    if quotes and b'"' in block:
        faults["a quote never closes"] = lines_with(data == QUOTE) % 2 == 1
    if b"\r" in block:
        at_end = (data[np.maximum(ends - 1, 0)] == RETURN) & (ends > starts)
        faults["holds a carriage return"] = lines_with(data == RETURN) > at_end
    try:
        block.decode()
    except UnicodeDecodeError:
        not_utf8 = lines_with(data >= 128) > 0  # the rest is ASCII
        not_utf8[not_utf8] = [_is_not_utf8(block[starts[i] : ends[i]]) for i in np.flatnonzero(not_utf8)]
        faults["not UTF-8"] = not_utf8
    return faults


def _is_not_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def _csv_rows(blocks: Iterator[tuple[bytes, int]], parsed: ParsedText) -> Iterator[Rows]:
    names: list[str] = []
    for block, first in blocks:
        readable, numbers = _readable(block, first, parsed, quotes=True)
        if not names and (len(numbers) or parsed.unreadable):
            _check_header(numbers, parsed)
            header, _, readable = readable.partition(b"\n")
            names, numbers = _names(header, int(numbers[0])), numbers[1:]
            parsed.add_columns(names)
        if len(numbers):
            yield from _parse_csv(readable, numbers, names, parsed)
    if not names:
        _check_header(np.empty(0, np.int64), parsed)


def _check_header(readable: Numbers, parsed: ParsedText) -> None:
    """The first line that is not blank must be readable; every other line may be refused."""
    first = parsed.unreadable.first
    if first and not (len(readable) and readable[0] < first.line):
        raise BadInput(f"does not read as .csv: its header, line {first.line}, {first.why}; write the file again")


def _names(header: bytes, line: int) -> list[str]:
    text = header.decode().rstrip("\r").lstrip("\ufeff")  # the mark of UTF-8 may come twice, or after a blank line
    names = next(csv.reader([text]), [])
    if len({name.lower() for name in names}) < len(names):
        shown = ",".join(names[:COLUMNS_KEPT])
        raise BadInput(f"has a column twice in its header, line {line} ({shown}): name each once")
    check_width(names)
    return names


def _parse_csv(readable: bytes, numbers: Numbers, names: list[str], parsed: ParsedText) -> Iterator[Rows]:
    ragged: list[int] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        ragged.append(row.number - 1)
        why = f"{row.actual_columns} columns, not {row.expected_columns}"
        parsed.unreadable.add(int(numbers[row.number - 1]), why, row.text)
        return "skip"

    table = pa_csv.read_csv(
        pa.BufferReader(readable),
        pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(readable) + 1),
        pa_csv.ParseOptions(invalid_row_handler=refuse),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), check_utf8=False, null_values=[]),
    )
    numbers = np.delete(numbers, ragged)
    at_once = max(BLOCK_BYTES // (1 + sum(map(len, names))), 1)  # as `rest` repeats the names in every row
    for start in range(0, len(numbers), at_once):
        some = table.slice(start, at_once).combine_chunks()
        columns = {name: some[name].combine_chunks() for name in names}
        yield _by_our_names(columns, parsed.names), numbers[start : start + at_once]


def _by_our_names(columns: Mapping[str, pa.Array], names: Mapping[str, str]) -> dict[str, pa.Array]:
    ours = {name: columns[theirs] for name, theirs in names.items() if theirs in columns}
    others = {name: columns[name] for name in sorted(columns.keys() - set(names.values()))}
    return ours | ({REST: _rest(others)} if others else {})


def _json_rows(blocks: Iterator[tuple[bytes, int]], parsed: ParsedText) -> Iterator[Rows]:
    for block, first in blocks:
        readable, numbers = _readable(block, first, parsed, quotes=False)
        rows: list[tuple[int, Texts]] = []
        for text, line in zip(readable.decode().split("\n"), numbers.tolist(), strict=False):
            try:
                rows.append((line, _json_texts(decoded(text), parsed)))
            except ValueError as error:
                parsed.unreadable.add(line, str(error), text)
        yield _by_column(rows, parsed)


def _array_rows(chunks: Iterator[bytes], parsed: ParsedText) -> Iterator[Rows]:
    """The place of an element in the array is its line."""
    rows: list[tuple[int, Texts]] = []
    size = 0
    for number, element in enumerate(elements(chunks), 1):
        try:
            if element.size > MAX_LINE_BYTES:
                raise ValueError(_too_long())
            rows.append((number, _json_texts(element.value, parsed)))
        except ValueError as error:
            parsed.unreadable.add(number, str(error), element.beginning)
        size += element.size
        if size >= BLOCK_BYTES:
            yield _by_column(rows, parsed)
            rows, size = [], 0
    yield _by_column(rows, parsed)


def _json_texts(value: Any, parsed: ParsedText) -> Texts:
    texts = texts_of(value, parsed.names.values())
    if not value.keys() <= parsed.columns.keys():
        parsed.add_columns(list(value))
    return texts


def _by_column(rows: Sequence[tuple[int, Texts]], parsed: ParsedText) -> Rows:
    columns = zip(*(texts for _, texts in rows), strict=True)
    arrays = {name: _as_array(column) for name, column in zip((*parsed.names, REST), columns, strict=False)}
    return arrays, np.array([line for line, _ in rows], np.int64)


def _as_batch(columns: Mapping[str, pa.Array], numbers: Numbers, schema: pa.Schema) -> pa.RecordBatch:
    absent = pa.nulls(len(numbers), pa.string())
    texts = [columns.get(name, absent) for name in schema.names if name != LINE]
    return pa.record_batch([*texts, pa.array(numbers)], schema)


def _as_array(column: Sequence[str | None]) -> pa.Array:
    """Text; what UTF-8 cannot hold, such as half of a surrogate pair written as \\ud800, becomes a question mark."""
    return pa.array([text and text.encode(errors="replace").decode() for text in column], pa.string())


def _rest(others: Mapping[str, pa.Array]) -> pa.Array:
    """The other columns as name=value; those without a value are left out."""
    texts = [
        pc.if_else(pc.equal(column, ""), "", pc.binary_join_element_wise(f"{name}=", column, "; ", ""))
        for name, column in others.items()
    ]
    joined = pc.binary_join_element_wise(*texts, "", null_handling="replace", null_replacement="")
    return pc.utf8_rtrim(joined, "; ")
