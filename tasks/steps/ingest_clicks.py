"""The raw log of one day becomes cleaned clicks; every row left out is kept with its rule, file and row."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import ibis
from ibis.backends import BaseBackend

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue import catalogue_of
from tasks.ingest.clicks import OWN, late_folder, opened, pieces_of
from tasks.ingest.engine import FILE, ROW, count_rows, open_engine, read_parquet, write_parts
from tasks.ingest.erased import erased_rows
from tasks.ingest.log_format import COLUMNS, read_log_format
from tasks.ingest.made_sessions import with_sessions
from tasks.ingest.quarantine import QUARANTINE, write_quarantine
from tasks.ingest.reading import open_log, open_rows
from tasks.ingest.rules import (
    DUPLICATES,
    ERASED_USER,
    LATE,
    OTHER_EVENT,
    SHOWN_LIST,
    UNLISTED,
    already_stored,
    count_duplicates,
    excluded_rows,
    is_list_event,
    rules_of_a_row,
)
from tasks.ingest.shown_lists import days_of, known_lists, of_day, rules_of_list_events, write_list_events
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tasks.stores.ledger import Load, erased_users, record_erased_sessions, record_load, rule_counts
from tasks.stores.locks import hold_clicks, locked


@dataclass(frozen=True)
class _Target:
    """The night whose day is loaded, and the folder that becomes its load."""

    night: Night
    folder: Path
    storage: Storage
    settings: Settings


def ingest_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Clean the log of the night's own day into clicks/date=D and note the load, rule by rule, in the ledger.

    Writes clicks/ (the day's own), late/date=X/ (those of a day before), lists/date=X/ (events of shown lists, of any
    of these days) and quarantine.parquet; rows read = accepted + quarantined + duplicates. Raises NotReady where the
    day has no folder or a file is still being written, BadInput for an empty day, a file that cannot be read and a day
    with too many refused rows, whose quarantine then lies in rejected/date=D; the day as it was loaded before then
    still stands.
    """
    storage, path = Storage(settings.storage_url), Night.clicks(night.day)
    with hold_clicks(settings, f"ingest_clicks of {night}") as check_held, locked(settings, f"clicks of {night}"):
        with storage.draft(path) as draft:
            load = _clean(_Target(night, draft.folder, storage, settings))
            if _exceeds_quarantined_share(load, settings):
                raise _rejected(load, storage, draft.folder, settings)
            draft.counts |= {"files": len(load.files), "rows_read": load.rows_read, "accepted": load.accepted}
            draft.counts |= {"quarantined": load.quarantined, "duplicates": load.duplicates}
            draft.counts |= {count.rule: count.row_count for count in load.rules}
            made = draft.finish()
            check_held()
            with transaction(settings) as connection:
                record_load(replace(load, clicks_hash=made.hash), connection)
                draft.put_in_place()
            draft.mark_complete()
        storage.remove(Night.rejected(night.day))
    return made.counts


def _clean(target: _Target) -> Load:
    """Fill the folder with clicks and quarantine, and count."""
    day, folder, settings = target.night.day, target.folder, target.settings
    log_format, erased = read_log_format(settings), erased_users(settings)
    with open_log(day, log_format, settings) as log, open_engine(settings) as engine, ThreadPoolExecutor(1) as executor:
        files = executor.submit(log.described)
        if not log.readable:
            refused = write_quarantine(None, log, erased, folder)
            return Load(day, files.result(), None, log.rows_read, 0, 0, rule_counts("quarantined", refused))
        rows = with_sessions(open_rows(engine, log, log_format), log, log_format, settings)
        of_erased = erased_rows(rows, day, erased, settings)
        record_erased_sessions(of_erased.sessions, settings)  # the rest of them may come late, without the user
        rules = rules_of_a_row(rows, day, of_erased, settings)
        rules += rules_of_list_events(rows, known_lists(settings))
        excluded = excluded_rows(rows, rules, day, settings)
        clicks = rows.filter(~is_list_event(rows))
        own = write_parts(clicks.anti_join(excluded, [FILE, ROW]).select(COLUMNS), folder / OWN)
        late, repeats = _write_late(engine, excluded.filter(excluded.rule.isnull() & ~is_list_event(excluded)), target)
        events = write_list_events(rows, excluded, folder)
        refused = write_quarantine(excluded.filter(excluded.rule.notin(DUPLICATES)), log, erased, folder)
        duplicates = count_duplicates(excluded) + repeats
        remarks = Counter({LATE: late, UNLISTED: _unlisted(engine, target), SHOWN_LIST: events})
        counts = [*rule_counts("quarantined", refused), *rule_counts("duplicate", duplicates)]
        counts += rule_counts("accepted", remarks)
        counts = [count for count in counts if count.row_count]
        return Load(day, files.result(), None, log.rows_read, own + late + events, late, counts)


