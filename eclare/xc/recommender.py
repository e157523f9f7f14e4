"""From titles to related products, in four words: fit, recommend, save, load."""

import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.fingerprint import hash_of_bytes, hash_of_matrices
from eclare.arrays.tfidf import Vocabulary, normalise_rows
from eclare.model import distributed
from eclare.model.beam_search import probabilities
from eclare.model.checkpoint import Epoch
from eclare.model.config import ECLAREConfig
from eclare.model.data import Ids, Texts, weighted
from eclare.model.ensemble import Ensemble
from eclare.model.inference import OVERSAMPLING, attention_of, one_thread
from eclare.model.label_graph import build_label_graph
from eclare.model.stages import Training
from eclare.ranker import Ranker
from eclare.xc.co_clicks import CoClickScores, Heard, bonus_of_each
from eclare.xc.features import CANDIDATES, NAMES, Known, Reranker, learn_ranker
from eclare.xc.warm_start import Earlier

Titles: TypeAlias = Sequence[str] | sp.csr_matrix  # titles, or ready features: rows x V
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

    vocabulary is None where it was fitted on ready features; history: every epoch of the training.
    """

    reranker: Reranker
    vocabulary: Vocabulary | None
    label_ids_L: Ids
    data_hash: str
    history: Sequence[Epoch] = ()

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
        checkpoints: Path | None = None,
        warm_start: "Recommender | None" = None,
    ) -> "Recommender":
        """Learn from N points, L labels and the clicks between them, CSR N x L.

        points and labels are both titles or both features (rows x V). checkpoints: folder that lets a killed training
        go on when the same is asked for again. warm_start: an earlier recommender of like config to start from, however
        its words and labels differ. Raises ValueError where shapes disagree or nothing was clicked, FloatingPointError
        when the training diverges.
        """
        config = config or ECLAREConfig()
        if clicks_NL.shape != (_rows(points), _rows(labels)):
            raise ValueError(
                f"clicks must be points x labels = {(_rows(points), _rows(labels))}, got {clicks_NL.shape}"
            )
        ids = np.array([str(label) for label in (range(_rows(labels)) if label_ids is None else label_ids)])
        vocabulary = None
        if not isinstance(points, sp.csr_matrix):
            vocabulary = Vocabulary.of([*points, *labels], word_pairs=config.word_pairs)
        texts = Texts.of(
            _features(points, vocabulary), _features(labels, vocabulary), build_label_graph(clicks_NL, config)
        )
        weights_NL = weighted(clicks_NL, config)
        training = Training(weights_NL, texts, choose_device(device), checkpoints)
        if warm_start:
            known = warm_start.known_to(config)
            starts = known.starts(_tokens(vocabulary, texts.labels_LV), ids, texts)
            training = Training(
                weights_NL, texts, training.device, checkpoints, tuple(starts), f"{warm_start.data_hash} {config}"
            )
        fusion = None
        if config.held_back_share:
            fusion = learn_ranker(
                weights_NL, texts.points_NV, texts.labels_LV, config, lambda *some: _learn(training, config, *some)
            )
        evidence = CoClickScores.of(weights_NL, texts.labels_LV, texts.points_NV)
        return cls(
            Reranker(training.ensemble(config), evidence, fusion),
            vocabulary,
            ids,
            hash_of_matrices([texts.points_NV, texts.labels_LV, clicks_NL]),
            training.history,
        )

    def known_to(self, config: ECLAREConfig) -> Earlier:
        """What a training with this config can start from; raises ValueError where the two do not fit."""
        for option in ("embedding_dim", "views", "shortlister"):
            old, new = getattr(self.config, option), getattr(config, option)
            if old != new:
                raise ValueError(f"a warm start needs the same {option}, got {old!r} before and {new!r} now")
        if config.shortlister != "faiss":
            raise ValueError("a warm start needs shortlister faiss: the paper's stages start from the surrogate")
        return Earlier(self.ensemble, _tokens(self.vocabulary, self.evidence.titles_LV), self.label_ids_L)

    @property
    def ensemble(self) -> Ensemble:
        """The trained models."""
        return self.reranker.ensemble

    @property
    def evidence(self) -> CoClickScores:
        """The clicks they were trained on."""
        return self.reranker.evidence

    @property
    def config(self) -> ECLAREConfig:
        """How it was trained."""
        return self.ensemble.config

    def predict(self, points: Titles, k: int) -> tuple[Rows, Floats]:
        """The k best label rows of every title and their scores, N x k, best first; PAD where there are fewer."""
        return self.reranker.top_labels(_features(points, self.vocabulary), k)

    def recommend(self, title: str, k: int = 10) -> list[Recommended]:
        """The k best labels for one title, best first, each with its reasons."""
        with one_thread():
            known = self.reranker.known(_features([title], self.vocabulary))
            heard = self.evidence.heard(known.neighbours.labels)
            labels, scores = self._best(known, heard, k)
        seen = dict(zip(heard.labels.tolist(), heard.co_clicks.tolist(), strict=True))
        views, met = self.config.views, self._met_with(known.neighbours.labels)
        return [
            Recommended(
                self._ids[label],
                score,
                dict(zip(views, self._attention[label].tolist(), strict=True)),
                self._neighbours(label),
                seen.get(label, 0.0),
                {one: share for one, share, others in met if label in others},
            )
            for label, score in zip(labels.tolist(), scores.tolist(), strict=True)
        ]

    def _best(self, known: Known, heard: Heard, k: int) -> tuple[Rows, Floats]:
        """The k best labels and their scores, best first."""
        if self.config.shortlister == "clusters":
            found = probabilities(self.ensemble, known.points_NV)
            return _highest(found.indices, found.data, k)
        wanted = k if self.reranker.fusion is None else max(CANDIDATES, 2 * k)
        labels, scores = _highest(*self._scored(known, heard, wanted + OVERSAMPLING), wanted)
        if self.reranker.fusion is None:
            return labels, scores
        ranked, scores = self.reranker.ranked(known, labels[None].astype(np.int32), min(k, len(labels)))
        return ranked[0], scores[0]

    def _scored(self, known: Known, heard: Heard, count: int) -> tuple[Rows, Floats]:
        """The labels that the model scores highest and those with evidence, scored by both."""
        classifiers_LD = self.ensemble.classifiers_LD
        labels = self.ensemble.quick_index.search(known.encoded_ND, min(count, len(classifiers_LD)))[1][0]
        if not self.config.evidence_weight:
            return labels, classifiers_LD[labels] @ known.encoded_ND[0]
        labels = np.union1d(labels, heard.labels)
        scores = classifiers_LD[labels] @ known.encoded_ND[0]
        scores[np.searchsorted(labels, heard.labels)] += bonus_of_each(heard.co_clicks, self.config)
        return labels, scores

    def save(self, folder: Path) -> None:
        """Write the model's files and manifest.json, with the hash of each; whatever stood there before goes last."""
        if distributed.rank():
            return
        aside = folder.with_name(f"{folder.name}.writing")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        self.ensemble.save(aside)
        self.evidence.save(aside)
        if self.reranker.fusion is not None:
            self.reranker.fusion.save(aside / "fusion.safetensors")
        if self.vocabulary is not None:
            self.vocabulary.save(aside)
        sp.save_npz(aside / "labels.npz", self.evidence.titles_LV)
        np.savez(aside / "label_ids.npz", ids=self.label_ids_L)
        (aside / "training.json").write_text(json.dumps([epoch._asdict() for epoch in self.history], indent=1) + "\n")
        files = sorted(file for file in aside.rglob("*") if file.is_file())
        manifest = {
            "files": {str(file.relative_to(aside)): hash_of_bytes(file.read_bytes()) for file in files},
            "config_hash": self.config.hash,
            "data_hash": self.data_hash,
            "seed": self.config.seed,
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
            if not (folder / name).exists() or hash_of_bytes((folder / name).read_bytes()) != expected:
                raise ValueError(f"{folder / name} is not the file that fit wrote: fit the model again")
        labels_LV = sp.load_npz(folder / "labels.npz").tocsr()
        with np.load(folder / "label_ids.npz", allow_pickle=False) as file:
            ids = file["ids"]
        fusion = (
            Ranker.load(folder / "fusion.safetensors", NAMES) if "fusion.safetensors" in manifest["files"] else None
        )
        ensemble = Ensemble.load(folder, labels_LV, choose_device(device))
        return cls(
            Reranker(ensemble, CoClickScores.load(folder, labels_LV), fusion),
            Vocabulary.load(folder) if "vocabulary.npz" in manifest["files"] else None,
            ids,
            manifest["data_hash"],
            [Epoch(**epoch) for epoch in json.loads((folder / "training.json").read_text())],
        )

    def __repr__(self) -> str:
        return f"Recommender({self.ensemble!r})"

    @cached_property
    def _attention(self) -> Floats:
        return attention_of(self.ensemble.members[0].classifier.model, self.ensemble.texts)

    @cached_property
    def _ids(self) -> list[str]:
        return [str(label_id) for label_id in self.label_ids_L]

    def _neighbours(self, label: int) -> dict[str, float]:
        edges = self.ensemble.texts.edges_LL
        row = slice(edges.indptr[label], edges.indptr[label + 1])
        heaviest = sorted(zip(edges.data[row].tolist(), edges.indices[row].tolist(), strict=True), reverse=True)
        return {self._ids[other]: weight for weight, other in heaviest if other != label}

    def _met_with(self, similar: CSR) -> list[tuple[str, float, set[int]]]:
        """The labels with a title like this one: id, title similarity, and the labels that each was met with."""
        met = self.evidence.co_clicks_LL
        return [
            (self._ids[one], share, set(met.indices[met.indptr[one] : met.indptr[one + 1]].tolist()))
            for one, share in zip(similar[1].tolist(), similar[2].tolist(), strict=True)
        ]


def _highest(labels: Rows, scores: Floats, k: int) -> tuple[Rows, Floats]:
    best = np.lexsort((labels, -scores))[:k]
    return labels[best], scores[best]


def _learn(training: Training, config: ECLAREConfig, clicks_NL: sp.csr_matrix, points_NV: sp.csr_matrix) -> Ensemble:
    """One model from some of the points."""
    texts = Texts.of(points_NV, training.texts.labels_LV, build_label_graph(clicks_NL, config))
    aside = training.checkpoints / "held_back" if training.checkpoints else None
    return Training(clicks_NL, texts, training.device, aside).ensemble(replace(config, ensemble=1))


def choose_device(wanted: str) -> torch.device:
    """ "auto", "cpu" or "cuda"; raises ValueError where a GPU is asked for and torch sees none."""
    found = torch.cuda.is_available()
    if wanted not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, got {wanted!r}")
    if wanted == "cuda" and not found:
        raise ValueError("device cuda needs a GPU, torch sees none here: use auto or cpu")
    return distributed.device_of_process("cuda" if found and wanted != "cpu" else "cpu")


def _rows(texts: Titles) -> int:
    return int(texts.shape[0]) if isinstance(texts, sp.csr_matrix) else len(texts)


def _features(texts: Titles, vocabulary: Vocabulary | None) -> sp.csr_matrix:
    if isinstance(texts, sp.csr_matrix):
        if texts.nnz and not texts.data.min() >= 0:
            entry = int(np.argmin(texts.data >= 0))
            row = int(np.searchsorted(texts.indptr, entry, side="right")) - 1
            raise ValueError(
                f"features must be numbers of 0 or more, got {texts.data[entry]} in row {row}, "
                f"column {texts.indices[entry]}: correct or leave out this entry"
            )
        features = normalise_rows(texts)
        features.eliminate_zeros()
        return features
    if vocabulary is None:
        raise ValueError("this model was fitted on ready features and knows no words: pass features, not titles")
    return vocabulary.features(texts)


def _tokens(vocabulary: Vocabulary | None, texts: sp.csr_matrix) -> Ids:
    """Names of the columns; ready features have their numbers."""
    return np.arange(texts.shape[1]).astype(str) if vocabulary is None else vocabulary.tokens_V
