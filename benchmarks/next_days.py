"""Related products as the night before a day recommends them, to be judged on the log after it."""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import ibis
import numpy as np
import pandas as pd
import typer

from benchmarks.processes import own_environment, own_server
from eclare.arrays.topk import PAD
from eclare.related.recommendations import Recommendations
from local.click_log import write_days
from tasks.night import Night
from tasks.run import run
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

TO_RECOMMEND = ("build_interactions", "build_label_graph", "train_model", "recommend_products")  # what lists depend on


def main(
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    out: Annotated[Path, typer.Option(help="Parquet: product_id, related_product_id, rank (1 is best)")],
    window_days: Annotated[int, typer.Option(help="WINDOW_DAYS: days that the night looks back on")] = 90,
) -> None:
    """Run the steps of the last night before the cut, with a night's settings, on the click log of its window.

    Ends with one line of JSON: night, seconds, seconds of the steps after ingest, products, rows. Sessions are read
    before the cut only. Of products that first appear later, id and first title are read, as a catalogue would have
    them on the day they are listed; nothing else of the days after the cut is used.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    with tempfile.TemporaryDirectory() as scratch, own_server(Path(scratch)) as url:
        environment = own_environment(Path(scratch), DATABASE_URL=url, WINDOW_DAYS=window_days)
        os.environ.clear()  # no setting of ours takes part
        os.environ.update(environment)
        settings = Settings(_env_file=None)
        start = time.perf_counter()
        night, days = deliver(rows, pd.Timestamp(cut), settings)
        ingest(night, days, settings)
        ingested = time.perf_counter()
        for step in TO_RECOMMEND:
            run(step, str(night), settings)
        end = time.perf_counter()
        related = recommended(night, settings)
    related.to_parquet(out, index=False)
    figures = {"night": str(night), "seconds": round(end - start, 1), "without_ingest": round(end - ingested, 1)}
    print(json.dumps(figures | {"products": related["product_id"].nunique(), "rows": len(related)}))


def deliver(rows: pd.DataFrame, cut: pd.Timestamp, settings: Settings) -> tuple[Night, Sequence[date]]:
    """Write click log and catalogue; returns the night of the last day before the cut, and the days that have a log."""
    before = rows[rows["event_time"] < cut]
    night = Night.of(before["event_time"].max().date(), settings)
    clicks = ibis.memtable(before[["event_time", "session_id", "product_id"]].assign(event_type="purchase"))
    clicks = clicks.mutate(event_time=clicks["event_time"].cast("timestamp(6)"))
    write_days(clicks, Path(settings.click_log_url), night.window[0], night.day)
    titles = catalogue_on(rows, cut)
    titles.rename("title").reset_index().to_parquet(settings.catalogue_url, index=False)
    days = set(before["event_time"].dt.date)
    return night, [day for day in night.window if day in days]


def catalogue_on(rows: pd.DataFrame, cut: pd.Timestamp) -> pd.Series:
    """Title by product id: the last one before the cut, or the first one of a product that is new after it."""
    rows = rows.sort_values("event_time", kind="stable")
    before = rows.event_time < cut
    known, new = rows[before].groupby("product_id").title.last(), rows[~before].groupby("product_id").title.first()
    return known.combine_first(new).fillna("").sort_index()


def ingest(night: Night, days: Sequence[date], settings: Settings) -> None:
    """The catalogue of the night, and the clicks of every day."""
    run("ingest_catalogue", str(night), settings)
    for day in days:
        for step in ("ingest_clicks", "aggregate_clicks"):
            run(step, str(day), settings)


def recommended(night: Night, settings: Settings) -> pd.DataFrame:
    """What recommend_products wrote: product_id, related_product_id, rank."""
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(night.artefact("recommendations"))) as folder:
        made = Recommendations.load(folder)
    product, place = np.nonzero(made.labels_NK != PAD)
    related = made.label_ids_L[made.labels_NK[product, place]]
    return pd.DataFrame({"product_id": made.point_ids_N[product], "related_product_id": related, "rank": place + 1})


if __name__ == "__main__":
    typer.run(main)
