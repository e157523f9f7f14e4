"""What the rules of the gate are about, measured on tonight's rows, their held-out metrics and the live version."""

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eclare.arrays.topk import PAD
from eclare.evaluation.lists import ListFigures, first_places
from eclare.related.recommendations import Recommendations
from tasks.stores.database import (
    BASELINE,
    LIVE,
    OURS,
    ROWS_PER_COPY,
    Connection,
    by_rules,
    copy_rows,
    select,
    statement,
)
from tasks.stores.rows import rows_in

_HeldOut = dict[tuple[str, str, str], tuple[float, float | None]]  # value and high by system, segment and metric
Measurements = dict[str, float | None]  # by name of rule; None: there is nothing to measure it on
Live = Mapping[str, Any]  # night, model_hash and catalogue_count of the live version
OVER_BASELINE = {"precision": "P", "psp": "PSP", "ndcg": "nDCG"}  # ending of a rule's name -> held-out metric
OVER_LIVE = OVER_BASELINE | {"lift": "lift"}
POINTS_AT_ONCE = 8192
WEEKDAYS, DAYS = 3, 7  # days before that a median is taken of, at least


class Measured(NamedTuple):
    """Values by name of rule; for some, why there is none, or what else a sentence about it should say."""

    values: Measurements
    why_not: dict[str, str] = {}  # noqa: RUF012 (never changed)
    remarks: dict[str, str] = {}  # noqa: RUF012

    def __or__(self, other: "Measured") -> "Measured":
        """Both."""
        remarks = self.remarks | other.remarks
        return Measured(self.values | other.values, self.why_not | other.why_not, remarks)


def measure_rows(recommendations: Recommendations, products: pa.Table) -> Measurements:
    """How much of the catalogue has a list, and how many rows break a zero rule.

    products: product_id, in_stock and blocked of the night's catalogue.
    """
    labels_NK, catalogue = recommendations.labels_NK, max(len(products), 1)
    point_rows_N = rows_in(products["product_id"], recommendations.point_ids_N)
    label_rows_L = rows_in(products["product_id"], recommendations.label_ids_L)
    label_of_point_N = rows_in(recommendations.label_ids_L, recommendations.point_ids_N)
    blocked, in_stock = (products[name].to_numpy().astype(bool) for name in ("blocked", "in_stock"))
    count = dict.fromkeys(("row_count", "unknown", "itself", "repeated", "blocked", "out_of_stock"), 0)
    for start in range(0, len(labels_NK), POINTS_AT_ONCE):
        labels_QK = labels_NK[start : start + POINTS_AT_ONCE]
        queries, places = np.nonzero(labels_QK != PAD)
        labels, points = labels_QK[queries, places], start + queries
        related = label_rows_L[labels]
        of_catalogue = related[related >= 0]
        count["row_count"] += len(labels)
        count["unknown"] += int(((related < 0) | (point_rows_N[points] < 0)).sum())
        count["itself"] += int((label_of_point_N[points] == labels).sum())
        count["repeated"] += _count_repeated(labels_QK)
        count["blocked"] += int(blocked[of_catalogue].sum())
        count["out_of_stock"] += int((~in_stock)[of_catalogue].sum())
    has_list_N = (labels_NK != PAD).any(axis=1) & (point_rows_N >= 0)
    return {"listed": int(has_list_N.sum()) / catalogue, **count}


def measure_page(figures: ListFigures) -> Measurements:
    """What the first places of all lists look like, as recommend_products measured it when it made the lists.

    The figures lie in the artefact of the rows, under one hash, and were made by the functions that the gate would call
    on these rows: a second count would find what the first did.
    """
    return {name: getattr(figures, name) for name in ("most_shown", "ten_most_shown", "shown", "title_twice")}


