"""Candidates of a title: the labels with the highest sum of the model's score and a bonus for co-clicks."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.inner_products import inner_product, inner_products
from eclare.arrays.kernels import numba
from eclare.arrays.topk import PAD, best_of_row, distinct_per_row
from eclare.model.ensemble import Ensemble
from eclare.model.exact_index import Index
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.sentences import Sentences
from eclare.xc.votes import most_voted

SPARE = 100  # further labels that are looked up for a single title; a search over quantised classifiers then loses few
VOTED = 100  # labels that a ranker is given for their votes
FLOOR = 0.01  # co-click score below which the bonus fades to nothing


class TopLabels(NamedTuple):
    """The K best labels of Q points and their scores, best first, ties by lower label; PAD, 0 where there are fewer."""

    labels_QK: Rows
    scores_QK: Floats


@dataclass(frozen=True, eq=False)
class EncodedPoints:
    """Q points, TF-IDF over V tokens, with all that is looked up for them, each when first asked for.

    sentences, vectors_QE: with a sentence encoder, what it knows of titles and of these points.
    """

    features_QV: sp.csr_matrix
    ensemble: Ensemble
    co_clicks: CoClickScores
    sentences: Sentences | None = None
    vectors_QE: Floats | None = None

    @cached_property
    def encoded_QD(self) -> Floats:
        """The model's embeddings."""
        return self.ensemble.encode(self.features_QV)

    @cached_property
    def similar_labels(self) -> CSR:
        """Weighted nearest labels, Q x L."""
        return self.co_clicks.similar_labels(self.features_QV)

    @cached_property
    def similar_points(self) -> CSR:
        """Weighted nearest training points, Q x N."""
        return self.co_clicks.similar_points(self.features_QV)

    @cached_property
    def votes(self) -> CSR:
        """Votes of near training titles and label texts, Q x L."""
        of_titles = self.co_clicks.votes
        return of_titles.votes(of_titles.voters(self.features_QV))

    @cached_property
    def votes_of_sentences(self) -> CSR:
        """The same of those that are near by the sentence encoder."""
        sentences, vectors_QE = self.by_encoder
        return self.co_clicks.votes.votes(sentences.voters(vectors_QE))

    @cached_property
    def like_sentences(self) -> CSR:
        """Weighted nearest label texts by the sentence encoder, Q x L."""
        sentences, vectors_QE = self.by_encoder
        return sentences.like_labels(vectors_QE)

    @property
    def by_encoder(self) -> tuple[Sentences, Floats]:
        """What the sentence encoder knows; raises ValueError without one."""
        if self.sentences is None or self.vectors_QE is None:
            raise ValueError("features of a sentence encoder need one, got none: fit the model with text_encoder")
        return self.sentences, self.vectors_QE

    @cached_property
    def co_click_scores(self) -> CSR:
        """Co-click scores of the labels that have one, Q x L."""
        return self.co_clicks.scores(self.similar_labels)


def candidates(points: EncodedPoints, count: int, spare: int, co_click_weight: float, index: Index) -> TopLabels:
    """The `count` best labels of every point, or all where there are fewer, by model score and co-click bonus.

    index: inner-product search over the ensemble's classifiers; it is searched for `spare` labels more than wanted, and
    their scores are looked up again.
    """
    encoded_QD, classifiers_LD = points.encoded_QD, points.ensemble.classifiers_LD
    found_QK = index.search(encoded_QD, min(count + spare, index.ntotal))[1].astype(np.int32)
    query = np.repeat(np.arange(len(found_QK), dtype=np.int32), found_QK.shape[1])
    scores_QK = inner_products(encoded_QD, classifiers_LD, query, np.maximum(found_QK, 0).ravel())
    co_clicked = points.co_click_scores
    bonus = co_clicked._replace(data=co_click_bonus(co_clicked.data, co_click_weight))
    best = _best_with_bonus(found_QK, scores_QK.reshape(found_QK.shape), bonus, encoded_QD, classifiers_LD)
    return TopLabels(*(np.ascontiguousarray(each[:, :count]) for each in best))


def candidates_to_rank(points: EncodedPoints, count: int, spare: int, co_click_weight: float, index: Index) -> Rows:
    """Candidates for a ranker, sorted, Q x C: those of `candidates` and the VOTED labels of most votes; PAD ends rows.

    With a sentence encoder, those that its nearest titles vote for too.
    """
    scored_QC = candidates(points, count, spare, co_click_weight, index).labels_QK
    votes = [points.votes] if points.sentences is None else [points.votes, points.votes_of_sentences]
    voted = [most_voted(each, VOTED) for each in votes]
    nothing = np.full(len(scored_QC), PAD, np.int32)
    found: Rows = distinct_per_row(np.hstack([scored_QC, *voted]), nothing)
    return found


def co_click_bonus(scores: npt.NDArray[np.float32], weight: float) -> npt.NDArray[np.float32]:
    """What a co-click score adds to the model's score: weight * log(1 + score / FLOOR)."""
    return np.asarray(weight * np.log1p(scores / FLOOR), dtype=np.float32)


@numba.njit(parallel=True, cache=True)
def _best_with_bonus(
    found_QK: Rows, scores_QK: Floats, bonus: CSR, encoded_QD: Floats, classifiers_LD: Floats
) -> tuple[Rows, Floats]:
    """The K best of the labels found and of those with a bonus, Q x L, which is added to their inner product."""
    best_QK, best_scores_QK = np.full_like(found_QK, PAD), np.zeros_like(scores_QK)
    for query in numba.prange(len(found_QK)):
        start, end = bonus.indptr[query], bonus.indptr[query + 1]
        co_clicked = bonus.indices[start:end]
        others = _not_among(found_QK[query], co_clicked)
        labels = np.concatenate((co_clicked, found_QK[query][others]))
        scores = np.concatenate((bonus.data[start:end], scores_QK[query][others]))
        for i in range(len(co_clicked)):
            scores[i] += inner_product(encoded_QD[query], classifiers_LD[co_clicked[i]])
        best_of_row(labels, scores, best_QK[query], best_scores_QK[query])
    return best_QK, best_scores_QK


@numba.njit(cache=True)
def _not_among(labels: Rows, known: Rows) -> npt.NDArray[np.int64]:
    """The places of the labels, PAD apart, that are not known; known: sorted."""
    at = np.searchsorted(known, labels)
    new = labels != PAD
    for place in range(len(labels)):
        if at[place] < len(known) and known[at[place]] == labels[place]:
            new[place] = False
    return np.flatnonzero(new)
