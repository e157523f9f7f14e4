"""New titles by language: how much of what a made shop sells together is found, the same shop written in each."""

import json
import logging
import re
from itertools import chain
from typing import Annotated, Any

import numpy as np
import scipy.sparse as sp
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.made_languages import PATTERNS, MadeShop, made_shop
from eclare.arrays.tfidf import normalise_rows, pairs_of
from eclare.xc.config import RecommenderConfig
from eclare.xc.recommender import Recommender

console = Console(stderr=True)

NAMES = {
    "en": "English", "hi": "Hindi", "fr": "French", "th": "Thai", "zh": "Chinese", "ja": "Japanese", "km": "Khmer",
    "lo": "Lao", "my": "Burmese", "ko": "Korean", "ar": "Arabic", "ru": "Russian", "de": "German", "fi": "Finnish",
    "tr": "Turkish", "hu": "Hungarian",
}  # fmt: skip
SCRIPTS = {
    "hi": "Devanagari", "th": "Thai", "zh": "Han", "ja": "Japanese", "km": "Khmer", "lo": "Lao", "my": "Burmese",
    "ko": "Hangul", "ar": "Arabic", "ru": "Cyrillic",
}  # fmt: skip
COMPOUNDS = {"de", "fi"}
BARS = {False: 0.9, True: 0.95}  # of English, at least; languages of compounds
AT = 5


def main(
    languages: Annotated[str, typer.Option(help="which of them, by comma; English first")] = ",".join(PATTERNS),
    products: Annotated[int, typer.Option(help="and a third as many new titles", min=200)] = 480,
    seeds: Annotated[int, typer.Option(help="shops, each trained on; figures are means", min=1)] = 2,
    word_parts: Annotated[str, typer.Option(help="option of ECLAREConfig")] = "auto",
    rival: Annotated[bool, typer.Option(help="the same model on words by \\w+, as before")] = True,
) -> None:
    """Ends with one JSON line: P@5 by language, its ratio to English, and whether parts of words are used.

    chance: P@5 of labels drawn at random. words: P@5 of the same model on lower-cased runs of letters by Python's \\w+.
    """
    logging.getLogger("eclare").setLevel(logging.WARNING)
    config = RecommenderConfig.of({"word_parts": word_parts})
    rows: dict[str, dict[str, Any]] = {}
    for language in languages.split(","):
        shops = [made_shop(language, products, products // 3, seed) for seed in range(seeds)]
        precisions, parts = zip(*(_ours(shop, config) for shop in shops), strict=True)
        row = {"script": SCRIPTS.get(language, "Latin"), "P@5": _mean(list(precisions))}
        row |= {
            "parts": float(np.mean(parts)),
            "words": _mean([_rival(shop, config) for shop in shops]) if rival else None,
        }
        rows[NAMES[language]] = row
        english = rows.get("English", row)["P@5"]
        row |= {
            "of_english": round(row["P@5"] / english, 3),
            "holds": bool(row["P@5"] / english >= BARS[language in COMPOUNDS]),
        }
        console.print(NAMES[language], row, style="dim")
    chance = _mean([shop.truth_QN.mean() for shop in shops])
    console.print(_table(rows))
    shown = {"products": products, "seeds": seeds, "word_parts": word_parts, "chance": chance}
    print(json.dumps(shown | {"languages": rows}))


def _ours(shop: MadeShop, config: RecommenderConfig) -> tuple[float, bool]:
    """P@5, and whether parts of words are used."""
    fitted = Recommender.fit(shop.titles, shop.titles, shop.clicks_NN, config)
    return _precision(fitted.predict(shop.asked, AT).labels_QK, shop), fitted.parts is not None and fitted.parts.used


def _rival(shop: MadeShop, config: RecommenderConfig) -> float:
    known, asked = _word_features(shop)
    fitted = Recommender.fit(known, known, shop.clicks_NN, config)
    return _precision(fitted.predict(asked, AT).labels_QK, shop)


def _precision(labels_QK: np.ndarray, shop: MadeShop) -> float:
    """Share of the places that hold a label of the title's topic; PAD holds none."""
    query = np.repeat(np.arange(len(labels_QK)), labels_QK.shape[1])
    right = np.asarray(shop.truth_QN[query, np.maximum(labels_QK, 0).ravel()]).ravel() > 0
    return float((right & (labels_QK.ravel() >= 0)).mean())


def _word_features(shop: MadeShop) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """TF-IDF of lower-cased words by Python's \\w+ and their pairs, of the products and of what is asked."""
    tokens = [re.findall(r"\w+", title.lower()) for title in (*shop.titles, *shop.asked)]
    tokens = [[*words, *pairs_of(words)] for words in tokens]
    of_products = chain.from_iterable(tokens[: len(shop.titles)])
    column = {token: place for place, token in enumerate(dict.fromkeys(of_products))}
    found = [(row, column[token]) for row, each in enumerate(tokens) for token in each if token in column]
    row, token = np.array(found).T
    counts = sp.csr_matrix((np.ones(len(row), np.float32), (row, token)), shape=(len(tokens), len(column)))
    in_titles = np.bincount(counts[: len(shop.titles)].indices, minlength=len(column))
    idf = np.log((1 + len(shop.titles)) / (1 + in_titles)) + 1
    features = normalise_rows(sp.csr_matrix(counts @ sp.diags_array(idf.astype(np.float32))))
    return features[: len(shop.titles)], features[len(shop.titles) :]


def _mean(figures: list[float]) -> float:
    return round(float(np.mean(figures)), 3)


def _table(rows: dict[str, dict[str, Any]]) -> Table:
    table = Table("", *next(iter(rows.values())))
    for name, row in rows.items():
        table.add_row(name, *map(str, row.values()))
    return table


if __name__ == "__main__":
    typer.run(main)
