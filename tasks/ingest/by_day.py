"""An export of many days, as a spreadsheet or a database leaves it, becomes the folders date=D/ that nights read."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import ibis
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.ingest.engine import duckdb_engine, materialise
from tasks.ingest.log_format import COLUMNS, LIST_COLUMNS, LogFormat
from tasks.ingest.order_level import count_from_order
from tasks.ingest.parsed_file import REST
from tasks.ingest.reading import RawLog, open_log, open_rows
from tasks.ingest.times import TIME_TEXT
from tasks.ingest.unreadable import SCHEMA as LINES
from tasks.settings import Settings

OLDEST_DAYS = 12_000  # before today that clocks of a zone are known of
UNREADABLE = "unreadable_lines.parquet"
EXAMPLES = 3


@dataclass(frozen=True)
class Divided:
    """What became of an export: rows of each day, rows whose time cannot be read, and lines that are no rows.

    from_order: rows that were given something of their order's first. Rows without a readable time lie in the last
    day's folder, whose ingest puts them into quarantine.
    """

    rows_of_day: dict[date, int]
    timeless: int
    unreadable: int
    from_order: int = 0

    @property
    def rows(self) -> int:
        """Rows that were written."""
        return sum(self.rows_of_day.values())


def divide_by_day(files: Sequence[Path], to: Path, log_format: LogFormat, settings: Settings) -> Divided:
    """Write the rows of some log files as `to`/date=D/NAME.parquet by their UTC day, with our names for columns.

    NAME is the first file's. The lines that are no rows go to `to`/unreadable_lines.parquet. What the folders hold
    needs no LOG_FORMAT. A second run replaces what the first wrote. Raises BadInput, naming the file, for one that the
    ingest would refuse, and where no row has a readable time.
    """
    name = files[0].name.partition(".")[0]
    with tempfile.TemporaryDirectory() as temporary, duckdb_engine(settings.memory_limit_gib) as engine:
        with open_export(files, log_format, Path(temporary, "export"), settings) as log:
            rows = open_rows(engine, log, log_format)
            days, timeless = _write_days(rows, log_format, Path(temporary, "days"))
            if not days:
                raise no_time(log, rows)
            unreadable, from_order = _write_unreadable(log, to), count_from_order(rows)
        _remove_former(to, name)
        for day in days:
            _put(Path(temporary, "days", f"date={day}"), to / f"date={day}", name)
    return Divided(days, timeless, unreadable, from_order)


def no_time(log: RawLog, rows: ibis.Table) -> BadInput:
    """What to raise for an export of which no row has a time that can be read."""
    written = rows.filter(rows[TIME_TEXT].notnull()).limit(EXAMPLES).to_pyarrow()[TIME_TEXT].to_pylist()
    shown = f", such as {', '.join(map(repr, written))}" if written else ""
    return BadInput(
        f"{log.names[0]} must have a time that can be read in one row at least, but has none in {log.rows_read:,}"
        f"{shown}: name the column, its time_unit or time_format in LOG_FORMAT"
    )


def lend(files: Sequence[Path], folder: Path) -> None:
    """Files at their own places below a folder of ours, without a copy where the disk allows."""
    root = os.path.commonpath([file.parent for file in files])
    for file in files:
        lent = folder / file.relative_to(root)
        lent.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), lent)
        except OSError:
            shutil.copyfile(file, lent)


@contextmanager
def open_export(files: Sequence[Path], log_format: LogFormat, scratch: Path, settings: Settings) -> Iterator[RawLog]:
    """Files that lie in no folder of a day, as a log; raises what `open_log` raises, of the files alone."""
    day = datetime.now(UTC).date() + timedelta(days=1)  # as if they were tomorrow's, and all rows late
    lend(files, scratch / f"date={day}")
    settings = settings.model_copy(update={"click_log_url": str(scratch), "lateness_days": OLDEST_DAYS})
    try:
        with open_log(day, log_format, settings) as log:
            yield log
    except BadInput as refusal:
        raise BadInput(str(refusal).replace(f"date={day}/", "").replace(f" {day}", "")) from refusal


def _write_days(rows: ibis.Table, log_format: LogFormat, to: Path) -> tuple[dict[date, int], int]:
    """The rows as files below date=D/; rows of each day, and how many have no readable time."""
    engine = rows.get_backend()
    time = ibis.coalesce(rows.event_time.cast("string"), rows[TIME_TEXT])
    session = ibis.null("string") if log_format.sessions_are_users else rows.session_id
    texts = {name: rows[name] for name in (*COLUMNS, *LIST_COLUMNS)} | {"event_time": time, "session_id": session}
    dated = materialise(rows.select(**texts, rest=rows[REST], date=rows.event_time.date()))
    counted = dated.group_by("date").agg(rows=ibis._.count()).to_pyarrow().to_pylist()
    days = {row["date"]: row["rows"] for row in sorted(counted, key=lambda row: str(row["date"])) if row["date"]}
    if not days:
        return {}, 0
    last, timeless = max(days), sum(row["rows"] for row in counted) - sum(days.values())
    days[last] += timeless
    engine.to_parquet(dated.mutate(date=dated.date.fill_null(last)), to, partition_by="date", compression="zstd")
    return days, timeless


def _write_unreadable(log: RawLog, to: Path) -> int:
    (to / UNREADABLE).unlink(missing_ok=True)
    count = sum(map(len, log.unreadable_of.values()))
    if not count:
        return 0
    to.mkdir(parents=True, exist_ok=True)
    schema = LINES.insert(0, pa.field("file", pa.string()))
    with pq.ParquetWriter(to / UNREADABLE, schema) as writer:
        for number, lines in log.unreadable():
            columns = list(zip(*lines, strict=True))
            writer.write_batch(pa.record_batch([[log.names[number]] * len(lines), *map(list, columns)], schema=schema))
    return count


def _remove_former(to: Path, name: str) -> None:
    """Files of an earlier run of this name, on whatever days, and folders of days that held nothing else."""
    for former in list(to.glob("date=*/*.parquet")):
        if former.name.partition(".")[0] == name:
            former.unlink()
            with suppress(OSError):  # others lie there
                former.parent.rmdir()


def _put(parts: Path, folder: Path, name: str) -> None:
    """The files of a day into its folder; a name holds no dot, so what stands behind one is none of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(sorted(parts.iterdir())):
        shutil.move(part, folder / (f"{name}.{number}.parquet" if number else f"{name}.parquet"))
