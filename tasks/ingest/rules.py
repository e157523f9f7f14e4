"""The rules of the ingest: each has a name and a condition on rows. In ibis expressions."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import TypeAlias

import ibis

from tasks.ingest.engine import FILE, ROW, has_rows, materialise, more_frequent_than, text_hash
from tasks.ingest.erased import ErasedRows
from tasks.ingest.folder_day import ONE, midnight, moments_of
from tasks.ingest.input_files import MAX_ID_LENGTH, MAX_TEXT_BYTES, exceeds
from tasks.ingest.log_format import COLUMNS, EVENT_TYPES, LIST_COLUMNS, LIST_EVENTS, OTHER
from tasks.ingest.parsed_file import REST
from tasks.ingest.time_spellings import AMBIGUOUS
from tasks.ingest.times import TIME_TEXT
from tasks.settings import Settings

UNREADABLE_LINE = "unreadable_line"
ERASED_USER = "erased_user"
OTHER_EVENT = "other_event"
LIST_TEXT = r'^\s*(\[\s*(["\[{\]]|-?\d+\s*[,\]])|\{\s*["}])'  # of JSON: it is no id
DUPLICATES = ("duplicate_event_id", "duplicate_row")
LATE, EARLY = "late", "early"
AFTER_ITS_DAY = "after_its_day"
UNLISTED = "product_not_in_catalogue"
SHOWN_LIST = "recommendation_event"
PRODUCTS = ("product_id", "source_product_id")  # the ids that PostgreSQL gets

Rule: TypeAlias = tuple[ibis.Value, str]  # condition on a row, and name


@ibis.udf.scalar.builtin(name="chr")  # type: ignore[untyped-decorator]
def _character(code: int) -> str:  # type: ignore[empty-body]
    """The engine's own function, because DuckDB takes no zero byte in a literal."""


def is_list_event(rows: ibis.Table) -> ibis.Value:
    """Whether a row tells of a list that was shown or clicked: it is no click on a product."""
    return rows.event_type.isin(LIST_EVENTS).fill_null(False)


def rules_of_a_row(rows: ibis.Table, day: date, erased: ErasedRows, settings: Settings) -> list[Rule]:
    """The rules that refuse a row by itself; of several that do, the first counts."""
    first, end = moments_of(day, settings)
    unfit = [rows[name].length() > MAX_ID_LENGTH for name in PRODUCTS]
    unfit += [rows[name].contains(_character(0)) for name in PRODUCTS]
    unfit += [rows[name].left(1).isin(("[", "{")) & rows[name].re_search(LIST_TEXT) for name in PRODUCTS]
    unfit += [exceeds(rows[name], MAX_TEXT_BYTES) for name in (*COLUMNS[1:], *LIST_COLUMNS) if name not in PRODUCTS]
    rules = [
        (rows.event_type.startswith(OTHER).fill_null(False), OTHER_EVENT),
        (rows.session_id.isnull(), "empty_session"),
        (rows.product_id.isnull(), "missing_product"),
        (ibis.or_(*(condition.fill_null(False) for condition in unfit)), "unfit_id"),
        (rows.event_time.isnull() & rows[TIME_TEXT].isnull(), "missing_time"),
        (_is_ambiguous(rows), "ambiguous_time"),
        (rows.event_time.isnull(), "unparsable_time"),
        (rows.event_time < first, "too_late"),
        (rows.event_time >= end, AFTER_ITS_DAY),
        (rows.event_type.notin((*EVENT_TYPES, *LIST_EVENTS)), "unknown_event_type"),
    ]
    if erased:
        rules.insert(0, (erased.condition(rows, day), ERASED_USER))
    return rules


def _is_ambiguous(rows: ibis.Table) -> ibis.Value:
    """Of times that cannot be read, those that could be in several ways; the pattern is tried on no other."""
    return ibis.ifelse(rows.event_time.isnull(), rows[TIME_TEXT].re_search(AMBIGUOUS), False).fill_null(False)


def excluded_rows(rows: ibis.Table, rules: Sequence[Rule], day: date, settings: Settings) -> ibis.Table:
    """The rows that do not become clicks of the day, with the rule that excludes them; null: good, but of another day.

    rules: those that refuse a row by itself. Of good rows with one event_id, and of equal ones without one, the first
    in the order of their text stays; sessions are counted without duplicates.
    """
    by_itself = [*(condition for condition, _ in rules), is_of_another_day(rows, day)]
    to_check = rows.filter(ibis.or_(*by_itself, *_may_break_a_rule_across_rows(rows, settings)))
    checked = materialise(to_check.mutate(rule=ibis.cases(*rules)))
    across_rows = _apply_rules_across_rows(checked.filter(checked.rule.isnull()), settings)
    with_rules = checked.left_join(across_rows, [FILE, ROW])
    rule = ibis.coalesce(with_rules.rule, with_rules.rule_across_rows)
    excluded = with_rules.select(*rows.columns, rule=rule)
    return materialise(excluded.filter(excluded.rule.notnull() | is_of_another_day(excluded, day)))


