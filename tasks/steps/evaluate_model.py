"""Step 5: the night's ranking and its simple rivals are judged on the days after the cut, side by side."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows
from eclare.arrays.strings import Strings, strings
from eclare.evaluation.baselines import Known, rivals
from eclare.evaluation.bootstrap import Estimate
from eclare.evaluation.held_out import BY_HISTORY, HeldOut, Key
from eclare.evaluation.jackknife import Jackknife
from eclare.evaluation.list_segments import HISTORY
from eclare.evaluation.metrics import coverage
from eclare.evaluation.session_groups import SessionGroups
from tasks.errors import BadInput
from tasks.model_config import load_interactions
from tasks.night import Night
from tasks.publish.live_lists import Lists, live_lists, save_lists
from tasks.report.figures import best_rivals, over
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import LIVE, OURS, Metric, store_metrics

if TYPE_CHECKING:
    from eclare.ranker import Ranker
    from eclare.related.snapshot import Snapshot

log = logging.getLogger("tasks")

CUTS = (1, 3, 5, 10)
LAST_CUT = max(CUTS)
LEFT_OUT = ("model", "popularity")  # groups of features that ours is also judged without
COMPARED = (  # metrics and segments at LAST_CUT that have ratios
    *((metric, "all") for metric in ("P", "nDCG", "PSP", "lift")),
    ("recall", "tail"),
    *((metric, history) for metric in BY_HISTORY for history in HISTORY),
)


def evaluate_model(night: Night, settings: Settings) -> dict[str, float]:
    """Measure P, PSP, nDCG, recall, lift and coverage on held-out clicks; store them in table metric and metrics.json.

    Two truths: P to recall ask what shares sessions in the held-out days, lift what shares more of them than by chance.
    The systems are eclare, its simple rivals (eclare.evaluation.baselines) and "eclare without" model or popularity:
    the same ranker with those features at their mean, without candidates that they alone bring; and "live", the version
    that is live now, by the lists that it was evaluated by itself (tasks.publish.live_lists), over the queries of both.
    "eclare / OTHER" is the ratio of two. low and high are 95% intervals, clustered by session
    (eclare.evaluation.jackknife). Recall at the last cut is also measured on related products of the head, torso and
    tail alone, P and lift over queries of each history (sessions before the cut). Every product with a held-out related
    product is judged; blocked and out-of-stock ones are never recommended. judged_lists.npz keeps the lists. Raises
    BadInput where no product can be judged and for interactions of older code.
    """
    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    # What takes seconds to load, once nothing is missing.
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
        held_out = _held_out(inputs, training_PP, snapshot.cooccurrence.popularity(), night)
        lists = _lists(snapshot, load_ranker(model), training_PP, held_out.queries)
        metrics = [*_metrics(lists, held_out), Metric("held-out", "queries", 0, len(held_out.queries))]
        tonight, ids_P = Lists(held_out.queries, lists[OURS]), _product_ids(inputs)
        metrics += _beside_live(tonight, live_lists(night, ids_P, snapshot.allowed_P, settings), held_out)
        save_lists(tonight, ids_P, night, folder)
        (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
        store_metrics(night, trained.hash, metrics, settings)
        counts |= _shown(metrics)
        counts["queries"] = len(held_out.queries)
    return counts


def _product_ids(inputs: Path) -> Strings:
    """The ids of the night's catalogue, P."""
    return strings(pq.read_table(inputs / "products.parquet")["product_id"].to_pylist())


def _held_out(inputs: Path, training_PP: sp.csr_matrix, known_P: Floats, night: Night) -> HeldOut:
    try:
        groups = SessionGroups.load(inputs)
    except ValueError as error:
        raise BadInput(str(error)) from error
    held_out = HeldOut(groups, training_PP, CUTS, known_P)
    if not len(held_out.queries) or len(groups.occupied) < 2:
        raise BadInput(
            f"night {night} must have pairs of products and two groups of sessions in its {night.held_out_days} "
            f"held-out days, got {len(held_out.queries)} products with a pair and {groups.sessions_G.sum():,} sessions "
            f"in {len(groups.occupied)} groups: ingest days from {night.first_held_out_day} on with more clicks, set "
            "HELD_OUT_DAYS higher or MIN_SUPPORT lower"
        )
    return held_out


