from collections import Counter
from math import log, sqrt

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from eclare.arrays.tfidf import PART, WEIGHT_OF_PARTS, Vocabulary, normalise_rows, pairs_of
from eclare.arrays.tokens import is_run, letters_of, parts_of, with_units_apart, words_of

words = st.sampled_from(
    ["mug", "mugs", "teamug", "red", "BLUE", "crème", '18"', "it's", "", "红杯", "杯", "กาแฟ", "a4", "4cm"]
)
titles = st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=8)


def words_slowly(title: str, word_parts: bool) -> list[str]:
    return with_units_apart(words_of(title)) if word_parts else words_of(title)


def tokens_slowly(title: str, word_pairs: bool, word_parts: bool) -> list[str]:
    found = words_slowly(title, word_parts)
    near = [(i, j) for i in range(len(found)) for j in (i + 1, i + 2) if j < len(found)] if word_pairs else []
    return found + [f"{found[i]} {found[j]}" for i, j in near]


def tf_idf_slowly(seen: list[str], title: str, word_pairs: bool, word_parts: bool) -> dict[str, float]:
    in_titles = Counter(token for each in seen for token in set(tokens_slowly(each, word_pairs, word_parts)))
    known = {token for token, count in in_titles.items() if count > 1 or " " not in token}
    count = Counter(tokens_slowly(title, word_pairs, word_parts))
    raw = Counter({t: n * (log((1 + len(seen)) / (1 + in_titles[t])) + 1) for t, n in count.items() if t in known})
    parts = {
        word: set(parts_of(word))
        for word in set(words_slowly(" ".join(seen), word_parts))
        if word_parts or is_run(word)
    }
    for word in words_slowly(title, word_parts):
        if not (word_parts or is_run(word)):
            continue
        with_part = {part: [other for other in parts if part in parts[other]] for part in parts_of(word)}
        spread = {part: 1 - 1 / len(others) for part, others in with_part.items() if len(others) > 1}
        norm = sqrt(sum(value**2 for value in spread.values()))
        for part, value in spread.items():
            holding = min(sum(in_titles[other] for other in with_part[part]), len(seen))
            idf = log((1 + len(seen)) / (1 + holding)) + 1
            raw[PART + part] += (
                WEIGHT_OF_PARTS * sqrt(len(letters_of(word)) if is_run(word) else 1) * idf * value / norm
            )
    norm = sqrt(sum(value**2 for value in raw.values()))
    return {token: value / norm for token, value in raw.items()}


@given(titles, titles, st.booleans(), st.booleans())
def test_tf_idf_equals_its_definition(seen: list[str], asked: list[str], word_pairs: bool, word_parts: bool) -> None:
    if not any(map(words_of, seen)):
        with pytest.raises(ValueError, match="at least one word"):
            Vocabulary.of(seen, word_pairs=word_pairs, word_parts=word_parts)
        return
    vocabulary = Vocabulary.of(seen, word_pairs=word_pairs, word_parts=word_parts)
    features = vocabulary.features(asked)
    assert features.shape == (len(asked), len(vocabulary.tokens_V))
    for row, title in enumerate(asked):
        start, end = features.indptr[row : row + 2]
        found = dict(zip(vocabulary.tokens_V[features.indices[start:end]], features.data[start:end], strict=True))
        assert found == pytest.approx(tf_idf_slowly(seen, title, word_pairs, word_parts), abs=1e-6)


def test_a_compound_is_like_its_parts_where_parts_are_tokens() -> None:
    titles = ["Kaffeetasse", "Kaffeekanne", "Teetasse", "Teekanne", "Gartenstuhl"]
    asked = ["Kaffeetassen", "Kaffeedose"]
    for word_parts, alike in ((False, 0), (True, 3)):
        vocabulary = Vocabulary.of(titles, word_parts=word_parts)
        cosines = (vocabulary.features(asked) @ vocabulary.features(titles).T).toarray()
        assert (cosines[0] > 0.1).sum() == alike


def test_titles_without_blanks_share_what_their_words_share() -> None:
    titles = ["红色搪瓷杯", "蓝色搪瓷杯", "木制书架"]
    features = Vocabulary.of(titles).features(titles)
    cosines = (features @ features.T).toarray()
    assert cosines[0, 1] > 0.5 and cosines[0, 2] == 0


def test_pairs_are_words_in_a_row_or_one_apart() -> None:
    assert pairs_of(["set", "of", "tea", "cups"]) == ["set of", "of tea", "tea cups", "set tea", "of cups"]


def test_a_saved_vocabulary_gives_the_same_features(tmp_path) -> None:
    vocabulary = Vocabulary.of(["red mug", "Blue MUG", "crème brûlée"])
    vocabulary.save(tmp_path)
    asked = ["mug crème", "unknown words", ""]
    again = Vocabulary.load(tmp_path).features(asked)
    assert np.array_equal(again.toarray(), vocabulary.features(asked).toarray())
    assert again[1:].nnz == 0


def test_a_vocabulary_of_other_rules_is_refused_with_what_to_do(tmp_path) -> None:
    Vocabulary.of(["red mug"]).save(tmp_path)
    with np.load(tmp_path / "vocabulary.npz") as file:
        arrays = dict(file)
    for older in ({"rules": np.array(1)}, {}):
        np.savez(tmp_path / "vocabulary.npz", **{name: arrays[name] for name in arrays if name != "rules"}, **older)
        with pytest.raises(ValueError, match=r"by the rules 2 .*, got 1: fit the model again"):
            Vocabulary.load(tmp_path)


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
