"""The fixed weights of a log too short for a backtest, beside single features, judged on the days after it."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
import typer

from eclare.arrays.csr import CSRStack
from eclare.arrays.products import keep_heaviest, look_up
from eclare.arrays.tfidf import Vocabulary
from eclare.model.data import Texts
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import train
from eclare.ranker import Ranker
from eclare.related.backtest import FIXED_WEIGHTS, relevant_products
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import NAMES
from eclare.related.ranking import rank
from eclare.related.snapshot import Snapshot
from tasks.model_config import NIGHT
from tasks.settings import Settings

K, MOST_QUERIES = 10, 600
DISCOUNT = 1 / np.log2(np.arange(K) + 2)
WEIGHTS = {name: {name: 1.0} for name in FIXED_WEIGHTS} | {"fixed": FIXED_WEIGHTS}


def main(
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    days: Annotated[int, typer.Option(help="Days of the log before the cut")] = 1,
    judged_days: Annotated[int, typer.Option(help="Days after the cut that are judged on")] = 45,
) -> None:
    """Prints one JSON line: P@10 and nDCG@10, in percent, of every set of weights.

    A product is judged when 5 others share 2 or more sessions with it after the cut; the gain is that number.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    start, middle = pd.Timestamp(cut) - pd.Timedelta(days=days), pd.Timestamp(cut)
    end = middle + pd.Timedelta(days=judged_days)
    rows = rows[rows["event_time"] < end].sort_values("event_time", kind="stable")
    titles = rows.groupby("product_id")["title"].first().fillna("").sort_index()
    known, later = (_cooccurrence(rows, *between, titles.index) for between in ((start, middle), (middle, end)))
    relevance_PP = relevant_products(later)
    queries = np.flatnonzero(np.diff(relevance_PP.indptr) >= 5).astype(np.int32)
    queries = np.sort(np.random.default_rng(0).permutation(queries)[:MOST_QUERIES])
    snapshot = _snapshot(known, titles)
    figures = {}
    for name, weights in WEIGHTS.items():
        labels = rank(snapshot, Ranker.linear(NAMES, weights, {}), queries, K).labels_QK
        figures[name] = _metrics(relevance_PP, queries, labels)
    print(json.dumps({"queries": len(queries), "products": len(titles)} | figures))


def _cooccurrence(rows: pd.DataFrame, start: pd.Timestamp, end: pd.Timestamp, products: pd.Index) -> Cooccurrence:
    rows = rows[(rows["event_time"] >= start) & (rows["event_time"] < end)]
    rows = rows.drop_duplicates(["session_id", "product_id"])
    session = pd.factorize(rows["session_id"])[0]
    age_S = (end - rows["event_time"]).dt.days.groupby(session).min().to_numpy()
    product, ones = products.get_indexer(pd.Index(rows["product_id"])), np.ones(len(rows), np.float32)
    chosen_SP = sp.csr_matrix((ones, (session, product)), (len(age_S), len(products)))
    fits = np.diff(chosen_SP.indptr) <= Settings.model_fields["max_session_products"].default
    return Cooccurrence.of_sessions(chosen_SP[fits], age_S[fits])


def _snapshot(known: Cooccurrence, titles: pd.Series) -> Snapshot:
    titles_PV = Vocabulary.of(titles.tolist()).features(titles)
    clicks_PP = keep_heaviest(known.matrix(), Settings.model_fields["max_related"].default)
    texts = Texts.of(titles_PV, titles_PV, build_label_graph(clicks_PP, NIGHT))
    ensemble = train(clicks_PP, texts, NIGHT, torch.device("cpu"))
    return Snapshot(known, titles_PV, ensemble, np.ones(len(titles), bool))


def _metrics(relevance_PP: sp.csr_matrix, queries: np.ndarray, labels_QK: np.ndarray) -> dict[str, float]:
    stack = CSRStack(relevance_PP.indptr, relevance_PP.indices, relevance_PP.data[:, None])
    gain_QK = look_up(stack, queries, labels_QK)[..., 0]
    ndcg_Q = []
    for query, gain_K in zip(queries, gain_QK, strict=True):
        ideal = np.sort(relevance_PP[query].data)[::-1][:K]
        ndcg_Q.append((gain_K * DISCOUNT).sum() / (ideal * DISCOUNT[: len(ideal)]).sum())
    return {"P@10": round(100 * float((gain_QK > 0).mean()), 1), "nDCG@10": round(100 * float(np.mean(ndcg_Q)), 1)}


if __name__ == "__main__":
    typer.run(main)
