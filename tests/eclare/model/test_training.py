import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.tfidf import Vocabulary
from eclare.evaluation.baselines import best_allowed
from eclare.evaluation.metrics import evaluate, inverse_propensities
from eclare.model import training
from eclare.model.batches import Batches
from eclare.model.config import ECLAREConfig
from eclare.model.data import Interactions, Texts
from eclare.model.ensemble import Ensemble
from eclare.model.inference import attention_of
from eclare.model.label_graph import build_label_graph
from eclare.model.network import ECLARE
from eclare.model.search import search_classifiers
from eclare.model.stages import train
from eclare.model.training import loss_of
from tests.made_shops import Shop, shop_of_groups

CONFIG = ECLAREConfig(embedding_dim=32, epochs=30, batch_size=32, negatives_per_batch=32, learning_rate=0.01)
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


def texts_of(shop: Shop) -> Texts:
    features = Vocabulary.of(shop.titles).features(shop.titles)
    return Texts.of(features, features, build_label_graph(shop.clicks.weights_NL, CONFIG))


def fit(shop: Shop, config: ECLAREConfig = CONFIG, device: str = "cpu") -> Ensemble:
    return train(shop.clicks.weights_NL, texts_of(shop), config, torch.device(device))


def everything(shop: Shop) -> np.ndarray:
    return np.ones(len(shop.titles), dtype=bool)


def own(shop: Shop) -> np.ndarray:
    return np.arange(len(shop.titles), dtype=np.int32)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("loss", ["softmax", "bce"])
def test_it_learns_the_groups_also_for_products_without_clicks(loss: str, device: str) -> None:
    shop = shop_of_groups()
    model = fit(shop, ECLAREConfig(embedding_dim=32, epochs=30, batch_size=32, learning_rate=0.01, loss=loss), device)
    labels, _ = search_classifiers(model, texts_of(shop).points_NV, 5, everything(shop), own_N=own(shop))
    same_group = shop.group_of_P[labels] == shop.group_of_P[:, None]
    new = np.diff(shop.clicks.weights_NL.indptr) == 0
    assert same_group[~new].mean() > 0.95
    assert same_group[new].mean() > 0.95


def test_clicks_to_come_are_found_where_the_baseline_has_none() -> None:
    shop = shop_of_groups(seed=1)
    later = shop_of_groups(seed=2).clicks.weights_NL
    new = np.flatnonzero(np.diff(shop.clicks.weights_NL.indptr) == 0).astype(np.int32)
    truth = sp.csr_matrix(
        np.tile(later.toarray().max(axis=0), (len(new), 1)) * (shop.group_of_P == shop.group_of_P[new][:, None])
    )
    weight = inverse_propensities(shop.clicks.weights_NL)
    ours, _ = search_classifiers(fit(shop), texts_of(shop).points_NV[new], 5, everything(shop), own_N=new)
    theirs, _ = best_allowed(shop.clicks.weights_NL[new], 5, everything(shop), new)
    precision_of_ours, precision_of_theirs = (evaluate(found, truth, weight, [5])[0].value for found in (ours, theirs))
    assert precision_of_ours > 0.8
    assert precision_of_theirs == 0


def test_the_same_seed_gives_the_same_model_and_another_seed_another() -> None:
    shop = shop_of_groups(groups=3)
    first, again, other = (
        fit(shop, ECLAREConfig(embedding_dim=16, epochs=3, seed=s)).members[0].classifier.model.state_dict()
        for s in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["tokens.weight"], other["tokens.weight"])


