"""Related products as the night before a day recommends them, judged on the log after it beside simple rivals."""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from operator import itemgetter
from pathlib import Path
from typing import Annotated, get_args

import ibis
import numpy as np
import pandas as pd
import typer
from tqdm import tqdm

from benchmarks.judge import Judge
from benchmarks.processes import enter, own_environment, own_server
from eclare.arrays.topk import PAD
from eclare.related.recommendations import Recommendations
from eclare.related.targets import Goal
from local.click_log import write_days
from tasks.night import Night
from tasks.run import run
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

# What lists depend on.
TO_RECOMMEND = ("build_interactions", "build_label_graph", "train_model", "rank_products", "recommend_products")
OURS = "the night"
GOALS: tuple[Goal, ...] = get_args(Goal)
FEWEST_DAYS = 10  # that a process of its own is worth: each looks back at the days before its own
OF_THE_BENCHMARK = {"goal", "window_days", "database_url", "state_folder", "storage_url", "click_log_url"}
OF_THE_BENCHMARK |= {"catalogue_url", "log_format"}


def main(
    *,
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[list[str], typer.Option(help="First day that is not read, YYYY-MM-DD; repeatable")],
    out: Annotated[
        Path, typer.Option(help="Parquet: product_id, related_product_id, rank (1 is best); may name {cut} and {goal}")
    ],
    goal: Annotated[
        list[str] | None,
        typer.Option(help="GOAL: what lists aim at; repeatable", metavar="|".join(GOALS), show_default=GOALS[0]),
    ] = None,
    window_days: Annotated[
        int | None, typer.Option(help="WINDOW_DAYS, a shop's setting; default: the whole log before the cut", min=2)
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A further setting of the night; repeatable")
    ] = None,
) -> None:
    """Run the steps of the last night before each cut, with a night's settings, on the click log of its window.

    Prints one line of JSON a cut and goal: night, settings that were given, seconds (with the ingest of days that no
    earlier cut needed), seconds of the steps after ingest, products, rows; then metrics at 10 of the night and of
    simple rivals, in percent, each a list of the value and the two ends of its 95% interval, and the ratio of the
    night's to the best rival's. The night reads sessions before the cut only: those of later days are not delivered
    yet. Of products that first appear later, id and first title are read, as a catalogue would have them on the day
    they are listed; nothing else of the days after the cut is used but to judge.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    goals = list(dict.fromkeys(goal or GOALS[:1]))
    if unknown := set(goals) - set(GOALS):
        raise typer.BadParameter(f"must be {' or '.join(GOALS)}, got {', '.join(sorted(unknown))}", param_hint="--goal")
    judges = dict(judge_at(rows, each) for each in cut)
    files = files_of(out, list(judges), goals)
    # A log given here is clean, whatever share of a day its largest sessions are.
    given = {"MAX_QUARANTINED_SHARE": "1"} | settings_of(set_ or [])
    with tempfile.TemporaryDirectory() as scratch, own_server(Path(scratch)) as url:
        enter(own_environment(Path(scratch), DATABASE_URL=url, **given))
        since = rows["event_time"].min()
        for middle, judge in sorted(judges.items(), key=itemgetter(0)):
            set_by_us = {"WINDOW_DAYS": str(window_days or days_before(rows, middle))}
            start = time.perf_counter()
            night = deliver_and_ingest(rows, since, middle, settings_with(set_by_us))
            since, ingested, rivals = middle, time.perf_counter() - start, judge.rivals()
            for aim in goals:
                set_by_us["GOAL"] = aim
                start = time.perf_counter()
                related = recommended(night, settings_with(set_by_us))
                steps = time.perf_counter() - start
                related.to_parquet(files[middle, aim], index=False)
                figures: dict[str, object] = {
                    "cut": str(middle.date()), "night": str(night), "settings": given | set_by_us,
                    "seconds": round(ingested + steps, 1), "without_ingest": round(steps, 1),
                    "products": related["product_id"].nunique(), "rows": len(related),
                }  # fmt: skip
                compared = judge.figures({OURS: judge.lists_of(related)} | rivals, OURS)
                print(json.dumps(figures | compared), flush=True)


def files_of(out: Path, cuts: Sequence[pd.Timestamp], goals: Sequence[str]) -> dict[tuple[pd.Timestamp, str], Path]:
    """The file of each table.

    Raises typer.BadParameter for other fields than cut and goal, where two share a file, and for a folder that is not
    there: the tables take long to make.
    """
    try:
        files = {(cut, goal): Path(str(out).format(cut=cut.date(), goal=goal)) for cut in cuts for goal in goals}
    except (AttributeError, KeyError, IndexError, ValueError) as error:
        raise typer.BadParameter(f"may name {{cut}} and {{goal}}, got {out}", param_hint="--out") from error
    if len(set(files.values())) < len(files):
        raise typer.BadParameter(
            f"must be a file for each of {len(files)} tables: name {{cut}} and {{goal}} in it, got {out}",
            param_hint="--out",
        )
    if missing := {str(file.parent) for file in files.values() if not file.parent.is_dir()}:
        raise typer.BadParameter(
            f"must lie in a folder that exists, got {', '.join(sorted(missing))}: make it first", param_hint="--out"
        )
    return files


def settings_with(given: Mapping[str, str]) -> Settings:
    """The settings of this process's environment and these."""
    os.environ.update(given)
    return Settings(_env_file=None)


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


