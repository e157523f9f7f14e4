"""From clicks to pairs: which products share a session, in ibis expressions over product rows."""

from datetime import date

import ibis
import pyarrow as pa
from ibis.backends.duckdb import Backend

from tasks.tables import materialise

# Weights are summed as whole numbers of this unit: exact, so the same in whatever order the threads add them.
UNITS_PER_SESSION = 1 << 36


def pair_products(
    engine: Backend, clicks: ibis.Table, product_ids: pa.Array, cut: date, max_session_products: int
) -> tuple[ibis.Table, dict[str, int]]:
    """Count the sessions that lead from a query product to a related one, by the session's age.

    Returns (query, related, age, sessions), products as rows of product_ids, age in days before the cut, and counts.
    A click with a source_product_id pairs the two; the other products of a session all pair with one another.
    """
    clicks = materialise(engine, _with_rows(engine, clicks, product_ids, cut))
    followed = clicks.filter(clicks.source.notnull()).select("session", "age", query="source", related="product")
    baskets = clicks.filter(clicks.source.isnull()).group_by("session", "age")
    baskets = materialise(engine, baskets.agg(products=clicks.product.collect(distinct=True)))
    large = baskets.products.length() > max_session_products
    together = baskets.filter(~large).mutate(query=baskets.products.unnest()).mutate(related=ibis._.products.unnest())
    pairs = followed.union(together.drop("products")).filter(ibis._.query != ibis._.related).distinct()
    counted = materialise(engine, pairs.group_by("query", "related", "age").agg(sessions=pairs.count()))
    inside = (counted.query >= 0) & (counted.related >= 0)
    counts = {
        "sessions": clicks.session.nunique().execute(),
        "too_large_sessions": baskets.filter(large).count().execute(),
        "pairs_outside_catalogue": counted.filter(~inside).sessions.sum().fill_null(0).execute(),
    }
    return counted.filter(inside), {name: int(count) for name, count in counts.items()}


def dated_pairs(pairs: ibis.Table, min_support: int) -> pa.Table:
    """(query, related, age, sessions) of the pairs that min_support sessions of any age share, in this order."""
    support = ibis._.sessions.sum().over(group_by=["query", "related"])
    kept = pairs.mutate(support=support).filter(ibis._.support >= min_support)
    return kept.order_by("query", "related", "age").select("query", "related", "age", "sessions").to_pyarrow()


def dated_products(engine: Backend, clicks: ibis.Table, product_ids: pa.Array, cut: date) -> pa.Table:
    """How many sessions held each product of product_ids, by age: (product, age, sessions), in this order."""
    held = _with_rows(engine, clicks, product_ids, cut).filter(ibis._["product"] >= 0)
    counted = held.group_by("product", "age").agg(sessions=ibis._.session.nunique())
    return counted.order_by("product", "age").to_pyarrow()


def weigh_pairs(pairs: ibis.Table, half_life_days: float | None, min_support: int, max_related: int) -> pa.Table:
    """Add up each pair's sessions, halved every half_life_days (None: never); returns (query, related, weight).

    Keeps pairs of at least min_support sessions and the max_related heaviest of a query (ties: the smaller row).
    """
    units: ibis.Value = ibis.literal(UNITS_PER_SESSION)
    if half_life_days is not None:
        units = (units * ibis.literal(0.5) ** (pairs.age / half_life_days)).round().cast("int64").clip(lower=1)
    weighed = pairs.group_by("query", "related").agg(
        support=pairs.sessions.sum(), units=(pairs.sessions * units).sum().cast("int64")
    )
    supported = weighed.filter(weighed.support >= min_support)
    place = ibis.row_number().over(group_by="query", order_by=[ibis.desc("units"), "related"])
    kept = supported.mutate(place=place).filter(ibis._.place < max_related).order_by("query", "related")
    return kept.select("query", "related", weight=kept.units / UNITS_PER_SESSION).to_pyarrow()


def _with_rows(engine: Backend, clicks: ibis.Table, product_ids: pa.Array, cut: date) -> ibis.Table:
    """(session, age, product, source) as numbers; a product outside the catalogue gets a negative one of its own."""
    rows = ibis.memtable(pa.table({"id": product_ids, "row": pa.array(range(len(product_ids)), pa.int32())}))
    ids = clicks.select(id="product_id").union(clicks.select(id="source_product_id")).distinct()
    ids = ids.filter(ids.id.notnull()).left_join(rows, "id")
    outside = -1 - ibis.row_number().over(group_by=ids.row.isnull(), order_by="id")
    numbers = materialise(engine, ids.select("id", number=ibis.coalesce(ids.row, outside).cast("int32")))
    sessions = clicks.group_by("session_id").agg(last=clicks.event_time.max().date())
    sessions = sessions.select(
        "session_id",
        session=ibis.row_number().over(order_by="session_id"),
        age=ibis.literal(cut).delta(sessions["last"], unit="day").cast("int32"),
    )
    return (
        clicks.join(sessions, "session_id")
        .join(numbers.rename(product_id="id", product="number"), "product_id")
        .left_join(numbers.rename(source_product_id="id", source="number"), "source_product_id")
        .select("session", "age", "product", "source")
    )
