"""The ranker's weights, learnt on training points that a first model did not see, so that none has clicks of its own.

On points that the model was trained on, its score would count for more than it is worth for new titles.
"""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats
from eclare.arrays.topk import PAD
from eclare.evaluation.metrics import inverse_propensities
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training
from eclare.ranker import Examples, Ranker, fit_ranker, ndcg, standard_error
from eclare.xc.candidates import EncodedPoints, candidates_to_rank
from eclare.xc.co_clicks import CoClickScores, own_label
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import FEATURES, OF_SENTENCES, entries, features_of
from eclare.xc.sentences import SentenceReader, Sentences

log = logging.getLogger(__name__)

CANDIDATES = 200  # of a point, ranked by the ranker
MOST_HELD_BACK = 20_000  # points; a few hundred weights need no more
FEWEST_HELD_BACK = 100  # points with clicks below which the weights would be chance
STEPS, POINTS_PER_STEP = 400, 64
RANKERS = 4
RARENESS = 0.35  # 0: a rare label counts like any other; 1: as in propensity-scored precision
NAMES = tuple(FEATURES)
WITH_SENTENCES = (*NAMES, *OF_SENTENCES)


class Gain(NamedTuple):
    """What features bring on held-back points: the mean difference in nDCG@10, and its standard error."""

    ndcg: float
    error: float

    @property
    def helps(self) -> bool:
        """Whether they bring more than chance does."""
        return self.ndcg > self.error


class Learnt(NamedTuple):
    """A ranker, None where there was too little to learn from; gain: of the sentence encoder, where there is one."""

    ranker: Ranker | None
    gain: Gain | None = None


def train_with_ranker(
    training: Training, config: RecommenderConfig, reader: SentenceReader | None = None
) -> tuple[Ensemble, Learnt]:
    """Hold back a share of the points, train a first model on the others, fit a ranker to the held-back clicks.

    training: the one of all points. It goes on from the first model, and each has half of the epochs, unless it starts
    from elsewhere or is of several models, which shall differ. No ranker where too few points are held back, or too few
    of them find a clicked label among their candidates. reader: of all points and labels; it too learns from the others
    alone.
    """
    held, kept = hold_back(training.clicks_NL, config)
    if len(held) < FEWEST_HELD_BACK:
        return training.ensemble(config.model), Learnt(None)
    goes_on = not training.starts and config.model.ensemble == 1
    each = in_halves(config.model) if goes_on else config.model
    first = training_of(kept, training, config)
    known = first.ensemble(replace(each, ensemble=1))
    read = reader.learn_without(held, training.clicks_NL, config) if reader else (None, None)
    learnt = _fit_ranker(HeldBack(held, training, first, known, *read), config)
    return (training.after(first, known) if goes_on else training).ensemble(each), learnt


def in_halves(config: ECLAREConfig) -> ECLAREConfig:
    """Of two trainings that are as long together."""
    halved = {name: math.ceil(getattr(config, name) / 2) for name in ("epochs", "halve_learning_rate_every")}
    return replace(config, **halved)


def training_of(kept: npt.NDArray[np.int64], training: Training, config: RecommenderConfig) -> Training:
    """The training of the points that are kept."""
    clicks_NL, texts = training.clicks_NL[kept], training.texts
    texts = Texts.of(texts.points_NV[kept], texts.labels_LV, build_label_graph(clicks_NL, config.model))
    checkpoints = training.checkpoints / "held_back" if training.checkpoints else None
    minutes = training.checkpoint_minutes
    return Training(clicks_NL, texts, training.device, checkpoints, checkpoint_minutes=minutes)


def _fit_ranker(points: "HeldBack", config: RecommenderConfig) -> Learnt:
    """With what a sentence encoder adds where that helps on the held-back points, and without it elsewhere."""
    plain, seed = points.examples(config, with_sentences=False), config.model.seed
    if (plain.relevance_QC > 0).any(axis=1).sum() < FEWEST_HELD_BACK:
        return Learnt(None)
    if points.sentences is None:
        return Learnt(mean_ranker(plain, NAMES, seed))
    beside = points.examples(config, with_sentences=True)
    gain = gain_of(beside, WITH_SENTENCES, NAMES, seed)
    log.info("%s", json.dumps({"sentence encoder": gain._asdict() | {"kept": gain.helps}}))
    chosen = (beside, WITH_SENTENCES) if gain.helps else (plain, NAMES)
    return Learnt(mean_ranker(*chosen, seed), gain)


