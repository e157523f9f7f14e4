"""Erasure of a user: their clicks leave every stored day, and later loads leave them out."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TypeAlias

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.backends import BaseBackend

from tasks.errors import BadInput
from tasks.ingest.clicks import day_of_folder, folders_of
from tasks.ingest.engine import count_rows, open_engine, read_parquet, write_parts
from tasks.ingest.erased import ErasedRows, by_day, is_known, names_nobody, sessions_known, sessions_where
from tasks.ingest.mentions import Phrase, names_any_of
from tasks.ingest.quarantine import QUARANTINE, blank, naming
from tasks.night import Night
from tasks.operations.alike import alike
from tasks.scratch import scratch
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate, is_stale
from tasks.stores.artefacts import Artefact, Storage
from tasks.stores.clicks_lock import hold_clicks
from tasks.stores.ledger import erased_sessions, erased_users, record_erased_day, record_erased_sessions, record_erasure

Sessions: TypeAlias = Mapping[date, Collection[str]]  # of the user, by the day of their clicks

WHOLE_NUMBER = re.compile(r"^(-?\d+)\.0+$")  # which an ingest writes without its fraction


@dataclass(frozen=True)
class Erasure:
    """What was taken out (days, clicks, quarantined rows), and what an operator has to look at.

    alike: ids in stored clicks that may be another spelling of the user's, left as they are; incomplete: days whose
    clicks a killed step left in halves, which are gone.
    """

    counts: dict[str, int]
    alike: list[str]
    incomplete: list[date]


@dataclass
class _Traces:
    """Where a user is: sessions by day and id, whether any row names them, and ids like theirs."""

    sessions: list[tuple[date, str]] = field(default_factory=list)
    is_named: bool = False
    alike: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _User:
    """One user: the id as given and as an ingest writes it; where their clicks are; a check of the lock."""

    ids: Sequence[str]
    storage: Storage
    settings: Settings
    check_held: Callable[[], None]

    @property
    def hint(self) -> str:
        """A part of every text that names the user; letters beyond ASCII may be written in several ways."""
        words = re.findall(r"[a-zA-Z0-9]+", self.ids[-1])
        return max(words, key=len, default="")


def erase(user_id: str, reason: str, settings: Settings, *, missing_ok: bool = False) -> Erasure:
    """Take a user's events out of cleaned clicks, quarantine and daily aggregates, and out of every later load.

    A user's events are the rows that name them, and rows without a user in the same sessions of a day; of a load that
    names no user at all, the sessions that are called like the user. Quarantined rows lose their content and still
    count. PostgreSQL keeps salted hashes of id and sessions, the reason and counts by day. Ingests, aggregations and
    builds wait until it has ended, and it waits for those that run; killed, it is run again and goes on.
    Raises BadInput for an empty id or reason, for a reason that holds the id and, unless missing_ok, where nothing is
    found of the user, who is then not remembered either; NotReady where the lock is not free.
    """
    ids = list(dict.fromkeys([user_id, WHOLE_NUMBER.sub(r"\1", user_id)]))
    if not user_id.strip() or not reason.strip():
        raise BadInput("erase needs the id of a user and a reason, got an empty one")
    if names_any_of(ids)(reason):
        raise BadInput("the reason is kept and must not hold the id of the user: word it without")
    with scratch(), hold_clicks(settings, "erase", alone=True) as check_held:
        user = _User(ids, Storage(settings.storage_url), settings, check_held)
        incomplete = _sweep(user.storage)
        traces = _traces(user)
        if not traces.is_named and not traces.sessions and not missing_ok:
            _make_anew_what_is_stale(user)  # where an erasure was killed at this
            raise BadInput(_nothing_found(traces, user))
        counts = _erase(user, by_day(traces.sessions), reason)
        _make_anew_what_is_stale(user)
    return Erasure(counts, sorted(traces.alike), incomplete)


def _sweep(storage: Storage) -> list[date]:
    """Take away what killed steps left; returns the days whose clicks are not there any more."""
    left = [folder.partition(".")[0] for folder in storage.sweep("clicks")]
    storage.sweep("rejected")
    storage.sweep("aggregates")
    days = sorted({date.fromisoformat(folder.removeprefix("date=")) for folder in left})
    return [day for day in days if not storage.complete(Night.clicks(day))]


def _loads(storage: Storage) -> dict[date, list[str]]:
    """Where the load of each day lies, and the quarantine of one that was not taken."""
    paths: dict[date, list[str]] = {}
    for name, path in (("clicks", Night.clicks), ("rejected", Night.rejected)):
        for day in storage.days(name):
            paths.setdefault(day, []).append(path(day))
    return paths


def _traces(user: _User) -> _Traces:
    """What there is of a user in all loads, before any is written again: a session's rows lie in several."""
    traces, erased = _Traces(), erased_users(user.settings)
    goes_on = any(is_known(user_id, erased) for user_id in user.ids)  # an erasure that was killed, perhaps
    for load_day, paths in _loads(user.storage).items():
        for path in paths:
            load = user.storage.read(path)
            with user.storage.open(load) as folder, open_engine(user.settings) as engine:
                quarantine = pq.read_table(folder / QUARANTINE)
                _trace_quarantine(quarantine, load_day, user, traces)
                parts = {day: _rows(engine, folder / part) for part, day in _parts(load, load_day).items()}
                nobody = pc.all(pc.is_null(quarantine["user_id"])).as_py() is not False
                column = "session_id" if nobody and all(map(names_nobody, parts.values())) else "user_id"
                for day, rows in parts.items():
                    _trace_rows(rows, day, column, user, traces)
                    if goes_on:
                        known = erased_sessions(day, day, user.settings)
                        traces.sessions += sessions_known(rows, known, erased.salt, day)
    return traces


