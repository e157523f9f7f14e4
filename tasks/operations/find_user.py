"""Where a user is in what is stored: which sessions are theirs, and which ids are like theirs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tasks.ingest.engine import open_engine
from tasks.ingest.erased import is_known, names_nobody, sessions_known, sessions_where
from tasks.ingest.mentions import names_any_of
from tasks.ingest.quarantine import QUARANTINE, naming
from tasks.operations.alike import alike, alike_among
from tasks.operations.stored_loads import clicks_of, in_quarantine, stored_loads
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.ledger import erased_sessions, erased_users


@dataclass
class FoundUser:
    """Whether any stored row names the user, the day and id of their sessions, and ids that may be theirs, too."""

    is_named: bool = False
    sessions: list[tuple[date, str]] = field(default_factory=list)
    alike: set[str] = field(default_factory=set)

    @property
    def is_there(self) -> bool:
        """Whether there is anything to erase."""
        return self.is_named or bool(self.sessions)


def find_user(ids: Sequence[str], storage: Storage, settings: Settings) -> FoundUser:
    """Look through all loads; a session's rows may lie in several, and only one of these may name the user."""
    found, erased = FoundUser(), erased_users(settings)
    goes_on = any(is_known(user_id, erased) for user_id in ids)  # an erasure that was killed, perhaps
    for load_day, paths in stored_loads(storage).items():
        for load in map(storage.read, paths):
            with storage.open(load) as folder, open_engine(settings) as engine:
                quarantine = pq.read_table(folder / QUARANTINE)
                _add_quarantined(found, quarantine, ids, load_day)
                parts = clicks_of(load, load_day, folder, engine).values()
                column = "session_id" if _names_nobody(quarantine, [rows for _, rows in parts]) else "user_id"
                for day, rows in parts:
                    _add_clicks(found, rows, rows[column], ids, day)
                    if goes_on:
                        found.sessions += sessions_known(rows, erased_sessions(day, day, settings), erased.salt, day)
    return found


def quarantined_with(ids: Sequence[str], quarantine: pa.Table) -> pa.Array:
    """Which quarantined rows name the user in any column."""
    words = re.findall(r"[a-zA-Z0-9]+", ids[-1])  # other letters may be written in several ways
    return naming(quarantine, names_any_of(ids), hint=max(words, key=len, default=""))


def _names_nobody(quarantine: pa.Table, parts: Sequence[ibis.Table]) -> bool:
    return quarantine["user_id"].null_count == len(quarantine) and all(map(names_nobody, parts))


def _add_quarantined(found: FoundUser, quarantine: pa.Table, ids: Sequence[str], load_day: date) -> None:
    found.is_named |= bool(pc.any(quarantined_with(ids, quarantine)).as_py())
    found.alike |= alike_among(quarantine["user_id"].drop_null(), ids) - {*ids}
    for day, user_id, session in in_quarantine(quarantine, load_day):
        if user_id in ids and session is not None:
            found.sessions.append((day, session))


def _add_clicks(found: FoundUser, rows: ibis.Table, column: ibis.Value, ids: Sequence[str], day: date) -> None:
    there = alike(column, ids)
    found.alike |= there - {*ids}
    if not there.isdisjoint(ids):
        found.is_named = True
        found.sessions += sessions_where(column.isin(ids), rows, day)
