import unicodedata

import numpy as np

from benchmarks.made_languages import NEW_PAIRS, PATTERNS, made_shop, words_of_shops


def test_every_language_has_the_same_shop() -> None:
    shops = {language: made_shop(language, 120, 48, 1) for language in PATTERNS}
    english = shops["en"]
    for shop in shops.values():
        assert (shop.clicks_NN != english.clicks_NN).nnz == 0 and (shop.truth_QN != english.truth_QN).nnz == 0
        assert len(shop.titles) == 120 and len(shop.asked) == 48 and all((*shop.titles, *shop.asked))
    assert made_shop("th", 120, 48, 1).titles == shops["th"].titles != made_shop("th", 120, 48, 2).titles
    assert not np.diag(english.clicks_NN.toarray()).any()


def test_titles_are_written_as_their_language_is() -> None:
    titles = {language: made_shop(language, 300, 12, 0).titles for language in ("de", "fr", "ja", "zh")}
    assert any("tasse" in title and "Tasse" not in title for title in titles["de"]), "in compounds"
    assert any("d'" in title for title in titles["fr"])
    assert any(unicodedata.normalize("NFC", title) != title for title in titles["fr"]), "some in parts"
    assert any("\uff66" <= letter <= "\uff9d" for title in titles["ja"] for letter in title), "some in half width"
    assert all(len(title.split()) <= 5 for title in titles["zh"])


def test_what_is_asked_joins_words_that_no_product_joins() -> None:
    words = {kind: [each.partition("|")[0] for each in words_of_shops()["hi"][kind]] for kind in ("use", "thing")}

    def pairs(titles: list[str]) -> set[tuple[str, str]]:
        normal = [unicodedata.normalize("NFC", title) for title in titles]
        plain = {kind: [unicodedata.normalize("NFC", each) for each in of_kind] for kind, of_kind in words.items()}
        return {
            (use, thing)
            for title in normal
            for use in plain["use"]
            for thing in plain["thing"]
            if f"{use} {thing}" in title
        }

    shop = made_shop("hi", 600, 200, 0)
    assert not pairs(list(shop.titles)) & pairs(list(shop.asked))
    assert 0 < NEW_PAIRS < 1 and len(pairs(list(shop.asked))) > 20
