"""The simple rivals that every model must beat, each a published method of a few lines."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows, rows_of
from eclare.arrays.topk import PAD, best_per_row
from eclare.evaluation.metrics import LEAST_SESSIONS

Doubles = npt.NDArray[np.float64]
Score: TypeAlias = Callable[[Doubles, Doubles], Doubles]  # of shared sessions, and of how many there would be by chance


class Known(NamedTuple):
    """What simple rivals know of P products before the held-out days.

    weights_PP: weighted sessions of the training days' pairs; shared_PP: sessions that held both products, each counted
    as one; sessions_P: that held each; sessions: all of them; allowed_P: products that may be recommended.
    """

    weights_PP: sp.csr_matrix
    shared_PP: sp.csr_matrix
    sessions_P: Floats
    sessions: int
    allowed_P: npt.NDArray[np.bool_]


def rivals(known: Known, queries: Rows, k: int) -> dict[str, Rows]:
    """The lists of every rival by its name, Q x k; short ones are filled up with what is popular, as a shop would."""
    popular_Q2K = popular(known.sessions_P, known.allowed_P, queries, 2 * k)  # k of them are in no list of k
    scores: Mapping[str, sp.csr_matrix] = {
        "co-click": known.weights_PP[queries],  # "customers who bought this also bought", counted
        "observed - expected": observed_minus_expected(known, queries),
        "cosine": cosine(known, queries),
    }
    lists = {name: best_allowed(each, k, known.allowed_P, queries)[0] for name, each in scores.items()}
    filled = {name: fill_up(labels_QK, popular_Q2K) for name, labels_QK in lists.items()}
    return filled | {"popularity": popular_Q2K[:, :k]}


def best_allowed(
    scores_NL: sp.csr_matrix, k: int, allowed_L: npt.NDArray[np.bool_], own_N: Rows | None = None
) -> tuple[Rows, Floats]:
    """The k allowed labels of the highest scores of every point, N x k, highest first, ties by lower label row.

    own_N: the label that is the point itself and must not come back, if there is one. Points with fewer scored labels
    than k end with PAD and score 0.
    """
    row, label = rows_of(scores_NL), scores_NL.indices
    kept = allowed_L[label] if own_N is None else allowed_L[label] & (label != own_N[row])
    return best_per_row(row[kept], label[kept], scores_NL.data[kept], scores_NL.shape[0], k)


def cosine(known: Known, queries: Rows) -> sp.csr_matrix:
    """Cosine of the sessions that held each of two products, CSR Q x P: shared / sqrt(sessions x sessions).

    Source: item-to-item collaborative filtering (Linden, Smith, York, IEEE Internet Computing 2003).
    """
    return _of_shared(known, queries, lambda shared, chance: shared / np.sqrt(chance * max(known.sessions, 1)))


def observed_minus_expected(known: Known, queries: Rows) -> sp.csr_matrix:
    """(observed - expected) / sqrt(expected) sessions of two products, CSR Q x P, of pairs that met more than expected.

    expected: sessions of one x sessions of the other / all; pairs of one session are left out. Source: Smith, Linden,
    "Two decades of recommender systems at Amazon.com", IEEE Internet Computing 2017.
    """

    def excess(shared: Doubles, chance: Doubles) -> Doubles:
        return np.where(shared >= LEAST_SESSIONS, np.maximum(shared - chance, 0) / np.sqrt(chance), 0)

    return _of_shared(known, queries, excess)


def popular(sessions_P: Floats, allowed_P: npt.NDArray[np.bool_], queries: Rows, k: int) -> Rows:
    """The k allowed products of most sessions, the same for every query but itself, Q x k; ties by lower row.

    Products without a session are left out; PAD ends the row where there are fewer than k. Source: the best-seller
    list.
    """
    counted_P = np.where(allowed_P, sessions_P, 0)
    best = np.argsort(-counted_P, kind="stable")[: k + 1]
    sold = np.pad(best[counted_P[best] > 0].astype(np.int32), (0, k + 1), constant_values=PAD)[: k + 1]
    return _first(np.broadcast_to(sold, (len(queries), k + 1)), queries[:, None] != sold, k)


def fill_up(labels_NK: Rows, others_NM: Rows) -> Rows:
    """The lists, N x K, short ones followed by those of the others that they lack, best first."""
    missing = ~(others_NM[:, :, None] == labels_NK[:, None, :]).any(axis=2)
    both = np.hstack([labels_NK, others_NM])
    return _first(both, np.hstack([labels_NK != PAD, missing & (others_NM != PAD)]), labels_NK.shape[1])


def _first(labels_NM: Rows, kept_NM: npt.NDArray[np.bool_], k: int) -> Rows:
    """The first k that are kept of every row, in their order, then PAD."""
    order = np.argsort(~kept_NM, axis=1, kind="stable")[:, :k]
    kept = np.take_along_axis(kept_NM, order, axis=1)
    return np.where(kept, np.take_along_axis(labels_NM, order, axis=1), PAD).astype(np.int32)


def _of_shared(known: Known, queries: Rows, score: Score) -> sp.csr_matrix:
    shared_QP = known.shared_PP[queries]
    sessions_P = np.maximum(known.sessions_P, 1).astype(np.float64)
    chance = sessions_P[queries][rows_of(shared_QP)] * sessions_P[shared_QP.indices] / max(known.sessions, 1)
    data = score(shared_QP.data.astype(np.float64), chance).astype(np.float32)
    scores = sp.csr_matrix((data, shared_QP.indices, shared_QP.indptr), shape=shared_QP.shape)
    scores.eliminate_zeros()
    return scores
