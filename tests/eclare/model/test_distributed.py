"""Two processes on one machine, as torchrun starts them."""

import numpy as np
import pytest
import torch

from eclare.model.batches import Batches
from eclare.model.config import ECLAREConfig
from eclare.model.distributed import choose_device
from tests.made_shops import shop_of_groups


def test_processes_share_every_step_s_points() -> None:
    clicks = shop_of_groups(groups=3).clicks.weights_NL
    config = ECLAREConfig(batch_size=16)
    alone = [batch.points_B for batch in Batches(clicks, config).epoch(1)]
    shared = [list(Batches(clicks, config, process, 3).epoch(1)) for process in range(3)]
    for step, points in enumerate(alone):
        parts = [side[step] for side in shared]
        assert sorted(np.concatenate([part.points_B for part in parts if part.share])) == sorted(points)
        assert sum(part.share for part in parts) == pytest.approx(3)


def test_the_device_is_chosen_by_name_and_a_missing_gpu_is_told() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="device must be auto, cpu or cuda, got 'gpu'"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="torch sees none here: use auto or cpu"):
            choose_device("cuda")
