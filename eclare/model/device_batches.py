"""The same steps as of batches.py and step_inputs.py, drawn and put together where the model is.

A GPU computes a step in less time than a CPU draws one and gathers its titles, so it would wait for its inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from eclare.model.batches import Batches
from eclare.model.data import Texts
from eclare.model.network import Bags, LabelRows
from eclare.model.step_inputs import LabelInputs, Scattered, StepInputs

ROOM = 0.1  # of a GPU's free memory, which clicks, titles and graph may fill: the rest is the optimiser's and a step's
OF_DRAWS = (1,)  # spawn key: dropout has the seed of an epoch itself


class Gathered(NamedTuple):
    """Some rows of a matrix, one behind the other."""

    starts: Tensor  # int64, where each row begins, and the end
    columns: Tensor  # int64
    values: Tensor
    row: Tensor  # int64, of every entry
    width: int

    def bags(self) -> Bags:
        """Over the columns that have an entry, as Bags.of_used."""
        used_U, place_E = _distinct(self.columns, self.width)
        return Bags(place_E, self.starts[:-1], self.values, used_U)


class DeviceCSR(NamedTuple):
    """A CSR matrix on a device."""

    starts: Tensor  # int64
    columns: Tensor  # int32, half of what torch would index with
    values: Tensor
    width: int

    @classmethod
    def of(cls, matrix: sp.csr_matrix, device: torch.device) -> "DeviceCSR":
        """All of it."""
        return cls(
            torch.from_numpy(matrix.indptr).to(device, torch.int64),
            torch.from_numpy(matrix.indices).to(device, torch.int32),
            torch.from_numpy(matrix.data).to(device),
            matrix.shape[1],
        )

    def rows(self, rows_R: Tensor) -> Gathered:
        """Some of its rows, in their order."""
        first_R = self.starts[rows_R]
        length_R = self.starts[rows_R + 1] - first_R
        starts = torch.cat([length_R.new_zeros(1), length_R.cumsum(0)])
        row = torch.repeat_interleave(length_R, output_size=int(starts[-1]))
        entry = torch.arange(len(row), device=row.device) + (first_R - starts[:-1])[row]
        return Gathered(starts, self.columns[entry].long(), self.values[entry], row, self.width)


@dataclass(frozen=True, eq=False)
class DeviceBatches:
    """Epochs of inputs that are drawn as Batches says, by torch; the same seed and device give the same.

    The points of each step are those of Batches. Only for steps whose labels are drawn: not with `every_label`, which
    draws nothing, nor with a shortlist, whose sparse products scipy makes.
    """

    batches: Batches
    clicks_NL: DeviceCSR
    points_NV: DeviceCSR
    labels_LV: DeviceCSR
    edges_LL: DeviceCSR
    drawn_up_to_L: Tensor | None  # float64, as of Batches; None: negatives are drawn from all labels alike

    @classmethod
    def of(cls, batches: Batches, texts: Texts, device: torch.device) -> "DeviceBatches":
        """With clicks, titles and graph copied to the device."""
        clicks, points, labels, edges = (DeviceCSR.of(matrix, device) for matrix in _copied(batches, texts))
        alike = not batches.config.negative_power
        up_to_L = None if alike else torch.from_numpy(batches.drawn_up_to_L).to(device)
        return cls(batches, clicks, points, labels, edges, up_to_L)

    def epoch(self, number: int, hardest_NK: npt.NDArray[np.int32] | None = None) -> Iterator[StepInputs]:
        """Every point of this process once; negatives come first from the hardest labels of its points."""
        random = self.generator(number)
        hardest = None if hardest_NK is None else torch.from_numpy(hardest_NK).to(self.device)
        for points, share in self.batches.parts(number):
            points_B = torch.from_numpy(points).to(self.device)
            clicked = self.clicks_NL.rows(points_B)
            positives = clicked.columns[self.drawn(clicked, random)]
            negatives = self.negatives(None if hardest is None else hardest[points_B], random)
            labels_S = _distinct(torch.cat([positives, negatives]), self.edges_LL.width)[0]
            yield self.inputs(points_B, clicked, labels_S, share)

    @property
    def device(self) -> torch.device:
        """Where all is."""
        return self.clicks_NL.starts.device

    def generator(self, number: int) -> torch.Generator:
        """Of an epoch's draws in this process, as if none had been before."""
        seeds = np.random.SeedSequence([self.batches.config.seed, number, self.batches.rank], spawn_key=OF_DRAWS)
        return torch.Generator(self.device).manual_seed(int(seeds.generate_state(1)[0]))

    def inputs(self, points_B: Tensor, clicked: Gathered, labels_S: Tensor, share: float) -> StepInputs:
        """Of points, their clicks and sorted labels, as StepInputs.of."""
        return StepInputs(
            self.points_NV.rows(points_B).bags(), self._labels(labels_S), _among(clicked, labels_S), None, share
        )

    def _labels(self, labels_S: Tensor) -> LabelInputs:
        """As LabelInputs.of."""
        edges = self.edges_LL.rows(labels_S)
        labels_U, place_E = _distinct(edges.columns, edges.width)
        neighbours = Bags(place_E, edges.starts[:-1], edges.values)
        rows = LabelRows(labels_S, torch.searchsorted(labels_U, labels_S), neighbours)
        return LabelInputs(rows, self.labels_LV.rows(labels_U).bags())

    def drawn(self, clicked: Gathered, random: torch.Generator) -> Tensor:
        """Entries: `positives_per_point` a row at most, by Exponential variates (Efraimidis, Spirakis, 2006)."""
        arrival = torch.empty_like(clicked.values).exponential_(generator=random) / clicked.values
        by_arrival = arrival.argsort()
        order = by_arrival[clicked.row[by_arrival].argsort(stable=True)]  # row by row, the earliest first
        place = torch.arange(len(order), device=order.device) - clicked.starts[clicked.row]
        return order[place < self.batches.config.positives_per_point]

    def negatives(self, hardest_BK: Tensor | None, random: torch.Generator) -> Tensor:
        """`negatives_per_batch` labels, perhaps twice: of the hardest, then of all; where there are no more, all."""
        labels, wanted = self.edges_LL.width, self.batches.config.negatives_per_batch
        if wanted >= labels:
            return torch.arange(labels, device=self.device)
        if hardest_BK is None:
            return self._among_all(wanted, random)
        hardest = _distinct(hardest_BK.flatten().long(), labels)[0]
        if len(hardest) >= wanted:
            return hardest[torch.randperm(len(hardest), generator=random, device=self.device)[:wanted]]
        return torch.cat([hardest, self._among_all(wanted - len(hardest), random)])

    def _among_all(self, count: int, random: torch.Generator) -> Tensor:
        if self.drawn_up_to_L is None:
            return torch.randint(self.edges_LL.width, (count,), generator=random, device=self.device)
        chance = torch.rand(count, generator=random, device=self.device, dtype=torch.float64)
        return torch.searchsorted(self.drawn_up_to_L, chance, right=True)


