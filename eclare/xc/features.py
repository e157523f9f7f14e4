"""The last word on a shortlist: what the model, the clicks of similar titles and the titles say, weighed together.

The weights are learnt on training points that a first training holds back, so they know what each signal is worth for
titles without clicks of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from tqdm import tqdm

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.knn import Nearest
from eclare.arrays.products import sampled_product
from eclare.arrays.topk import PAD, best_of_rows
from eclare.model.beam_search import top_labels
from eclare.model.config import ECLAREConfig
from eclare.model.ensemble import Ensemble
from eclare.model.inference import CHUNK, inner_products, log_shares, with_bonus
from eclare.ranker import Examples, Ranker, fit_ranker
from eclare.xc.co_clicks import CoClickScores, Neighbours, bonus_of

NAMES = ("model", "shared points", "history", "clicks of like points", "same words", "popularity")
CANDIDATES = 200  # best labels of the model and of the evidence that are ranked again
MOST_HELD_BACK = 20_000  # points; a few hundred weights need no more
FEWEST_HELD_BACK = 100  # points with clicks below which the weights would be chance
STEPS, POINTS_PER_STEP = 400, 64
COUNT_FLOOR, SHARE_FLOOR = 0.1, 1e-3  # what is added before the logarithm
SAME = 0.999  # cosine of titles that are one product's

Learn = Callable[[sp.csr_matrix, sp.csr_matrix], Ensemble]  # from clicks and features of some points


@dataclass(frozen=True, eq=False)
class Reranker:
    """A trained ensemble, its evidence, and the fusion of both; without a fusion, evidence adds a fixed bonus."""

    ensemble: Ensemble
    evidence: CoClickScores
    fusion: Ranker | None

    def top_labels(self, points_NV: sp.csr_matrix, k: int) -> tuple[Rows, Floats]:
        """The k best labels of every point and their scores, N x k, best first; PAD where there are fewer."""
        if self.fusion is None:
            everything = np.ones(self.evidence.titles_LV.shape[0], bool)
            return top_labels(self.ensemble, points_NV, k, everything, evidence=self.evidence)
        found = []
        for start in tqdm(range(0, points_NV.shape[0], CHUNK), desc="recommend", unit="chunk", disable=None):
            known = self.known(points_NV[start : start + CHUNK])
            found.append(self.ranked(known, self.candidates(known, max(CANDIDATES, 2 * k)), k))
        return np.concatenate([labels for labels, _ in found]), np.concatenate([scores for _, scores in found])

    def known(self, points_NV: sp.csr_matrix) -> "Known":
        """Points encoded, and who speaks for them."""
        return Known(points_NV, self.ensemble.encode(points_NV), self.evidence.neighbours(points_NV))

    def candidates(self, known: "Known", count: int) -> Rows:
        """The labels that model and evidence together score highest, N x C, PAD where there are fewer.

        Twice as many are looked up, so that an index of rounded classifiers loses next to none.
        """
        index, classifiers_LD = self.ensemble.quick_index, self.ensemble.classifiers_LD
        found_NC = index.search(known.encoded_ND, min(2 * count, index.ntotal))[1].astype(np.int32)
        scores_NC = self._scores(known, found_NC)
        co_clicks = sp.csr_matrix(self.evidence.over_labels(known.neighbours.labels) @ self.evidence.co_clicks_LL)
        bonus = CSR.of(bonus_of(co_clicks, self.ensemble.config))
        best, _ = with_bonus(found_NC, scores_NC, bonus, known.encoded_ND, classifiers_LD)
        return np.ascontiguousarray(best[:, :count])

    def ranked(self, known: "Known", labels_NC: Rows, k: int) -> tuple[Rows, Floats]:
        """The k best of the candidates of every point by the fusion of their signals."""
        if self.fusion is None:
            raise ValueError("this recommender has no fusion: it was trained with too few points or without")
        best: tuple[Rows, Floats] = best_of_rows(labels_NC, self.fusion.scores(self.signals(known, labels_NC)), k)
        return best

    def signals(self, known: "Known", labels_NC: Rows) -> Floats:
        """What is known of every candidate, N x C x F in the order of NAMES; PAD as if nobody knew it."""
        evidence, (similar, near) = self.evidence, known.neighbours
        history_N = sampled_product(similar, evidence.parts_of_history, np.zeros((len(labels_NC), 1), np.int32))
        there = labels_NC != PAD
        signals = np.empty((*labels_NC.shape, len(NAMES)), np.float32)
        signals[..., 0] = log_shares(known.encoded_ND, self.ensemble.classifiers_LD, labels_NC)
        signals[..., 1] = np.log(sampled_product(similar, evidence.parts_of_shared, labels_NC) + COUNT_FLOOR)
        signals[..., 2] = np.log(history_N + COUNT_FLOOR)
        signals[..., 3] = np.log(sampled_product(near, evidence.parts_of_clicks, labels_NC) + SHARE_FLOOR)
        signals[..., 4] = sampled_product(CSR.of(known.points_NV), evidence.parts_of_words, labels_NC)
        signals[..., 5] = np.log(np.where(there, evidence.popularity_L[labels_NC], 0) + COUNT_FLOOR)
        return signals

    def _scores(self, known: "Known", labels_NC: Rows) -> Floats:
        """The model's inner products."""
        row = np.repeat(np.arange(len(labels_NC), dtype=np.int32), labels_NC.shape[1])
        scores = inner_products(known.encoded_ND, self.ensemble.classifiers_LD, row, np.maximum(labels_NC, 0).ravel())
        return np.asarray(scores.reshape(labels_NC.shape))


