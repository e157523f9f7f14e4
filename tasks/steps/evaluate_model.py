"""Step 5: the night's ranking and its simple rivals are judged on the days after the cut, side by side."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.evaluation.baselines import Known, rivals
from eclare.evaluation.bootstrap import Estimate, Resampled
from eclare.evaluation.metrics import (
    PointMetric,
    coverage,
    inverse_propensities,
    point_metrics,
    related_gains,
    segment_recall,
    segments,
)
from eclare.model.data import Interactions
from eclare.related.cooccurrence import Cooccurrence
from tasks.errors import BadInput
from tasks.model_config import load_cooccurrence
from tasks.night import Night
from tasks.report.figures import best_rivals, over
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import OURS, Metric, store_metrics

if TYPE_CHECKING:
    from eclare.ranker import Ranker
    from eclare.related.snapshot import Snapshot

CUTS = (1, 3, 5, 10)
LAST_CUT = max(CUTS)
LEFT_OUT = ("model", "popularity")  # groups of features that ours is also judged without
COMPARED = (("P", "all"), ("nDCG", "all"), ("PSP", "all"), ("lift", "all"), ("recall", "tail"))  # at LAST_CUT


class _Truth(NamedTuple):
    """What the held-out days say of Q judged queries, and what training said of the labels.

    basket_QP: pairs that count, those of MIN_SUPPORT sessions; gains_QP: what related ones are worth.
    """

    basket_QP: sp.csr_matrix
    gains_QP: sp.csr_matrix
    inverse_propensity_P: npt.NDArray[np.float64]
    segment_P: npt.NDArray[np.int8]

    @classmethod
    def of(cls, later: Cooccurrence, judged: Rows, training_PP: sp.csr_matrix, truth_PP: sp.csr_matrix) -> "_Truth":
        """later: the held-out days alone."""
        sessions_P = later.popularity()
        gains_QP = related_gains(later.shared_sessions()[judged], sessions_P[judged], sessions_P, later.session_count)
        return cls(truth_PP[judged], gains_QP, inverse_propensities(training_PP), segments(training_PP))


def evaluate_model(night: Night, settings: Settings) -> dict[str, float]:
    """Measure P, PSP, nDCG, recall, lift and coverage on held-out clicks; store them in table metric and metrics.json.

    Two truths: P to recall ask what shares sessions in the held-out days, lift what shares more of them than by chance.
    The systems are eclare, its simple rivals (eclare.evaluation.baselines) and "eclare without" model or popularity:
    the same ranker with those features at their mean, without candidates that they alone bring. "eclare / OTHER" is the
    ratio of two. low and high hold 95% of a figure when the queries are drawn again. Recall at the last cut is also
    measured on related products of the head, torso and tail alone. Every product with a held-out related product is
    judged; blocked and out-of-stock ones are never recommended. Raises BadInput where no product can be judged.
    """
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
        judged, later = _products_to_judge(truth_PP, night), load_cooccurrence(inputs).since(night.held_out_days)
        truth = _Truth.of(later, judged, training_PP, truth_PP)
        snapshot = load_snapshot(inputs, texts, model, settings, known_until=night.held_out_days)
        lists = _lists(snapshot, load_ranker(model), training_PP, judged)
        metrics = [*_metrics(lists, truth), Metric("held-out", "queries", 0, len(judged))]
        (folder / "metrics.json").write_text(json.dumps([metric._asdict() for metric in metrics], indent=1))
        store_metrics(night, trained.hash, metrics, settings)
        counts |= _shown(metrics)
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


def _metrics(lists: Mapping[str, Rows], truth: _Truth) -> Iterator[Metric]:
    """Of the lists of every system: over all related products, and recall over those of each segment; then ratios."""
    of_points = {
        (system, each.name, each.k, segment): each
        for system, labels_QK in lists.items()
        for segment, each in _of_points(labels_QK, truth)
    }
    resampled = Resampled(of_points)
    for key in of_points:
        yield _stored(key, resampled.estimate(key))
    for system, labels_QK in lists.items():
        yield from (Metric(system, *coverage(labels_QK, k, truth.basket_QP.shape[1])) for k in CUTS)
    for other in [system for system in lists if system != OURS]:
        for name, segment in COMPARED:
            ours, theirs = ((system, name, LAST_CUT, segment) for system in (OURS, other))
            if ours in of_points:
                key = (f"{OURS} / {other}", name, LAST_CUT, segment)
                yield _stored(key, resampled.ratio(ours, theirs))


def _of_points(labels_QK: Rows, truth: _Truth) -> Iterator[tuple[str, PointMetric]]:
    """The metrics of one system, each with the segment that it is of."""
    for each in point_metrics(labels_QK, truth.basket_QP, truth.inverse_propensity_P, CUTS, truth.gains_QP):
        yield "all", each
    yield from segment_recall(labels_QK, truth.basket_QP, truth.segment_P, LAST_CUT).items()


def _stored(key: tuple[str, str, int, str], estimate: Estimate) -> Metric:
    system, metric, k, segment = key
    return Metric(system, metric, k, estimate.value, segment, estimate.low, estimate.high)


def _shown(metrics: Sequence[Metric]) -> dict[str, float]:
    """What the step's line of counts has: our figures at the last cut, and their ratio to the best rival's."""
    rows = [metric._asdict() for metric in metrics if metric.k == LAST_CUT and metric.segment == "all"]
    ours = {f"{OURS}_{row['metric']}@{LAST_CUT}": row["value"] for row in rows if row["system"] == OURS}
    ratios = {metric: over(rows, rival, metric) for metric, rival in best_rivals(rows).items()}
    over_best = {f"{metric}@{LAST_CUT}_over_best_rival": ratio["value"] for metric, ratio in ratios.items() if ratio}
    return {name: round(value, 4) for name, value in (ours | over_best).items()}
