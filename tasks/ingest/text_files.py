"""CSV and JSON lines, however dirty: each line becomes a row of text or is kept as unreadable, with its number."""

import codecs
import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
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
from tasks.ingest.input_files import check_columns

BLOCK_BYTES = 16 << 20
MAX_LINE_BYTES = 1 << 20
SHOWN_BYTES = 200
LINE, REST = "line", "rest"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NEWLINE, RETURN, QUOTE = b'\n\r"'

Numbers = npt.NDArray[np.int64]
Rows = tuple[Mapping[str, Any], Numbers]  # columns by the file's names, and the line of each row


@dataclass(frozen=True)
class Unreadable:
    """A line that is no row: its number from 1, why, and how it begins."""

    line: int
    why: str
    beginning: str


@dataclass
class ParsedText:
    """How many rows of a text file were written as Parquet, and the lines that could not be."""

    rows: int = 0
    unreadable: list[Unreadable] = field(default_factory=list)

    def add_unreadable(self, line: int, why: str, content: bytes | str) -> None:
        """Keep how a line begins that is no row."""
        text = content[:SHOWN_BYTES].decode(errors="replace") if isinstance(content, bytes) else content[:SHOWN_BYTES]
        self.unreadable.append(Unreadable(line, why, text))


def text_to_parquet(
    file: Path, suffix: str, names: Mapping[str, str], required: Sequence[str], target: Path
) -> ParsedText:
    """Write the rows of a text file to `target` as Parquet: the columns of `names` and `rest` as text, and the line.

    names: our name -> the file's name; `rest` holds every other column as name=value. A line that is no row (not UTF-8,
    a zero byte, a quote that never closes, more or fewer columns, no JSON object, over a mebibyte) is unreadable.
    Raises BadInput, the rest of a sentence about the file, for a compressed file that does not unpack, for UTF-16, for
    a header that cannot be read and for a file that lacks a required column.
    """
    schema = pa.schema([*((name, pa.string()) for name in names), (REST, pa.string()), (LINE, pa.int64())])
    parsed = ParsedText()
    seen: dict[str, None] = {}
    try:
        with closing(_open(file, suffix)) as content, pq.ParquetWriter(target, schema) as writer:
            for columns, numbers in _rows(content, suffix, parsed):
                seen |= dict.fromkeys(columns)
                batch = _as_batch(columns, numbers, names, schema)
                parsed.rows += len(batch)
                writer.write_batch(batch)
    except (OSError, zlib.error, EOFError, pa.ArrowInvalid) as error:
        if getattr(error, "errno", None) is not None:  # of the disk, not of the content
            raise
        raise BadInput(f"does not read as {suffix}: {error}; write the file again") from error
    if parsed.rows or (seen and parsed.unreadable):
        check_columns(list(seen), names, required)
    return parsed


def _open(file: Path, suffix: str) -> BinaryIO:
    if suffix.endswith(".gz"):
        return gzip.open(file)  # type: ignore[return-value]
    if suffix.endswith(".zst"):
        return pa.input_stream(str(file), compression="zstd")  # type: ignore[no-any-return]
    return file.open("rb")


def _rows(content: BinaryIO, suffix: str, parsed: ParsedText) -> Iterator[Rows]:
    blocks = _blocks(content, parsed)
    if suffix.startswith(".csv"):
        return _csv_rows(blocks, parsed)
    if suffix.startswith(".jsonl"):
        return _json_rows(blocks, parsed)
    return _json_array_or_rows(blocks, parsed)


def _blocks(content: BinaryIO, parsed: ParsedText) -> Iterator[tuple[bytes, int]]:
    """Whole lines, some mebibytes at a time, and the number of the first; lines that are too long are left out."""
    line = 1  # the number of the line that `carry` begins, or that is being skipped
    carry, is_skipping = b"", False
    for chunk in _chunks(content):
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
            parsed.add_unreadable(line, f"longer than {MAX_LINE_BYTES:,} bytes", carry)
            carry, is_skipping = b"", True
    if carry:
        yield carry + b"\n", line


def _chunks(content: BinaryIO) -> Iterator[bytes]:
    """The content, BLOCK_BYTES at a time, without the mark that may begin UTF-8."""
    is_first = True
    with tqdm(unit="B", unit_scale=True, desc="reading", disable=None) as progress:
        while chunk := content.read(BLOCK_BYTES):
            progress.update(len(chunk))
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
    blank = (ends - starts) - (data[np.maximum(ends - 1, 0)] == RETURN) <= 0
    bad = blank.copy()
    why: dict[int, str] = {}
    for fault, has_fault in faults.items():
        why |= dict.fromkeys(np.flatnonzero(has_fault & ~bad).tolist(), fault)
        bad |= has_fault
    for i in sorted(why):
        parsed.add_unreadable(first + i, why[i], block[starts[i] : ends[i]])
    numbers = np.flatnonzero(~bad) + first
    if bad.any():
        block = b"".join(block[starts[i] : ends[i] + 1] for i in np.flatnonzero(~bad))
    return block, numbers


