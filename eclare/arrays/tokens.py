"""One normal form of titles, their words by Unicode's rules, and the parts of words that other words share.

A combining mark belongs to its letter and a word (Unicode's UTS 18), so that Hindi keeps its vowels. Scripts that are
written without blanks have no words to be found by rules: their runs of letters are told by their parts alone.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

# Chinese, Japanese, Thai, Lao, Burmese, Khmer; by ranges, as PostgreSQL names them too (sql/views/04_search_query.sql).
WITHOUT_BLANKS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\ua9e0-\ua9ff\uaa60-\uaa7f"
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
ACCENTS = "\u0300-\u036f"  # of Latin, Greek and Cyrillic; marks of other scripts make other letters
# Joiners, variants of a glyph, and the vowels that Arabic may leave out.
UNWRITTEN = "\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff\u0640\u064b-\u065f\u0670\U000e0100-\U000e01ef"
DIGITS = "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९০১২৩৪৫৬৭৮৯๐๑๒๓๔๕๖๗๘๙໐໑໒໓໔໕໖໗໘໙០១២៣៤៥៦៧៨៩၀၁၂၃၄၅၆၇၈၉"
SPELT = str.maketrans(
    {"ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe"}  # have no accent to lose
    | {digit: str(place % 10) for place, digit in enumerate(DIGITS)}
)

PARTS_OF_WORDS = range(3, 6)  # letters, with the word's edges
PARTS_OF_RUNS = range(1, 3)  # letters of a script without blanks, each with its marks
EDGE = "\x02"  # stands before and after a word


def _ranges(codes: Iterable[int]) -> str:
    """The inside of a character class."""
    found = list(codes)
    starts = [code for before, code in pairwise([-2, *found]) if code != before + 1]
    ends = [code for code, after in pairwise([*found, -2]) if after != code + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))


# No other plane of Unicode has marks.
_MARK = _ranges(code for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
_DROPPED = re.compile(f"[{ACCENTS}{UNWRITTEN}]+")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_LETTER_OF_RUN = rf"(?:(?=[{WITHOUT_BLANKS}])(?:[^\W\d_]|[{_MARK}]))"
_OTHER = rf"(?:(?![{WITHOUT_BLANKS}])(?:[^\W\d_]|[{_MARK}]))"
_WORD = re.compile(rf"{_LETTER_OF_RUN}+|(?:\d|{_OTHER})+")
_HAS_DIGIT, _PIECE, _WITH_UNIT = re.compile(r"\d"), re.compile(r"\d+|\D+"), re.compile(r"^(\d+)(?=\D+$)")
_IS_RUN = re.compile(f"[{WITHOUT_BLANKS}]")
_LETTER = re.compile(f".[{_MARK}]*", re.DOTALL)


def folded(title: str) -> str:
    """The normal form of a title, in which texts that readers take for one are one.

    NFKC (composed, full width), case folding, without accents and what is not seen. Latin letters that have another
    spelling get it: œ is oe.
    """
    if title.isascii():
        return title.lower()
    whole = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", title).casefold())
    return unicodedata.normalize("NFKC", _DROPPED.sub("", whole)).casefold().translate(SPELT)


def words_of(title: str) -> list[str]:
    """The folded words of a title: runs of a script without blanks, and of other letters and digits."""
    words = folded(title)
    return (_ASCII_WORD if words.isascii() else _WORD).findall(words)


def with_units_apart(words: Iterable[str]) -> list[str]:
    """The same words, a number cut off the letters that follow it, as in 350ml; codes that mix both otherwise stay."""
    return [part for word in words for part in _WITH_UNIT.sub(r"\1 ", word).split(" ")]


def pieces_of(word: str) -> list[str]:
    """Its letters and its numbers apart; of most words itself alone."""
    return _PIECE.findall(word) if _HAS_DIGIT.search(word) else [word]


def is_run(word: str) -> bool:
    """Whether it is of a script without blanks, so that it may be several words."""
    return _IS_RUN.match(word) is not None


def letters_of(word: str) -> list[str]:
    """Its letters, each with its marks."""
    return list(word) if word.isascii() else _LETTER.findall(word)


@lru_cache(maxsize=1 << 16)
def parts_of(word: str) -> tuple[str, ...]:
    """The different runs of letters in a word (n-grams), by where they begin; none of a number."""
    if word.isdecimal():
        return ()
    run = is_run(word)
    letters = letters_of(word) if run else [EDGE, *letters_of(word), EDGE]
    starts = range(len(letters))
    lengths = PARTS_OF_RUNS if run else PARTS_OF_WORDS
    found = ("".join(letters[i : i + n]) for i in starts for n in lengths if i + n <= len(letters))
    return tuple(dict.fromkeys(found))
