from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from eclare.arrays.tfidf import Vocabulary
from eclare.model import stages
from eclare.model.batches import Batches, Shortlist
from eclare.model.checkpoint import Checkpoint
from eclare.model.clusters import Clusters
from eclare.model.config import PRESETS, ECLAREConfig
from eclare.model.data import Texts
from eclare.model.ensemble import Ensemble
from eclare.model.inference import classifiers_of, encoded_by
from eclare.model.label_graph import build_label_graph
from eclare.model.network import ECLARE
from eclare.model.search import beam_search, probabilities, search_classifiers
from eclare.model.stages import Training
from eclare.model.training import Stage, StageRun, TrainingData, run_stage
from tests.made_shops import Shop, shop_of_groups

CPU = torch.device("cpu")
PAPER = replace(
    ECLAREConfig.preset("paper-131k"),
    embedding_dim=32, cluster_bits=0, beam=4, batch_size=16, epochs=10, surrogate_epochs=10, learning_rate=0.02,
    surrogate_learning_rate=0.02, negatives_per_batch=32, ensemble=2,
)  # fmt: skip
QUICK = ECLAREConfig(embedding_dim=16, epochs=4, batch_size=16, negatives_per_batch=16, learning_rate=0.01)


def training_of(shop: Shop, config: ECLAREConfig, **more) -> Training:
    features = Vocabulary.of(shop.titles).features(shop.titles)
    clicks = shop.clicks.weights_NL
    return Training(clicks, Texts.of(features, features, build_label_graph(clicks, config)), CPU, **more)


def learn(shop: Shop, config: ECLAREConfig, **more) -> Ensemble:
    return training_of(shop, config, **more).ensemble(config)


def answers(ensemble: Ensemble, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    texts = ensemble.texts.labels_LV
    own = np.arange(texts.shape[0], dtype=np.int32)
    search = beam_search if ensemble.config.shortlister == "clusters" else search_classifiers
    return search(ensemble, texts, k, np.ones(texts.shape[0], bool), own)


def same_weights(one: Ensemble, other: Ensemble) -> bool:
    models = [
        [each.model for m in ensemble.members for each in (m.classifier, m.shortlister) if each]
        for ensemble in (one, other)
    ]
    states = [[model.state_dict() for model in side] for side in models]
    return all(torch.equal(a[name], b[name]) for a, b in zip(*states, strict=True) for name in a)


@pytest.mark.slow
def test_the_paper_from_surrogate_to_ranker_learns_the_groups() -> None:
    shop = shop_of_groups(groups=5)
    training = training_of(shop, PAPER)
    ensemble = training.ensemble(PAPER)
    labels, scores = answers(ensemble)
    assert (shop.group_of_P[labels] == shop.group_of_P[:, None]).mean() > 0.9
    assert (scores > 0).all() and (scores <= 1).all()
    assert list(dict.fromkeys(epoch.stage for epoch in training.history)) == [
        "surrogate 0", "shortlister 0", "ranker 0", "shortlister 1", "ranker 1"
    ]  # fmt: skip
    first, second = ensemble.members
    assert not np.array_equal(first.clusters.cluster_L, second.clusters.cluster_L)


@pytest.mark.slow
@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("paper-")])
def test_every_preset_of_the_paper_learns_the_groups(preset) -> None:
    shop = shop_of_groups(groups=6)
    config = replace(
        ECLAREConfig.preset(preset),
        embedding_dim=32, batch_size=16, epochs=10, surrogate_epochs=10, learning_rate=0.02,
        surrogate_learning_rate=0.02, ensemble=1,
    )  # fmt: skip
    ensemble = learn(shop, config)
    labels, _ = answers(ensemble)
    assert (shop.group_of_P[labels] == shop.group_of_P[:, None]).mean() > 0.9
    (member,) = ensemble.members
    assert len(member.clusters) == 64, "as many as 72 labels can fill: 2^15 and 2^17 are for real catalogues"


@pytest.mark.slow
def test_the_fine_stages_keep_the_tokens_of_the_surrogate_where_the_config_freezes_them() -> None:
    shop, config = shop_of_groups(groups=3), replace(PAPER, ensemble=1, epochs=2, surrogate_epochs=2)
    for frozen in (True, False):
        (member,) = learn(shop, replace(config, freeze_tokens=frozen)).members
        tokens = [each.model.tokens.weight for each in (member.shortlister, member.classifier)]
        assert torch.equal(*tokens) == frozen