def even_page(recommendations: Recommendations, products: pa.Table, with_session: int) -> dict[str, float]:
    """What `measure_page` would say if every product that may be recommended stood in as many lists as the others.

    Each then stands in rows / products lists, rounded up, and at worst among the first places of all of them.
    """
    labels_NK = recommendations.labels_NK
    lists, first = int((labels_NK != PAD).any(axis=1).sum()), int((first_places(labels_NK) != PAD).sum())
    recommendable = int(pc.sum(pc.and_not(products["in_stock"], products["blocked"])).as_py() or 0)
    each = -(-int((labels_NK != PAD).sum()) // max(recommendable, 1))
    return {
        "most_shown": min(1.0, each / max(lists, 1)),
        "ten_most_shown": min(1.0, 10 * each / max(first, 1)),
        "shown": min(first, recommendable) / max(with_session, 1),
    }


def measure_metrics(connection: Connection, night: date, model_hash: str, algorithm: str = OURS) -> Measured:
    """Held-out metrics at 10 of the rows that readers would get, over the co-click baseline's and the live version's.

    The baseline's are by the same rules of a list. It is the upper end of the ratio's 95% interval: all are of the same
    held-out days. None: not evaluated. algorithm: what ranked these rows.
    """
    tonight, published = _held_out_metrics(connection, night, model_hash), by_rules(algorithm)
    values: Measurements = {"precision": _value(tonight, (published, "all", "P"))}
    for name, metric in OVER_BASELINE.items():
        values[f"baseline_{name}"] = _upper_end(tonight, (f"{published} / {by_rules(BASELINE)}", "all", metric))
    values["tail_recall"] = _upper_end(tonight, (f"{published} / {by_rules(BASELINE)}", "tail", "recall"))
    why_not = dict.fromkeys((name for name in values if name != "precision"), "it is the baseline itself")
    for name, metric in OVER_LIVE.items():
        values[f"live_{name}"] = _upper_end(tonight, (f"{published} / {LIVE}", "all", metric))
    return Measured(values, why_not if algorithm == BASELINE else {})


def why_not_beside_live(live: Live | None, night: date) -> str:
    """Why a night was not judged beside the version that is live, where it was not."""
    if live and live["night"] > night:
        return f"the live version, of {live['night']}, knows days that this night is judged on"
    return (
        "the live version had no lists to judge on this night's held-out days when it was evaluated: "
        "evaluate_model logged why"
    )


def measure_change(connection: Connection, version_id: int) -> Measurements:
    """Churn and rank-biased overlap of a staged version against the live one."""
    return dict(connection.execute(statement("compare_with_live", version_id=version_id)).mappings().one())


def measure_withdrawn(connection: Connection, night: date, version_id: int) -> Measured:
    """How many versions of the night somebody withdrew and nobody has answered since by approving one."""
    of_night = {"night": night, "version_id": version_id}
    count = connection.scalar(statement("withdrawn_versions"), of_night)
    return Measured({"withdrawn": count}, {}, {"withdrawn": "a person must approve what this night makes again"})


def measure_catalogue(products: int, live: Live | None) -> Measured:
    """How large the night's catalogue is beside that of the live version."""
    before = live["catalogue_count"] if live else None
    if not before:
        return Measured({"catalogue_size": None}, {"catalogue_size": "the live version is of older code"})
    remark = f"{products:,} products, live {before:,}"
    return Measured({"catalogue_size": products / before}, {}, {"catalogue_size": remark})


def measure_clicked(connection: Connection, version_id: int, clicked: pa.Table | None) -> Measured:
    """The share of the last days' clicks on products that have a list, over that of the live version.

    clicked: product_id and sessions, also of products that the catalogue lacks; None where the night's interactions are
    of older code.
    """
    if clicked is None:
        return Measured({"clicked_listed": None}, {"clicked_listed": "the night's interactions are of older code"})
    connection.execute(statement("create_clicked_products"))
    copy_rows(connection, "clicked_product", clicked.to_reader(ROWS_PER_COPY))
    shares = connection.execute(statement("clicked_listed", version_id=version_id)).one_or_none()
    if shares is None or not shares.live:
        return Measured({"clicked_listed": None}, {"clicked_listed": "the live version has a list of none of them"})
    remark = f"tonight {shares.tonight:.3f}, live {shares.live:.3f}"
    return Measured({"clicked_listed": shares.tonight / shares.live}, {}, {"clicked_listed": remark})


def measure_inputs(connection: Connection, night: date, interactions_hash: str) -> Measured:
    """Days that the window lacks, and the night's own day beside days before, as the ledger has them."""
    (seen,) = select(connection, "gate_inputs", night=night, interactions_hash=interactions_hash)
    missing, rows, usual, refused = (seen[name] for name in ("missing_days", "rows_read", "usual_rows", "refused"))
    own_day = ("day_rows", "refused", "refused_rise", "outside_catalogue")
    values: Measurements = {"missing_days": len(missing) if seen["is_built"] else None, **dict.fromkeys(own_day)}
    why_not = {"missing_days": "the ledger has no build of these interactions"}
    why_not |= dict.fromkeys(own_day, f"the ledger has no load of {night}")
    remarks = {"missing_days": ", ".join(map(str, missing))} if missing else {}
    if rows is None:
        return Measured(values, why_not, remarks)
    values |= {"refused": refused, "outside_catalogue": seen["outside_catalogue"]}
    if seen["weekdays"] >= WEEKDAYS:
        values["day_rows"] = min(rows, usual) / max(rows, usual)
        remarks["day_rows"] = f"{rows:,} rows, a {night:%A} has {usual:,.0f}"
    if seen["refusals"] >= DAYS:
        values["refused_rise"] = max(0.0, refused - seen["usual_refused"])
        remarks["refused_rise"] = f"{refused:.3f}, usually {seen['usual_refused']:.3f}"
    why_not["day_rows"] = f"the ledger has fewer than {WEEKDAYS} {night:%A}s of the eight weeks before"
    why_not["refused_rise"] = f"the ledger has fewer than {DAYS} of the 28 days before"
    return Measured(values, why_not, remarks)


def _count_repeated(labels_NK: npt.NDArray[np.int32]) -> int:
    """Labels that their list has already."""
    in_order = np.sort(labels_NK, axis=1)
    return int(((in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] != PAD)).sum())


def _held_out_metrics(connection: Connection, night: date, model_hash: str) -> _HeldOut:
    rows = connection.execute(statement("held_out_metrics"), {"night": night, "model_hash": model_hash})
    return {(row.system, row.segment, row.metric): (row.value, row.high) for row in rows}


def _value(metrics: _HeldOut, key: tuple[str, str, str]) -> float | None:
    value, _ = metrics.get(key, (None, None))
    return value


def _upper_end(metrics: _HeldOut, key: tuple[str, str, str]) -> float | None:
    _, high = metrics.get(key, (None, None))
    return high
