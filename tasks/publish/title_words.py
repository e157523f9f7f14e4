"""The words of a version's titles: for recommended_product.words, and which of them a mistyped word may have meant."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

import pyarrow as pa

from eclare.arrays.tokens import is_run, letters_of, pieces_of, words_of

SHORTEST, LONGEST = 3, 40  # letters of a word of table title_word; a shorter one is like too many others
LONGEST_LEXEME = 100  # letters, and MOST_LEXEMES of a title: PostgreSQL has limits of bytes and places
MOST_LEXEMES = 5_000


def search_words(titles: pa.ChunkedArray) -> pa.Array:
    """Every title as a tsvector in text: its words at their places, those of search_query (sql/views)."""
    return pa.array([_tsvector(title) for title in _texts(titles)], pa.string())


def counted_words(titles: pa.ChunkedArray) -> pa.Table:
    """Columns word and products, one row a word of letters alone; a title with a word twice counts twice."""
    counted = Counter(chain.from_iterable(map(words_of, _texts(titles))))
    fits = {
        word: count
        for word, count in counted.items()
        if SHORTEST <= len(word) <= LONGEST and not any(map(str.isdecimal, word)) and not is_run(word)
    }
    return pa.table({"word": pa.array(fits, pa.string()), "products": pa.array(fits.values(), pa.int64())})


def typed_words(text: str) -> list[str]:
    """The words of what somebody typed, as table title_word has them."""
    return words_of(text)


def _texts(titles: pa.ChunkedArray) -> Iterator[str]:
    return (title or "" for chunk in titles.chunks for title in chunk.to_pylist())


def _tsvector(title: str) -> str:
    lexemes = list(_lexemes(words_of(title)))[:MOST_LEXEMES]
    return " ".join(f"'{lexeme}':{place}" for place, lexeme in enumerate(lexemes, 1))


def _lexemes(words: Iterable[str]) -> Iterator[str]:
    """Words, codes in pieces, and of a script without blanks each letter with the next one, the last alone."""
    for word in words:
        if is_run(word):
            letters = letters_of(word)
            yield from map("".join, zip(letters, [*letters[1:], ""], strict=True))
        else:
            yield from (piece[:LONGEST_LEXEME] for piece in pieces_of(word))
