"""One made shop in many languages: what it sells and what is clicked is the same, titles are written as each writes.

A product is a thing for a use: a coffee cup, a dog's basket. A hidden topic has a few uses and a few things, each use
and each thing is in several topics, and only both together tell the topic. Titles that are asked for join a use and a
thing that no product joined before, so they share nothing but parts with what was trained on.
"""

import csv
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

WORDS = Path(__file__).with_name("shop_words.tsv")  # a row a concept, a column a language: one form, or "one|many"
TOPICS, TOPICS_OF_A_WORD = 12, 2
NEW_PAIRS = 0.25  # of all pairs of a use and a thing: only titles that are asked for have them
CLICKED, AT_RANDOM = 8, 0.25  # labels that a product leads to, and the share of them that means nothing
NAMED = {"colour": 0.6, "material": 0.3, "brand": 0.5, "size": 0.4}  # of the titles say so
BRANDS = [
    "Arvo",
    "Belmo",
    "Cordix",
    "Dunel",
    "Elmira",
    "Fasto",
    "Gondra",
    "Hevlin",
    "Ixora",
    "Jumel",
    "Kanto",
    "Lorvik",
]
SIZES = ("250 ml", "350ml", "0,5 l", "2 x 1", "30 cm", "45cm", "XL")
MANY = 0.35  # of the titles name several
LOUD, PLAIN, DECOMPOSED, NARROW = 0.15, 0.15, 0.1, 0.2  # upper case, without accents, in parts, in half-width letters

# Where a pattern has a blank, so has the title.
PATTERNS = {
    "en": "{brand} {colour} {material} {use} {thing} {size}",
    "hi": "{brand} {colour} {material} {use} {thing} {size}",
    "fr": "{thing} {of}{use} {colour} en {material} {brand} {size}",
    "th": "{thing}{use}{material}{colour} {brand} {size}",
    "zh": "{brand}{colour}{material}{use}{thing} {size}",
    "ja": "{brand} {colour}{material}{use}{thing} {size}",
    "km": "{thing}{use}{material}{colour} {brand} {size}",
    "lo": "{thing}{use}{material}{colour} {brand} {size}",
    "my": "{brand} {colour}{material}{use}{thing} {size}",
    "ko": "{brand} {colour} {material} {use}{gap}{thing} {size}",
    "ar": "{thing} {the}{use} {colour} {material} {brand} {size}",
    "ru": "{colour} {thing} для {use} {material} {brand} {size}",
    "de": "{brand} {use}{hyphen}{thing} {colour} aus {material} {size}",
    "fi": "{brand} {colour} {material} {use}{thing} {size}",
    "tr": "{brand} {colour} {material} {use} {thing} {size}",
    "hu": "{brand} {colour} {material} {use}{thing} {size}",
}
WRITTEN_WITHOUT_ACCENTS = ("fr", "ru")  # by some, in whole titles
JOINED = {"de": str.lower}  # what the second part of a compound becomes

Numbers = npt.NDArray[np.int64]
Chances = npt.NDArray[np.float64]


class MadeShop(NamedTuple):
    """N products, which are the labels, what each leads to, Q new titles, and what these should find, CSR Q x N."""

    titles: Sequence[str]
    clicks_NN: sp.csr_matrix
    asked: Sequence[str]
    truth_QN: sp.csr_matrix


class _Products(NamedTuple):
    """Which words each has, the topic, and chances that decide how its title is written, one a choice."""

    use_P: Numbers
    thing_P: Numbers
    topic_P: Numbers
    chances_PC: Chances


def made_shop(language: str, products: int, asked: int, seed: int) -> MadeShop:
    """The shop of a seed in one of PATTERNS; another language has the same products and clicks."""
    random = np.random.default_rng(seed)
    words = words_of_shops()
    uses, things = len(words[language]["use"]), len(words[language]["thing"])
    topic_UT, topic_HT = (_topics_of_words(count, random) for count in (uses, things))
    is_new_UH = random.random((uses, things)) < NEW_PAIRS
    known = _drawn(products, topic_UT, topic_HT, ~is_new_UH, random)
    new = _drawn(asked, topic_UT, topic_HT, is_new_UH, random)
    return MadeShop(
        _titles(language, known), _clicks(known.topic_P, random), _titles(language, new),
        sp.csr_matrix(new.topic_P[:, None] == known.topic_P[None, :], dtype=np.float32),
    )  # fmt: skip


@cache
def words_of_shops() -> dict[str, dict[str, list[str]]]:
    """By language and kind of word: use, thing, colour, material."""
    with WORDS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return {
        language: {kind: [row[language] for row in rows if row["kind"] == kind] for kind in kinds}
        for language in rows[0] if language != "kind"
    }  # fmt: skip


