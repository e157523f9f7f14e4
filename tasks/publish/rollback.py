"""What a person decides about versions: back to a former one, on to a refused one, away with one. All is audited."""

from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish import versions
from tasks.publish.versions import Move
from tasks.settings import Settings
from tasks.stores.database import Connection, statement
from tasks.stores.locks import locked

NOT_WITHDRAWN = {  # by status: what to do instead
    "missing": "see the table recommendation_version",
    "live": "go back to the one before it, which withdraws it: python -m tasks rollback --version {version_id}",
    "staged": "a publish is writing it, or was killed and the next one drops it",
    "withdrawn": "it stays so until somebody approves it",
}


def rollback(settings: Settings, version_id: int, reason: str, by: str = "", to: str = "") -> dict[str, object]:
    """Withdraw the live version, within seconds: the newest of the night `to` is live, else the last before it.

    version_id: the version that whoever asks saw live, so that no other is withdrawn, and none twice. Those between the
    two are withdrawn as well; a withdrawn version comes back by `approve` alone. by: who decides, else the system user.
    Raises BadInput without a reason, where another version is live by now, and where none is left to go back to.
    """
    night = Night.of(to, settings).day if to else None
    move = _move("rollback", by, reason)
    with locked(settings, "publish") as connection, connection.begin():
        _check_live(connection, version_id)
        target = versions.former(connection, night)
        if target is None:
            wanted = f"of night {night}" if night else "before the live one"
            raise BadInput(
                f"a rollback needs an accepted version {wanted} that has its rows and was not withdrawn, got none: "
                "see the table recommendation_version; a withdrawn one comes back when it is approved"
            )
        return _make_live(connection, target, move)


def approve(settings: Settings, version_id: int, reason: str, by: str = "") -> dict[str, object]:
    """Make a version live that the gate rejected or somebody withdrew.

    One that breaks a zero rule has no rows and cannot be. Raises BadInput without a reason and for a version that is
    neither or has no rows.
    """
    move = _move("override", by, reason)
    with locked(settings, "publish") as connection, connection.begin():
        found = connection.execute(statement("version_status"), {"version_id": version_id}).one_or_none()
        if found is None or found.status not in ("rejected", "withdrawn") or not found.has_rows:
            seen = "no such version" if found is None else f"one that is {found.status}"
            seen += "" if found is None or found.has_rows else " without rows (dropped, or a zero rule was broken)"
            raise BadInput(
                f"version {version_id} must be rejected or withdrawn and have its rows to be approved, got {seen}: "
                "see the tables recommendation_version and gate_verdict"
            )
        return _make_live(connection, version_id, move)


def withdraw(settings: Settings, version_id: int, reason: str, by: str = "") -> dict[str, object]:
    """Withdraw a version that is not live: no rollback goes to it, and a run of its night waits for `approve`.

    Channels that show it are closed: their readers see the live version. Raises BadInput without a reason, for the live
    version and for one that is neither retired nor rejected.
    """
    move = _move("withdraw", by, reason)
    with locked(settings, "publish") as connection, connection.begin():
        found = connection.execute(statement("version_status"), {"version_id": version_id}).one_or_none()
        status = found.status if found else "missing"
        if found is None or status in NOT_WITHDRAWN:
            raise BadInput(
                f"version {version_id} must be retired or rejected to be withdrawn, got one that is {status}: "
                + NOT_WITHDRAWN[status].format(version_id=version_id)
            )
        for query in ("withdraw_version", "close_channels_of_version"):
            connection.execute(statement(query), {"version_id": version_id, **move.__dict__})
        return {"version": version_id, "night": found.night, "by": move.actor}


def _check_live(connection: Connection, version_id: int) -> None:
    live = versions.live(connection)
    if live is None or live["version_id"] != version_id:
        seen = "version {version_id} of night {night}, since {since:%F %T %Z}".format_map(live) if live else "none"
        raise BadInput(
            f"a rollback withdraws the version that is live, which must be {version_id}, got {seen}: somebody was "
            "faster; look at what readers see now, and ask again with its number if it is bad as well"
            + _may_come_back(connection, version_id)
        )


def _may_come_back(connection: Connection, version_id: int) -> str:
    """What to do where a publish was faster than the rollback: it left the bad version retired, not withdrawn."""
    found = connection.execute(statement("version_status"), {"version_id": version_id}).one_or_none()
    if found is None or found.status != "retired":
        return ""
    return (
        f"; version {version_id} is retired and a rollback may make it live again: if it is bad, run "
        f"python -m tasks withdraw --version {version_id} --reason ..."
    )


def _move(action: str, by: str, reason: str) -> Move:
    what = {"override": "an approval", "withdraw": "a withdrawal"}.get(action, f"a {action}")
    return Move(action, versions.actor_of(by), versions.reason_of(what, reason, "live_history"))


def _make_live(connection: Connection, version_id: int, move: Move) -> dict[str, object]:
    versions.move_pointer(connection, version_id, move)
    live = connection.execute(statement("version_status"), {"version_id": version_id}).one()
    return {"version": version_id, "night": live.night, "by": move.actor}