def is_of_another_day(rows: ibis.Table, day: date) -> ibis.Value:
    """Whether a row is not of this UTC day."""
    return (rows.event_time < midnight(day)) | (rows.event_time >= midnight(day + ONE))


def _may_break_a_rule_across_rows(rows: ibis.Table, settings: Settings) -> list[ibis.Value]:
    """Conditions that hold for rows of which another has the same hash, and for rows of large sessions."""
    by_session, by_id = (ibis.ifelse(of.isnull(), None, text_hash(of)) for of in (rows.session_id, rows.event_id))
    by_row = text_hash(ibis.ifelse(rows.event_id.isnull(), _whole_row(rows), None))
    hashes = materialise(rows.select(session=by_session, event=by_id))
    limit = min(settings.bot_session_clicks, settings.wholesale_session_products)
    found = [(by_session, more_frequent_than(limit, hashes.select(key="session")))]
    found.append((by_id, more_frequent_than(1, hashes.select(key="event"))))
    if has_rows(hashes.filter(hashes.event.isnull())):
        without_id = materialise(rows.filter(rows.event_id.isnull()).select(key=by_row))
        found.append((by_row, more_frequent_than(1, without_id)))
    return [key.isin(keys.key).fill_null(False) for key, keys in found if keys is not None]


def _apply_rules_across_rows(good: ibis.Table, settings: Settings) -> ibis.Table:
    """(file_number, row_number, rule_across_rows) of good rows that repeat another or are in a refused session."""
    marked = materialise(_mark_duplicates(good.mutate(whole=_whole_row(good))))
    single = marked.filter(marked.rule_across_rows.isnull()).drop("rule_across_rows")
    refused = single.inner_join(_refused_sessions(single, settings), "session_id")
    columns = [FILE, ROW, "rule_across_rows"]
    return marked.filter(marked.rule_across_rows.notnull()).select(columns).union(refused.select(columns))


def _whole_row(rows: ibis.Table) -> ibis.Value:
    texts = [ibis.coalesce(rows[name], "") for name in (*COLUMNS[1:], REST, *LIST_COLUMNS)]
    texts.append(ibis.coalesce(rows.event_time.cast("string"), ""))
    return ibis.literal("\x1f").join(texts)


def _mark_duplicates(rows: ibis.Table) -> ibis.Table:
    """A rule for all but the first of the rows that are the same event; null for the others."""
    by_id = rows.event_id.notnull()
    key = ibis.ifelse(by_id, ibis.literal("id ") + rows.event_id, ibis.literal("row ") + rows.whole)
    turn = ibis.row_number().over(group_by=key, order_by=["whole", FILE, ROW])
    rule = ibis.ifelse(turn > 0, ibis.ifelse(by_id, *DUPLICATES), ibis.null("string"))
    return rows.select(FILE, ROW, "session_id", "product_id", "event_type", rule_across_rows=rule)


def _refused_sessions(single: ibis.Table, settings: Settings) -> ibis.Table:
    """Clicks and events of shown lists are limited each by itself: logging these costs no session its clicks."""
    of_list = is_list_event(single)
    sessions = single.group_by("session_id").agg(
        clicks=(~of_list).sum(), events=of_list.sum(), products=single.product_id.nunique(where=~of_list)
    )
    rule = ibis.cases(
        (ibis.greatest(sessions.clicks, sessions.events) > settings.bot_session_clicks, "bot_session"),
        (sessions.products > settings.wholesale_session_products, "wholesale_session"),
    )
    return sessions.select("session_id", rule_across_rows=rule).filter(ibis._.rule_across_rows.notnull())


def already_stored(clicks: ibis.Table, stored: ibis.Table) -> ibis.Table:
    """(file_number, row_number, rule) of late clicks that are stored already: by event_id, else by all columns."""
    with_id = clicks.filter(clicks.event_id.notnull()).semi_join(stored, "event_id")
    others = clicks.filter(clicks.event_id.isnull())
    same = [others[name].identical_to(stored[name]) for name in COLUMNS if name != "event_id"]
    same.append(stored.event_id.isnull())
    equal = others.semi_join(stored, same)
    by_rule = zip((with_id, equal), DUPLICATES, strict=True)
    return materialise(ibis.union(*(rows.select(FILE, ROW, rule=ibis.literal(rule)) for rows, rule in by_rule)))


def count_duplicates(rows: ibis.Table) -> Counter[str]:
    """Rows by rule, of the rules that find duplicates."""
    counted = rows.filter(rows.rule.isin(DUPLICATES)).group_by("rule").agg(rows=ibis._.count())
    return Counter({row["rule"]: row["rows"] for row in counted.to_pyarrow().to_pylist()})
