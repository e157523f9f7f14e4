"""Adam for tables of which a step sees few rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from eclare.arrays.csr import Floats
from eclare.arrays.kernels import numba


class RowAdam(torch.optim.SparseAdam):
    """torch's SparseAdam (Kingma, Ba, ICLR 2015, moments of seen rows alone) without its sparse tensors.

    torch makes about ten of them a step, which took longer than the rest of a step on a CPU. There all is one pass over
    the seen rows; on a GPU a dozen operations.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every row that has a gradient; others stay as they are, their moments too."""
        if closure is not None:
            raise ValueError("RowAdam makes its step from gradients that are there: closure must be None")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return None

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        state["step"] += 1
        (first, second), steps = group["betas"], state["step"]
        step_size = group["lr"] * (1 - second**steps) ** 0.5 / (1 - first**steps)
        rates = _Rates(*(np.float32(rate) for rate in (step_size, 1 - first, 1 - second, group["eps"])))
        gradient = parameter.grad.coalesce()  # type: ignore[union-attr]
        table = Table(parameter, state["exp_avg"], state["exp_avg_sq"])
        rows = RowGradient(gradient.indices()[0], gradient.values())
        (update_in_one_pass if parameter.device.type == "cpu" else update_by_torch)(table, rows, rates)


class Table(NamedTuple):
    """Weights, and the means of their gradients so far and of the squares, all of one shape."""

    weights: Tensor
    mean: Tensor
    square: Tensor


class RowGradient(NamedTuple):
    """The gradient of the U rows that a step sees, each once; of all others it is 0. Arrays or tensors."""

    rows_U: Any
    values_UD: Any


class _Rates(NamedTuple):
    step_size: np.float32
    of_mean: np.float32  # 1 - beta1
    of_square: np.float32  # 1 - beta2
    epsilon: np.float32


def update_in_one_pass(table: Table, gradient: RowGradient, rates: _Rates) -> None:
    """Of tables on a CPU."""
    _update_rows(*(each.numpy() for each in table), RowGradient(*(each.numpy() for each in gradient)), rates)


def update_by_torch(table: Table, gradient: RowGradient, rates: _Rates) -> None:
    """The same, wherever the tables are."""
    step_size, of_mean, of_square, epsilon = map(float, rates)
    rows_U, g_UD = gradient
    mean_UD = table.mean[rows_U].lerp_(g_UD, of_mean)
    square_UD = table.square[rows_U].lerp_(g_UD.square(), of_square)
    table.mean.index_copy_(0, rows_U, mean_UD)
    table.square.index_copy_(0, rows_U, square_UD)
    moved_UD = mean_UD.div_(square_UD.sqrt_().add_(epsilon))
    table.weights.index_add_(0, rows_U, moved_UD, alpha=-step_size)


@numba.njit(parallel=True, cache=True)
def _update_rows(weights: Floats, mean: Floats, square: Floats, gradient: RowGradient, rates: _Rates) -> None:
    """mean, square: of the gradients so far, in the shape of the weights.

    They are no named tuple: numba's parallel loops lose what is written to its fields.
    """
    for place in numba.prange(len(gradient.rows_U)):
        row = gradient.rows_U[place]
        for d in range(gradient.values_UD.shape[1]):
            g = gradient.values_UD[place, d]
            mean[row, d] += rates.of_mean * (g - mean[row, d])
            square[row, d] += rates.of_square * (g * g - square[row, d])
            weights[row, d] -= rates.step_size * mean[row, d] / (np.sqrt(square[row, d]) + rates.epsilon)
