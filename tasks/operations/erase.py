"""Erasure of a user: their clicks leave every stored day, and later loads leave them out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.ingest.engine import count_rows, open_engine, write_parts
from tasks.ingest.erased import ErasedRows, by_day
from tasks.ingest.mentions import Phrase, names_any_of
from tasks.ingest.quarantine import QUARANTINE, blank
from tasks.night import Night
from tasks.operations.alike import as_ingested
from tasks.operations.find_user import FoundUser, find_user, quarantined_with
from tasks.operations.stored_loads import clicks_of, in_quarantine, stored_loads
from tasks.scratch import scratch
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate, is_stale
from tasks.stores.artefacts import Artefact, Storage
from tasks.stores.ledger import record_erased_day, record_erased_sessions, record_erasure
from tasks.stores.locks import hold_clicks

Sessions: TypeAlias = Mapping[date, Collection[str]]  # of the user, by the day of their clicks


@dataclass(frozen=True)
class Erasure:
    """What was taken out (days, clicks, quarantined rows), and what an operator has to look at.

    alike: ids in stored rows that may be another spelling of the user's, left as they are; incomplete: days whose
    clicks a killed step left in halves, which are gone.
    """

    counts: dict[str, int]
    alike: list[str]
    incomplete: list[date]


@dataclass(frozen=True)
class _Place:
    """What is erased in, and a check that nobody else uses its clicks."""

    storage: Storage
    settings: Settings
    check_held: Callable[[], None]


def erase(user_id: str, reason: str, settings: Settings, *, missing_ok: bool = False) -> Erasure:
    """Take a user's events out of cleaned clicks, quarantine and daily aggregates, and out of every later load.

    A user's events are the rows that name them, and rows without a user in the same sessions of a day; of a load that
    names no user at all, the sessions that are called like the user. Quarantined rows lose their content and still
    count. PostgreSQL keeps salted hashes of id and sessions, the reason and counts by day. Ingests, aggregations and
    builds wait until it has ended, and it waits for those that run; killed, it is run again and goes on.
    Raises BadInput for an empty id or reason, for a reason that holds the id and, unless missing_ok, where nothing is
    found of the user, who is then not remembered either; NotReady where the lock is not free.
    """
    ids = as_ingested(user_id)
    if not user_id.strip() or not reason.strip():
        raise BadInput("erase needs the id of a user and a reason, got an empty one")
    if names_any_of(ids)(reason):
        raise BadInput("the reason is kept and must not hold the id of the user: word it without")
    with scratch(), hold_clicks(settings, "erase", alone=True) as check_held:
        place = _Place(Storage(settings.storage_url), settings, check_held)
        incomplete = _sweep(place.storage)
        found = find_user(ids, place.storage, settings)
        is_there = found.is_there or missing_ok
        counts = _erase(ids, by_day(found.sessions), reason, place) if is_there else {}
        _make_anew_what_is_stale(place)  # also where an erasure was killed at this
    if not is_there:
        raise BadInput(_nothing_found(found, place))
    return Erasure(counts, sorted(found.alike), incomplete)


def _sweep(storage: Storage) -> list[date]:
    """Take away what killed steps left; returns the days whose clicks are not there any more."""
    storage.sweep("rejected")
    storage.sweep("aggregates")
    return [day for day in storage.sweep("clicks") if not storage.complete(Night.clicks(day))]


def _nothing_found(found: FoundUser, place: _Place) -> str:
    like = f"; ids like it are there: {', '.join(map(repr, sorted(found.alike)))}" if found.alike else ""
    return (
        f"nothing found of this user below {place.settings.storage_url} (days with clicks: "
        f"{len(place.storage.days('clicks'))}){like}: name the id as the log writes it, or say --missing-ok to have "
        "later loads leave it out all the same"
    )


def _erase(ids: Sequence[str], sessions: Sessions, reason: str, place: _Place) -> dict[str, int]:
    record_erased_sessions(sessions, place.settings)  # first of all, for an erasure that goes on after a kill
    erasures = [record_erasure(user_id, *Phrase.of(user_id), reason, place.settings) for user_id in ids]
    totals = {"days": 0, "clicks": 0, "quarantined": 0}
    for day, paths in stored_loads(place.storage).items():
        counted = [_erase_load(place.storage.read(path), day, ids, sessions, place) for path in paths]
        erased = {name: sum(counts[name] for counts in counted) for name in ("clicks", "quarantined")}
        if any(erased.values()):
            record_erased_day(erasures[0], day, erased, place.settings)
            totals = {"days": totals["days"] + 1} | {name: totals[name] + rows for name, rows in erased.items()}
    return totals


def _erase_load(
    load: Artefact, load_day: date, ids: Sequence[str], sessions: Sessions, place: _Place
) -> dict[str, int]:
    """Write one load again without the user where it holds rows of theirs; returns clicks and quarantined rows."""
    with place.storage.open(load) as folder, open_engine(place.settings) as engine:
        quarantine = pq.read_table(folder / QUARANTINE)
        mask = _quarantined(quarantine, load_day, ids, sessions)
        kept, clicks = {}, 0
        for part, (day, rows) in clicks_of(load, load_day, folder, engine).items():
            of_user = ErasedRows(ids, {day: sessions.get(day, ())})
            kept[part] = rows.filter(~of_user.condition(rows, day))
            clicks += count_rows(rows) - count_rows(kept[part])
        counts = {"clicks": clicks, "quarantined": int(pc.sum(mask).as_py() or 0)}
        if any(counts.values()):
            with place.storage.write(load.path, sources=load.sources) as (rewritten, marked):
                for part, rows in kept.items():
                    write_parts(rows, rewritten / part)
                pq.write_table(blank(quarantine, mask), rewritten / QUARANTINE, compression="zstd")
                marked |= load.counts | {"erased_clicks": load.counts.get("erased_clicks", 0) + clicks}
                place.check_held()
    return counts


def _quarantined(quarantine: pa.Table, load_day: date, ids: Sequence[str], sessions: Sessions) -> pa.Array:
    """Which quarantined rows name the user, or stood without a user in a session of theirs."""
    rows = in_quarantine(quarantine, load_day)
    unnamed = [user_id is None and session in sessions.get(day, ()) for day, user_id, session in rows]
    return pc.or_(quarantined_with(ids, quarantine), pa.array(unnamed, pa.bool_()))


def _make_anew_what_is_stale(place: _Place) -> None:
    for day in place.storage.days("clicks"):
        if is_stale(day, place.storage, place.settings):
            aggregate(day, place.storage, place.settings, place.check_held)
