from collections import Counter
from math import log, sqrt

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from eclare.arrays.tfidf import Vocabulary, normalise_rows, pairs_of, words_of

words = st.sampled_from(["mug", "tea", "red", "BLUE", "crème", '18"', "it's", "", "42"])
titles = st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=8)


def tokens_slowly(title: str, word_pairs: bool) -> list[str]:
    found = words_of(title)
    near = [(i, j) for i in range(len(found)) for j in (i + 1, i + 2) if j < len(found)] if word_pairs else []
    return found + [f"{found[i]} {found[j]}" for i, j in near]


def tf_idf_slowly(seen: list[str], title: str, word_pairs: bool) -> dict[str, float]:
    in_titles = Counter(token for each in seen for token in set(tokens_slowly(each, word_pairs)))
    known = {token for token, count in in_titles.items() if count > 1 or " " not in token}
    count = Counter(tokens_slowly(title, word_pairs))
    raw = {t: n * (log((1 + len(seen)) / (1 + in_titles[t])) + 1) for t, n in count.items() if t in known}
    norm = sqrt(sum(value**2 for value in raw.values()))
    return {token: value / norm for token, value in raw.items()}


@given(titles, titles, st.booleans())
def test_tf_idf_equals_its_definition(seen: list[str], asked: list[str], word_pairs: bool) -> None:
    if not any(map(words_of, seen)):
        with pytest.raises(ValueError, match="at least one word"):
            Vocabulary.of(seen, word_pairs=word_pairs)
        return
    vocabulary = Vocabulary.of(seen, word_pairs=word_pairs)
    features = vocabulary.features(asked)
    assert features.shape == (len(asked), len(vocabulary.tokens_V))
    for row, title in enumerate(asked):
        start, end = features.indptr[row : row + 2]
        found = dict(zip(vocabulary.tokens_V[features.indices[start:end]], features.data[start:end], strict=True))
        assert found == pytest.approx(tf_idf_slowly(seen, title, word_pairs), abs=1e-6)


def test_pairs_are_words_in_a_row_or_one_apart() -> None:
    assert pairs_of(["set", "of", "tea", "cups"]) == ["set of", "of tea", "tea cups", "set tea", "of cups"]


def test_a_saved_vocabulary_gives_the_same_features(tmp_path) -> None:
    vocabulary = Vocabulary.of(["red mug", "Blue MUG", "crème brûlée"])
    vocabulary.save(tmp_path)
    asked = ["mug crème", "unknown words", ""]
    again = Vocabulary.load(tmp_path).features(asked)
    assert np.array_equal(again.toarray(), vocabulary.features(asked).toarray())
    assert again[1:].nnz == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int8, bool])
def test_rows_of_any_numbers_get_norm_one(dtype) -> None:
    dense = np.array([[3, 0, 4], [0, 0, 0], [1, 1, 0]], dtype)
    norm = np.linalg.norm(dense.astype(np.float64), axis=1, keepdims=True)
    expected = dense / np.where(norm == 0, 1, norm)
    found = normalise_rows(sp.csr_matrix(dense))
    assert found.dtype == np.float32
    assert found.toarray() == pytest.approx(expected)
    assert normalise_rows(sp.csr_matrix((2, 3), dtype=dtype)).toarray().tolist() == [[0, 0, 0]] * 2


def test_a_column_given_twice_counts_as_its_sum() -> None:
    twice = sp.csr_matrix((np.array([1.0, 4.0, 2.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3))
    assert normalise_rows(twice).toarray() == pytest.approx(np.array([[0.8, 0, 0.6]]))
    assert twice.nnz == 3, "what was given stays as it is"
