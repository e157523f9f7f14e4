"""What the gate judges, measured on tonight's rows, their metrics and the live version."""

from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eclare.arrays.topk import PAD
from eclare.related.recommendations import Recommendations
from tasks.stores.database import Connection, statement

Facts = dict[str, float | None]
COMPARED = {"precision": "P", "psp": "PSP", "ndcg": "nDCG"}


def facts_of_rows(made: Recommendations, products: pa.Table) -> Facts:
    """How much of the catalogue has related products, and how many rows nobody may ever see.

    products: product_id, in_stock and blocked of the night's catalogue.
    """
    there = made.labels_NK != PAD
    points, places = np.nonzero(there)
    labels = made.labels_NK[points, places]
    point_place, label_place = (_places(ids, products["product_id"]) for ids in (made.point_ids_N, made.label_ids_L))
    blocked, in_stock = (products[name].to_numpy().astype(bool) for name in ("blocked", "in_stock"))
    related, known = label_place[labels], (label_place[labels] >= 0) & (point_place[points] >= 0)
    count, catalogue = there.sum(axis=1)[point_place >= 0], max(len(products), 1)
    return {
        "row_count": len(labels),
        "coverage": int((count > 0).sum()) / catalogue,
        "full": int((count == made.labels_NK.shape[1]).sum()) / catalogue if made.labels_NK.shape[1] else 0.0,
        "unknown": int((~known).sum()),
        "itself": int((_places(made.point_ids_N, made.label_ids_L)[points] == labels).sum()),
        "repeated": _repeated(made.labels_NK),
        "blocked": int(blocked[related[related >= 0]].sum()),
        "out_of_stock": int((~in_stock)[related[related >= 0]].sum()),
    }


def facts_of_metrics(connection: Connection, night: date, model_hash: str) -> Facts:
    """Held-out metrics at 10 over those of the co-click baseline and of the live version; None: not evaluated."""
    tonight = _figures(connection, night, model_hash)
    live_model = connection.execute(statement("live_model")).one_or_none()
    live = _figures(connection, *live_model) if live_model else {}
    facts: Facts = {}
    for name, metric in COMPARED.items():
        ours, baseline = tonight.get(("eclare", "all", metric)), tonight.get(("co-click", "all", metric))
        facts[f"baseline_{name}"] = _ratio(ours, baseline)
        facts[f"live_{name}"] = _ratio(ours, live.get(("eclare", "all", metric)))
    tail = (tonight.get((system, "tail", "recall")) for system in ("eclare", "co-click"))
    return facts | {"tail_recall": _ratio(*tail)}


def facts_of_change(connection: Connection, version_id: int) -> Facts:
    """Churn and score drift of a staged version against the live one."""
    return dict(connection.execute(statement("compare_with_live", version_id=version_id)).mappings().one())


def _repeated(labels_NK: npt.NDArray[np.int32]) -> int:
    """Labels that their list has already."""
    in_order = np.sort(labels_NK, axis=1)
    return int(((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] != PAD)).sum())


def _places(ids: npt.NDArray[np.str_], among: npt.NDArray[np.str_] | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The first place of each id, -1 for none."""
    found = pc.index_in(pa.array(ids, pa.string()), value_set=pa.array(among, pa.string()))
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64))


def _figures(connection: Connection, night: date, model_hash: str) -> dict[tuple[str, str, str], float]:
    rows = connection.execute(statement("held_out_figures"), {"night": night, "model_hash": model_hash})
    return {(row.system, row.segment, row.metric): row.value for row in rows}


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    """Where theirs is nothing, there is nothing to fall behind."""
    if ours is None or theirs is None:
        return None
    return ours / theirs if theirs > 0 else 1.0
