"""From ids, which tables hold, to rows, which arrays are indexed by; and the one normal form of ids."""

import unicodedata
from collections.abc import Sequence
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from eclare.arrays.csr import Rows
from eclare.arrays.strings import Strings

Ids: TypeAlias = Strings | Sequence[str] | pa.Array | pa.ChunkedArray
BLANKS = " \t"


def normal_id(text: str) -> str:
    """The normal form of one id: without spaces and tabs around, letters and their accents composed (NFC)."""
    return unicodedata.normalize("NFC", text).strip(BLANKS)


def normal_ids(ids: Ids) -> pa.Array | pa.ChunkedArray:
    """The normal form of ids; null stays null."""
    return pc.utf8_trim(pc.utf8_normalize(_of_text(ids), form="NFC"), characters=BLANKS)


def rows_in(among: Ids, ids: Ids) -> Rows:
    """The first row of each id among others, int32, -1 where it has none."""
    found = pc.index_in(_of_text(ids), value_set=_of_text(among))
    rows: Rows = found.fill_null(-1).to_numpy(zero_copy_only=False)
    return rows


def rows_of_stored(among: Ids, ids: Ids) -> Rows:
    """The first row of each id among others, -1 where it has none; stored days may be older than the normal form."""
    return rows_in(normal_ids(among), normal_ids(ids))


def _of_text(ids: Ids) -> pa.Array | pa.ChunkedArray:
    return ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())
