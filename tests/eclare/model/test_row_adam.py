from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eclare.model import row_adam
from eclare.model.row_adam import RowAdam, update_by_torch, update_in_one_pass
from eclare.model.uncompiled import Adam

ROWS, DIM = 6, 3


@pytest.mark.parametrize("update", [update_in_one_pass, update_by_torch])  # of a CPU, and of a GPU
@given(seen_at_each_step=st.lists(arrays(np.int64, st.integers(0, 8), elements=st.integers(0, ROWS - 1)), max_size=4))
def test_rows_move_as_torch_moves_them_and_remember_the_same(update, seen_at_each_step) -> None:
    with patch.object(row_adam, "update_in_one_pass", update):
        ours, torchs = (moved(optimiser, seen_at_each_step) for optimiser in (RowAdam, torch.optim.SparseAdam))
    assert torch.allclose(ours[0].weight, torchs[0].weight, atol=1e-6)
    states = [optimiser.state_dict()["state"] for _, optimiser in (ours, torchs)]
    assert states[0].keys() == states[1].keys()
    for number in states[0]:
        assert states[0][number]["step"] == states[1][number]["step"]
        for moment in ("exp_avg", "exp_avg_sq"):
            assert torch.allclose(states[0][number][moment], states[1][number][moment], atol=1e-6)


def test_rows_that_a_step_does_not_see_stay_as_they_are() -> None:
    before = moved(RowAdam, [])[0].weight
    after = moved(RowAdam, [np.array([1, 4]), np.array([4])])[0].weight
    assert (before == after).all(dim=1).tolist() == [True, False, True, True, False, True]


def moved(optimiser: type, seen_at_each_step: list) -> tuple:
    torch.manual_seed(0)
    table = torch.nn.Embedding(ROWS, DIM, sparse=True)
    made = optimiser([table.weight], lr=0.1)
    for seen in seen_at_each_step:
        made.zero_grad(set_to_none=True)
        (table(torch.from_numpy(seen)) * torch.randn(len(seen), DIM)).sum().backward()
        made.step()
    return table, made


def test_adam_without_the_compiler_makes_torch_s_own_steps() -> None:
    made = []
    for kind in (torch.optim.Adam, Adam):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        optimiser = kind(layer.parameters(), lr=0.1, weight_decay=0.01)
        for _ in range(5):
            optimiser.zero_grad()
            layer(torch.ones(4, 3)).square().sum().backward()
            optimiser.step()
        made.append([parameter.detach().tolist() for parameter in layer.parameters()])
        assert all(parameter.requires_grad for parameter in layer.parameters())
    assert made[0] == made[1]
