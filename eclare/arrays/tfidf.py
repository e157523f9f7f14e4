"""Titles as TF-IDF vectors over one vocabulary, shared by points and labels."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import scale_rows
from eclare.arrays.strings import Strings, pack, strings, unpack

_WORD = re.compile(r"\w+")
PAIR_TITLES = 2  # that must hold a pair of words before it is a token


def words_of(title: str) -> list[str]:
    """Lower-cased runs of letters, digits and underscores."""
    return _WORD.findall(title.lower())


def pairs_of(words: Sequence[str]) -> list[str]:
    """Two words in a row, or with one between them."""
    return [f"{first} {second}" for apart in (1, 2) for first, second in zip(words, words[apart:], strict=False)]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The V tokens seen in some titles, words and pairs of words, and how rare each is.

    tokens_V: sorted, unique; idf_V: float32, log((1 + titles) / (1 + titles with the token)) + 1.
    """

    tokens_V: Strings
    idf_V: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.tokens_V):,} tokens)"

    @classmethod
    def of(cls, titles: Sequence[str], *, word_pairs: bool = False) -> "Vocabulary":
        """The words of these titles and, if wanted, the pairs of words that PAIR_TITLES or more of them hold.

        Raises ValueError where none has a single word.
        """
        words = [words_of(title) for title in titles]
        frequency = Counter(chain.from_iterable(map(set, words)))
        if not frequency:
            raise ValueError(f"titles must hold at least one word, got {len(titles)} titles without any")
        if word_pairs:
            pairs = Counter(chain.from_iterable(set(pairs_of(title)) for title in words))
            frequency.update({pair: count for pair, count in pairs.items() if count >= PAIR_TITLES})
        tokens = sorted(frequency)
        count = np.array([frequency[token] for token in tokens], dtype=np.float64)
        idf = np.log((1 + len(titles)) / (1 + count)) + 1
        return cls(strings(tokens), idf.astype(np.float32))

    def features(self, titles: Iterable[str]) -> sp.csr_matrix:
        """TF-IDF of titles, L2-normalised: CSR float32, titles x V; tokens outside the vocabulary are left out."""
        counted = [self._columns_of(words_of(title)) for title in titles]
        indptr = np.cumsum([0, *map(len, counted)])
        indices = np.fromiter(chain.from_iterable(counted), dtype=np.int32, count=indptr[-1])
        term_frequency = np.fromiter(chain.from_iterable(row.values() for row in counted), np.float32, indptr[-1])
        matrix = sp.csr_matrix(
            (term_frequency * self.idf_V[indices], indices, indptr), shape=(len(counted), len(self.tokens_V))
        )
        matrix.sort_indices()
        return normalise_rows(matrix)

    def _columns_of(self, words: list[str]) -> Counter[int]:
        column, tokens = self._column, words + pairs_of(words) if self._knows_pairs else words
        return Counter(column[token] for token in tokens if token in column)

    @cached_property
    def _knows_pairs(self) -> bool:
        return any(" " in token for token in self.tokens_V)

    @cached_property
    def _column(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens_V.tolist())}

    def save(self, folder: Path) -> None:
        """Write vocabulary.npz: plain arrays, no pickle."""
        np.savez(folder / "vocabulary.npz", allow_pickle=False, idf=self.idf_V, **pack("tokens", self.tokens_V))

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read what `save` wrote; raises ValueError where it is of older code."""
        with np.load(folder / "vocabulary.npz", allow_pickle=False) as file:
            return cls(unpack("tokens", file, "fit the model again"), file["idf"])


def normalise_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The same rows with Euclidean norm 1; rows of zeros stay zero."""
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    # Not by scipy's matrices, which are longer to make than a title to look up.
    data = matrix.data.astype(np.result_type(matrix.dtype, np.float32), copy=False)
    norm_N, holds_any_N = np.zeros(matrix.shape[0], data.dtype), np.diff(matrix.indptr) > 0
    norm_N[holds_any_N] = np.sqrt(np.add.reduceat(data**2, matrix.indptr[:-1][holds_any_N]))
    return scale_rows(matrix, np.divide(1, norm_N, out=np.zeros_like(norm_N), where=norm_N > 0))
