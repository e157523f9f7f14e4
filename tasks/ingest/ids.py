"""Ids as an ingest reads them: in their normal form (tasks.stores.rows), in any engine.

Ids that a writer took for numbers are digits alone; whether it did, a whole column of a file says, never one id.
"""

import re
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.engine import composed_by_java
from tasks.ingest.input_files import LARGEST_WHOLE, digits_of
from tasks.stores.rows import BLANKS

AROUND = r"^[ \t]+|[ \t]+$"
WITH_FRACTION = r"^-?\d+\.0+$"  # pandas, of a column with gaps: 1041453.0
# Java and Spark: 1.041453E7; Python, Go and C: 3.119857004412346e+16. No number is written as 1E5, but 1.0E5, 1e+05.
SCIENTIFIC = r"^-?\d\.\d+E\d+$|^-?\d(\.\d+)?e\+\d\d+$"
NUMBER = r"^[ \t]*-?(\d+|\d+\.0+|\d\.\d+E\d+|\d(\.\d+)?e\+\d\d+)[ \t]*$"  # any of these, or digits alone
MAX_OTHERS = 0.01  # share of ids in a column of numbers that are none: "undefined", a header that came again


def is_id(name: str) -> bool:
    """Whether one of our columns holds ids."""
    return name.endswith("_id")


def whole_number(text: str) -> str:
    """An id as it is written in a column of numbers: 1041453.0 and 1.041453E6 are 1041453."""
    if re.search(WITH_FRACTION, text):
        return text.partition(".")[0]
    is_whole = re.search(SCIENTIFIC, text) and float(text).is_integer() and abs(float(text)) < LARGEST_WHOLE
    return str(int(float(text))) if is_whole else text


class NumberColumns:
    """Which columns of ids in a text file hold numbers, some of which were doubles to the writer."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self._with_points: set[str] = set()  # few have any, and only these are looked at again

    def add(self, name: str, column: pa.Array) -> None:
        """Note some ids of a column."""
        _, _, letters = column.buffers()
        if name not in self._with_points and letters is not None:
            letters = np.frombuffer(letters, np.uint8)
            if (letters == ord(".")).any() or (letters == ord("+")).any():
                self._with_points.add(name)

    def decide(self, file: Path) -> None:
        """Find out what the columns are, once all are in a Parquet file."""
        self.names = frozenset(name for name in self._with_points if _are_numbers(file, name))


def _are_numbers(file: Path, name: str) -> bool:
    ids = others = 0
    for batch in pq.ParquetFile(file).iter_batches(columns=[name]):
        column = batch.column(0).drop_null()
        column = column.filter(pc.not_equal(column, ""))
        ids += len(column)
        others += pc.sum(pc.invert(pc.match_substring_regex(column, NUMBER))).as_py() or 0
    return bool(others <= MAX_OTHERS * ids)


@ibis.udf.scalar.builtin(name="nfc_normalize")  # type: ignore[untyped-decorator]
def _composed(text: str) -> str:  # type: ignore[empty-body]
    """DuckDB's own."""


@ibis.udf.scalar.builtin(name="trim")  # type: ignore[untyped-decorator]
def _trimmed(text: str, characters: str) -> str:  # type: ignore[empty-body]
    """DuckDB's own."""


def as_id(text: ibis.Value, engine: str, *, is_number: bool = False) -> ibis.Value:
    """The normal form of an id, as `normal_id` has it, and `whole_number` where its column is one of numbers."""
    if engine == "duckdb":
        text = _composed(text)
        may_have_blanks = (text < "!") | text.endswith(" ") | text.endswith("\t")  # few have, which are worth trimming
        text = ibis.ifelse(may_have_blanks, _trimmed(text, BLANKS), text)
    else:  # Spark writes an expression out for each use
        text = composed_by_java(text).re_replace(AROUND, "").nullif("")
    return _whole_number(text) if is_number else text


def _whole_number(text: ibis.Value) -> ibis.Value:
    return ibis.cases(
        (text.re_search(WITH_FRACTION), text.re_replace(r"\.0+$", "")),
        (text.re_search(SCIENTIFIC), ibis.coalesce(digits_of(text.try_cast("float64")), text)),
        else_=text,
    )
