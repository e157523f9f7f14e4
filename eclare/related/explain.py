"""Why a product was recommended: sessions of both, how the model sees it, its graph neighbours, the score's parts."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import CSRStack, Floats, Rows
from eclare.arrays.products import keep_heaviest, look_up
from eclare.arrays.topk import PAD
from eclare.model.ensemble import Ensemble
from eclare.model.inference import CHUNK, attention_of
from eclare.ranker import Ranker
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import GROUPS, SCORE_PARTS, CandidateSet
from eclare.related.ranking import Ranked
from eclare.related.snapshot import Snapshot

NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class Reasons:
    """One row for every recommended pair E, by query and rank.

    sessions_E: of the window that held both; age_E: days since the last of them, -1 where there is none. attention_EZ:
    weight of each of the label's `views`. neighbours_EM: labels nearest to it in the label graph, PAD where there
    are fewer, and edges_EM their weights. parts_EG: what its score is made of, by features.SCORE_PARTS; NaN where the
    ranker did not score it.
    """

    queries_E: Rows
    labels_E: Rows
    sessions_E: Floats
    age_E: Rows
    views: tuple[str, ...]
    attention_EZ: Floats
    neighbours_EM: Rows
    edges_EM: Floats
    parts_EG: Floats

    def __len__(self) -> int:
        return len(self.queries_E)


def reasons_of(snapshot: Snapshot, ranker: Ranker, ranked: Ranked, labels_PR: Rows, scores_PR: Floats) -> Reasons:
    """Why all P products have these labels; ranked: those that the ranker gave them before the lists were chosen."""
    products, labels_PR = np.arange(len(labels_PR), dtype=np.int32), np.ascontiguousarray(labels_PR)
    queries, places = np.nonzero(labels_PR != PAD)
    labels = labels_PR[queries, places]
    met = _met(snapshot.cooccurrence, products, labels_PR)[queries, places]
    trained = snapshot.ensemble.members[0].classifier
    neighbours, edges = _neighbours(snapshot.ensemble)
    return Reasons(
        queries.astype(np.int32),
        labels,
        met[:, 0],
        np.where(met[:, 0] > 0, met[:, 1], -1).astype(np.int32),
        tuple(snapshot.ensemble.config.views),
        attention_of(trained.model, trained.texts)[labels],
        neighbours[labels],
        edges[labels],
        score_parts(snapshot, ranker, ranked, labels_PR, scores_PR)[queries, places],
    )


def score_parts(snapshot: Snapshot, ranker: Ranker, ranked: Ranked, labels_PR: Rows, scores_PR: Floats) -> Floats:
    """The SCORE_PARTS of the published scores of all P products, P x R x parts; they sum to the score.

    base: the score of a pair that is average in everything; rules: what choosing the list took off or added. NaN for a
    label that was not ranked.
    """
    parts = np.full((*labels_PR.shape, len(SCORE_PARTS)), np.nan, np.float32)
    for start in range(0, len(labels_PR), CHUNK):
        chunk = slice(start, start + CHUNK)
        queries, labels = np.arange(len(labels_PR), dtype=np.int32)[chunk], np.ascontiguousarray(labels_PR[chunk])
        was_ranked, ranked_scores = _look_up(ranked.labels_QK[chunk], ranked.scores_QK[chunk], labels)
        features = CandidateSet(snapshot, queries, labels, ranked.log_partition_Q[chunk]).features_QCF
        of_ranker = ranker.parts(features.reshape(-1, features.shape[-1]), list(GROUPS.values()))
        parts[chunk, :, :-1] = of_ranker.reshape(*labels.shape, of_ranker.shape[1])
        parts[chunk, :, -1] = scores_PR[chunk] - ranked_scores
        parts[chunk][~was_ranked] = np.nan
    return parts


def _look_up(labels_QK: Rows, scores_QK: Floats, wanted_QR: Rows) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which of the wanted labels were ranked, and their scores, Q x R."""
    same = (wanted_QR[:, :, None] == labels_QK[:, None, :]) & (wanted_QR != PAD)[:, :, None]
    return same.any(axis=2), np.take_along_axis(scores_QK, same.argmax(axis=2), axis=1)


def _met(cooccurrence: Cooccurrence, products: Rows, labels_PR: Rows) -> Floats:
    """The sessions of every pair and the age of the last one, P x R x 2."""
    together, dated = cooccurrence.matrix(), cooccurrence.counts
    youngest = np.minimum.reduceat(dated.age_E, dated.starts) if len(dated.key_E) else np.zeros(0)
    data = np.column_stack([together.data, youngest]).astype(np.float32)
    return look_up(CSRStack.of(together, data), products, labels_PR)


def _neighbours(ensemble: Ensemble) -> tuple[Rows, Floats]:
    """The heaviest edges of every label but that to itself, L x NEIGHBOURS, heaviest first."""
    edges = ensemble.texts.edges_LL.copy()
    edges.setdiag(0)
    edges.eliminate_zeros()
    kept = keep_heaviest(edges.tocsr(), NEIGHBOURS)
    labels = np.full((kept.shape[0], NEIGHBOURS), PAD, np.int32)
    weights = np.zeros(labels.shape, np.float32)
    row = np.repeat(np.arange(len(labels)), np.diff(kept.indptr))
    order = np.lexsort((kept.indices, -kept.data, row))
    place = np.arange(len(row)) - kept.indptr[row]
    labels[row, place], weights[row, place] = kept.indices[order], kept.data[order]
    return labels, weights
