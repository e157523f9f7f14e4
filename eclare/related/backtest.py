"""Backtest: what was known at earlier cut-offs, and what followed, from which a night's ranker is fitted and chosen.

For every cut-off whoever calls trains the model again on what was known then: `cutoffs`, `examples_at`, `ranker_from`.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from math import log as ln
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import stdtrit

from eclare.arrays.csr import CSRStack, Rows
from eclare.arrays.products import look_up
from eclare.arrays.topk import PAD
from eclare.evaluation.metrics import LEAST_SESSIONS, related_gains
from eclare.model.ensemble import Ensemble
from eclare.ranker import Examples, Ranker, fit_ranker, ndcg, standard_error
from eclare.related.candidates import candidates_of
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import (
    COUNT_FLOOR,
    DAMPED_FLOOR,
    DAMPINGS,
    EVER,
    NAMES,
    QUARTER,
    WITH_SENTENCES,
    CandidateSet,
    feature_name,
)
from eclare.related.like_sentences import ProductSentences
from eclare.related.snapshot import Snapshot
from eclare.related.targets import Goal

log = logging.getLogger(__name__)

DAYS_AGO = (45, 90, 180)  # cut-offs of a log of one and a half times the longest; a shorter one takes the same shares
FEWEST_QUERIES = 1000  # cut-offs of a thin log go further back, up to half of it, until there are as many
FEWEST_RELEVANT = 5  # products, for a query to be learnt from
FEWEST_JUDGED = 100  # queries that a learnt ranking must prove itself on
CREDIBLE_QUERIES = 500  # from which a learnt ranking and a simple one count alike
MOST_QUERIES = 2000  # of a cut-off; a few hundred weights need no more
STEPS, EPOCHS, QUERIES_PER_STEP = 1600, 18, 64  # at most so many steps, and passes over the queries

# Simple rankings in the same network: co-occurrence, whole or over a power of popularity, with a little of titles and
# of the model for products that were never met. A score is what goes beyond a pair of which nothing is known; its share
# of the model's is an even one, among some 400 candidates.
COUNTED = [
    feature_name(f"co-occurrence{damped}", half_life)
    for damped in ("", *(f" over popularity^{power:g}" for power in DAMPINGS))
    for half_life in (QUARTER, EVER)
]
SIMPLE = [
    {counted: 1.0, "title cosine": title, "model": model}
    for model in (0.1, 0.3)  # the least first; without it nothing would be known of a new product
    for title in (0.0, 1.0)
    for counted in COUNTED
]
# Of a log too short to choose from (benchmarks/fixed_weights.py).
COOCCURRENCE, POPULARITY = (feature_name(what, QUARTER) for what in ("co-occurrence", "popularity"))
FIXED_WEIGHTS: dict[Goal, dict[str, float]] = {
    "related": {COOCCURRENCE: 1.0, "title cosine": 3.0, "model": 0.3},
    "basket": {COOCCURRENCE: 1.0, POPULARITY: 0.5, "title cosine": 3.0, "model": 0.3},
}
NOTHING_KNOWN = {name: ln(DAMPED_FLOOR if "^" in name else COUNT_FLOOR) for name in COUNTED}
NOTHING_KNOWN |= {POPULARITY: ln(COUNT_FLOOR), "model": -6.0}  # the logarithm of a share: that of one of 400


class Cutoff(NamedTuple):
    """A day in the past: what was known then, and the queries to learn from with their relevant products later.

    relevance_PP: what the pairs that met after it are worth, by the goal.
    """

    known: Cooccurrence
    relevance_PP: sp.csr_matrix
    queries: Rows


def cutoffs(cooccurrence: Cooccurrence, goal: Goal, seed: int) -> Iterator[Cutoff]:
    """The cut-offs of a log that can be learnt from, latest first; a short log may have none."""
    queries = 0
    for days_ago in _days_ago(cooccurrence.days):
        if days_ago > DAYS_AGO[-1] and queries >= FEWEST_QUERIES:
            return
        known, relevance_PP = cooccurrence.until(days_ago), relevant_products(cooccurrence.since(days_ago), goal)
        if len(known.counts.key_E) and len(found := queries_to_learn_from(relevance_PP, seed)):
            queries += len(found)
            yield Cutoff(known, relevance_PP, found)


def _days_ago(days: int) -> list[int]:
    """DAYS_AGO, or the same shares of a shorter log, each day once; then each twice the one before, up to half."""
    scale = min(1.0, days / (1.5 * DAYS_AGO[-1]))
    ago = sorted({max(1, round(each * scale)) for each in DAYS_AGO})
    while 2 * ago[-1] <= days / 2:
        ago.append(2 * ago[-1])
    return ago


def relevant_products(later: Cooccurrence, goal: Goal) -> sp.csr_matrix:
    """What the pairs that met LEAST_SESSIONS times or more are worth, CSR P x P.

    basket: the sessions that they shared. related: log(1 + lift) * log(1 + sessions) of those that met more often than
    chance: how much more often, and how sure that is.
    """
    shared_PP = later.shared_sessions()
    shared_PP.data[shared_PP.data < LEAST_SESSIONS] = 0
    shared_PP.eliminate_zeros()
    if goal == "basket" or not shared_PP.nnz:
        return shared_PP
    sessions_P = later.popularity()
    lift_PP = related_gains(shared_PP, sessions_P, sessions_P, later.session_count)
    shared_PP.data = np.log1p(shared_PP.data)
    return sp.csr_matrix(lift_PP.multiply(shared_PP), dtype=np.float32)


def queries_to_learn_from(relevance_PP: sp.csr_matrix, seed: int) -> Rows:
    """Products with FEWEST_RELEVANT relevant ones or more, MOST_QUERIES of them at most, sorted."""
    queries = np.flatnonzero(np.diff(relevance_PP.indptr) >= FEWEST_RELEVANT).astype(np.int32)
    return np.sort(np.random.default_rng(seed).permutation(queries)[:MOST_QUERIES])


def examples_at(
    cutoff: Cutoff,
    titles_PV: sp.csr_matrix,
    like_PP: sp.csr_matrix,
    ensemble: Ensemble,
    sentences: ProductSentences | None = None,
) -> Examples:
    """Features as of a cut-off, beside what followed; queries without a relevant candidate are left out.

    like_PP: which titles are alike; ensemble: trained on what was known then; sentences: of an encoder, if one is used.
    """
    allowed = np.ones(len(cutoff.known), bool)
    snapshot = Snapshot(cutoff.known, titles_PV, like_PP, ensemble, allowed, sentences=sentences)
    candidates = CandidateSet(snapshot, cutoff.queries, candidates_of(snapshot, cutoff.queries))
    relevance_PP = cutoff.relevance_PP
    stack = CSRStack.of(relevance_PP, relevance_PP.data[:, None])
    relevance_QC = look_up(stack, cutoff.queries, candidates.products_QC)[..., 0]
    return Examples(candidates.features_QCF, relevance_QC, candidates.products_QC != PAD).with_positives()


def ranker_from(examples: Sequence[Examples], goal: Goal, seed: int) -> Ranker:
    """The best of the simple rankings, or a learnt one shrunk to it, by what followed the cut-offs; latest come first.

    Of the simple ones the simplest within a standard error of the best counts as the best (Breiman et al., 1984). The
    learnt one is judged on the latest cut-offs by what it learns from the others, and must be ahead of the simple one
    by more than chance. Without examples, a simple one of fixed weights. What a sentence encoder adds stays where it
    brings more than chance on the latest cut-offs (Ranker.features).
    """
    examples = [each for each in examples if len(each)]
    if not examples:
        return Ranker.linear(NAMES, FIXED_WEIGHTS[goal], NOTHING_KNOWN)
    if _has_sentences(examples) and not _sentences_help(examples, seed):
        examples = _without_sentences(examples)
    simple = _best_simple(examples)
    if not _learning_helps(*_latest_and_earlier(examples), simple, seed):
        log.info("%s", json.dumps({"ranker": "simple", "queries": sum(map(len, examples))}))
        return simple
    return _learnt(examples, simple, seed)


def _best_simple(examples: Sequence[Examples]) -> Ranker:
    """The first of SIMPLE that is within a standard error of the best of them, on all examples."""
    rankers = [Ranker.linear(_names(examples), weights, NOTHING_KNOWN) for weights in SIMPLE]
    figures_RQ = np.array([np.concatenate([ndcg(ranker, each) for each in examples]) for ranker in rankers])
    behind_RQ = figures_RQ[figures_RQ.mean(axis=1).argmax()] - figures_RQ
    is_close_R = behind_RQ.mean(axis=1) <= standard_error(behind_RQ)
    return rankers[int(is_close_R.argmax())]


def _latest_and_earlier(examples: Sequence[Examples]) -> tuple[Sequence[Examples], Sequence[Examples]]:
    """The latest cut-offs with FEWEST_JUDGED queries together, and those before them; of one cut-off its halves."""
    if len(examples) == 1:
        is_even_Q = np.arange(len(examples[0])) % 2 == 0
        examples = [examples[0].where(is_even_Q), examples[0].where(~is_even_Q)]
    enough = int(np.searchsorted(np.cumsum([len(each) for each in examples]), FEWEST_JUDGED)) + 1
    latest = min(enough, len(examples) - 1)
    return examples[:latest], examples[latest:]


def _has_sentences(examples: Sequence[Examples]) -> bool:
    return examples[0].features_QCF.shape[-1] > len(NAMES)


def _names(examples: Sequence[Examples]) -> tuple[str, ...]:
    return WITH_SENTENCES if _has_sentences(examples) else NAMES


def _without_sentences(examples: Sequence[Examples]) -> list[Examples]:
    return [each.of(range(len(NAMES))) for each in examples]


def _sentences_help(examples: Sequence[Examples], seed: int) -> bool:
    """Whether a ranker of earlier cut-offs is further ahead on the latest with an encoder's features than chance is."""
    latest, earlier = _latest_and_earlier(examples)
    if not any(map(len, earlier)):
        return False
    both = [(latest, earlier), (_without_sentences(latest), _without_sentences(earlier))]
    beside, without = ([ndcg(_learnt(past, _best_simple(past), seed), each) for each in now] for now, past in both)
    gained = [ours - theirs for ours, theirs in zip(beside, without, strict=True)]
    gain, error = _mean_and_error(gained)
    log.info("%s", json.dumps({"sentence encoder": {"ndcg": gain, "error": error, "kept": gain > error}}))
    return gain > error