def deliver_and_ingest(rows: pd.DataFrame, since: pd.Timestamp, cut: pd.Timestamp, settings: Settings) -> Night:
    """Deliver the catalogue of the day before the cut and the clicks from `since` on, and ingest them; the night."""
    night = Night.of(rows["event_time"][rows["event_time"] < cut].max().date(), settings)
    titles = catalogue_on(rows, cut)
    titles.rename("title").reset_index().to_parquet(settings.catalogue_url, index=False)
    new = rows[(rows["event_time"] >= max(since, pd.Timestamp(night.window[0]))) & (rows["event_time"] < cut)]
    clicks = ibis.memtable(new[["event_time", "session_id", "product_id"]].assign(event_type="purchase"))
    clicks = clicks.mutate(event_time=clicks["event_time"].cast("timestamp(6)"))
    write_days(clicks, Path(settings.click_log_url), night.window[0], night.day)
    run("ingest_catalogue", str(night), settings)
    ingest(sorted({str(day) for day in new["event_time"].dt.date}))
    return night


def ingest(days: Sequence[str]) -> None:
    """Ingest days with the settings of this process's environment, a stretch of them in each of as many processes."""
    stretches = np.array_split(days, max(1, min(os.cpu_count() or 1, len(days) // FEWEST_DAYS)))
    with ProcessPoolExecutor(len(stretches), mp_context=get_context("spawn")) as executor:
        for made in [executor.submit(ingest_in_order, stretch.tolist()) for stretch in stretches]:
            made.result()


def ingest_in_order(days: Sequence[str]) -> None:
    """One day after the other, as the scheduler does it."""
    settings = Settings(_env_file=None)
    for day in tqdm(days, "ingest", unit="day", disable=None):
        for step in ("ingest_clicks", "aggregate_clicks"):
            run(step, day, settings)


def catalogue_on(rows: pd.DataFrame, cut: pd.Timestamp) -> pd.Series:
    """Title by product id: the last one before the cut, or the first one of a product that is new after it."""
    rows = rows.sort_values("event_time", kind="stable")
    before = rows.event_time < cut
    known, new = rows[before].groupby("product_id").title.last(), rows[~before].groupby("product_id").title.first()
    return known.combine_first(new).fillna("").sort_index()


def recommended(night: Night, settings: Settings) -> pd.DataFrame:
    """What recommend_products writes after the steps before it: product_id, related_product_id, rank."""
    for step in TO_RECOMMEND:
        run(step, str(night), settings)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(night.artefact("recommendations"))) as folder:
        made = Recommendations.load(folder)
    product, place = np.nonzero(made.labels_NK != PAD)
    related = made.label_ids_L[made.labels_NK[product, place]]
    return pd.DataFrame({"product_id": made.point_ids_N[product], "related_product_id": related, "rank": place + 1})


if __name__ == "__main__":
    typer.run(main)
