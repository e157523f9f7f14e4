"""CSV and JSON, however dirty: each record becomes a row of text or is kept as unreadable, with its line."""

import codecs
import zlib
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from tasks.errors import BadInput
from tasks.ingest.csv_rows import CsvRows
from tasks.ingest.file_format import FileFormat
from tasks.ingest.input_files import Bounds, check_columns, reading_as
from tasks.ingest.json_rows import json_rows
from tasks.ingest.kinds import CSV, LINES, Kind, encoding_by_mark, open_unpacked
from tasks.ingest.lines import blocks_of
from tasks.ingest.parsed_file import ParsedFile, Rows, write_rows
from tasks.ingest.unreadable import UnreadableLines

BLOCK_BYTES = 4 << 20
HEAD_BYTES = 1 << 16
UNDECODABLE = "tasks.undecodable"

# What an encoding does not have becomes a byte that UTF-8 does not have: the line, and it alone, is then unreadable.
codecs.register_error(UNDECODABLE, lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


def text_to_parquet(file: Path, kind: Kind, file_format: FileFormat, target: Path, bounds: Bounds) -> ParsedFile:
    """Write the rows of a text file to `target` as Parquet: our columns and `rest` as text, and the line.

    `rest` holds every column that is none of ours as name=value. A record that is no row (not of the encoding, a zero
    byte, a quote that never closes, more or fewer columns, no JSON object, a list where a value has to be, over a
    mebibyte) is unreadable; they lie beside `target`, which must stay as long as they are read.
    Raises BadInput, the rest of a sentence about the file, for a compressed file that does not unpack, for a header
    that cannot be read, for a file that lacks a required column and for one that exceeds a bound.
    """
    parsed = ParsedFile(file_format, UnreadableLines(target.with_suffix(".unreadable")))
    with reading_as(kind.suffix, zlib.error, EOFError), closing(open_unpacked(file, kind.packing)) as content:
        write_rows(_rows(_chunks(content, parsed, bounds), kind, parsed), parsed, target)
    bounds.check_rows(parsed.lines)
    if parsed.rows or (parsed.columns and parsed.unreadable):
        check_columns(list(parsed.columns), file_format)
    return parsed


def _rows(chunks: Iterator[bytes], kind: Kind, parsed: ParsedFile) -> Iterator[Rows]:
    if kind.form == CSV:
        return CsvRows(parsed).rows(blocks_of(chunks, parsed.unreadable))
    return json_rows(chunks, parsed, is_lines=kind.form == LINES)


def _chunks(content: BinaryIO, parsed: ParsedFile, bounds: Bounds) -> Iterator[bytes]:
    """The content as UTF-8 without the mark that may begin it, some mebibytes at a time."""
    head = content.read(HEAD_BYTES)
    declared = codecs.lookup(parsed.file_format.encoding).name
    encoding = encoding_by_mark(head) or declared
    if declared == "utf-8" and encoding.startswith(("utf-16", "utf-32")):
        raise BadInput(
            f"must be UTF-8, but line 1 begins like {encoding.upper()}: write the file again as UTF-8, or say "
            f'"encoding": "{encoding}" in {parsed.file_format.setting}'
        )
    read = _read(head, content, parsed, bounds)
    if encoding == "utf-8-sig":
        read = chain([next(read).removeprefix(codecs.BOM_UTF8)], read)
    elif encoding != "utf-8":
        read = _as_utf8(read, encoding)
    first = next(read, b"")
    if b"\r" in first[:-1] and b"\n" not in first:  # of a Macintosh before 2001, as Excel still offers it
        return (chunk.replace(b"\r", b"\n") for chunk in chain([first], read))
    return chain([first], read)


def _read(head: bytes, content: BinaryIO, parsed: ParsedFile, bounds: Bounds) -> Iterator[bytes]:
    size, source = 0, chain([head], iter(lambda: content.read(BLOCK_BYTES), b""))
    with tqdm(unit="B", unit_scale=True, desc="reading", disable=None) as progress:
        for chunk in source:
            progress.update(len(chunk))
            size += len(chunk)
            bounds.check_bytes(size)
            bounds.check_rows(parsed.lines)
            yield chunk


def _as_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors=UNDECODABLE)
    for chunk in chunks:
        yield decoder.decode(chunk).encode(errors="surrogateescape")
    yield decoder.decode(b"", final=True).encode(errors="surrogateescape")
