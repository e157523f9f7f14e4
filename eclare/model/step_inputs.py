"""What a step computes with, as tensors: made from a batch on the CPU, then moved to the device of the model."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from eclare.arrays.csr import rows_of
from eclare.model.batches import Batch, LongRows
from eclare.model.data import Texts
from eclare.model.network import Bags, LabelRows, distinct

T = TypeVar("T")


class Scattered(NamedTuple):
    """A matrix by its entries: a GPU gets these, not the many zeros between them."""

    place_E: Tensor  # int64, row * columns + column, none twice
    value_E: Tensor
    shape: torch.Size

    @classmethod
    def of(cls, matrix: sp.csr_matrix) -> "Scattered":
        """The entries of a CSR matrix without duplicates."""
        place_E = rows_of(matrix).astype(np.int64) * matrix.shape[1] + matrix.indices
        return cls(torch.from_numpy(place_E), torch.from_numpy(matrix.data), torch.Size(matrix.shape))

    def dense(self) -> Tensor:
        """The whole matrix, on the device of its entries."""
        flat = self.value_E.new_zeros(self.shape.numel())
        flat[self.place_E] = self.value_E
        return flat.view(self.shape)


class LabelInputs(NamedTuple):
    """S labels, and the titles of the U labels that their classifiers need: their own and their neighbours'."""

    rows: LabelRows
    texts: Bags

    @classmethod
    def of(cls, texts: Texts, labels_S: LongRows) -> "LabelInputs":
        """labels_S: rows of the label graph, each among its own neighbours."""
        edges = texts.edges_LL[labels_S]
        labels_U, place_E = distinct(edges.indices, edges.shape[1])
        edges = sp.csr_matrix((edges.data, place_E, edges.indptr), shape=(len(labels_S), len(labels_U)))
        own_S = np.searchsorted(labels_U, labels_S)
        rows = LabelRows(torch.from_numpy(labels_S), torch.from_numpy(own_S), Bags.of(edges, torch.device("cpu")))
        return cls(rows, Bags.of_used(texts.labels_LV[labels_U]))


class StepInputs(NamedTuple):
    """One step: titles of B points, S labels, the clicks between them, and which of those are scored.

    labels: None where they are the same in each step, all of them; scored: None where all are.
    """

    points: Bags
    labels: LabelInputs | None
    clicked: Scattered
    scored: Scattered | None
    share: float

    @classmethod
    def of(cls, texts: Texts, batch: Batch, *, every_label: bool) -> "StepInputs":
        """On the CPU."""
        return cls(
            Bags.of_used(texts.points_NV[batch.points_B]),
            None if every_label else LabelInputs.of(texts, batch.labels_S),
            Scattered.of(batch.weights_BS),
            None if batch.scored_BS is None else Scattered.of(batch.scored_BS),
            batch.share,
        )


def pinned(inputs: T, device: torch.device) -> T:
    """The same in memory that a GPU copies from while it computes."""
    with torch.cuda.device(device):  # a thread starts on the first of them
        return _with_tensors(inputs, Tensor.pin_memory)


def moved(inputs: T, device: torch.device) -> T:
    """The same on a device, without waiting for what is pinned."""
    return _with_tensors(inputs, lambda tensor: tensor.to(device, non_blocking=True))


def _with_tensors(value: T, change: Callable[[Tensor], Tensor]) -> T:
    """Named tuples of tensors, changed at every depth."""
    if isinstance(value, Tensor):
        return change(value)  # type: ignore[return-value]
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(_with_tensors(each, change) for each in value)
    return value
