"""Features of a candidate: one table of name, group and function; the ranker, the reasons and their SQL columns use it.

A feature needs nothing but a snapshot, so that a backtest computes what a night computes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.knn import cosines_at
from eclare.arrays.products import look_up, product_at
from eclare.arrays.topk import PAD

if TYPE_CHECKING:  # who reads the table alone does not load torch
    from eclare.related.like_sentences import ProductSentences
    from eclare.related.snapshot import Snapshot

HALF_LIVES = (7.0, 30.0, 90.0, 365.0, np.inf)  # days; inf counts every session whole, which thin data need
LATELY, QUARTER, EVER = HALF_LIVES.index(30.0), HALF_LIVES.index(90.0), HALF_LIVES.index(np.inf)
DAMPINGS = (0.3, 0.5)  # powers of a candidate's popularity that its co-occurrence is divided by
COUNT_FLOOR, DAMPED_FLOOR, CHANCE_FLOOR = 0.1, 0.01, 1e-4  # added before the logarithm
ROWS_AT_ONCE = 64  # queries whose features, side by side for each candidate, fit into a processor's cache
UNSEEN = 0.02  # sessions that a pair which never met is taken to have shared, where it is compared with others


@dataclass(frozen=True, eq=False)
class CandidateSet:
    """C candidates of each of Q queries, PAD for none, and the snapshot that they are looked up in.

    log_partition_Q: what the model's shares are taken of; without it, of these candidates.
    """

    snapshot: "Snapshot"
    queries: Rows
    products_QC: Rows
    log_partition_Q: Floats | None = None

    @property
    def table(self) -> "tuple[Feature, ...]":
        """FEATURES, and OF_SENTENCES where the snapshot has an encoder's vectors."""
        return FEATURES if self.snapshot.sentences is None else (*FEATURES, *OF_SENTENCES)

    @property
    def sentences(self) -> "ProductSentences":
        """The encoder's vectors; raises ValueError without them."""
        if self.snapshot.sentences is None:
            raise ValueError("features of a sentence encoder need its vectors, the snapshot has none")
        return self.snapshot.sentences

    @cached_property
    def features_QCF(self) -> Floats:
        """The features of the table of every candidate; those of PAD are as if nothing was known of it."""
        computed = [feature.function(self) for feature in self.table]
        features = np.empty((*self.products_QC.shape, len(computed)), np.float32)
        for start in range(0, len(features), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            for place, values_QC in enumerate(computed):
                features[rows, :, place] = values_QC[rows]
        return features

    @cached_property
    def sessions_QCH(self) -> Floats:
        """Sessions with both, by half-life."""
        return look_up(self.snapshot.sessions_by_half_life, self.queries, self.products_QC)

    @cached_property
    def popularity_QCH(self) -> Floats:
        """Sessions of every candidate, by half-life; 0 for PAD."""
        popularity_QCH = self.snapshot.popularity_PH[self.products_QC]
        return np.where((self.products_QC == PAD)[..., None], np.float32(0), popularity_QCH)

    def popularity_of_query(self, half_life: int) -> Floats:
        """Sessions of every query, Q x 1."""
        return self.snapshot.popularity_PH[self.queries, half_life, None]

    @cached_property
    def like_queries(self) -> CSR:
        """Products whose titles are like the query's, and their weights, Q x P."""
        return CSR.of(self.snapshot.like_PP[self.queries])

    @cached_property
    def log_shares_QC(self) -> Floats:
        """Log of the model's share."""
        return self.snapshot.log_shares(self.queries, self.products_QC, self.log_partition_Q)

    def log_partition(self) -> Floats:
        """What the model's shares are taken of, from the likeliest candidate of every query, Q; 0 where none is."""
        likeliest = self.log_shares_QC.argmax(axis=1)[:, None]
        product = np.take_along_axis(self.products_QC, likeliest, axis=1)
        share = np.take_along_axis(self.log_shares_QC, likeliest, axis=1)
        total = self.snapshot.model_scores(self.queries, product) - share
        return np.where(product == PAD, 0, total)[:, 0].astype(np.float32)

    def product_at(self, left_QP: CSR, right_PP: CSR) -> Floats:
        """Entries of a product of sparse matrices at the candidates."""
        return product_at(left_QP, right_PP, self.products_QC, len(self.snapshot))


def _cooccurrence(half_life: int, candidates: CandidateSet) -> Floats:
    return _log(candidates.sessions_QCH[..., half_life])


def _damped(power: float, half_life: int, candidates: CandidateSet) -> Floats:
    """Sessions with both over a power of the candidate's own; whoever was never met is alike, popular or not."""
    damping_QC = np.maximum(candidates.popularity_QCH[..., half_life], 1) ** np.float32(power)
    return _log(np.asarray(candidates.sessions_QCH[..., half_life] / damping_QC, np.float32), DAMPED_FLOOR)


def _popularity(half_life: int, candidates: CandidateSet) -> Floats:
    return _log(candidates.popularity_QCH[..., half_life])


def _cosine(half_life: int, candidates: CandidateSet) -> Floats:
    """Sessions with both, over the geometric mean of the sessions of either."""
    of_candidate, of_query = candidates.popularity_QCH[..., half_life], candidates.popularity_of_query(half_life)
    mean = np.sqrt(np.maximum(of_candidate, UNSEEN) * np.maximum(of_query, UNSEEN))
    return np.log((candidates.sessions_QCH[..., half_life] + np.float32(UNSEEN)) / mean)


def _confidence(half_life: int, candidates: CandidateSet) -> Floats:
    """The chance of the candidate in a session of the query."""
    shared = candidates.sessions_QCH[..., half_life] + np.float32(UNSEEN)
    return np.log(shared / (candidates.popularity_of_query(half_life) + 1))


def _least_lift(candidates: CandidateSet) -> Floats:
    """How much more often than chance the two meet, less a standard deviation of how often they met."""
    shared = candidates.sessions_QCH[..., EVER]
    sure = np.maximum(shared - np.sqrt(shared), 0) + np.float32(UNSEEN)
    return np.log(sure / (candidates.popularity_QCH[..., EVER] + 1) / (candidates.popularity_of_query(EVER) + 1))


def _trend(candidates: CandidateSet) -> Floats:
    """What part of the candidate's sessions is recent."""
    return _log(candidates.popularity_QCH[..., LATELY]) - _log(candidates.popularity_QCH[..., EVER])


def _query(half_life: int, candidates: CandidateSet) -> Floats:
    return _log(candidates.popularity_of_query(half_life))


def _two_hops(candidates: CandidateSet) -> Floats:
    snapshot = candidates.snapshot
    chance = candidates.product_at(CSR.of(snapshot.transitions_PP[candidates.queries]), snapshot.transitions)
    return _log(chance, CHANCE_FLOOR)


def _of_like_queries(candidates: CandidateSet) -> Floats:
    return _log(candidates.product_at(candidates.like_queries, candidates.snapshot.shared))


def _with_like(candidates: CandidateSet, sessions: CSR) -> Floats:
    count, queries = len(candidates.queries), candidates.queries
    each = CSR(np.arange(count + 1, dtype=np.int64), queries, np.ones(count, np.float32))
    return _log(candidates.product_at(each, sessions))


def _with_like_candidates(candidates: CandidateSet) -> Floats:
    return _with_like(candidates, candidates.snapshot.sessions_with_like)


def _of_both(candidates: CandidateSet) -> Floats:
    return _log(candidates.product_at(candidates.like_queries, candidates.snapshot.sessions_with_like))


def _of_like_sentences(candidates: CandidateSet) -> Floats:
    like = CSR.of(candidates.sentences.like_PP[candidates.queries])
    return _log(candidates.product_at(like, candidates.snapshot.shared))


def _with_like_sentences(candidates: CandidateSet) -> Floats:
    return _with_like(candidates, candidates.snapshot.sessions_with_like_sentences)


def _sentence_cosine(candidates: CandidateSet) -> Floats:
    return candidates.sentences.cosines(candidates.queries, candidates.products_QC)


def _embedding_cosine(candidates: CandidateSet) -> Floats:
    return candidates.snapshot.embedding_cosines(candidates.queries, candidates.products_QC)


def _title_cosine(candidates: CandidateSet) -> Floats:
    snapshot = candidates.snapshot
    return cosines_at(CSR.of(snapshot.titles_PV[candidates.queries]), snapshot.titles, candidates.products_QC)


def _model(candidates: CandidateSet) -> Floats:
    return candidates.log_shares_QC


def _history(candidates: CandidateSet) -> Floats:
    return _log(candidates.snapshot.degree_P[candidates.queries])[:, None]


def _log(counts: Floats, floor: float = COUNT_FLOOR) -> Floats:
    return np.asarray(np.log(counts + np.float32(floor)), dtype=np.float32)


class Feature(NamedTuple):
    """A row of the table. group: what a person would call its share of a score, as in the SQL column score_<group>."""

    name: str
    group: str
    function: Callable[[CandidateSet], Floats]


def feature_name(what: str, half_life: int) -> str:
    """What is counted, and the half-life (a place in HALF_LIVES) where old sessions count less."""
    days = HALF_LIVES[half_life]
    return f"{what}, half-life {days:g} days" if np.isfinite(days) else what


FEATURES = (
    *(
        Feature(feature_name("co-occurrence", h), "co_clicks", partial(_cooccurrence, h))
        for h in range(len(HALF_LIVES))
    ),
    *(
        Feature(feature_name(f"co-occurrence over popularity^{power:g}", h), "co_clicks", partial(_damped, power, h))
        for power in DAMPINGS
        for h in (QUARTER, EVER)
    ),
    *(Feature(feature_name("cosine of sessions", h), "co_clicks", partial(_cosine, h)) for h in (LATELY, EVER)),
    *(Feature(feature_name("chance after the query", h), "co_clicks", partial(_confidence, h)) for h in (LATELY, EVER)),
    Feature("least lift", "co_clicks", _least_lift),
    *(Feature(feature_name("popularity", h), "popularity", partial(_popularity, h)) for h in range(len(HALF_LIVES))),
    Feature("trend", "popularity", _trend),
    *(Feature(feature_name("popularity of the query", h), "popularity", partial(_query, h)) for h in (LATELY, EVER)),
    Feature("co-occurrence over two hops", "like_products", _two_hops),
    Feature("co-occurrence of like queries", "like_products", _of_like_queries),
    Feature("co-occurrence with like candidates", "like_products", _with_like_candidates),
    Feature("co-occurrence of both", "like_products", _of_both),
    Feature("cosine of embeddings", "like_products", _embedding_cosine),
    Feature("title cosine", "titles", _title_cosine),
    Feature("model", "model", _model),
    Feature("history of the query", "popularity", _history),
)
NAMES = tuple(feature.name for feature in FEATURES)

OF_SENTENCES = (  # what a sentence encoder adds
    Feature("co-occurrence of like sentences", "like_products", _of_like_sentences),
    Feature("co-occurrence with like sentences", "like_products", _with_like_sentences),
    Feature("sentence cosine", "titles", _sentence_cosine),
)
WITH_SENTENCES = (*NAMES, *(feature.name for feature in OF_SENTENCES))


def groups_of(names: Sequence[str]) -> dict[str, list[int]]:
    """The places of every group's features among those named, in the order of the table."""
    group_of = {feature.name: feature.group for feature in (*FEATURES, *OF_SENTENCES)}
    groups = dict.fromkeys(feature.group for feature in FEATURES)
    return {group: [place for place, name in enumerate(names) if group_of[name] == group] for group in groups}


GROUPS = groups_of(NAMES)
SCORE_PARTS = (*GROUPS, "base", "rules")  # with the score of average features, and what re-ranking changed
