"""Which column of a file is which of ours: by names people give them, and by what the values look like."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from tasks.doctor.peek import Column, Peek
from tasks.doctor.times import TimeShape, time_shape

Sureness = Literal["sure", "likely", "a guess"]
ORDER = ("event_time", "product_id", "event_type", "session_id", "user_id", "event_id", "source_product_id")
CATALOGUE_ORDER = ("product_id", "title", "category", "brand", "price", "image_url", "in_stock", "blocked")
EXACT, PART, NO_NAME = 1.0, 0.6, 0.0
LEAST = 0.5  # of a score; names and values add up to 2, and ids of the catalogue to 3
MAX_TYPES = 60


@dataclass(frozen=True)
class Guess:
    """One of our columns, the file's column for it, how sure that is, and why."""

    ours: str
    theirs: str
    sure: Sureness
    why: str


class Fit(NamedTuple):
    """How well the values suit a column of ours, from 0 (not at all) to 2, and in words."""

    score: float
    why: str


NO_FIT = Fit(0.0, "")


def guess_log(found: Peek, known_ids: Collection[str] = ()) -> list[Guess]:
    """Our columns of a log; each column of the file stands for one of them at most.

    known_ids: product ids of a catalogue, if there is one.
    """
    return _assign(found.columns, ORDER, _words()["log"], frozenset(known_ids), found.lists)


def guess_catalogue(found: Peek, clicked_ids: Collection[str] = ()) -> list[Guess]:
    """Our columns of a catalogue; clicked_ids: product ids of a log, if there is one."""
    words = _words()["catalogue"] | {
        "product_id": [*_words()["log"]["product_id"], "id", "handle", "variant_sku", "code"]
    }
    return _assign(found.columns, CATALOGUE_ORDER, words, frozenset(clicked_ids), {})


def guess_event_types(column: Column) -> dict[str, str | None]:
    """The types of a log -> ours, None for those that are none of ours; most frequent first."""
    ours = {_squeezed(word): kind for kind, words in _words()["event_types"].items() for word in words}
    return {value: ours.get(_squeezed(value)) for value, _ in Counter(column.texts).most_common(MAX_TYPES)}


