from collections import Counter
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eclare.features import Vocabulary, tokens_of

words = st.sampled_from(["mug", "tea", "red", "BLUE", "crème", '18"', "it's", "", "42"])
titles = st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=8)


def tf_idf_slowly(seen: list[str], title: str) -> dict[str, float]:
    count = Counter(tokens_of(title))
    in_titles = Counter(token for each in seen for token in set(tokens_of(each)))
    raw = {t: n * (log((1 + len(seen)) / (1 + in_titles[t])) + 1) for t, n in count.items() if t in in_titles}
    norm = sqrt(sum(value**2 for value in raw.values()))
    return {token: value / norm for token, value in raw.items()}


@given(titles, titles)
def test_tf_idf_equals_its_definition(seen: list[str], asked: list[str]) -> None:
    if not any(map(tokens_of, seen)):
        with pytest.raises(ValueError, match="at least one word"):
            Vocabulary.of(seen)
        return
    vocabulary = Vocabulary.of(seen)
    features = vocabulary.features(asked)
    assert features.shape == (len(asked), len(vocabulary.tokens_V))
    for row, title in enumerate(asked):
        start, end = features.indptr[row : row + 2]
        found = dict(zip(vocabulary.tokens_V[features.indices[start:end]], features.data[start:end], strict=True))
        assert found == pytest.approx(tf_idf_slowly(seen, title), abs=1e-6)


def test_a_saved_vocabulary_gives_the_same_features(tmp_path) -> None:
    vocabulary = Vocabulary.of(["red mug", "Blue MUG", "crème brûlée"])
    vocabulary.save(tmp_path)
    asked = ["mug crème", "unknown words", ""]
    again = Vocabulary.load(tmp_path).features(asked)
    assert np.array_equal(again.toarray(), vocabulary.features(asked).toarray())
    assert again[1:].nnz == 0
