"""Adam for tables of which a step sees few rows."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]


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
        pace = group["lr"] * (1 - second**steps) ** 0.5 / (1 - first**steps)
        gradient = parameter.grad.coalesce()  # type: ignore[union-attr]
        tables = (parameter.numpy(), state["exp_avg"].numpy(), state["exp_avg_sq"].numpy())
        rates = tuple(np.float32(rate) for rate in (pace, 1 - first, 1 - second, group["eps"]))
        _update_rows(tables, gradient.indices()[0].numpy(), gradient.values().numpy(), rates)


@numba.njit(parallel=True, cache=True)
def _update_rows(
    tables: tuple[Floats, Floats, Floats],
    rows_U: npt.NDArray[np.int64],
    gradient_UD: Floats,
    rates: tuple[np.float32, np.float32, np.float32, np.float32],
) -> None:
    """tables: weights, both moments. rates: of learning, of change of both moments; what keeps from dividing by 0."""
    weights, mean, square = tables
    pace, first, second, least = rates
    for place in numba.prange(len(rows_U)):
        row = rows_U[place]
        for d in range(gradient_UD.shape[1]):
            slope = gradient_UD[place, d]
            mean[row, d] += first * (slope - mean[row, d])
            square[row, d] += second * (slope * slope - square[row, d])
            weights[row, d] -= pace * mean[row, d] / (np.sqrt(square[row, d]) + least)
