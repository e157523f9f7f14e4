"""A window of 90 days of aggregates a hundred times those of a shop, added up by build_interactions in one process."""

import json
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from tqdm import tqdm

from benchmarks.processes import Cost, cost_of, own_environment, own_server
from tasks.ingest.clicks import OWN, Piece
from tasks.ingest.cooccurrence import pairing
from tasks.ingest.counted import FOLLOWED, TOGETHER
from tasks.ingest.log_format import EVENT_TYPES
from tasks.night import Night
from tasks.settings import ROOT, Settings
from tasks.stores.artefacts import Storage

console = Console(stderr=True)

LOG = ROOT.parent / "shared" / "data" / "online_retail" / "transactions.parquet"
NIGHT, DAYS = date(2011, 11, 29), 90
SETTINGS = Settings(_env_file=None)
PURCHASE = EVENT_TYPES.index("purchase")

# What no way of adding up can do without: every column of every file is read.
READ = "import sys, pyarrow.parquet as pq\nfor file in sys.argv[1:]: pq.read_table(file)"

Rows = npt.NDArray[np.int64]


class BaseDay(NamedTuple):
    """A day of the log: products with their sessions, the pairs of sessions that are not too large, and its lines."""

    day: date
    products: Rows
    sessions: Rows
    one: Rows
    other: Rows
    together: Rows
    counts: dict[str, int]
    lines: pd.DataFrame


class Made(NamedTuple):
    """What was made: unordered pairs by day, different ones, days with clicks, and the files they are in."""

    pair_rows: int
    distinct_pairs: int
    days: int
    files: list[Path]


def main(
    times: Annotated[int, typer.Option(help="copies of the log, each with products of its own", min=1)] = 100,
    log: Annotated[Path, typer.Option(help="Online Retail's transactions.parquet")] = LOG,
) -> None:
    """Make the aggregates of 90 days of a wholesaler, so many times as large, and run build_interactions on them.

    Prints one JSON line. ratio_to_reading: its seconds over those of a process that reads the same files with pyarrow.
    """
    if not log.exists():
        console.print(f"there is no log at {log}: give Online Retail's transactions.parquet by --log; nothing measured")
        raise typer.Exit
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = _make(log, times, Storage(str(folder / "storage")))
        with own_server(folder) as url:
            environment = own_environment(folder, DATABASE_URL=url)
            cost = cost_of(["-m", "tasks", "build_interactions", "--night", str(NIGHT)], environment)
            cost_of(["-c", READ, *map(str, made.files)], environment)  # now the files are in memory for both
            reading = cost_of(["-c", READ, *map(str, made.files)], environment)
        written = sum(f.stat().st_size for f in (folder / "storage" / "nights").rglob("*") if f.is_file())
    _report(times, made, cost, reading, written)


def _report(times: int, made: Made, cost: Cost, reading: Cost, written: int) -> None:
    print(json.dumps({
        "times": times, "seconds": round(cost.seconds, 1), "peak_gib": round(cost.peak_gib, 2),
        "pair_rows": made.pair_rows, "distinct_pairs": made.distinct_pairs, "days": made.days,
        "written_gib": round(written / 2**30, 2), "reading_seconds": round(reading.seconds, 2),
        "ratio_to_reading": round(cost.seconds / reading.seconds, 1),
    }))  # fmt: skip


def _make(log: Path, times: int, storage: Storage) -> Made:
    lines = _lines(log)
    products = int(lines["product"].max()) + 1
    rows = np.random.default_rng(0).permutation(products * times)  # ids say nothing of which products go together
    _write_catalogue(len(rows), storage)
    pair_rows, files = 0, []
    days = list(_base_days(lines))
    for base in tqdm(days, "making aggregates", unit="day"):
        pair_rows += _write_day(base, rows.reshape(products, times), storage)
        files += sorted(Path(storage.root, Night.aggregate(base.day)).glob("*.parquet"))
    distinct = np.unique(np.concatenate([base.one * products + base.other for base in days]))
    return Made(pair_rows, len(distinct) * times, len(days), files)


def _lines(log: Path) -> pd.DataFrame:
    """One line a day, session and product of the window, products as numbers."""
    first = pd.Timestamp(NIGHT - timedelta(days=DAYS - 1))
    read = pd.read_parquet(log, columns=["event_time", "session_id", "product_id"])
    read = read[(read["event_time"] >= first) & (read["event_time"] < pd.Timestamp(NIGHT) + pd.Timedelta(days=1))]
    day, session, product = read["event_time"].dt.date, read["session_id"], pd.factorize(read["product_id"])[0]
    return pd.DataFrame({"day": day, "session": session, "product": product}).drop_duplicates()


