"""What an order says once: its further rows leave blank what stands in the first, as Shopify and spreadsheets do."""

from collections.abc import Sequence

import ibis

from tasks.ingest.engine import FILE, ROW, count_rows, has_rows, materialise
from tasks.ingest.times import EVENT_TIME, TIME_TEXT

FROM_ORDER = "from_order"
AS_READ = {EVENT_TIME: (EVENT_TIME, TIME_TEXT)}  # the columns that rows of a log have for one of ours


def with_order_level(rows: ibis.Table, names: Sequence[str]) -> ibis.Table:
    """The rows of a log, with what they leave blank of some of our columns as the first row of their order has it.

    An order is what has one session_id in one file; what its first row leaves blank stays so. FROM_ORDER is beside the
    columns: whether a row was given something. The same rows where no name is given.
    """
    if not names:
        return rows
    read = [AS_READ.get(name, (name,)) for name in names]
    in_orders = rows.filter(rows.session_id.notnull())
    if not has_rows(in_orders.filter(ibis.or_(*(_is_blank(in_orders, columns) for columns in read)))):
        return rows.mutate(**{FROM_ORDER: ibis.literal(False)})
    firsts = in_orders.group_by(FILE, "session_id").agg(**{ROW: in_orders[ROW].min()})
    said = {_first(column): rows[column] for columns in read for column in columns}
    orders = rows.semi_join(firsts, [FILE, "session_id", ROW]).select(FILE, "session_id", **said)
    joined = rows.left_join(orders, [FILE, "session_id"])
    filled, given = dict[str, ibis.Value](), list[ibis.Value]()
    for columns in read:
        is_blank = _is_blank(joined, columns)
        filled |= {column: ibis.ifelse(is_blank, joined[_first(column)], joined[column]) for column in columns}
        given.append(is_blank & ~_is_blank(joined, [*map(_first, columns)]))
    others = {name: joined[name] for name in rows.columns}
    return materialise(joined.select(**others | filled, **{FROM_ORDER: ibis.or_(*given)}))


def count_from_order(rows: ibis.Table) -> int:
    """How many rows were given something."""
    return count_rows(rows.filter(rows[FROM_ORDER])) if FROM_ORDER in rows.columns else 0


def _first(column: str) -> str:
    return f"first_{column}"


def _is_blank(rows: ibis.Table, columns: Sequence[str]) -> ibis.Value:
    return ibis.and_(*(rows[column].isnull() for column in columns))
