"""Versions in PostgreSQL: three partitions each, staged, judged, attached, dropped; no reader waits."""

import getpass
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from tasks.errors import BadInput, NotReady
from tasks.publish.gate import Verdict
from tasks.settings import Settings
from tasks.stores.database import ROWS_PER_COPY, Connection, copy_rows, outside_transactions, statement

log = logging.getLogger("tasks")

LOOKUP_LIMIT_SECONDS = 5  # a lookup is planned in milliseconds; a report that runs for longer is past that


@dataclass(frozen=True)
class Version:
    """The rows of its partitions, read once, and the row of recommendation_version that describes them."""

    recommendations: pa.RecordBatchReader
    products: pa.Table
    reasons: pa.RecordBatchReader
    description: dict[str, Any]


@dataclass(frozen=True)
class Move:
    """A move of the live pointer, as live_version_change keeps it."""

    action: str
    actor: str
    reason: str


def this_user() -> str:
    """The name of the system user, or its number where it has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def find(connection: Connection, version: Version) -> int | None:
    """The judged version with the same content, if there is one; raises BadInput where it has lost rows."""
    with connection.begin():
        version_id: int | None = connection.scalar(statement("find_version"), version.description)
        if version_id is not None:
            _check_row_count(connection, version_id, version)
    return version_id


def stage(connection: Connection, version: Version) -> int:
    """Write a version to tables that no reader sees yet; killed before the commit it leaves nothing behind."""
    with connection.begin():
        version_id: int = connection.execute(statement("stage_version"), version.description).scalar_one()
        connection.execute(statement("create_partitions", version_id=version_id))
        connection.execute(statement("limit_parallelism"))
        copy_rows(connection, f"recommendation_{version_id}", version.recommendations)
        copy_rows(connection, f"recommended_product_{version_id}", version.products.to_reader(ROWS_PER_COPY))
        copy_rows(connection, f"recommendation_reason_{version_id}", version.reasons)
        connection.execute(statement("index_partitions", version_id=version_id))
        _check_row_count(connection, version_id, version)
    return version_id


def stage_without_rows(connection: Connection, version: Version) -> int:
    """Describe a version whose rows break a zero rule; they are not stored."""
    with connection.begin():
        version_id: int = connection.execute(statement("stage_version"), version.description).scalar_one()
    return version_id


def accept(connection: Connection, version_id: int, verdicts: Sequence[Verdict], version: Version, move: Move) -> bool:
    """Store the verdicts and move the pointer, unless the live version is of a newer night; returns whether it is live.

    The partitions are attached before, on their own: a reader that sees the pointer moved must find them there.
    """
    _attach(connection, version_id)
    _await_lookups(connection)
    with connection.begin():
        _store_verdicts(connection, version_id, verdicts)
        built = {"version_id": version_id, "interactions_hash": version.description["interactions_hash"]}
        connection.execute(statement("accept_version"), built)
        moved = connection.scalar(statement("make_live_if_newest"), {"version_id": version_id, **move.__dict__})
    return moved is not None


def reject(connection: Connection, version_id: int, verdicts: Sequence[Verdict], *, has_rows: bool) -> None:
    """Store the verdicts; the version can be looked at, and is not live."""
    if has_rows:
        _attach(connection, version_id)
    with connection.begin():
        _store_verdicts(connection, version_id, verdicts)
        connection.execute(statement("reject_version"), {"version_id": version_id, "has_rows": has_rows})


def live_exists(connection: Connection) -> bool:
    """Whether readers see a version at all."""
    return connection.execute(statement("live_model")).one_or_none() is not None


def drop_staged(connection: Connection) -> None:
    """Remove what a killed publish left behind; under the lock `publish` no other publish can be writing it."""
    with connection.begin():
        staged = connection.scalars(statement("staged_versions")).all()
    for version_id in staged:
        _drop_partitions(connection, version_id)
        with connection.begin():
            connection.execute(statement("delete_staged_version"), {"version_id": version_id})


def drop_old(connection: Connection, settings: Settings) -> int:
    """Drop the rows of versions beyond KEEP_VERSIONS or KEEP_DAYS, never of the live one or the one before it.

    One that a reader still uses is left for the next publish. Returns how many were dropped.
    """
    limits = {"keep_versions": settings.keep_versions, "keep_days": settings.keep_days}
    with connection.begin():
        old = connection.scalars(statement("versions_to_drop"), limits).all()
    dropped = 0
    for version_id in old:
        try:
            _drop_partitions(connection, version_id)
        except NotReady as in_use:
            log.warning("version %d is not dropped until the next publish: %s", version_id, in_use)
            return dropped
        with connection.begin():
            connection.execute(statement("mark_version_dropped"), {"version_id": version_id})
        dropped += 1
    return dropped


def former(connection: Connection, night: date | None) -> int | None:
    """The newest version with rows that a rollback goes to: of the given night, else the last before the live one."""
    query = statement("version_of_night" if night else "version_before_live")
    version_id: int | None = connection.scalar(query, {"night": night} if night else {})
    return version_id


def move_pointer(connection: Connection, version_id: int, move: Move) -> None:
    """Make a version live whatever its night; audited, and announced by NOTIFY live_version."""
    connection.execute(statement("move_pointer"), {"version_id": version_id, **move.__dict__})


def _attach(connection: Connection, version_id: int) -> None:
    """Make the partitions part of their tables; ATTACH locks no reader."""
    with connection.begin():
        attached = set(connection.scalars(statement("attached_partitions"), {"version_id": version_id}))
        if not attached:
            connection.execute(statement("attach_partitions", version_id=version_id))


def _await_lookups(connection: Connection) -> None:
    """Wait for the statements that may have been planned before the partitions were attached.

    PostgreSQL plans with the partitions there are, and takes the snapshot that it reads by afterwards: if the pointer
    moved in between, such a lookup would find nothing. One that runs for longer than LOOKUP_LIMIT_SECONDS is taken to
    read already.
    """
    deadline, running = time.monotonic() + LOOKUP_LIMIT_SECONDS, _running_lookups(connection)
    while running and time.monotonic() < deadline:
        time.sleep(0.01)
        running &= _running_lookups(connection)


def _running_lookups(connection: Connection) -> set[str]:
    with connection.begin():
        return set(connection.scalars(statement("running_lookups")))


def _drop_partitions(connection: Connection, version_id: int) -> None:
    """Detach without locking readers out, then drop; goes on where a killed one stopped."""
    with outside_transactions(connection) as alone:
        for parent, is_pending in alone.execute(statement("attached_partitions"), {"version_id": version_id}).all():
            how = "finalize" if is_pending else "concurrently"
            alone.execute(statement("detach_partition", parent=parent, version_id=version_id, how=how))
        alone.execute(statement("drop_partitions", version_id=version_id))


def _store_verdicts(connection: Connection, version_id: int, verdicts: Sequence[Verdict]) -> None:
    rows = [{"version_id": version_id, **verdict._asdict()} for verdict in verdicts]
    connection.execute(statement("insert_verdict"), rows)


def _check_row_count(connection: Connection, version_id: int, version: Version) -> None:
    expected = version.description["row_count"]
    seen = connection.execute(statement("count_version_rows", version_id=version_id)).scalar_one()
    if seen != expected:
        raise BadInput(
            f"version {version_id} must hold {expected:,} rows, got {seen:,}: a published version never changes, "
            "so find out who changed it and restore it"
        )
