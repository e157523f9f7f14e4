"""Published lists judged on the days that they were live: what a shop saw, against what shared sessions that day."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.arrays.topk import PAD
from eclare.evaluation.bootstrap import Resampled
from eclare.evaluation.metrics import PointMetric, inverse_propensities, point_metrics, related_gains
from eclare.related.cooccurrence import Cooccurrence
from tasks.errors import TaskError
from tasks.model_config import load_cooccurrence, load_interactions
from tasks.night import Night
from tasks.stores.artefacts import Storage
from tasks.stores.database import Connection, select, statement
from tasks.stores.rows import rows_in

K = 10
METRICS = ("P", "PSP", "nDCG", "lift")
LISTED = "listed"

Row = Mapping[str, Any]


class Judged(NamedTuple):
    """How many days were judged, and a sentence for each day on which a version was live that could not be."""

    days: int
    not_judged: list[str]


class _Known(NamedTuple):
    """What a night's interactions say of P products: ids, co-occurrence by day, weights of hits."""

    ids_P: pa.Array
    cooccurrence: Cooccurrence
    inverse_propensity_P: npt.NDArray[np.float64]


def judge_while_live(connection: Connection, night: Night, storage: Storage) -> Judged:
    """Judge the night's held-out days anew, each by the version live for most of it; rows of table live_metric.

    The truth of a day are the pairs of the night's catalogue that shared MIN_SUPPORT sessions or more on that day
    alone, of which a version of a night before it knows nothing. All held-out days, not the last alone, since late
    clicks change those before. What a later night judged stays. What cannot be judged is said and fails nothing.
    """
    live = select(connection, "live_on_days", first=night.first_held_out_day, last=night.day)
    try:
        known = _known(night, storage) if any(row["has_rows"] for row in live) else None
    except TaskError as error:
        return Judged(0, [_said(row, str(error)) for row in live])
    reasons = [_judge(connection, row, night, known) for row in live]
    not_judged = [_said(row, why) for row, why in zip(live, reasons, strict=True) if why]
    return Judged(len(live) - len(not_judged), not_judged)


def _said(row: Row, why: str) -> str:
    return f"{row['day']}: version {row['version_id']} was live, but {why}"


def _known(night: Night, storage: Storage) -> _Known:
    """What the night's interactions say; raises NotReady where they are missing, BadInput where of older code."""
    with storage.open(storage.read(night.artefact("interactions"))) as folder:
        training = load_interactions(Path(folder) / "training")
        ids = pa.array(training.label_ids_L, pa.string())
        return _Known(ids, load_cooccurrence(Path(folder)), inverse_propensities(training.weights_NL))


def _judge(connection: Connection, row: Row, night: Night, known: _Known | None) -> str:
    """Judge one day and store its figures; returns why not, where it cannot be judged."""
    if known is None or not row["has_rows"]:
        return "its rows were dropped (KEEP_VERSIONS, KEEP_DAYS)"
    of_day = known.cooccurrence.on((night.day - row["day"]).days)
    truth_PP = of_day.shared_sessions()
    if not truth_PP.nnz:
        return f"no two products shared {of_day.min_support} sessions or more (MIN_SUPPORT)"
    metrics = _metrics(connection, row["version_id"], of_day, truth_PP, known)
    judged = {name: row[name] for name in ("day", "version_id", "live_hours")} | {"judged_night": night.day}
    connection.execute(statement("delete_live_metrics"), judged)
    connection.execute(statement("insert_live_metric"), [judged | figures for figures in _figures(metrics)])
    return ""


def _metrics(
    connection: Connection, version_id: int, of_day: Cooccurrence, truth_PP: sp.csr_matrix, known: _Known
) -> dict[tuple[str, int], PointMetric]:
    """The metrics of a version's lists of the day's queries, by name and cut."""
    queries = np.flatnonzero(np.diff(truth_PP.indptr)).astype(np.int32)
    labels_QK, has_list_Q = _lists(connection, version_id, queries, known)
    sessions_P = of_day.popularity()
    gains_QP = related_gains(truth_PP[queries], sessions_P[queries], sessions_P, of_day.session_count)
    of_points = point_metrics(labels_QK, truth_PP[queries], known.inverse_propensity_P, [K], gains_QP)
    metrics = {(each.name, each.k): each for each in of_points if each.name in METRICS}
    return metrics | {(LISTED, 0): PointMetric(LISTED, 0, has_list_Q.astype(float), np.ones(len(queries)))}


def _lists(connection: Connection, version_id: int, queries: Rows, known: _Known) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """The first K places of the queries' lists, and which have one; PAD also where the catalogue lacks a product."""
    asked = known.ids_P.take(pa.array(queries))
    wanted = {"version_id": version_id, "product_ids": asked.to_pylist(), "k": K}
    rows = connection.execute(statement("first_places"), wanted).all()
    products, ranks, related = zip(*rows, strict=True) if rows else ((), (), ())
    query = rows_in(asked, products)
    labels_QK, has_list_Q = np.full((len(queries), K), PAD, np.int32), np.zeros(len(queries), bool)
    labels_QK[query, np.array(ranks, int) - 1] = rows_in(known.ids_P, related)
    has_list_Q[query] = True
    return labels_QK, has_list_Q


def _figures(metrics: Mapping[tuple[str, int], PointMetric]) -> Iterator[dict[str, object]]:
    resampled = Resampled(metrics)
    for (name, k), each in metrics.items():
        estimate = resampled.estimate((name, k))
        yield {
            "metric": name, "k": k, "earned": float(each.earned_N.sum()), "possible": float(each.possible_N.sum()),
            "low": estimate.low, "high": estimate.high, "queries": len(each.earned_N),
        }  # fmt: skip
