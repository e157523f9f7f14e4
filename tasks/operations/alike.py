"""Ids that may be one user's, written in another way: with blanks, zeros in front, in other letters."""

from collections.abc import Sequence

import ibis
import pyarrow as pa
import pyarrow.compute as pc

from tasks.ingest.engine import ROWS_AT_ONCE


def alike(column: ibis.Value, ids: Sequence[str]) -> set[str]:
    """The ids in a column that are one of these but for blanks around it, case, zeros in front and Unicode's forms."""
    wanted = _bare(pa.array(ids, pa.string()))
    distinct = column.name("id").as_table().filter(ibis._.id.notnull()).distinct()
    found: set[str] = set()
    for batch in distinct.to_pyarrow_batches(chunk_size=ROWS_AT_ONCE):
        texts = batch["id"].cast(pa.string())
        found.update(texts.filter(pc.is_in(_bare(texts), wanted)).to_pylist())
    return found


def _bare(texts: pa.Array) -> pa.Array:
    texts = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    texts = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), r"\.0+$", "")
    return pc.utf8_normalize(pc.utf8_ltrim(texts, "0"), form="NFKC")
