"""A night's model with all that was known of clicks, ready to be asked for the best related products."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.model.beam_search import top_labels
from eclare.model.ensemble import Ensemble
from eclare.model.inference import Rows
from eclare.ranker import Ranker
from eclare.related.backtest import Ranked, rank
from eclare.related.cooccurrence import Cooccurrence
from eclare.related.features import Signals
from eclare.xc.co_clicks import CoClickScores


@dataclass(frozen=True, eq=False)
class Answers:
    """What answers for any of P products. allowed_P: those that may be recommended.

    fusion: learnt weights of all signals; without them, the model's score and a bonus for the co-clicks of `evidence`
    are added up.
    """

    ensemble: Ensemble
    titles_PV: sp.csr_matrix
    pairs: Cooccurrence
    allowed_P: npt.NDArray[np.bool_]
    fusion: Ranker | None = None
    evidence: CoClickScores | None = None

    def best(self, queries: Rows, k: int) -> Ranked:
        """The k best allowed products of each query and their scores, Q x k; PAD where there are fewer."""
        if self.fusion is not None:
            return rank(self.signals, self.fusion, queries, k)
        titles = self.titles_PV[queries]
        return Ranked(*top_labels(self.ensemble, titles, k, self.allowed_P, own_N=queries, evidence=self.evidence))

    @cached_property
    def signals(self) -> Signals:
        """What is known of every pair of products."""
        return Signals(self.pairs, self.titles_PV, self.ensemble, self.allowed_P)
