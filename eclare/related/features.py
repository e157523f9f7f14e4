"""What is known about a pair of products before a day: counts, recency, popularity, titles and the model's score."""

from dataclasses import dataclass
from functools import cached_property

import faiss
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, CSRStack, with_sum_one
from eclare.arrays.knn import Nearest, cosines_at
from eclare.arrays.products import heaviest_of_product, keep_heaviest, look_up, product_at
from eclare.arrays.topk import PAD, distinct_per_row
from eclare.model.ensemble import Ensemble
from eclare.model.inference import CHUNK, LEAST_LOG_SHARE, Floats, Rows, build_quick_index, inner_products, log_shares
from eclare.related.cooccurrence import Cooccurrence

HALF_LIVES = (7.0, 30.0, 90.0, 365.0)  # days
LIKE_TITLES, LIKE_COSINE, SHARPNESS = 20, 0.4, 8  # titles that speak for another: how many, how near, how sharply
KEPT = 200  # heaviest entries a row of a product of sparse matrices
HOP = 100  # heaviest related products over which one more is reached
FROM_COUNTS, FROM_LIKE_TITLES, FROM_MODEL, FROM_POPULAR = 150, 100, 100, 50  # candidates of a query
COUNT_FLOOR, CHANCE_FLOOR = 0.1, 1e-4  # what is added before the logarithm
NAMES = (
    *(f"together, {days:g} days" for days in HALF_LIVES),
    *(f"popularity, {days:g} days" for days in HALF_LIVES),
    "over one more product", "similar queries", "similar answers", "similar both", "same words", "model", "history",
)  # fmt: skip
MODEL = NAMES.index("model")


