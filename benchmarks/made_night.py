"""The artefacts that a publish reads, of any size: every product has as many related ones, the first with reasons."""

import hashlib
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.strings import strings
from eclare.evaluation.list_segments import PageFigures, by_popularity
from eclare.evaluation.lists import list_figures
from eclare.related.explain import NEIGHBOURS, Reasons
from eclare.related.features import SCORE_PARTS
from eclare.related.recommendations import Recommendations
from tasks.night import Night
from tasks.publish.explanations import VIEWS, write_reasons
from tasks.publish.histories import write_histories
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import Metric, store_metrics

SCORES = np.linspace(0.9, 0.1, 20, dtype=np.float32)  # of a product's related ones, best first
METRICS = [
    Metric(system, metric, 10, value, segment, 0.9 * value, 1.1 * value)
    for system, value in (
        ("eclare by rules", 0.5),
        ("eclare by rules / co-click by rules", 1.0),
        ("eclare by rules / live", 1.0),
    )
    for metric, segment in [("P", "all"), ("PSP", "all"), ("nDCG", "all"), ("recall", "tail")]
]


def make_night(day: date, products: int, settings: Settings) -> Night:
    """Write catalogue, model and recommendations of a night and store its metrics; the day is in every title."""
    night, storage = Night.of(str(day), settings), Storage(settings.storage_url)
    with storage.write(night.artefact("interactions")) as (folder, _):
        pq.write_table(_catalogue(day, products), folder / "products.parquet")
    interactions = storage.read(night.artefact("interactions"))
    with storage.write(night.artefact("model"), made_from=[interactions], sources={"config": "made"}) as (folder, _):
        (folder / "weights").write_text(str(day))
    model = storage.read(night.artefact("model"))
    store_metrics(night, model.hash, METRICS, settings)
    with storage.write(night.artefact("recommendations"), made_from=[interactions, model]) as (folder, _):
        made = _recommendations(day, products)
        made.save(folder)
        allowed_P, titles = np.ones(products, bool), np.arange(products, dtype=np.int32)
        sessions_P = np.ones(products, np.float32)
        PageFigures(list_figures(made.labels_NK, sessions_P, allowed_P, titles), []).save(folder)
        write_histories(pa.chunked_array([ids_of(products)]), sessions_P, by_popularity(sessions_P), folder)
        write_reasons([_reasons(made, settings.explained_ranks)], made.label_ids_L, day, folder)
    return night


def ids_of(products: int) -> list[str]:
    """Ids whose order says nothing of the catalogue's, as those of a shop."""
    return [hashlib.sha256(str(row).encode()).hexdigest()[:12] for row in range(products)]


def _catalogue(day: date, products: int) -> pa.Table:
    nothing, yes = pa.nulls(products, pa.string()), np.ones(products, bool)
    columns = {"product_id": ids_of(products), "title": [f"product {row} as of {day}" for row in range(products)]}
    return pa.table(columns | {"category": nothing, "brand": nothing, "in_stock": yes, "blocked": ~yes})


def _recommendations(day: date, products: int) -> Recommendations:
    """Every product's list holds one at each of 20 drawn distances; a third of them are the night's own."""
    always, tonight = np.random.default_rng(0), np.random.default_rng(day.toordinal())
    span = (products - 1) // len(SCORES)
    within_PK = always.integers(1, span + 1, (products, len(SCORES)), dtype=np.int32)
    own = np.arange(len(SCORES)) % 3 == 0
    within_PK[:, own] = tonight.integers(1, span + 1, (products, int(own.sum())), dtype=np.int32)
    distances_PK = within_PK + np.arange(len(SCORES), dtype=np.int32) * span
    labels_PK = (np.arange(products, dtype=np.int32)[:, None] + distances_PK) % np.int32(products)
    ids = strings(ids_of(products))
    return Recommendations(labels_PK, np.tile(SCORES, (products, 1)), np.zeros(labels_PK.shape, np.int8), ids, ids)


def _reasons(made: Recommendations, ranks: int) -> Reasons:
    labels_E = made.labels_NK[:, :ranks].ravel()
    pairs, random = len(labels_E), np.random.default_rng(0)
    return Reasons(
        np.repeat(np.arange(len(made.labels_NK), dtype=np.int32), ranks),
        labels_E,
        random.integers(0, 9, pairs).astype(np.float32),
        random.integers(0, 90, pairs, dtype=np.int32),
        VIEWS,
        random.random((pairs, len(VIEWS)), np.float32),
        random.integers(0, len(made.label_ids_L), (pairs, NEIGHBOURS), dtype=np.int32),
        random.random((pairs, NEIGHBOURS), np.float32),
        random.random((pairs, len(SCORE_PARTS)), np.float32),
    )