def folded(name: str) -> str:
    """visitorId, Visitor-ID and VISITOR ID as visitor_id, accents left out."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).lower()
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[\W_]+", "_", plain).strip("_")


def _squeezed(name: str) -> str:
    return folded(name).replace("_", "")


@cache
def _words() -> dict[str, dict[str, list[str]]]:
    words: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("words.json").read_text())
    return words


def _assign(
    columns: Mapping[str, Column],
    order: Sequence[str],
    words: Mapping[str, Sequence[str]],
    known_ids: frozenset[str],
    lists: Mapping[str, Sequence[int]],
) -> list[Guess]:
    guesses: list[Guess] = []
    taken: set[str] = set()
    for ours in order:
        candidates = []
        for place, (path, column) in enumerate(columns.items()):
            if path in taken or not column.values:
                continue
            name, fit = _name_score(path, words[ours]), _fit(ours, column, known_ids)
            if fit.score and (name or fit.score > 1):
                in_list = any(path == items or path.startswith(f"{items}.") for items in lists)
                candidates.append(
                    (name + fit.score + 0.05 * (in_list and ours == "product_id"), -place, name, path, fit)
                )
        if candidates and max(candidates)[0] >= LEAST:
            _, _, name, path, fit = max(candidates)
            taken.add(path)
            guesses.append(_guess(ours, path, name, fit, columns[path]))
    return guesses


def _guess(ours: str, path: str, name: float, fit: Fit, column: Column) -> Guess:
    why = (
        [f"its name is one that {ours} has"] if name > PART else [f"its name holds one that {ours} has"] if name else []
    )
    if fit.why:
        why.append(fit.why)
    if column.blank_share > 0.01:
        why.append(f"{column.blank_share:.0%} of its rows are blank")
    is_told = name > PART or (fit.score > 1 and (bool(name) or ours == "product_id"))
    sure: Sureness = "sure" if name > PART and fit.score >= 1 else "likely" if is_told else "a guess"
    return Guess(ours, path, sure, "; ".join(why))


def _name_score(path: str, words: Sequence[str]) -> float:
    """1 for a word of the list, a little less the later it stands there, 0.6 for a part of the name."""
    whole, last = _squeezed(path), _squeezed(path.rpartition(".")[2])
    squeezed = [word.replace("_", "") for word in words]
    for name in (whole, last):
        if name in squeezed:
            return EXACT - 0.002 * squeezed.index(name)
    parts = folded(path.rpartition(".")[2])
    return PART if any(f"_{word}_" in f"_{parts}_" for word in words if len(word) > 2) else NO_NAME


def _fit(ours: str, column: Column, known_ids: frozenset[str]) -> Fit:
    if ours == "product_id":
        return _fits_product(column, known_ids)
    return FITS[ours](column) if ours in FITS else Fit(1.0, f"{len(set(column.texts)):,} different values")


def _fits_time(column: Column) -> Fit:
    shape = time_shape(column.values)
    if not shape or column.blank_share > 0.9:
        return NO_FIT
    better = {"typed": 0.3, "iso": 0.2, "format": 0.1, "spelled": 0.1, "number": 0.0}[shape.kind]
    dateless = 0.0 if _has_clock(column, shape) else -0.3
    return Fit(1.0 + better + dateless, f"{shape.share:.0%} of its values are {shape.described}")


def _has_clock(column: Column, shape: TimeShape) -> bool:
    """Whether times say more than the day."""
    if shape.kind == "number":
        return True
    return any(":" in text and not text.endswith("00:00:00") for text in column.texts[:200])


def _fits_product(column: Column, known_ids: frozenset[str]) -> Fit:
    texts = column.texts
    distinct = set(texts)
    if len(distinct) < 2 and len(texts) > 20:
        return NO_FIT
    if known_ids:
        share = sum(text.strip() in known_ids for text in texts) / len(texts)
        if share >= 0.2:
            return Fit(1.0 + share, f"{share:.0%} of its values are product ids of the other file")
    wordy = sum(text.strip().count(" ") for text in texts) / len(texts)
    if wordy > 1 or _share_of_fractions(texts) > 0.05:
        return NO_FIT
    return Fit(1.0 if len(distinct) < len(texts) or len(texts) < 20 else 0.9, f"{len(distinct):,} different values")


def _fits_group(column: Column) -> Fit:
    distinct = len(set(column.texts))
    if column.blank_share > 0.6:
        return NO_FIT
    if distinct < 2 and len(column.values) > 20:
        return Fit(0.3, "all rows share one value")
    per_value = len(column.values) / max(distinct, 1)
    return Fit(1.0, f"{per_value:.1f} rows share a value on average") if per_value < 1_000 else NO_FIT


def _fits_type(column: Column) -> Fit:
    texts = column.texts
    types = guess_event_types(column)
    if len(set(texts)) > MAX_TYPES:
        return NO_FIT
    share = sum(types[text] is not None for text in texts) / len(texts)
    known = ", ".join(value for value, kind in types.items() if kind)
    return Fit(1.0 + share, f"its values include {known}") if share else NO_FIT


def _fits_title(column: Column) -> Fit:
    texts = column.texts
    lettered = sum(any(letter.isalpha() for letter in text) for text in texts) / len(texts)
    if lettered < 0.5:
        return NO_FIT
    words, length = sum(len(text.split()) for text in texts) / len(texts), sum(map(len, texts)) / len(texts)
    titled = 0.4 if 1.5 < words < 25 or (words <= 1.5 and not texts[0].isascii()) else 0.0
    different = 0.1 * len(set(texts)) / len(texts)
    return Fit(0.7 + titled + different, f"{words:.1f} words and {length:.0f} characters on average")


def _fits_event_id(column: Column) -> Fit:
    is_one = len(set(column.texts)) == len(column.values) and column.blank_share < 0.5
    return Fit(1.0, "no value comes twice") if is_one else NO_FIT


def _fits_image(column: Column) -> Fit:
    share = sum(text.startswith(("http://", "https://")) for text in column.texts) / len(column.texts)
    return Fit(share, f"{share:.0%} are addresses") if share > 0.5 else NO_FIT


def _fits_price(column: Column) -> Fit:
    share = sum(bool(re.search(r"\d", text)) and len(text) < 30 for text in column.texts) / len(column.texts)
    return Fit(1.0, "numbers") if share > 0.9 else NO_FIT


def _fits_flag(column: Column) -> Fit:
    flags = {text.lower() for text in column.texts} <= {"true", "false", "1", "0"}
    return Fit(1.0, "true or false") if flags else NO_FIT


def _share_of_fractions(texts: Sequence[str]) -> float:
    return sum(bool(re.fullmatch(r"-?\d+[.,]\d*[1-9]\d*", text)) for text in texts) / len(texts)


FITS: dict[str, Callable[[Column], Fit]] = {
    "event_time": _fits_time,
    "session_id": _fits_group,
    "user_id": _fits_group,
    "event_type": _fits_type,
    "event_id": _fits_event_id,
    "title": _fits_title,
    "price": _fits_price,
    "image_url": _fits_image,
    "in_stock": _fits_flag,
    "blocked": _fits_flag,
}
