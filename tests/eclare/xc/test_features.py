import numpy as np
import scipy.sparse as sp
import torch

from eclare.arrays.tfidf import normalise_rows
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.stages import train
from eclare.xc.candidates import EncodedPoints
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.features import FEATURES, features_of

QUICK = ECLAREConfig(embedding_dim=16, epochs=1, batch_size=16, negatives_per_batch=16, learning_rate=0.01)


def test_features_are_what_their_names_say() -> None:
    random = np.random.default_rng(0)
    clicks = (random.random((14, 8)) < 0.4).astype(np.float32)
    labels, points = (normalise_rows(sp.random(rows, 6, 0.5, "csr", np.float32, rows)) for rows in (8, 14))
    shop = Texts(points, labels, sp.identity(8, np.float32, format="csr"))
    ensemble = train(sp.csr_matrix(clicks), shop, QUICK, torch.device("cpu"))
    co_clicks = CoClickScores.of(sp.csr_matrix(clicks), labels, points)
    asked = EncodedPoints(points[:5], ensemble, co_clicks)
    candidates = np.tile(np.arange(8, dtype=np.int32), (5, 1))
    feature = dict(zip(FEATURES, np.moveaxis(features_of(asked, candidates), -1, 0), strict=True))
    scores = (ensemble.encode(points[:5]) @ ensemble.classifiers_LD.T).astype(np.float64)
    assert np.allclose(feature["model"], scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), atol=1e-4)
    shared = clicks.T @ clicks
    np.fill_diagonal(shared, 0)
    similar = _weights(points[:5], labels, 8)
    assert np.allclose(feature["shared points"], np.log(similar @ shared + 0.1), atol=1e-4)
    assert np.allclose(feature["history"], np.log((similar @ shared).sum(axis=1, keepdims=True) + 0.1), atol=1e-4)
    share = clicks / np.maximum(clicks.sum(axis=1, keepdims=True), 1)
    near = _weights(points[:5], points, 4)
    assert np.allclose(feature["clicks of similar points"], np.log(near @ share + 1e-3), atol=1e-3)
    own = (points @ labels.T).toarray() > 0.999  # no point has the title of a label here
    clicking = (clicks.T @ own > 0).astype(np.float32)
    targets = co_clicks.targets_ML.toarray()
    assert np.allclose(feature["clicked similar labels"], np.log(similar @ clicking + 1e-3), atol=1e-3)
    through = similar @ targets[14:] @ clicking
    assert np.allclose(feature["clicked what shares points"], np.log(through + 1e-3), atol=1e-3)
    weights = co_clicks.votes.voters(asked.features_QV)
    voters = sp.csr_matrix(weights[::-1], shape=(5, 22)).toarray()
    assert np.allclose(feature["votes of near titles"], np.log(voters @ targets + 1e-3), atol=1e-3)
    assert np.allclose(feature["cosine of titles"], (points[:5] @ labels.T).toarray(), atol=1e-5)
    assert np.allclose(feature["popularity"], np.log(clicks.sum(axis=0) + 0.1), atol=1e-5)
    without = features_of(asked, np.full((5, 1), -1, np.int32))
    assert np.allclose(without[..., list(FEATURES).index("popularity")], np.log(0.1))


def _weights(points_QV: sp.csr_matrix, others: sp.csr_matrix, sharpness: int) -> np.ndarray:
    cosine = (points_QV @ others.T).toarray()
    if sharpness == 8:  # the five nearest labels
        cosine = np.where(cosine >= -np.sort(-cosine, axis=1)[:, 4:5], cosine, 0)
    weights = np.where(cosine >= 0.35, np.minimum(cosine, 1), 0) ** sharpness
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-30)
