"""What a published score is made of: parts that a person would name, which sum to it."""

import numpy as np
import numpy.typing as npt

from eclare.arrays.topk import PAD
from eclare.model.inference import CHUNK, Floats, Rows
from eclare.related.answers import Answers
from eclare.related.backtest import Ranked
from eclare.related.features import NAMES
from eclare.xc.co_clicks import bonus_of

GROUPS = {
    "co-clicks": [name for name in NAMES if name.startswith("together")],
    "popularity": [*(name for name in NAMES if name.startswith("popularity")), "history"],
    "like products": ["over one more product", "similar queries", "similar answers", "similar both"],
    "titles": ["same words"],
    "model": ["model"],
}
PLACES = [[NAMES.index(name) for name in names] for names in GROUPS.values()]
PARTS = (*GROUPS, "base", "rules")


def score_parts(answers: Answers, ranked: Ranked, labels_PR: Rows, scores_PR: Floats) -> Floats:
    """The PARTS of the published scores of all P products, P x R x PARTS.

    ranked: the answers to all of them. base: the score of a pair that is average in everything; rules: what choosing
    the list took off or added. NaN for a label that was not ranked, and for parts that there are not without learnt
    weights.
    """
    parts = np.full((*labels_PR.shape, len(PARTS)), np.nan, np.float32)
    for start in range(0, len(labels_PR), CHUNK):
        chunk = slice(start, start + CHUNK)
        queries, labels = np.arange(len(labels_PR), dtype=np.int32)[chunk], np.ascontiguousarray(labels_PR[chunk])
        there, ranked_scores = _found(ranked.labels_QK[chunk], ranked.scores_QK[chunk], labels)
        if answers.fusion is not None and ranked.log_partition_Q is not None:
            signals = answers.signals.of(queries, labels, ranked.log_partition_Q[chunk])
            flat = answers.fusion.parts(signals.reshape(-1, len(NAMES)), PLACES)
            of_chunk = flat.reshape(*labels.shape, flat.shape[1])
        else:
            of_chunk = _parts_of_sum(answers, queries, labels, ranked_scores)
        parts[chunk, :, :-1] = of_chunk
        parts[chunk, :, -1] = scores_PR[chunk] - ranked_scores
        parts[chunk][~there] = np.nan
    return parts


def _found(labels_QK: Rows, scores_QK: Floats, wanted_QR: Rows) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which of the wanted labels were ranked, and their scores, Q x R."""
    same = (wanted_QR[:, :, None] == labels_QK[:, None, :]) & (wanted_QR != PAD)[:, :, None]
    return same.any(axis=2), np.take_along_axis(scores_QK, same.argmax(axis=2), axis=1)


def _parts_of_sum(answers: Answers, queries: Rows, labels_QR: Rows, scores_QR: Floats) -> Floats:
    """Without learnt weights: a bonus for co-clicks, and the rest is the model's."""
    parts = np.full((*labels_QR.shape, len(PARTS) - 1), np.nan, np.float32)
    bonus_QR, config = np.zeros_like(scores_QR), answers.ensemble.config
    if answers.evidence is not None and config.evidence_weight:
        bonus = bonus_of(answers.evidence.co_clicks(answers.titles_PV[queries], queries), config)
        query, place = np.nonzero(labels_QR != PAD)
        bonus_QR[query, place] = np.asarray(bonus[query, labels_QR[query, place]]).ravel()
    parts[..., PARTS.index("co-clicks")], parts[..., PARTS.index("base")] = bonus_QR, 0
    parts[..., PARTS.index("model")] = scores_QR - bonus_QR
    return parts
