"""Which rows are of erased users: those that name them, and those without a user in the same sessions of a day."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import ibis

from tasks.ingest.folder_day import days_of_clicks
from tasks.settings import Settings
from tasks.stores.ledger import ErasedUsers, erased_sessions, salted_hash


@dataclass(frozen=True)
class ErasedRows:
    """What the rows are known by: ids of users, and sessions by the day of their clicks."""

    users: Sequence[str]
    sessions: Mapping[date, Collection[str]]

    def condition(self, rows: ibis.Table, load_day: date) -> ibis.Value:
        """Whether a row is one of theirs; one without a time counts on the day of its load."""
        conditions = [rows.user_id.isin(self.users)] if self.users else []
        for day, sessions in self.sessions.items():
            if not sessions:
                continue
            of_day = rows.user_id.isnull() & (_day(rows, load_day) == ibis.literal(day))
            conditions.append(of_day & rows.session_id.isin(sorted(sessions)))
        return ibis.or_(*(condition.fill_null(False) for condition in conditions))

    def __bool__(self) -> bool:
        return bool(self.users or self.sessions)


def erased_rows(rows: ibis.Table, load_day: date, erased: ErasedUsers, settings: Settings) -> ErasedRows:
    """Those among the rows of a load that are of users erased before, by the hashes that are kept."""
    if not erased.user_hashes:
        return ErasedRows((), {})
    column = "session_id" if names_nobody(rows) else "user_id"
    users = _among(rows[column], erased)
    found = sessions_where(rows[column].isin(users), rows, load_day) if users else []
    days = days_of_clicks(load_day, settings)
    found += sessions_known(rows, erased_sessions(days[0], days[-1], settings), erased.salt, load_day)
    return ErasedRows(users, by_day(found))


def names_nobody(rows: ibis.Table) -> bool:
    """Whether no row has a user: what such a log calls a session may be a user."""
    return not rows.user_id.notnull().any().to_pyarrow().as_py()


def is_known(user_id: str, erased: ErasedUsers) -> bool:
    """Whether a user was erased before."""
    return salted_hash(erased.salt, user_id) in erased.user_hashes


def sessions_where(condition: ibis.Value, rows: ibis.Table, load_day: date) -> list[tuple[date, str]]:
    """Day and id of the sessions of these rows."""
    return _pairs(_distinct_sessions(rows.filter(condition), load_day))


def sessions_known(rows: ibis.Table, hashes: Sequence[str], salt: str, load_day: date) -> list[tuple[date, str]]:
    """Day and id of the sessions, with rows without a user, that are known by these hashes."""
    if not hashes:
        return []
    sessions = _distinct_sessions(rows.filter(rows.user_id.isnull()), load_day)
    hashed = ibis.literal(salt) + sessions.day.cast("string") + " " + sessions.session_id
    return _pairs(sessions.filter(hashed.hexdigest("sha256").isin(hashes)))


def by_day(sessions: Iterable[tuple[date, str]]) -> dict[date, set[str]]:
    """Sessions by their day."""
    found: dict[date, set[str]] = {}
    for day, session in sessions:
        found.setdefault(day, set()).add(session)
    return found


def _among(column: ibis.Value, erased: ErasedUsers) -> list[str]:
    ids = column.name("id").as_table().filter(ibis._.id.notnull()).distinct()
    found = ids.filter((ibis.literal(erased.salt) + ids.id).hexdigest("sha256").isin(erased.user_hashes))
    return [str(user) for user in found.to_pyarrow()["id"].to_pylist()]


def _distinct_sessions(rows: ibis.Table, load_day: date) -> ibis.Table:
    rows = rows.filter(rows.session_id.notnull())
    return rows.select("session_id", day=_day(rows, load_day)).distinct()


def _pairs(sessions: ibis.Table) -> list[tuple[date, str]]:
    found = sessions.to_pyarrow()
    return list(zip(found["day"].to_pylist(), found["session_id"].to_pylist(), strict=True))


def _day(rows: ibis.Table, load_day: date) -> ibis.Value:
    return ibis.coalesce(rows.event_time.date(), ibis.literal(load_day))
