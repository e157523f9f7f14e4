"""The co-click baseline as a night: what was clicked together, filled up with best sellers, without training."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from eclare.arrays.tfidf import Vocabulary
from eclare.arrays.topk import PAD
from eclare.evaluation.baselines import co_clicks, fill_up, popular, rivals
from tasks.evaluation import LAST_CUT, held_out_of, judge, judge_beside_live, known_of
from tasks.model_config import NIGHT, load_cooccurrence, load_interactions
from tasks.night import Night
from tasks.publish.live_lists import Lists, live_lists, save_lists
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact, Storage
from tasks.stores.database import BASELINE, Metric, store_metrics

if TYPE_CHECKING:
    from eclare.related.list_rules import Lists as ShopLists
    from tasks.publish.lists import Shop


def recommend_co_clicks(night: Night, settings: Settings) -> dict[str, float]:
    """Products of most sessions with each one, then what is popular; writes model, evaluation and recommendations.

    They are what publish_recommendations reads of any night, in the place of ECLARE's of that night. Sessions are
    halved by their age every HALF_LIFE_DAYS; no rule of a list is kept but that blocked and out-of-stock products are
    never shown. The model is its name and its half-life. Judged is the rival co-click of every night, beside the others
    and the live version. Raises BadInput where no product can be judged.
    """
    storage = Storage(settings.storage_url)
    interactions = storage.read(night.artefact("interactions"))
    with storage.open(interactions) as inputs:
        model, shop = _describe(interactions, night, settings, storage), _shop(inputs, settings)
        made_from = [interactions, model]
        with storage.write(night.artefact("evaluation"), made_from=made_from) as (folder, counts):
            tonight, metrics = _judged(shop, inputs, night, settings)
            save_lists(tonight, shop.ids_P, night, folder)
            (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
            store_metrics(night, model.hash, metrics, settings)
            counts["queries"] = len(tonight.queries)
        with storage.write(night.artefact("recommendations"), made_from=made_from) as (folder, counts):
            counts |= shop.write(_lists(shop, settings), folder)
    return counts


def _describe(interactions: Artefact, night: Night, settings: Settings, storage: Storage) -> Artefact:
    """Leave what a later night and a reader of the version find in place of a trained model."""
    options = {"algorithm": BASELINE, "half_life_days": settings.half_life_days}
    sources = {"algorithm": BASELINE, "config": f"half-life {settings.half_life_days:g} days"}
    with storage.write(night.artefact("model"), made_from=[interactions], sources=sources) as (folder, _):
        (folder / "algorithm.json").write_text(json.dumps(options) + "\n")
    return storage.read(night.artefact("model"))


def _shop(inputs: Path, settings: Settings) -> "Shop":
    from tasks.publish.lists import Shop

    products = pq.read_table(inputs / "products.parquet")
    titles = products["title"].to_pylist()
    titles_PV = Vocabulary.of(titles, word_pairs=NIGHT.word_pairs).features(titles)
    return Shop.of(products, titles_PV, load_cooccurrence(inputs), settings)


def _lists(shop: "Shop", settings: Settings) -> "ShopLists":
    """TOP_K places of every product; a filler has the score of the last product that was met, as it is worth less."""
    from eclare.related.list_rules import CO_CLICK, POPULAR
    from eclare.related.list_rules import Lists as ShopLists

    everything, allowed_P, k = np.arange(len(shop.products), dtype=np.int32), shop.catalogue.allowed_P, shop.rules.k
    sessions_PP = shop.cooccurrence.matrix(settings.half_life_days)
    met_PK, scores_PK = co_clicks(sessions_PP, k, allowed_P, everything)
    labels_PK = fill_up(met_PK, popular(shop.catalogue.sessions_P, allowed_P, everything, 2 * k))
    is_met_PK = met_PK != PAD
    lowest_P1 = np.min(scores_PK, axis=1, where=is_met_PK, initial=np.inf, keepdims=True)
    fillers_P1 = np.where(np.isfinite(lowest_P1), lowest_P1, 0).astype(np.float32)
    sources_PK = np.where(is_met_PK, CO_CLICK, POPULAR)
    return ShopLists(labels_PK, np.where(is_met_PK, scores_PK, fillers_P1), sources_PK)


def _judged(shop: "Shop", inputs: Path, night: Night, settings: Settings) -> tuple[Lists, list[Metric]]:
    """The lists of what was known before the held-out days, and their figures beside the other rivals'."""
    training_PP, allowed_P = load_interactions(inputs / "training").weights_NL, shop.catalogue.allowed_P
    known = known_of(shop.cooccurrence.until(night.held_out_days), training_PP, allowed_P)
    held_out = held_out_of(inputs, training_PP, known.sessions_P, night)
    lists = rivals(known, held_out.queries, LAST_CUT)
    tonight, live = Lists(held_out.queries, lists[BASELINE]), live_lists(night, shop.ids_P, allowed_P, settings)
    beside = judge_beside_live(tonight, live, held_out, BASELINE)
    return tonight, [*judge(lists, held_out, BASELINE), *beside]
