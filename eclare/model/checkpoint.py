"""Where training stands after an epoch, so that a run that was killed goes on and ends with the same model."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

Tensors = dict[str, Tensor]


class Epoch(NamedTuple):
    """One epoch of a stage: its mean training loss, and nDCG@5 on the validation points where there are some."""

    stage: str
    epoch: int
    loss: float
    validation: float | None


@dataclass
class Progress:
    """What a stage has done: its epochs, and the weights of the best of them where validation points choose."""

    epochs: list[Epoch] = field(default_factory=list)
    best: Tensors = field(default_factory=dict)

    def epochs_without_better(self) -> int:
        """Epochs since the best one; 0 without validation."""
        values = [epoch.validation for epoch in self.epochs if epoch.validation is not None]
        return len(values) - 1 - values.index(max(values)) if values else 0


class Checkpoint(NamedTuple):
    """A file that belongs to one training: `fingerprint` tells the config and the data that it was made from."""

    file: Path
    fingerprint: str

    def write(self, model: torch.nn.Module, optimisers: list[torch.optim.Optimizer], progress: Progress) -> None:
        """Replace the file at once: a kill leaves the old one or the new one."""
        tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
        tensors |= {f"best.{name}": value.contiguous() for name, value in progress.best.items()}
        for number, optimiser in enumerate(optimisers):
            for parameter, state in optimiser.state_dict()["state"].items():
                tensors |= {
                    f"optimiser.{number}.{parameter}.{name}": torch.as_tensor(value) for name, value in state.items()
                }
        epochs = json.dumps(progress.epochs)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        staging = self.file.with_suffix(".writing")
        staging.write_bytes(save(tensors, {"fingerprint": self.fingerprint, "epochs": epochs}))
        staging.replace(self.file)

    def read(self, model: torch.nn.Module, optimisers: list[torch.optim.Optimizer]) -> Progress:
        """Set model and optimisers back to the last epoch written; a file of another training is passed over."""
        if not self.file.exists():
            return Progress()
        with safe_open(self.file, framework="pt") as file:
            metadata = file.metadata()
            if metadata["fingerprint"] != self.fingerprint:
                return Progress()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        model.load_state_dict(_under("model.", tensors))
        for number, optimiser in enumerate(optimisers):
            states: dict[int, dict[str, Tensor | int]] = {}
            for name, value in _under(f"optimiser.{number}.", tensors).items():
                parameter, key = name.split(".")
                # SparseAdam counts its steps in a plain integer and rounds differently with a tensor.
                states.setdefault(int(parameter), {})[key] = value if value.is_floating_point() else int(value)
            optimiser.load_state_dict(optimiser.state_dict() | {"state": states})
        return Progress([Epoch(*epoch) for epoch in json.loads(metadata["epochs"])], _under("best.", tensors))


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