def surrogate_of(shop: Shop, config: ECLAREConfig) -> tuple[Training, TrainingData, ECLARE]:
    training = training_of(shop, config)
    data = stages.training_data_of(training, config)
    clusters = Clusters(shop.group_of_P.astype(np.int32))
    return training, data, stages.train_surrogate(training, data, clusters, config)


def test_the_surrogate_learns_tokens_and_blocks_and_no_refinement() -> None:
    shop = shop_of_groups(groups=3)
    config = replace(PAPER, surrogate_epochs=2)
    _, data, surrogate = surrogate_of(shop, config)
    assert surrogate.config.views == ("text", "graph")
    over_clusters = stages.over_clusters(data, Clusters(shop.group_of_P.astype(np.int32)))
    start = stages.fresh_model(over_clusters.texts, surrogate.config, CPU)
    assert torch.equal(surrogate.refinement.weight, start.refinement.weight)
    assert not torch.allclose(surrogate.tokens.weight, start.tokens.weight, atol=1e-3)
    only = replace(config, use_label_text=False, use_graph=False)
    assert surrogate_of(shop, only)[2].config.views == ("refinement",), "something must be learnt"


def test_points_weigh_the_same_in_the_new_clusters_however_long_their_embeddings_are(monkeypatch) -> None:
    training, data, surrogate = surrogate_of(shop_of_groups(groups=4), replace(PAPER, surrogate_epochs=1))
    embedded = stages._embedded
    scale_NL = np.random.default_rng(0).uniform(0.1, 10, (data.texts.points_NV.shape[0], 1)).astype(np.float32)
    before = stages.recluster(training, data, surrogate, PAPER).cluster_L
    monkeypatch.setattr(stages, "_embedded", lambda model, texts: embedded(model, texts) * scale_NL)
    assert np.array_equal(stages.recluster(training, data, surrogate, PAPER).cluster_L, before)


def test_the_learning_rate_is_halved_when_the_authors_halve_it(monkeypatch) -> None:
    rates = {}

    def recorded(model, data, stage, checkpoint, *, shard_labels, title) -> list:
        name = stage.name.split()[0]
        rates[name] = [stage.learning_rate_of(epoch) for epoch in range(1, stage.epochs + 1)]
        assert data.every_label == (name != "ranker")
        assert not shard_labels and not title
        return []

    monkeypatch.setattr(stages, "run_stage", recorded)
    config = replace(ECLAREConfig.preset("paper-131k"), embedding_dim=8, cluster_bits=0, ensemble=1)
    learn(shop_of_groups(groups=3), config)
    assert rates["surrogate"] == [0.005] * 10 + [0.0025] * 5 + [0.00125] * 5
    assert rates["shortlister"] == rates["ranker"] == [0.004] * 5 + [0.002] * 5


def test_probabilities_equal_the_paper_s_formula_over_dense_matrices() -> None:
    config = replace(PAPER, ensemble=1, beam=3)
    ensemble = learn(shop_of_groups(groups=5), config)
    (member,) = ensemble.members
    points = ensemble.texts.labels_LV
    shortlister, members_CL = member.over_clusters

    def sigmoid(trained):
        encoded = trained.model.encode(stages.Bags.of(points, CPU)).detach().numpy()
        return 1 / (1 + np.exp(-encoded @ trained.classifiers_LD.T))

    def augmented(p, edges, k):
        moved = p @ edges.toarray()
        return 0.5 * p + 0.5 * np.where(moved >= -np.sort(-moved, axis=1)[:, k - 1 : k], moved, 0)

    meta = sigmoid(shortlister)
    meta = np.where(meta >= -np.sort(-meta, axis=1)[:, 2:3], meta, 0)
    meta = augmented(meta, shortlister.texts.edges_LL, 3)
    expected = (meta @ members_CL.toarray()) * sigmoid(member.classifier)
    expected = augmented(expected, member.classifier.texts.edges_LL, 60)
    assert np.allclose(probabilities(ensemble, points).toarray(), expected, atol=1e-5)


def test_an_ensemble_over_clusters_is_saved_and_answers_the_same(tmp_path) -> None:
    shop = shop_of_groups(groups=4)
    ensemble = learn(shop, replace(PAPER, epochs=2, surrogate_epochs=2))
    ensemble.save(tmp_path)
    loaded = Ensemble.load(tmp_path, ensemble.texts.labels_LV, CPU)
    assert all(np.array_equal(a, b) for a, b in zip(answers(loaded), answers(ensemble), strict=True))
    with pytest.raises(FileNotFoundError, match="must hold member_1"):
        Ensemble.load(tmp_path / "member_1", ensemble.texts.labels_LV, CPU)


