"""Titles as TF-IDF vectors over one vocabulary, shared by points and labels."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats, scale_rows
from eclare.arrays.strings import Strings, pack, strings, unpack
from eclare.arrays.tokens import is_run, letters_of, parts_of, with_units_apart, words_of

PAIR_TITLES = 2  # that must hold a pair of words before it is a token
PART = "\x03"  # begins the name of a part of words
WEIGHT_OF_PARTS = 1.5  # of all parts of a word, beside the word itself
RULES = 2  # of words; a vocabulary that was saved under others would look up what it does not hold


def pairs_of(words: Sequence[str]) -> list[str]:
    """Two words in a row, or with one between them."""
    return [f"{first} {second}" for apart in (1, 2) for first, second in zip(words, words[apart:], strict=False)]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The V tokens seen in some titles, words, pairs of words and parts of words, and how rare each is.

    tokens_V: sorted, unique; idf_V: float32, log((1 + titles) / (1 + titles with the token)) + 1. spread_V: float32, of
    a part that W words have 1 - 1 / W: what only one word has tells nothing beside it. 1 for all else.
    """

    tokens_V: Strings
    idf_V: Floats
    spread_V: Floats
    word_parts: bool = False

    def __repr__(self) -> str:
        return f"Vocabulary({len(self.tokens_V):,} tokens)"

    @classmethod
    def of(cls, titles: Sequence[str], *, word_pairs: bool = False, word_parts: bool = False) -> "Vocabulary":
        """The words of these titles and, if wanted, the pairs of words that PAIR_TITLES or more of them hold.

        word_parts: and the parts that different words share, a number apart from its unit. Those of scripts without
        blanks are always tokens. Raises ValueError where no title has a single word.
        """
        words = _words(titles, word_parts)
        in_titles = Counter(chain.from_iterable(map(set, words)))
        if not in_titles:
            raise ValueError(f"titles must hold at least one word, got {len(titles)} titles without any")
        # Of a part, titles with its words: one that is in two words of a title counts twice.
        of_parts: Counter[str] = Counter()
        words_with: Counter[str] = Counter()
        for word, count in in_titles.items():
            if word_parts or is_run(word):
                parts = parts_of(word)
                words_with.update(parts)
                of_parts.update(dict.fromkeys(parts, count))
        if word_pairs:
            pairs = Counter(chain.from_iterable(set(pairs_of(title)) for title in words))
            in_titles.update({pair: count for pair, count in pairs.items() if count >= PAIR_TITLES})
        in_titles.update({PART + part: min(of_parts[part], len(titles)) for part, n in words_with.items() if n > 1})
        tokens = sorted(in_titles)
        count_V = np.array([in_titles[token] for token in tokens], dtype=np.float64)
        spread_V = np.array([1 - 1 / words_with[t[1:]] if t.startswith(PART) else 1 for t in tokens], np.float32)
        idf_V = np.log((1 + len(titles)) / (1 + count_V)) + 1
        return cls(strings(tokens), idf_V.astype(np.float32), spread_V, word_parts)

    def features(self, titles: Iterable[str]) -> sp.csr_matrix:
        """TF-IDF of titles, L2-normalised: CSR float32, titles x V; tokens outside the vocabulary are left out.

        The parts of a word weigh WEIGHT_OF_PARTS together, whatever their number, by their idf and spread.
        """
        words = _words(titles, self.word_parts)
        matrix = self._counted([self._columns_of(each) for each in words])
        return normalise_rows(matrix + self._parts(words) if self._knows_parts else matrix)

    def _counted(self, rows: Sequence[Counter[int]]) -> sp.csr_matrix:
        indptr = np.cumsum([0, *map(len, rows)])
        indices = np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=indptr[-1])
        term_frequency = np.fromiter(chain.from_iterable(row.values() for row in rows), np.float32, indptr[-1])
        matrix = sp.csr_matrix(
            (term_frequency * self.idf_V[indices], indices, indptr), shape=(len(rows), len(self.tokens_V))
        )
        matrix.sort_indices()
        return matrix

    def _parts(self, titles: Sequence[Sequence[str]]) -> sp.csr_matrix:
        """Weighted parts of the words of titles: how often each title has a word, times the parts of the word."""
        row_of: dict[str, int] = {}
        indptr = np.cumsum([0, *map(len, titles)])
        word = np.array([row_of.setdefault(word, len(row_of)) for word in chain.from_iterable(titles)], np.int32)
        ones = np.ones(len(word), np.float32)
        words_NW = sp.csr_matrix((ones, word, indptr), shape=(len(titles), len(row_of)))
        parts = [self._parts_of(word) for word in row_of]
        starts = np.cumsum([0, *(len(columns) for columns, _ in parts)])
        nothing = self._parts_of("")
        columns, weights = map(np.concatenate, zip(nothing, *parts, strict=True))
        parts_WV = sp.csr_matrix((weights, columns, starts), shape=(len(row_of), len(self.tokens_V)))
        return words_NW @ parts_WV

    def _parts_of(self, word: str) -> tuple[npt.NDArray[np.int32], Floats]:
        """The columns and weights of a word's parts."""
        known = (self._column.get(PART + part) for part in parts_of(word)) if self._has_parts(word) else ()
        columns = np.array([column for column in known if column is not None], np.int32)
        spread = self.spread_V[columns]
        words = len(letters_of(word)) if is_run(word) else 1  # a run has as many words as letters, or somewhat fewer
        scale = WEIGHT_OF_PARTS * np.sqrt(words / max(float(spread @ spread), 1e-9))
        return columns, (scale * spread * self.idf_V[columns]).astype(np.float32)

    def _columns_of(self, words: list[str]) -> Counter[int]:
        column, tokens = self._column, words + pairs_of(words) if self._knows_pairs else words
        return Counter(column[token] for token in tokens if token in column)

    def _has_parts(self, word: str) -> bool:
        return self.word_parts or is_run(word)

    @cached_property
    def _knows_pairs(self) -> bool:
        return any(" " in token for token in self.tokens_V)

    @cached_property
    def _knows_parts(self) -> bool:
        return any(token.startswith(PART) for token in self.tokens_V)

    @cached_property
    def _column(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens_V.tolist())}

    def save(self, folder: Path) -> None:
        """Write vocabulary.npz: plain arrays, no pickle."""
        arrays = {
            "idf": self.idf_V,
            "spread": self.spread_V,
            "rules": np.array(RULES),
            "word_parts": np.array(self.word_parts),
        }
        np.savez(folder / "vocabulary.npz", allow_pickle=False, **arrays, **pack("tokens", self.tokens_V))

    @classmethod
    def load(cls, folder: Path) -> "Vocabulary":
        """Read what `save` wrote; raises ValueError, with what to do, where it was cut by other rules of words."""
        with np.load(folder / "vocabulary.npz", allow_pickle=False) as file:
            rules = int(file["rules"]) if "rules" in file else 1
            if rules != RULES:
                raise ValueError(
                    f"{folder / 'vocabulary.npz'} must hold words by the rules {RULES} of eclare.arrays.tokens, "
                    f"got {rules}: fit the model again"
                )
            tokens_V = unpack("tokens", file, "fit the model again")
            return cls(tokens_V, file["idf"], file["spread"], bool(file["word_parts"]))


def _words(titles: Iterable[str], word_parts: bool) -> list[list[str]]:
    words = map(words_of, titles)
    return [with_units_apart(each) for each in words] if word_parts else list(words)


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
