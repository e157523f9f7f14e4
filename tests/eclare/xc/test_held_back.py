from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from eclare.arrays.tfidf import normalise_rows
from eclare.model.config import ECLAREConfig
from eclare.model.ensemble import Ensemble
from eclare.model.stages import Training
from eclare.xc import held_back
from eclare.xc.candidates import EncodedPoints
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.config import RecommenderConfig
from eclare.xc.held_back import excluded_labels, hold_back
from eclare.xc.recommender import Recommender

QUICK = ECLAREConfig(
    embedding_dim=16, epochs=1, batch_size=16, negatives_per_batch=16, learning_rate=1e-4, label_point_targets=20
)


def test_a_point_s_own_product_and_labels_that_clicked_it_are_excluded() -> None:
    titles = normalise_rows(sp.csr_matrix(np.eye(4, dtype=np.float32)))
    clicks = sp.csr_matrix(np.array([[0, 1, 0, 1], [0, 0, 1, 0]], np.float32))  # products 0 and 1 as points
    points = EncodedPoints(titles[[3]], None, CoClickScores.of(clicks, titles, titles[:2]))
    assert (excluded_labels(points).toarray() > 0).tolist() == [[True, False, False, True]]


def test_held_back_points_have_clicks_and_are_drawn_by_the_seed() -> None:
    clicks = sp.csr_matrix(np.diag([1, 0, 1, 1, 0, 1]).astype(np.float32))
    config = RecommenderConfig(QUICK, held_back_share=0.5)
    held, kept = hold_back(clicks, config)
    assert len(held) == 2 and np.diff(clicks.indptr)[held].all()
    assert sorted([*held, *kept]) == list(range(6))
    assert np.array_equal(held, hold_back(clicks, config)[0])


def shop_of_steps(products: int = 480) -> tuple[list[str], sp.csr_matrix]:
    """Products in groups of 12, each clicked with the next three of its group, and titles that tell the group."""
    random = np.random.default_rng(0)
    product, size = np.arange(products), 12
    titles = [f"group{p // size} item{p} noise{random.integers(5)}" for p in product]
    label = product[:, None] // size * size + (product[:, None] % size + np.array([1, 2, 3])) % size
    places = (np.repeat(product, 3), label.ravel())
    return titles, sp.csr_matrix((np.ones(label.size, np.float32), places), shape=(products, products))


@pytest.mark.slow
def test_a_ranker_finds_out_that_clicks_tell_more_than_a_weak_model() -> None:
    titles, clicks = shop_of_steps()
    kept = np.random.default_rng(1).random(480) < 0.7
    known, asked = ([title for title, k in zip(titles, kept, strict=True) if k == wanted] for wanted in (True, False))
    hits = {}
    for share in (0.0, 0.5):
        config = RecommenderConfig(QUICK, co_click_weight=0.0, held_back_share=share)
        fitted = Recommender.fit(known, titles, clicks[kept], config)
        assert (fitted.ranker is not None) == (share > 0)
        found, _ = fitted.predict(asked, 3)
        hits[share] = np.take_along_axis(clicks[~kept].toarray(), found, axis=1).mean()
    assert hits[0.5] > hits[0.0] + 0.05


def test_the_model_of_all_points_goes_on_from_the_first_one_in_half_of_the_epochs(monkeypatch) -> None:
    (titles, clicks), longer, asked = shop_of_steps(240), replace(QUICK, epochs=3, batch_size=64), []
    ensemble = Training.ensemble

    def in_one_epoch(training: Training, config: ECLAREConfig) -> Ensemble:
        asked.append((config.epochs, bool(training.starts)))
        return ensemble(training, replace(config, epochs=1, ensemble=1, learning_rate=0.01))

    def fitted(config: ECLAREConfig, **more: Recommender) -> Recommender:
        asked.clear()
        return Recommender.fit(titles, titles, clicks, RecommenderConfig(config), **more)

    monkeypatch.setattr(Training, "ensemble", in_one_epoch)
    monkeypatch.setattr(held_back, "STEPS", 1)
    goes_on = fitted(longer)
    assert asked == [(2, False), (2, True)]
    cold = fitted(replace(longer, ensemble=2))
    assert asked == [(3, False), (3, False)], "several models shall differ"
    assert goes_on.history[0].loss < 0.95 * cold.history[0].loss
    fitted(longer, warm_start=goes_on)
    assert asked == [(3, False), (3, True)], "it starts from elsewhere"


@pytest.mark.parametrize(("fewest", "share"), [(1000, 0.5), (100, 0.1)])
def test_too_few_points_are_no_ground_for_a_ranker(monkeypatch, fewest, share) -> None:
    titles, clicks = shop_of_steps()
    monkeypatch.setattr(held_back, "FEWEST_HELD_BACK", fewest)
    fitted = Recommender.fit(titles, titles, clicks, RecommenderConfig(replace(QUICK), held_back_share=share))
    assert fitted.ranker is None


def test_held_back_points_without_a_clicked_candidate_are_no_ground_for_a_ranker(monkeypatch) -> None:
    titles, clicks = shop_of_steps()
    excluded = sp.csr_matrix(np.ones((240, 480), np.float32))
    monkeypatch.setattr(held_back, "excluded_labels", lambda _: excluded)
    assert Recommender.fit(titles, titles, clicks, RecommenderConfig(QUICK)).ranker is None


@pytest.mark.slow
def test_a_killed_training_goes_on_in_the_held_back_part_too(monkeypatch, tmp_path) -> None:
    titles, clicks = shop_of_steps(120)
    monkeypatch.setattr(held_back, "FEWEST_HELD_BACK", 30)
    config = RecommenderConfig(QUICK)
    first = Recommender.fit(titles, titles, clicks, config, checkpoints=tmp_path)
    assert list(tmp_path.glob("held_back/*.safetensors")) and list(tmp_path.glob("*.safetensors"))
    again = Recommender.fit(titles, titles, clicks, config, checkpoints=tmp_path)
    assert np.array_equal(first.predict(titles, 5)[1], again.predict(titles, 5)[1])
