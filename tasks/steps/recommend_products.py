"""Every product of the catalogue gets its related products, chosen from its ranked candidates."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.explanations import write_reasons
from tasks.publish.pair_rules import read_pair_rules
from tasks.settings import Settings
from tasks.shards import shards_of
from tasks.stores.artefacts import Artefact, Storage

if TYPE_CHECKING:
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
    from tasks.publish.lists import Shop
    from tasks.ranking import load_ranker, load_snapshot

    interactions, label_graph, trained = inputs_of_all
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.open(trained) as model,
        storage.write(night.artefact("recommendations"), made_from=[*inputs_of_all, *shards]) as (folder, counts),
    ):
        snapshot, ranker = load_snapshot(inputs, texts, model, settings, known_until=0), load_ranker(model)
        shop = Shop.of(pq.read_table(inputs / "products.parquet"), snapshot.titles_PV, snapshot.cooccurrence, settings)
        ranked = _ranked(storage, shards, len(shop.products), shop.rules.candidates)
        decided = read_pair_rules(shop.products["product_id"], settings)
        chosen, applied = shop.published_lists(ranked.labels_QK, ranked.scores_QK, decided)
        counts |= {**shop.write(chosen, folder), **applied._asdict()}
        first = slice(None), slice(settings.explained_ranks)
        reasons = reasons_of(snapshot, ranker, ranked, chosen.labels_PK[first], chosen.scores_PK[first])
        write_reasons(reasons, shop.ids_P, night.day, folder)
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