def has_room(batches: Batches, texts: Texts, device: torch.device) -> bool:
    """Whether what DeviceBatches copies leaves the device enough for training."""
    needed = sum(8 * len(matrix.indptr) + 4 * matrix.nnz + matrix.data.nbytes for matrix in _copied(batches, texts))
    return needed <= ROOM * free_bytes(device)


def free_bytes(device: torch.device) -> float:
    """Of a GPU's memory; a CPU has the matrices already."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")


def _copied(batches: Batches, texts: Texts) -> tuple[sp.csr_matrix, ...]:
    return batches.weights_NL, texts.points_NV, texts.labels_LV, texts.edges_LL


def _distinct(values_E: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """As network.distinct: sorted values without repetition, and where each entry is among them."""
    is_used = torch.zeros(end, dtype=torch.bool, device=values_E.device)
    is_used[values_E] = True
    return is_used.nonzero().squeeze(1), (is_used.cumsum(0) - 1)[values_E]


def _among(clicked: Gathered, labels_S: Tensor) -> Scattered:
    """The clicks on some labels, sorted."""
    place_E = torch.searchsorted(labels_S, clicked.columns)
    is_there_E = labels_S[place_E.clamp(max=len(labels_S) - 1)] == clicked.columns
    shape = torch.Size((len(clicked.starts) - 1, len(labels_S)))
    return Scattered((clicked.row * shape[1] + place_E)[is_there_E], clicked.values[is_there_E], shape)
