"""Simple rankings of a log too short to choose one from, by their power of popularity, judged on the days after it."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer

from benchmarks.judge import Judge, K
from benchmarks.ranking import cooccurrence_of
from eclare.arrays.tfidf import Vocabulary
from eclare.model.data import Texts
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import train
from eclare.ranker import Ranker
from eclare.related.backtest import FIXED_WEIGHTS, NOTHING_KNOWN, POPULARITY
from eclare.related.features import NAMES
from eclare.related.like_titles import like_titles
from eclare.related.ranking import rank
from eclare.related.snapshot import Snapshot
from tasks.model_config import NIGHT
from tasks.settings import Settings
from tasks.training import learning_of

POWERS = (-1.0, -0.5, 0.0, 0.3, 0.5, 1.0)
METRICS = ("P", "nDCG", "lift")


def main(
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    days: Annotated[int, typer.Option(help="Days of the log before the cut")] = 1,
    judged_days: Annotated[int, typer.Option(help="Days after the cut that are judged on")] = 45,
) -> None:
    """Prints one JSON line: P@10, nDCG@10 and lift@10, in percent, of every power.

    They are of the bare ranking: no list's rules take part. A product is judged as by benchmarks.next_days.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    start, middle = pd.Timestamp(cut) - pd.Timedelta(days=days), pd.Timestamp(cut)
    end = middle + pd.Timedelta(days=judged_days)
    rows = rows[rows["event_time"] < end].sort_values("event_time", kind="stable")
    titles = rows.groupby("product_id")["title"].first().fillna("").sort_index()
    in_days = rows[rows["event_time"] >= start]
    judge = Judge(in_days, middle, titles.index)
    settings = Settings(_env_file=None, goal="basket")
    known = cooccurrence_of(in_days[in_days["event_time"] < middle], titles.index, settings)
    titles_PV = Vocabulary.of(titles.tolist()).features(titles.tolist())
    targets = learning_of(settings, NIGHT).targets(known)
    texts = Texts.of(titles_PV, titles_PV, build_label_graph(targets, NIGHT))
    model, everything = train(targets, texts, NIGHT, torch.device("cpu")), np.ones(len(titles), bool)
    snapshot = Snapshot(known, titles_PV, like_titles(titles_PV, known.paired()), model, everything)
    figures: dict[str, object] = {}
    for power in POWERS:
        weights = FIXED_WEIGHTS["basket"] | {POPULARITY: -power}
        ranker = Ranker.linear(NAMES, weights, NOTHING_KNOWN)
        metrics = judge.metrics(rank(snapshot, ranker, judge.queries, K).labels_QK)
        figures[str(power)] = {name: round(100 * metrics[name].value, 1) for name in METRICS}
    print(json.dumps({"queries": len(judge.queries), "metrics_at_10": figures}))


if __name__ == "__main__":
    typer.run(main)
