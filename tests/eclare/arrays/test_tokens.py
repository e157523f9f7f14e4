import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eclare.arrays.tokens import EDGE, folded, is_run, letters_of, parts_of, pieces_of, with_units_apart, words_of

# What readers take for one text.
ALIKE = [
    ("Crème BRÛLÉE", "creme brulee"), ("l’œuf", "l'oeuf"), ("GROSSE", "Große"), ("KIRMIZI", "kırmızı"),
    ("İstanbul", "istanbul"),
    ("ﾎｰﾛｰ ｶﾞﾗｽ", "ホーロー ガラス"), ("ＡＢＣ１２", "abc12"), ("щётка", "ЩЕТКА"), ("Łódź", "lodz"),
    ("كُوب أحمر", "كوب احمر"), ("٣٥٠", "350"),
    ("soft\u00adware", "software"), ("កាហ្វេ\u200bក្រហម", "កាហ្វេក្រហម"), ("ὈΔΌΣ", "οδος"),
]  # fmt: skip
WORDS = {
    "Hindi": ("लाल मिट्टी का कप", ["लाल", "मिट्टी", "का", "कप"]),
    "Tamil": ("சிவப்பு கோப்பை", ["சிவப்பு", "கோப்பை"]),
    "Thai": ("แก้วกาแฟ 350มล.", ["แก้วกาแฟ", "350", "มล"]),
    "Japanese": ("赤いホーロー・マグ", ["赤いホーロー", "マグ"]),
    "Chinese": ("Arvo红色搪瓷杯30cm", ["arvo", "红色搪瓷杯", "30cm"]),
    "Korean": (unicodedata.normalize("NFD", "빨간 머그컵"), ["빨간", "머그컵"]),
    "French": ("huile d'olive", ["huile", "d", "olive"]),
    "codes": ("SKU_4711-B 0,5l", ["sku", "4711", "b", "0", "5l"]),
    "nothing": (" ฿ 「」។ -- \u0301", []),
}


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_texts_that_readers_take_for_one_have_one_form(first: str, second: str) -> None:
    assert folded(first) != "" and words_of(first) == words_of(second)


@pytest.mark.parametrize(("title", "words"), WORDS.values(), ids=WORDS)
def test_words_are_those_of_the_script(title: str, words: list[str]) -> None:
    assert words_of(title) == words


def test_letters_that_differ_stay_different() -> None:
    assert words_of("か") != words_of("が")
    assert not set(words_of("लाल कप")) & set(words_of("काली कील")), "vowels belong to words"


@given(st.text(max_size=12))
def test_the_normal_form_is_one(title: str) -> None:
    form = folded(title)
    assert folded(form) == form
    for other in ("NFC", "NFD", "NFKC"):
        assert folded(unicodedata.normalize(other, title)) == form


@given(st.text(max_size=12))
def test_words_hold_every_letter_once_and_no_other(title: str) -> None:
    letters = [each for each in folded(title) if unicodedata.category(each)[0] in "LMN"]
    assert "".join(words_of(title)) == "".join(letters)


def test_parts_are_runs_of_letters_with_their_marks() -> None:
    assert parts_of("mug") == (f"{EDGE}mu", f"{EDGE}mug", f"{EDGE}mug{EDGE}", "mug", f"mug{EDGE}", f"ug{EDGE}")
    assert parts_of("红色杯") == ("红", "红色", "色", "色杯", "杯")
    assert letters_of("แก้ว") == ["แ", "ก้", "ว"]
    assert parts_of("4711") == () and is_run("杯") and not is_run("cup")


def test_numbers_are_cut_off_their_units_and_codes_stay_whole() -> None:
    words = words_of("RTX4090 2x4 350ml 杯30cm ๑๒ก 12")
    assert words == ["rtx4090", "2x4", "350ml", "杯", "30cm", "12", "ก", "12"]
    assert with_units_apart(words) == ["rtx4090", "2x4", "350", "ml", "杯", "30", "cm", "12", "ก", "12"]
    assert [pieces_of(word) for word in ("a4b", "mug", "12", "杯")] == [["a", "4", "b"], ["mug"], ["12"], ["杯"]]
