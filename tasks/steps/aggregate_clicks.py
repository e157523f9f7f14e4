"""Cleaned clicks of a day become the small files that nights add up: products and pairs, with their sessions."""

from collections.abc import Callable, Sequence
from datetime import date

from tasks.errors import NotReady
from tasks.ingest.clicks import OWN, Piece, list_pieces_of, opened, pieces_of
from tasks.ingest.cooccurrence import pairing, without_large_sessions
from tasks.ingest.counted import write_counted
from tasks.ingest.engine import open_engine, read_parquet
from tasks.ingest.folder_day import days_of_clicks
from tasks.ingest.shown_lists import shown_lists
from tasks.night import Night
from tasks.publish.list_clicks import count_list_clicks
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tasks.stores.ledger import record_aggregate
from tasks.stores.locks import hold_clicks


def aggregate_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Aggregate the night's own day, and days whose clicks its folder has changed since, by early or late ones.

    Writes aggregates/date=D, the files of tasks.ingest.counted, and rows of table list_click. Raises NotReady where
    the night's own day is not ingested.
    """
    storage = Storage(settings.storage_url)
    with hold_clicks(settings, f"aggregate_clicks of {night}") as check_held:
        if not storage.complete(Night.clicks(night.day)):
            raise NotReady(f"the clicks of {night} are not ingested: run ingest_clicks --night {night}")
        counts: dict[str, float] = aggregate(night.day, storage, settings, check_held)
        others = [day for day in days_of_clicks(night.day, settings) if day != night.day]
        changed = [day for day in others if is_stale(day, storage, settings)]
        for day in changed:
            aggregate(day, storage, settings, check_held)
    return counts | {"other_days_made_anew": len(changed)}


def is_stale(day: date, storage: Storage, settings: Settings) -> bool:
    """Whether the day's own clicks are there and its aggregates are missing or made of other clicks or settings."""
    pieces = pieces_of(day, storage, settings)
    if not any(piece.folder == OWN for piece in pieces):
        return False
    pieces += list_pieces_of(day, storage, settings)
    path = Night.aggregate(day)
    return not storage.complete(path) or storage.read(path).sources != _sources(pieces, settings)


def aggregate(day: date, storage: Storage, settings: Settings, check_held: Callable[[], None]) -> dict[str, float]:
    """Make one day's aggregates from its own clicks and the early and late ones; returns the counts.

    check_held: raises where the lock on clicks was lost; they may have been erased meanwhile.
    """
    pieces, of_lists = pieces_of(day, storage, settings), list_pieces_of(day, storage, settings)
    with (
        storage.draft(Night.aggregate(day), sources=_sources([*pieces, *of_lists], settings)) as draft,
        opened(pieces, storage) as files,
        opened(of_lists, storage) as files_of_lists,
        open_engine(settings) as engine,
    ):
        clicks = read_parquet(engine, files)
        fitting, too_large = without_large_sessions(clicks, settings)
        draft.counts |= write_counted(clicks, fitting, draft.folder, settings) | {"too_large_sessions": too_large}
        made = draft.finish()
        check_held()
        with transaction(settings) as connection:
            record_aggregate(day, made, connection)
            shown = shown_lists(read_parquet(engine, files_of_lists)) if files_of_lists else None
            count_list_clicks(connection, day, shown, settings)
            draft.put_in_place()
        draft.mark_complete()
    return made.counts


def _sources(pieces: Sequence[Piece], settings: Settings) -> dict[str, str]:
    """Hashes of clicks, and of the events of shown lists, where there are any; and how clicks were paired."""
    return {piece.name: piece.hash for piece in pieces} | {"pairing": pairing(settings)}
