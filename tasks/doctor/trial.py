"""What an ingest would make of a log, by its own readers and rules: nothing is stored, no database is asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import ibis
from ibis.backends import BaseBackend
from tqdm import tqdm

from tasks.errors import TaskError
from tasks.ingest.by_day import no_time, open_export
from tasks.ingest.engine import FILE, ROW, duckdb_engine, named, read_parquet, write_parts
from tasks.ingest.erased import ErasedRows
from tasks.ingest.folder_day import midnight
from tasks.ingest.log_format import COLUMNS, LogFormat
from tasks.ingest.made_sessions import files_without_sessions, with_sessions
from tasks.ingest.order_level import count_from_order
from tasks.ingest.reading import RawLog, open_log, open_rows
from tasks.ingest.rules import UNREADABLE_LINE, Rule, excluded_rows, is_list_event, rules_of_a_row
from tasks.ingest.shown_lists import click_without_page
from tasks.ingest.times import TIME_TEXT
from tasks.settings import Settings

EXAMPLES = 3
NOBODY = ErasedRows((), {})


@dataclass
class Day:
    """What became of one day's rows; refused: why its log would not be read at all, or nothing."""

    rows: int = 0
    accepted: int = 0
    refused: str = ""


@dataclass
class Trial:
    """The days of a log as an ingest would take them.

    by_rule: rows that a rule excludes, duplicates among them; examples: of each rule, rows in words; made_sessions:
    files whose sessions are made of users and times; begins, ends: from UTC's midnight of each folder's day to its
    first and its last row; clicks: the accepted ones, as Parquet; from_order: rows that have something from the first
    row of their order.
    """

    days: dict[date, Day] = field(default_factory=dict)
    by_rule: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    of_other_days: int = 0
    begins: list[timedelta] = field(default_factory=list)
    ends: list[timedelta] = field(default_factory=list)
    made_sessions: int = 0
    clicks: list[Path] = field(default_factory=list)
    has_days_in_sessions: bool = False
    from_order: int = 0

    @property
    def rows(self) -> int:
        """Rows and lines read, of all days."""
        return sum(day.rows for day in self.days.values())

    @property
    def accepted(self) -> int:
        """Rows that would become clicks."""
        return sum(day.accepted for day in self.days.values())


def try_days(days: Sequence[date], log_format: LogFormat, settings: Settings, scratch: Path) -> Trial:
    """Clean the logs of these days below CLICK_LOG_URL as `ingest_clicks` does; nothing but `scratch` is written to."""
    trial = Trial()
    for day in tqdm(days, desc="days", unit="day", disable=None):
        trial.days[day] = Day()
        try:
            # An engine for each day: the tables go with it, and the next day's expressions, being equal, are compiled.
            with open_log(day, log_format, settings) as log, duckdb_engine(settings.memory_limit_gib) as engine:
                trial.days[day].rows = log.rows_read
                rows = open_rows(engine, log, log_format) if log.readable else None
                _take(rows, log, _Span(day, day, log_format, settings), trial, scratch / f"clicks-{day}")
        except TaskError as refusal:
            trial.days[day].refused = str(refusal)
    return trial


def try_export(files: Sequence[Path], log_format: LogFormat, settings: Settings, scratch: Path) -> Trial:
    """The same of files without a day, as if they lay in folders of their rows' UTC days.

    Rows without a time count on the last. Raises BadInput where no row has a time that can be read, and what
    `open_log` raises.
    """
    trial = Trial()
    with (
        duckdb_engine(settings.memory_limit_gib) as engine,
        open_export(files, log_format, scratch / "export", settings) as log,
    ):
        rows = open_rows(engine, log, log_format)
        counted = rows.group_by(day=rows.event_time.date()).agg(rows=ibis._.count()).to_pyarrow().to_pylist()
        days = {row["day"]: row["rows"] for row in counted if row["day"]}
        if not days:
            raise no_time(log, rows)
        trial.days = {day: Day(days[day]) for day in sorted(days)}
        trial.days[max(days)].rows += log.rows_read - sum(days.values())
        _take(rows, log, _Span(min(days), max(days), log_format, settings), trial, scratch / "clicks")
    return trial


