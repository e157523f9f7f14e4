"""ECLARE's network: an encoder of titles and, for every label, a classifier that mixes three views of it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from eclare.model.config import ECLAREConfig


class Bags(NamedTuple):
    """Rows of a CSR matrix as torch tensors: what nn.EmbeddingBag sums over."""

    tokens: Tensor  # int64, all rows behind each other
    offsets: Tensor  # int64, where each row begins
    weights: Tensor  # float32, beside tokens
    used_U: Tensor | None = None  # int64, the rows of the table that `tokens` counts; None: all of them

    @classmethod
    def of(cls, matrix: sp.csr_matrix, device: torch.device) -> "Bags":
        """Every row of a CSR matrix."""
        return cls(
            torch.from_numpy(matrix.indices).to(device, torch.int64),
            torch.from_numpy(matrix.indptr[:-1]).to(device, torch.int64),
            torch.from_numpy(matrix.data).to(device),
        )

    @classmethod
    def of_used(cls, matrix: sp.csr_matrix) -> "Bags":
        """The same on the CPU, over the columns that have an entry.

        For a gradient of those rows alone: that of a whole table would cost more than a step.
        """
        used = distinct(matrix.indices, matrix.shape[1])
        bags = cls.of(matrix, torch.device("cpu"))
        return bags._replace(tokens=torch.from_numpy(used.place_E), used_U=torch.from_numpy(used.values_U))


class Distinct(NamedTuple):
    """Sorted values without repetition, and where each of E entries is among them."""

    values_U: npt.NDArray[np.int64]
    place_E: npt.NDArray[np.int64]


def distinct(values_E: npt.NDArray[np.integer], end: int) -> Distinct:
    """As np.unique with return_inverse, without sorting: for values from 0 to end - 1 of which there are many."""
    is_used = np.zeros(end, dtype=bool)
    is_used[values_E] = True
    values_U = np.flatnonzero(is_used)
    place = np.empty(end, np.int64)
    place[values_U] = np.arange(len(values_U))
    return Distinct(values_U, place[values_E])


class LabelRows(NamedTuple):
    """S labels, and where to find their texts in a table of U embedded ones."""

    labels_S: Tensor  # int64, rows of the refinement table
    own_S: Tensor  # int64, the row of each label's own text
    neighbours: Bags  # the rows of its graph neighbours' texts, weighted by edge


def identity_linear(dim: int) -> nn.Module:
    """A square linear layer that starts as the identity and keeps spectral norm 1."""
    linear = nn.Linear(dim, dim)
    nn.init.eye_(linear.weight)
    nn.init.zeros_(linear.bias)
    return spectral_norm(linear)


def xavier_linear(dim: int, out: int, *, bias: bool = True) -> nn.Module:
    """A linear layer with Xavier's uniform start (Glorot, Bengio, AISTATS 2010), spectral norm 1 and bias 0 if any."""
    linear = nn.Linear(dim, out, bias=bias)
    nn.init.xavier_uniform_(linear.weight)
    if bias:
        nn.init.zeros_(linear.bias)
    return spectral_norm(linear)


class ResidualBlock(nn.Module):
    """R(v) = v + k SpectralNormLinear(Dropout(ReLU(v))), k = 1 or, as in the authors' code, learnt (section 4.3)."""

    def __init__(self, dim: int, dropout: float, *, learnt: bool) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), identity_linear(dim))
        self.k = nn.Parameter(torch.ones(1)) if learnt else None

    def forward(self, v_BD: Tensor) -> Tensor:
        """B x D in, B x D out."""
        change: Tensor = self.change(v_BD)
        return v_BD + (change if self.k is None else self.k * change)


class Attention(nn.Module):
    """Mixes Z views of a label by weights that sum to 1 (ECLARE, section 4.3, equation for alpha).

    xavier: the authors' start, and no bias in the last layer; otherwise ours, the identity and a bias.
    """

    def __init__(self, dim: int, views: int, dropout: float, *, xavier: bool) -> None:
        super().__init__()
        each = xavier_linear(dim, dim) if xavier else identity_linear(dim)
        self.each = nn.Sequential(nn.Dropout(dropout), nn.ReLU(), each)
        every = views * dim
        self.all = xavier_linear(every, views, bias=False) if xavier else spectral_norm(nn.Linear(every, views))

    def forward(self, views_SZD: Tensor) -> tuple[Tensor, Tensor]:
        """The mixed label S x D and the weight of each view S x Z."""
        weights_SZ = torch.softmax(self.all(self.each(views_SZD).flatten(1)), dim=1)
        return torch.einsum("sz,szd->sd", weights_SZ, views_SZD), weights_SZ


