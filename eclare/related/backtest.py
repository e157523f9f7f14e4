"""Backtest: what was known at earlier cut-offs, and what followed, from which a night's ranker is fitted.

For every cut-off whoever calls trains the model again on what was known then: `cutoffs`, `examples_at`, `ranker_from`.
"""

from collections.abc import Iterator, Sequence
from math import log
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import CSRStack, Rows
from eclare.arrays.products import look_up
from eclare.arrays.topk import PAD
from eclare.model.ensemble import Ensemble
from eclare.ranker import Examples, Ranker, fit_ranker
from eclare.related.candidates import candidates_of
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import COUNT_FLOOR, NAMES, CandidateSet
from eclare.related.snapshot import Snapshot

DAYS_AGO = (45, 90, 180)  # cut-offs of a log of one and a half times the longest; a shorter one takes the same shares
RELEVANT_SESSIONS = 2  # that must be shared later, as fewer are chance
FEWEST_RELEVANT = 5  # products, for a query to be learnt from
MOST_QUERIES = 5000  # of a cut-off; a few hundred weights need no more
STEPS, QUERIES_PER_STEP = 1600, 64

# Of a log too short to learn from (benchmarks/fixed_weights.py). A score is what goes beyond a pair of which nothing is
# known; its share of the model's is an even one, among some 400 candidates.
COOCCURRENCE, POPULARITY = (f"{name}, half-life 90 days" for name in ("co-occurrence", "popularity"))
FIXED_WEIGHTS = {COOCCURRENCE: 1.0, POPULARITY: 0.5, "title cosine": 3.0, "model": 0.3}
NOTHING_KNOWN = {COOCCURRENCE: log(COUNT_FLOOR), POPULARITY: log(COUNT_FLOOR), "model": -6.0}


class Cutoff(NamedTuple):
    """A day in the past: what was known then, and the queries to learn from with their relevant products later.

    relevance_PP: sessions shared after it.
    """

    known: Cooccurrence
    relevance_PP: sp.csr_matrix
    queries: Rows


def cutoffs(cooccurrence: Cooccurrence, seed: int) -> Iterator[Cutoff]:
    """The cut-offs of a log that can be learnt from, latest first; a short log may have none."""
    scale = min(1.0, cooccurrence.days / (1.5 * DAYS_AGO[-1]))
    for days in DAYS_AGO:
        days_ago = max(1, round(days * scale))
        known, relevance_PP = cooccurrence.until(days_ago), relevant_products(cooccurrence.since(days_ago))
        if len(known.counts.key_E) and len(queries := queries_to_learn_from(relevance_PP, seed)):
            yield Cutoff(known, relevance_PP, queries)


def relevant_products(later: Cooccurrence) -> sp.csr_matrix:
    """The sessions that every product shared with those that shared RELEVANT_SESSIONS or more with it, P x P."""
    relevance_PP = later.matrix()
    relevance_PP.data[relevance_PP.data < RELEVANT_SESSIONS] = 0
    relevance_PP.eliminate_zeros()
    return relevance_PP


def queries_to_learn_from(relevance_PP: sp.csr_matrix, seed: int) -> Rows:
    """Products with FEWEST_RELEVANT relevant ones or more, MOST_QUERIES of them at most, sorted."""
    queries = np.flatnonzero(np.diff(relevance_PP.indptr) >= FEWEST_RELEVANT).astype(np.int32)
    return np.sort(np.random.default_rng(seed).permutation(queries)[:MOST_QUERIES])


def examples_at(cutoff: Cutoff, titles_PV: sp.csr_matrix, ensemble: Ensemble) -> Examples:
    """Features as of a cut-off, beside what followed; queries without a relevant candidate are left out.

    ensemble: trained on what was known then.
    """
    snapshot = Snapshot(cutoff.known, titles_PV, ensemble, np.ones(len(cutoff.known), bool))
    candidates = CandidateSet(snapshot, cutoff.queries, candidates_of(snapshot, cutoff.queries))
    relevance_PP = cutoff.relevance_PP
    stack = CSRStack(relevance_PP.indptr, relevance_PP.indices, relevance_PP.data[:, None])
    relevance_QC = look_up(stack, cutoff.queries, candidates.products_QC)[..., 0]
    return Examples(candidates.features_QCF, relevance_QC, candidates.products_QC != PAD).with_positives()


def ranker_from(examples: Sequence[Examples], seed: int) -> Ranker:
    """A ranker fitted on the examples of all cut-offs; fixed weights where there are none."""
    if not sum(map(len, examples)):
        return Ranker.linear(NAMES, FIXED_WEIGHTS, NOTHING_KNOWN)
    return fit_ranker([each for each in examples if len(each)], NAMES, seed, STEPS, QUERIES_PER_STEP)
