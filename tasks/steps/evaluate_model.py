"""Step 5: the model and the co-click baseline are judged on the days after the cut, side by side."""

import json

import numpy as np
import pyarrow.parquet as pq

from eclare.evaluation.baselines import co_clicks
from eclare.evaluation.metrics import evaluate, inverse_propensities, segment_recall, segments
from eclare.model.data import Interactions
from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import Metric, store_metrics

CUTS = (1, 3, 5, 10)


def evaluate_model(night: Night, settings: Settings) -> dict[str, float]:
    """Measure P, PSP, nDCG, recall and coverage on held-out clicks; store them in table metric and metrics.json.

    Recall at the last cut is also measured on related products of the head, torso and tail alone.
    Every product with a held-out related product is judged; blocked and out-of-stock ones are never an answer.
    Raises BadInput where no product can be judged.
    """
    from tasks.ranking import load_answers, recommendable

    storage = Storage(settings.storage_url)
    artefacts = [storage.read(night.artefact(name)) for name in ("interactions", "label_graph", "model")]
    interactions, label_graph, trained = artefacts
    with (
        storage.open(interactions) as clicks,
        storage.open(label_graph) as texts,
        storage.open(trained) as weights,
        storage.write(night.artefact("evaluation"), made_from=artefacts) as (folder, counts),
    ):
        training, truth = (Interactions.load(clicks / part).weights_NL for part in ("training", "held_out"))
        judged = np.flatnonzero(np.diff(truth.indptr)).astype(np.int32)
        if not len(judged):
            raise BadInput(
                f"night {night} has no pair of products in its {night.held_out_days} held-out days: ingest days from "
                f"{night.first_held_out_day} on with more clicks, set HELD_OUT_DAYS higher or MIN_SUPPORT lower"
            )
        allowed = recommendable(pq.read_table(clicks / "products.parquet"))
        answers_of_model = load_answers(clicks, texts, weights, settings, known_until=night.held_out_days)
        answers = {
            "eclare": answers_of_model.best(judged, max(CUTS)).labels_QK,
            "co-click": co_clicks(training[judged], max(CUTS), allowed, judged)[0],
        }
        importance = inverse_propensities(training)
        metrics = [
            Metric(system, *metric)
            for system, labels in answers.items()
            for metric in evaluate(labels, truth[judged], importance, CUTS)
        ]
        parts = segments(training)
        metrics += [
            Metric(system, "recall", max(CUTS), value, segment)
            for system, labels in answers.items()
            for segment, value in segment_recall(labels, truth[judged], parts, max(CUTS)).items()
        ]
        metrics.append(Metric("held-out", "queries", 0, len(judged)))
        (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
        store_metrics(night, trained.hash, metrics, settings)
        counts |= {
            f"{m.system}_{m.metric}@{m.k}": round(m.value, 4)
            for m in metrics
            if m.k == max(CUTS) and m.segment == "all"
        }
        counts["queries"] = len(judged)
    return counts
