"""Reasons as rows of the table recommendation_reason: reasons.parquet beside the recommendations."""

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.topk import PAD
from eclare.related.features import SCORE_PARTS

if TYPE_CHECKING:
    from eclare.arrays.strings import Strings
    from eclare.related.explain import Reasons

FILE = "reasons.parquet"
VIEWS = ("text", "graph", "refinement")
NUMBERS = (*(f"attention_{name}" for name in VIEWS), *(f"score_{part}" for part in SCORE_PARTS))
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("product_id", "related_product_id")),
        ("sessions", pa.int32()),
        ("last_day", pa.date32()),
        ("neighbours", pa.string()),
        *((name, pa.float32()) for name in NUMBERS),
    ]
)


def write_reasons(chunks: Iterable["Reasons"], ids: "Strings", day: date, folder: Path) -> None:
    """One row a pair; last_day is null where no session held both, what is not known of a score is null.

    chunks: as many pairs as are in memory at once. day: the last one whose clicks count.
    """
    names = pa.array(ids, pa.string())
    with pq.ParquetWriter(folder / FILE, SCHEMA) as file:
        for reasons in chunks:
            file.write_table(_rows(reasons, names, day))


def read_reasons(folder: Path) -> pa.RecordBatchReader:
    """What `write_reasons` wrote, or no row where nothing was explained; the file must stay until all are read."""
    if not (folder / FILE).exists():
        return SCHEMA.empty_table().to_reader()
    return pa.RecordBatchReader.from_batches(SCHEMA, pq.ParquetFile(folder / FILE).iter_batches())


def _rows(reasons: "Reasons", names: pa.Array, day: date) -> pa.Table:
    epoch_day = day.toordinal() - date(1970, 1, 1).toordinal()
    never = reasons.age_E < 0
    columns = {
        "product_id": names.take(pa.array(reasons.queries_E)),
        "related_product_id": names.take(pa.array(reasons.labels_E)),
        "sessions": pa.array(np.round(reasons.sessions_E).astype(np.int32)),
        "last_day": pa.array(epoch_day - reasons.age_E, pa.int32(), mask=never).cast(pa.date32()),
        "neighbours": pa.array(_neighbours(reasons, names), pa.string()),
    }
    for view, weights_E in zip(reasons.views, reasons.attention_EZ.T, strict=True):
        columns[f"attention_{view}"] = _rounded(weights_E)
    for part, parts_E in zip(SCORE_PARTS, reasons.parts_EG.T, strict=True):
        columns[f"score_{part}"] = _rounded(parts_E)
    absent = pa.nulls(len(reasons), pa.float32())
    return pa.table([columns.get(name, absent) for name in SCHEMA.names], SCHEMA)


def _rounded(values: npt.NDArray[np.float32]) -> pa.Array:
    """Five decimals: half as much to store, and no reader sees more."""
    return pa.array(np.round(values, 5), pa.float32(), from_pandas=True)


def _neighbours(reasons: "Reasons", names: pa.Array) -> list[str]:
    """Label ids and edge weights as JSON objects."""
    near, weights = reasons.neighbours_EM, np.round(reasons.edges_EM.astype(float), 4).tolist()
    of_near = names.take(pa.array(near.ravel(), mask=near.ravel() == PAD)).to_pylist()
    ids = (of_near[start : start + near.shape[1]] for start in range(0, len(of_near), max(near.shape[1], 1)))
    return [
        json.dumps({name: weight for name, weight in zip(row, edges, strict=True) if name is not None})
        for row, edges in zip(ids, weights, strict=True)
    ]
