"""Events of shown lists (recommendation_view, recommendation_click): their rules, and where a load keeps them."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import ibis
import pyarrow as pa

from tasks.ingest.clicks import list_folder
from tasks.ingest.engine import FILE, ROW, ROWS_FETCHED, materialise, write_parts
from tasks.ingest.log_format import COLUMNS, LIST_COLUMNS, LIST_EVENTS
from tasks.ingest.rules import Rule, is_list_event
from tasks.settings import Settings
from tasks.stores.database import statement, transaction

CLICK = LIST_EVENTS[1]
SHOWN = pa.schema(
    [("session", pa.string()), ("version_id", pa.int64())]
    + [(name, pa.string()) for name in ("channel", "product_id", "related_product_id")]
)


class KnownLists(NamedTuple):
    """Versions that were ever made and channels that were ever open, as a log writes them."""

    version_ids: Sequence[str]
    channels: Sequence[str]


def known_lists(settings: Settings) -> KnownLists:
    """What a log may name; raises what `connect` raises."""
    with transaction(settings) as connection:
        version_ids, channels = connection.execute(statement("known_lists")).one()
    return KnownLists(list(version_ids), list(channels))


def click_without_page(rows: ibis.Table) -> Rule:
    """The rule that refuses a click on a list without the product whose page it was on; it needs no database."""
    return ((rows.event_type == CLICK) & rows.source_product_id.isnull()).fill_null(False), "missing_source_product"


def rules_of_list_events(rows: ibis.Table, known: KnownLists) -> list[Rule]:
    """The rules that refuse an event of a shown list by itself, after those of every row."""
    version, channel = rows.list_version_id, rows.list_channel
    unknown_version = version.isnull() | version.notin(known.version_ids)
    return [
        click_without_page(rows),
        (is_list_event(rows) & unknown_version, "unknown_version"),
        (is_list_event(rows) & channel.notin(known.channels).fill_null(False), "unknown_channel"),
    ]


def write_list_events(rows: ibis.Table, excluded: ibis.Table, folder: Path) -> int:
    """Write the events of shown lists, those of each day into a folder of its own; returns how many.

    excluded: rows with the rule that excludes them; null: good, but of another day.
    """
    refused = excluded.filter(excluded.rule.notnull())
    events = materialise(rows.filter(is_list_event(rows)).anti_join(refused, [FILE, ROW]))
    return sum(
        write_parts(of_day(events, day).select(*COLUMNS, *LIST_COLUMNS), folder / list_folder(day))
        for day in days_of(events)
    )


def shown_lists(events: ibis.Table) -> pa.RecordBatchReader:
    """What sessions were shown and clicked: each list once, with nothing clicked, and each product clicked in it.

    Columns: session (a hash of it), version_id, channel, product_id (of the page), related_product_id (clicked, or
    null). A click says that the list was shown, too.
    """
    seen = events.select(
        session=events.session_id.hexdigest("md5"),  # as short for a long id
        version_id=events.list_version_id.cast("int64"),
        channel=ibis.coalesce(events.list_channel, "default"),
        product_id=ibis.coalesce(events.source_product_id, events.product_id),
        related_product_id=ibis.ifelse(events.event_type == CLICK, events.product_id, None),
    )
    lists = seen.mutate(related_product_id=ibis.null("string"))
    batches = lists.union(seen).distinct().to_pyarrow_batches(chunk_size=ROWS_FETCHED)
    columns = ([batch[field.name].cast(field.type) for field in SHOWN] for batch in batches)
    return pa.RecordBatchReader.from_batches(SHOWN, (pa.record_batch(each, SHOWN) for each in columns))


def days_of(rows: ibis.Table) -> list[date]:
    """The days of the rows, oldest first."""
    return sorted(rows.select(day=rows.event_time.date()).distinct().to_pyarrow()["day"].to_pylist())


def of_day(rows: ibis.Table, day: date) -> ibis.Table:
    """The rows of one day."""
    return rows.filter(rows.event_time.date() == day)
