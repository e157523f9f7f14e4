"""One night's ranking: candidates -> features -> ranker; re-ranking into lists follows (rerank)."""

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.topk import PAD, best_of_rows
from eclare.ranker import Ranker
from eclare.related.candidates import candidates_of
from eclare.related.features import CandidateSet
from eclare.related.snapshot import Snapshot

CHUNK = 1024  # queries in memory at a time


class Ranked(NamedTuple):
    """The k best products of every query and their scores, Q x k, best first; PAD, with score 0, where there are fewer.

    log_partition_Q: what the model's shares were taken of, so that a score can be explained later.
    """

    labels_QK: Rows
    scores_QK: Floats
    log_partition_Q: Floats


def rank(snapshot: Snapshot, ranker: Ranker, queries: Rows, k: int) -> Ranked:
    """The k best allowed products for every query, ties by lower row."""
    labels_QK, scores_QK = np.full((len(queries), k), PAD, np.int32), np.zeros((len(queries), k), np.float32)
    log_partition_Q = np.zeros(len(queries), np.float32)
    for start in tqdm(range(0, len(queries), CHUNK), desc="rank", unit="chunk", disable=None):
        chunk = slice(start, start + CHUNK)
        candidates = CandidateSet(snapshot, queries[chunk], candidates_of(snapshot, queries[chunk], k))
        scores_QC = ranker.scores(candidates.features_QCF)
        labels_QK[chunk], scores_QK[chunk] = best_of_rows(candidates.products_QC, scores_QC, k)
        log_partition_Q[chunk] = candidates.log_partition()
    return Ranked(labels_QK, scores_QK, log_partition_Q)
