"""What a benchmark trains and judges on: the test points of a data set, or training points withheld for choosing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.__main__ import as_matrix, best_of
from eclare.arrays.tfidf import normalise_rows
from eclare.evaluation.metrics import evaluate, inverse_propensities
from eclare.xc.config import RecommenderConfig
from eclare.xc.formats import (
    TitlesOrFeatures,
    TrainingSet,
    drop_excluded,
    read_points,
    read_training,
    read_truth,
    test_file,
)
from eclare.xc.recommender import Recommender

WITHHELD = 0.28  # of the training points, about the share of test points in the data sets of the repository
METRICS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "recall@10")


@dataclass(frozen=True, eq=False)
class Trial:
    """A training set, the points that are asked for, their true labels, and the excluded (point, label) entries."""

    training: TrainingSet
    asked: TitlesOrFeatures
    truth_NL: sp.csr_matrix
    excluded: npt.NDArray[np.int64]

    @classmethod
    def of_test_points(cls, data: Path) -> "Trial":
        """The data set as it is."""
        training = read_training(data)
        return cls(training, read_points(test_file(data)), *read_truth(data, training.clicks_NL.shape[1]))

    @classmethod
    def of_withheld_points(cls, data: Path, seed: int) -> "Trial":
        """Training points alone, WITHHELD of them asked for.

        As in the test protocol, a product itself and the labels whose own points clicked it do not count.
        """
        whole = read_training(data)
        order = np.random.default_rng(seed).permutation(whole.clicks_NL.shape[0])
        asked, kept = np.split(order, [int(WITHHELD * len(order))])
        training = TrainingSet(_rows(whole.points, kept), whole.labels, whole.clicks_NL[kept], whole.label_ids_L)
        own_NL = _same_titles(whole.points, whole.labels)
        back_NL = own_NL[asked] @ (own_NL[kept].T @ training.clicks_NL).T
        excluded = np.argwhere((own_NL[asked] + back_NL).toarray() > 0)
        return cls(training, _rows(whole.points, asked), drop_excluded(whole.clicks_NL[asked], excluded), excluded)

    def metrics_of(self, config: RecommenderConfig) -> dict[str, float]:
        """Train, predict 100 labels a point and judge: METRICS in percent."""
        training = self.training
        fitted = Recommender.fit(training.points, training.labels, training.clicks_NL, config)
        scores = drop_excluded(as_matrix(*fitted.predict(self.asked, 100), self.truth_NL.shape[1]), self.excluded)
        found = evaluate(best_of(scores, 10), self.truth_NL, inverse_propensities(training.clicks_NL), (1, 3, 5, 10))
        value = {f"{metric.name}@{metric.k}": 100 * metric.value for metric in found}
        return {name: value[name] for name in METRICS}


def _rows(texts: TitlesOrFeatures, rows: npt.NDArray[np.int64]) -> TitlesOrFeatures:
    return texts[rows] if isinstance(texts, sp.csr_matrix) else [texts[row] for row in rows]


def _same_titles(points: TitlesOrFeatures, labels: TitlesOrFeatures) -> sp.csr_matrix:
    """1 where a point and a label are one product, which their equal titles tell, N x L."""
    if isinstance(points, sp.csr_matrix) or isinstance(labels, sp.csr_matrix):
        cosine = normalise_rows(sp.csr_matrix(points)) @ normalise_rows(sp.csr_matrix(labels)).T
        return sp.csr_matrix(cosine > 0.999, dtype=np.float32)
    label_of = {title: row for row, title in enumerate(labels)}
    found = [(row, label_of[title]) for row, title in enumerate(points) if title in label_of]
    row, label = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return sp.csr_matrix((np.ones(len(row), np.float32), (row, label)), shape=(len(points), len(labels)))
