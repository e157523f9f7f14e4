"""Whether the parts of words help in a catalogue: look-ups of points held back, with and without them, nothing trained.

Compounds and inflected words need their parts; where words say it all these are noise, and several times the tokens.
"""

import logging
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import rows_of
from eclare.arrays.knn import Nearest, shares
from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.tokens import words_of
from eclare.arrays.topk import best_per_row
from eclare.evaluation.metrics import point_metrics
from eclare.model.config import ECLAREConfig

log = logging.getLogger("eclare")

FOLDS, MOST_POINTS, FEWEST_POINTS = 5, 5_000, 100
NEIGHBOURS, LEAST_COSINE, SHARPNESS = 20, 0.1, 4  # titles whose clicks are looked up, and the power of their cosine
K = 10  # of nDCG
LEAST_GAIN = 0.05  # a share: a look-up of a wholesaler's plain words gains 0.04, of which training makes a small loss


class WordParts(NamedTuple):
    """Whether they are used, and what they add to the nDCG@10 of look-ups, as a share of it, and its standard error.

    nan where the configuration decided, or too few points could be asked.
    """

    used: bool
    gain: float = float("nan")
    error: float = float("nan")

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> "WordParts | None":
        """What `described` said; None where nothing was."""
        if "word_parts" not in described:
            return None
        return cls(bool(described["word_parts"]), described.get("word_parts_gain", float("nan")))

    @property
    def described(self) -> dict[str, float]:
        """What an artefact keeps of the choice: the gain where one was measured."""
        measured = {} if isnan(self.gain) else {"word_parts_gain": round(self.gain, 4)}
        return {"word_parts": int(self.used)} | measured


def vocabulary_for(
    titles: Sequence[str], points_N: Sequence[str], clicks_NL: sp.csr_matrix, config: ECLAREConfig
) -> tuple[Vocabulary, WordParts]:
    """The tokens of all titles, parts of words among them where `choose_word_parts` wants these for the points."""
    parts = choose_word_parts(points_N, clicks_NL, config)
    return Vocabulary.of(titles, word_pairs=config.word_pairs, word_parts=parts.used), parts


def choose_word_parts(titles_N: Sequence[str], clicks_NL: sp.csr_matrix, config: ECLAREConfig) -> WordParts:
    """As the configuration says; with "auto", used where they gain LEAST_GAIN and more than the standard error.

    titles_N, clicks_NL: the points that are trained on; MOST_POINTS of them with clicks are drawn. Each is asked by the
    titles of the other folds: the clicks of the nearest. Of two that differ by less than a standard error the simpler
    is taken, a rule of Breiman et al. (1984).
    """
    if config.word_parts != "auto":
        return WordParts(config.word_parts == "yes")
    clicked = np.flatnonzero(np.diff(clicks_NL.indptr))
    drawn = np.random.default_rng(config.seed).permutation(clicked)[:MOST_POINTS]
    if len(drawn) < FEWEST_POINTS:
        return WordParts(False)
    titles, clicks = [titles_N[point] for point in drawn], clicks_NL[drawn]
    if not any(map(words_of, titles)):
        return WordParts(False)
    without, with_parts = (_ndcg(titles, clicks, config.word_pairs, word_parts) for word_parts in (False, True))
    gain_N = (with_parts - without) / max(without.mean(), 1e-9)
    gain, error = float(gain_N.mean()), float(gain_N.std() / len(gain_N) ** 0.5)
    chosen = WordParts(gain > max(error, LEAST_GAIN), gain, error)
    log.info(
        "parts of words are %s: nDCG@%d of looking up %s held-back titles changes by %+.1f%% (standard error %.1f%%)",
        "used" if chosen.used else "not used", K, f"{len(titles):,}", 100 * gain, 100 * error,
    )  # fmt: skip
    return chosen


def _ndcg(
    titles: Sequence[str], clicks_NL: sp.csr_matrix, word_pairs: bool, word_parts: bool
) -> npt.NDArray[np.float64]:
    """nDCG of every point, N."""
    features_NV = Vocabulary.of(titles, word_pairs=word_pairs, word_parts=word_parts).features(titles)
    fold_N, ndcg_N = np.arange(len(titles)) % FOLDS, np.zeros(len(titles))
    for fold in range(FOLDS):
        held, kept = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        near = shares(Nearest(features_NV[kept]).to(features_NV[held], NEIGHBOURS, LEAST_COSINE), SHARPNESS)
        near_QN = sp.csr_matrix((near.data, near.indices, near.indptr), shape=(len(held), len(kept)))
        ndcg_N[held] = _ndcg_of(sp.csr_matrix(near_QN @ clicks_NL[kept]), clicks_NL[held])
    return ndcg_N


def _ndcg_of(scores_QL: sp.csr_matrix, truth_QL: sp.csr_matrix) -> npt.NDArray[np.float64]:
    """nDCG@K of each row; every label of the truth counts the same, and each row has one."""
    labels_QK, _ = best_per_row(rows_of(scores_QL), scores_QL.indices, scores_QL.data, scores_QL.shape[0], K)
    found = point_metrics(labels_QK, truth_QL, np.ones(truth_QL.shape[1]), (K,))
    return next(each.earned_N for each in found if each.name == "nDCG")
