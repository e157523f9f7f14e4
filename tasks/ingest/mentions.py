"""Where a text names a user: as a whole, or as words within it."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from tasks.stores.ledger import ErasedUsers, salted_hash

WORD = re.compile(r"[^\W_]+")
OF_DAY = r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s?(?:Z|UTC|[+-]\d\d:?\d\d)?"
TIME = re.compile(rf"\d{{4}}-\d\d-\d\d(?:[T ]{OF_DAY})?|{OF_DAY}")
ESCAPED = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")  # as JSON may write any characters

NamesUser: TypeAlias = Callable[[str], bool]


class Phrase(NamedTuple):
    """An id as it is found within a text, from its first letter or digit to its last; words: 0 where it has neither."""

    text: str
    words: int

    @classmethod
    def of(cls, user_id: str) -> "Phrase":
        """What is left of an id whose brackets and quotes a text may share with what surrounds it."""
        words = list(WORD.finditer(user_id))
        return cls(user_id[words[0].start() : words[-1].end()], len(words)) if words else cls(user_id, 0)


def names_any_of(ids: Collection[str]) -> NamesUser:
    """Whether a text names one of these users."""
    phrases = [Phrase.of(user_id) for user_id in ids]
    known, lengths = {*ids, *(phrase.text for phrase in phrases)}, {phrase.words for phrase in phrases}
    return lambda text: not known.isdisjoint(_phrases(text, lengths))


def names_erased_user(erased: ErasedUsers) -> NamesUser:
    """Whether a text names a user of whom only the hash is known."""
    known = {*erased.user_hashes, *erased.phrase_hashes}

    def names(text: str) -> bool:
        return any(salted_hash(erased.salt, phrase) in known for phrase in _phrases(text, erased.phrase_words))

    return names if known else lambda _: False


def _phrases(text: str, lengths: Iterable[int]) -> Iterator[str]:
    """The whole text, and every run of so many of its words with what stands between them.

    A number within a date or a time is no word alone: every text would name user 6.
    """
    yield text
    text = ESCAPED.sub(_unescaped, text)
    yield text
    for length in lengths:
        words = [word.span() for word in WORD.finditer(TIME.sub(_blank, text) if length == 1 else text)]
        for (start, _), (_, end) in zip(words, words[max(length, 1) - 1 :], strict=False):
            yield text[start:end]


def _unescaped(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("\\u", "")).decode("utf-16-be", errors="replace")


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])
