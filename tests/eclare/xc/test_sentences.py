"""A sentence encoder beside TF-IDF: kept where it helps on held-back points, dropped elsewhere."""

import json
import shutil

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.csr import CSR
from eclare.arrays.topk import PAD
from eclare.model.config import ECLAREConfig
from eclare.model.sentence_encoder import SentenceEncoder
from eclare.ranker import Examples
from eclare.xc import held_back, sentences
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import OF_SENTENCES
from eclare.xc.held_back import NAMES, WITH_SENTENCES, Gain, gain_of, hold_back
from eclare.xc.recommender import ENCODER, Recommender
from eclare.xc.sentences import Sentences
from eclare.xc.votes import targets_of_titles
from tests.made_shops import shop_of_groups
from tests.sentence_encoders import make_encoder

QUICK = ECLAREConfig(embedding_dim=8, epochs=1, batch_size=32, negatives_per_batch=16, walk_length=20)


class OnCPU:
    device = torch.device("cpu")


def test_the_nearest_titles_are_those_of_all_cosines() -> None:
    random = np.random.default_rng(0)
    vectors, asked = (random.normal(size=(rows, 5)).astype(np.float32) for rows in (30, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    votes = random.random(30) < 0.8
    sentences = Sentences(OnCPU(), vectors, votes, points=20)  # type: ignore[arg-type]
    cosines = asked @ vectors.T
    weights = np.where((cosines > 0) & votes, np.exp(cosines / 0.05), 0)
    assert np.allclose(_dense(sentences.voters(asked), 30), weights / weights.sum(axis=1, keepdims=True), atol=1e-4)
    weights = np.where(cosines[:, 20:] > 0, np.exp(cosines[:, 20:] / 0.05), 0)
    assert np.allclose(
        _dense(sentences.like_labels(asked), 10), weights / weights.sum(axis=1, keepdims=True), atol=1e-4
    )
    labels = np.array([[0, 9, PAD]] * 4, np.int32)
    assert np.allclose(
        sentences.cosines(asked, labels), np.column_stack([cosines[:, [20, 29]], np.zeros(4)]), atol=1e-5
    )
    fewer, kept = sentences.of_points(np.array([3, 7])), [3, 7, *range(20, 30)]
    assert np.array_equal(fewer.vectors_ME, vectors[kept]) and np.array_equal(fewer.votes_M, votes[kept])
    assert fewer.points == 2


def _dense(weights: CSR, columns: int) -> np.ndarray:
    return sp.csr_matrix(weights[::-1], shape=(len(weights.indptr) - 1, columns)).toarray()


def examples(tells: bool) -> Examples:
    """Candidates of which one is relevant; a sentence encoder's feature says which, or nothing does."""
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 8, len(WITH_SENTENCES))).astype(np.float32)
    relevance = np.zeros((200, 8), np.float32)
    relevance[np.arange(200), features[..., -1].argmax(axis=1) if tells else random.integers(8, size=200)] = 1
    return Examples(features, relevance, np.ones((200, 8), bool))


def test_an_encoder_helps_where_held_back_points_say_so(monkeypatch) -> None:
    monkeypatch.setattr(held_back, "STEPS", 60)
    monkeypatch.setattr(held_back, "RANKERS", 2)
    gain = gain_of(examples(tells=True), WITH_SENTENCES, NAMES, seed=0)
    assert gain.ndcg > 0.2 and gain.helps
    assert not gain_of(examples(tells=False), WITH_SENTENCES, NAMES, seed=0).helps
    assert not Gain(0.01, 0.02).helps


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoder") / "made")


@pytest.mark.parametrize("helps", [True, False])
def test_a_recommender_keeps_or_drops_its_encoder_and_says_so(encoder, monkeypatch, tmp_path, caplog, helps) -> None:
    shop = shop_of_groups()
    monkeypatch.setattr(held_back, "gain_of", lambda *_: Gain(0.1 if helps else 0.0, 0.05))
    monkeypatch.setattr(held_back, "FEWEST_HELD_BACK", 20)
    config = RecommenderConfig(QUICK, text_encoder=str(encoder))
    fitted = Recommender.fit(shop.titles, shop.titles, shop.clicks.weights_NL, config)
    assert fitted.ranker is not None and (fitted.sentences is not None) == helps
    assert (set(OF_SENTENCES) <= set(fitted.ranker.features)) == helps
    fitted.save(tmp_path / "model")
    record = json.loads((tmp_path / "model" / "manifest.json").read_text())["text_encoder"]
    assert (record["kept"], record["ndcg"], record["error"]) == (helps, 0.1 if helps else 0.0, 0.05)
    loaded = Recommender.load(tmp_path / "model")
    for before, after in zip(fitted.predict(shop.titles[:9], 5), loaded.predict(shop.titles[:9], 5), strict=True):
        assert np.array_equal(before, after)
    assert loaded.gain == fitted.gain
    with caplog.at_level("INFO"):
        assert [found.label_id for found in loaded.recommend(shop.titles[0], 3)]
    assert ("ms_per_title" in caplog.text) == helps


