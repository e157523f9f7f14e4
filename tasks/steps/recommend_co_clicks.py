"""The co-click baseline as a night: lists of what was clicked together, judged as ECLARE's are, without training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.tfidf import Vocabulary
from eclare.evaluation.baselines import best_allowed, rivals
from tasks.evaluation import LARGEST_K, held_out_of, judge, judge_beside_live, known_of
from tasks.model_config import NIGHT, load_cooccurrence, load_interactions
from tasks.night import Night
from tasks.publish.live_lists import Lists, live_lists, save_lists
from tasks.publish.pair_rules import read_pair_rules
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact, Storage
from tasks.stores.database import BASELINE, Metric, by_rules, store_metrics

if TYPE_CHECKING:
    from tasks.publish.lists import Shop


def recommend_co_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Products of most sessions with each one, by the shop's rules; writes model, evaluation and recommendations.

    Sessions are halved by their age every HALF_LIFE_DAYS. They are what publish_recommendations reads of any night, in
    the place of ECLARE's of that night. The model is its name and its half-life. Judged are the lists of what was known
    before the held-out days, beside simple rivals and the live version. Raises BadInput where no product can be judged.
    """
    storage = Storage(settings.storage_url)
    interactions = storage.read(night.artefact("interactions"))
    with storage.open(interactions) as inputs:
        model = _describe(interactions, night, settings, storage)
        shop, before = _shops(inputs, night, settings)
        made_from = [interactions, model]
        with storage.write(night.artefact("evaluation"), made_from=made_from) as (folder, counts):
            tonight, metrics = _judged(before, inputs, night, settings)
            save_lists(tonight, before.ids_P, night, folder)
            (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
            store_metrics(night, model.hash, metrics, settings)
            counts["queries"] = len(tonight.queries)
        with storage.write(night.artefact("recommendations"), made_from=made_from) as (folder, counts):
            everything = np.arange(len(shop.products), dtype=np.int32)
            decided = read_pair_rules(shop.products["product_id"], settings)
            chosen, applied = shop.published_lists(*_counted(shop, everything, settings), decided)
            counts |= {**shop.write(chosen, folder), **applied._asdict()}
    return counts


def _describe(interactions: Artefact, night: Night, settings: Settings, storage: Storage) -> Artefact:
    """Leave what a later night and a reader of the version find in place of a trained model."""
    options = {"algorithm": BASELINE, "half_life_days": settings.half_life_days}
    sources = {"algorithm": BASELINE, "config": f"half-life {settings.half_life_days:g} days"}
    with storage.write(night.artefact("model"), made_from=[interactions], sources=sources) as (folder, _):
        (folder / "algorithm.json").write_text(json.dumps(options) + "\n")
    return storage.read(night.artefact("model"))


def _shops(inputs: Path, night: Night, settings: Settings) -> "tuple[Shop, Shop]":
    """The shop on the night itself, and as it was known before the held-out days."""
    from tasks.publish.lists import Shop

    products = pq.read_table(inputs / "products.parquet")
    titles = products["title"].to_pylist()
    titles_PV = Vocabulary.of(titles, word_pairs=NIGHT.word_pairs).features(titles)
    known = load_cooccurrence(inputs)
    shop = Shop.of(products, titles_PV, known, settings)
    return shop, shop.knowing(known.until(night.held_out_days))


def _counted(shop: "Shop", queries: Rows, settings: Settings) -> tuple[Rows, Floats]:
    """The candidates of some products: those that met each in most sessions, and in how many."""
    sessions_QP = shop.cooccurrence.matrix(settings.half_life_days)[queries]
    return best_allowed(sessions_QP, shop.rules.candidates, shop.catalogue.allowed_P, queries)


def _judged(before: "Shop", inputs: Path, night: Night, settings: Settings) -> tuple[Lists, list[Metric]]:
    """As evaluate_model does: the lists that readers would get, and their figures."""
    training_PP, system = load_interactions(inputs / "training").weights_NL, by_rules(BASELINE)
    allowed_P = before.catalogue.allowed_P
    held_out = held_out_of(inputs, training_PP, before.catalogue.sessions_P, night)
    queries = held_out.queries
    tonight = Lists(queries, before.reranked(queries, *_counted(before, queries, settings), LARGEST_K))
    known = known_of(before.cooccurrence, training_PP, allowed_P)
    lists = {system: tonight.labels_QK} | rivals(known, queries, LARGEST_K)
    live = live_lists(night, before.ids_P, allowed_P, settings)
    return tonight, [*judge(lists, held_out, [(system, BASELINE)]), *judge_beside_live(tonight, live, held_out, system)]
