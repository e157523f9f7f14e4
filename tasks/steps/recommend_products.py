"""Step 7: every product of the catalogue gets its related products, chosen from its ranked candidates."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.strings import strings
from eclare.arrays.topk import PAD
from eclare.related.recommendations import SOURCES, Recommendations
from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.explanations import write_reasons
from tasks.publish.histories import write_histories
from tasks.publish.pair_rules import read_pair_rules
from tasks.settings import Settings
from tasks.shards import shards_of
from tasks.stores.artefacts import Artefact, Storage

if TYPE_CHECKING:
    from eclare.evaluation.lists import ListFigures
    from eclare.related.list_rules import Catalogue, Lists
    from eclare.related.ranking import Ranked


def recommend_products(night: Night, settings: Settings) -> dict[str, float]:
    """The top_k products in stock and not blocked for every product, itself left out; writes recommendations.npz.

    Chosen from what rank_products ranked, in all RECOMMEND_SHARDS: a limit on how often a product is shown is one on
    all lists together. Lists keep to MAX_SAME_CATEGORY, DIVERSITY, MAX_VARIANTS and MAX_EXPOSURE; short ones are filled
    up from their category, with what sells everywhere only where FILL_WITH_POPULAR says so. lists.json says what the
    lists look like, all and by segment of their query, histories.parquet how much is known of each product,
    reasons.parquet why the first EXPLAINED_RANKS are recommended. What people pinned or blocked (table pair_rule) comes
    last, so that the gate judges the rows that readers get. Raises BadInput for ranked products of other settings than
    these, NotReady when an artefact or the database is away.
    """
    storage = Storage(settings.storage_url)
    inputs_of_all = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    shards = [storage.read(night.ranked(shard)) for shard in shards_of(settings)]
    # What takes seconds to load, once nothing is missing.
    from eclare.related.explain import reasons_of
    from eclare.related.list_rules import Catalogue
    from eclare.related.pair_rules import apply_pair_rules
    from eclare.related.rerank import rerank
    from eclare.related.variants import Variants
    from tasks.ranking import categories, list_rules, load_ranker, load_snapshot, recommendable

    interactions, label_graph, trained = inputs_of_all
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.open(trained) as model,
        storage.write(night.artefact("recommendations"), made_from=[*inputs_of_all, *shards]) as (folder, counts),
    ):
        products, rules = pq.read_table(inputs / "products.parquet"), list_rules(settings)
        ranked = _ranked(storage, shards, len(products), rules.candidates)
        snapshot, ranker = load_snapshot(inputs, texts, model, settings, known_until=0), load_ranker(model)
        variants = Variants.of(*(products[name].to_pylist() for name in ("title", "category", "brand")))
        sessions_P = snapshot.cooccurrence.popularity()
        catalogue = Catalogue(snapshot.titles_PV, categories(products), snapshot.allowed_P, variants, sessions_P)
        chosen = rerank(ranked.labels_QK, ranked.scores_QK, catalogue, snapshot.cooccurrence, rules)
        chosen, applied = apply_pair_rules(chosen, read_pair_rules(products["product_id"], settings), catalogue)
        ids = strings(products["product_id"].to_pylist())
        recommendations = Recommendations(chosen.labels_PK, chosen.scores_PK, chosen.sources_PK, ids, ids)
        recommendations.save(folder)
        figures = _describe(chosen, catalogue, products, folder)
        first = slice(None), slice(settings.explained_ranks)
        lists = recommendations.labels_NK[first], recommendations.scores_NK[first]
        write_reasons(reasons_of(snapshot, ranker, ranked, *lists), recommendations.label_ids_L, night.day, folder)
        labels, sources = recommendations.labels_NK, recommendations.sources_NK
        counts |= {"products": len(products), "recommendable": int(recommendable(products).sum())}
        counts |= {"rows": int((labels != PAD).sum()), "distinct": len(np.unique(labels[labels != PAD]))}
        counts |= {name: int((sources[labels != PAD] == place).sum()) for place, name in enumerate(SOURCES)}
        counts |= {"moved_by_exposure": chosen.moved, **applied._asdict(), **figures._asdict()}
    return counts


def _ranked(storage: Storage, shards: Sequence[Artefact], products: int, candidates: int) -> "Ranked":
    """The ranked candidates of all shards; raises BadInput where they are not so many of so many products."""
    from eclare.related.ranking import Ranked

    counted, seen = sum(each.counts["products"] for each in shards), {each.counts["candidates"] for each in shards}
    if counted != products or seen != {candidates}:
        raise BadInput(
            f"{shards[0].path} and the other shards must hold {candidates} candidates of each of {products} products, "
            f"as TOP_K and the rules of lists ask for, got {sorted(seen)} of {counted:g}: run rank_products again, "
            "then this step"
        )
    with ExitStack() as opened:
        return Ranked.load([opened.enter_context(storage.open(shard)) for shard in shards])


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
