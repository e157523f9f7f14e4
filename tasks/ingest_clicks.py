"""Step 1: the raw log of one day becomes cleaned clicks, and every row left out has a reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import ibis
from ibis.backends.duckdb import Backend

from tasks.database import Load, open_database, record_load
from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.settings import Settings
from tasks.storage import Storage, hash_file
from tasks.tables import duckdb_engine, local_copies, materialise, place, read_table, suffix_of, write_parquet

REQUIRED = ("event_time", "session_id", "product_id")
COLUMNS = (*REQUIRED, "event_id", "user_id", "event_type", "source_product_id")
EVENT_TYPES = ("view", "add_to_cart", "purchase")
# DuckDB 1.5 lets a zone written as a name ("Europe/Berlin") leak into the rows after it: such times are refused.
OFFSET_TIME = r"^[-+:. 0-9T]+(Z| ?UTC)?$"


def ingest_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Clean the log of the night's own day into clicks/date=D and note the load in the ledger.

    Writes clicks.parquet and refused.parquet; rows read = accepted + refused + duplicates.
    Raises NotReady where the day has no folder, BadInput for an empty day, a file that cannot be read or a day
    without one good row; the day as it was loaded before then still stands.
    """
    open_database(settings)  # a database that is away must stop the step before the day is replaced
    storage, path = Storage(settings.storage_url), Night.clicks(night.day)
    with _log_files(night.day, settings) as files, duckdb_engine() as engine:
        loaded = [{"name": file.name, "bytes": file.stat().st_size, "sha256": hash_file(file)} for file in files]
        rows = materialise(engine, ibis.union(*(_judge(engine, file, night.day) for file in files)))
        read, reasons = _count(rows, night.day)
        with storage.write(path, sources={str(file["name"]): str(file["sha256"]) for file in loaded}) as (
            folder,
            counts,
        ):
            accepted = write_parquet(_without_duplicates(rows), folder / "clicks.parquet")
            refused = write_parquet(_refused(rows), folder / "refused.parquet")
            counts |= {"files": len(files), "rows_read": read, "accepted": accepted, "refused": refused}
            counts |= {"duplicates": read - accepted - refused} | reasons
    clicks = storage.read(path)
    record_load(
        Load(night.day, loaded, clicks.hash, read, accepted, refused, read - accepted - refused, reasons), settings
    )
    return counts


def days_with_a_folder(first: date, last: date, settings: Settings) -> list[date]:
    """The days from `first` to `last` that have a log folder, and always `last`, oldest first."""
    files, root = place(settings.click_log_url)
    names = {Path(path).name for path in files.ls(root, detail=False)} if files.isdir(root) else set()
    days = [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal())]
    return [*(day for day in days if f"date={day}" in names), last]


@contextmanager
def _log_files(day: date, settings: Settings) -> Iterator[list[Path]]:
    files, root = place(settings.click_log_url)
    folder = f"{root}/date={day}"
    if not files.isdir(folder):
        raise NotReady(
            f"the log of {day} has not arrived: no folder {folder}; deliver it, then run ingest_clicks again"
        )
    paths = sorted(files.ls(folder, detail=False))
    paths = [path for path in paths if not Path(path).name.startswith(("_", "."))]
    for path in paths:
        suffix_of(path)
    if not paths:
        raise _empty_day(day, f"{folder} holds no file")
    with local_copies(files, paths) as copies:
        yield copies


def _judge(engine: Backend, file: Path, day: date) -> ibis.Table:
    """The seven columns of each row, why it is refused (null: it is not), its file and, if refused, itself as JSON."""
    table = read_table(engine, file, REQUIRED)
    text = {name: table[name] if name in table.columns else ibis.null("string") for name in COLUMNS}
    event_time = _utc(text["event_time"])
    reason = ibis.cases(
        (text["session_id"].isnull(), "missing_session"),
        (text["product_id"].isnull(), "missing_product"),
        (event_time.isnull(), "bad_event_time"),
        (event_time.date() != day, "other_day"),
        (text["event_type"].notin(EVENT_TYPES), "unknown_event_type"),
    )
    row = ibis.struct({name: table[name] for name in table.columns}).cast("json").cast("string")
    return table.select(
        **text | {"event_time": event_time},
        reason=reason,
        file=ibis.literal(file.name),
        row=reason.notnull().ifelse(row, None),
    )


def _utc(text: ibis.Value) -> ibis.Value:
    """Times with an offset moved to UTC, times without one taken as UTC, anything else null."""
    readable = text.re_search(OFFSET_TIME).ifelse(text, None)
    return readable.try_cast("timestamp('UTC')").cast("timestamp")


def _count(rows: ibis.Table, day: date) -> tuple[int, dict[str, int]]:
    """The number of rows and of refused rows by reason; raises BadInput where no row can be accepted."""
    counted = rows.group_by("reason").agg(rows=rows.count()).order_by("reason").to_pyarrow().to_pylist()
    read = sum(count["rows"] for count in counted)
    refused = {count["reason"]: count["rows"] for count in counted if count["reason"]}
    if not read:
        raise _empty_day(day, "its files hold no row")
    if sum(refused.values()) == read:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in refused.items())
        raise BadInput(f"all {read:,} rows of {day} were refused ({reasons}): correct the log and deliver it again")
    return read, refused


def _empty_day(day: date, why: str) -> BadInput:
    return BadInput(f"empty day {day}: {why}; deliver its log, or leave the day out if nothing was clicked")


def _without_duplicates(rows: ibis.Table) -> ibis.Table:
    """Accepted rows, one of each event_id and, where there is none, one of each equal row."""
    rows = rows.filter(rows.reason.isnull()).select(COLUMNS).distinct()
    in_turn = ibis.row_number().over(group_by="event_id", order_by=COLUMNS)
    first = rows.filter(rows.event_id.notnull()).mutate(turn=in_turn).filter(ibis._.turn == 0).drop("turn")
    return rows.filter(rows.event_id.isnull()).union(first).order_by(COLUMNS)


def _refused(rows: ibis.Table) -> ibis.Table:
    return rows.filter(rows.reason.notnull()).select("reason", "file", "row").order_by("reason", "file", "row")
