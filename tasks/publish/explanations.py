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
    names, neighbours_L = pa.array(ids, pa.string()), np.full(len(ids), None, object)
    with pq.ParquetWriter(folder / FILE, SCHEMA) as file:
        for reasons in chunks:
            _describe_neighbours(reasons, names, neighbours_L)
            file.write_table(_rows(reasons, names, neighbours_L, day))


def read_reasons(folder: Path) -> pa.RecordBatchReader:
    """What `write_reasons` wrote, or no row where nothing was explained; the file must stay until all are read."""
    if not (folder / FILE).exists():
        return SCHEMA.empty_table().to_reader()
    return pa.RecordBatchReader.from_batches(SCHEMA, pq.ParquetFile(folder / FILE).iter_batches())


def _rows(reasons: "Reasons", names: pa.Array, neighbours_L: npt.NDArray[np.object_], day: date) -> pa.Table:
    epoch_day = day.toordinal() - date(1970, 1, 1).toordinal()
    never = reasons.age_E < 0
    columns = {
        "product_id": names.take(pa.array(reasons.queries_E)),
        "related_product_id": names.take(pa.array(reasons.labels_E)),
        "sessions": pa.array(np.round(reasons.sessions_E).astype(np.int32)),
        "last_day": pa.array(epoch_day - reasons.age_E, pa.int32(), mask=never).cast(pa.date32()),
        "neighbours": pa.array(neighbours_L[reasons.labels_E], pa.string()),
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


def _describe_neighbours(reasons: "Reasons", names: pa.Array, neighbours_L: npt.NDArray[np.object_]) -> None:
    """Write ids and edge weights of the neighbours as a JSON object for each label that has none yet."""
    labels_U, first_U = np.unique(reasons.labels_E, return_index=True)
    is_new_U = neighbours_L[labels_U] == None  # noqa: E711 (of each)
    near_UM, edges_UM = (each[first_U[is_new_U]] for each in (reasons.neighbours_EM, reasons.edges_EM))
    near, count = near_UM.ravel(), near_UM.shape[1]
    of_near, weights_UM = names.take(pa.array(near, mask=near == PAD)).to_pylist(), np.round(edges_UM.astype(float), 4)
    for row, label in enumerate(labels_U[is_new_U].tolist()):
        ids, weights = of_near[row * count : (row + 1) * count], weights_UM[row].tolist()
        near_ones = {name: weight for name, weight in zip(ids, weights, strict=True) if name is not None}
        neighbours_L[label] = json.dumps(near_ones)
