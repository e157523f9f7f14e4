"""Lines that are no rows: kept in a file, because a small compressed one may hold millions of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

SHOWN_BYTES = 200
LINES_AT_ONCE = 1 << 16
SCHEMA = pa.schema([("line", pa.int64()), ("why", pa.string()), ("beginning", pa.string())])


class Unreadable(NamedTuple):
    """A line that is no row: its number from 1, why, and how it begins."""

    line: int
    why: str
    beginning: str


class UnreadableLines:
    """The lines of one text file that are no rows; all but some are in `file`, and to be read while that is there."""

    def __init__(self, file: Path) -> None:
        self.first: Unreadable | None = None
        self._file, self._in_file = file, 0
        self._lines: list[Unreadable] = []
        self._writer: pq.ParquetWriter | None = None

    def __repr__(self) -> str:
        return f"UnreadableLines({len(self):,})"

    def __len__(self) -> int:
        return self._in_file + len(self._lines)

    def add(self, line: int, why: str, content: bytes | str) -> None:
        """Keep how a line begins that is no row."""
        shown = content[:SHOWN_BYTES]
        # What UTF-8 cannot hold, such as half of a surrogate pair, becomes a question mark.
        text = shown.decode(errors="replace") if isinstance(shown, bytes) else shown.encode(errors="replace").decode()
        self._lines.append(Unreadable(line, why, text))
        self.first = self.first or self._lines[0]
        if len(self._lines) == LINES_AT_ONCE:
            self._write()

    def close(self) -> None:
        """No line is added any more."""
        if self._writer:
            self._writer.close()

    def batches(self) -> Iterator[Sequence[Unreadable]]:
        """The lines in the order in which they were found, some at a time."""
        if self._in_file:
            for batch in pq.ParquetFile(self._file).iter_batches(LINES_AT_ONCE):
                yield [Unreadable(*line) for line in zip(*(column.to_pylist() for column in batch), strict=True)]
        if self._lines:
            yield self._lines

    def _write(self) -> None:
        self._writer = self._writer or pq.ParquetWriter(self._file, SCHEMA)
        columns = [pa.array(column) for column in zip(*self._lines, strict=True)]
        self._writer.write_batch(pa.record_batch(columns, SCHEMA))
        self._in_file += len(self._lines)
        self._lines = []
