"""The rules of the ingest: each has a name, and says of which rows it is true. In ibis expressions."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta

import ibis

from tasks.engine import FILE, ROW, materialise
from tasks.events import EVENT_TYPES
from tasks.ledger import ErasedUsers
from tasks.log_format import COLUMNS
from tasks.raw_log import TIME_TEXT
from tasks.settings import Settings
from tasks.text_files import REST

UNREADABLE_LINE = "unreadable_line"
ERASED_USER = "erased_user"
DUPLICATES = ("duplicate_event_id", "duplicate_row")
LATE = "late"
UNLISTED = "product_not_in_catalogue"
Judge = Callable[[ibis.Table], ibis.Table]
MAX_ID_LENGTH = 200  # PostgreSQL's indexes hold no more than some kilobytes
IDS = ("session_id", "product_id", "event_id", "user_id", "source_product_id")
TEXT_OF_ROW = (TIME_TEXT, *COLUMNS[1:], REST)


@ibis.udf.scalar.builtin(name="chr")  # type: ignore[untyped-decorator]
def _character(code: int) -> str:  # type: ignore[empty-body]
    """The engine's own function, because DuckDB takes no zero byte in a literal."""


def midnight(day: date) -> datetime:
    """When a UTC day begins."""
    return datetime.combine(day, time())


def judge(rows: ibis.Table, day: date, erased: Sequence[str], settings: Settings) -> ibis.Table:
    """Add `rule`: the name of the first rule that refuses a row by itself, null where none does."""
    first, end = midnight(day - timedelta(days=settings.lateness_days)), midnight(day + timedelta(days=1))
    unfit = [rows[name].length() > MAX_ID_LENGTH for name in IDS]
    unfit += [rows[name].contains(_character(0)) for name in ("product_id", "source_product_id")]
    rules = [
        (rows.session_id.isnull(), "empty_session"),
        (rows.product_id.isnull(), "missing_product"),
        (ibis.or_(*(condition.fill_null(False) for condition in unfit)), "unfit_id"),
        (rows[TIME_TEXT].isnull(), "missing_time"),
        (rows.event_time.isnull(), "unparsable_time"),
        (rows.event_time < first, "too_late"),
        (rows.event_time >= end, "after_its_day"),
        (rows.event_type.notin(EVENT_TYPES), "unknown_event_type"),
    ]
    if erased:
        rules.insert(0, (rows.user_id.isin(erased), ERASED_USER))
    return rows.mutate(rule=ibis.cases(*rules))


def erased_among(rows: ibis.Table, erased: ErasedUsers) -> list[str]:
    """The ids among the rows of users that were erased."""
    if not erased.user_hashes:
        return []
    users = rows.filter(rows.user_id.notnull()).select("user_id").distinct()
    hashes = (ibis.literal(erased.salt) + users.user_id).hexdigest("sha256")
    found = users.filter(hashes.isin(erased.user_hashes)).to_pyarrow()
    return [str(user) for user in found["user_id"].to_pylist()]


def judge_together(rows: ibis.Table, judged: Judge, settings: Settings) -> ibis.Table:
    """(file_number, row_number, rule) of rows that are good by themselves but not beside others.

    judged: adds `rule`. Of good rows with one event_id, and of equal ones without one, the first in the order of their
    text stays; which sessions are bots or wholesale is counted without duplicates. Only few rows are looked at: those
    whose hash occurs twice and those of sessions with many rows.
    """
    suspects = judged(_suspects(rows, settings))
    suspects = suspects.filter(suspects.rule.isnull()).drop("rule").mutate(whole=_whole_row(suspects))
    duplicates = materialise(_duplicates(suspects))
    single = duplicates.filter(duplicates.rule.isnull()).drop("rule")
    refused = single.inner_join(_refused_sessions(single, settings), "session_id")
    return materialise(
        duplicates.filter(duplicates.rule.notnull()).select(FILE, ROW, "rule").union(refused.select(FILE, ROW, "rule"))
    )


def _suspects(rows: ibis.Table, settings: Settings) -> ibis.Table:
    """Rows of which another has the same hash, and rows of large sessions."""
    limit = min(settings.bot_session_clicks, settings.wholesale_session_products)
    with_id, without = rows.filter(rows.event_id.notnull()), rows.filter(rows.event_id.isnull())
    found = [
        _in_groups_over(limit, rows, rows.session_id),
        _in_groups_over(1, with_id, with_id.event_id.hash()),
        _in_groups_over(1, without, _whole_row(without).hash()),
    ]
    return ibis.union(*found, distinct=True)


def _in_groups_over(size: int, rows: ibis.Table, key: ibis.Value) -> ibis.Table:
    """The rows that share their key with so many others that there are more than `size`."""
    keyed = rows.mutate(key=key)
    large = materialise(keyed.group_by("key").having(ibis._.count() > size).agg())
    if not large.count().execute():
        return rows.limit(0)
    return keyed.semi_join(large, "key").drop("key")


def _whole_row(rows: ibis.Table) -> ibis.Value:
    texts = [ibis.coalesce(rows[name], "") for name in (*COLUMNS[1:], REST)]
    texts.append(ibis.coalesce(rows.event_time.cast("string"), ""))
    return ibis.literal("\x1f").join(texts)


def _duplicates(suspects: ibis.Table) -> ibis.Table:
    """Add `rule` to all but the first of the rows that are the same event."""
    by_id = suspects.event_id.notnull()
    key = ibis.ifelse(by_id, ibis.literal("id ") + suspects.event_id, ibis.literal("row ") + suspects.whole)
    turn = ibis.row_number().over(group_by=key, order_by=["whole", FILE, ROW])
    rule = ibis.ifelse(turn > 0, ibis.ifelse(by_id, *DUPLICATES), ibis.null("string"))
    return suspects.select(FILE, ROW, "session_id", "product_id", rule=rule)


def _refused_sessions(single: ibis.Table, settings: Settings) -> ibis.Table:
    sessions = single.group_by("session_id").agg(clicks=ibis._.count(), products=single.product_id.nunique())
    rule = ibis.cases(
        (sessions.clicks > settings.bot_session_clicks, "bot_session"),
        (sessions.products > settings.wholesale_session_products, "wholesale_session"),
    )
    return sessions.select("session_id", rule=rule).filter(ibis._.rule.notnull())


def repeated(clicks: ibis.Table, stored: ibis.Table) -> ibis.Table:
    """(file_number, row_number, rule) of late clicks that are stored already: by event_id, else by all columns."""
    with_id = clicks.filter(clicks.event_id.notnull()).semi_join(stored, "event_id")
    others = clicks.filter(clicks.event_id.isnull())
    same = [others[name].identical_to(stored[name]) for name in COLUMNS if name != "event_id"]
    same.append(stored.event_id.isnull())
    equal = others.semi_join(stored, same)
    by_rule = zip((with_id, equal), DUPLICATES, strict=True)
    return materialise(ibis.union(*(rows.select(FILE, ROW, rule=ibis.literal(rule)) for rows, rule in by_rule)))


def verdict_counts(verdicts: ibis.Table, *, duplicates: bool) -> Counter[str]:
    """Rows by rule, of the rules that find duplicates or of the others."""
    counted = verdicts.group_by("rule").agg(rows=ibis._.count()).to_pyarrow().to_pylist()
    return Counter({row["rule"]: row["rows"] for row in counted if (row["rule"] in DUPLICATES) == duplicates})