def _topics_of_words(count: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which topics each word is in, words x TOPICS: as many words in every topic."""
    slots = np.concatenate([random.permutation(count) for _ in range(TOPICS_OF_A_WORD)])
    topic = np.arange(len(slots)) * TOPICS // len(slots)
    belongs = np.zeros((count, TOPICS), bool)
    belongs[slots, topic] = True
    return belongs


def _drawn(
    count: int, topic_UT: npt.NDArray[np.bool_], topic_HT: npt.NDArray[np.bool_], allowed_UH: npt.NDArray[np.bool_],
    random: np.random.Generator,
) -> _Products:  # fmt: skip
    """Products of topics in turn, each of an allowed pair of its topic's uses and things."""
    topic_P = np.arange(count) % TOPICS
    pair_P = np.empty((count, 2), np.int64)
    for topic in range(TOPICS):
        pairs = np.argwhere(allowed_UH & topic_UT[:, topic, None] & topic_HT[None, :, topic])
        of_topic = np.flatnonzero(topic_P == topic)
        pair_P[of_topic] = pairs[random.integers(len(pairs), size=len(of_topic))]
    return _Products(pair_P[:, 0], pair_P[:, 1], topic_P, random.random((count, 16)))


def _clicks(topic_P: Numbers, random: np.random.Generator) -> sp.csr_matrix:
    """Each product leads to others of its topic, and to some of any."""
    products = len(topic_P)
    pairs = set()
    for product, topic in enumerate(topic_P):
        of_topic = np.flatnonzero(topic_P == topic)
        astray = random.random(CLICKED) < AT_RANDOM
        found = np.where(astray, random.integers(products, size=CLICKED), random.choice(of_topic, CLICKED))
        pairs |= {(product, int(other)) for other in found if other != product}
    row, column = np.array(sorted(pairs)).T
    return sp.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(products, products))


def _titles(language: str, products: _Products) -> list[str]:
    return [
        _title(language, int(use), int(thing), iter(chances.tolist()))
        for use, thing, chances in zip(products.use_P, products.thing_P, products.chances_PC, strict=True)
    ]


def _title(language: str, use: int, thing: int, chances: Iterator[float]) -> str:
    words, draw = words_of_shops()[language], chances.__next__

    def perhaps(kind: str, values: Sequence[str]) -> str:
        which, whether = draw(), draw()
        return values[int(which * len(values))] if whether < NAMED[kind] else ""

    one, _, many = words["thing"][thing].partition("|")
    spelling, number = draw(), draw()
    named, used = many if many and number < MANY else one, words["use"][use]
    title = PATTERNS[language].format(
        use=used, thing=JOINED.get(language, str)(named) if spelling > 0.1 else named,
        colour=perhaps("colour", words["colour"]), material=perhaps("material", words["material"]),
        brand=perhaps("brand", BRANDS), size=perhaps("size", SIZES), of=_french_of(used),
        gap=" " if spelling < 0.5 else "", the="ال" if spelling < 0.5 else "", hyphen="-" if spelling < 0.1 else "",
    )  # fmt: skip
    title = " ".join(title.replace(" en  ", " ").replace(" aus  ", " ").split())
    return _as_typed(language, title, draw)


def _french_of(word: str) -> str:
    return "d'" if unicodedata.normalize("NFD", word)[0] in "aeiouœh" else "de "


def _as_typed(language: str, title: str, draw: Callable[[], float]) -> str:
    """Upper case, lost accents, decomposed and half-width letters, as files of shops have them."""
    loud, plain, decomposed, narrow = draw() < LOUD, draw() < PLAIN, draw() < DECOMPOSED, draw() < NARROW
    if loud:
        title = title.upper()
    if plain and language in WRITTEN_WITHOUT_ACCENTS:
        title = "".join(each for each in unicodedata.normalize("NFD", title) if each not in "\u0300\u0301\u0302\u0308")
    if decomposed:
        title = unicodedata.normalize("NFD", title)
    elif narrow and language == "ja":
        title = "".join(_half_width().get(each, each) for each in title)
    return title


@cache
def _half_width() -> dict[str, str]:
    """Half-width katakana by the letter that it stands for."""
    narrow = [chr(code) for code in range(0xFF66, 0xFF9E)]
    marked = [letter + mark for letter in narrow for mark in ("\uff9e", "\uff9f")]
    spelt = {unicodedata.normalize("NFKC", each): each for each in [*marked, *narrow]}
    return {letter: each for letter, each in spelt.items() if len(letter) == 1}
