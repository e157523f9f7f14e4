"""From ids, which tables hold, to rows, which arrays are indexed by."""

from collections.abc import Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from eclare.arrays.csr import Rows
from eclare.arrays.strings import Strings

Ids: TypeAlias = Strings | Sequence[str] | pa.Array | pa.ChunkedArray


def rows_in(among: Ids, ids: Ids) -> Rows:
    """The first row of each id among others, int32, -1 where it has none."""
    found = pc.index_in(_of_text(ids), value_set=_of_text(among))
    rows: Rows = found.fill_null(-1).to_numpy(zero_copy_only=False)
    return rows


def _of_text(ids: Ids) -> pa.Array | pa.ChunkedArray:
    return ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
