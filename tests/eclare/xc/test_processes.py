"""`eclare fit` in two processes on one machine, as torchrun starts them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from eclare.xc.recommender import Recommender
from tests.command_line import Ended, in_a_process, in_this_process
from tests.made_shops import shop_of_groups


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    shop = shop_of_groups()
    clicks = shop.clicks.weights_NL
    for part, clicked in (("trn", True), ("lbl", False)):
        with gzip.open(folder / f"{part}.json.gz", "wt") as file:
            for row, title in enumerate(shop.titles):
                line = {"uid": str(row), "title": title}
                if clicked:
                    line["target_ind"] = clicks[row].indices.tolist()
                file.write(json.dumps(line) + "\n")
    options = {"embedding_dim": 32, "epochs": 20, "batch_size": 32, "negatives_per_batch": 32, "learning_rate": 0.01}
    (folder / "options.json").write_text(json.dumps(options))
    return folder


def fit(run: Callable[..., Ended], data: Path, model: Path, *launcher: str) -> Recommender:
    words = ["eclare", "fit", "--data", data, "--model", model, "--config", data / "options.json", "--device", "cpu"]
    ended = run(*launcher, *map(str, words))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("written to") == 1, "the first process alone writes"
    return Recommender.load(model, "cpu")


def share_of_own_group(recommender: Recommender) -> float:
    shop = shop_of_groups()
    labels, _ = recommender.predict(shop.titles, 5)
    return float((shop.group_of_P[labels] == shop.group_of_P[:, None]).mean())


@pytest.mark.slow
def test_two_processes_learn_as_well_as_one(data, tmp_path) -> None:
    together = fit(in_a_process, data, tmp_path / "two", "torch.distributed.run", "--nproc-per-node", "2", "-m")
    alone = fit(in_this_process, data, tmp_path / "one")
    assert share_of_own_group(together) > 0.95
    assert share_of_own_group(together) == pytest.approx(share_of_own_group(alone), abs=0.03)
    losses = [[epoch.loss for epoch in each.history] for each in (together, alone)]
    assert losses[0][-1] == pytest.approx(losses[1][-1], rel=0.25)
    assert (tmp_path / "two/losses.png").exists() and not (tmp_path / "two.checkpoints").exists()
