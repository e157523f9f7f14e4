"""Step 5: the night's ranking and the co-click baseline are judged on the days after the cut, side by side."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.evaluation.baselines import co_clicks
from eclare.evaluation.metrics import evaluate, inverse_propensities, segment_recall, segments
from eclare.model.data import Interactions
from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import Metric, store_metrics

CUTS = (1, 3, 5, 10)
LAST_CUT = max(CUTS)


def evaluate_model(night: Night, settings: Settings) -> dict[str, float]:
    """Measure P, PSP, nDCG, recall and coverage on held-out clicks; store them in table metric and metrics.json.

    Recall at the last cut is also measured on related products of the head, torso and tail alone.
    Every product with a held-out related product is judged; blocked and out-of-stock ones are never recommended.
    Raises BadInput where no product can be judged.
    """
    from eclare.related.ranking import rank
    from tasks.ranking import load_ranker, load_snapshot

    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    interactions, label_graph, trained = artefacts
    with (
        storage.open(interactions) as inputs,
        storage.open(label_graph) as texts,
        storage.open(trained) as model,
        storage.write(night.artefact("evaluation"), made_from=artefacts) as (folder, counts),
    ):
        training_PP, truth_PP = (Interactions.load(inputs / part).weights_NL for part in ("training", "held_out"))
        judged = _products_to_judge(truth_PP, night)
        snapshot = load_snapshot(inputs, texts, model, settings, known_until=night.held_out_days)
        lists = {
            "eclare": rank(snapshot, load_ranker(model), judged, LAST_CUT).labels_QK,
            "co-click": co_clicks(training_PP[judged], LAST_CUT, snapshot.allowed_P, judged)[0],
        }
        metrics = [*_metrics(lists, truth_PP[judged], training_PP), Metric("held-out", "queries", 0, len(judged))]
        (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
        store_metrics(night, trained.hash, metrics, settings)
        counts |= {f"{m.system}_{m.metric}@{m.k}": round(m.value, 4) for m in metrics if _is_shown(m)}
        counts["queries"] = len(judged)
    return counts


def _products_to_judge(truth_PP: sp.csr_matrix, night: Night) -> Rows:
    judged = np.flatnonzero(np.diff(truth_PP.indptr)).astype(np.int32)
    if not len(judged):
        raise BadInput(
            f"night {night} has no pair of products in its {night.held_out_days} held-out days: ingest days from "
            f"{night.first_held_out_day} on with more clicks, set HELD_OUT_DAYS higher or MIN_SUPPORT lower"
        )
    return judged


def _metrics(lists: Mapping[str, Rows], truth_QP: sp.csr_matrix, training_PP: sp.csr_matrix) -> Iterator[Metric]:
    """Of the lists of every system: over all related products, and recall over those of each segment."""
    inverse_propensity_P, segment_P = inverse_propensities(training_PP), segments(training_PP)
    for system, labels_QK in lists.items():
        for metric in evaluate(labels_QK, truth_QP, inverse_propensity_P, CUTS):
            yield Metric(system, *metric)
    for system, labels_QK in lists.items():
        for segment, recall in segment_recall(labels_QK, truth_QP, segment_P, LAST_CUT).items():
            yield Metric(system, "recall", LAST_CUT, recall, segment)


def _is_shown(metric: Metric) -> bool:
    """Whether the step's line of counts has it."""
    return metric.k == LAST_CUT and metric.segment == "all"
