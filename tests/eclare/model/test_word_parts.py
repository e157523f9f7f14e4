import logging
from math import isnan

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks.made_languages import made_shop
from eclare.model import word_parts
from eclare.model.config import ECLAREConfig
from eclare.model.word_parts import WordParts, choose_word_parts


def test_compounds_use_the_parts_of_words_and_plain_words_do_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "eclare")
    german, hindi = (made_shop(language, 300, 12, 0) for language in ("de", "hi"))
    chosen = choose_word_parts(german.titles, german.clicks_NN, ECLAREConfig())
    assert chosen.used and chosen.gain > 2 * chosen.error > 0
    assert chosen.described == {"word_parts": 1, "word_parts_gain": round(chosen.gain, 4)}
    assert not choose_word_parts(hindi.titles, hindi.clicks_NN, ECLAREConfig()).used
    assert "parts of words are used" in caplog.text and "parts of words are not used" in caplog.text


def test_the_configuration_decides_before_any_look_up() -> None:
    shop = made_shop("de", 300, 12, 0)
    for said, used in (("yes", True), ("no", False)):
        chosen = choose_word_parts(shop.titles, shop.clicks_NN, ECLAREConfig(word_parts=said))
        assert chosen.used is used and isnan(chosen.gain) and chosen.described == {"word_parts": int(used)}


@pytest.mark.parametrize("titles", [["Kaffeetasse"] * 20, [""] * 300])
def test_too_few_titles_to_ask_leave_parts_out(titles: list[str]) -> None:
    clicks = sp.csr_matrix(np.eye(len(titles), dtype=np.float32))
    assert choose_word_parts(titles, clicks, ECLAREConfig()) == pytest.approx(WordParts(False), nan_ok=True)


def test_ndcg_of_look_ups_equals_its_definition() -> None:
    scores = sp.csr_matrix(np.array([[3, 2, 1, 0], [0, 0, 0, 0], [0, 0, 5, 4]], np.float32))
    truth = sp.csr_matrix(np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 1, 0]], np.float32))
    second = 1 / np.log2(3)
    assert word_parts._ndcg_of(scores, truth) == pytest.approx([second / (1 + second), 0, 1])
