"""A table of labels in parts: each of several processes that train together holds and learns a range of its rows.

What Adam keeps of a row is twice the row, so a GPU that holds a table may not have the room to train it.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from eclare.model import distributed
from eclare.model.network import ECLARE

log = logging.getLogger(__name__)

MOMENTS = 2  # of Adam, each as large as the table
ROOM = 0.8  # of a GPU's free memory, which moments may fill: the rest is a step's


class ShardedEmbedding(nn.Module):
    """Stands in for an embedding of L rows while W processes train: each has L / W of them, one range after another.

    Whoever asks for rows gets them from where they are, and their gradients, averaged over the processes, go there.
    All processes must ask together. num_embeddings: L; first: the first row that this process holds.
    """

    def __init__(self, whole: nn.Embedding) -> None:
        super().__init__()
        self.num_embeddings = whole.num_embeddings
        part = self._rows_of(distributed.rank())
        self.first = part.start
        self.weight = nn.Parameter(whole.weight.detach()[part].clone())

    def _rows_of(self, rank: int) -> slice:
        most = -(-self.num_embeddings // distributed.world_size())
        return slice(*(min(number * most, self.num_embeddings) for number in (rank, rank + 1)))

    def forward(self, rows_S: Tensor) -> Tensor:
        """Rows of the whole table, S x D; each process may ask for others."""
        rows_SD: Tensor = _Rows.apply(self.weight, rows_S, self.first)  # type: ignore[no-untyped-call]
        return rows_SD

    def joined(self, part: Tensor, device: torch.device, *, is_kept: bool = True) -> Tensor:
        """The parts of all processes below one another, on a device; no rows where this process does not keep them.

        part: of this process, where the table is; there, one part at a time is beside it. All processes must ask.
        """
        kept = self.num_embeddings if is_kept else 0
        whole = torch.empty(kept, *part.shape[1:], dtype=part.dtype, device=device)
        for rank in range(distributed.world_size()):
            rows = self._rows_of(rank)
            told = distributed.told_by(rank, part, rows.stop - rows.start)
            if is_kept:
                whole[rows] = told.to(device)
        return whole

    def part_of(self, whole: Tensor) -> Tensor:
        """The rows of a whole table that this process holds."""
        return whole[self._rows_of(distributed.rank())]


class _Rows(torch.autograd.Function):
    """Any rows of a table in parts; what is asked for and its gradient travel, the table does not."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, rows_S: Tensor, first: int) -> Tensor:
        of_each = distributed.gathered(rows_S)
        place_R = torch.cat(of_each) - first
        is_mine_R = (place_R >= 0) & (place_R < len(part))
        ctx.place, ctx.is_mine_R, ctx.shape = place_R[is_mine_R], is_mine_R, part.shape
        rows_RD = part.new_zeros(len(place_R), part.shape[1])
        rows_RD[is_mine_R] = part[ctx.place]
        begin = sum(map(len, of_each[: distributed.rank()]))
        return distributed.sum_of_all(rows_RD)[begin : begin + len(rows_S)].clone()

    @staticmethod
    def backward(ctx: Any, *gradients_SD: Tensor) -> tuple[Tensor, None, None]:
        gradients_RD = torch.cat(distributed.gathered(gradients_SD[0].contiguous()))
        mean = gradients_RD[ctx.is_mine_R] / distributed.world_size()
        return torch.sparse_coo_tensor(ctx.place[None], mean, ctx.shape, check_invariants=False), None, None


@contextmanager
def in_parts(model: ECLARE, *, wanted: bool) -> Iterator[ShardedEmbedding | None]:
    """The label table in parts, where several processes train and it is wanted or a GPU has no room for its moments.

    On leaving, every process has the whole table. Yields None where it stays whole.
    """
    if distributed.world_size() == 1 or not (wanted or _has_no_room(model.refinement.weight)):
        yield None
        return
    table = ShardedEmbedding(model.refinement)
    if not distributed.rank():
        log.info("%d processes share the label table out, %d rows each", distributed.world_size(), len(table.weight))
    model.refinement = table  # type: ignore[assignment]
    yield table
    weight = table.joined(table.weight.detach(), table.weight.device)
    rows, dim = weight.shape
    model.refinement = nn.Embedding(rows, dim, sparse=True, _weight=weight)


def _has_no_room(weight: Tensor) -> bool:
    """Whether that holds for any of the processes, so that all do the same."""
    lacks = False
    if weight.device.type == "cuda":
        lacks = MOMENTS * weight.nbytes > ROOM * torch.cuda.mem_get_info(weight.device)[0]
    return bool(distributed.mean_of_all(torch.tensor([float(lacks)], device=weight.device)) > 0)
