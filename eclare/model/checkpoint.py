"""Where training stands after an epoch, so that a run that was killed goes on and ends with the same model."""

import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import torch
from torch import Tensor

from eclare.model import distributed
from eclare.model.sharded_table import ShardedEmbedding

Tensors = dict[str, Tensor]
CPU = torch.device("cpu")
MINUTES = 5.0  # of training that a kill may cost, beside the epoch under way
IN_PARTS = (  # tensors with a row a label, of which each process has its own where the table is sharded
    "model.refinement.weight", "best.refinement.weight", "optimiser.0.0.exp_avg", "optimiser.0.0.exp_avg_sq",
)  # fmt: skip


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


class State(NamedTuple):
    """Where a stage stood at the end of an epoch: a copy on the CPU, which training does not change."""

    tensors: Tensors
    epochs: list[Epoch]

    @classmethod
    def of(
        cls,
        model: torch.nn.Module,
        optimisers: list[torch.optim.Optimizer],
        progress: Progress,
        table: ShardedEmbedding | None = None,
    ) -> "State":
        """As it is now. table: the label table, where it is in parts, which the first process alone gets whole."""
        values = {f"model.{name}": value for name, value in model.state_dict().items()}
        values |= {f"best.{name}": value for name, value in progress.best.items()}
        for number, optimiser in enumerate(optimisers):
            for parameter, state in optimiser.state_dict()["state"].items():
                values |= {f"optimiser.{number}.{parameter}.{name}": value for name, value in state.items()}

        def kept(name: str, value: Tensor | float) -> Tensor:
            if table and name in IN_PARTS:
                return table.joined(torch.as_tensor(value), CPU, is_kept=not distributed.rank())
            if name.startswith("best."):  # nothing changes it
                return torch.as_tensor(value).cpu().contiguous()
            return torch.as_tensor(value).detach().to(CPU, copy=True).contiguous()

        return cls({name: kept(name, value) for name, value in values.items()}, list(progress.epochs))


class Checkpoint(NamedTuple):
    """A file that belongs to one training: `fingerprint` tells the config and the data that it was made from.

    minutes: that pass at least between two that are written, but for the end of a stage.
    """

    file: Path
    fingerprint: str
    minutes: float = MINUTES

    def write(self, state: State) -> None:
        """Replace the file at once: a kill leaves the old one or the new one."""
        from safetensors.torch import save

        metadata = {"fingerprint": self.fingerprint, "epochs": json.dumps(state.epochs)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        staging = self.file.with_suffix(".writing")
        staging.write_bytes(save(state.tensors, metadata))
        staging.replace(self.file)

    def read(
        self, model: torch.nn.Module, optimisers: list[torch.optim.Optimizer], table: ShardedEmbedding | None = None
    ) -> Progress:
        """Set model and optimisers back to the last epoch written; a file of another training is passed over.

        table: the label table, where it is in parts: then this process takes its own.
        """
        from safetensors import safe_open

        if not self.file.exists():
            return Progress()
        with safe_open(self.file, framework="pt") as file:
            metadata = file.metadata()
            if metadata["fingerprint"] != self.fingerprint:
                return Progress()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if table:
            tensors |= {name: table.part_of(tensors[name]) for name in IN_PARTS if name in tensors}
        model.load_state_dict(_under("model.", tensors))
        for number, optimiser in enumerate(optimisers):
            states: dict[int, dict[str, Tensor | int]] = {}
            for name, value in _under(f"optimiser.{number}.", tensors).items():
                parameter, key = name.split(".")
                # RowAdam counts its steps in a plain integer; with a tensor its rates would be rounded differently.
                states.setdefault(int(parameter), {})[key] = value if value.is_floating_point() else int(value)
            optimiser.load_state_dict(optimiser.state_dict() | {"state": states})
        return Progress([Epoch(*epoch) for epoch in json.loads(metadata["epochs"])], _under("best.", tensors))


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


class CheckpointWriter:
    """Writes the checkpoints of a stage while it goes on: one at a time, and where one was written lately, none.

    On leaving, it waits for the one under way. What fails in writing is raised when the next is begun, or at the end.
    checkpoint: None writes nothing. The first of several processes writes; the others, too, must be asked to where the
    label table is in parts, for theirs.
    """

    def __init__(self, checkpoint: Checkpoint | None, table: ShardedEmbedding | None = None) -> None:
        self._checkpoint = checkpoint if table or not distributed.rank() else None
        self._table = table
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._last_at = time.monotonic()
        self._written_epochs = 0

    def __enter__(self) -> "CheckpointWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.shutdown()

    def after_epoch(self, model: torch.nn.Module, optimisers: list[torch.optim.Optimizer], progress: Progress) -> None:
        """Begin to write, where the last one is long enough ago and written; training waits for the copy alone."""
        if self._checkpoint is not None and self._is_due(self._checkpoint):
            self._begin(self._checkpoint, model, optimisers, progress)

    def at_end(self, model: torch.nn.Module, optimisers: list[torch.optim.Optimizer], progress: Progress) -> None:
        """Write the last epoch, where it is not yet, and wait for it."""
        if self._checkpoint is None:
            return
        if len(progress.epochs) > self._written_epochs:
            self._begin(self._checkpoint, model, optimisers, progress)
        if self._writing is not None:
            self._writing.result()

    def _is_due(self, checkpoint: Checkpoint) -> bool:
        free = self._writing is None or self._writing.done()
        due = free and time.monotonic() - self._last_at >= 60 * checkpoint.minutes
        if self._table is None:
            return due
        weight = self._table.weight
        return bool(distributed.told_by(0, torch.tensor([float(due)], device=weight.device), 1))

    def _begin(
        self,
        checkpoint: Checkpoint,
        model: torch.nn.Module,
        optimisers: list[torch.optim.Optimizer],
        progress: Progress,
    ) -> None:
        if self._writing is not None:
            self._writing.result()
        self._last_at, self._written_epochs = time.monotonic(), len(progress.epochs)
        state = State.of(model, optimisers, progress, self._table)
        if not distributed.rank():
            self._writing = self._thread.submit(checkpoint.write, state)
