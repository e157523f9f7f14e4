"""Step 6: every product of the catalogue gets its related products."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.topk import PAD
from eclare.related.recommendations import SOURCES, Recommendations
from tasks.night import Night
from tasks.publish.explanations import write_reasons
from tasks.settings import Settings
from tasks.stores.artefacts import Storage

if TYPE_CHECKING:
    from eclare.related.ranking import Ranked
    from eclare.related.rerank import ListRules
    from eclare.related.snapshot import Snapshot


def recommend_products(night: Night, settings: Settings) -> dict[str, float]:
    """The top_k products in stock and not blocked for every product, itself left out; writes recommendations.npz.

    Model and ranker are those that were judged; the clicks that features count go up to the night itself. Lists keep
    to MAX_SAME_CATEGORY and DIVERSITY; short ones are filled up with what is popular. reasons.parquet says why, for
    the first EXPLAINED_RANKS.
    """
    from eclare.related.explain import reasons_of
    from eclare.related.ranking import rank
    from eclare.related.rerank import ListRules
    from tasks.ranking import load_ranker, load_snapshot, recommendable

    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    interactions, label_graph, trained = artefacts
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.open(trained) as model,
        storage.write(night.artefact("recommendations"), made_from=artefacts) as (folder, counts),
    ):
        products = pq.read_table(inputs / "products.parquet")
        snapshot, ranker = load_snapshot(inputs, texts, model, settings, known_until=0), load_ranker(model)
        rules = ListRules(settings.top_k, settings.max_same_category, settings.diversity)
        ranked = rank(snapshot, ranker, np.arange(len(products), dtype=np.int32), rules.candidates)
        recommendations = _lists(snapshot, ranked, products, rules)
        recommendations.save(folder)
        first = slice(None), slice(settings.explained_ranks)
        lists = recommendations.labels_NK[first], recommendations.scores_NK[first]
        reasons = reasons_of(snapshot, ranker, ranked, *lists)
        write_reasons(reasons, recommendations.label_ids_L, night.day, folder)
        labels, sources = recommendations.labels_NK, recommendations.sources_NK
        counts |= {"products": len(products), "recommendable": int(recommendable(products).sum())}
        counts |= {"rows": int((labels != PAD).sum()), "distinct": len(np.unique(labels[labels != PAD]))}
        counts |= {name: int((sources[labels != PAD] == place).sum()) for place, name in enumerate(SOURCES)}
    return counts


def _lists(snapshot: "Snapshot", ranked: "Ranked", products: pa.Table, rules: "ListRules") -> Recommendations:
    from eclare.related.rerank import Catalogue, rerank
    from tasks.ranking import categories

    ids = products["product_id"].to_numpy().astype(str)
    catalogue = Catalogue(snapshot.titles_PV, categories(products), snapshot.allowed_P)
    lists = rerank(ranked.labels_QK, ranked.scores_QK, catalogue, snapshot.cooccurrence, rules)
    return Recommendations(*lists, ids, ids)
