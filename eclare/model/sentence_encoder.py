"""Titles as vectors by a sentence encoder: a folder in the layout of sentence-transformers, in any language."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from eclare.arrays.csr import Floats

LAYOUT = "modules.json"  # of a folder that sentence-transformers wrote
BATCH = 32  # titles of one length at a time
MOST_TOKENS = 128  # of a title; what is beyond is cut off
MISSING = "sentence-transformers is not installed: pip install 'eclare-nightly[text]', or leave TEXT_ENCODER empty"


def folder_of(name: str) -> Path:
    """The folder of an encoder: the one named, or the one that an installed package of this name holds.

    Nothing is downloaded. Raises ValueError, saying what was looked for, where there is none.
    """
    named = Path(name)
    if (named / LAYOUT).exists():
        return named
    spec = find_spec(name) if name.isidentifier() else None
    places = spec.submodule_search_locations or [] if spec else []
    found = sorted(file.parent for place in places for file in Path(place).rglob(LAYOUT))
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"TEXT_ENCODER must be a folder with {LAYOUT}, as sentence-transformers writes it, or an installed package "
        f"that holds one such folder, got {name!r}: {_seen(named, spec is not None, len(found))}; nothing is downloaded"
    )


def _seen(named: Path, is_package: bool, found: int) -> str:
    if named.is_dir():
        return f"a folder without {LAYOUT}"
    return f"a package with {found} such folders" if is_package else "neither a folder nor an installed package"


@dataclass(frozen=True, eq=False)
class SentenceEncoder:
    """An encoder, which is read when the first title is encoded; weights: others in the place of the folder's."""

    folder: Path
    device: torch.device
    weights: Mapping[str, torch.Tensor] | None = None

    @classmethod
    def of(cls, name: str, device: torch.device) -> "SentenceEncoder":
        """By a folder or a package (folder_of); raises ValueError as it does, and without sentence-transformers."""
        if find_spec("sentence_transformers") is None:
            raise ValueError(MISSING)
        return cls(folder_of(name), device)

    def __repr__(self) -> str:
        return f"SentenceEncoder({self.folder})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all files of its folder but *.md, by name: another model of the same name has another."""
        total = hashlib.sha256()
        for file in sorted(each for each in self.folder.rglob("*") if each.is_file() and each.suffix != ".md"):
            total.update(f"{file.relative_to(self.folder)}\0".encode())
            with file.open("rb") as content:
                total.update(hashlib.file_digest(content, "sha256").digest())
        return total.hexdigest()

    def check(self, fingerprint: str) -> None:
        """Raises ValueError where this is not the encoder of that fingerprint."""
        if self.fingerprint != fingerprint:
            raise ValueError(
                f"{self.folder} must be the encoder that the model was fitted with, {fingerprint[:12]}, "
                f"got {self.fingerprint[:12]}: restore it or fit the model again"
            )

    def save(self, folder: Path) -> "SentenceEncoder":
        """Write it as sentence-transformers does; the encoder of that folder."""
        self._model.save(str(folder), create_model_card=False)
        return SentenceEncoder(folder, self.device)

    @property
    def dim(self) -> int:
        """Numbers of a vector."""
        return int(self._model.get_embedding_dimension())

    def encode(self, titles: Sequence[str]) -> Floats:
        """Vectors of norm 1 (0 for a title without a token), N x E.

        A batch is of one length and always of as many titles, so a vector is the same to the last bit whatever is
        encoded beside it.
        """
        row_of: dict[str, list[int]] = defaultdict(list)
        for row, title in enumerate(titles):
            row_of[title].append(row)
        vectors_NE = np.zeros((len(titles), self.dim), np.float32)
        batches = self._batches(sorted(row_of))
        for batch in tqdm(batches, desc="encode titles", unit="batch", disable=None):
            for title, vector_E in zip(batch, self._vectors(_filled(batch)), strict=False):
                vectors_NE[row_of[title]] = vector_E
        return vectors_NE

    def encode_one(self, title: str) -> Floats:
        """The same of one title, 1 x E, sooner; it may differ by rounding."""
        return self._vectors([title])

    def _batches(self, titles: Sequence[str]) -> list[list[str]]:
        """Titles of one number of tokens together, BATCH at a time."""
        by_length: dict[int, list[str]] = defaultdict(list)
        for title in titles:
            by_length[self._tokens(title)].append(title)
        return [
            same[start : start + BATCH] for _, same in sorted(by_length.items()) for start in range(0, len(same), BATCH)
        ]

    def _vectors(self, titles: Sequence[str]) -> Floats:
        encoded = self._model.encode(
            list(titles), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(encoded, np.float32)

    def _tokens(self, title: str) -> int:
        return len(self._model.tokenizer(title, truncation=True, max_length=self._model.max_seq_length)["input_ids"])

    @cached_property
    def _model(self) -> Any:
        return self.read().eval()

    def read(self) -> Any:
        """A SentenceTransformer of its own for the caller, who may change it."""
        from sentence_transformers import SentenceTransformer  # seconds to load, and an extra

        model = SentenceTransformer(str(self.folder), device=str(self.device), local_files_only=True)
        model.max_seq_length = min(model.max_seq_length or MOST_TOKENS, MOST_TOKENS)
        if self.weights is not None:
            model.load_state_dict(self.weights)
        return model


def _filled(batch: list[str]) -> list[str]:
    """A short batch, filled up with its last title: arithmetic of another shape would round otherwise."""
    return batch + [batch[-1]] * (BATCH - len(batch))
