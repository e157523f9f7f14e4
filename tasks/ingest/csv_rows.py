"""CSV as rows of text: what its first line says of the others, and each record as a row or as unreadable."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from tasks.errors import BadInput
from tasks.ingest.block_rows import BlockRows
from tasks.ingest.csv_records import Dialect, csv_records
from tasks.ingest.input_files import as_asked, check_width
from tasks.ingest.lines import Block, Lines, Readable, readable
from tasks.ingest.parsed_file import COLUMNS_KEPT, REST, Numbers, ParsedFile, Rows

BATCH_BYTES = 4 << 20
DELIMITERS = (",", ";", "\t", "|")
BLANK = re.compile(rb"(?:\r?\n)*(?:\xef\xbb\xbf)?(?:\r?\n)*")  # the mark of UTF-8 may come twice, or after a blank line
SEP = re.compile(rb'"?sep=([^\r\n"])"?\r?\n', re.IGNORECASE)


class Layout(NamedTuple):
    """How the rows of a CSV are written, and the names of its columns."""

    delimiter: str
    names: list[str]
    dialect: Dialect


class CsvRows(BlockRows):
    """Reads the rows of one CSV, block by block."""

    def __init__(self, parsed: ParsedFile) -> None:
        super().__init__(parsed)
        self.layout: Layout | None = None
        self.sep: str | None = None

    def rows(self, blocks: Iterator[Block]) -> Iterator[Rows]:
        """All rows; raises BadInput, the rest of a sentence about the file, for a header that cannot be read."""
        yield from super().rows(blocks)
        if self.layout is None:
            self._check_nothing_before_header(None)

    def rows_of(self, block: Block, *, is_last: bool) -> Iterator[Rows]:
        """The records of a block that are whole, behind the header."""
        self.carry = None
        if self.layout is None:
            begun = self._begin(block, is_last=is_last)
            if begun is None:
                return
            block = begun
        lines = Lines(block)
        records, taken = csv_records(lines, self._known.dialect, is_last=is_last)
        left = readable(records, self.parsed.unreadable)
        if len(left.numbers):
            yield from self._parse(left)
        if taken < len(lines):
            self.carry = Block(block.content[lines.starts[taken] :], block.first + taken)

    @property
    def _known(self) -> Layout:
        assert self.layout is not None  # noqa: S101 (each block begins with finding it)
        return self.layout

    def _begin(self, block: Block, *, is_last: bool) -> Block | None:
        """Read what stands before the rows; what follows it, None where that is not in this block."""
        place, sep = preamble_of(block.content)
        self.sep = sep or self.sep
        block = Block(block.content[place:], block.first + block.content.count(b"\n", 0, place))
        if not block.content:
            return None
        self._check_nothing_before_header(block.first)
        file_format = self.parsed.file_format
        first_line = block.content[: block.content.index(b"\n")]
        delimiter = file_format.delimiter or self.sep or self._likely_delimiter(first_line)
        if file_format.header:
            self._set_layout(delimiter, list(file_format.header))
            return block
        records, taken = csv_records(Lines(block), Dialect.of(delimiter.encode(), None), is_last=is_last)
        if not taken:
            self.carry = block
            return None
        if whys := [why for why, flags in records.faults.items() if flags[0]]:
            raise _unreadable_header(block.first, whys[0])
        header = block.content[: records.ends[0] + 1]
        self._set_layout(delimiter, self._names(header, delimiter, block.first))
        rest = Block(block.content[len(header) :], block.first + header.count(b"\n"))
        return rest if rest.content else None

    def _check_nothing_before_header(self, line: int | None) -> None:
        """The first line that is not blank must be readable; every other line may be refused."""
        first = self.parsed.unreadable.first
        if first and (line is None or first.line < line):
            raise _unreadable_header(first.line, first.why)

    def _set_layout(self, delimiter: str, names: list[str]) -> None:
        check_width(names)
        self.layout = Layout(delimiter, names, Dialect.of(delimiter.encode(), len(names)))
        self.parsed.add_columns(names)

    def _likely_delimiter(self, line: bytes) -> str:
        """The one by which the header has most of the columns asked for, or else most columns; a comma if in doubt."""
        wanted = {name.casefold() for name in self.parsed.wanted}
        header = self.parsed.file_format.header

        def likelihood(delimiter: str) -> tuple[int, int]:
            names = _split(line, delimiter)
            if header:
                return int(len(names) == len(header)), 0
            return len({name.strip().casefold() for name in names} & wanted), len(names)

        return max(DELIMITERS, key=likelihood)

    def _names(self, header: bytes, delimiter: str, line: int) -> list[str]:
        """The columns, called as the format calls them where case or blanks around are all that differs."""
        written = [name.strip() or f"column {place}" for place, name in enumerate(_split(header, delimiter), 1)]
        if len({name.casefold() for name in written}) < len(written):
            shown = delimiter.join(written[:COLUMNS_KEPT])
            raise BadInput(f"has a column twice in its header, line {line} ({shown}): name each once")
        return as_asked(written, self.parsed.wanted)

    def _parse(self, left: Readable) -> Iterator[Rows]:
        delimiter, names, _ = self._known
        too_wide: dict[int, pa_csv.InvalidRow] = {}
        ragged: list[int] = []

        def refuse(row: pa_csv.InvalidRow) -> str:
            place, more = row.number - 1, row.actual_columns - row.expected_columns
            if more > 0 and row.text.endswith(delimiter * more):
                too_wide[place] = row
                return "skip"
            ragged.append(place)
            why = f"{row.actual_columns} columns, not {row.expected_columns}"
            self.parsed.unreadable.add(int(left.numbers[place]), why, row.text)
            return "skip"

        has_line_ends = left.content.count(b"\n") > len(left.numbers)
        table = pa_csv.read_csv(
            pa.BufferReader(left.content),
            pa_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(left.content) + 1),
            pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=has_line_ends, invalid_row_handler=refuse),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), check_utf8=False, null_values=[]),
        )
        if too_wide:  # by blank columns behind the last, as spreadsheets write them
            yield from self._parse(_narrowed(left, too_wide, ragged))
            return
        numbers = np.delete(left.numbers, ragged)
        at_once = max(BATCH_BYTES // (1 + sum(map(len, names))), 1)  # as `rest` repeats the names in every row
        for start in range(0, len(numbers), at_once):
            some = table.slice(start, at_once).combine_chunks()
            yield from self._our_rows(
                {name: some[name].combine_chunks() for name in names}, numbers[start : start + at_once]
            )

    def _our_rows(self, columns: dict[str, pa.Array], numbers: Numbers) -> Iterator[Rows]:
        file_format = self.parsed.file_format
        if file_format.is_plain:
            names = {name: sources[0] for name, sources in file_format.sources.items()}
            ours = {name: columns[theirs] for name, theirs in names.items() if theirs in columns}
            others = {name: columns[name] for name in sorted(columns.keys() - set(names.values()))}
            yield ours | ({REST: _rest(others)} if others else {}), numbers
            return
        for line, record in zip(numbers.tolist(), pa.table(columns).to_pylist(), strict=True):
            self.batch.add(line, record, self._known.delimiter.join(record.values()))
            if self.batch.is_full:
                yield self.batch.take()
        yield self.batch.take()


def preamble_of(content: bytes) -> tuple[int, str | None]:
    """Where the header of a CSV begins, behind marks, blank lines and a line sep=, and the delimiter that this says."""
    place = _after_blank(content, 0)
    sep = SEP.match(content, place)
    return (_after_blank(content, sep.end()), sep[1].decode()) if sep else (place, None)


def _after_blank(content: bytes, place: int) -> int:
    return BLANK.match(content, place).end()  # type: ignore[union-attr]


def _unreadable_header(line: int, why: str) -> BadInput:
    return BadInput(f"does not read as .csv: its header, line {line}, {why}; write the file again")


def _split(line: bytes, delimiter: str) -> list[str]:
    text = line.decode(errors="replace")
    try:
        return next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error:  # of a field beyond all bounds: then it is no name, or this no delimiter
        return [text]


def _narrowed(left: Readable, too_wide: Mapping[int, pa_csv.InvalidRow], ragged: list[int]) -> Readable:
    """Records without blank columns behind the last, and without those that are unreadable."""
    ends = np.cumsum(left.sizes)
    kept = np.setdiff1d(np.arange(len(ends)), ragged)
    records = [left.content[ends[i] - left.sizes[i] : ends[i]] for i in kept]
    for place, i in enumerate(kept.tolist()):
        if i in too_wide:
            row = too_wide[i]
            records[place] = row.text[: row.expected_columns - row.actual_columns].encode() + b"\n"
    return Readable(b"".join(records), left.numbers[kept], np.array([*map(len, records)], np.int64))


def _rest(others: Mapping[str, pa.Array]) -> pa.Array:
    """The other columns as name=value; those without a value are left out."""
    texts = [
        pc.if_else(pc.equal(column, ""), "", pc.binary_join_element_wise(f"{name}=", column, "; ", ""))
        for name, column in others.items()
    ]
    joined = pc.binary_join_element_wise(*texts, "", null_handling="replace", null_replacement="")
    return pc.utf8_rtrim(joined, "; ")
