"""Channels: other versions for a share of the sessions, beside the live one; every change is audited."""

import re

from tasks.errors import BadInput
from tasks.publish.versions import actor_of, reason_of
from tasks.settings import Settings
from tasks.stores.database import Connection, refusable, select, statement
from tasks.stores.locks import locked

NAME, DEFAULT = r"[a-z0-9_]{1,40}", "default"


def point_channel(
    settings: Settings,
    channel: str,
    reason: str,
    *,
    version_id: int | None = None,
    share: float | None = None,
    by: str = "",
) -> dict[str, object]:
    """Let a channel show a version to a share of the sessions; what is not given stays, the share of a new one is 0.

    by: who decides, else the system user. Raises BadInput without a reason, for a new channel without a version, for
    a version that has not passed the gate or has lost its rows, and where shares add up to more than 1.
    """
    if not re.fullmatch(NAME, channel) or channel == DEFAULT:
        raise BadInput(
            f"a channel must be named by 1 to 40 of a-z, 0-9 and _, and not {DEFAULT}, which is the live version, got "
            f"{channel!r}: name it otherwise"
        )
    if share is not None and not 0 <= share <= 1:
        raise BadInput(f"the share of a channel must be from 0 to 1, got {share:g}: 0.5 is half of the sessions")
    with locked(settings, "publish") as connection, connection.begin():
        now = next(iter(select(connection, "open_channel", channel=channel)), {"version_id": None, "share": 0})
        version_id = now["version_id"] if version_id is None else version_id
        if version_id is None:
            raise BadInput(f"channel {channel} is not open, so it must be given a version, got none: say which")
        move = {"channel": channel, "version_id": version_id, "share": now["share"] if share is None else share}
        return _move(connection, move, reason, by)


def close_channel(settings: Settings, channel: str, reason: str, by: str = "") -> dict[str, object]:
    """Let the readers of a channel see the live version; raises BadInput without a reason, and where it is not open."""
    with locked(settings, "publish") as connection, connection.begin():
        return _move(connection, {"channel": channel, "version_id": None, "share": 0}, reason, by)


def _move(connection: Connection, move: dict[str, object], reason: str, by: str) -> dict[str, object]:
    actor, why = actor_of(by), reason_of("a change of a channel", reason, "channel_history")
    with refusable():
        connection.execute(statement("move_channel"), move | {"actor": actor, "reason": why})
    return move | {"by": actor}
