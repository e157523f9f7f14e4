"""Why a label was recommended: the sessions of both, how the model sees it, its graph neighbours, its score's parts."""

from dataclasses import dataclass

import numpy as np

from eclare.arrays.csr import CSRStack
from eclare.arrays.products import keep_heaviest, look_up
from eclare.arrays.topk import PAD
from eclare.model.inference import Floats, Rows, attention_of
from eclare.related.answers import Answers
from eclare.related.backtest import Ranked
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.score_parts import score_parts

NEIGHBOURS = 3


@dataclass(frozen=True, eq=False)
class Reasons:
    """One row for every recommended pair E, by query and rank.

    sessions_E: of the window that held both; age_E: days since the last of them, -1 where there is none. attention_EZ:
    weight of each of the label's `views`. neighbours_EM: labels nearest to it in the label graph, PAD where there
    are fewer, and edges_EM their weights. parts_EG: what its score is made of (score_parts.PARTS), NaN where the model
    did not rank it.
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


def reasons_of(answers: Answers, ranked: Ranked, labels_PR: Rows, scores_PR: Floats) -> Reasons:
    """Why all P products have these labels; ranked: what `answers` said of them before the lists were chosen."""
    products, labels_PR = np.arange(len(labels_PR), dtype=np.int32), np.ascontiguousarray(labels_PR)
    queries, places = np.nonzero(labels_PR != PAD)
    labels = labels_PR[queries, places]
    met = _met(answers.pairs, products, labels_PR)[queries, places]
    ranker = answers.ensemble.members[0].classifier
    neighbours, edges = _neighbours(answers)
    return Reasons(
        queries.astype(np.int32),
        labels,
        met[:, 0],
        np.where(met[:, 0] > 0, met[:, 1], -1).astype(np.int32),
        tuple(answers.ensemble.config.views),
        attention_of(ranker.model, ranker.texts)[labels],
        neighbours[labels],
        edges[labels],
        score_parts(answers, ranked, labels_PR, scores_PR)[queries, places],
    )


def _met(pairs: Cooccurrence, products: Rows, labels_PR: Rows) -> Floats:
    """The sessions of every pair and the age of the last one, P x R x 2."""
    together, dated = pairs.together(), pairs.pairs
    youngest = np.minimum.reduceat(dated.age_E, dated.starts) if len(dated.key_E) else np.zeros(0)
    data = np.column_stack([together.data, youngest]).astype(np.float32)
    met: Floats = look_up(CSRStack(together.indptr.astype(np.int32), together.indices, data), products, labels_PR)
    return met


def _neighbours(answers: Answers) -> tuple[Rows, Floats]:
    """The heaviest edges of every label but that to itself, L x NEIGHBOURS, heaviest first."""
    edges = answers.ensemble.members[0].classifier.texts.edges_LL.copy()
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