class Known(NamedTuple):
    """Points as features N x V, encoded N x D, and the labels and points with titles like theirs."""

    points_NV: sp.csr_matrix
    encoded_ND: Floats
    neighbours: Neighbours


def learn_ranker(
    clicks_NL: sp.csr_matrix, points_NV: sp.csr_matrix, labels_LV: sp.csr_matrix, config: ECLAREConfig, learn: Learn
) -> Ranker | None:
    """Hold back a share of the points, learn from the others, and see what would have found the held-back clicks.

    A held-back product itself and labels whose own points clicked it are no candidates: those pairs need no learning.
    None where there are too few points.
    """
    held, kept = held_back(clicks_NL, config)
    if len(held) < FEWEST_HELD_BACK:
        return None
    evidence = CoClickScores.of(clicks_NL[kept], labels_LV, points_NV[kept])
    blind = Reranker(learn(clicks_NL[kept], points_NV[kept]), evidence, None)
    known = blind.known(points_NV[held])
    labels_NC = blind.candidates(known, CANDIDATES)
    each = CSR.of(sp.identity(len(held), np.float32, format="csr"))
    labels_NC[sampled_product(each, CSR.of(_known_pairs(evidence, points_NV[held])), labels_NC) > 0] = PAD
    right = sampled_product(each, CSR.of(clicks_NL[held]), labels_NC)
    examples = Examples(blind.signals(known, labels_NC), right, labels_NC != PAD).with_positives()
    if len(examples.relevance_QC) < FEWEST_HELD_BACK:
        return None
    return fit_ranker([examples], NAMES, config.seed, STEPS, POINTS_PER_STEP)


def held_back(clicks_NL: sp.csr_matrix, config: ECLAREConfig) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Points with clicks that are held back, and all others, both sorted."""
    clicked = np.flatnonzero(np.diff(clicks_NL.indptr))
    count = min(int(config.held_back_share * len(clicked)), MOST_HELD_BACK)
    held = np.sort(np.random.default_rng(config.seed).permutation(clicked)[:count])
    return held, np.setdiff1d(np.arange(clicks_NL.shape[0]), held)


def _known_pairs(evidence: CoClickScores, points_QV: sp.csr_matrix) -> sp.csr_matrix:
    """The label that is the product of each point, and the labels whose own points clicked it, Q x L; 0: unknown.

    Products are known by their title.
    """
    labels = evidence.titles_LV.shape[0]
    titles = Nearest(evidence.titles_LV)
    own_of_query, own_of_point = (
        _own_label(titles.to(points, 1, SAME), labels) for points in (points_QV, evidence.points_NV)
    )
    clicked_by_LL = own_of_point.T @ evidence.clicks_NL
    return sp.csr_matrix(own_of_query @ clicked_by_LL.T + own_of_query)


def _own_label(found: tuple[Rows, Floats], labels: int) -> sp.csr_matrix:
    label, cosine = found[0][:, 0], found[1][:, 0]
    row = np.flatnonzero(cosine > 0)
    return sp.csr_matrix((np.ones(len(row), np.float32), (row, label[row])), shape=(len(label), labels))