def _trace_rows(rows: ibis.Table, day: date, column: str, user: _User, traces: _Traces) -> None:
    found = alike(rows[column], user.ids)
    traces.alike |= found - {*user.ids}
    if not found.isdisjoint(user.ids):
        traces.is_named = True
        traces.sessions += sessions_where(rows[column].isin(user.ids), rows, day)


def _trace_quarantine(quarantine: pa.Table, day: date, user: _User, traces: _Traces) -> None:
    traces.is_named |= bool(pc.any(naming(quarantine, names_any_of(user.ids), user.hint)).as_py())
    for time, user_id, session in _who(quarantine):
        if session is not None and user_id in user.ids:
            traces.sessions.append((_day_in(time) or day, session))


def _day_in(time: str | None) -> date | None:
    try:
        return date.fromisoformat((time or "")[:10])
    except ValueError:
        return None


def _nothing_found(traces: _Traces, user: _User) -> str:
    like = f"; ids like it are there: {', '.join(map(repr, sorted(traces.alike)))}" if traces.alike else ""
    return (
        f"nothing found of this user below {user.settings.storage_url} (days with clicks: "
        f"{len(user.storage.days('clicks'))}){like}: name the id as the log writes it, or say --missing-ok to have "
        "later loads leave it out all the same"
    )


def _erase(user: _User, sessions: Sessions, reason: str) -> dict[str, int]:
    record_erased_sessions(sessions, user.settings)  # first of all, for an erasure that goes on after a kill
    erasures = [record_erasure(user_id, *Phrase.of(user_id), reason, user.settings) for user_id in user.ids]
    totals = {"days": 0, "clicks": 0, "quarantined": 0}
    for day, paths in _loads(user.storage).items():
        erased = {"clicks": 0, "quarantined": 0}
        for path in paths:
            counted = _erase_load(user.storage.read(path), day, sessions, user)
            erased = {name: erased[name] + rows for name, rows in counted.items()}
        if any(erased.values()):
            record_erased_day(erasures[0], day, erased, user.settings)
            totals = {"days": totals["days"] + 1} | {name: totals[name] + rows for name, rows in erased.items()}
    return totals


def _erase_load(load: Artefact, load_day: date, sessions: Sessions, user: _User) -> dict[str, int]:
    """Write one load again without the user where it holds rows of theirs; returns clicks and quarantined rows."""
    with user.storage.open(load) as folder, open_engine(user.settings) as engine:
        quarantine = pq.read_table(folder / QUARANTINE)
        mask = _quarantined(quarantine, load_day, sessions, user)
        kept, clicks = {}, 0
        for part, day in _parts(load, load_day).items():
            rows = _rows(engine, folder / part)
            of_user = ErasedRows(user.ids, {day: sessions.get(day, ())})
            kept[part] = rows.filter(~of_user.condition(rows, day))
            clicks += count_rows(rows) - count_rows(kept[part])
        counts = {"clicks": clicks, "quarantined": int(pc.sum(mask).as_py() or 0)}
        if any(counts.values()):
            with user.storage.write(load.path, sources=load.sources) as (rewritten, marked):
                for part, rows in kept.items():
                    write_parts(rows, rewritten / part)
                pq.write_table(blank(quarantine, mask), rewritten / QUARANTINE, compression="zstd")
                user.check_held()
                marked |= load.counts | {"erased_clicks": load.counts.get("erased_clicks", 0) + clicks}
    return counts


def _parts(load: Artefact, load_day: date) -> dict[str, date]:
    """The folders with clicks in a load, and the day whose clicks each holds."""
    return {part: day_of_folder(part, load_day) for part in folders_of(load)}


def _rows(engine: BaseBackend, folder: Path) -> ibis.Table:
    return read_parquet(engine, sorted(folder.glob("*.parquet")))


def _quarantined(quarantine: pa.Table, load_day: date, of_user: Sessions, user: _User) -> pa.Array:
    """Which quarantined rows name the user, or stood without a user in a session of theirs."""
    sessions = [
        user_id is None and session in of_user.get(_day_in(time) or load_day, ())
        for time, user_id, session in _who(quarantine)
    ]
    return pc.or_(naming(quarantine, names_any_of(user.ids), user.hint), pa.array(sessions, pa.bool_()))


def _who(quarantine: pa.Table) -> Iterator[tuple[str | None, ...]]:
    columns = ("event_time", "user_id", "session_id")
    return zip(*(quarantine[name].to_pylist() for name in columns), strict=True)


def _make_anew_what_is_stale(user: _User) -> None:
    for day in user.storage.days("clicks"):
        if is_stale(day, user.storage, user.settings):
            aggregate(day, user.storage, user.settings, user.check_held)
