"""The ranker's weights, learnt on training points that a first model did not see, so that none has clicks of its own.

On points that the model was trained on, its score would count for more than it is worth for new titles.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR
from eclare.arrays.knn import Nearest
from eclare.arrays.products import sampled_product
from eclare.arrays.topk import PAD
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training
from eclare.ranker import Examples, Ranker, fit_ranker
from eclare.xc.candidates import EncodedPoints, candidates
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import FEATURES, features_of

CANDIDATES = 200  # of a point, ranked by the ranker
MOST_HELD_BACK = 20_000  # points; a few hundred weights need no more
FEWEST_HELD_BACK = 100  # points with clicks below which the weights would be chance
STEPS, POINTS_PER_STEP = 400, 64
SAME_TITLE = 0.999  # cosine of two titles of one product


def train_with_ranker(training: Training, config: RecommenderConfig) -> tuple[Ensemble, Ranker | None]:
    """Hold back a share of the points, train a first model on the others, fit a ranker to the held-back clicks.

    training: the one of all points. It goes on from the first model, and each has half of the epochs, unless it starts
    from elsewhere or is of several models, which shall differ. No ranker where too few points are held back, or too few
    of them find a clicked label among their candidates.
    """
    held, kept = hold_back(training.clicks_NL, config)
    if len(held) < FEWEST_HELD_BACK:
        return training.ensemble(config.model), None
    goes_on = not training.starts and config.model.ensemble == 1
    each = in_halves(config.model) if goes_on else config.model
    first = _training_of(kept, training, config)
    known = first.ensemble(replace(each, ensemble=1))
    ranker = _fit_ranker(held, training, first, known, config)
    return (training.after(first, known) if goes_on else training).ensemble(each), ranker


def in_halves(config: ECLAREConfig) -> ECLAREConfig:
    """Of two trainings that are as long together."""
    halved = {name: math.ceil(getattr(config, name) / 2) for name in ("epochs", "halve_learning_rate_every")}
    return replace(config, **halved)


def _training_of(kept: npt.NDArray[np.int64], training: Training, config: RecommenderConfig) -> Training:
    clicks_NL, texts = training.clicks_NL[kept], training.texts
    texts = Texts.of(texts.points_NV[kept], texts.labels_LV, build_label_graph(clicks_NL, config.model))
    checkpoints = training.checkpoints / "held_back" if training.checkpoints else None
    minutes = training.checkpoint_minutes
    return Training(clicks_NL, texts, training.device, checkpoints, checkpoint_minutes=minutes)


def _fit_ranker(
    held: npt.NDArray[np.int64], training: Training, first: Training, known: Ensemble, config: RecommenderConfig
) -> Ranker | None:
    """known: what the first training ended with."""
    co_clicks = CoClickScores.of(first.clicks_NL, first.texts.labels_LV, first.texts.points_NV)
    points = EncodedPoints(training.texts.points_NV[held], known, co_clicks)
    labels_QC, _ = candidates(points, CANDIDATES, CANDIDATES, config.co_click_weight, known.quick_index)
    labels_QC[_at(excluded_labels(points), labels_QC) > 0] = PAD
    relevance_QC = _at(training.clicks_NL[held], labels_QC)
    if (relevance_QC > 0).any(axis=1).sum() < FEWEST_HELD_BACK:
        return None
    examples = Examples(features_of(points, labels_QC), relevance_QC, labels_QC != PAD)
    return fit_ranker([examples], list(FEATURES), config.model.seed, STEPS, POINTS_PER_STEP)


def hold_back(
    clicks_NL: sp.csr_matrix, config: RecommenderConfig
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Points with clicks that are held back, and all others, both sorted."""
    clicked = np.flatnonzero(np.diff(clicks_NL.indptr))
    count = min(int(config.held_back_share * len(clicked)), MOST_HELD_BACK)
    held = np.sort(np.random.default_rng(config.model.seed).permutation(clicked)[:count])
    return held, np.setdiff1d(np.arange(clicks_NL.shape[0]), held)


def excluded_labels(points: EncodedPoints) -> sp.csr_matrix:
    """Labels that count nowhere for a point, Q x L, positive: its own product, and those whose own points clicked it.

    As in the repository's test protocol (filter_labels_test.txt); products are known by their title.
    """
    co_clicks = points.co_clicks
    own_QL, own_NL = (_own_label(co_clicks.labels_LV, each) for each in (points.features_QV, co_clicks.points_NV))
    clicked_by_LL = own_NL.T @ co_clicks.clicks_NL
    return sp.csr_matrix(own_QL @ clicked_by_LL.T + own_QL)


def _own_label(labels_LV: sp.csr_matrix, points_QV: sp.csr_matrix) -> sp.csr_matrix:
    """1 at the label with the same title as the point, Q x L."""
    label_Q1, cosine_Q1 = Nearest(labels_LV).to(points_QV, 1, SAME_TITLE)
    query = np.flatnonzero(cosine_Q1[:, 0] > 0)
    ones = np.ones(len(query), np.float32)
    return sp.csr_matrix((ones, (query, label_Q1[query, 0])), shape=(len(label_Q1), labels_LV.shape[0]))


def _at(matrix_QL: sp.csr_matrix, labels_QC: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Entries of every row at its own labels, Q x C; 0 for PAD."""
    identity = CSR.of(sp.identity(matrix_QL.shape[0], np.float32, format="csr"))
    return np.asarray(sampled_product(identity, CSR.of(matrix_QL), labels_QC))
