"""Sessions of a log that has none: a user's events, cut where the user was away for long."""

import logging
from collections.abc import Collection

import ibis
import pyarrow.parquet as pq

from tasks.ingest.conversion import Readable
from tasks.ingest.engine import FILE, ROW, materialise
from tasks.ingest.log_format import LogFormat
from tasks.ingest.reading import RawLog
from tasks.settings import Settings

log = logging.getLogger("tasks")


def with_sessions(rows: ibis.Table, raw: RawLog, log_format: LogFormat, settings: Settings) -> ibis.Table:
    """The rows of a log, with sessions made in files that have none; the same rows where all have some.

    A session is called after its user and the second it begins. Rows without a user stay without a session.
    """
    files = files_without_sessions(raw, log_format)
    if not files:
        return rows
    log.info(
        "%d of %d files have no session: a user's events less than SESSION_GAP_MINUTES (%g) apart are one",
        len(files),
        len(raw.readable),
        settings.session_gap_minutes,
    )
    begins = _begins(rows, files, settings)
    ours = rows.file_number.isin(files)
    to_make = rows.filter(ours & rows.user_id.notnull()).drop("session_id").left_join(begins, [FILE, ROW])
    session = to_make.user_id + " " + ibis.coalesce(to_make.begins.cast("string"), "")
    made = to_make.mutate(session_id=session).select(rows.columns)
    rest = rows.filter(~(ours & rows.user_id.notnull()))
    blank = ibis.ifelse(rest.file_number.isin(files), ibis.null("string"), rest.session_id)
    return materialise(made.union(rest.mutate(session_id=blank).select(rows.columns)))  # each use would make them anew


def files_without_sessions(raw: RawLog, log_format: LogFormat) -> list[int]:
    """Numbers of the files that lack the column of session_id, or whose sessions are called as their users are."""
    if log_format.sessions_are_users:
        return list(raw.readable)
    return [number for number, file in raw.readable.items() if _lacks(file, file.columns(log_format).get("session_id"))]


def _lacks(file: Readable, name: str | None) -> bool:
    """Whether a column is not there or was null from the first row to the last, as one is that text files lack."""
    if name is None:
        return True
    metadata = pq.read_metadata(file.parquet)
    place = [metadata.schema.column(place).path for place in range(metadata.num_columns)].index(name)
    columns = [metadata.row_group(group).column(place) for group in range(metadata.num_row_groups)]
    filled = [column for column in columns if column.num_values]
    return all(column.statistics and column.statistics.null_count == column.num_values for column in filled)


def _begins(rows: ibis.Table, files: Collection[int], settings: Settings) -> ibis.Table:
    """(file_number, row_number, begins): the second at which the session of each event began."""
    events = rows.filter(rows.file_number.isin(files) & rows.user_id.notnull() & rows.event_time.notnull())
    events = events.select(FILE, ROW, "user_id", "event_time")
    in_order = ibis.window(group_by="user_id", order_by=["event_time", FILE, ROW])
    before = events.mutate(before=events.event_time.lag().over(in_order))
    gap = ibis.interval(seconds=round(settings.session_gap_minutes * 60))
    is_first = before.before.isnull() | (before.event_time >= before.before + gap)
    second = before.event_time.epoch_seconds().cast("int64")
    firsts = before.mutate(first=ibis.ifelse(is_first, second, None))
    up_to_here = ibis.window(group_by="user_id", order_by=["event_time", FILE, ROW], preceding=(None, 0))
    return firsts.select(FILE, ROW, begins=firsts["first"].max().over(up_to_here))
