"""The rows that readers would get and simple rivals are judged on the days after the cut, side by side."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.evaluation.baselines import best_allowed, rivals
from tasks.evaluation import LARGEST_K, held_out_of, judge, judge_beside_live, known_of
from tasks.model_config import load_interactions
from tasks.night import Night
from tasks.publish.live_lists import Lists, live_lists, save_lists
from tasks.report.figures import best_rivals, over
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import BASELINE, OURS, Metric, by_rules, store_metrics

if TYPE_CHECKING:
    from eclare.ranker import Ranker
    from eclare.related.snapshot import Snapshot
    from tasks.publish.lists import Shop

PUBLISHED = by_rules(OURS)
LEFT_OUT = ("model", "popularity")  # groups of features that ours is also judged without


def evaluate_model(night: Night, settings: Settings) -> dict[str, float]:
    """Measure P, PSP, nDCG, recall, lift and coverage on held-out clicks; store them in table metric and metrics.json.

    Two truths: P to recall ask what shares sessions in the held-out days, lift what shares more of them than by chance.
    The systems are eclare, the night's ranking; its simple rivals (eclare.evaluation.baselines); "eclare without" model
    or popularity: the same ranker with those features at their mean, without candidates that they alone bring; "eclare
    by rules" and "co-click by rules", the lists that the shop's rules make of these, as readers get them but for pins
    and blocks, with the exposure limit over the judged lists; and "live", the version that is live now, by the lists
    that it was evaluated by itself (tasks.publish.live_lists), over the queries of both. "ONE / OTHER" is the ratio of
    two. low and high are 95% intervals, clustered by session (eclare.evaluation.jackknife). Recall at the largest k is
    also measured on related products of the head, torso and tail alone, P and lift over queries of each history
    (sessions before the cut). Every product with a held-out related product is judged; blocked and out-of-stock ones
    are never recommended. shown_lists.npz keeps the lists by the rules. Raises BadInput where no product can be judged
    and for interactions of older code.
    """
    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    # What takes seconds to load, once nothing is missing.
    from tasks.publish.lists import Shop
    from tasks.ranking import load_ranker, load_snapshot

    interactions, label_graph, trained = artefacts
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.open(trained) as model,
        storage.write(night.artefact("evaluation"), made_from=artefacts) as (folder, counts),
    ):
        training_PP = load_interactions(inputs / "training").weights_NL
        snapshot = load_snapshot(inputs, texts, model, settings, known_until=night.held_out_days)
        products = pq.read_table(inputs / "products.parquet")
        shop = Shop.of(products, snapshot.titles_PV, snapshot.cooccurrence, settings)
        held_out = held_out_of(inputs, training_PP, shop.catalogue.sessions_P, night)
        lists = _lists(snapshot, load_ranker(model), training_PP, held_out.queries, shop)
        tonight = Lists(held_out.queries, lists[PUBLISHED])
        live = live_lists(night, shop.ids_P, snapshot.allowed_P, settings)
        metrics = [*judge(lists, held_out, _ratios(lists)), *judge_beside_live(tonight, live, held_out, PUBLISHED)]
        save_lists(tonight, shop.ids_P, night, folder)
        (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
        store_metrics(night, trained.hash, metrics, settings)
        counts |= _shown(metrics)
        counts["queries"] = len(held_out.queries)
    return counts


def _lists(
    snapshot: "Snapshot", ranker: "Ranker", training_PP: sp.csr_matrix, judged: Rows, shop: "Shop"
) -> dict[str, Rows]:
    """The LARGEST_K best related products of every judged one by system: rankings, and what the rules make of two."""
    from eclare.related.ranking import rank_and_ablate

    candidates = max(LARGEST_K, shop.rules.candidates)
    ours, ablated = rank_and_ablate(snapshot, ranker, judged, candidates, LEFT_OUT)
    met = best_allowed(training_PP[judged], candidates, snapshot.allowed_P, judged)
    known = known_of(snapshot.cooccurrence, training_PP, snapshot.allowed_P)
    in_part = {f"{OURS} without {group}": each.labels_QK[:, :LARGEST_K] for group, each in ablated.items()}
    published = {
        PUBLISHED: shop.reranked(judged, ours.labels_QK, ours.scores_QK, LARGEST_K),
        by_rules(BASELINE): shop.reranked(judged, *met, LARGEST_K),
    }
    return {OURS: ours.labels_QK[:, :LARGEST_K]} | rivals(known, judged, LARGEST_K) | in_part | published


def _ratios(systems: Iterable[str]) -> list[tuple[str, str]]:
    """Which are compared: rankings with ours, and what the rules made of it with the baseline and with the ranking."""
    rankings = [system for system in systems if not system.endswith(by_rules("")) and system != OURS]
    return [*((OURS, other) for other in rankings), (PUBLISHED, by_rules(BASELINE)), (PUBLISHED, OURS)]


def _shown(metrics: Sequence[Metric]) -> dict[str, float]:
    """What the step's line of counts has: our figures at the largest k, and their ratio to the best rival's."""
    rows = [metric._asdict() for metric in metrics if metric.k == LARGEST_K and metric.segment == "all"]
    ours = {f"{OURS}_{row['metric']}@{LARGEST_K}": row["value"] for row in rows if row["system"] == OURS}
    ratios = {metric: over(rows, rival, metric) for metric, rival in best_rivals(rows).items()}
    over_best = {f"{metric}@{LARGEST_K}_over_best_rival": ratio["value"] for metric, ratio in ratios.items() if ratio}
    return {name: round(value, 4) for name, value in (ours | over_best).items()}
