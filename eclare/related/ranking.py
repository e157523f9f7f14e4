"""One night's ranking: candidates -> features -> ranker; re-ranking into lists follows (rerank)."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.topk import PAD, best_of_rows, only_among
from eclare.model.prefetch import ahead
from eclare.ranker import Ranker
from eclare.related.candidates import candidates_by_group, joined, worth_shortlists
from eclare.related.features import CandidateSet, groups_of
from eclare.related.snapshot import Snapshot

CHUNK = 1024  # queries in memory at a time
FILE = "ranked.npz"


class Ranked(NamedTuple):
    """The k best products of every query and their scores, Q x k, best first; PAD, with score 0, where there are fewer.

    log_partition_Q: what the model's shares were taken of, so that a score can be explained later.
    """

    labels_QK: Rows
    scores_QK: Floats
    log_partition_Q: Floats

    @classmethod
    def empty(cls, queries: int, k: int) -> "Ranked":
        """No product for any query yet."""
        labels_QK, scores_QK = np.full((queries, k), PAD, np.int32), np.zeros((queries, k), np.float32)
        return cls(labels_QK, scores_QK, np.zeros(queries, np.float32))

    def put(self, queries: slice | Rows, best: tuple[Rows, Floats], log_partition_Q: Floats) -> None:
        """Set what some of the queries have: the labels and scores of their best."""
        self.labels_QK[queries], self.scores_QK[queries] = best
        self.log_partition_Q[queries] = log_partition_Q

    def of(self, queries: slice) -> "Ranked":
        """Those of some of the queries."""
        return Ranked(self.labels_QK[queries], self.scores_QK[queries], self.log_partition_Q[queries])

    def save(self, folder: Path) -> None:
        """Write ranked.npz: plain arrays, no pickle."""
        np.savez(folder / FILE, **self._asdict())

    @classmethod
    def load(cls, folders: Sequence[Path]) -> "Ranked":
        """What `save` wrote into these folders, one below the other."""
        with ExitStack() as opened:
            files = [opened.enter_context(np.load(folder / FILE, allow_pickle=False)) for folder in folders]
            return cls(*(np.concatenate([file[name] for file in files]) for name in cls._fields))


def rows_of_shard(products: int, number: int, shards: int) -> Rows:
    """The rows of one shard of a catalogue, of as many ranges; number: from 1.

    A range is of whole chunks: a query is then ranked beside the same others, and gets the same scores to the last
    bit, whatever the number of shards. Shards of a small catalogue may be empty.
    """
    chunks = -(-products // CHUNK)
    first, end = (min(CHUNK * (chunks * place // shards), products) for place in (number - 1, number))
    return np.arange(first, end, dtype=np.int32)


def rank(snapshot: Snapshot, ranker: Ranker, queries: Rows, k: int) -> Ranked:
    """The k best allowed products for every query, ties by lower row."""
    return rank_and_ablate(snapshot, ranker, queries, k, ())[0]


def rank_and_ablate(
    snapshot: Snapshot, ranker: Ranker, queries: Rows, k: int, groups: Sequence[str]
) -> tuple[Ranked, dict[str, Ranked]]:
    """What `rank` finds, and what it would find without each of some groups of features.

    Without a group, its features are held at their mean and what only its generator finds is no candidate. It costs
    little: features are computed once for all.
    """
    names, groups_of_ranker = ranker.features, groups_of(ranker.features)
    weaker = {group: ranker.without([names[place] for place in groups_of_ranker[group]]) for group in groups}
    whole, ablated = Ranked.empty(len(queries), k), {group: Ranked.empty(len(queries), k) for group in groups}
    by_tokens = worth_shortlists(snapshot)

    def rank_chunk(chunk: slice) -> None:
        found = candidates_by_group(snapshot, queries[chunk], k, by_tokens=by_tokens)
        candidates = CandidateSet(snapshot, queries[chunk], joined(found.values(), queries[chunk]))
        features_QCF, log_partition_Q = candidates.features_QCF, candidates.log_partition()
        whole.put(chunk, best_of_rows(candidates.products_QC, ranker.scores(features_QCF), k), log_partition_Q)
        for group, ranked in ablated.items():
            others = joined((each for name, each in found.items() if name != group), queries[chunk])
            left_QC = only_among(candidates.products_QC, others)
            ranked.put(chunk, best_of_rows(left_QC, weaker[group].scores(features_QCF), k), log_partition_Q)

    chunks = [slice(start, start + CHUNK) for start in range(0, len(queries), CHUNK)]
    ranked = ahead(rank_chunk, iter(chunks), first_alone=True)  # with what the snapshot keeps for all of them
    for _ in tqdm(ranked, desc="rank", unit="chunk", total=len(chunks), disable=None):
        pass
    return whole, ablated
