"""What it means that PostgreSQL refuses: whether the same call may work later, and what somebody must do about it."""

from typing import NamedTuple

import psycopg2
import psycopg2.errors

from tasks.errors import BadInput, NotReady, TaskError


class Refusal(NamedTuple):
    """The error to raise: NotReady is tried again, BadInput is not; and what to do."""

    raised: type[TaskError]
    remedy: str


AWAY = Refusal(NotReady, "see to the server (or DATABASE_URL), then run the step again")
# By SQLSTATE or by its class, the first two characters (PostgreSQL, appendix A).
REFUSALS = {
    "08": AWAY,
    "22": Refusal(BadInput, "correct the value that it names"),
    "25006": Refusal(
        NotReady, "it takes no writes, as a replica does: let DATABASE_URL name the primary, then run the step again"
    ),
    "28": Refusal(BadInput, "correct user and password in DATABASE_URL, or let the server accept them"),
    "3D": Refusal(BadInput, "make the database, or correct DATABASE_URL"),
    "40": Refusal(NotReady, "something else wrote at the same time: run the step again"),
    "42501": Refusal(BadInput, "let the user of DATABASE_URL be a member of publisher (sql/grants.sql), or the owner"),
    "42": Refusal(BadInput, "its tables are not those of this code: see what was changed by hand, or restore them"),
    "53": Refusal(NotReady, "free disk space, memory or connections of the server, then run the step again"),
    "54": Refusal(BadInput, "it is more than the server takes at once: see its limits"),
    "55": Refusal(NotReady, "see who holds the lock (pg_stat_activity), then run the step again"),
    "57": Refusal(
        NotReady, "it was stopped by an operator or by statement_timeout: see which, then run the step again"
    ),
    "58": AWAY,
    "XX": AWAY,
}


def refusal_of(error: BaseException | None) -> Refusal | None:
    """What an error of psycopg2 means; None where it is a fault of this code."""
    if not isinstance(error, psycopg2.Error):
        return None
    if error.pgcode:
        return REFUSALS.get(error.pgcode) or REFUSALS.get(error.pgcode[:2])
    # Of connections: psycopg2 gives a code to none, and to some that were lost no class of their own.
    lost = (
        isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or type(error) is psycopg2.DatabaseError
    )
    return AWAY if lost else None


def is_locked(error: BaseException) -> bool:
    """Whether a statement waited for a lock as long as lock_timeout lets it; of SQLAlchemy's errors."""
    return isinstance(getattr(error, "orig", None), psycopg2.errors.LockNotAvailable)
