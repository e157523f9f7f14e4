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
from tasks.publish.title_words import counted_words, search_words
from tasks.settings import Settings
from tasks.stores.database import (
    ROWS_PER_COPY,
    Connection,
    copy_rows,
    outside_transactions,
    refusable,
    select,
    statement,
)

log = logging.getLogger("tasks")

LOOKUP_LIMIT_SECONDS = 5  # a lookup is planned in milliseconds; a report that runs for longer is past that


@dataclass(frozen=True)
class Version:
    """The rows of its partitions, read once, and the row of recommendation_version that describes them."""

    recommendations: pa.RecordBatchReader
    products: pa.Table
    reasons: pa.RecordBatchReader
    description: dict[str, Any]
    exposure: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Move:
    """A move of the live pointer, as live_version_change keeps it."""

    action: str
    actor: str
    reason: str


def actor_of(by: str) -> str:
    """Who decides: the person who is named, else the system user."""
    return by.strip() or this_user()


def reason_of(what: str, reason: str, kept_in: str) -> str:
    """A person's reason for a decision; raises BadInput for an empty one. what: such as "a rollback"."""
    if not reason.strip():
        raise BadInput(f"{what} must have a reason, got an empty one: give one, it is kept in {kept_in}")
    return reason.strip()


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
        connection.execute(statement("own_partitions", version_id=version_id))
        connection.execute(statement("limit_parallelism"))
        copy_rows(connection, f"recommendation_{version_id}", version.recommendations)
        copy_rows(connection, f"recommended_product_{version_id}", _with_words(version.products))
        copy_rows(connection, f"recommendation_reason_{version_id}", version.reasons)
        connection.execute(statement("index_partitions", version_id=version_id))
        _store_exposure(connection, version_id, version)
        _replace_title_words(connection, version.products)
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
    Raises BadInput where they do not hold the version's rows.
    """
    _attach(connection, version_id)
    _await_lookups(connection)
    with connection.begin():
        _store_verdicts(connection, version_id, verdicts)
        built = {"version_id": version_id, "interactions_hash": version.description["interactions_hash"]}
        connection.execute(statement("accept_version"), built)
        with refusable():
            moved = connection.scalar(statement("make_live_if_newest"), {"version_id": version_id, **move.__dict__})
    return moved is not None


def reject(connection: Connection, version_id: int, verdicts: Sequence[Verdict], *, has_rows: bool) -> None:
    """Store the verdicts; the version can be looked at, and is not live."""
    if has_rows:
        _attach(connection, version_id)
    with connection.begin():
        _store_verdicts(connection, version_id, verdicts)
        connection.execute(statement("reject_version"), {"version_id": version_id, "has_rows": has_rows})


def drop_leftovers(connection: Connection) -> int:
    """Drop what killed publishes and long readers left behind; returns of how many versions.

    Under the lock `publish` no other publish can be writing what is staged.
    """
    with connection.begin():
        connection.execute(statement("mark_staged_dropped"))
    return _drop_given_up(connection)


def drop_old(connection: Connection, settings: Settings) -> int:
    """Drop the rows of versions beyond KEEP_VERSIONS or KEEP_DAYS, never of one that is live, or before the live one.

    They are marked before their partitions go, so that no rollback finds one that is losing its rows. What a reader
    still uses is left for the next publish. Returns how many were dropped.
    """
    limits = {"keep_versions": settings.keep_versions, "keep_days": settings.keep_days}
    with connection.begin():
        connection.execute(statement("mark_old_dropped"), limits)
    return _drop_given_up(connection)


def live(connection: Connection) -> dict[str, Any] | None:
    """The live version's version_id, night and since, which stays live until the transaction ends."""
    return next(iter(select(connection, "live_version")), None)


def former(connection: Connection, night: date | None) -> int | None:
    """The newest version with rows that a rollback goes to: of the given night, else the last before the live one.

    Never one that was withdrawn.
    """
    query = statement("version_of_night" if night else "version_before_live")
    version_id: int | None = connection.scalar(query, {"night": night} if night else {})
    return version_id


def move_pointer(connection: Connection, version_id: int, move: Move) -> None:
    """Make a version live whatever its night; audited, and announced by NOTIFY live_version.

    Raises BadInput where its partitions are not attached or do not hold its rows.
    """
    with refusable():
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


def _drop_given_up(connection: Connection) -> int:
    """Drop the tables of versions that were given up, as far as no reader uses them; returns of how many versions.

    A detach that was cut off comes first: PostgreSQL detaches no other partition of that table before.
    """
    with connection.begin():
        given_up = connection.scalars(statement("versions_with_tables")).all()
    dropped = 0
    try:
        _finish_detaches(connection)
        for version_id in given_up:
            _drop_partitions(connection, version_id)
            dropped += 1
    except NotReady as in_use:
        log.warning("%d versions keep their tables until the next publish: %s", len(given_up) - dropped, in_use)
    with connection.begin():
        connection.execute(statement("delete_staged_versions"))
    return dropped


def _finish_detaches(connection: Connection) -> None:
    with outside_transactions(connection) as alone:
        for parent, partition in alone.execute(statement("pending_detaches")).all():
            alone.execute(statement("finish_detach", parent=parent, partition=partition))


def _drop_partitions(connection: Connection, version_id: int) -> None:
    """Detach without locking readers out, then drop; goes on where a killed one stopped."""
    with outside_transactions(connection) as alone:
        for parent in alone.scalars(statement("attached_partitions"), {"version_id": version_id}).all():
            alone.execute(statement("detach_partition", parent=parent, version_id=version_id))
        alone.execute(statement("drop_partitions", version_id=version_id))


def _store_verdicts(connection: Connection, version_id: int, verdicts: Sequence[Verdict]) -> None:
    rows = [{"version_id": version_id, **verdict._asdict()} for verdict in verdicts]
    connection.execute(statement("insert_verdict"), rows)


def _store_exposure(connection: Connection, version_id: int, version: Version) -> None:
    names = ("version_id", "products", "share_of_places")
    if rows := [dict(zip(names, (version_id, *point), strict=True)) for point in version.exposure]:
        connection.execute(statement("insert_exposure"), rows)


def _with_words(products: pa.Table) -> pa.RecordBatchReader:
    return products.append_column("words", search_words(products["title"])).to_reader(ROWS_PER_COPY)


def _replace_title_words(connection: Connection, products: pa.Table) -> None:
    connection.execute(statement("create_new_words"))
    copy_rows(connection, "new_word", counted_words(products["title"]).to_reader(ROWS_PER_COPY))
    connection.execute(statement("replace_title_words"))


def _check_row_count(connection: Connection, version_id: int, version: Version) -> None:
    expected = version.description["row_count"]
    seen = connection.execute(statement("count_version_rows", version_id=version_id)).scalar_one()
    if seen != expected:
        raise BadInput(
            f"version {version_id} must hold {expected:,} rows, got {seen:,}: a published version never changes, "
            "so find out who changed it and restore it"
        )
