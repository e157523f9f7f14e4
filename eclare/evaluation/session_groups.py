"""What sessions hold, by group of sessions, so that a figure can be computed again without each group."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from eclare.arrays.csr import Floats

FILE = "session_groups.npz"


class Seen(NamedTuple):
    """What some sessions hold of P products.

    shared_PP: CSR, sessions that led from one product to another, of the pairs that enough of them share; sessions_P:
    that hold each product; sessions: all of them.
    """

    shared_PP: sp.csr_matrix
    sessions_P: Floats
    sessions: int


@dataclass(frozen=True, eq=False)
class SessionGroups:
    """The sessions of P products, each in one of G groups.

    shared_EG: CSC, sessions of pair key_E = query * P + related by group, keys sorted; held_PG: CSC, sessions that hold
    each product; sessions_G: all of them. min_support: the sessions that a pair needs to count.
    """

    key_E: npt.NDArray[np.int64]
    shared_EG: sp.csc_matrix
    held_PG: sp.csc_matrix
    sessions_G: npt.NDArray[np.int64]
    min_support: int

    def __len__(self) -> int:
        return len(self.sessions_G)

    def __repr__(self) -> str:
        return f"SessionGroups({self.sessions_G.sum():,} sessions in {len(self)} groups, {len(self.key_E):,} pairs)"

    @property
    def occupied(self) -> list[int]:
        """The groups that have a session."""
        return np.flatnonzero(self.sessions_G).tolist()

    @property
    def all(self) -> Seen:
        """What all sessions hold."""
        return self._seen(self._shared_E, self._held_P, int(self.sessions_G.sum()))

    def without(self, group: int) -> Seen:
        """What the sessions of all other groups hold; pairs that min_support of them no longer share are left out."""
        shared_E, held_P = self._shared_E.copy(), self._held_P.copy()
        for total, by_group in ((shared_E, self.shared_EG), (held_P, self.held_PG)):
            of_group = slice(*by_group.indptr[group : group + 2])
            total[by_group.indices[of_group]] -= by_group.data[of_group]
        return self._seen(shared_E, held_P, int(self.sessions_G.sum() - self.sessions_G[group]))

    def save(self, folder: Path) -> None:
        """Write session_groups.npz: plain arrays, no pickle."""
        matrices = {"shared": self.shared_EG, "held": self.held_PG}
        parts: dict[str, npt.ArrayLike] = {
            f"{name}_{part}": getattr(matrix, part)
            for name, matrix in matrices.items()
            for part in ("data", "indices", "indptr")
        }
        parts |= {"key": self.key_E, "sessions": self.sessions_G, "min_support": self.min_support}
        np.savez(folder / FILE, allow_pickle=False, products=self.held_PG.shape[0], **parts)

    @classmethod
    def load(cls, folder: Path) -> "SessionGroups":
        """Read what `save` wrote; raises ValueError where there is nothing."""
        if not (folder / FILE).exists():
            raise ValueError(
                f"{folder} must hold {FILE}, the held-out sessions by group, but is of older code: "
                "run build_interactions for this night again, then the steps after it"
            )
        with np.load(folder / FILE, allow_pickle=False) as file:
            key_E, sessions_G = file["key"], file["sessions"]
            shared_EG, held_PG = (
                sp.csc_matrix(
                    tuple(file[f"{name}_{part}"] for part in ("data", "indices", "indptr")), (rows, len(sessions_G))
                )
                for name, rows in (("shared", len(key_E)), ("held", int(file["products"])))
            )
            return cls(key_E, shared_EG, held_PG, sessions_G, int(file["min_support"]))

    @cached_property
    def _shared_E(self) -> Floats:
        return np.asarray(self.shared_EG.sum(axis=1), np.float32).ravel()

    @cached_property
    def _held_P(self) -> Floats:
        return np.asarray(self.held_PG.sum(axis=1), np.float32).ravel()

    def _seen(self, shared_E: Floats, held_P: Floats, sessions: int) -> Seen:
        products, kept = len(held_P), shared_E >= self.min_support
        key = self.key_E[kept]
        indptr = np.searchsorted(key, np.arange(products + 1, dtype=np.int64) * products)
        related = (key % products).astype(np.int32)
        return Seen(sp.csr_matrix((shared_E[kept], related, indptr), (products, products)), held_P, sessions)