def _lists(snapshot: "Snapshot", ranker: "Ranker", training_PP: sp.csr_matrix, judged: Rows) -> dict[str, Rows]:
    """The first LAST_CUT related products of every judged one, by system: ours, then rivals, then ours in part."""
    from eclare.related.ranking import rank_and_ablate

    cooccurrence = snapshot.cooccurrence
    known = Known(
        training_PP,
        cooccurrence.shared_sessions(),
        cooccurrence.popularity(),
        cooccurrence.session_count,
        snapshot.allowed_P,
    )
    ours, ablated = rank_and_ablate(snapshot, ranker, judged, LAST_CUT, LEFT_OUT)
    in_part = {f"{OURS} without {group}": labels_QK for group, labels_QK in ablated.items()}
    return {OURS: ours.labels_QK} | rivals(known, judged, LAST_CUT) | in_part


def _metrics(lists: Mapping[str, Rows], held_out: HeldOut) -> Iterator[Metric]:
    """Of the lists of every system: over all related products, and recall over those of each segment; then ratios."""
    judged = held_out.judge(lists)
    for key in judged.names:
        yield _stored(key, judged.estimate(key))
    for system, labels_QK in lists.items():
        yield from (Metric(system, *coverage(labels_QK, k, held_out.products)) for k in CUTS)
    for other in [system for system in lists if system != OURS]:
        yield from _ratios(judged, other)


def _ratios(judged: Jackknife[Key], other: str) -> Iterator[Metric]:
    """Of ours to another system."""
    for name, segment in COMPARED:
        ours, theirs = (Key(system, name, LAST_CUT, segment) for system in (OURS, other))
        if ours in judged.names:
            yield _stored(ours._replace(system=f"{OURS} / {other}"), judged.ratio(ours, theirs))


def _beside_live(tonight: Lists, live: Lists | str, held_out: HeldOut) -> list[Metric]:
    """The live version's figures and the ratios of ours to them, over the queries of both, where it has lists."""
    if isinstance(live, str):
        log.info("not judged beside the live version: %s", live)
        return []
    common = held_out.among(live.queries)
    if not len(common.queries):
        log.info("not judged beside the live version: none of its %s queries has a held-out pair", len(live.queries))
        return []
    lists = {system: _of_queries(each, common.queries) for system, each in ((OURS, tonight), (LIVE, live))}
    judged = common.judge(lists)
    figures = [_stored(key, judged.estimate(key)) for key in judged.names if key.system == LIVE]
    return [*figures, *_ratios(judged, LIVE), Metric(LIVE, "queries", 0, len(common.queries))]


def _of_queries(lists: Lists, queries: Rows) -> Rows:
    order = np.argsort(lists.queries)
    return lists.labels_QK[order[np.searchsorted(lists.queries, queries, sorter=order)]]


def _stored(key: Key, estimate: Estimate) -> Metric:
    return Metric(key.system, key.metric, key.k, estimate.value, key.segment, estimate.low, estimate.high)


def _shown(metrics: Sequence[Metric]) -> dict[str, float]:
    """What the step's line of counts has: our figures at the last cut, and their ratio to the best rival's."""
    rows = [metric._asdict() for metric in metrics if metric.k == LAST_CUT and metric.segment == "all"]
    ours = {f"{OURS}_{row['metric']}@{LAST_CUT}": row["value"] for row in rows if row["system"] == OURS}
    ratios = {metric: over(rows, rival, metric) for metric, rival in best_rivals(rows).items()}
    over_best = {f"{metric}@{LAST_CUT}_over_best_rival": ratio["value"] for metric, ratio in ratios.items() if ratio}
    return {name: round(value, 4) for name, value in (ours | over_best).items()}