def _learning_helps(latest: Sequence[Examples], earlier: Sequence[Examples], simple: Ranker, seed: int) -> bool:
    """Whether what is learnt from earlier cut-offs is ahead of the simple ranking on the latest ones."""
    if not any(map(len, earlier)):
        return False
    learnt = _learnt(earlier, simple, seed)
    return _is_ahead([ndcg(learnt, each) - ndcg(simple, each) for each in latest])


def _is_ahead(differences: Sequence[npt.NDArray[np.float64]]) -> bool:
    """Whether the mean over all queries is above 0 by more than chance is once in 40 times (Student's t); of one never.

    differences: of the queries of every cut-off. Cut-offs ask about the same products and days, so their standard
    errors add up and do not average out.
    """
    mean, error = _mean_and_error(differences)
    return bool(mean > stdtrit(sum(map(len, differences)) - 1, 0.975) * error)


def _mean_and_error(differences: Sequence[npt.NDArray[np.float64]]) -> tuple[float, float]:
    all_Q = np.concatenate(differences)
    error = sum(len(each) * float(standard_error(each)) for each in differences) / len(all_Q)
    return float(all_Q.mean()), error


def _learnt(examples: Sequence[Examples], simple: Ranker, seed: int) -> Ranker:
    """Fitted, and shrunk to the simple one the more, the fewer queries there were (credibility, Buehlmann, 1967)."""
    queries = sum(map(len, examples))
    steps = min(STEPS, -(-EPOCHS * queries // QUERIES_PER_STEP))
    fitted = fit_ranker(examples, _names(examples), seed, steps, QUERIES_PER_STEP)
    return fitted.shrunk_to(simple, queries / (queries + CREDIBLE_QUERIES))
