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

from eclare.interactions import Ids
from eclare.sparse import scale_rows

_TOKEN = re.compile(r"\w+")


def tokens_of(title: str) -> list[str]:
    """Lower-cased runs of letters, digits and underscores."""
    return _TOKEN.findall(title.lower())


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The V tokens seen in some titles and how rare each is.

    tokens_V: sorted, unique; idf_V: float32, log((1 + titles) / (1 + titles with the token)) + 1.
    """

    tokens_V: Ids
    idf_V: npt.NDArray[np.float32]

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.tokens_V):,} tokens)"

    @classmethod
    def of(cls, titles: Sequence[str]) -> "Vocabulary":
        """The vocabulary of these titles; raises ValueError where none has a single word."""
        frequency = Counter(chain.from_iterable(set(tokens_of(title)) for title in titles))
        if not frequency:
            raise ValueError(f"titles must hold at least one word, got {len(titles)} titles without any")
        tokens = np.array(sorted(frequency))
        count = np.array([frequency[token] for token in tokens], dtype=np.float64)
        idf = np.log((1 + len(titles)) / (1 + count)) + 1
        return cls(tokens, idf.astype(np.float32))

    def features(self, titles: Iterable[str]) -> sp.csr_matrix:
        """TF-IDF of titles, L2-normalised: CSR float32, titles x V; words outside the vocabulary are left out."""
        column = self._column
        counted = [Counter(column[token] for token in tokens_of(title) if token in column) for title in titles]
        indptr = np.cumsum([0, *map(len, counted)])
        indices = np.fromiter(chain.from_iterable(counted), dtype=np.int32, count=indptr[-1])
        term_frequency = np.fromiter(chain.from_iterable(row.values() for row in counted), np.float32, indptr[-1])
        matrix = sp.csr_matrix(
            (term_frequency * self.idf_V[indices], indices, indptr), shape=(len(counted), len(self.tokens_V))
        )
        matrix.sort_indices()
        return normalise_rows(matrix)

    @cached_property
    def _column(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens_V.tolist())}

    def save(self, folder: Path) -> None:
        """Write vocabulary.npz: plain arrays, no pickle."""
        np.savez(folder / "vocabulary.npz", tokens=self.tokens_V, idf=self.idf_V)

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read what `save` wrote."""
        with np.load(folder / "vocabulary.npz", allow_pickle=False) as file:
            return cls(file["tokens"], file["idf"])


def normalise_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """The same rows with Euclidean norm 1; rows of zeros stay zero."""
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    scale = np.divide(1, norm, out=np.zeros_like(norm), where=norm > 0)
    return scale_rows(matrix, scale)
