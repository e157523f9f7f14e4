"""The products of the catalogue get ranked candidates, a shard of them by each task."""

from tasks.night import Night
from tasks.settings import Settings
from tasks.shards import Shard, shards_of
from tasks.stores.artefacts import Storage


def rank_products(night: Night, settings: Settings, shard: str = "") -> dict[str, float]:
    """The best candidates of every product, for recommend_products to choose lists from; an artefact a shard.

    shard: such as 2-of-4; without one, all RECOMMEND_SHARDS one after the other. Model and ranker are those that were
    judged; the clicks that features count go up to the night itself. The rows do not depend on the number of shards.
    Raises BadInput for a shard that cannot be.
    """
    shards = [Shard.parse(shard)] if shard else shards_of(settings)
    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    # What takes seconds to load, once nothing is missing.
    from eclare.related.ranking import rank, rows_of_shard
    from tasks.publish.lists import list_rules
    from tasks.ranking import load_ranker, load_snapshot

    interactions, label_graph, trained = artefacts
    candidates, ranked = list_rules(settings).candidates, 0
    with storage.open(interactions) as inputs, storage.open(label_graph) as texts, storage.open(trained) as model:
        snapshot, ranker = load_snapshot(inputs, texts, model, settings, known_until=0), load_ranker(model)
        for each in shards:
            with storage.write(night.ranked(each), made_from=artefacts) as (folder, counts):
                queries = rows_of_shard(len(snapshot), each.number, each.of)
                rank(snapshot, ranker, queries, candidates).save(folder)
                counts |= {"products": len(queries), "candidates": candidates}
            ranked += len(queries)
    return {"shards": len(shards), "products": ranked, "candidates": candidates}
