"""Lists of related products judged on the log after a cut, beside simple rivals that know the log before it."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from benchmarks.rivals import Log, scores_of_rivals
from eclare.arrays.csr import Rows
from eclare.arrays.topk import PAD
from eclare.evaluation.baselines import best_allowed, popular
from eclare.evaluation.bootstrap import Estimate, Resampled
from eclare.evaluation.lists import exposure
from eclare.evaluation.metrics import LEAST_SESSIONS, PointMetric, inverse_propensities, point_metrics, related_gains

K = 10
FEWEST_RELEVANT = 5  # products, for a query to be judged
FEWEST_PRODUCTS, MOST_PRODUCTS = 2, 60  # of a session; longer ones are wholesale orders: every pair would count
PROPENSITY_A, PROPENSITY_B = 0.55, 1.5  # the constants of most sets (Jain, Prabhu, Varma, KDD 2016)
RATIOS = ("P", "nDCG", "PSP", "P of new", "lift")  # that are the better the higher, and so have a best rival
LATELY_DAYS = 30  # before the cut, in which a product that is still sold has a session
NORMAL = 1.96  # standard errors on either side hold 95%

Lists: TypeAlias = Mapping[str, Rows]


class Judge:
    """The products to judge lists of, and what was related to them after the cut.

    product_ids: sorted; lists and queries are rows of them. A session is the products of one
    session_id on one side of the cut. Related are products that shared LEAST_SESSIONS or more sessions after the cut;
    queries have FEWEST_RELEVANT such products or more.
    """

    def __init__(self, log: pd.DataFrame, cut: pd.Timestamp, product_ids: pd.Index | None = None) -> None:
        """log: session_id, product_id, event_time; product_ids: sorted, where they are more than the log's.

        Raises ValueError where there is no product to judge.
        """
        log = log.drop_duplicates(["session_id", "product_id"])
        self.product_ids = pd.Index(np.sort(log["product_id"].unique())) if product_ids is None else product_ids
        is_before = log["event_time"] < cut
        self._before_SP, after_SP = (_sessions(log[side], self.product_ids) for side in (is_before, ~is_before))
        shared_PP = _shared(after_SP)
        shared_PP.data[shared_PP.data < LEAST_SESSIONS] = 0
        shared_PP.eliminate_zeros()
        self.queries = np.flatnonzero(np.diff(shared_PP.indptr) >= FEWEST_RELEVANT).astype(np.int32)
        if not len(self.queries):
            raise ValueError(
                f"a product is judged when {FEWEST_RELEVANT} others shared {LEAST_SESSIONS} sessions with it after the "
                f"cut, but no product has as many among {after_SP.shape[0]:,} sessions: take an earlier cut"
            )
        self._shared_QP = shared_PP[self.queries]
        later_P, sessions = _held_by(after_SP), after_SP.shape[0]
        self._gains_QP = related_gains(self._shared_QP, later_P[self.queries], later_P, sessions)
        self._popularity_P = _held_by(self._before_SP)
        self._inverse_propensity_P = inverse_propensities(self._before_SP, PROPENSITY_A, PROPENSITY_B)
        self._is_new_Q = self._popularity_P[self.queries] == 0
        best_selling = np.argsort(-self._popularity_P, kind="stable")[: len(self.product_ids) // 10]
        lately = is_before & (log["event_time"] >= cut - pd.Timedelta(days=LATELY_DAYS))
        self._is_current_P = self.product_ids.isin(log["product_id"][lately])
        self._is_sold_later_P = self.product_ids.isin(log["product_id"][~is_before])
        self._is_head_P = np.isin(np.arange(len(self.product_ids)), best_selling)

    @property
    def new(self) -> int:
        """How many of the queries have no session before the cut."""
        return int(self._is_new_Q.sum())

    def lists_of(self, related: pd.DataFrame) -> Rows:
        """The first K of every query, Q x K, then PAD; related: product_id, related_product_id, rank (1 is best)."""
        row_of_query = np.full(len(self.product_ids), PAD, np.int32)
        row_of_query[self.queries] = np.arange(len(self.queries))
        query = self.product_ids.get_indexer(pd.Index(related["product_id"]))
        label = self.product_ids.get_indexer(pd.Index(related["related_product_id"]))
        row = np.where(query >= 0, row_of_query[query], PAD)
        kept = (row != PAD) & (label >= 0) & (label != query)
        rank = related["rank"].to_numpy()[kept]
        row, label, everything_P = row[kept], label[kept], np.ones(len(self.product_ids), bool)
        shape = len(self.queries), len(self.product_ids)
        return best_allowed(sp.csr_matrix((1 / rank, (row, label)), shape), K, everything_P)[0]

    def rivals(self) -> dict[str, Rows]:
        """The lists of simple systems that know the log before the cut, Q x K; short ones stay short."""
        everything_P = np.ones(len(self.product_ids), bool)
        log = Log(self._before_SP, _shared(self._before_SP))
        lists = {
            name: best_allowed(scores_QP, K, everything_P)[0]
            for name, scores_QP in scores_of_rivals(log, self.queries).items()
        }
        return lists | {"popularity": popular(self._popularity_P, everything_P, self.queries, K)}

    def metrics(self, labels_QK: Rows) -> dict[str, PointMetric]:
        """Every metric of the first K places that is a mean over queries; "P of new" only where there are new ones.

        P; nDCG, whose gain is the sessions that were shared; PSP, the mean of the queries' own; lift, nDCG whose gain
        is log(1 + lift); most shown: the share of lists with the product that stands in most; tail: the share of
        places outside the best-selling tenth of the products.
        """
        labels_QK = labels_QK[:, :K]
        judged = {each.name: each for each in self._point_metrics(labels_QK, self._gains_QP)}
        by_count = self._point_metrics(labels_QK, self._shared_QP)[-1]
        precision, psp, ones_Q = judged["P"], judged["PSP"], np.ones(len(self.queries))
        is_place_QK = labels_QK != PAD
        most_shown = exposure(labels_QK, len(self.product_ids)).argmax()
        in_tail_Q = (is_place_QK & ~self._is_head_P[labels_QK]).sum(axis=1).astype(np.float64)
        metrics = {
            "P": precision,
            "nDCG": by_count._replace(name="nDCG"),
            "PSP": PointMetric("PSP", K, psp.earned_N / psp.possible_N, ones_Q),
            "lift": judged["lift"],
            "most shown": PointMetric(
                "most shown", K, (labels_QK == most_shown).sum(axis=1).astype(np.float64), ones_Q
            ),
            "tail": PointMetric("tail", K, in_tail_Q, is_place_QK.sum(axis=1).astype(np.float64)),
        }
        if self.new:
            is_new_Q = self._is_new_Q.astype(np.float64)
            metrics["P of new"] = PointMetric("P", K, precision.earned_N * is_new_Q, is_new_Q)
        return metrics

    def products(self) -> dict[str, int]:
        """How many have a session before the cut, how many of these still have one after it, and so on."""
        known_P = self._popularity_P > 0
        return {
            "with a session before the cut": int(known_P.sum()),
            "of them with an event after it": int((known_P & self._is_sold_later_P).sum()),
            f"with an event in the {LATELY_DAYS} days before it": int(self._is_current_P.sum()),
        }

    def shown_current(self, labels_QK: Rows) -> float:
        """The share of the products with an event in the LATELY_DAYS before the cut that stand in a list."""
        shown_P = exposure(labels_QK, len(self.product_ids)) > 0
        return int((shown_P & self._is_current_P).sum()) / max(int(self._is_current_P.sum()), 1)

    def shown(self, labels_QK: Rows) -> Estimate:
        """Different products of the first K places of all lists over products with a session before the cut.

        A resample that draws lists twice shows fewer products, so the interval is the jackknife's: what every list
        alone shows is left out in turn (Efron, Tibshirani, 1993, ch. 11).
        """
        labels_QK = labels_QK[:, :K]
        exposure_P, queries = exposure(labels_QK, len(self.product_ids)), len(labels_QK)
        with_session = max(int((self._popularity_P > 0).sum()), 1)
        shown_alone_Q = ((labels_QK != PAD) & (exposure_P[labels_QK] == 1)).sum(axis=1)
        error = float((queries - 1) * shown_alone_Q.var()) ** 0.5 / with_session
        value = int((exposure_P > 0).sum()) / with_session
        return Estimate(value, max(value - NORMAL * error, 0.0), value + NORMAL * error)

    def figures(self, lists: Lists, ours: str) -> dict[str, object]:
        """Metrics at K of every system and the ratio of ours to the best of the others, each with its 95% interval.

        Metrics are [value, low, high] in percent. A ratio is paired, over the same queries drawn again; it is left out
        where every other system has 0.
        """
        metrics = {name: self.metrics(labels_QK) for name, labels_QK in lists.items()}
        resampled = Resampled({(name, metric): each for name in lists for metric, each in metrics[name].items()})
        table: dict[str, object] = {}
        for name, labels_QK in lists.items():
            found = {metric: resampled.estimate((name, metric)) for metric in metrics[name]}
            found["shown"] = self.shown(labels_QK)
            table[name] = {metric: [round(100 * each, 2) for each in estimate] for metric, estimate in found.items()}
        ratios: dict[str, object] = {}
        for metric in (each for each in RATIOS if each in metrics[ours]):
            best = max((name for name in lists if name != ours), key=lambda name: metrics[name][metric].value)
            if metrics[best][metric].value > 0:
                ratio = resampled.ratio((ours, metric), (best, metric))
                ratios[metric] = {"over": best, "ratio": [round(each, 3) for each in ratio]}
        return {"queries": len(self.queries), "new": self.new, "metrics_at_10": table, "ratios": ratios}

    def _point_metrics(self, labels_QK: Rows, gains_QP: sp.csr_matrix) -> list[PointMetric]:
        """P, PSP, nDCG of hits, recall, and last the nDCG of these gains."""
        return point_metrics(labels_QK, self._shared_QP, self._inverse_propensity_P, [K], gains_QP)


def _sessions(rows: pd.DataFrame, product_ids: pd.Index) -> sp.csr_matrix:
    """Which products each session holds that is neither too short nor too long, S x P."""
    session, ids = pd.factorize(rows["session_id"])
    product = product_ids.get_indexer(pd.Index(rows["product_id"]))
    held_SP = sp.csr_matrix((np.ones(len(rows), np.float32), (session, product)), (len(ids), len(product_ids)))
    size_S = np.diff(held_SP.indptr)
    return held_SP[(size_S >= FEWEST_PRODUCTS) & (size_S <= MOST_PRODUCTS)]


def _shared(held_SP: sp.csr_matrix) -> sp.csr_matrix:
    """Sessions that held both of two different products, P x P."""
    shared_PP = (held_SP.T @ held_SP).tocsr()
    shared_PP.setdiag(0)
    shared_PP.eliminate_zeros()
    shared_PP.sort_indices()
    return shared_PP


def _held_by(held_SP: sp.csr_matrix) -> npt.NDArray[np.float32]:
    """Sessions that hold each product, P."""
    return np.asarray(held_SP.sum(axis=0), np.float32).ravel()
