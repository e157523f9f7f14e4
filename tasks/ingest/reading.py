"""The files of one day's log: fetched, hashed, watched while they are read, and opened as one table of text."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends import BaseBackend

from tasks.errors import BadInput, NotReady
from tasks.ingest.conversion import Readable
from tasks.ingest.engine import ENGINE_REFUSAL, FILE, ROW, Step, materialise, named, open_parquet
from tasks.ingest.fetched import FetchedFile, fetch, read_each, watched
from tasks.ingest.folder_day import days_of_clicks
from tasks.ingest.input_files import DEPTH, MAX_TEXT_BYTES, Bounds, as_text, check_inside, delivered_files, shortened
from tasks.ingest.kinds import PARQUET
from tasks.ingest.log_format import LogFormat
from tasks.ingest.order_level import with_order_level
from tasks.ingest.parsed_file import LINE, REST
from tasks.ingest.times import DELIVERED, TIME_TEXT, UTC_CLOCKS, LocalTime, with_times
from tasks.ingest.unreadable import Unreadable, UnreadableLines
from tasks.settings import Settings
from tasks.stores.artefacts import dated_folders
from tasks.stores.filesystems import open_filesystem

FEW_ROWS = 1 << 12  # of a log: sooner computed, and kept, than planned once more for each use
FEW = 16  # columns beside ours that may each hold MAX_TEXT_BYTES; of more, each may hold less


@dataclass(frozen=True)
class RawLog:
    """The log of a day as Parquet files, and its lines that are no rows.

    days: the first and the last that its clicks may be of. readable: by the number of the file, which is the name of
    its Parquet file, too; without files that have no row. unreadable_of: lines by file number.
    """

    days: tuple[date, date]
    files: Sequence[FetchedFile]
    readable: dict[int, Readable]
    unreadable_of: dict[int, UnreadableLines]

    @property
    def rows_read(self) -> int:
        """Rows and lines that should have been rows."""
        return sum(file.rows for file in self.readable.values()) + sum(map(len, self.unreadable_of.values()))

    def unreadable(self) -> Iterator[tuple[int, Sequence[Unreadable]]]:
        """The lines that are no rows, some of one file at a time, with the number of the file."""
        for number, lines in self.unreadable_of.items():
            for some in lines.batches():
                yield number, some

    @property
    def names(self) -> list[str]:
        """The delivered names, by file number."""
        return [file.name for file in self.files]

    def described(self) -> list[dict[str, object]]:
        """Name, bytes and SHA-256 of each file."""
        return [{"name": file.name, "bytes": file.local.stat().st_size, "sha256": file.hash} for file in self.files]


def delivered_days(settings: Settings) -> list[date]:
    """The days that have a log folder, oldest first; raises what `open_filesystem` raises."""
    return sorted(dated_folders(*open_filesystem(settings.click_log_url)))


def days_with_a_folder(first: date, last: date, settings: Settings) -> list[date]:
    """The days from `first` to `last` that have a log folder, and always `last`, oldest first."""
    return [*(day for day in delivered_days(settings) if first <= day < last), last]


@contextmanager
def open_log(day: date, log_format: LogFormat, settings: Settings) -> Iterator[RawLog]:
    """The log of a day, text files already read line by line; everything goes on leaving.

    Raises NotReady where the day has no folder or a file changed while it was read, BadInput for a day without a file,
    for a folder that leads out of CLICK_LOG_URL and for a file, named, that leads out of the folder, has no known
    suffix, cannot be read, lacks a column or exceeds a bound.
    """
    source, root = open_filesystem(settings.click_log_url)
    folder = f"{root}/date={day}"
    if not source.isdir(folder):
        raise NotReady(
            f"the log of {day} has not arrived: no folder {folder}; deliver it, then run ingest_clicks again"
        )
    check_inside(source, folder, root)
    with tempfile.TemporaryDirectory() as scratch:
        files = fetch(source, delivered_files(source, folder, folder, DEPTH), folder, Path(scratch))
        if not files:
            raise empty_day(day, f"{folder} holds no file")
        try:
            with watched(source, files, f"date={day}/"):
                yield _read(files, day, log_format, Path(scratch), settings)
        except BadInput as refusal:
            raise _name_delivered_file(refusal, files, day) from refusal


def _name_delivered_file(refusal: BadInput, files: Sequence[FetchedFile], day: date) -> BadInput:
    """The refusal of an engine, which names 00003.parquet or no file, with the name of the delivered file."""
    if not str(refusal).startswith(ENGINE_REFUSAL):
        return refusal
    numbered = re.search(r"/(\d{5})\.parquet", str(refusal))
    corrupt = files[int(numbered[1])] if numbered else next(filter(_is_corrupt, files), None)
    name = f"date={day}/{corrupt.name}" if corrupt else f"one of {', '.join(file.name for file in files)} of date={day}"
    return BadInput(f"{name} does not read as .parquet: {refusal}; write the file again")


def _is_corrupt(file: FetchedFile) -> bool:
    if file.kind.form != PARQUET:
        return False
    texts = [field.name for field in pq.read_schema(file.local) if pa.types.is_string(field.type)]
    try:
        # As a dictionary, a long text that every row repeats is in memory once.
        for _ in pq.ParquetFile(file.local, read_dictionary=texts).iter_batches():
            pass
    except (pa.ArrowException, OSError):
        return True
    return False


def empty_day(day: date, why: str) -> BadInput:
    """What to raise for a day without a row."""
    return BadInput(f"empty day {day}: {why}; deliver its log, or leave the day out if nothing was clicked")


def open_rows(engine: BaseBackend, log: RawLog, log_format: LogFormat) -> ibis.Table:
    """Every row of the log: our columns as text (blank: null), event_time as UTC, the other columns as one text.

    What a row leaves blank of LOG_FORMAT's order_level is that of its order (`with_order_level`).
    Columns: event_time (null where it cannot be read), time_text as it was written, the others of COLUMNS and
    LIST_COLUMNS, rest, file_number, row_number (each row's own, from 1) and line (where the row is in its file: several
    rows have one where they are items of one record).
    """
    alike: dict[object, list[Readable]] = {}
    for file in log.readable.values():
        schema = str(pq.read_schema(file.parquet).remove_metadata())
        alike.setdefault((schema, file.is_converted, file.numbers, file.is_utc), []).append(file)
    clocks = LocalTime.of(log_format.time_zone, *log.days)
    step = materialise if engine.name == "duckdb" and log.rows_read <= FEW_ROWS else named
    tables = [
        _as_text(open_parquet(engine, [file.parquet for file in files]), files[0], clocks, log_format, step)
        for files in alike.values()
    ]
    rows = ibis.union(*tables) if len(tables) > 1 else tables[0]
    rows = step(rows.mutate(as_text(shortened(rows[REST])).name(REST)))
    if engine.name != "duckdb":
        rows = materialise(rows)  # Spark would plan and compute a time for each use
    return with_order_level(rows, log_format.order_level)


def _read(files: Sequence[FetchedFile], day: date, log_format: LogFormat, scratch: Path, settings: Settings) -> RawLog:
    days = days_of_clicks(day, settings)
    found = dict(enumerate(read_each(files, log_format, Bounds.of(settings), scratch, f"date={day}/")))
    unreadable = {number: file.unreadable for number, file in found.items() if file.unreadable}
    log = RawLog((days[0], days[-1]), files, {number: file for number, file in found.items() if file.rows}, unreadable)
    if not log.rows_read:
        raise empty_day(day, "its files hold no row")
    return log


def _as_text(rows: ibis.Table, file: Readable, clocks: LocalTime, log_format: LogFormat, step: Step) -> ibis.Table:
    names, text = file.columns(log_format), file.texts(rows, log_format, log_format.sources)
    if log_format.event_types:
        text["event_type"] = log_format.kind_of(text["event_type"])
    others = [name for name in rows.columns if name not in {*names.values(), FILE, ROW}]
    rest = rows[REST] if file.is_converted else _rest(rows, others)
    times = {TIME_TEXT: text.pop("event_time"), DELIVERED: rows[names["event_time"]]}
    selected = rows.select(**text | times | {REST: rest, FILE: rows[FILE], ROW: rows[ROW], LINE: file.lines(rows)})
    timed = with_times(step(selected), log_format, UTC_CLOCKS if file.is_utc else clocks, step)
    return timed.select(*log_format.sources, TIME_TEXT, REST, FILE, ROW, LINE)


def _rest(rows: ibis.Table, others: Sequence[str]) -> ibis.Value:
    """The other columns as name=value, those without a value left out."""
    plain = [name for name in sorted(others) if not (rows[name].type().is_nested() or rows[name].type().is_binary())]
    if not plain:
        return ibis.null("string")
    size = max(MAX_TEXT_BYTES * FEW // max(len(plain), FEW), 64)
    columns = {name: shortened(rows[name], size) if rows[name].type().is_string() else rows[name] for name in plain}
    texts = [ibis.literal(f"{name}=") + as_text(column) for name, column in columns.items()]
    return ibis.literal("; ").join(texts)
