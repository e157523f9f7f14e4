import numpy as np
import pytest

from eclare.evaluation.jackknife import Jackknife

RANDOM = np.random.default_rng(0)


def of_groups(sum_G: np.ndarray) -> tuple[float, list[float]]:
    """A mean over groups of one size, and without each of them."""
    return sum_G.mean(), [np.delete(sum_G, group).mean() for group in range(len(sum_G))]


def test_the_error_of_a_mean_is_the_textbooks() -> None:
    from scipy.stats import t  # 0.7 s of a core, in no process that does not run this

    sum_G = RANDOM.random(32)
    mean, without = of_groups(sum_G)
    found = Jackknife({"P": mean}, [{"P": each} for each in without]).estimate("P")
    error = sum_G.std(ddof=1) / np.sqrt(32)
    assert found == pytest.approx((mean, mean - t.ppf(0.975, 31) * error, mean + t.ppf(0.975, 31) * error))


def test_what_moves_all_figures_without_a_group_alike_is_no_chance() -> None:
    mean, without = of_groups(RANDOM.random(16))
    plain, moved = (Jackknife({"P": mean}, [{"P": each - by} for each in without]).estimate("P") for by in (0, 0.1))
    assert moved == pytest.approx(plain)


def test_ratios_are_paired() -> None:
    """What moves both alike moves the ratio not at all."""
    without = [{"theirs": each, "ours": 1.2 * each, "alone": each**2} for each in RANDOM.uniform(0.4, 0.6, 16)]
    jackknife = Jackknife({"theirs": 0.5, "ours": 0.6, "alone": 0.25}, without)
    assert jackknife.ratio("ours", "theirs") == pytest.approx((1.2, 1.2, 1.2))
    apart = jackknife.ratio("alone", "theirs")
    assert apart.low < 0.45 and apart.high > 0.55


def test_shares_stay_between_0_and_1_and_a_figure_that_hangs_on_one_group_has_no_narrow_interval() -> None:
    jackknife = Jackknife({"P": 0.5, "tail": 0.9}, [{"P": 0.5}, {"P": 0.5, "tail": 0.9}, {"P": 0.5, "tail": 0.9}])
    assert jackknife.estimate("P") == (0.5, 0.5, 0.5)
    assert jackknife.estimate("tail") == (0.9, 0, 1)


def test_beside_a_rival_without_a_hit_the_ratio_is_one() -> None:
    jackknife = Jackknife({"ours": 0.0, "theirs": 0.0, "some": 0.5}, [{"ours": 0, "theirs": 0, "some": 0.5}] * 3)
    assert jackknife.ratio("ours", "theirs") == (1, 1, 1)
    assert jackknife.ratio("some", "theirs") == (1, 1, 1)
    assert jackknife.ratio("theirs", "some") == (0, 0, 0)


def test_one_group_is_no_jackknife() -> None:
    with pytest.raises(ValueError, match="2 groups of sessions or more, got 1"):
        Jackknife({"P": 0.5}, [{"P": 0.4}])
