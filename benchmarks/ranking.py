"""The ranking of the night before a cut, in memory: what a design of it brings, in a minute, without files of days."""

import json
import time
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
import typer

from benchmarks.next_days import OURS, catalogue_on, judge_at
from eclare.arrays.csr import Rows
from eclare.model.data import Texts
from eclare.model.label_graph import build_label_graph
from eclare.model.sentence_encoder import SentenceEncoder
from eclare.model.word_parts import vocabulary_for
from eclare.related.backtest import ranker_from
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import WITH_SENTENCES
from eclare.related.like_sentences import ProductSentences
from eclare.related.like_titles import like_titles
from eclare.related.list_rules import Catalogue, ListRules
from eclare.related.ranking import Ranked, rank
from eclare.related.rerank import rerank
from eclare.related.retraining import retrain
from eclare.related.snapshot import Snapshot
from eclare.related.targets import Goal
from eclare.related.variants import Variants
from tasks.model_config import NIGHT
from tasks.settings import Settings
from tasks.training import learning_of


def main(
    log: Annotated[str, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    goal: Annotated[Goal, typer.Option(help="GOAL")] = "related",
    max_variants: Annotated[int, typer.Option(help="MAX_VARIANTS", min=0)] = 3,
    max_exposure: Annotated[float | None, typer.Option(help="MAX_EXPOSURE; default: the goal's", min=0, max=1)] = None,
    *,
    encoder: Annotated[str | None, typer.Option(help="TEXT_ENCODER")] = None,
) -> None:
    """Ends with one line of JSON, as benchmarks.next_days.

    The library's functions in the order of the steps, with their default settings, on all days before the cut; products
    have no category or brand. A night counts a session on each day that it has clicks, this on the first alone.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    middle, judge = judge_at(rows, cut)
    begin = time.perf_counter()
    settings = Settings(_env_file=None, goal=goal, max_exposure=max_exposure, text_encoder=encoder)
    ranking, max_exposure = ranking_at(rows, middle, settings), settings.exposure_limit
    lists = ranking.lists(max_variants=max_variants, max_exposure=max_exposure)
    seconds = round(time.perf_counter() - begin, 1)
    figures = judge.figures({OURS: lists[judge.queries]} | judge.rivals(), OURS)
    given: dict[str, object] = {"goal": goal, "max_variants": max_variants, "max_exposure": max_exposure}
    given |= {"text_encoder": encoder, "text_encoder_kept": ranking.uses_encoder} if encoder else {}
    print(json.dumps({"cut": cut, "settings": given, "seconds": seconds} | figures))


class Ranking(NamedTuple):
    """The ranked candidates of all products on the night before a cut, and what re-ranking reads."""

    ranked: Ranked
    catalogue: Catalogue
    cooccurrence: Cooccurrence
    uses_encoder: bool

    def lists(self, *, max_variants: int, max_exposure: float) -> Rows:
        """Re-ranked, P x TOP_K, PAD where there are fewer."""
        rules = rules_of(max_variants, max_exposure)
        return rerank(self.ranked.labels_QK, self.ranked.scores_QK, self.catalogue, self.cooccurrence, rules).labels_PK


def rules_of(max_variants: int, max_exposure: float) -> ListRules:
    """Rules of lists of the default TOP_K."""
    top_k = Settings.model_fields["top_k"].default
    return ListRules(top_k, max_variants=max_variants, max_exposure=max_exposure)


def ranking_at(rows: pd.DataFrame, cut: pd.Timestamp, settings: Settings) -> Ranking:
    """Trained and ranked as the steps of a night do it, on the rows before the cut."""
    titles = catalogue_on(rows, cut)
    everything, unknown = np.ones(len(titles), bool), [None] * len(titles)
    cooccurrence = cooccurrence_of(rows[rows["event_time"] < cut], titles.index, settings)
    known, learning = cooccurrence.until(settings.held_out_days), learning_of(settings, NIGHT)
    targets_PP, names = learning.targets(known), titles.tolist()
    titles_PV = vocabulary_for(names, names, targets_PP, NIGHT)[0].features(names)
    like_PP = like_titles(titles_PV, cooccurrence.paired())
    texts = Texts.of(titles_PV, titles_PV, build_label_graph(targets_PP, NIGHT))
    device, sentences = torch.device("cpu"), None
    if settings.text_encoder:
        vectors_PE = SentenceEncoder.of(settings.text_encoder, device).encode(titles.tolist())
        sentences = ProductSentences.of(vectors_PE, cooccurrence.paired(), device)
    made = retrain(known, texts, like_PP, learning, device, sentences=sentences)
    ranker = ranker_from(made.examples, settings.goal, NIGHT.seed)
    kept = sentences if ranker.features == WITH_SENTENCES else None
    snapshot = Snapshot(cooccurrence, titles_PV, like_PP, made.ensemble, everything, sentences=kept)
    chooses_among = rules_of(max_variants=1, max_exposure=0).candidates
    ranked = rank(snapshot, ranker, np.arange(len(titles), dtype=np.int32), chooses_among)
    variants = Variants.of(titles.tolist(), unknown, unknown)
    no_category = np.full(len(titles), -1, np.int32)
    catalogue = Catalogue(titles_PV, no_category, everything, variants, cooccurrence.popularity())
    return Ranking(ranked, catalogue, cooccurrence, kept is not None)


def cooccurrence_of(rows: pd.DataFrame, products: pd.Index, settings: Settings) -> Cooccurrence:
    """Of the sessions of the log, by age before its last day."""
    rows = rows.drop_duplicates(["session_id", "product_id"])
    session, days = pd.factorize(rows["session_id"])[0], rows["event_time"].dt.normalize()
    age_S = (days.max() - days).dt.days.groupby(session).max().to_numpy()
    held = (np.ones(len(rows), np.float32), (session, products.get_indexer(pd.Index(rows["product_id"]))))
    held_SP = sp.csr_matrix(held, (len(age_S), len(products)))
    fits = np.diff(held_SP.indptr) <= settings.max_session_products
    return Cooccurrence.of_sessions(held_SP[fits], age_S[fits], settings.min_support)


if __name__ == "__main__":
    typer.run(main)