def _base_days(lines: pd.DataFrame) -> Iterator[BaseDay]:
    for day in sorted(set(lines["day"])):
        of_day = lines[lines["day"] == day]
        products = np.unique(of_day["product"].to_numpy())
        baskets = [np.sort(basket.to_numpy()) for _, basket in of_day.groupby("session")["product"]]
        fits = [basket for basket in baskets if len(basket) <= SETTINGS.max_session_products]
        pairs = np.concatenate(
            [np.stack(np.triu_indices(0)), *(b[np.stack(np.triu_indices(len(b), 1))] for b in fits)], 1
        )
        held = np.concatenate([np.empty(0, products.dtype), *fits])
        sessions = np.bincount(np.searchsorted(products, held), minlength=len(products))
        (one, other), together = np.unique(pairs, axis=1, return_counts=True)
        counts = {"sessions": len(fits), "too_large_sessions": len(baskets) - len(fits)}
        yield BaseDay(day, products, sessions, one, other, together, counts, of_day)


def _write_day(base: BaseDay, rows_PC: Rows, storage: Storage) -> int:
    """Write every copy of a day, products numbered by their catalogue row; returns the pairs."""
    times = rows_PC.shape[1]
    of_day = rows_PC[base.products].ravel()
    order = np.argsort(of_day)
    row_of = np.zeros(rows_PC.size, np.int64)
    row_of[of_day[order]] = np.arange(len(of_day))
    one, other = row_of[rows_PC[base.one].ravel()], row_of[rows_PC[base.other].ravel()]
    key = np.minimum(one, other) * len(of_day) + np.maximum(one, other)
    sorted_ = np.argsort(key)
    one, other = np.divmod(key[sorted_], len(of_day))
    together = (one, other, np.full(len(one), PURCHASE), np.repeat(base.together, times)[sorted_])
    sources = {"pairing": pairing(SETTINGS)} | _write_clicks(base, rows_PC, storage)
    with storage.write(Night.aggregate(base.day), sources=sources) as (folder, counts):
        products = {
            "product_id": _ids(of_day[order]),
            "sessions": np.repeat(base.sessions, times)[order].astype(np.int32),
        }
        pq.write_table(pa.table(products), folder / "products.parquet")
        for name, schema, columns in (("together", TOGETHER, together), ("followed", FOLLOWED, [[]] * 4)):
            table = pa.table(
                [pa.array(column).cast(kind) for column, kind in zip(columns, schema.types, strict=True)], schema=schema
            )
            plain = schema.names[1]  # written as aggregate_clicks does
            listed = [column for column in schema.names if column != plain]
            pq.write_table(table, folder / f"{name}.parquet", compression="lz4", use_dictionary=listed)
        counts |= {name: count * times for name, count in base.counts.items()}
        counts |= {"products": len(of_day), "pairs": len(one)}
    return len(one)


def _write_clicks(base: BaseDay, rows_PC: Rows, storage: Storage) -> dict[str, str]:
    """Write every copy of a held-out day's clicks, which are counted again; returns their name and hash."""
    if (NIGHT - base.day).days >= SETTINGS.held_out_days:
        return {}
    times, products = rows_PC.shape[1], base.lines["product"].to_numpy()
    copy = np.tile(np.arange(times), len(products))
    sessions = base.lines["session"].astype(str).repeat(times).reset_index(drop=True) + pd.Series(copy.astype(str))
    at = pa.array(np.full(len(copy), np.datetime64(base.day, "us")))
    clicks = {"event_time": at, "session_id": sessions, "product_id": _ids(rows_PC[products].ravel())}
    nothing = pa.nulls(len(copy), pa.string())
    table = pa.table(clicks | {"event_type": ["purchase"] * len(copy), "source_product_id": nothing})
    with storage.write(Night.clicks(base.day)) as (folder, _):
        (folder / OWN).mkdir()
        pq.write_table(table, folder / OWN / "part-0.parquet")
    piece = Piece(storage.read(Night.clicks(base.day)), OWN)
    return {piece.name: piece.hash}


def _write_catalogue(products: int, storage: Storage) -> None:
    ids = _ids(np.arange(products))
    texts, flags = pa.nulls(products, pa.string()), np.ones(products, bool)
    table = {"product_id": ids, "title": ids, "category": texts, "brand": texts, "in_stock": flags, "blocked": ~flags}
    with storage.write(Night.catalogue(NIGHT)) as (folder, _):
        pq.write_table(pa.table(table), folder / "products.parquet")
        refused = {"product_id": pa.array([], pa.string()), "reason": pa.array([], pa.string())}
        pq.write_table(pa.table(refused), folder / "refused_products.parquet")


def _ids(rows: Rows) -> list[str]:
    return [f"{row:09d}" for row in rows.tolist()]


if __name__ == "__main__":
    typer.run(main)
