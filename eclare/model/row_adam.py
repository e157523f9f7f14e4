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
        _update_rows(
            parameter.numpy(),
            state["exp_avg"].numpy(),
            state["exp_avg_sq"].numpy(),
            _RowGradient(gradient.indices()[0].numpy(), gradient.values().numpy()),
            _Rates(*(np.float32(rate) for rate in (step_size, 1 - first, 1 - second, group["eps"]))),
        )


class _RowGradient(NamedTuple):
    """The gradient of the U rows that a step sees; of all others it is 0."""

    rows_U: npt.NDArray[np.int64]
    values_UD: Floats


class _Rates(NamedTuple):
    step_size: np.float32
    of_mean: np.float32  # 1 - beta1
    of_square: np.float32  # 1 - beta2
    epsilon: np.float32


@numba.njit(parallel=True, cache=True)
def _update_rows(weights: Floats, mean: Floats, square: Floats, gradient: _RowGradient, rates: _Rates) -> None:
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
