"""From titles to related products, in four words: fit, recommend, save, load."""

import hashlib
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeAlias

import faiss
import numpy as np
import scipy.sparse as sp
import torch

from eclare.config import ECLAREConfig
from eclare.evidence import Evidence, bonus_of
from eclare.features import Vocabulary, normalise_rows
from eclare.graph import LabelGraph, build_label_graph
from eclare.interactions import Ids, weighted
from eclare.model import ECLARE, Bags
from eclare.predict import (
    Floats,
    Rows,
    add_evidence,
    attention_of,
    build_quick_index,
    classifiers_of,
    inner_products,
    search,
    top_labels,
)
from eclare.sparse import best_per_row
from eclare.train import Texts, train

Titles: TypeAlias = Sequence[str] | sp.csr_matrix  # titles, or ready features: rows x V
SPARE = 20  # further labels that a search over 16-bit copies looks at, so that rounding loses none
PACKAGES = ("torch", "numpy", "scipy", "numba")


class Recommended(NamedTuple):
    """One answer and why: how the classifier mixed its views, which labels taught it, which clicks were seen.

    attention: weight of each view (text, graph, refinement), summing to 1; neighbours: ids and edge weights, heaviest
    first; co_clicks: observed evidence between 0 and 1; similar: ids of the labels through whose clicks it was seen.
    """

    label_id: str
    score: float
    attention: dict[str, float]
    neighbours: dict[str, float]
    co_clicks: float
    similar: dict[str, float]


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained ECLARE with all that is needed to answer for a title.

    vocabulary is None where it was fitted on ready features. labels_LV, edges: see Texts.
    """

    model: ECLARE
    vocabulary: Vocabulary | None
    labels_LV: sp.csr_matrix
    graph: LabelGraph
    evidence: Evidence
    label_ids_L: Ids
    data_hash: str

    @classmethod
    def fit(
        cls,
        points: Titles,
        labels: Titles,
        clicks_NL: sp.csr_matrix,
        config: ECLAREConfig | None = None,
        *,
        label_ids: Sequence[str] | None = None,
        device: str = "auto",
    ) -> "Recommender":
        """Learn from N points, L labels and the clicks between them, CSR N x L.

        points and labels are both titles or both features (rows x V). Raises ValueError where shapes disagree or
        nothing was clicked, FloatingPointError when the training diverges.
        """
        config = config or ECLAREConfig()
        if clicks_NL.shape != (_rows(points), _rows(labels)):
            raise ValueError(
                f"clicks must be points x labels = {(_rows(points), _rows(labels))}, got {clicks_NL.shape}"
            )
        ids = np.array([str(label) for label in (range(_rows(labels)) if label_ids is None else label_ids)])
        vocabulary = None
        if not isinstance(points, sp.csr_matrix):
            vocabulary = Vocabulary.of([*points, *labels])
        points_NV, labels_LV = _features(points, vocabulary), _features(labels, vocabulary)
        graph = build_label_graph(clicks_NL, config)
        model = train(clicks_NL, Texts.of(points_NV, labels_LV, graph), config, choose_device(device))
        evidence = Evidence.of(weighted(clicks_NL, config), labels_LV)
        return cls(model, vocabulary, labels_LV, graph, evidence, ids, _hash(points_NV, labels_LV, clicks_NL))

    def predict(self, points: Titles, k: int) -> tuple[Rows, Floats]:
        """The k best label rows of every title and their scores, N x k, best first; NOTHING where there are fewer."""
        texts = Texts.of(_features(points, self.vocabulary), self.labels_LV, self.graph)
        return top_labels(self.model, texts, k, np.ones(len(self.label_ids_L), bool), evidence=self.evidence)

    def recommend(self, title: str, k: int = 10) -> list[Recommended]:
        """The k best labels for one title, best first, each with its reasons."""
        point = _features([title], self.vocabulary)
        with torch.no_grad():
            encoded = self.model.encode(Bags.of(point, self._device)).cpu().numpy()
        similar = self.evidence.similar_labels(point)
        co_clicks = sp.csr_matrix(similar @ self.evidence.co_clicks_LL)
        pairs = search(self._index, self._every_row, encoded, min(k + SPARE, len(self.label_ids_L)))
        pairs = pairs._replace(score=inner_products(encoded, self._classifiers, pairs.row, pairs.label))
        if self.model.config.evidence_weight:
            pairs = add_evidence(pairs, bonus_of(co_clicks, self.model.config), encoded, self._classifiers)
        labels, scores = best_per_row(*pairs, 1, k)
        seen = dict(zip(co_clicks.indices.tolist(), co_clicks.data.tolist(), strict=True))
        found = labels[0][labels[0] >= 0]
        return [
            Recommended(
                self._id(label),
                float(score),
                dict(zip(self.model.config.views, weights, strict=True)),
                self._neighbours(label),
                seen.get(label, 0.0),
                self._spoke_for(label, similar),
            )
            for label, score, weights in zip(found.tolist(), scores[0], self._attention[found].tolist(), strict=False)
        ]

    def save(self, folder: Path) -> None:
        """Write the model's files and manifest.json, with the hash of each; whatever stood there before goes last."""
        aside = folder.with_name(f"{folder.name}.writing")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        self.model.save(aside)
        self.graph.save(aside)
        self.evidence.save(aside)
        if self.vocabulary is not None:
            self.vocabulary.save(aside)
        sp.save_npz(aside / "labels.npz", self.labels_LV)
        np.savez(aside / "label_ids.npz", ids=self.label_ids_L)
        config = json.dumps(asdict(self.model.config), sort_keys=True).encode()
        manifest = {
            "files": {file.name: _sha256(file.read_bytes()) for file in sorted(aside.iterdir())},
            "config_hash": _sha256(config),
            "data_hash": self.data_hash,
            "seed": self.model.config.seed,
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        }
        (aside / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)

    @classmethod
    def load(cls, folder: Path, device: str = "auto") -> "Recommender":
        """Read what `save` wrote.

        Raises FileNotFoundError where there is no complete model, ValueError where a file has changed since.
        """
        if not (folder / "manifest.json").exists():
            raise FileNotFoundError(f"{folder} has no manifest.json: it must be the folder that fit wrote")
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, expected in manifest["files"].items():
            if _sha256((folder / name).read_bytes()) != expected:
                raise ValueError(f"{folder / name} is not the file that fit wrote: fit the model again")
        labels_LV = sp.load_npz(folder / "labels.npz").tocsr()
        with np.load(folder / "label_ids.npz", allow_pickle=False) as file:
            ids = file["ids"]
        return cls(
            ECLARE.load(folder).to(choose_device(device)),
            Vocabulary.load(folder) if "vocabulary.npz" in manifest["files"] else None,
            labels_LV,
            LabelGraph.load(folder),
            Evidence.load(folder, labels_LV),
            ids,
            manifest["data_hash"],
        )

    def __repr__(self) -> str:
        return f"Recommender({self.model!r}, {self.graph!r})"

    @property
    def _device(self) -> torch.device:
        return self.model.refinement.weight.device

    @cached_property
    def _texts(self) -> Texts:
        return Texts.of(self.labels_LV[:0], self.labels_LV, self.graph)

    @cached_property
    def _every_row(self) -> Rows:
        return np.arange(len(self.label_ids_L), dtype=np.int32)

    @cached_property
    def _classifiers(self) -> Floats:
        return classifiers_of(self.model, self._texts)

    @cached_property
    def _index(self) -> faiss.Index:
        return build_quick_index(self._classifiers)

    @cached_property
    def _attention(self) -> Floats:
        return attention_of(self.model, self._texts)

    def _neighbours(self, label: int) -> dict[str, float]:
        edges = self.graph.edges_LL
        row = slice(edges.indptr[label], edges.indptr[label + 1])
        heaviest = sorted(zip(edges.data[row].tolist(), edges.indices[row].tolist(), strict=True), reverse=True)
        return {self._id(other): weight for weight, other in heaviest if other != label}

    def _spoke_for(self, label: int, similar: sp.csr_matrix) -> dict[str, float]:
        """Ids and title similarity of the labels that were met together with `label`."""
        met = self.evidence.co_clicks_LL
        return {
            self._id(one): share
            for one, share in zip(similar.indices.tolist(), similar.data.tolist(), strict=True)
            if (met.indices[met.indptr[one] : met.indptr[one + 1]] == label).any()
        }

    def _id(self, label: int) -> str:
        return str(self.label_ids_L[label])


def choose_device(wanted: str) -> torch.device:
    """ "auto", "cpu" or "cuda"; raises ValueError where a GPU is asked for and torch sees none."""
    found = torch.cuda.is_available()
    if wanted not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {wanted!r}")
    if wanted == "cuda" and not found:
        raise ValueError("device cuda needs a GPU, torch sees none here: use auto or cpu")
    return torch.device("cuda" if found and wanted != "cpu" else "cpu")


def _rows(texts: Titles) -> int:
    return int(texts.shape[0]) if isinstance(texts, sp.csr_matrix) else len(texts)


def _features(texts: Titles, vocabulary: Vocabulary | None) -> sp.csr_matrix:
    if isinstance(texts, sp.csr_matrix):
        return normalise_rows(texts)
    if vocabulary is None:
        raise ValueError("this model was fitted on ready features and knows no words: pass features, not titles")
    return vocabulary.features(texts)


def _hash(*matrices: sp.csr_matrix) -> str:
    total = hashlib.sha256()
    for matrix in matrices:
        for part in (matrix.data, matrix.indices, matrix.indptr):
            total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
