import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eclare.arrays.strings import pack, strings, unpack
from eclare.arrays.tfidf import Vocabulary


@given(st.lists(st.text()))
def test_texts_are_read_as_they_were_packed(texts) -> None:
    assert unpack("ids", pack("ids", strings(texts)), "").tolist() == texts


def test_one_long_text_does_not_make_room_in_all_others() -> None:
    """A fixed width would take 8 GB."""
    ids = strings(["x" * 20_000, *map(str, range(100_000))])
    assert ids.nbytes + sum(map(len, ids)) < 4e6
    assert ids[np.argsort(ids)[-1]] == "x" * 20_000


def test_a_file_of_an_older_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="is of older code: run the step again"):
        unpack("ids", {"ids": np.array(["a"])}, "run the step again")


def test_a_vocabulary_knows_a_word_of_any_length(tmp_path) -> None:
    Vocabulary.of(["lamp " + "x" * 20_000, *(f"lamp {i}" for i in range(50_000))]).save(tmp_path)
    assert (tmp_path / "vocabulary.npz").stat().st_size < 2e6
    known = Vocabulary.load(tmp_path)
    assert known.features(["X" * 20_000]).nnz == 1
