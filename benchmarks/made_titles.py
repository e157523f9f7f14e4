"""Titles, categories and brands of a made shop: words that topics share, words of categories, some that say nothing."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

WORDS_OF_A_TOPIC, SHARED = 3, 0.75  # words of each topic; different ones in all for every topic
NAMED = (0.85, 0.4)  # of the titles have a word of their topic, and a second one
COMMON_WORDS = 5000
CATEGORIES_OF_A_TOPIC = 4
OWN_TITLE = 0.75  # of the products; the others are variants of the product before them
LOOKS = ("black", "white", "red", "green", "blue", "grey", "250 ml", "500 ml", "1 l", "small", "medium", "large")
SYLLABLES = pa.array([consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in "aeiou"])

Numbers = npt.NDArray[np.int64]
Kept = npt.NDArray[np.bool_]


def made_catalogue(topic_P: Numbers, random: np.random.Generator) -> pa.Table:
    """title, category and brand of P products, given side by side by topic.

    A topic has a few categories, each of which many topics have. Variants are the same but for a colour or a size.
    """
    products, topics, own_P = len(topic_P), int(topic_P[-1]) + 1, random.random(len(topic_P)) < OWN_TITLE
    own_P[np.flatnonzero(np.diff(topic_P, prepend=-1))] = True
    like_P = np.maximum.accumulate(np.where(own_P, np.arange(products), 0))  # the product whose words it has
    categories, brands = 4 + int(products**0.5 / 2), 10 + products // 200
    category_TC = zipf(random, categories, (topics, CATEGORIES_OF_A_TOPIC))
    category_P = category_TC[topic_P, random.integers(CATEGORIES_OF_A_TOPIC, size=products)][like_P]
    word_TW = random.integers(1 + int(topics * SHARED), size=(topics, WORDS_OF_A_TOPIC))
    first_P, named_P = random.integers(WORDS_OF_A_TOPIC, size=products)[like_P], random.random(products)[like_P]
    kinds = [brands, categories, categories, 2 * categories, COMMON_WORDS, 1 + int(topics * SHARED)]
    words = made_words(sum(kinds))
    starts = np.cumsum(kinds) - kinds
    of_brands, of_departments, of_categories, nouns, common, of_topics = map(words.slice, starts, kinds)
    brand = _taken(of_brands, zipf(random, brands, products)[like_P])
    noun = _taken(nouns, 2 * category_P + random.integers(2, size=products)[like_P])
    anything = _taken(common, zipf(random, COMMON_WORDS, products)[like_P])
    of_topic = [
        _taken(of_topics, word_TW[topic_P, (first_P + place) % WORDS_OF_A_TOPIC], named_P < share)
        for place, share in enumerate(NAMED)
    ]
    look_P = random.integers(len(LOOKS), size=products)[like_P] + np.arange(products) - like_P  # variants differ
    look = _taken(pa.array(LOOKS), look_P % len(LOOKS), ~own_P | (random.random(products) < OWN_TITLE))
    title = pc.binary_join_element_wise(brand, *of_topic, noun, anything, look, " ", null_handling="skip")
    category = pc.binary_join_element_wise(
        _taken(of_departments, category_P // 8), _taken(of_categories, category_P), " > "
    )
    return pa.table({"title": title, "category": category, "brand": brand})


def zipf(random: np.random.Generator, count: int, size: int | tuple[int, ...]) -> Numbers:
    """Numbers from 0 up to `count`, each about as often as one over its place."""
    drawn: Numbers = np.exp(random.random(size) * np.log(count + 1)).astype(np.int64) - 1
    return drawn


def made_words(count: int) -> pa.Array:
    """Different words of three syllables each, near ones unlike one another."""
    number_W = np.arange(count) * 7919 % len(SYLLABLES) ** 3
    return pc.binary_join_element_wise(
        *(SYLLABLES.take(pa.array(number_W // len(SYLLABLES) ** power % len(SYLLABLES))) for power in (2, 1, 0)), ""
    )


def _taken(values: pa.Array, number_P: Numbers, kept_P: Kept | None = None) -> pa.Array:
    return values.take(pa.array(number_P, mask=None if kept_P is None else ~kept_P))
