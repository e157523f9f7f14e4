"""The raw log of one day becomes cleaned clicks; every row left out is kept with its rule, file and row."""

import logging
import shutil
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import ibis
from ibis.backends import BaseBackend

from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue import catalogue_of
from tasks.ingest.clicks import OWN, click_folder, opened, pieces_of
from tasks.ingest.engine import FILE, ROW, count_rows, has_rows, open_engine, read_parquet, write_parts
from tasks.ingest.erased import erased_rows
from tasks.ingest.log_format import COLUMNS, LogFormat
from tasks.ingest.made_sessions import with_sessions
from tasks.ingest.order_level import FROM_ORDER, count_from_order
from tasks.ingest.quarantine import QUARANTINE, write_quarantine
from tasks.ingest.reading import open_log, open_rows
from tasks.ingest.rules import (
    AFTER_ITS_DAY,
    DUPLICATES,
    EARLY,
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
from tasks.ingest.unlisted import ReadLog, count_unlisted, files_of_other_ids, may_be_a_whole_file
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tasks.stores.ledger import Load, erased_users, record_erased_sessions, record_load, rule_counts
from tasks.stores.locks import hold_clicks, hold_step

CUT_ELSEWHERE = 0.05  # share of rows after the folder's day that no late writer leaves there

log = logging.getLogger("tasks")


@dataclass(frozen=True)
class _Target:
    """The night whose day is loaded, and the folder that becomes its load."""

    night: Night
    folder: Path
    storage: Storage
    settings: Settings


def ingest_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Clean the log of the night's own day into clicks/date=D and note the load, rule by rule, in the ledger.

    Writes clicks/ (the day's own), late/date=X/ and early/date=X/ (those of other days), lists/date=X/ (events of shown
    lists, of any of these days) and quarantine.parquet; rows read = accepted + quarantined + duplicates. Raises
    NotReady where the day has no folder or a file is still being written, BadInput for an empty day, a file that cannot
    be read and a day with too many refused rows or with a file of hardly any product of the catalogue, whose quarantine
    then lies in rejected/date=D; the day as it was loaded before then still stands.
    """
    storage, path = Storage(settings.storage_url), Night.clicks(night.day)
    with hold_clicks(settings, f"ingest_clicks of {night}") as check_held, hold_step(settings, f"clicks of {night}"):
        with storage.draft(path) as draft:
            load, faults = _clean(_Target(night, draft.folder, storage, settings))
            _warn_of_another_zone(load, settings)
            if _exceeds_quarantined_share(load, settings):
                raise _rejected(load, storage, draft.folder, settings, _too_many_refused(load, settings))
            if faults:
                raise _rejected(load, storage, draft.folder, settings, _other_ids(load, faults, settings))
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


def _clean(target: _Target) -> tuple[Load, list[str]]:
    """Fill the folder with clicks and quarantine, and count; also what is wrong with files as a whole."""
    day, folder, settings = target.night.day, target.folder, target.settings
    log_format, erased = LogFormat.read(settings.log_format), erased_users(settings)
    with open_log(day, log_format, settings) as raw, open_engine(settings) as engine, ThreadPoolExecutor(1) as executor:
        files = executor.submit(raw.described)
        if not raw.readable:
            refused = write_quarantine(None, raw, erased, folder)
            return Load(day, files.result(), None, raw.rows_read, 0, 0, rule_counts("quarantined", refused)), []
        rows = with_sessions(open_rows(engine, raw, log_format), raw, log_format, settings)
        of_erased = erased_rows(rows, day, erased, settings)
        record_erased_sessions(of_erased.sessions, settings)  # the rest of them may come late, without the user
        rules = rules_of_a_row(rows, day, of_erased, settings)
        rules += rules_of_list_events(rows, known_lists(settings))
        excluded = excluded_rows(rows, rules, day, settings)
        clicks = rows.filter(~is_list_event(rows))
        own = write_parts(clicks.anti_join(excluded, [FILE, ROW]).select(COLUMNS), folder / OWN)
        others = excluded.filter(excluded.rule.isnull() & ~is_list_event(excluded))
        of_others, repeats = _write_of_other_days(engine, others, target)
        events = write_list_events(rows, excluded, folder)
        refused = write_quarantine(excluded.filter(excluded.rule.notin(DUPLICATES)), raw, erased, folder)
        unlisted, faults = _unlisted(engine, ReadLog(raw, rows, excluded), target)
        duplicates = count_duplicates(excluded) + repeats
        from_order = count_from_order(rows.anti_join(excluded.filter(excluded.rule.notnull()), [FILE, ROW]))
        remarks = of_others | Counter({UNLISTED: unlisted, SHOWN_LIST: events, FROM_ORDER: from_order})
        counts = [*rule_counts("quarantined", refused), *rule_counts("duplicate", duplicates)]
        counts += rule_counts("accepted", remarks)
        counts = [count for count in counts if count.row_count]
        accepted = own + of_others.total() + events
        return Load(day, files.result(), None, raw.rows_read, accepted, of_others.total(), counts), faults


def _write_of_other_days(engine: BaseBackend, clicks: ibis.Table, target: _Target) -> tuple[Counter[str], Counter[str]]:
    """Write the clicks of each other day into a folder of its own; returns how many, and repeats of stored clicks."""
    written, repeats = Counter[str](), Counter[str]()
    own_load = target.night.day
    for day in days_of(clicks):
        of_this_day = of_day(clicks, day)
        pieces = pieces_of(day, target.storage, target.settings)
        stored = [piece for piece in pieces if piece.load.path != Night.clicks(own_load)]
        with opened(stored, target.storage) as files:
            if files:
                repeated = already_stored(of_this_day, read_parquet(engine, files))
                repeats += count_duplicates(repeated)
                of_this_day = of_this_day.anti_join(repeated, [FILE, ROW])
            if has_rows(of_this_day):
                rows = write_parts(of_this_day.select(COLUMNS), target.folder / click_folder(day, own_load))
                written[LATE if day < own_load else EARLY] += rows
    return written, repeats


def _unlisted(engine: BaseBackend, read: ReadLog, target: _Target) -> tuple[int, list[str]]:
    """Accepted clicks on products that the day's catalogue does not list, and files that have hardly any other."""
    try:
        _, catalogue = catalogue_of(target.night, target.storage)
    except NotReady:
        return 0, []
    files = [
        file for part in (OWN, "late", "early") for file in sorted((target.folder / part).glob("**/part-*.parquet"))
    ]
    with target.storage.open(catalogue) as listed:
        products = read_parquet(engine, [listed / "products.parquet"])
        clicks = read_parquet(engine, files)
        unlisted = count_unlisted(clicks, products)
        if not may_be_a_whole_file(unlisted, count_rows(clicks), read.raw, target.settings):
            return unlisted, []
        return unlisted, files_of_other_ids(read, products, target.settings)


def _exceeds_quarantined_share(load: Load, settings: Settings) -> bool:
    no_dirt = Counter({count.rule: count.row_count for count in load.rules if count.rule in (ERASED_USER, OTHER_EVENT)})
    judged = load.rows_read - no_dirt[OTHER_EVENT]
    return not load.accepted or load.quarantined - no_dirt.total() > settings.max_quarantined_share * judged


def _rejected(load: Load, storage: Storage, folder: Path, settings: Settings, why: str) -> BadInput:
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
    return BadInput(f"{why}; what was loaded before still stands")


def _too_many_refused(load: Load, settings: Settings) -> str:
    rules = ", ".join(f"{count.rule} {count.row_count:,}" for count in load.rules if count.outcome == "quarantined")
    quarantine = f"{Night.rejected(load.day)}/{QUARANTINE}"
    return (
        f"at most {settings.max_quarantined_share:.0%} of the rows of {load.day} may be refused, and one must be good, "
        f"got {load.quarantined:,} of {load.rows_read:,} refused ({rules}): see {quarantine}, correct the log and "
        f"deliver it again, or set MAX_QUARANTINED_SHARE higher{_zone_hint(load, settings)}"
    )


def _other_ids(load: Load, faults: Sequence[str], settings: Settings) -> str:
    return (
        f"at most {settings.max_unlisted_share:.0%} of the clicks in a file of {load.day} may be on products that the "
        f"catalogue does not list, got {'; '.join(faults)}: write ids alike on both sides (docs/ingest.md, Ids), name "
        "the column that has them in LOG_FORMAT, or where the catalogue only lags behind, deliver it first or set "
        "MAX_UNLISTED_SHARE=1"
    )


def _zone_hint(load: Load, settings: Settings) -> str:
    """What to set where a folder goes on for long after its day has ended in UTC; "" where it does not."""
    after = sum(count.row_count for count in load.rules if count.rule in (EARLY, AFTER_ITS_DAY))
    if settings.log_time_zone is not None or after <= CUT_ELSEWHERE * load.rows_read:
        return ""
    return (
        f"; {after:,} of the {load.rows_read:,} rows in the folder of {load.day} are after that day in UTC: if folders "
        "are cut at local midnight, set LOG_TIME_ZONE to the zone, such as America/Los_Angeles"
    )


def _warn_of_another_zone(load: Load, settings: Settings) -> None:
    if hint := _zone_hint(load, settings):
        log.warning("LOG_TIME_ZONE is not set%s", hint)
