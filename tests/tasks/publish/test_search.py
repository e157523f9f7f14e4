"""Search by words in any script: SQL cuts what is asked as the publisher cuts titles."""

import re
import unicodedata
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from eclare.arrays import tokens
from tasks.publish.title_words import search_words
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import SQL, transaction
from tests.nights import make_night, rows_of, with_lenient_gate

TITLES = {
    "chinese": "红色搪瓷杯",
    "hindi": "लाल मिट्टी का कप",
    "french": unicodedata.normalize("NFD", "Crème brûlée dish, l'œuf"),
    "thai": "แก้วกาแฟสีแดง",
    "russian": "Кофейная Чашка",
    "japanese": "赤いﾎｰﾛｰマグカップ",
    "khmer": "ពែងកាហ្វេពណ៌ក្រហម",
    "lao": "ຈອກກາເຟສີແດງ",
    "burmese": "ကော်ဖီခွက်အနီ",
    "korean": unicodedata.normalize("NFD", "빨간 머그컵"),
    "arabic": "كُوب قهوة أحمر ٣٥٠ مل",
    "turkish": "KIRMIZI fincan",
    "german": "Große Kaffeetasse",
    "code": "SKU-4711/B enamel-mug 350ml",
    "caramel": "Crème caramel",
}


@pytest.fixture
def published(settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    ids = list(TITLES)
    related = {product: [ids[place - 1], ids[place - 2]] for place, product in enumerate(ids)}
    publish_recommendations(make_night("2017-06-30", settings, related, TITLES), settings)
    return settings


FOUND = [
    ("红色搪瓷杯", {"chinese"}), ("搪瓷杯", {"chinese"}), ("杯", {"chinese"}), ("瓷红", set()), ("मिट्टी", {"hindi"}),
    ("कप", {"hindi"}), ("मि", {"hindi"}), ("crème", {"french", "caramel"}), ("CREME", {"french", "caramel"}),
    (unicodedata.normalize("NFD", "crème"), {"french", "caramel"}),
    ("oeuf", {"french"}), ("แก้ว", {"thai"}),
    ("กาแฟ", {"thai"}), ("สีแดง", {"thai"}), ("кофейная", {"russian"}), ("чашка", {"russian"}),
    ("ホーロー", {"japanese"}),
    ("マグ", {"japanese"}), ("ﾏｸﾞ", {"japanese"}), ("កាហ្វេ", {"khmer"}), ("ກາເຟ", {"lao"}), ("ခွက်", {"burmese"}),
    ("머그컵", {"korean"}), ("كوب", {"arabic"}), ("احمر", {"arabic"}),
    ("350", {"arabic", "code"}), ("kırmızı", {"turkish"}),
    ("grosse", {"german"}), ("groß", {"german"}), ("кофейн", {"russian"}),
    ("enamel", {"code"}), ("mug", {"code"}), ("4711", {"code"}),
    ("350ml", {"code"}), ("350 ml", {"code"}), ('"creme caramel"', {"caramel"}), ('"caramel creme"', set()),
    ("creme -caramel", {"french"}), ("caramel or 搪瓷", {"caramel", "chinese"}),
    ("'; drop table x; -- & | ! ( :* <->", set()),
    ("", set()), ("- \" or", set()),
]  # fmt: skip


def test_a_word_inside_a_title_is_found_in_every_script(published):
    with transaction(published) as connection:
        query = sa.text("select product_id from search_products(:words)")
        found = {words: set(connection.scalars(query, {"words": words})) for words, _ in FOUND}
    assert found == dict(FOUND)


def test_a_page_finds_what_begins_so(published):
    query = "select product_id from recommended_product where words @@ search_query(:words, true)"
    for words, product in (
        ("кофейн", "russian"),
        ("मिट्", "hindi"),
        ("kaffee", "german"),
        ("แก้วก", "thai"),
        ("35", "code"),
    ):
        assert (product,) in rows_of(published, query, words=words), words


LETTERS = st.sampled_from("aÉßœ1٣ıкйἄकि्षแก้ำ็红杯々ガがｶﾞｰក្រហាကော်ဖီຈອກ한\u1112\u1161 -/.,·។฿。「\u0301\u200b\ufe0f")


@hypothesis_settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(LETTERS, max_size=9), min_size=20, max_size=20))
def test_a_title_is_found_by_itself_and_cut_alike(database_connection, texts):
    """The query of a text is the phrase of its lexemes, but for the last letter of a run, which begins another pair."""
    expected = [phrase(text) for text in texts]
    with_quotes = [f'"{text}"' for text in texts]
    query = sa.text("""select search_query(asked)::text
        from unnest(cast(:asked as text[])) with ordinality as t (asked, n) order by n""")
    assert list(database_connection.scalars(query, {"asked": with_quotes})) == expected


def phrase(text: str) -> str | None:
    terms = []
    for word in tokens.words_of(text):
        letters = tokens.letters_of(word)
        if not tokens.is_run(word):
            terms += [f"'{piece}'" for piece in tokens.pieces_of(word)]
        elif len(letters) == 1:
            terms.append(f"'{letters[0]}':*")
        else:
            terms += [f"'{first}{second}'" for first, second in pairwise(letters)]
    return " <-> ".join(terms) or None


@pytest.fixture
def database_connection(settings):
    with transaction(settings) as connection:
        yield connection


def test_marks_and_ranges_of_the_query_are_those_of_titles():
    written = Path(SQL / "views" / "04_search_query.sql").read_text(encoding="utf-8")

    def declared(name: str) -> set[str]:
        text = "".join(re.findall(r"'([^']*)'", re.search(rf"{name} constant text :=([^;]*);", written)[1]))
        return set(characters(text))

    without_blanks = set(characters(tokens.WITHOUT_BLANKS))
    assert declared("without_blanks") == without_blanks
    assert declared("accents") - set("[]") == set(characters(tokens.ACCENTS + tokens.UNWRITTEN))
    marks = {each for each in without_blanks if unicodedata.category(each).startswith("M")}
    assert marks <= declared("marks") <= without_blanks, "SQL knows those of Unicode 16"


def characters(ranges: str) -> list[str]:
    plain = re.sub(r"\\[uU]([0-9a-f]{8}|[0-9a-f]{4})", lambda found: chr(int(found[1], 16)), ranges)
    found = re.findall("(.)-(.)|(.)", plain)
    return [chr(code) for first, last, alone in found for code in range(ord(first or alone), ord(last or alone) + 1)]


def test_a_title_longer_than_postgresql_takes_is_cut(settings):
    title = " ".join(["x" * 3000, *map(str, range(20_000))])
    (words,) = search_words(pa.chunked_array([[title]])).to_pylist()
    assert rows_of(settings, "select cast(:words as tsvector) @@ '12'::tsquery", words=words) == [(True,)]
