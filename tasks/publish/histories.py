"""How much is known of each product, for table recommended_product: histories.parquet beside the recommendations."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from eclare.evaluation.list_segments import Segmentation

FILE = "histories.parquet"
COLD = "cold"  # a product without a session


def write_histories(
    ids: pa.ChunkedArray, sessions_P: npt.NDArray[np.floating], popularity: "Segmentation", folder: Path
) -> None:
    """One row a product: its sessions in the window, and head, torso, tail or cold."""
    names = np.array([*popularity.names, COLD])  # NONE is the last
    columns = {"product_id": ids, "sessions": pa.array(sessions_P.astype(np.int32))}
    pq.write_table(pa.table(columns | {"segment": pa.array(names[popularity.place_N], pa.string())}), folder / FILE)


def with_histories(products: pa.Table, folder: Path) -> pa.Table:
    """The products with the columns `sessions` and `segment`, null for those that have no row."""
    histories = pq.read_table(folder / FILE)
    rows = pc.index_in(products["product_id"], value_set=histories["product_id"])
    for name in ("sessions", "segment"):
        products = products.append_column(name, histories[name].take(rows))
    return products
