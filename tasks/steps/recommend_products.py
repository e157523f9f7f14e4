"""Step 6: every product of the catalogue gets its related products."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.strings import strings
from eclare.arrays.topk import PAD
from eclare.related.recommendations import SOURCES, Recommendations
from tasks.night import Night
from tasks.publish.explanations import write_reasons
from tasks.publish.histories import write_histories
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

if TYPE_CHECKING:
    from eclare.evaluation.lists import ListFigures
    from eclare.related.list_rules import Catalogue, Lists


def recommend_products(night: Night, settings: Settings) -> dict[str, float]:
    """The top_k products in stock and not blocked for every product, itself left out; writes recommendations.npz.

    Model and ranker are those that were judged; the clicks that features count go up to the night itself. Lists keep
    to MAX_SAME_CATEGORY, DIVERSITY, MAX_VARIANTS and MAX_EXPOSURE; short ones are filled up from their category, with
    what sells everywhere only where FILL_WITH_POPULAR says so. lists.json says what the lists look like, all and by
    segment of their query, histories.parquet how much is known of each product, reasons.parquet why the first
    EXPLAINED_RANKS are recommended.
    """
    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    # What takes seconds to load, once nothing is missing.
    from eclare.related.explain import reasons_of
    from eclare.related.list_rules import Catalogue, ListRules
    from eclare.related.ranking import rank
    from eclare.related.rerank import rerank
    from eclare.related.variants import Variants
    from tasks.ranking import categories, load_ranker, load_snapshot, recommendable

    interactions, label_graph, trained = artefacts
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.open(trained) as model,
        storage.write(night.artefact("recommendations"), made_from=artefacts) as (folder, counts),
    ):
        products = pq.read_table(inputs / "products.parquet")
        snapshot, ranker = load_snapshot(inputs, texts, model, settings, known_until=0), load_ranker(model)
        variants = Variants.of(*(products[name].to_pylist() for name in ("title", "category", "brand")))
        sessions_P = snapshot.cooccurrence.popularity()
        catalogue = Catalogue(snapshot.titles_PV, categories(products), snapshot.allowed_P, variants, sessions_P)
        rules = ListRules(
            settings.top_k, settings.max_same_category, settings.diversity,
            settings.max_variants, settings.max_exposure, settings.fill_with_popular,
        )  # fmt: skip
        ranked = rank(snapshot, ranker, np.arange(len(products), dtype=np.int32), rules.candidates)
        chosen = rerank(ranked.labels_QK, ranked.scores_QK, catalogue, snapshot.cooccurrence, rules)
        ids = strings(products["product_id"].to_pylist())
        recommendations = Recommendations(chosen.labels_PK, chosen.scores_PK, chosen.sources_PK, ids, ids)
        recommendations.save(folder)
        figures = _describe(chosen, catalogue, products, folder)
        first = slice(None), slice(settings.explained_ranks)
        lists = recommendations.labels_NK[first], recommendations.scores_NK[first]
        reasons = reasons_of(snapshot, ranker, ranked, *lists)
        write_reasons(reasons, recommendations.label_ids_L, night.day, folder)
        labels, sources = recommendations.labels_NK, recommendations.sources_NK
        counts |= {"products": len(products), "recommendable": int(recommendable(products).sum())}
        counts |= {"rows": int((labels != PAD).sum()), "distinct": len(np.unique(labels[labels != PAD]))}
        counts |= {name: int((sources[labels != PAD] == place).sum()) for place, name in enumerate(SOURCES)}
        counts |= {"moved_by_exposure": chosen.moved, **figures._asdict()}
    return counts


def _describe(chosen: "Lists", catalogue: "Catalogue", products: pa.Table, folder: Path) -> "ListFigures":
    """Write what the lists look like and how much is known of each product; returns the figures of all lists."""
    from eclare.evaluation.list_segments import (
        PageFigures,
        by_category,
        by_first_source,
        by_history,
        by_popularity,
        segment_figures,
    )
    from eclare.evaluation.lists import list_figures

    labels_PK, sessions_P = chosen.labels_PK, catalogue.sessions_P
    popularity = by_popularity(sessions_P)
    segmentations = (
        by_history(sessions_P), popularity, by_category(products["category"].to_pylist()),
        by_first_source(labels_PK, chosen.sources_PK, SOURCES),
    )  # fmt: skip
    figures = list_figures(labels_PK, sessions_P, catalogue.allowed_P, catalogue.variants.title_P)
    PageFigures(figures, segment_figures(labels_PK, sessions_P, segmentations)).save(folder)
    write_histories(products["product_id"], sessions_P, popularity, folder)
    return figures