def test_a_fine_tuned_encoder_goes_with_the_model_and_held_back_points_are_kept_from_it(
    encoder, monkeypatch, tmp_path
) -> None:
    shop, own, learnt_from = shop_of_groups(), shutil.copytree(encoder, tmp_path / "own"), []
    clicks, tune = shop.clicks.weights_NL, sentences.fine_tuned

    def seen(encoder, titles, targets_ML, *how) -> SentenceEncoder:
        learnt_from.append(targets_ML)
        return tune(encoder, titles, targets_ML, *how)

    monkeypatch.setattr(held_back, "gain_of", lambda *_: Gain(0.1, 0.05))
    monkeypatch.setattr(held_back, "FEWEST_HELD_BACK", 20)
    monkeypatch.setattr(sentences, "fine_tuned", seen)
    config = RecommenderConfig(QUICK, text_encoder=str(own), text_encoder_epochs=1)
    fitted = Recommender.fit(shop.titles, shop.titles, clicks, config)
    held, kept = hold_back(clicks, config)
    first, second = (targets_ML[: len(shop.titles)].toarray() > 0 for targets_ML in learnt_from)
    assert not first[held].any() and np.array_equal(first[kept], clicks[kept].toarray() > 0)
    assert np.array_equal(second, clicks.toarray() > 0)
    assert np.abs(learnt_from[0] - targets_of_titles(clicks)).max() > 0

    fitted.save(tmp_path / "model")
    shutil.rmtree(own)
    loaded = Recommender.load(tmp_path / "model")
    loaded.save(tmp_path / "again")
    for each in (loaded, Recommender.load(tmp_path / "again")):
        for before, after in zip(fitted.predict(shop.titles[:9], 5), each.predict(shop.titles[:9], 5), strict=True):
            assert np.array_equal(before, after)
    (tmp_path / "again" / ENCODER / "modules.json").write_text("[]")
    with pytest.raises(ValueError, match="is not the file that fit wrote"):
        Recommender.load(tmp_path / "again")


def test_without_a_ranker_an_encoder_is_dropped_and_that_is_said(encoder, tmp_path) -> None:
    shop = shop_of_groups()  # of fewer points than are held back
    config = RecommenderConfig.of({**RecommenderConfig(QUICK).options, "text_encoder": str(encoder)})
    Recommender.fit(shop.titles, shop.titles, shop.clicks.weights_NL, config).save(tmp_path / "model")
    record = json.loads((tmp_path / "model" / "manifest.json").read_text())["text_encoder"]
    assert record == {"name": str(encoder), "kept": False}
    loaded = Recommender.load(tmp_path / "model")
    assert loaded.config == config and loaded.sentences is None and loaded.gain is None


def test_a_changed_encoder_is_refused(encoder, monkeypatch, tmp_path) -> None:
    shop, own = shop_of_groups(), shutil.copytree(encoder, tmp_path / "own")
    monkeypatch.setattr(held_back, "gain_of", lambda *_: Gain(0.1, 0.05))
    monkeypatch.setattr(held_back, "FEWEST_HELD_BACK", 20)
    config = RecommenderConfig(QUICK, text_encoder=str(own))
    Recommender.fit(shop.titles, shop.titles, shop.clicks.weights_NL, config).save(tmp_path / "model")
    (own / "more.json").write_text("{}")
    with pytest.raises(ValueError, match="must be the encoder that the model was fitted with"):
        Recommender.load(tmp_path / "model")


def test_an_encoder_needs_titles_and_a_ranker(encoder) -> None:
    features = sp.identity(4, np.float32, format="csr")
    with pytest.raises(ValueError, match="reads titles"):
        Recommender.fit(features, features, features, RecommenderConfig(QUICK, text_encoder=str(encoder)))
    with pytest.raises(ValueError, match="held_back_share must not be 0"):
        RecommenderConfig(QUICK, held_back_share=0, text_encoder="some")
    with pytest.raises(ValueError, match="text_encoder must be the name"):
        RecommenderConfig(QUICK, text_encoder=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="text_encoder must name the encoder to fine-tune"):
        RecommenderConfig(QUICK, text_encoder_epochs=1)
    with pytest.raises(ValueError, match="text_encoder_epochs must be an int of 0 or more, got -1"):
        RecommenderConfig(QUICK, text_encoder="some", text_encoder_epochs=-1)