def _sum_rows(table_UD: Tensor, bags: Bags) -> Tensor:
    summed: Tensor = nn.functional.embedding_bag(
        bags.tokens, table_UD, bags.offsets, mode="sum", per_sample_weights=bags.weights
    )
    return summed


class ECLARE(nn.Module):
    """Scores <encode(x), w_l> of points and labels (ECLARE, section 4.3).

    V tokens, L labels; every embedding has `config.embedding_dim` numbers. Ours: token embeddings start normally
    distributed.
    """

    def __init__(self, tokens: int, labels: int, config: ECLAREConfig) -> None:
        super().__init__()
        dim, dropout, learnt = config.embedding_dim, config.dropout, config.learnt_residual
        self.config = config
        self.tokens = nn.Embedding(tokens, dim, sparse=True)
        nn.init.normal_(self.tokens.weight, std=dim**-0.5)
        self.refinement = nn.Embedding(labels, dim, sparse=True)
        self.point_block = nn.Sequential(ResidualBlock(dim, dropout, learnt=learnt), nn.ReLU(), nn.Dropout(dropout))
        self.text_block = ResidualBlock(dim, dropout, learnt=learnt)
        self.graph_block = ResidualBlock(dim, dropout, learnt=learnt)
        self.attention = Attention(dim, len(config.views), dropout, xavier=config.xavier_attention)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.refinement.weight.device

    def embed(self, bags: Bags) -> Tensor:
        """Token embeddings summed by TF-IDF weight, B x D."""
        return _sum_rows(self.tokens.weight if bags.used_U is None else self.tokens(bags.used_U), bags)

    def encode(self, points: Bags) -> Tensor:
        """Points from their titles, B x D."""
        encoded: Tensor = self.point_block(self.embed(points))
        return encoded

    def views(self, rows: LabelRows, texts_UD: Tensor) -> Tensor:
        """The embeddings of S labels that the config uses, S x Z x D: text, neighbours' text (one hop), refinement."""
        made = {
            "text": lambda: self.text_block(texts_UD[rows.own_S]),
            "graph": lambda: self.graph_block(_sum_rows(texts_UD, rows.neighbours)),
            "refinement": lambda: self.refinement(rows.labels_S),
        }
        return torch.stack([made[view]() for view in self.config.views], dim=1)

    def classifiers(self, rows: LabelRows, texts_UD: Tensor) -> Tensor:
        """Classifiers w_l of S labels, S x D: their views mixed."""
        views_SZD = self.views(rows, texts_UD)
        mixed: Tensor = self.attention(views_SZD)[0] if self.config.use_attention else views_SZD.sum(dim=1)
        return mixed

    @torch.no_grad()
    def start_refinement(self, texts: Bags, neighbours: Bags) -> None:
        """Refinement starts at the graph-augmented label text embedding (ECLARE, section 4.4)."""
        self.refinement.weight.copy_(_sum_rows(self.embed(texts), neighbours))

    def save(self, folder: Path) -> None:
        """Write model.safetensors and config.json."""
        from safetensors.torch import save

        state = {name: value.contiguous() for name, value in self.state_dict().items()}
        # Not save_file: its errors hide that the disk is full.
        (folder / "model.safetensors").write_bytes(save(state))
        self.config.save(folder / "config.json")

    @classmethod
    def load(cls, folder: Path) -> "ECLARE":
        """Read what `save` wrote, ready to predict; raises RuntimeError where weights and config disagree."""
        from safetensors.torch import load_file

        state = load_file(folder / "model.safetensors")
        config = ECLAREConfig.load(folder / "config.json")
        model = cls(len(state["tokens.weight"]), len(state["refinement.weight"]), config)
        model.load_state_dict(state)
        return model.eval()

    def __repr__(self) -> str:
        tokens, labels = self.tokens.num_embeddings, self.refinement.num_embeddings
        return f"ECLARE({tokens:,} tokens, {labels:,} labels, {self.config.embedding_dim} dimensions)"
