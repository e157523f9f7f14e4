"""Erasure of a user: their clicks leave every stored day, and later loads leave them out."""

from collections.abc import Mapping, Sequence
from datetime import date

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.ingest.clicks import day_of_folder, folders_of
from tasks.ingest.engine import count_rows, open_engine, read_parquet, write_parts
from tasks.ingest.quarantine import CONTENT, QUARANTINE, blank
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate, is_stale
from tasks.stores.artefacts import Storage
from tasks.stores.database import locked
from tasks.stores.ledger import record_erased_day, record_erasure

Sessions = Mapping[date, Sequence[str]]  # of the user, by the day of their clicks


def erase(user_id: str, reason: str, settings: Settings) -> dict[str, int]:
    """Take a user's events out of cleaned clicks, quarantine and daily aggregates, and out of every later load.

    A user's events are the rows that name them, and rows without a user in the same sessions of a day. Quarantined rows
    lose their content and still count. PostgreSQL keeps a salted hash, the reason and counts by day. Raw logs belong
    to those who deliver them and stay. Raises BadInput for an empty id or reason and for a reason that holds the id.
    """
    if not user_id.strip() or not reason.strip():
        raise BadInput("erase needs the id of a user and a reason, got an empty one")
    if user_id in reason:
        raise BadInput("the reason is kept and must not hold the id of the user: word it without")
    erasure_id = record_erasure(user_id, reason, settings)  # from here on every load leaves the user out
    storage = Storage(settings.storage_url)
    days = storage.days("clicks")
    sessions = _sessions_of(user_id, days, storage, settings)
    totals = {"days": 0, "clicks": 0, "quarantined": 0}
    for day in days:
        with locked(settings, f"clicks of {day}"):
            erased = _erase_load(Night.clicks(day), user_id, sessions, storage, settings)
        if any(erased.values()):
            record_erased_day(erasure_id, day, erased, settings)
            totals = {"days": totals["days"] + 1} | {name: totals[name] + rows for name, rows in erased.items()}
    for day in storage.days("rejected"):
        _erase_load(Night.rejected(day), user_id, sessions, storage, settings)
    for day in days:
        if storage.complete(Night.aggregate(day)) and is_stale(day, storage, settings):
            aggregate(day, storage, settings)
    return totals


def _sessions_of(user_id: str, days: Sequence[date], storage: Storage, settings: Settings) -> dict[date, list[str]]:
    found: dict[date, set[str]] = {}
    for day in days:
        load = storage.read(Night.clicks(day))
        with storage.open(load) as folder, open_engine(settings) as engine:
            for part in folders_of(load):
                rows = read_parquet(engine, sorted((folder / part).glob("*.parquet")))
                named = rows.filter(rows.user_id == user_id).select("session_id").distinct().to_pyarrow()
                found.setdefault(day_of_folder(part, day), set()).update(named["session_id"].to_pylist())
    return {day: sorted(sessions) for day, sessions in found.items() if sessions}


def _erase_load(path: str, user_id: str, sessions: Sessions, storage: Storage, settings: Settings) -> dict[str, int]:
    """Write one load again without the user where it holds rows of theirs; returns clicks and quarantined rows."""
    storage.remove_leftovers(path)
    load = storage.read(path)
    day = date.fromisoformat(path.rpartition("=")[2])
    with storage.open(load) as folder, open_engine(settings) as engine:
        quarantine = pq.read_table(folder / QUARANTINE)
        mask = _of_user(quarantine, user_id, sessions.get(day, ()))
        parts = {part: read_parquet(engine, sorted((folder / part).glob("*.parquet"))) for part in folders_of(load)}
        kept = {
            part: _without(rows, user_id, sessions.get(day_of_folder(part, day), ())) for part, rows in parts.items()
        }
        clicks = sum(count_rows(parts[part]) - count_rows(kept[part]) for part in parts)
        counts = {"clicks": clicks, "quarantined": int(pc.sum(mask).as_py() or 0)}
        if any(counts.values()):
            with storage.write(path, sources=load.sources) as (rewritten, marked):
                for part, rows in kept.items():
                    write_parts(rows, rewritten / part)
                pq.write_table(blank(quarantine, mask), rewritten / QUARANTINE, compression="zstd")
                marked |= load.counts | {"erased_clicks": load.counts.get("erased_clicks", 0) + clicks}
    return counts


def _without(rows: ibis.Table, user_id: str, sessions: Sequence[str]) -> ibis.Table:
    of_user = (rows.user_id == user_id).fill_null(False)
    if sessions:
        of_user |= rows.user_id.isnull() & rows.session_id.isin(sessions)
    return rows.filter(~of_user)


def _of_user(quarantine: pa.Table, user_id: str, sessions: Sequence[str]) -> pa.ChunkedArray:
    """Which quarantined rows hold the id anywhere, or stood in a session of the user without a user of their own."""
    unnamed = pc.and_(
        pc.is_null(quarantine["user_id"]), pc.is_in(quarantine["session_id"], pa.array(sessions, pa.string()))
    )
    mask = pc.fill_null(unnamed, False)
    for name in CONTENT:
        mask = pc.or_(mask, pc.fill_null(pc.match_substring(quarantine[name], user_id), False))
    return mask