def test_batches_that_threads_make_ahead_teach_the_same(monkeypatch) -> None:
    shop, models = shop_of_groups(groups=4), []
    for kinds in ((), ("cpu",)):
        monkeypatch.setattr(training, "PREFETCH_ON", kinds)
        config = ECLAREConfig(embedding_dim=16, epochs=3, batch_size=8, negatives_per_batch=8, hard_negatives=2)
        models.append(fit(shop, config).members[0].classifier.model.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_a_batch_that_cannot_be_made_ahead_ends_the_training(monkeypatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError("too large")

    monkeypatch.setattr(training, "PREFETCH_ON", ("cpu",))
    monkeypatch.setattr(training.StepInputs, "of", fails)
    with pytest.raises(MemoryError, match="too large"):
        fit(shop_of_groups(groups=2), ECLAREConfig(embedding_dim=8, epochs=1))


def test_a_saved_model_scores_the_same(tmp_path) -> None:
    shop = shop_of_groups(groups=3)
    trained = fit(shop)
    trained.save(tmp_path)
    loaded = Ensemble.load(tmp_path, texts_of(shop).labels_LV, torch.device("cpu"))
    assert loaded.config == trained.config
    assert np.array_equal(loaded.classifiers_LD, trained.classifiers_LD)


def test_the_views_of_a_label_are_mixed_by_weights_that_sum_to_one() -> None:
    model = ECLARE(tokens=5, labels=4, config=CONFIG).eval()
    mixed, weights = model.attention(torch.randn(4, 3, CONFIG.embedding_dim))
    assert mixed.shape == (4, CONFIG.embedding_dim)
    assert torch.allclose(weights.sum(dim=1), torch.ones(4))


def test_losses_equal_their_definitions() -> None:
    scores, weights = torch.tensor([[0.5, -1.0, 2.0]]), torch.tensor([[3.0, 1.0, 0.0]])
    log_share = (scores - scores.exp().sum().log())[0]
    assert loss_of(scores, weights, "softmax").item() == pytest.approx(
        -(0.75 * log_share[0] + 0.25 * log_share[1]).item()
    )
    clicked = torch.sigmoid(scores)[0]
    by_hand = -(clicked[0].log() + clicked[1].log() + (1 - clicked[2]).log()) / 3
    alike = (weights > 0).float()
    assert loss_of(scores, alike, "bce").item() == pytest.approx(by_hand.item())
    heavier = -(1.5 * clicked[0].log() + 0.5 * clicked[1].log() + (1 - clicked[2]).log()) / 3
    assert loss_of(scores, weights, "bce").item() == pytest.approx(heavier.item())


@pytest.mark.parametrize("loss", ["softmax", "bce"])
def test_the_loss_over_shortlists_is_that_of_every_point_over_its_own(loss: str) -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 9, generator=random, requires_grad=True)
    weights = torch.randint(0, 3, (6, 9), generator=random).float()
    scored = torch.rand(6, 9, generator=random) < 0.5
    weights[4] *= ~scored[4]  # its shortlist missed all it clicked
    slowly = torch.zeros(())
    for row, only, own in zip(scores, weights, scored, strict=True):
        mine, clicks = row[own], only[own]
        if loss == "bce":
            clicked = clicks > 0
            importance = torch.where(clicked, clicks / clicks[clicked].mean(), 1.0)
            right = torch.where(clicked, torch.sigmoid(mine), torch.sigmoid(-mine))
            slowly = slowly - (importance * right.log()).sum() / scored.sum()
        elif clicks.any():
            slowly = slowly - (clicks / clicks.sum() * torch.log_softmax(mine, 0)).sum() / len(scores)
    found = loss_of(scores, weights, loss, scored)
    assert found.item() == pytest.approx(slowly.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(found, scores, retain_graph=True)
    (expected,) = torch.autograd.grad(slowly, scores)
    assert torch.allclose(gradient, expected, atol=1e-6)
    assert not gradient[~scored].any()


def test_a_batch_holds_drawn_clicks_their_weights_and_negatives() -> None:
    clicks = shop_of_groups().clicks.weights_NL
    batches = Batches(clicks, ECLAREConfig(batch_size=10, positives_per_point=2, negatives_per_batch=4))
    epoch = list(batches.epoch(1))
    assert (
        sorted(np.concatenate([batch.points_B for batch in epoch])) == np.flatnonzero(np.diff(clicks.indptr)).tolist()
    )
    for batch in epoch:
        assert np.array_equal(batch.weights_BS.toarray(), clicks[batch.points_B].toarray()[:, batch.labels_S])
        assert ((batch.weights_BS > 0).sum(axis=1) >= 2).all()
        assert len(batch.labels_S) <= 10 * 2 + 4


def test_where_every_label_is_scored_a_batch_holds_them_all() -> None:
    clicks = shop_of_groups().clicks.weights_NL
    config = ECLAREConfig(batch_size=10, positives_per_point=2, negatives_per_batch=4)
    for batch in Batches(clicks, config, every_label=True).epoch(1):
        assert np.array_equal(batch.labels_S, np.arange(96))
        assert np.array_equal(batch.weights_BS.toarray(), clicks[batch.points_B].toarray())


def test_heavier_clicks_are_drawn_more_often() -> None:
    clicks = sp.csr_matrix(np.array([[9, 1, 0]], dtype=np.float32))
    batches, random = (
        Batches(clicks, ECLAREConfig(positives_per_point=1, negatives_per_batch=1)),
        np.random.default_rng(0),
    )
    drawn = [batches._drawn(clicks, random)[0] for _ in range(2000)]
    assert np.mean(np.array(drawn) == 0) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_negatives_are_drawn_by_a_power_of_their_points(power) -> None:
    points_L = np.array([0, 3, 15, 1])
    clicks = sp.csr_matrix((np.arange(15)[:, None] < points_L).astype(np.float32))
    batches = Batches(clicks, ECLAREConfig(negatives_per_batch=3, negative_power=power))
    drawn = batches._among_all(40_000, np.random.default_rng(0))
    expected = (points_L + 1) ** power / ((points_L + 1) ** power).sum()
    assert np.bincount(drawn, minlength=4) / len(drawn) == pytest.approx(expected, abs=0.01)


def test_no_clicks_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one point with a clicked label"):
        Batches(sp.csr_matrix((3, 3), dtype=np.float32), CONFIG)


def test_a_training_that_diverges_says_so() -> None:
    shop = shop_of_groups(groups=2)
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        fit(shop, ECLAREConfig(embedding_dim=8, epochs=8, learning_rate=1e30))


def test_titles_and_graph_of_different_sizes_are_refused() -> None:
    shop, features = shop_of_groups(groups=2), Vocabulary.of(["a b"]).features(["a"] * 3)
    with pytest.raises(ValueError, match="graph and texts their labels"):
        Texts.of(features, features, build_label_graph(shop.clicks.weights_NL, CONFIG))


def test_ids_that_occur_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="must be unique, got 'a' 2 times"):
        Interactions(sp.csr_matrix((2, 2), dtype=np.float32), np.array(["a", "a"]), np.array(["a", "b"]))


def test_attention_of_every_label_sums_to_one() -> None:
    shop = shop_of_groups(groups=3)
    shares = attention_of(
        fit(shop, ECLAREConfig(embedding_dim=16, epochs=2)).members[0].classifier.model, texts_of(shop)
    )
    assert shares.shape == (36, 3)
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
