"""Related products as the night before a day recommends them, judged on the log after it beside simple rivals."""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import ibis
import numpy as np
import pandas as pd
import typer

from benchmarks.judge import Judge
from benchmarks.processes import own_environment, own_server
from eclare.arrays.topk import PAD
from eclare.related.recommendations import Recommendations
from local.click_log import write_days
from tasks.night import Night
from tasks.run import run
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

TO_RECOMMEND = ("build_interactions", "build_label_graph", "train_model", "recommend_products")  # what lists depend on
OURS = "the night"
OF_THE_BENCHMARK = {"goal", "window_days", "database_url", "state_folder", "storage_url", "click_log_url"}
OF_THE_BENCHMARK |= {"catalogue_url", "log_format"}


def main(
    *,
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    out: Annotated[Path, typer.Option(help="Parquet: product_id, related_product_id, rank (1 is best)")],
    goal: Annotated[Literal["related", "basket"], typer.Option(help="GOAL: what lists aim at")] = "related",
    window_days: Annotated[
        int | None, typer.Option(help="WINDOW_DAYS, a shop's setting; default: the whole log before the cut", min=2)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A further setting of the night; repeatable")
    ] = None,
) -> None:
    """Run the steps of the last night before the cut, with a night's settings, on the click log of its window.

    Ends with one line of JSON: night, settings that were given, seconds, seconds of the steps after ingest, products,
    rows; then metrics at 10 of the night and of simple rivals, in percent, each a list of the value and the two ends of
    its 95% interval, and the ratio of the night's to the best rival's. The night reads sessions before the cut only. Of
    products that first appear later, id and first title are read, as a catalogue would have them on the day they are
    listed; nothing else of the days after the cut is used but to judge.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    middle, judge = judge_at(rows, cut)
    # A log given here is clean, whatever share of a day its largest sessions are.
    set_by_us = {
        "MAX_QUARANTINED_SHARE": "1",
        "GOAL": goal,
        "WINDOW_DAYS": str(window_days or days_before(rows, middle)),
    } | settings_of(set_ or [])
    with tempfile.TemporaryDirectory() as scratch, own_server(Path(scratch)) as url:
        environment = own_environment(Path(scratch), DATABASE_URL=url, **set_by_us)
        os.environ.clear()  # no setting of ours takes part
        os.environ.update(environment)
        settings = Settings(_env_file=None)
        start = time.perf_counter()
        night, days = deliver(rows, middle, settings)
        ingest(night, days, settings)
        ingested = time.perf_counter()
        for step in TO_RECOMMEND:
            run(step, str(night), settings)
        end = time.perf_counter()
        related = recommended(night, settings)
    related.to_parquet(out, index=False)
    figures: dict[str, object] = {"night": str(night), "settings": set_by_us}
    figures |= {"seconds": round(end - start, 1), "without_ingest": round(end - ingested, 1)}
    figures |= {"products": related["product_id"].nunique(), "rows": len(related)}
    print(json.dumps(figures | judge.figures({OURS: judge.lists_of(related)} | judge.rivals(), OURS)))


def judge_at(rows: pd.DataFrame, cut: str) -> tuple[pd.Timestamp, Judge]:
    """The cut, and who judges on the log after it; raises typer.BadParameter for a cut that cannot be."""
    try:
        middle = pd.Timestamp(cut)
        if not (rows["event_time"] < middle).any():
            raise ValueError(f"the log must have events before {middle.date()}, got none: take a later cut")
        return middle, Judge(rows, middle)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--cut") from error


def days_before(rows: pd.DataFrame, cut: pd.Timestamp) -> int:
    """The days of the log before the cut, from its first to its last; 2 at least, as a night needs."""
    days = rows["event_time"][rows["event_time"] < cut].dt.normalize()
    return max(2, int((days.max() - days.min()) / pd.Timedelta(days=1)) + 1)


def settings_of(pairs: Sequence[str]) -> dict[str, str]:
    """The settings of NAME=VALUE pairs; raises typer.BadParameter for what is no setting of a night's."""
    found = dict[str, str]()
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name.lower() not in set(Settings.model_fields) - OF_THE_BENCHMARK:
            raise typer.BadParameter(
                f"give a setting of tasks/settings.py as NAME=VALUE, none that the benchmark sets itself "
                f"({', '.join(sorted(each.upper() for each in OF_THE_BENCHMARK))}), got {pair!r}",
                param_hint="--set",
            )
        found[name.upper()] = value
    return found


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