@dataclass(frozen=True, eq=False)
class HeldBack:
    """Points that a first training did not see, its ensemble, and what a sentence encoder knows of its titles."""

    held: npt.NDArray[np.int64]
    training: Training
    first: Training
    known: Ensemble
    sentences: Sentences | None
    vectors_QE: Floats | None

    def examples(self, config: RecommenderConfig, *, with_sentences: bool) -> Examples:
        """Features of the candidates of every held-back point, and which of them it clicked."""
        points, index = self._points(with_sentences), self.known.quick_index
        labels_QC = candidates_to_rank(points, CANDIDATES, CANDIDATES, config.co_click_weight, index)
        labels_QC[entries(CSR.of(excluded_labels(points)), labels_QC) > 0] = PAD
        clicked_QC = entries(CSR.of(self.training.clicks_NL[self.held]), labels_QC)
        relevance_QC = clicked_QC * _rareness(self.training.clicks_NL)[labels_QC]
        names = WITH_SENTENCES if with_sentences else NAMES
        return Examples(features_of(points, labels_QC, names), relevance_QC, labels_QC != PAD)

    @cached_property
    def co_clicks(self) -> CoClickScores:
        """Of the points that the first training saw."""
        return CoClickScores.of(self.first.clicks_NL, self.first.texts.labels_LV, self.first.texts.points_NV)

    def _points(self, with_sentences: bool) -> EncodedPoints:
        of_encoder = (self.sentences, self.vectors_QE) if with_sentences else (None, None)
        return EncodedPoints(self.training.texts.points_NV[self.held], self.known, self.co_clicks, *of_encoder)


def _rareness(clicks_NL: sp.csr_matrix) -> Floats:
    """What finding a label counts: the rarer, the more, by a power of its inverse propensity."""
    return np.asarray(inverse_propensities(clicks_NL) ** RARENESS, np.float32)


def gain_of(examples: Examples, names: Sequence[str], fewer: Sequence[str], seed: int) -> Gain:
    """What features that `fewer` lacks bring on held-back points; each half is judged by the ranker of the other."""
    examples = examples.with_positives()
    is_even_Q = np.arange(len(examples)) % 2 == 0
    gained_Q = np.zeros(len(examples))
    for half in (is_even_Q, ~is_even_Q):
        learnt_from, judged = examples.where(~half), examples.where(half)
        with_all, without = (
            ndcg(mean_ranker(learnt_from.of(places), names_of, seed), judged.of(places))
            for names_of in (names, fewer)
            for places in [[names.index(name) for name in names_of]]
        )
        gained_Q[half] = with_all - without
    return Gain(float(gained_Q.mean()), float(standard_error(gained_Q)))


def mean_ranker(examples: Examples, names: Sequence[str], seed: int) -> Ranker:
    """The mean of RANKERS, as one network: a single one differs by half a point with where it starts.

    Every other one of them is not shown what a sentence encoder adds: a point is held back from half of the clicks, so
    what needs no clicks looks better there than it will be beside all of them.
    """
    added = [name for name in names if name in OF_SENTENCES]
    hidden = examples.hiding([names.index(name) for name in added]) if added else examples
    fitted = []
    for start in range(RANKERS):
        is_shown = start % 2 == 1
        ranker = fit_ranker([examples if is_shown else hidden], names, seed + start, STEPS, POINTS_PER_STEP)
        fitted.append(ranker if is_shown else ranker.without(added))
    mean = fitted[0]
    for count, ranker in enumerate(fitted[1:], start=2):
        mean = ranker.shrunk_to(mean, 1 / count)
    return mean


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
    own_QL, own_NL = (own_label(co_clicks.labels_LV, each) for each in (points.features_QV, co_clicks.points_NV))
    clicked_by_LL = own_NL.T @ co_clicks.clicks_NL
    return sp.csr_matrix(own_QL @ clicked_by_LL.T + own_QL)
