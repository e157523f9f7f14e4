"""What is known about a pair of products before a day: counts, recency, popularity, titles and the model's score."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from tqdm import tqdm

from eclare.config import ECLAREConfig
from eclare.graph import build_label_graph
from eclare.search import Floats, Rows
from eclare.sessions import Sessions
from eclare.sparse import keep_heaviest, with_sum_one
from eclare.stages import train
from eclare.texts import Texts

HALF_LIVES = (7.0, 30.0, 90.0, 365.0)  # days
MODEL_HALF_LIFE = 90.0  # days, of the clicks that the model is trained on
MODEL_PAIRS = 50  # heaviest related products a product that it is trained on
SHARPNESS, LEAST_SIMILARITY = 8, 1e-3  # of titles, as in eclare.evidence; weaker ones say nothing
COUNT_FLOOR, CHANCE_FLOOR = 0.1, 1e-4  # what is added before the logarithm
CANDIDATES = 300
NAMES = (
    *(f"together, {days:g} days" for days in HALF_LIVES),
    *(f"popularity, {days:g} days" for days in HALF_LIVES),
    "over one more product", "similar queries", "similar answers", "similar both", "same words", "model", "history",
)  # fmt: skip
_CHUNK = 256  # queries in memory at a time


@dataclass(frozen=True, eq=False)
class Signals:
    """Everything that sessions before a day and P titles say, ready to be looked up for any query product."""

    together_PP: tuple[sp.csr_matrix, ...]
    popularity_P: tuple[npt.NDArray[np.float32], ...]
    onwards_PP: sp.csr_matrix
    same_words_PP: sp.csr_matrix
    similar_PP: sp.csr_matrix
    encoded_PD: Floats
    classifiers_PD: Floats

    @classmethod
    def of(cls, sessions: Sessions, titles_PV: sp.csr_matrix, config: ECLAREConfig, device: torch.device) -> "Signals":
        """Count, compare titles and train ECLARE on the same sessions."""
        same_words = sp.csr_matrix(titles_PV @ titles_PV.T, dtype=np.float32)
        same_words.setdiag(0)
        same_words.eliminate_zeros()
        similar = same_words.copy()
        similar.data = np.minimum(similar.data, 1) ** SHARPNESS
        similar.data[similar.data < LEAST_SIMILARITY] = 0
        similar.eliminate_zeros()
        together = tuple(sessions.together(days) for days in HALF_LIVES)
        return cls(
            together,
            tuple(sessions.popularity(days) for days in HALF_LIVES),
            with_sum_one(together[-1]),
            same_words,
            similar,
            *_learn(keep_heaviest(sessions.together(MODEL_HALF_LIFE), MODEL_PAIRS), titles_PV, config, device),
        )

    def examples(self, queries: Rows) -> Iterator[tuple[Rows, Floats]]:
        """In chunks of Q queries: C candidates each, Q x C, and their signals in the order of NAMES, Q x C x F.

        Where there are fewer products than candidates, C is their number; a query is never its own candidate.
        """
        for start in tqdm(range(0, len(queries), _CHUNK), desc="signals", unit="chunk", disable=None):
            rows = queries[start : start + _CHUNK]
            dense = self._dense(rows)
            cheap = dense[2] + 0.3 * dense[5] + 0.2 * dense[9] + 0.2 * dense[10] + 0.3 * dense[13]
            cheap[np.arange(len(rows)), rows] = -np.inf
            count = min(CANDIDATES, cheap.shape[1] - 1)
            candidates = np.sort(np.argpartition(-cheap, count - 1, axis=1)[:, :count], axis=1).astype(np.int32)
            yield candidates, np.stack([np.take_along_axis(signal, candidates, axis=1) for signal in dense], axis=-1)

    def _dense(self, queries: Rows) -> list[Floats]:
        """Every signal of Q queries and all products, each Q x P."""
        products, longest = len(self.encoded_PD), self.together_PP[-1]
        similar = self.similar_PP[queries]
        through_similar = similar @ longest
        counted = [*(counts[queries] for counts in self.together_PP)]
        logs = [_log(counts, COUNT_FLOOR) for counts in counted]
        popularity = [np.tile(np.log(p + COUNT_FLOOR), (len(queries), 1)) for p in self.popularity_P]
        scores = self.encoded_PD[queries] @ self.classifiers_PD.T
        history = np.log(np.asarray(longest[queries].sum(axis=1)).reshape(-1, 1) + COUNT_FLOOR)
        return [
            *logs,
            *popularity,
            _log(self.onwards_PP[queries] @ self.onwards_PP, CHANCE_FLOOR),
            _log(through_similar, COUNT_FLOOR),
            _log(longest[queries] @ self.similar_PP, COUNT_FLOOR),
            _log(through_similar @ self.similar_PP, COUNT_FLOOR),
            self.same_words_PP[queries].toarray(),
            scores - np.logaddexp.reduce(scores, axis=1, keepdims=True),
            np.tile(history, (1, products)).astype(np.float32),
        ]


def _log(matrix: sp.csr_matrix, floor: float) -> Floats:
    return np.asarray(np.log(matrix.toarray() + np.float32(floor)), dtype=np.float32)


def _learn(
    weights_PP: sp.csr_matrix, titles_PV: sp.csr_matrix, config: ECLAREConfig, device: torch.device
) -> tuple[Floats, Floats]:
    texts = Texts.of(titles_PV, titles_PV, build_label_graph(weights_PP, config))
    ensemble = train(weights_PP, texts, config, device)
    return ensemble.encode(titles_PV), ensemble.classifiers_LD