@dataclass(frozen=True)
class _Span:
    """The days whose clicks a log holds: of a folder one, and what is older is late; of an export all."""

    first: date
    last: date
    log_format: LogFormat
    settings: Settings

    def rules(self, rows: ibis.Table) -> list[Rule]:
        """The rules that refuse a row by itself, but for those that ask the database."""
        settings = self.settings
        if self.first < self.last:
            whole = {"lateness_days": (self.last - self.first).days, "log_time_zone": "UTC"}
            settings = settings.model_copy(update=whole)
        return [*rules_of_a_row(rows, self.last, NOBODY, settings), click_without_page(rows)]


def _take(rows: ibis.Table | None, log: RawLog, span: _Span, trial: Trial, folder: Path) -> None:
    _count_unreadable(log, trial)
    if rows is None:
        return
    trial.made_sessions += len(files_without_sessions(log, span.log_format))
    rows = with_sessions(rows, log, span.log_format, span.settings)
    if span.first < span.last:  # a session ends with its day, as the logs of two days have nothing in common
        trial.has_days_in_sessions = True
        day = ibis.coalesce(rows.event_time.date().cast("string"), "")
        rows = named(rows.mutate(session_id=day + " " + rows.session_id))
    excluded = excluded_rows(rows, span.rules(rows), span.first, span.settings)
    refused = excluded.filter(excluded.rule.notnull())
    counts = _counted(refused)
    for rule in counts:
        _add_examples(refused, rule, log, span, trial)
    trial.by_rule.update(counts)
    if span.first == span.last:
        trial.of_other_days += int(excluded.filter(excluded.rule.isnull()).count().to_pyarrow().as_py())
    good = rows.anti_join(refused, [FILE, ROW])
    trial.from_order += count_from_order(good)
    if write_parts(good.filter(~is_list_event(good)).select(COLUMNS), folder):
        trial.clicks += sorted(folder.glob("*.parquet"))
    by_day = good.group_by(day=good.event_time.date())
    taken = by_day.agg(rows=ibis._.count(), first=ibis._.event_time.min(), last=ibis._.event_time.max())
    taken = taken.to_pyarrow().to_pylist()
    if taken and span.first == span.last:
        begin = midnight(span.first)
        trial.begins.append(min(row["first"] for row in taken).replace(tzinfo=None) - begin)
        trial.ends.append(max(row["last"] for row in taken).replace(tzinfo=None) - begin)
    for row in taken:  # those of other days are among those of the day whose folder they came in
        trial.days[min(max(row["day"], span.first), span.last)].accepted += row["rows"]


def _counted(refused: ibis.Table) -> dict[str, int]:
    counted = refused.group_by("rule").agg(rows=ibis._.count()).to_pyarrow().to_pylist()
    return {row["rule"]: row["rows"] for row in counted}


def _count_unreadable(log: RawLog, trial: Trial) -> None:
    for number, lines in log.unreadable():
        trial.by_rule[UNREADABLE_LINE] += len(lines)
        shown = trial.examples.setdefault(UNREADABLE_LINE, [])
        for line in lines[: EXAMPLES - len(shown)]:
            shown.append(f"{log.names[number]}, line {line.line}: {line.why}: {line.beginning.strip()[:100]}")


def _add_examples(refused: ibis.Table, rule: str, log: RawLog, span: _Span, trial: Trial) -> None:
    shown = trial.examples.setdefault(rule, [])
    if len(shown) >= EXAMPLES:
        return
    first = refused.filter(refused.rule == rule).order_by(FILE, ROW).limit(EXAMPLES - len(shown)).to_pyarrow()
    for row in first.to_pylist():
        row["event_time"] = row[TIME_TEXT] or row["event_time"]
        if span.first < span.last and row["session_id"]:
            row["session_id"] = row["session_id"].partition(" ")[2]
        content = ", ".join(f"{name} {str(row[name])[:60]}" for name in COLUMNS if row[name] is not None)
        shown.append(f"{log.names[row[FILE]]}, row {row[ROW]}: {content}")


def clicks_of(engine: BaseBackend, trial: Trial) -> ibis.Table | None:
    """All accepted clicks with their `day`, and their session's id with it; None where there is none."""
    if not trial.clicks:
        return None
    clicks = read_parquet(engine, trial.clicks)
    day = clicks.event_time.date()
    session = clicks.session_id if trial.has_days_in_sessions else day.cast("string") + " " + clicks.session_id
    return clicks.mutate(day=day, session_id=session)
