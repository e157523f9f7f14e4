"""In which scripts and languages titles are written, as far as their letters tell."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

# Scripts whose letters Unicode names by another word than the script's.
SCRIPTS = {"CJK": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana", "HALFWIDTH": "Kana", "FULLWIDTH": "Latin"}
LETTERS = (" LETTER ", " SYLLABLE ", " IDEOGRAPH")  # in the name of each; signs such as that of micro have none
WITHOUT_BLANKS = frozenset({"Han", "Kana", "Thai", "Lao", "Khmer", "Myanmar"})
LANGUAGE_OF = {  # letters that hardly any other language of the script has
    "German": "ß",
    "Polish": "łżźść",
    "Czech": "řěů",
    "Hungarian": "őű",
    "Turkish": "ğı",
    "Spanish": "ñ¿¡",
    "Portuguese": "ãõ",
    "French": "œèêù",
    "Danish or Norwegian": "øæ",
    "Romanian": "ăț",
    "Vietnamese": "ạảấầậắằđơư",
    "Ukrainian": "іїєґ",
    "Russian": "ыэё",
    "Persian": "پچژگ",
}
LEAST_SHARE = 0.005  # of the titles that hold such a letter


@dataclass(frozen=True)
class Writing:
    """What some titles are written in.

    scripts: share of the titles that hold letters of each script, the most frequent first; languages: guesses from
    letters; examples: a title of each script; words: mean words between blanks.
    """

    titles: int
    scripts: dict[str, float]
    languages: list[str]
    examples: dict[str, str]
    words: float

    @property
    def without_blanks(self) -> float:
        """Share of the titles in the most frequent script that writes no blanks between words."""
        return max((share for script, share in self.scripts.items() if script in WITHOUT_BLANKS), default=0.0)


def writing_of(titles: Iterable[str]) -> Writing:
    """Scripts and languages of some titles."""
    held: Counter[str] = Counter()
    letters: Counter[str] = Counter()
    examples: dict[str, str] = {}
    count = words = 0
    for title in titles:
        count += 1
        words += len(title.split())
        composed = set(unicodedata.normalize("NFC", title.lower()))
        for script in {_script_of(letter) for letter in composed} - {""}:
            held[script] += 1
            examples.setdefault(script, title)
        letters.update(composed)
    scripts = {script: titles_of / count for script, titles_of in held.most_common()} if count else {}
    return Writing(count, scripts, _languages(letters, count, scripts), examples, words / count if count else 0.0)


def _languages(letters: Counter[str], titles: int, scripts: dict[str, float]) -> list[str]:
    found = {language: max(letters[letter] for letter in own) for language, own in LANGUAGE_OF.items()}
    frequent = [language for language, times in found.items() if times >= max(LEAST_SHARE * titles, 1)]
    if scripts.get("Kana", 0) >= LEAST_SHARE:
        frequent.append("Japanese")
    elif scripts.get("Han", 0) >= LEAST_SHARE:
        frequent.append("Chinese")
    return sorted(frequent, key=lambda language: -found.get(language, titles))


@cache
def _script_of(letter: str) -> str:
    name = unicodedata.name(letter, "")
    if not letter.isalpha() or not any(word in name for word in LETTERS):
        return ""
    first = name.partition(" ")[0]
    return SCRIPTS.get(first, first.capitalize())