@dataclass(frozen=True, eq=False)
class Signals:
    """Everything that dated pairs, P titles and an ensemble say, ready to be looked up for any query product.

    titles_PV: CSR TF-IDF with rows of norm 1 or 0; allowed_P: products that may be an answer.
    """

    pairs: Cooccurrence
    titles_PV: sp.csr_matrix
    ensemble: Ensemble
    allowed_P: npt.NDArray[np.bool_]

    def candidates(self, queries: Rows, at_least: int = FROM_MODEL) -> Rows:
        """The allowed products that counts, like titles, the model or popularity speak for, sorted, Q x C.

        C is `at_least` or more where so many are allowed. PAD ends a row with fewer than C; a query is never its
        own candidate.
        """
        by_model, index = self._index
        found = index.search(self._encoded_PD[queries], min(max(FROM_MODEL, at_least) + 1, index.ntotal))[1]
        lists = [self._by_counts[queries], self._by_like_titles[queries], by_model[found]]
        popular = np.broadcast_to(self._popular, (len(queries), len(self._popular)))
        distinct: Rows = distinct_per_row(np.hstack([*lists, popular]).astype(np.int32), queries)
        return distinct

    def of(self, queries: Rows, candidates: Rows, log_partition_Q: Floats | None = None) -> Floats:
        """The signals of every candidate in the order of NAMES, Q x C x F; PAD as if nobody knew it.

        The model's share is one among all candidates of the query; `log_partition` of a former look make it one among
        those.
        """
        there = candidates != PAD
        signals = np.empty((*candidates.shape, len(NAMES)), np.float32)
        lives, like = len(HALF_LIVES), CSR.of(self._like_PP[queries])
        signals[..., :lives] = _log(look_up(self._together, queries, candidates), COUNT_FLOOR)
        for place, popularity_P in enumerate(self._popularity_P):
            signals[..., lives + place] = _log(np.where(there, popularity_P[candidates], 0), COUNT_FLOOR)
        reached = {
            "over one more product": (CSR.of(self._onwards_PP[queries]), self._onwards, CHANCE_FLOOR),
            "similar queries": (like, self._longest, COUNT_FLOOR),
            "similar answers": (_own(queries), self._to_like_titles, COUNT_FLOOR),
            "similar both": (like, self._to_like_titles, COUNT_FLOOR),
        }
        for name, (left, right, floor) in reached.items():
            signals[..., NAMES.index(name)] = _log(product_at(left, right, candidates, self.pairs.products), floor)
        signals[..., -3] = cosines_at(CSR.of(self.titles_PV[queries]), self._titles, candidates)
        signals[..., MODEL] = self._log_shares(queries, candidates, log_partition_Q)
        signals[..., -1] = _log(self._history_P[queries], COUNT_FLOOR)[:, None]
        return signals

    def log_partition(self, queries: Rows, candidates: Rows, signals_QCF: Floats) -> Floats:
        """What the model's log-shares were taken of, from the likeliest candidate of every query; 0 where none is."""
        likeliest = signals_QCF[..., MODEL].argmax(axis=1)[:, None]
        label = np.take_along_axis(candidates, likeliest, axis=1)
        share = np.take_along_axis(signals_QCF[..., MODEL], likeliest, axis=1)
        return np.where(label == PAD, 0, self._model_scores(queries, label) - share)[:, 0].astype(np.float32)

    def _log_shares(self, queries: Rows, candidates: Rows, log_partition_Q: Floats | None) -> Floats:
        if log_partition_Q is None:
            return np.asarray(log_shares(self._encoded_PD[queries], self.ensemble.classifiers_LD, candidates))
        shares = np.maximum(self._model_scores(queries, candidates) - log_partition_Q[:, None], LEAST_LOG_SHARE)
        return np.where(candidates == PAD, np.float32(LEAST_LOG_SHARE), shares)

    def _model_scores(self, queries: Rows, candidates: Rows) -> Floats:
        row = np.repeat(np.arange(len(queries), dtype=np.int32), candidates.shape[1])
        scores = inner_products(
            self._encoded_PD[queries], self.ensemble.classifiers_LD, row, np.maximum(candidates, 0).ravel()
        )
        return np.asarray(scores).reshape(candidates.shape)

    @cached_property
    def _encoded_PD(self) -> Floats:
        chunks = range(0, len(self.pairs), CHUNK)
        return np.concatenate([self.ensemble.encode(self.titles_PV[start : start + CHUNK]) for start in chunks])

    @cached_property
    def _index(self) -> tuple[Rows, faiss.Index]:
        allowed = np.flatnonzero(self.allowed_P).astype(np.int32)
        return allowed, build_quick_index(self.ensemble.classifiers_LD[allowed], self.ensemble.device)

    @cached_property
    def _together(self) -> CSRStack:
        """The pattern of all pairs, and their counts by half-life."""
        counts = [self.pairs.together(days) for days in HALF_LIVES]
        return CSRStack(counts[0].indptr, counts[0].indices, np.stack([each.data for each in counts], axis=1))

    @cached_property
    def _longest_PP(self) -> sp.csr_matrix:
        indptr, indices, counts = self._together
        return sp.csr_matrix((counts[:, -1], indices, indptr), shape=(self.pairs.products, self.pairs.products))

    @cached_property
    def _longest(self) -> CSR:
        return CSR.of(self._longest_PP)

    @cached_property
    def _onwards(self) -> CSR:
        return CSR.of(self._onwards_PP)

    @cached_property
    def _titles(self) -> CSR:
        return CSR.of(self.titles_PV)

    @cached_property
    def _history_P(self) -> Floats:
        return np.asarray(self._longest_PP.sum(axis=1), dtype=np.float32).ravel()

    @cached_property
    def _popularity_P(self) -> list[npt.NDArray[np.float32]]:
        return [self.pairs.popularity(days) for days in HALF_LIVES]

    @cached_property
    def _like_PP(self) -> sp.csr_matrix:
        """Cosines of the nearest titles to the power SHARPNESS; a product is not like itself."""
        found, cosines = Nearest(self.titles_PV).to(self.titles_PV, LIKE_TITLES + 1, LIKE_COSINE)
        cosines = np.where(found == np.arange(len(found))[:, None], 0, np.minimum(cosines, 1))
        row, place = np.nonzero(cosines)
        like = sp.csr_matrix((cosines[row, place] ** SHARPNESS, (row, found[row, place])), shape=self._longest_PP.shape)
        return sp.csr_matrix(like, dtype=np.float32)

    @cached_property
    def _onwards_PP(self) -> sp.csr_matrix:
        """The chance to go from a product to another one of its sessions."""
        return keep_heaviest(with_sum_one(self._longest_PP), HOP)

    @cached_property
    def _to_like_titles(self) -> CSR:
        """Sessions with products whose titles are like the answer's."""
        return CSR.of(heaviest_of_product(self._longest_PP, self._like_PP.T.tocsr(), KEPT))

    @cached_property
    def _by_counts(self) -> Rows:
        return _heaviest_columns(self._allowed(self._longest_PP), FROM_COUNTS)

    @cached_property
    def _by_like_titles(self) -> Rows:
        return _heaviest_columns(
            heaviest_of_product(self._like_PP, self._allowed(self._longest_PP), FROM_LIKE_TITLES), FROM_LIKE_TITLES
        )

    @cached_property
    def _popular(self) -> Rows:
        popularity_P = np.where(self.allowed_P, self._popularity_P[1], 0)
        best = np.argsort(-popularity_P, kind="stable")[:FROM_POPULAR]
        return best[popularity_P[best] > 0].astype(np.int32)

    def _allowed(self, matrix: sp.csr_matrix) -> sp.csr_matrix:
        kept = matrix.copy()
        kept.data = kept.data * self.allowed_P[kept.indices]
        kept.eliminate_zeros()
        return kept


def _own(queries: Rows) -> CSR:
    return CSR(np.arange(len(queries) + 1, dtype=np.int32), queries, np.ones(len(queries), np.float32))


def _heaviest_columns(matrix: sp.csr_matrix, k: int) -> Rows:
    """The columns of the k largest entries of every row, P x k, PAD where there are fewer."""
    kept = keep_heaviest(matrix, k)
    count = np.diff(kept.indptr)
    columns = np.full((matrix.shape[0], int(count.max(initial=0))), PAD, np.int32)
    columns[np.arange(columns.shape[1]) < count[:, None]] = kept.indices
    return columns


def _log(counts: Floats, floor: float) -> Floats:
    return np.asarray(np.log(counts + np.float32(floor)), dtype=np.float32)
