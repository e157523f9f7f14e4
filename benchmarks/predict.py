"""Milliseconds per title and recall against exact search, for a catalogue of any size."""

import json
import time
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.made_clicks import clicks, titles
from eclare.arrays.strings import strings
from eclare.arrays.tfidf import Vocabulary
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble, Member, Trained
from eclare.model.label_graph import build_label_graph
from eclare.model.network import ECLARE, Bags
from eclare.ranker import Ranker
from eclare.xc.candidates import SPARE
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import FEATURES
from eclare.xc.held_back import CANDIDATES
from eclare.xc.recommender import Recommender

TOP, BATCH, SINGLE = 100, 8192, 1000


def main(labels: Annotated[int, typer.Option(help="L")] = 131_073) -> None:
    """Ends with one line of JSON. The model is not trained: its weights do not change what a search costs."""
    made, label_titles = clicks(labels, labels, 5.15), titles(labels)
    config = ECLAREConfig(walk_length=40)
    vocabulary = Vocabulary.of(label_titles, word_pairs=True)
    features = vocabulary.features(label_titles)
    torch.manual_seed(0)
    graph = build_label_graph(made, config)
    model = ECLARE(features.shape[1], labels, config).eval()
    model.start_refinement(Bags.of(features, torch.device("cpu")), Bags.of(graph.edges_LL, torch.device("cpu")))
    ensemble = Ensemble([Member(Trained(model, Texts.of(features[:0], features, graph)))])
    ranker = Ranker(list(FEATURES), torch.zeros(len(FEATURES)), torch.ones(len(FEATURES)))
    co_clicks, ids = CoClickScores.of(made, features, features), strings(map(str, range(labels)))
    recommender = Recommender(RecommenderConfig(config), ensemble, co_clicks, ranker, vocabulary, ids, "")
    questions = titles(BATCH, seed=1)
    start = time.perf_counter()
    ensemble.quick_index  # noqa: B018 (built once a model)
    index_s = time.perf_counter() - start
    recommender.predict(questions[:10], TOP)  # compiles
    start = time.perf_counter()
    recommender.predict(questions, TOP)
    seconds = time.perf_counter() - start
    single = [_seconds_of(recommender, title) for title in questions[:SINGLE]]
    figures = {
        "ms_per_point": 1e3 * seconds / BATCH,
        "index_s": index_s,
        "recall_of_exact": _recall(recommender, TOP, max(CANDIDATES, 2 * TOP), questions),
        "recall_of_exact_single": _recall(recommender, 10, SPARE, questions),
        "p50_single_ms": 1e3 * float(np.percentile(single[10:], 50)),
        "p99_single_ms": 1e3 * float(np.percentile(single[10:], 99)),
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))


def _seconds_of(recommender: Recommender, title: str) -> float:
    start = time.perf_counter()
    recommender.recommend(title, 10)
    return time.perf_counter() - start


def _recall(recommender: Recommender, k: int, spare: int, questions: list[str]) -> float:
    """Share of the exact top k among the labels that a search for them looks up again."""
    assert recommender.vocabulary is not None
    ensemble = recommender.ensemble
    encoded = ensemble.encode(recommender.vocabulary.features(questions[:200]))
    exact = np.argpartition(-(encoded @ ensemble.classifiers_LD.T), k, axis=1)[:, :k]
    found = ensemble.quick_index.search(encoded, max(CANDIDATES, 2 * k) + spare)[1]
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(exact, found, strict=True)]))


if __name__ == "__main__":
    typer.run(main)