def _write_late(engine: BaseBackend, late: ibis.Table, target: _Target) -> tuple[int, Counter[str]]:
    """Write the clicks of each day before into a folder of its own; returns how many, and repeats of stored clicks."""
    written, repeats = 0, Counter[str]()
    for day in days_of(late):
        clicks = of_day(late, day)
        pieces = pieces_of(day, target.storage, target.settings)
        stored = [piece for piece in pieces if piece.load.path != Night.clicks(target.night.day)]
        with opened(stored, target.storage) as files:
            if files:
                repeated = already_stored(clicks, read_parquet(engine, files))
                repeats += count_duplicates(repeated)
                clicks = clicks.anti_join(repeated, [FILE, ROW])
            if count_rows(clicks):
                written += write_parts(clicks.select(COLUMNS), target.folder / late_folder(day))
    return written, repeats


def _unlisted(engine: BaseBackend, target: _Target) -> int:
    """Accepted clicks on products that the day's catalogue does not list: kept for when it does, not served."""
    try:
        _, catalogue = catalogue_of(target.night, target.storage)
    except NotReady:
        return 0
    files = [file for folder in (OWN, "late") for file in sorted((target.folder / folder).glob("**/part-*.parquet"))]
    with target.storage.open(catalogue) as listed:
        clicks = read_parquet(engine, files).group_by("product_id").agg(clicks=ibis._.count())
        unlisted = clicks.anti_join(read_parquet(engine, [listed / "products.parquet"]), "product_id")
        return int(unlisted.clicks.sum().fill_null(0).to_pyarrow().as_py())


def _exceeds_quarantined_share(load: Load, settings: Settings) -> bool:
    no_dirt = Counter({count.rule: count.row_count for count in load.rules if count.rule in (ERASED_USER, OTHER_EVENT)})
    judged = load.rows_read - no_dirt[OTHER_EVENT]
    return not load.accepted or load.quarantined - no_dirt.total() > settings.max_quarantined_share * judged


def _rejected(load: Load, storage: Storage, folder: Path, settings: Settings) -> BadInput:
    """Keep the quarantine and the counts of a load that is not taken."""
    path = Night.rejected(load.day)
    with storage.draft(path) as draft:
        shutil.copy(folder / QUARANTINE, draft.folder / QUARANTINE)
        draft.counts |= {count.rule: count.row_count for count in load.rules}
        draft.finish()
        with transaction(settings) as connection:
            record_load(load, connection)
            draft.put_in_place()
        draft.mark_complete()
    rules = ", ".join(f"{count.rule} {count.row_count:,}" for count in load.rules if count.outcome == "quarantined")
    return BadInput(
        f"at most {settings.max_quarantined_share:.0%} of the rows of {load.day} may be refused, and one must be good, "
        f"got {load.quarantined:,} of {load.rows_read:,} refused ({rules}): see {path}/{QUARANTINE}, correct the log "
        "and deliver it again, or set MAX_QUARANTINED_SHARE higher; what was loaded before still stands"
    )
