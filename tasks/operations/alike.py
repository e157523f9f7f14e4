"""One user's id in other spellings: those that an ingest makes one, and those that may be the same user's."""

from collections.abc import Sequence

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingest.engine import ROWS_AT_ONCE
from tasks.ingest.ids import whole_number
from tasks.stores.rows import normal_id


def as_ingested(user_id: str) -> list[str]:
    """The id as it is given and, where they are others, as an ingest writes it: as a text, and as a number."""
    return list(dict.fromkeys([user_id, normal_id(user_id), whole_number(normal_id(user_id))]))


def alike(column: ibis.Value, ids: Sequence[str]) -> set[str]:
    """The ids in a column that are one of these but for blanks around it, case, zeros in front and Unicode's forms."""
    distinct = column.name("id").as_table().filter(ibis._.id.notnull()).distinct()
    found: set[str] = set()
    for batch in distinct.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE):
        found |= alike_among(batch["id"].cast(pa.string()), ids)
    return found


def alike_among(texts: pa.Array | pa.ChunkedArray, ids: Sequence[str]) -> set[str]:
    """The same, of an array."""
    return set(texts.filter(pc.is_in(_bare(texts), _bare(pa.array(ids, pa.string())))).to_pylist())


def _bare(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    texts = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    texts = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"\.0+$", "")
    return pc.utf8_normalize(pc.utf8_ltrim(texts, "0"), form="NFKC")
