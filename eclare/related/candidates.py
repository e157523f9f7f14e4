"""Candidates: which products are worth scoring for a query, by one function a generator, joined in `candidates_of`."""

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.arrays.products import heaviest_of_product, keep_heaviest
from eclare.arrays.topk import PAD, distinct_per_row
from eclare.model.search import beam_search
from eclare.related.snapshot import Snapshot

FROM_COOCCURRENCE, FROM_LIKE_TITLES, FROM_MODEL = 150, 100, 100  # candidates of a query
SHORTLISTS_FROM = 200_000  # products, of which searching all for each query takes longer than all other features
FROM_DAMPED = 100  # for each power of popularity that co-occurrence is divided by


def candidates_of(snapshot: Snapshot, queries: Rows) -> Rows:
    """The allowed products that any generator finds for Q queries, sorted, Q x C.

    PAD ends a row with fewer than C; a query is never its own candidate.
    """
    return joined(candidates_by_group(snapshot, queries).values(), queries)


def candidates_by_group(
    snapshot: Snapshot, queries: Rows, at_least: int = FROM_MODEL, *, by_tokens: bool = False
) -> dict[str, Rows]:
    """What the generators find, Q x any number, by the group of features (features.GROUPS) that knows the same.

    at_least: how many the model is asked for. by_tokens: the model's candidates are those of the tokens of each title
    (worth_shortlists).
    """
    find = by_token_shortlists if by_tokens else by_model
    damped = [by_damped_cooccurrence(snapshot, queries, power) for power in snapshot.allowed_sessions_damped]
    return {
        "co_clicks": np.hstack([by_cooccurrence(snapshot, queries), *damped]),
        "like_products": np.hstack([by_like_titles(snapshot, queries), by_like_sentences(snapshot, queries)]),
        "model": find(snapshot, queries, max(FROM_MODEL, at_least) + 1),  # one of them may be the query
        "popularity": by_popularity(snapshot, queries),
    }


def joined(found: Iterable[Rows], queries: Rows) -> Rows:
    """What any generator found, once, sorted, without the query, Q x C; PAD ends a row with fewer than C."""
    distinct: Rows = distinct_per_row(np.hstack(list(found)).astype(np.int32), queries)
    return distinct


def by_cooccurrence(snapshot: Snapshot, queries: Rows) -> Rows:
    """The products of most sessions with each query."""
    return _columns(keep_heaviest(snapshot.allowed_sessions_PP[queries], FROM_COOCCURRENCE))


def by_damped_cooccurrence(snapshot: Snapshot, queries: Rows, power: float) -> Rows:
    """The products that met each query most often for how popular they are."""
    return _columns(keep_heaviest(snapshot.allowed_sessions_damped[power][queries], FROM_DAMPED))


def by_like_titles(snapshot: Snapshot, queries: Rows) -> Rows:
    """The products of most sessions with products whose titles are like the query's: weighted nearest neighbours."""
    return _by_like(snapshot, snapshot.like_PP[queries])


def by_like_sentences(snapshot: Snapshot, queries: Rows) -> Rows:
    """The same by the vectors of a sentence encoder; none without one."""
    if snapshot.sentences is None:
        return np.empty((len(queries), 0), np.int32)
    return _by_like(snapshot, snapshot.sentences.like_PP[queries])


def _by_like(snapshot: Snapshot, like_QP: sp.csr_matrix) -> Rows:
    return _columns(heaviest_of_product(like_QP, snapshot.allowed_sessions_PP, FROM_LIKE_TITLES))


def by_model(snapshot: Snapshot, queries: Rows, k: int) -> Rows:
    """The k products that the model scores highest: over all of them, or those of the clusters that it looks into."""
    if snapshot.ensemble.config.shortlister == "clusters":
        return beam_search(snapshot.ensemble, snapshot.titles_PV[queries], k, snapshot.allowed_P)[0]
    allowed, index = snapshot.model_index
    found: Rows = allowed[index.search(snapshot.encoded_PD[queries], min(k, index.ntotal))[1]]
    return found


def worth_shortlists(snapshot: Snapshot) -> bool:
    """Whether finding the best labels of every token costs less than searching all labels for every product."""
    searches_all = snapshot.ensemble.config.shortlister == "faiss" and snapshot.ensemble.device.type == "cpu"
    return searches_all and len(snapshot) > max(SHORTLISTS_FROM, 2 * snapshot.titles_PV.shape[1])


def by_token_shortlists(snapshot: Snapshot, queries: Rows, k: int) -> Rows:
    """The k products that the model scores highest among those that it scores highest for a token of the title."""
    return snapshot.token_shortlists.search(snapshot.titles_PV[queries], snapshot.encoded_PD[queries], k)


def by_popularity(snapshot: Snapshot, queries: Rows) -> Rows:
    """The products of most sessions lately, the same for every query."""
    return np.broadcast_to(snapshot.bestsellers, (len(queries), len(snapshot.bestsellers)))


def _columns(kept: sp.csr_matrix) -> Rows:
    """The columns of every row, PAD where there are fewer than in the longest."""
    count = np.diff(kept.indptr)
    columns = np.full((kept.shape[0], int(count.max(initial=0))), PAD, np.int32)
    columns[np.arange(columns.shape[1]) < count[:, None]] = kept.indices
    return columns
