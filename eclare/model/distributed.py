"""Training in several processes that torchrun started: each takes a part of every step, gradients are averaged."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from datetime import timedelta


@contextmanager
def process_group(device: torch.device, patience: "timedelta | None" = None) -> Iterator[None]:
    """Join the processes that torchrun started (NCCL on GPUs, gloo on CPUs); without torchrun, nothing to join.

    patience: how long one waits for the others before it fails; None: torch's, of 10 to 30 minutes. All leave together.
    """
    if not dist.is_torchelastic_launched():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)  # NCCL, and what names no device, would all use the first
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=patience)
    yield
    # Not after an error: to leave is to wait for the others, which may wait elsewhere for this one.
    mean_of_all(torch.zeros(1, device=device))
    dist.destroy_process_group()


def world_size() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0; the first writes files."""
    return dist.get_rank() if dist.is_initialized() else 0


def choose_device(wanted: str) -> torch.device:
    """ "auto", "cpu" or "cuda"; raises ValueError where a GPU is asked for and torch sees none."""
    found = torch.cuda.is_available()
    if wanted not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {wanted!r}")
    if wanted == "cuda" and not found:
        raise ValueError("device cuda needs a GPU, torch sees none here: use auto or cpu")
    if wanted == "cpu" or not found:
        return device_of_process("cpu")
    torch.set_float32_matmul_precision("highest")  # some images ask for TF32, with 10 bits of a number
    return device_of_process("cuda")


def device_of_process(kind: str) -> torch.device:
    """Each process of a machine has a GPU of its own; without torchrun, the current one."""
    if kind == "cpu" or not dist.is_torchelastic_launched():
        return torch.device(kind)
    return torch.device(kind, dist.get_node_local_rank())


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Every process gets the mean of all processes' gradients, also of sparse ones."""
    if not dist.is_initialized():
        return
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = _mean_sparse(parameter.grad) if parameter.grad.is_sparse else mean_of_all(parameter.grad)


def mean_of_all(values: Tensor) -> Tensor:
    """The mean of what all processes have, in place; alone, what it has."""
    return sum_of_all(values).div_(world_size()) if dist.is_initialized() else values


def sum_of_all(values: Tensor) -> Tensor:
    """The sum of what all processes have, in place; alone, what it has."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def told_by(rank: int, rows: Tensor, count: int) -> Tensor:
    """What one of the processes has, which is so many rows; the others' may be more or fewer."""
    if world_size() == 1:
        return rows
    told = rows.contiguous() if rank == dist.get_rank() else rows.new_empty(count, *rows.shape[1:])
    dist.broadcast(told, rank)
    return told


def gathered(rows: Tensor) -> list[Tensor]:
    """The rows of every process; they may differ in number, a collective's may not."""
    if not dist.is_initialized():
        return [rows]
    count = torch.tensor([len(rows)], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, count)
    longest = int(max(each.item() for each in counts))
    padded = torch.zeros(longest, *rows.shape[1:], dtype=rows.dtype, device=rows.device)
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return [part[: int(each)] for part, each in zip(parts, counts, strict=True)]


def _mean_sparse(gradient: Tensor) -> Tensor:
    gradient = gradient.coalesce()
    rows, values = (torch.cat(gathered(each)) for each in (gradient.indices()[0], gradient.values()))
    return torch.sparse_coo_tensor(rows[None], values / dist.get_world_size(), gradient.shape, check_invariants=False)
