"""What a sentence encoder knows of titles: training titles and label texts near a new one, and cosines to labels.

A fine-tuned one has learnt from clicks, so points on which it is judged are kept from it as from the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import CSR, Floats, Rows, rows_of
from eclare.arrays.inner_products import chosen_inner_products
from eclare.arrays.topk import PAD
from eclare.model.exact_index import Index
from eclare.model.fine_tuning import fine_tuned
from eclare.model.inference import best_first, build_quick_index, nearest_rows
from eclare.model.sentence_encoder import SentenceEncoder
from eclare.xc.config import RecommenderConfig
from eclare.xc.votes import NEIGHBOURS, TitleVotes, softmax_shares, targets_of_titles, voting_titles

SHARPER = 0.05  # temperature: cosines of an encoder lie closer together than those of TF-IDF
LIKE_LABELS = 20  # label texts near a title
VECTORS = "sentence_vectors.npy"


@dataclass(frozen=True, eq=False)
class Sentences:
    """The vectors of M = N + L titles by an encoder, training points first, in the order of TitleVotes.

    vectors_ME: rows of norm 1. votes_M: whether a title votes for anything.
    """

    encoder: SentenceEncoder
    vectors_ME: Floats
    votes_M: npt.NDArray[np.bool_]
    points: int

    def of_points(self, rows: npt.NDArray[np.int64]) -> "Sentences":
        """The same labels with some of the training points."""
        kept = np.concatenate([rows, np.arange(self.points, len(self.vectors_ME))])
        return Sentences(self.encoder, self.vectors_ME[kept], self.votes_M[kept], len(rows))

    def voters(self, vectors_QE: Floats) -> CSR:
        """The weights of the nearest titles that vote, Q x M."""
        return self._nearest(vectors_QE, *self._voting, NEIGHBOURS)

    def like_labels(self, vectors_QE: Floats) -> CSR:
        """The weights of the nearest label texts, Q x L."""
        weights = self._nearest(vectors_QE, *self._labels, LIKE_LABELS)
        return weights._replace(indices=weights.indices - np.int32(self.points))

    def cosines(self, vectors_QE: Floats, labels_QC: Rows) -> Floats:
        """Of every point and its labels, Q x C; 0 for PAD."""
        rows_QC = np.maximum(labels_QC, 0) + np.int32(self.points)
        cosines = chosen_inner_products(vectors_QE, self.vectors_ME, rows_QC)
        return np.where(labels_QC == PAD, np.float32(0), cosines)

    def _nearest(self, vectors_QE: Floats, rows: Rows, index: Index, count: int) -> CSR:
        """Twice as many are looked up as wanted, for the index may be quantised."""
        found_QK, cosines_QK = nearest_rows(index, rows, vectors_QE, self.vectors_ME, 2 * count)
        return softmax_shares(best_first(found_QK, cosines_QK, count), SHARPER)

    @cached_property
    def _voting(self) -> tuple[Rows, Index]:
        return self._indexed(np.flatnonzero(self.votes_M))

    @cached_property
    def _labels(self) -> tuple[Rows, Index]:
        return self._indexed(np.arange(self.points, len(self.vectors_ME)))

    def _indexed(self, rows: npt.NDArray[np.int64]) -> tuple[Rows, Index]:
        return rows.astype(np.int32), build_quick_index(self.vectors_ME[rows], self.encoder.device)

    def save(self, folder: Path) -> None:
        """Write the vectors."""
        np.save(folder / VECTORS, self.vectors_ME, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path, encoder: SentenceEncoder, votes: TitleVotes) -> "Sentences":
        """Read what `save` wrote, of the same titles."""
        vectors_ME = np.load(folder / VECTORS, allow_pickle=False)
        return cls(encoder, vectors_ME, voting_titles(votes.targets_ML), votes.points)


@dataclass(frozen=True, eq=False)
class SentenceReader:
    """An encoder and the titles of N points and L labels, which it reads as it is or once it has learnt from clicks."""

    encoder: SentenceEncoder
    points: Sequence[str]
    labels: Sequence[str]

    def learn(self, clicks_NL: sp.csr_matrix, config: RecommenderConfig) -> Sentences:
        """What it knows of every title; of a point without a click it has learnt nothing."""
        targets_ML, points = targets_of_titles(clicks_NL), len(self.points)
        votes_M = voting_titles(targets_ML)
        if not config.text_encoder_epochs:
            return Sentences(self.encoder, self._vectors_ME, votes_M, points)
        encoder = fine_tuned(self.encoder, self._titles, targets_ML, config.text_encoder_epochs, config.model.seed)
        return Sentences(encoder, encoder.encode(self._titles), votes_M, points)

    def learn_without(
        self, held: npt.NDArray[np.int64], clicks_NL: sp.csr_matrix, config: RecommenderConfig
    ) -> tuple[Sentences, Floats]:
        """The same of the other points, by their clicks alone, and the vectors of those that are held back."""
        of_others = clicks_NL.copy()
        of_others.data[np.isin(rows_of(of_others), held)] = 0
        of_others.eliminate_zeros()
        sentences = self.learn(of_others, config)
        return sentences.of_points(np.setdiff1d(np.arange(len(self.points)), held)), sentences.vectors_ME[held]

    @cached_property
    def _vectors_ME(self) -> Floats:
        return self.encoder.encode(self._titles)

    @property
    def _titles(self) -> Sequence[str]:
        return [*self.points, *self.labels]
