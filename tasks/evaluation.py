"""What lists are worth on the days after the cut: figures of every system and ratios, also beside the live lists."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats, Rows
from eclare.evaluation.baselines import Known
from eclare.evaluation.bootstrap import Estimate
from eclare.evaluation.held_out import BY_HISTORY, HeldOut, Key
from eclare.evaluation.jackknife import Jackknife
from eclare.evaluation.list_segments import HISTORY
from eclare.evaluation.metrics import coverage
from eclare.evaluation.session_groups import SessionGroups
from eclare.related.cooccurrence import Cooccurrence
from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.live_lists import Lists
from tasks.stores.database import LIVE, Metric

log = logging.getLogger("tasks")

KS = (1, 3, 5, 10)
LARGEST_K = max(KS)
COMPARED = (  # metrics and segments at LARGEST_K that have ratios
    *((metric, "all") for metric in ("P", "nDCG", "PSP", "lift")),
    ("recall", "tail"),
    *((metric, history) for metric in BY_HISTORY for history in HISTORY),
)


def known_of(cooccurrence: Cooccurrence, training_PP: sp.csr_matrix, allowed_P: npt.NDArray[np.bool_]) -> Known:
    """What simple rivals know of what was clicked before the held-out days."""
    sessions_P, sessions = cooccurrence.popularity(), cooccurrence.session_count
    return Known(training_PP, cooccurrence.shared_sessions(), sessions_P, sessions, allowed_P)


def held_out_of(inputs: Path, training_PP: sp.csr_matrix, known_P: Floats, night: Night) -> HeldOut:
    """What the night's held-out days say, from what build_interactions wrote.

    training_PP, known_P: as HeldOut takes them. Raises BadInput where no product can be judged, and for older code.
    """
    try:
        groups = SessionGroups.load(inputs)
    except ValueError as error:
        raise BadInput(str(error)) from error
    held_out = HeldOut(groups, training_PP, KS, known_P)
    if not len(held_out.queries) or len(groups.occupied) < 2:
        raise BadInput(
            f"night {night} must have pairs of products and two groups of sessions in its {night.held_out_days} "
            f"held-out days, got {len(held_out.queries)} products with a pair and {groups.sessions_G.sum():,} sessions "
            f"in {len(groups.occupied)} groups: ingest days from {night.first_held_out_day} on with more clicks, set "
            "HELD_OUT_DAYS higher or MIN_SUPPORT lower"
        )
    return held_out


def judge(lists: Mapping[str, Rows], held_out: HeldOut, ratios: Iterable[tuple[str, str]]) -> Iterator[Metric]:
    """Of the lists of every system, Q x LARGEST_K: over all related products, and recall over those of each segment.

    ratios: the pairs of systems that are compared.
    """
    judged = held_out.judge(lists)
    for key in judged.names:
        yield _stored(key, judged.estimate(key))
    for system, labels_QK in lists.items():
        yield from (Metric(system, *coverage(labels_QK, k, held_out.products)) for k in KS)
    for one, other in ratios:
        yield from _ratios(judged, one, other)
    yield Metric("held-out", "queries", 0, len(held_out.queries))


def judge_beside_live(tonight: Lists, live: Lists | str, held_out: HeldOut, published: str) -> list[Metric]:
    """The live version's figures and the ratios of tonight's to them, over the queries of both, where it has lists."""
    if isinstance(live, str):
        log.info("not judged beside the live version: %s", live)
        return []
    common = held_out.among(live.queries)
    if not len(common.queries):
        log.info("not judged beside the live version: none of its %s queries has a held-out pair", len(live.queries))
        return []
    judged = common.judge({name: _of(each, common.queries) for name, each in ((published, tonight), (LIVE, live))})
    figures = [_stored(key, judged.estimate(key)) for key in judged.names if key.system == LIVE]
    return [*figures, *_ratios(judged, published, LIVE), Metric(LIVE, "queries", 0, len(common.queries))]


def _ratios(judged: Jackknife[Key], published: str, other: str) -> Iterator[Metric]:
    for name, segment in COMPARED:
        ours, theirs = (Key(system, name, LARGEST_K, segment) for system in (published, other))
        if ours in judged.names:
            yield _stored(ours._replace(system=f"{published} / {other}"), judged.ratio(ours, theirs))


def _of(lists: Lists, queries: Rows) -> Rows:
    order = np.argsort(lists.queries)
    return lists.labels_QK[order[np.searchsorted(lists.queries, queries, sorter=order)]]


def _stored(key: Key, estimate: Estimate) -> Metric:
    return Metric(key.system, key.metric, key.k, estimate.value, key.segment, estimate.low, estimate.high)