def _faults(
    block: bytes, data: npt.NDArray[np.uint8], starts: Numbers, ends: Numbers, *, quotes: bool
) -> dict[str, npt.NDArray[np.bool_]]:
    def lines_with(byte: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.add.reduceat(byte, starts, dtype=np.int64)

    faults = {f"longer than {MAX_LINE_BYTES:,} bytes": ends - starts > MAX_LINE_BYTES}
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
            yield dict.fromkeys(names, pa.array([], pa.string())), numbers[:0]
        if len(numbers):
            yield _parse_csv(readable, numbers, names, parsed)
    if not names:
        _check_header(np.empty(0, np.int64), parsed)


def _check_header(readable: Numbers, parsed: ParsedText) -> None:
    """The first line that is not blank must be readable; every other line may be refused."""
    first = parsed.unreadable[0] if parsed.unreadable else None
    if first and not (len(readable) and readable[0] < first.line):
        raise BadInput(f"does not read as .csv: its header, line {first.line}, {first.why}; write the file again")


def _names(header: bytes, line: int) -> list[str]:
    names = next(csv.reader([header.decode().rstrip("\r")]), [])
    if len({name.lower() for name in names}) < len(names):
        raise BadInput(f"has a column twice in its header, line {line} ({','.join(names)}): name each once")
    return names


def _parse_csv(readable: bytes, numbers: Numbers, names: list[str], parsed: ParsedText) -> Rows:
    ragged: list[int] = []

    def refuse(row: pa_csv.InvalidRow) -> str:
        ragged.append(row.number - 1)
        why = f"{row.actual_columns} columns, not {row.expected_columns}"
        parsed.add_unreadable(int(numbers[row.number - 1]), why, row.text)
        return "skip"

    table = pa_csv.read_csv(
        pa.BufferReader(readable),
        pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(readable) + 1),
        pa_csv.ParseOptions(invalid_row_handler=refuse),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), check_utf8=False, null_values=[]),
    )
    columns = {name: table[name].combine_chunks() for name in names}
    return columns, np.delete(numbers, ragged)


def _json_rows(blocks: Iterator[tuple[bytes, int]], parsed: ParsedText) -> Iterator[Rows]:
    for block, first in blocks:
        readable, numbers = _readable(block, first, parsed, quotes=False)
        objects: list[dict[str, Any]] = []
        kept: list[int] = []
        for text, number in zip(readable.decode().split("\n"), numbers.tolist(), strict=False):
            row = _json_object(text, number, parsed)
            if row is not None:
                objects.append(row)
                kept.append(number)
        yield _by_column(objects), np.array(kept, np.int64)


def _json_array_or_rows(blocks: Iterator[tuple[bytes, int]], parsed: ParsedText) -> Iterator[Rows]:
    """One array of objects is read in one piece; anything else is JSON lines."""
    first = next(blocks, None)
    if first is None:
        return
    if not first[0].lstrip().startswith(b"["):
        yield from _json_rows(_chain(first, blocks), parsed)
        return
    content = first[0] + b"".join(block for block, _ in blocks)
    try:
        rows = DECODER.decode(content.decode().strip())
    except json.JSONDecodeError as error:
        raise BadInput(f"does not read as JSON, line {error.lineno}: {error.msg}; write the file again") from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise BadInput(f"does not read as JSON: {error}; write the file again") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            parsed.add_unreadable(number, "no JSON object", json.dumps(row))
    kept = [(number, row) for number, row in enumerate(rows, 1) if isinstance(row, dict)]
    yield _by_column([row for _, row in kept]), np.array([number for number, _ in kept], np.int64)


def _chain(first: tuple[bytes, int], others: Iterator[tuple[bytes, int]]) -> Iterator[tuple[bytes, int]]:
    yield first
    yield from others


# Numbers stay as they are written.
DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=lambda _: None)


def _json_object(text: str, number: int, parsed: ParsedText) -> dict[str, Any] | None:
    try:
        row = DECODER.decode(text.strip())
    except (ValueError, RecursionError):
        parsed.add_unreadable(number, "no JSON", text)
        return None
    if not isinstance(row, dict):
        parsed.add_unreadable(number, "no JSON object", text)
        return None
    return row


def _by_column(objects: list[dict[str, Any]]) -> dict[str, list[str | None]]:
    names = dict.fromkeys(name for row in objects for name in row)
    return {name: [_json_text(row.get(name)) for row in objects] for name in names}


def _json_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _as_batch(columns: Mapping[str, Any], numbers: Numbers, names: Mapping[str, str], schema: pa.Schema) -> pa.Table:
    arrays = {name: _as_array(column) for name, column in columns.items()}
    absent = pa.nulls(len(numbers), pa.string())
    ours = [_without_fraction(name, arrays.get(theirs, absent)) for name, theirs in names.items()]
    others = sorted(arrays.keys() - set(names.values()))
    return pa.record_batch([*ours, _rest({name: arrays[name] for name in others}, absent), pa.array(numbers)], schema)


def _as_array(column: Any) -> pa.Array:
    """Text; what UTF-8 cannot hold, such as half of a surrogate pair written as \\ud800, becomes a question mark."""
    if isinstance(column, pa.Array):
        return column
    return pa.array([text and text.encode(errors="replace").decode() for text in column], pa.string())


def _without_fraction(name: str, column: pa.Array) -> pa.Array:
    """Whole numbers in columns with gaps are often written as 1041453.0."""
    return pc.replace_substring_regex(column, r"^(-?\d+)\.0+$", r"\1") if name.endswith("_id") else column


def _rest(others: Mapping[str, pa.Array], absent: pa.Array) -> pa.Array:
    """The other columns as name=value; those without a value are left out."""
    if not others:
        return absent
    texts = [
        pc.if_else(pc.equal(column, ""), "", pc.binary_join_element_wise(f"{name}=", column, "; ", ""))
        for name, column in others.items()
    ]
    joined = pc.binary_join_element_wise(*texts, "", null_handling="replace", null_replacement="")
    return pc.utf8_rtrim(joined, "; ")
