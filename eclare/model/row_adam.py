"""Adam for tables of which a step sees few rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import torch

from eclare.arrays.csr import Floats


class RowAdam(torch.optim.SparseAdam):
    """torch's SparseAdam (Kingma, Ba, ICLR 2015, moments of seen rows alone), on a CPU in one pass over those rows.

    torch makes about ten sparse tensors a step, which took longer than the rest of a step.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every row that has a gradient; others stay as they are, their moments too."""
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        if closure is not None or any(parameter.device.type != "cpu" for parameter in parameters):
            return super().step(closure)  # type: ignore[no-untyped-call]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return None

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state |= {"step": 0, "exp_avg": torch.zeros_like(parameter), "exp_avg_sq": torch.zeros_like(parameter)}
        state["step"] += 1
        (first, second), steps = group["betas"], state["step"]
        step_size = group["lr"] * (1 - second**steps) ** 0.5 / (1 - first**steps)
        gradient = parameter.grad.coalesce()  # type: ignore[union-attr]
        tables = _Tables(parameter.numpy(), state["exp_avg"].numpy(), state["exp_avg_sq"].numpy())
        rates = _Rates(*(np.float32(rate) for rate in (step_size, 1 - first, 1 - second, group["eps"])))
        _update_rows(tables, gradient.indices()[0].numpy(), gradient.values().numpy(), rates)


class _Tables(NamedTuple):
    """Rows x D each."""

    weights: Floats
    mean: Floats  # of gradients, the first moment
    square: Floats  # mean of squared gradients, the second moment


class _Rates(NamedTuple):
    step_size: np.float32
    of_mean: np.float32  # 1 - beta1
    of_square: np.float32  # 1 - beta2
    epsilon: np.float32


@numba.njit(parallel=True, cache=True)
def _update_rows(tables: _Tables, rows_U: npt.NDArray[np.int64], gradient_UD: Floats, rates: _Rates) -> None:
    for place in numba.prange(len(rows_U)):
        _update_row(tables, rows_U[place], gradient_UD[place], rates)


@numba.njit(cache=True)
def _update_row(tables: _Tables, row: np.int64, gradient_D: Floats, rates: _Rates) -> None:
    """A function of its own: numba's parallel loops lose what is written to the fields of a tuple."""
    weights_D, mean_D, square_D = tables.weights[row], tables.mean[row], tables.square[row]
    for d in range(len(gradient_D)):
        gradient = gradient_D[d]
        mean_D[d] += rates.of_mean * (gradient - mean_D[d])
        square_D[d] += rates.of_square * (gradient * gradient - square_D[d])
        weights_D[d] -= rates.step_size * mean_D[d] / (np.sqrt(square_D[d]) + rates.epsilon)
