"""A night's model with all that was known of clicks, ready to be asked for the best related products."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.dated_pairs import DatedPairs
from eclare.ensemble import Ensemble
from eclare.evidence import Evidence, bonus_of
from eclare.fusion import Fusion
from eclare.predict import top_labels
from eclare.recommendations import NOTHING
from eclare.related import rank
from eclare.search import CHUNK, Floats, Rows
from eclare.signals import NAMES, Signals

# Signals that a person would name together.
GROUPS = {
    "co-clicks": [name for name in NAMES if name.startswith("together")],
    "popularity": [*(name for name in NAMES if name.startswith("popularity")), "history"],
    "like products": ["over one more product", "similar queries", "similar answers", "similar both"],
    "titles": ["same words"],
    "model": ["model"],
}
PARTS = (*GROUPS, "base")


@dataclass(frozen=True, eq=False)
class Answers:
    """What answers for any of P products. allowed_P: those that may be recommended.

    fusion: learnt weights of all signals; without them, the model's score and a bonus for the co-clicks of `evidence`
    are added up.
    """

    ensemble: Ensemble
    titles_PV: sp.csr_matrix
    pairs: DatedPairs
    allowed_P: npt.NDArray[np.bool_]
    fusion: Fusion | None = None
    evidence: Evidence | None = None

    def best(self, queries: Rows, k: int) -> tuple[Rows, Floats]:
        """The k best allowed products of each query and their scores, Q x k; NOTHING where there are fewer."""
        if self.fusion is not None:
            return rank(self.signals, self.fusion, queries, k)
        titles = self.titles_PV[queries]
        return top_labels(self.ensemble, titles, k, self.allowed_P, own_N=queries, evidence=self.evidence)

    def parts(self, queries: Rows, labels_QR: Rows, k: int) -> Floats:
        """What the score of each of some of the k best labels is made of, Q x R x PARTS; base is what is left.

        A score depends on the other candidates, so the same ones are looked at again. NaN where there is no label, and
        for parts that take no part without learnt weights.
        """
        parts = np.full((*labels_QR.shape, len(PARTS)), np.nan, np.float32)
        for start in range(0, len(queries), CHUNK):
            chunk = slice(start, start + CHUNK)
            if self.fusion is None:
                parts[chunk] = self._parts_of_sum(queries[chunk], labels_QR[chunk])
            else:
                signals = self._signals_of(queries[chunk], labels_QR[chunk], k)
                parts[chunk] = _parts_of_fusion(self.fusion, signals)
        parts[labels_QR == NOTHING] = np.nan
        return parts

    def _signals_of(self, queries: Rows, labels_QR: Rows, k: int) -> Floats:
        candidates = self.signals.candidates(queries, k)
        places = (labels_QR[:, :, None] == candidates[:, None, :]).argmax(axis=2)
        return np.take_along_axis(self.signals.of(queries, candidates), places[..., None], axis=1)

    def _parts_of_sum(self, queries: Rows, labels_QR: Rows) -> Floats:
        encoded_QD, known = self.ensemble.encode(self.titles_PV[queries]), labels_QR != NOTHING
        parts = np.full((*labels_QR.shape, len(PARTS)), np.nan, np.float32)
        model = np.einsum("qd,qrd->qr", encoded_QD, self.ensemble.classifiers_LD[np.maximum(labels_QR, 0)])
        parts[..., PARTS.index("model")], parts[..., PARTS.index("base")] = model, 0
        parts[..., PARTS.index("co-clicks")] = 0
        if self.evidence is not None and self.ensemble.config.evidence_weight:
            bonus = bonus_of(self.evidence.co_clicks(self.titles_PV[queries], queries), self.ensemble.config)
            query, place = np.nonzero(known)
            parts[query, place, PARTS.index("co-clicks")] = np.asarray(bonus[query, labels_QR[known]]).ravel()
        return parts

    @cached_property
    def signals(self) -> Signals:
        """What is known of every pair of products."""
        return Signals(self.pairs, self.titles_PV, self.ensemble, self.allowed_P)


def _parts_of_fusion(fusion: Fusion, signals_QRF: Floats) -> Floats:
    each = fusion.attributions(signals_QRF)
    grouped = [each[..., [NAMES.index(name) for name in names]].sum(axis=-1) for names in GROUPS.values()]
    return np.stack([*grouped, fusion.scores(signals_QRF) - sum(grouped)], axis=-1)
