"""Why a product was recommended: sessions of both, how the model sees it, its graph neighbours, the score's parts."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eclare.arrays.csr import CSRStack, Floats, Rows
from eclare.arrays.products import keep_heaviest, look_up
from eclare.arrays.topk import PAD
from eclare.model.ensemble import Ensemble
from eclare.model.inference import CHUNK, attention_of
from eclare.model.prefetch import ahead
from eclare.ranker import Ranker
from eclare.related.features import CandidateSet, groups_of
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


def reasons_of(
    snapshot: Snapshot, ranker: Ranker, ranked: Ranked, labels_PR: Rows, scores_PR: Floats
) -> Iterator[Reasons]:
    """Why all P products have these labels, CHUNK products at a time.

    ranked: the labels that the ranker gave them before the lists were chosen.
    """
    met_PP, trained = _met(snapshot), snapshot.ensemble.members[0].classifier
    attention_LZ = attention_of(trained.model, trained.texts)
    neighbours_LM, edges_LM = _neighbours(snapshot.ensemble)

    def explain(start: int) -> Reasons:
        chunk = slice(start, start + CHUNK)
        products, labels_QR = np.arange(len(labels_PR), dtype=np.int32)[chunk], np.ascontiguousarray(labels_PR[chunk])
        published = CandidateSet(snapshot, products, labels_QR, ranked.log_partition_Q[chunk])
        parts = score_parts(published, ranker, ranked.of(chunk), scores_PR[chunk])
        queries, places = np.nonzero(labels_QR != PAD)
        labels, met = labels_QR[queries, places], look_up(met_PP, products, labels_QR)[queries, places]
        return Reasons(
            products[queries],
            labels,
            met[:, 0],
            np.where(met[:, 0] > 0, met[:, 1], -1).astype(np.int32),
            tuple(snapshot.ensemble.config.views),
            attention_LZ[labels],
            neighbours_LM[labels],
            edges_LM[labels],
            parts[queries, places],
        )

    yield from ahead(explain, iter(range(0, len(labels_PR), CHUNK)), first_alone=True)


def score_parts(published: CandidateSet, ranker: Ranker, ranked: Ranked, scores_QR: Floats) -> Floats:
    """The features.SCORE_PARTS of the scores of published labels, Q x R x parts; they sum to the score.

    ranked: what the ranker gave the same queries. base: the score of a pair that is average in everything; rules: what
    choosing the list took off or added. NaN for a label that was not ranked.
    """
    features_QRF = published.features_QCF
    was_ranked, ranked_scores = _look_up(ranked.labels_QK, ranked.scores_QK, published.products_QC)
    of_ranker = ranker.parts(
        features_QRF.reshape(-1, features_QRF.shape[-1]), list(groups_of(ranker.features).values())
    )
    of_ranker = of_ranker.reshape(*scores_QR.shape, of_ranker.shape[1])
    parts = np.concatenate([of_ranker, (scores_QR - ranked_scores)[..., None]], axis=2, dtype=np.float32)
    parts[~was_ranked] = np.nan
    return parts


def _look_up(labels_QK: Rows, scores_QK: Floats, wanted_QR: Rows) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which of the wanted labels were ranked, and their scores, Q x R."""
    same = (wanted_QR[:, :, None] == labels_QK[:, None, :]) & (wanted_QR != PAD)[:, :, None]
    return same.any(axis=2), np.take_along_axis(scores_QK, same.argmax(axis=2), axis=1)


def _met(snapshot: Snapshot) -> CSRStack:
    """The sessions of every pair and the age of the last one, P x P x 2."""
    together, dated = snapshot.shared_PP, snapshot.cooccurrence.counts
    youngest = np.minimum.reduceat(dated.age_E, dated.starts) if len(dated.key_E) else np.zeros(0)
    data = np.column_stack([together.data, youngest]).astype(np.float32)
    return CSRStack.of(together, data)


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
