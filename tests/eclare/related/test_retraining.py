import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from eclare.model import stages
from eclare.related import retraining
from eclare.related.backtest import cutoffs
from eclare.related.retraining import Retrained
from tests.eclare.related.trained_shops import CONFIG, retrained
from tests.made_shops import sessions_of_groups

SHOP = sessions_of_groups(groups=6, products_per_group=8, days=60)
QUICK = replace(CONFIG, embedding_dim=8, epochs=10)


def weights(made: Retrained) -> dict[str, torch.Tensor]:
    return made.ensemble.members[0].classifier.model.state_dict()


def starts_and_epochs(monkeypatch: pytest.MonkeyPatch, config=QUICK) -> list[tuple[bool, int]]:
    """Of every training, in order: whether it went on from an earlier model, and its epochs."""
    seen = []

    def recorded(training, config):
        seen.append((bool(training.starts), config.epochs))
        return ensemble(training, config)

    ensemble = stages.Training.ensemble
    monkeypatch.setattr(stages.Training, "ensemble", recorded)
    retrained(SHOP.cooccurrence, SHOP.titles, config=config)
    return seen


def test_the_earliest_cut_off_starts_from_scratch_and_each_later_one_from_the_model_before(monkeypatch, caplog) -> None:
    later = len(list(cutoffs(SHOP.cooccurrence, "basket", 0))) - 1
    assert later >= 2
    with caplog.at_level(logging.INFO, "eclare"):
        assert starts_and_epochs(monkeypatch) == [(False, 5), *[(True, 2)] * later, (True, 3)]
    said = [record.getMessage().partition(":")[0] for record in caplog.records if ", epoch 1 of" in record.getMessage()]
    nights = [f"past night {number} of {later + 1}" for number in range(1, later + 2)]
    epochs = dict.fromkeys(nights, 2) | {nights[0]: 5, "the night": 3}
    assert said == [f"{night}, train 0, epoch 1 of {of}" for night, of in epochs.items()]


def test_a_log_without_a_cut_off_is_learnt_from_scratch_in_all_epochs(monkeypatch) -> None:
    monkeypatch.setattr(retraining, "cutoffs", lambda *_: [])
    assert starts_and_epochs(monkeypatch) == [(False, 10)]


def test_the_papers_stages_start_from_scratch_each_time(monkeypatch) -> None:
    config = replace(QUICK, shortlister="clusters", surrogate_epochs=1, epochs=2, beam=2)
    seen = starts_and_epochs(monkeypatch, config)
    assert seen[-1] == (False, 2) and set(seen[:-1]) == {(False, 1)}


def test_the_same_log_gives_the_same_examples_and_the_same_model() -> None:
    made = retrained(SHOP.cooccurrence, SHOP.titles, config=QUICK)
    again = retrained(SHOP.cooccurrence, SHOP.titles, config=QUICK)
    assert len(made.examples) == len(again.examples)
    for one, other in zip(made.examples, again.examples, strict=True):
        assert np.array_equal(one.features_QCF, other.features_QCF)
    first, second = weights(made), weights(again)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("at", [1, 3])
def test_a_killed_night_goes_on_to_the_same_models(tmp_path, monkeypatch, at) -> None:
    whole = retrained(SHOP.cooccurrence, SHOP.titles, config=QUICK)
    calls, examples_at = [], retraining.examples_at

    def killed(*arguments):
        calls.append(arguments)
        if len(calls) == at:
            raise KeyboardInterrupt
        return examples_at(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(retraining, "examples_at", killed)
        with pytest.raises(KeyboardInterrupt):
            retrained(SHOP.cooccurrence, SHOP.titles, config=QUICK, checkpoints=tmp_path)
    resumed = retrained(SHOP.cooccurrence, SHOP.titles, config=QUICK, checkpoints=tmp_path)
    expected, found = weights(whole), weights(resumed)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
