"""Features of a candidate: what model, clicks and titles tell about a point and a label, for the ranker to weigh."""

from collections.abc import Callable, Sequence

import numpy as np

from eclare.arrays.csr import CSR, CSRStack, Floats, Rows
from eclare.arrays.inner_products import log_shares
from eclare.arrays.knn import cosines_at
from eclare.arrays.products import look_up, sampled_product
from eclare.arrays.topk import PAD
from eclare.xc.candidates import EncodedPoints

COUNT_FLOOR, SHARE_FLOOR = 0.1, 1e-3  # added before the logarithm


def _model(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Log of the model's softmax over the candidates of a point."""
    return np.asarray(log_shares(points.encoded_QD, points.ensemble.classifiers_LD, labels_QC))


def _shared_points(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Points that the candidate shares with the labels whose titles are similar to the point's."""
    return _log(sampled_product(points.similar_labels, points.co_clicks.shared, labels_QC), COUNT_FLOOR)


def _history(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Points that those labels share with any label: how much `shared points` can be trusted, Q x 1."""
    only_column = np.zeros((len(labels_QC), 1), np.int32)
    return _log(sampled_product(points.similar_labels, points.co_clicks.history, only_column), COUNT_FLOOR)


def _clicks_of_similar_points(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Share of the candidate among the clicks of training points with similar titles."""
    return _log(sampled_product(points.similar_points, points.co_clicks.clicks, labels_QC), SHARE_FLOOR)


def _votes(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Votes of training titles and label texts near the point's."""
    return _log(entries(points.votes, labels_QC), SHARE_FLOOR)


def _clicked_similar(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """How many of the similar labels the candidate clicked itself, as a point."""
    return _log(sampled_product(points.similar_labels, points.co_clicks.clicking, labels_QC), SHARE_FLOOR)


def _clicked_alike(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """The same of what shares points with the similar labels."""
    return _log(sampled_product(points.similar_labels, points.co_clicks.clicking_alike, labels_QC), SHARE_FLOOR)


def _cosine(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Cosine of both titles."""
    return cosines_at(CSR.of(points.features_QV), points.co_clicks.labels, labels_QC)


def _votes_of_sentences(points: EncodedPoints, labels_QC: Rows) -> Floats:
    return _log(entries(points.votes_of_sentences, labels_QC), SHARE_FLOOR)


def _clicked_like_sentences(points: EncodedPoints, labels_QC: Rows) -> Floats:
    return _log(sampled_product(points.like_sentences, points.co_clicks.clicking, labels_QC), SHARE_FLOOR)


def _cosine_of_sentences(points: EncodedPoints, labels_QC: Rows) -> Floats:
    sentences, vectors_QE = points.by_encoder
    return sentences.cosines(vectors_QE, labels_QC)


def _popularity(points: EncodedPoints, labels_QC: Rows) -> Floats:
    """Points of the candidate."""
    return _log(np.where(labels_QC == PAD, 0, points.co_clicks.popularity_L[labels_QC]), COUNT_FLOOR)


def entries(matrix_QL: CSR, labels_QC: Rows) -> Floats:
    """Entries of every row at its own labels, Q x C; 0 for PAD."""
    stack = CSRStack(matrix_QL.indptr, matrix_QL.indices, matrix_QL.data[:, None])
    entries_QC1 = look_up(stack, np.arange(len(labels_QC), dtype=np.int32), labels_QC)
    return np.asarray(entries_QC1[..., 0])


def _log(counts: Floats, floor: float) -> Floats:
    return np.asarray(np.log(counts + floor), dtype=np.float32)


FEATURES: dict[str, Callable[[EncodedPoints, Rows], Floats]] = {
    "model": _model,
    "shared points": _shared_points,
    "history": _history,
    "clicks of similar points": _clicks_of_similar_points,
    "votes of near titles": _votes,
    "clicked similar labels": _clicked_similar,
    "clicked what shares points": _clicked_alike,
    "cosine of titles": _cosine,
    "popularity": _popularity,
}


OF_SENTENCES: dict[str, Callable[[EncodedPoints, Rows], Floats]] = {  # what a sentence encoder adds
    "votes of near sentences": _votes_of_sentences,
    "clicked labels of like sentences": _clicked_like_sentences,
    "cosine of sentences": _cosine_of_sentences,
}


def features_of(points: EncodedPoints, labels_QC: Rows, names: Sequence[str] = tuple(FEATURES)) -> Floats:
    """These of FEATURES and OF_SENTENCES of every candidate, Q x C x F; those of PAD are of a label without a click."""
    features_QCF = np.empty((*labels_QC.shape, len(names)), np.float32)
    for column, name in enumerate(names):
        features_QCF[..., column] = (FEATURES | OF_SENTENCES)[name](points, labels_QC)
    return features_QCF
