"""Clicks on products that the catalogue does not list, and files that hold hardly any others: ids of another kind."""

from typing import NamedTuple

import ibis

from tasks.ingest.engine import FILE, ROW, materialise
from tasks.ingest.reading import RawLog
from tasks.ingest.rules import is_list_event
from tasks.settings import Settings

FEW_CLICKS = 20  # of a file, which say nothing about all
SHOWN = 3


class ReadLog(NamedTuple):
    """A log, its rows, and those of them that do not become clicks of the day, with the rule that excludes them."""

    raw: RawLog
    rows: ibis.Table
    excluded: ibis.Table


def count_unlisted(clicks: ibis.Table, products: ibis.Table) -> int:
    """The clicks whose product is not among those of the catalogue."""
    by_product = clicks.group_by("product_id").agg(clicks=ibis._.count())
    unlisted = by_product.anti_join(products, "product_id")
    return int(unlisted.clicks.sum().fill_null(0).to_pyarrow().as_py())


def may_be_a_whole_file(unlisted: int, clicks: int, raw: RawLog, settings: Settings) -> bool:
    """Whether so many clicks on products that are not listed could be almost all of a file of some size.

    clicks: of all files. What the other rows are is not known: all of them may be of one file, which has that many
    clicks less than rows.
    """
    rows = [file.rows for file in raw.readable.values()]
    others = sum(rows) - clicks
    return any(
        unlisted > settings.max_unlisted_share * max(count - others, FEW_CLICKS)
        for count in rows
        if count >= FEW_CLICKS
    )


def files_of_other_ids(read: ReadLog, products: ibis.Table, settings: Settings) -> list[str]:
    """What to say of each file with more than MAX_UNLISTED_SHARE of its clicks on products that are not listed."""
    refused = read.excluded.filter(read.excluded.rule.notnull())
    clicks = read.rows.filter(~is_list_event(read.rows)).anti_join(refused, [FILE, ROW])
    counted = clicks.group_by(FILE, "product_id").agg(clicks=ibis._.count())
    unlisted = counted.anti_join(products, "product_id").mutate(unlisted=ibis._.clicks)
    listed = counted.semi_join(products, "product_id").mutate(unlisted=ibis.literal(0, "int64"))
    counted = materialise(listed.union(unlisted))
    by_file = counted.group_by(FILE).agg(clicks=ibis._.clicks.sum(), unlisted=ibis._.unlisted.sum())
    is_almost_all = by_file.unlisted > settings.max_unlisted_share * by_file.clicks
    found = by_file.filter(is_almost_all & (by_file.clicks >= FEW_CLICKS)).order_by(FILE).to_pyarrow().to_pylist()
    theirs = _shown(products.order_by("product_id"))
    return [
        f"{read.raw.names[row[FILE]]}: {row['unlisted']:,} of {row['clicks']:,}, such as {_shown(_most(counted, row))} "
        f"(the catalogue has {theirs})"
        for row in found
    ]


def _most(counted: ibis.Table, row: dict[str, int]) -> ibis.Table:
    """The products of a file that are not listed, the most clicked first."""
    unlisted = counted.filter((counted[FILE] == row[FILE]) & (counted.unlisted > 0))
    return unlisted.order_by(ibis.desc("unlisted"), "product_id")


def _shown(products: ibis.Table) -> str:
    return ", ".join(map(repr, products.limit(SHOWN).to_pyarrow()["product_id"].to_pylist()))
