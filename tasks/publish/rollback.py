"""A person moves the live pointer: back to a former version, or on to one that the gate rejected. Both are audited."""

from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish import versions
from tasks.publish.versions import Move
from tasks.settings import Settings
from tasks.stores.database import Connection, locked, statement


def rollback(settings: Settings, reason: str, by: str = "", to: str = "") -> dict[str, object]:
    """Make a former version live, within seconds: the newest of the night `to`, else the last before the live one.

    by: who decides, else the system user. Raises BadInput without a reason, and where no such version has its rows.
    """
    night = Night.of(to, settings).day if to else None
    move = _move("rollback", by, reason)
    with locked(settings, "publish") as connection, connection.begin():
        version_id = versions.former(connection, night)
        if version_id is None:
            wanted = f"an accepted version of night {night}" if night else "an accepted version before the live one"
            raise BadInput(
                f"a rollback needs {wanted} whose rows are kept, got none: see the table recommendation_version"
            )
        return _make_live(connection, version_id, move)


def approve(settings: Settings, version_id: int, reason: str, by: str = "") -> dict[str, object]:
    """Make a version live that the gate rejected; one that breaks a zero rule has no rows and cannot be.

    Raises BadInput without a reason and for a version that is not rejected or has no rows.
    """
    move = _move("override", by, reason)
    with locked(settings, "publish") as connection, connection.begin():
        found = connection.execute(statement("version_status"), {"version_id": version_id}).one_or_none()
        if found is None or found.status != "rejected" or not found.has_rows:
            seen = "no such version" if found is None else f"one that is {found.status}"
            seen += "" if found is None or found.has_rows else " without rows (dropped, or a zero rule was broken)"
            raise BadInput(
                f"version {version_id} must be rejected and have its rows to be approved, got {seen}: "
                "see the tables recommendation_version and gate_verdict"
            )
        return _make_live(connection, version_id, move)


def _move(action: str, by: str, reason: str) -> Move:
    if not reason.strip():
        raise BadInput(f"a {action} must have a reason, got an empty one: give one, it is kept in live_history")
    return Move(action, by.strip() or versions.this_user(), reason.strip())


def _make_live(connection: Connection, version_id: int, move: Move) -> dict[str, object]:
    versions.move_pointer(connection, version_id, move)
    live = connection.execute(statement("version_status"), {"version_id": version_id}).one()
    return {"version": version_id, "night": live.night, "by": move.actor}
