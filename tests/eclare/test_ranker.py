from itertools import permutations

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from eclare.ranker import Examples, Ranker, fit_ranker

NAMES = ("one", "two", "three")


def examples() -> Examples:
    """The relevant candidate is that with the largest second feature."""
    features = np.random.default_rng(0).normal(size=(300, 6, 3)).astype(np.float32)
    relevance = (features[..., 1] == features[..., 1].max(axis=1, keepdims=True)).astype(np.float32)
    return Examples(features, relevance, np.ones_like(relevance, bool))


def test_a_ranker_learns_which_feature_tells(tmp_path) -> None:
    made = examples()
    learnt = Examples(made.features_QCF[:200], made.relevance_QC[:200], made.mask_QC[:200])
    ranker = fit_ranker([learnt], NAMES, seed=0, steps=200, queries_per_step=32)
    best = ranker.scores(made.features_QCF[200:]).argmax(axis=1)
    assert (best == made.relevance_QC[200:].argmax(axis=1)).mean() > 0.9
    ranker.save(tmp_path / "ranker.safetensors")
    loaded = Ranker.load(tmp_path / "ranker.safetensors", NAMES)
    assert np.array_equal(loaded.scores(made.features_QCF), ranker.scores(made.features_QCF))


def test_places_without_a_candidate_and_queries_without_a_relevant_one_teach_nothing() -> None:
    made = examples()
    few = Examples(made.features_QCF[:20], made.relevance_QC[:20], made.mask_QC[:20])
    irrelevant = Examples(made.features_QCF[20:40] * 9, np.zeros((20, 6), np.float32), made.mask_QC[20:40])
    padded = few.padded(9)
    assert padded.relevance_QC.shape == (20, 9) and not padded.mask_QC[:, 6:].any()
    padded.features_QCF[:, 6:] = 1e6
    alone = fit_ranker([few], NAMES, seed=0, steps=20, queries_per_step=8)
    beside = fit_ranker([irrelevant, padded], NAMES, seed=0, steps=20, queries_per_step=8)
    assert beside.scores(made.features_QCF) == pytest.approx(alone.scores(made.features_QCF), abs=1e-4)


@pytest.mark.parametrize("nothing", [[], [Examples(*(np.zeros((2, 3, 3)), np.zeros((2, 3)), np.ones((2, 3), bool)))]])
def test_without_a_relevant_candidate_there_is_nothing_to_learn(nothing) -> None:
    with pytest.raises(ValueError, match="queries with a relevant candidate, got none"):
        fit_ranker(nothing, NAMES, seed=0, steps=1, queries_per_step=1)


def test_fixed_weights_are_a_weighted_sum_in_the_same_network() -> None:
    ranker = Ranker.linear(NAMES, {"one": 2.0, "three": -0.5}, {"one": 1.0, "two": 7.0})
    features = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(np.float32) * 20
    expected = 2 * (features[..., 0] - 1) - 0.5 * features[..., 2]
    assert ranker.scores(features) == pytest.approx(expected, abs=1e-4)
    parts = ranker.parts(features.reshape(-1, 3), [[0], [1, 2]])
    assert parts[:, 0] == pytest.approx(2 * (features[..., 0] - 1).ravel(), abs=1e-4)
    assert parts[:, 1] == pytest.approx(-0.5 * features[..., 2].ravel(), abs=1e-4)
    assert not parts[:, 2].any()
    assert sum(parameter.count_nonzero() for parameter in ranker.parameters()) == 2 * 2 + 2
    assert [len(parameter) for parameter in ranker.parameters()] == [2, 2, 1, 1]


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_shrunk_ranker_scores_a_share_of_each_and_is_saved(share, tmp_path) -> None:
    made = examples()
    fitted = fit_ranker([made], NAMES, seed=0, steps=20, queries_per_step=32)
    fixed = Ranker.linear(NAMES, {"one": 2.0, "three": -0.5}, {"one": 1.0})
    (shrunk := fitted.shrunk_to(fixed, share)).save(tmp_path / "ranker.safetensors")
    loaded = Ranker.load(tmp_path / "ranker.safetensors", NAMES)
    expected = share * fitted.scores(made.features_QCF) + (1 - share) * fixed.scores(made.features_QCF)
    for ranker in (shrunk, loaded):
        assert ranker.scores(made.features_QCF) == pytest.approx(expected, abs=1e-4)


def test_a_ranker_without_a_feature_scores_as_if_it_had_its_mean() -> None:
    made = examples()
    fitted = fit_ranker([made], NAMES, seed=0, steps=20, queries_per_step=32)
    before = fitted.scores(made.features_QCF)
    for place, name in enumerate(NAMES):
        at_mean = made.features_QCF.copy()
        at_mean[..., place] = fitted.mean[place]
        without = fitted.without([name])
        assert np.array_equal(without.scores(made.features_QCF), without.scores(at_mean))
        assert without.scores(made.features_QCF) == pytest.approx(fitted.scores(at_mean), abs=1e-5)
    assert np.array_equal(fitted.scores(made.features_QCF), before), "the ranker itself stays as it is"
    fixed = Ranker.linear(NAMES, {"one": 2.0, "three": -0.5}, {"one": 1.0})
    assert fixed.without(["three"]).scores(made.features_QCF) == pytest.approx(
        2 * (made.features_QCF[..., 0] - 1), abs=1e-4
    )
    with pytest.raises(ValueError, match="must be of one, two, three; got four"):
        fixed.without(["four"])


def test_fixed_weights_are_of_features_that_there_are() -> None:
    with pytest.raises(ValueError, match="must be of one, two, three; got four"):
        Ranker.linear(NAMES, {"four": 1.0}, {})


def test_a_ranker_of_other_features_is_refused(tmp_path) -> None:
    file = tmp_path / "ranker.safetensors"
    Ranker.linear(NAMES, {}, {}).save(file)
    with pytest.raises(ValueError, match="by the features one, three, two; it was made for one, two, three"):
        Ranker.load(file, ("one", "three", "two"))
    save_file({"mean": np.zeros(3, np.float32)}, file)
    with pytest.raises(ValueError, match="made for features without a name: train again"):
        Ranker.load(file, NAMES)


def test_what_a_group_of_features_adds_is_its_mean_worth_over_all_orders() -> None:
    random = np.random.default_rng(0)
    torch.manual_seed(1)
    mean, deviation = torch.randn(6), torch.rand(6) + 0.5
    groups = [[0, 3], [1], [2, 5], [4]]
    ranker, features = Ranker("abcdef", mean, deviation), random.normal(size=(5, 6)).astype(np.float32) * 4
    found = ranker.parts(features, groups)
    slowly = np.zeros((5, 4))
    for order in (orders := list(permutations(range(4)))):
        known = np.tile(mean.numpy(), (5, 1))
        for group in order:
            before = ranker.scores(known)
            known[:, groups[group]] = features[:, groups[group]]
            slowly[:, group] += (ranker.scores(known) - before) / len(orders)
    assert found[:, :-1] == pytest.approx(slowly, abs=1e-4)
    assert found[:, -1] == pytest.approx(np.full(5, ranker.scores(mean.numpy())), abs=1e-5)
