"""Step 6: every product of the catalogue gets its related products."""

import numpy as np
import pyarrow.parquet as pq

from eclare.interactions import Interactions
from eclare.recommendations import Recommendations
from tasks.night import Night
from tasks.settings import Settings
from tasks.storage import Storage


def recommend_products(night: Night, settings: Settings) -> dict[str, float]:
    """The top_k products in stock and not blocked for every product, itself left out; writes recommendations.npz."""
    from eclare.ensemble import Ensemble
    from eclare.evidence import Evidence
    from eclare.predict import top_labels
    from tasks.model_inputs import choose_device, load_texts, recommendable

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
        titles = load_texts(texts).labels_LV
        ensemble = Ensemble.load(weights, titles, choose_device(settings.device))
        training = Interactions.load(clicks / "training")
        labels, scores = top_labels(
            ensemble,
            titles,
            settings.top_k,
            recommendable(products),
            own_N=np.arange(len(products), dtype=np.int32),
            evidence=Evidence.of_products(training.weights_NL, titles),
        )
        ids = training.point_ids_N
        recommendations = Recommendations(labels, scores, ids, ids)
        recommendations.save(folder)
        counts |= {"products": len(products), "recommendable": int(recommendable(products).sum())}
        counts |= {"rows": int((labels >= 0).sum()), "distinct": len(np.unique(labels[labels >= 0]))}
    return counts
