"""Step 6: every product of the catalogue gets its related products."""

import numpy as np
import pyarrow.parquet as pq

from eclare.recommendations import Recommendations
from tasks.night import Night
from tasks.settings import Settings
from tasks.storage import Storage


def recommend_products(night: Night, settings: Settings) -> dict[str, float]:
    """The top_k products in stock and not blocked for every product, itself left out; writes recommendations.npz.

    The model is the one that was judged; what it is told of clicks goes up to the night itself.
    """
    from tasks.model_inputs import answer_of, recommendable

    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    interactions, label_graph, trained = artefacts
    with (
        storage.open(interactions) as clicks,
        storage.open(label_graph) as texts,
        storage.open(trained) as weights,
        storage.write(night.artefact("recommendations"), made_from=artefacts) as (folder, counts),
    ):
        products = pq.read_table(clicks / "products.parquet")
        answer = answer_of(clicks, texts, weights, settings, known_until=0)
        labels, scores = answer(np.arange(len(products), dtype=np.int32), settings.top_k)
        ids = products["product_id"].to_numpy().astype(str)
        recommendations = Recommendations(labels, scores, ids, ids)
        recommendations.save(folder)
        counts |= {"products": len(products), "recommendable": int(recommendable(products).sum())}
        counts |= {"rows": int((labels >= 0).sum()), "distinct": len(np.unique(labels[labels >= 0]))}
    return counts
