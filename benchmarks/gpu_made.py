"""Made clicks, titles and label graph in the shape of a published data set, as arrays: no text is read."""

from functools import cache

import numpy as np
import scipy.sparse as sp

from benchmarks.made_clicks import SIZES, WORDS, Shape, clicks
from eclare.arrays.tfidf import normalise_rows
from eclare.model.data import Texts
from eclare.model.label_graph import normalised_edges
from eclare.model.training import TrainingData

COMMON, RARE = 4, 7  # tokens a title: words, some of them in every title; rare words and pairs, shared with neighbours
NEIGHBOURS, LABEL_POINT_TARGETS = 10, 10.0


@cache
def data_of(shape: Shape, scale: float) -> TrainingData:
    """Points and, behind them, the labels' own texts as points, as the default config trains."""
    points, labels, per_point = SIZES[shape]
    points, labels = (max(64, int(count * scale)) for count in (points, labels))
    clicks_NL = clicks(points, labels, per_point)
    with_label_points = sp.vstack([clicks_NL, clicks(labels, labels, LABEL_POINT_TARGETS, seed=1)], format="csr")
    labels_LV = titles(labels, labels, seed=2)
    texts = Texts(titles(points, labels, seed=1), labels_LV, edges_of(labels)).with_label_points()
    return TrainingData(with_label_points, texts)


def titles(rows: int, labels: int, seed: int) -> sp.csr_matrix:
    """CSR, rows x tokens, rows of norm 1."""
    random = np.random.default_rng(seed)
    rare_words = labels + 4 * RARE
    common = np.minimum(random.zipf(1.3, (rows, COMMON)), WORDS) - 1
    near = (np.arange(rows) * (labels / rows)).astype(np.int64)[:, None] + random.integers(0, 4, (rows, RARE)) * RARE
    columns = np.hstack([common, WORDS + near + np.arange(RARE)]).astype(np.int32)
    starts = np.arange(0, columns.size + 1, columns.shape[1])
    weights = np.hstack([np.full((rows, COMMON), 1, np.float32), np.full((rows, RARE), 3, np.float32)])
    matrix = sp.csr_matrix((weights.ravel(), columns.ravel(), starts), shape=(rows, WORDS + rare_words))
    matrix.sum_duplicates()
    return normalise_rows(matrix)


def edges_of(labels: int) -> sp.csr_matrix:
    """Each label, and neighbours near by."""
    random = np.random.default_rng(3)
    steps = random.geometric(0.02, (labels, NEIGHBOURS)) * random.choice([-1, 1], (labels, NEIGHBOURS))
    columns = np.hstack([np.arange(labels)[:, None], (np.arange(labels)[:, None] + steps) % labels]).astype(np.int32)
    starts = np.arange(0, columns.size + 1, columns.shape[1])
    matrix = sp.csr_matrix((np.ones(columns.size, np.float32), columns.ravel(), starts), shape=(labels, labels))
    matrix.sum_duplicates()
    return normalised_edges(matrix)
