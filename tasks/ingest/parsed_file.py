"""What a delivered file holds: its rows, written as Parquet of text under our names, and its lines that are none."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.ingest.file_format import FileFormat
from tasks.ingest.ids import NumberColumns, is_id
from tasks.ingest.nested import RowMaker, Texts
from tasks.ingest.unreadable import UnreadableLines

COLUMNS_KEPT = 100  # of a file that has a new one in every line
MAX_CHARACTERS = 32 << 20  # of rows of items that wait to be written
LINE, REST = "line", "rest"

Numbers: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = tuple[Mapping[str, Any], Numbers]  # columns by our names, rest among them, and the line of each row


@dataclass
class ParsedFile:
    """What a file holds: rows, which are written as Parquet, lines that are none, and its columns.

    columns: the file's names, of which those that nobody asks for may be left out. numbers: which ids are numbers.
    """

    file_format: FileFormat
    unreadable: UnreadableLines
    rows: int = 0
    columns: dict[str, None] = field(default_factory=dict)
    numbers: NumberColumns = field(default_factory=NumberColumns)

    def __post_init__(self) -> None:
        self.wanted = self.file_format.wanted

    def add_columns(self, seen: Sequence[str]) -> None:
        """Note the names of columns."""
        for name in seen:
            if len(self.columns) < COLUMNS_KEPT or name in self.wanted:
                self.columns[name] = None

    def add_columns_of(self, record: object) -> None:
        """Note the names of an object of JSON."""
        if isinstance(record, dict) and not record.keys() <= self.columns.keys():
            self.add_columns(list(record))

    @property
    def lines(self) -> int:
        """Rows and lines that should have been rows."""
        return self.rows + len(self.unreadable)


def write_rows(rows: Iterator[Rows], parsed: ParsedFile, target: Path) -> None:
    """Write rows to `target` as Parquet: our columns and `rest` as text, and the line."""
    names = (*parsed.file_format.sources, REST)
    schema = pa.schema([*((name, pa.string()) for name in names), (LINE, pa.int64())])
    with closing(parsed.unreadable), pq.ParquetWriter(target, schema) as writer:
        for columns, numbers in rows:
            absent = pa.nulls(len(numbers), pa.string())
            texts = [columns.get(name, absent) for name in names]
            for name, column in zip(names, texts, strict=True):
                if is_id(name):
                    parsed.numbers.add(name, column)
            writer.write_batch(pa.record_batch([*texts, pa.array(numbers)], schema))
            parsed.rows += len(numbers)
    parsed.numbers.decide(target)


class RowBatch:
    """Rows of text of some records, and the line of each; is_full: their items repeat so much that it is time to write.

    What is no row is noted as unreadable.
    """

    def __init__(self, parsed: ParsedFile) -> None:
        self._parsed, self._maker = parsed, RowMaker(parsed.file_format)
        self._rows: list[tuple[int, Texts]] = []
        self._characters = 0

    @property
    def is_full(self) -> bool:
        """Whether it holds as many characters as may be in memory."""
        return self._characters > MAX_CHARACTERS

    def add(self, line: int, record: object, text: str | None = None) -> None:
        """Take a record, and how it was written, if that is known."""
        try:
            rows = self._maker.rows_of(record)
        except ValueError as error:
            self._parsed.unreadable.add(line, str(error), text or str(record))
            return
        self._rows += [(line, texts) for texts in rows]
        if len(rows) > 1:
            self._characters += len(rows) * sum(len(text or "") for text in rows[0])

    def take(self) -> Rows:
        """The rows as columns; none are left."""
        rows, self._rows, self._characters = self._rows, [], 0
        return _by_column(rows, self._parsed)


def _by_column(rows: Sequence[tuple[int, Texts]], parsed: ParsedFile) -> Rows:
    columns = zip(*(texts for _, texts in rows), strict=True)
    arrays = {
        name: _as_array(column) for name, column in zip((*parsed.file_format.sources, REST), columns, strict=False)
    }
    return arrays, np.array([line for line, _ in rows], np.int64)


def _as_array(column: Sequence[str | None]) -> pa.Array:
    """Text; what UTF-8 cannot hold, such as half of a surrogate pair written as \\ud800, becomes a question mark."""
    try:
        return pa.array(column, pa.string())
    except UnicodeEncodeError:
        return pa.array([text and text.encode(errors="replace").decode() for text in column], pa.string())