def test_pruning_drops_neighbours_whose_texts_point_away() -> None:
    clicks = shop_of_groups(groups=2).clicks.weights_NL
    whole = build_label_graph(clicks, QUICK).edges_LL
    embedded = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
    pruned = build_label_graph(clicks, QUICK, embedded).edges_LL.tocoo()
    assert (np.einsum("ed,ed->e", embedded[pruned.row], embedded[pruned.col]) >= 0).all()
    assert 24 < pruned.nnz < whole.nnz


def shortlist_of(clusters: np.ndarray, members: np.ndarray, edges: np.ndarray) -> Shortlist:
    return Shortlist(*(sp.csr_matrix(matrix.astype(np.float32)) for matrix in (clusters, members, edges)))


def test_a_shortlist_of_every_label_trains_like_scoring_every_label() -> None:
    shop = shop_of_groups(groups=3)
    models = []
    every = shortlist_of(np.ones((36, 1)), np.ones((1, 36)), np.eye(36))
    for way in ({"every_label": True}, {"shortlist": every}):
        texts = training_of(shop, QUICK).texts
        model = stages.fresh_model(texts, QUICK, CPU)
        run_stage(model, TrainingData(shop.clicks.weights_NL, texts, **way), Stage("full", 3, 0.01, 5))
        models.append(model.state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_a_shortlist_has_the_labels_of_a_point_s_meta_labels_and_their_neighbours() -> None:
    random = np.random.default_rng(0)
    clusters, edges = random.random((7, 4)) < 0.4, (random.random((12, 12)) < 0.15) | np.eye(12, dtype=bool)
    members = np.arange(12) % 4 == np.arange(4)[:, None]
    points = np.array([5, 0, 3])
    labels_S, scored_BS = shortlist_of(clusters, members, edges).of(points)
    slowly = [
        {to for label in range(12) if clusters[point, label % 4] for to in range(12) if edges[label, to]}
        for point in points
    ]
    assert [set(labels_S[row]) for row in scored_BS.toarray() > 0] == slowly
    assert labels_S.tolist() == sorted(set.union(*slowly))


def test_clicks_outside_a_point_s_shortlist_and_labels_of_no_shortlist_are_not_learnt() -> None:
    """Points 0 to 5 are scored against labels 0 to 5, the others against 6 to 11; every point clicks both sides."""
    config = replace(QUICK, loss="bce", use_graph=False, use_label_text=False, use_attention=False)
    texts = training_of(shop_of_groups(groups=2), config).texts
    clicks = sp.csr_matrix((np.arange(24)[:, None] // 6 == np.arange(24) // 6).astype(np.float32))
    side = np.array([[1, 0]] * 12 + [[0, 1]] * 12)
    members = np.array([[1] * 6 + [0] * 18, [0] * 6 + [1] * 6 + [0] * 12])
    model = stages.fresh_model(texts, config, CPU)
    start = model.refinement.weight.detach().clone()
    data = TrainingData(clicks, texts, shortlist=shortlist_of(side, members, np.eye(24)))
    run_stage(model, data, Stage("ranker", 8, 0.05, 5, frozen_tokens=True))
    moved = (model.refinement.weight != start).any(dim=1).tolist()
    assert moved == [True] * 12 + [False] * 12
    scores = encoded_by(model, texts.points_NV) @ classifiers_of(model, texts).T
    first = encoded_by(model.eval(), texts.points_NV) @ start.numpy().T
    gained = scores - first
    assert gained[:6, :6].mean() > 0, "clicked and shortlisted"
    assert gained[18:, 6:12].mean() < 0 and gained[12:18, 6:12].mean() < 0, "shortlisted and not clicked"


def test_an_epoch_has_some_steps_however_few_points_there_are() -> None:
    clicks = sp.csr_matrix((np.ones(40, np.float32), (np.arange(40), np.arange(40))), shape=(40, 40))
    batches = Batches(clicks, replace(QUICK, batch_size=1024))
    steps = [batch.points_B for batch in batches.epoch(1)]
    assert len(steps) == batches.steps_per_epoch == 4
    assert sorted(np.concatenate(steps)) == list(range(40))


def test_negatives_are_the_hardest_labels_before_chance() -> None:
    clicks = sp.csr_matrix((np.ones(4, np.float32), (np.arange(4), np.arange(4))), shape=(4, 1000))
    batches = Batches(clicks, replace(QUICK, negatives_per_batch=20))
    for batch in batches.epoch(1, np.tile(np.arange(500, 510, dtype=np.int32), (4, 1))):
        assert set(range(500, 510)) <= set(batch.labels_S.tolist())
    for batch in batches.epoch(1, np.tile(np.arange(500, 600, dtype=np.int32), (4, 1))):
        assert set(batch.labels_S.tolist()) - set(range(500, 600)) == set(batch.points_B.tolist())


def test_hard_negatives_are_those_the_model_scores_highest() -> None:
    shop = shop_of_groups(groups=3)
    config = replace(QUICK, hard_negatives=4)
    texts = training_of(shop, config).texts
    model = stages.fresh_model(texts, config, CPU).eval()
    run = StageRun(model, TrainingData(shop.clicks.weights_NL, texts), Stage("train", 2, 0.01, 5))
    assert run._hardest(1) is None
    scores = encoded_by(model, texts.points_NV) @ classifiers_of(model, texts).T
    for point in (7, 20):
        hardest = run._hardest(2)[point]
        assert np.allclose(np.sort(scores[point, hardest]), np.sort(scores[point])[-4:])
        assert len(hardest) == 4
    labels, _ = answers(learn(shop, replace(config, epochs=20)))
    assert (shop.group_of_P[labels] == shop.group_of_P[:, None]).mean() > 0.9


class Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [replace(QUICK, epochs=12, validation_share=0.2, patience=12), replace(PAPER, epochs=2, surrogate_epochs=3)],
)
@pytest.mark.parametrize("after_steps", [1, 9, 23, 40])
def test_a_training_that_was_killed_goes_on_to_the_same_model(tmp_path, monkeypatch, config, after_steps) -> None:
    shop = shop_of_groups(groups=4)
    whole = learn(shop, config)
    step, steps = StageRun._step, iter(range(10_000))

    def dying(self, inputs):
        if next(steps) == after_steps:
            raise Killed
        return step(self, inputs)

    with monkeypatch.context() as patched:
        patched.setattr(StageRun, "_step", dying)
        with pytest.raises(Killed):
            learn(shop, config, checkpoints=tmp_path, checkpoint_minutes=0)
    again = training_of(shop, config, checkpoints=tmp_path)
    assert same_weights(again.ensemble(config), whole)
    assert [epoch.epoch for epoch in again.history][:2] == [1, 2]


def test_of_epochs_shorter_than_the_minutes_the_last_alone_is_written(tmp_path, monkeypatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(Checkpoint, "write", lambda _, state: written.append(len(state.epochs)))
    for minutes in (5, 0):
        written.clear()
        learn(shop_of_groups(groups=2), QUICK, checkpoints=tmp_path, checkpoint_minutes=minutes)
        assert written == [4] if minutes else written[0] == 1 and written[-1] == 4


def test_a_checkpoint_of_other_clicks_is_passed_over(tmp_path) -> None:
    learn(shop_of_groups(groups=3, seed=1), QUICK, checkpoints=tmp_path)
    shop = shop_of_groups(groups=3, seed=2)
    assert same_weights(learn(shop, QUICK, checkpoints=tmp_path), learn(shop, QUICK))


def test_training_stops_when_validation_points_get_no_better_and_keeps_the_best() -> None:
    shop = shop_of_groups()
    config = replace(QUICK, epochs=60, validation_share=0.25, patience=2)
    training = training_of(shop, config)
    (member,) = training.ensemble(config).members
    values = [epoch.validation for epoch in training.history]
    assert len(values) < 60 and len(values) - 1 - values.index(max(values)) == 2
    data = stages.training_data_of(training, config)
    run = StageRun(member.classifier.model, data, Stage("train", 1, 0.01, 5))
    assert run._judge() == pytest.approx(max(values))
    judged, learnt = data.validation[1].shape[0], data.texts.points_NV.shape[0] - 96  # the label points
    assert (judged, learnt) == (24, 72)


def test_members_of_an_ensemble_vote_with_their_mean_score() -> None:
    shop = shop_of_groups(groups=3)
    ensemble = learn(shop, replace(QUICK, ensemble=2))
    texts = ensemble.texts
    single = [training_of(shop, QUICK).ensemble(replace(QUICK, seed=seed)) for seed in (0, 1)]
    slowly = np.mean([each.encode(texts.labels_LV) @ each.classifiers_LD.T for each in single], axis=0)
    assert np.allclose(ensemble.encode(texts.labels_LV) @ ensemble.classifiers_LD.T, slowly, atol=1e-4)
