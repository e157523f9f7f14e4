"""The loads in which a user may be: where they lie, their clicks by day, and who is in their quarantine."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import ibis
import pyarrow as pa
from ibis.backends import BaseBackend

from tasks.ingest.clicks import day_of_folder, folders_of
from tasks.ingest.engine import read_parquet
from tasks.night import Night
from tasks.stores.artefacts import Artefact, Storage


def stored_loads(storage: Storage) -> dict[date, list[str]]:
    """By day: the path of its load, and of the quarantine of a load that was not taken."""
    paths: dict[date, list[str]] = {}
    for name, path in (("clicks", Night.clicks), ("rejected", Night.rejected)):
        for day in storage.days(name):
            paths.setdefault(day, []).append(path(day))
    return paths


def clicks_of(load: Artefact, load_day: date, folder: Path, engine: BaseBackend) -> dict[str, tuple[date, ibis.Table]]:
    """By part of the load: the day whose clicks it holds, and the clicks."""
    return {
        part: (day_of_folder(part, load_day), read_parquet(engine, sorted((folder / part).glob("*.parquet"))))
        for part in folders_of(load)
    }


def in_quarantine(quarantine: pa.Table, load_day: date) -> Iterator[tuple[date, str | None, str | None]]:
    """Day, user and session of every quarantined row; a row whose time cannot be read counts on the day of its load."""
    columns = (quarantine[name].to_pylist() for name in ("event_time", "user_id", "session_id"))
    for time, user_id, session in zip(*columns, strict=True):
        yield _day_in(time or "") or load_day, user_id, session


def _day_in(time: str) -> date | None:
    try:
        return date.fromisoformat(time[:10])
    except ValueError:
        return None
