"""From titles to related products: fit, predict (many titles), recommend (one title, with reasons), save, load."""

import json
import logging
import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from tqdm import tqdm

from eclare.arrays.csr import Floats
from eclare.arrays.fingerprint import hash_of_bytes, hash_of_matrices
from eclare.arrays.strings import Strings, pack, strings, unpack
from eclare.arrays.tfidf import Vocabulary, normalise_rows
from eclare.arrays.topk import PAD, best_of_rows
from eclare.model import distributed
from eclare.model.checkpoint import Epoch
from eclare.model.data import Texts, weighted
from eclare.model.distributed import choose_device
from eclare.model.ensemble import Ensemble
from eclare.model.inference import CHUNK, attention_of, one_thread
from eclare.model.label_graph import build_label_graph
from eclare.model.search import beam_search
from eclare.model.sentence_encoder import SentenceEncoder
from eclare.model.stages import Training
from eclare.model.word_parts import WordParts, vocabulary_for
from eclare.ranker import Ranker
from eclare.xc.candidates import SPARE, EncodedPoints, TopLabels, candidates, candidates_to_rank
from eclare.xc.co_clicks import CoClickScores
from eclare.xc.config import RecommenderConfig
from eclare.xc.features import features_of
from eclare.xc.held_back import CANDIDATES, NAMES, WITH_SENTENCES, Gain, train_with_ranker
from eclare.xc.sentences import SentenceReader, Sentences
from eclare.xc.warm_start import EarlierModel

log = logging.getLogger(__name__)

TitlesOrFeatures: TypeAlias = Sequence[str] | sp.csr_matrix  # titles, or ready features: rows x V
RANKER = "ranker.safetensors"
ENCODER = "sentence_encoder"  # folder of a fine-tuned one
PACKAGES = ("torch", "numpy", "scipy", "numba")


class Recommended(NamedTuple):
    """One label for a title and why: the views its classifier mixes, its graph neighbours, the co-clicks seen.

    attention: weight of each view (text, graph, refinement), summing to 1; neighbours: ids and edge weights in the
    label graph, heaviest first; co_clicks: co-click score between 0 and 1; similar: ids and weights of the labels with
    similar titles that it was clicked together with.
    """

    label_id: str
    score: float
    attention: dict[str, float]
    neighbours: dict[str, float]
    co_clicks: float
    similar: dict[str, float]


@dataclass(frozen=True, eq=False)
class Recommender:
    """A trained ensemble, the clicks it was trained on and the ranker that weighs both.

    ranker is None where there were too few points to learn one, or it was not wanted: then the model's score and the
    co-click bonus rank. vocabulary is None where it was fitted on ready features; history: every epoch of the training;
    parts: whether the vocabulary has parts of words, None without a vocabulary.
    sentences: what a sentence encoder knows, where one helps; gain: what it brought on held-back points.
    """

    config: RecommenderConfig
    ensemble: Ensemble
    co_clicks: CoClickScores
    ranker: Ranker | None
    vocabulary: Vocabulary | None
    label_ids_L: Strings
    data_hash: str
    history: Sequence[Epoch] = ()
    parts: WordParts | None = None
    sentences: Sentences | None = None
    gain: Gain | None = None

    @classmethod
    def fit(
        cls,
        points: TitlesOrFeatures,
        labels: TitlesOrFeatures,
        clicks_NL: sp.csr_matrix,
        config: RecommenderConfig | None = None,
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
        config = config or RecommenderConfig()
        shape = _row_count(points), _row_count(labels)
        if clicks_NL.shape != shape:
            raise ValueError(f"clicks must be points x labels = {shape}, got {clicks_NL.shape}")
        ids = strings(map(str, range(shape[1]) if label_ids is None else label_ids))
        vocabulary, parts = None, None
        if not isinstance(points, sp.csr_matrix):
            vocabulary, parts = vocabulary_for([*points, *labels], points, clicks_NL, config.model)
        points_NV, labels_LV = _features(points, vocabulary), _features(labels, vocabulary)
        weights_NL = weighted(clicks_NL, config.model)
        texts = Texts.of(points_NV, labels_LV, build_label_graph(weights_NL, config.model))
        training = Training(weights_NL, texts, choose_device(device), checkpoints)
        if warm_start is not None:
            earlier = warm_start.as_earlier_model()
            earlier.check(config.model)
            starts = earlier.starts(_token_names(vocabulary, labels_LV), ids, texts)
            training = replace(training, starts=starts, origin=f"{warm_start.data_hash} {warm_start.config}")
        reader = _reader(points, labels, config.text_encoder, training.device)
        ensemble, (ranker, gain) = train_with_ranker(training, config, reader)
        sentences = reader.learn(weights_NL, config) if reader and gain and gain.helps else None
        co_clicks = CoClickScores.of(weights_NL, labels_LV, points_NV)
        data_hash = hash_of_matrices([points_NV, labels_LV, clicks_NL])
        of_training = ids, data_hash, training.history, parts
        return cls(config, ensemble, co_clicks, ranker, vocabulary, *of_training, sentences=sentences, gain=gain)

    def as_earlier_model(self) -> EarlierModel:
        """What a warm start takes over."""
        return EarlierModel(self.ensemble, _token_names(self.vocabulary, self.co_clicks.labels_LV), self.label_ids_L)

    def predict(self, points: TitlesOrFeatures, k: int) -> TopLabels:
        """The k best label rows of every title and their scores."""
        features_NV = _features(points, self.vocabulary)
        vectors_NE = self._vectors(points)
        starts = tqdm(range(0, features_NV.shape[0], CHUNK), desc="recommend", unit="chunk", disable=None)
        found = []
        for start in starts:
            chunk = slice(start, start + CHUNK)
            encoded = self._encoded(features_NV[chunk], None if vectors_NE is None else vectors_NE[chunk])
            found.append(self._best(encoded, k, alone=False))
        return TopLabels(*map(np.concatenate, zip(*found, strict=True)))

    def recommend(self, title: str, k: int = 10) -> list[Recommended]:
        """The k best labels for one title, best first, each with its reasons."""
        with one_thread():
            point = self._encoded(_features([title], self.vocabulary), self._vectors([title], alone=True))
            labels_1K, scores_1K = self._best(point, k, alone=True)
            score_of = dict(zip(labels_1K[0].tolist(), scores_1K[0].tolist(), strict=True))
            seen = point.co_click_scores
        co_clicks = dict(zip(seen.indices.tolist(), seen.data.tolist(), strict=True))
        similar = self._co_clicked_with(point)
        return [
            Recommended(
                self._ids[label],
                score,
                dict(zip(self.config.model.views, self._attention[label].tolist(), strict=True)),
                self._neighbours(label),
                co_clicks.get(label, 0.0),
                {label_id: weight for label_id, weight, co_clicked in similar if label in co_clicked},
            )
            for label, score in score_of.items()
            if label != PAD
        ]

    def _encoded(self, features_QV: sp.csr_matrix, vectors_QE: Floats | None) -> EncodedPoints:
        return EncodedPoints(features_QV, self.ensemble, self.co_clicks, self.sentences, vectors_QE)

    def _vectors(self, points: TitlesOrFeatures, *, alone: bool = False) -> Floats | None:
        """What the sentence encoder makes of titles, where one is used; logs what it costs."""
        if self.sentences is None:
            return None
        titles, encoder, start = _titles(points), self.sentences.encoder, perf_counter()
        vectors_NE = encoder.encode_one(titles[0]) if alone else encoder.encode(titles)
        cost = {"titles": len(titles), "ms_per_title": round(1e3 * (perf_counter() - start) / max(len(titles), 1), 2)}
        log.info("%s", json.dumps({"sentence encoder": cost}))
        return vectors_NE

    def _best(self, points: EncodedPoints, k: int, *, alone: bool) -> TopLabels:
        """Candidates, their features, the ranker's scores.

        alone: one title, which must be answered in milliseconds: fewer labels are looked up, and where no ranker needs
        spare ones it is the quantised classifiers that are searched all the same.
        """
        if self.config.model.shortlister == "clusters":
            return TopLabels(*beam_search(self.ensemble, points.features_QV, k, np.ones(len(self.label_ids_L), bool)))
        index = self.ensemble.index if self.ranker is None and not alone else self.ensemble.quick_index
        count = k if self.ranker is None else max(CANDIDATES, 2 * k)
        wanted = count, SPARE if alone else count, self.config.co_click_weight, index
        if self.ranker is None:
            return TopLabels(*best_of_rows(*candidates(points, *wanted), k))
        labels_QC = candidates_to_rank(points, *wanted)
        features_QCF = features_of(points, labels_QC, self.ranker.features)
        return TopLabels(*best_of_rows(labels_QC, self.ranker.scores(features_QCF), k))

    def save(self, folder: Path) -> None:
        """Write the model's files and manifest.json, with the hash of each; whatever stood there before goes last."""
        if distributed.rank():
            return
        staging = folder.with_name(f"{folder.name}.writing")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        self.config.save(staging / "config.json")
        self.ensemble.save(staging)
        self.co_clicks.save(staging)
        if self.ranker is not None:
            self.ranker.save(staging / RANKER)
        if self.vocabulary is not None:
            self.vocabulary.save(staging)
        encoder = self._write_sentences(staging)
        sp.save_npz(staging / "labels.npz", self.co_clicks.labels_LV)
        np.savez(staging / "label_ids.npz", allow_pickle=False, **pack("ids", self.label_ids_L))
        (staging / "training.json").write_text(json.dumps([epoch._asdict() for epoch in self.history], indent=1) + "\n")
        files = sorted(file for file in staging.rglob("*") if file.is_file())
        manifest = {
            "files": {str(file.relative_to(staging)): hash_of_bytes(file.read_bytes()) for file in files},
            "config_hash": hash_of_bytes((staging / "config.json").read_bytes()),
            "data_hash": self.data_hash,
            "seed": self.config.model.seed,
            **(self.parts.described if self.parts else {}),
            "text_encoder": self._encoder_record(encoder),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        }
        (staging / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)

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
        labels_LV, config = sp.load_npz(folder / "labels.npz").tocsr(), RecommenderConfig.load(folder / "config.json")
        co_clicks, record = CoClickScores.load(folder, labels_LV), manifest.get("text_encoder") or {}
        sentences = None
        if record.get("kept"):
            named = str(folder / ENCODER) if config.text_encoder_epochs else config.text_encoder
            encoder = SentenceEncoder.of(named, choose_device(device))
            encoder.check(record["fingerprint"])
            sentences = Sentences.load(folder, encoder, co_clicks.votes)
        names = WITH_SENTENCES if sentences else NAMES
        with np.load(folder / "label_ids.npz", allow_pickle=False) as file:
            ids = unpack("ids", file, "fit the model again")
        return cls(
            config,
            Ensemble.load(folder, labels_LV, choose_device(device)),
            co_clicks,
            Ranker.load(folder / RANKER, names) if RANKER in manifest["files"] else None,
            Vocabulary.load(folder) if "vocabulary.npz" in manifest["files"] else None,
            ids,
            manifest["data_hash"],
            [Epoch(**epoch) for epoch in json.loads((folder / "training.json").read_text())],
            WordParts.of(manifest),
            sentences=sentences,
            gain=Gain(record["ndcg"], record["error"]) if "ndcg" in record else None,
        )

    def _write_sentences(self, folder: Path) -> SentenceEncoder | None:
        """The vectors, and the encoder where it was fine-tuned; the one that reads them again, None without one."""
        if self.sentences is None:
            return None
        self.sentences.save(folder)
        encoder = self.sentences.encoder
        return encoder.save(folder / ENCODER) if self.config.text_encoder_epochs else encoder

    def _encoder_record(self, encoder: SentenceEncoder | None) -> dict[str, str | float | bool] | None:
        """For the manifest: which encoder was asked for, whether it stays and what it brought; None without one.

        Where there was no ranker to learn what it is worth, it does not stay, and brought nothing.
        """
        if not self.config.text_encoder:
            return None
        gain = self.gain._asdict() if self.gain else {}
        of_encoder = {"fingerprint": encoder.fingerprint} if encoder else {}
        return {"name": self.config.text_encoder, "kept": encoder is not None, **gain, **of_encoder}

    def __repr__(self) -> str:
        return f"Recommender({self.ensemble!r})"

    @cached_property
    def _attention(self) -> Floats:
        return attention_of(self.ensemble.members[0].classifier.model, self.ensemble.texts)

    @cached_property
    def _ids(self) -> list[str]:
        return self.label_ids_L.tolist()

    def _neighbours(self, label: int) -> dict[str, float]:
        edges = self.ensemble.texts.edges_LL
        row = slice(edges.indptr[label], edges.indptr[label + 1])
        heaviest = sorted(zip(edges.data[row].tolist(), edges.indices[row].tolist(), strict=True), reverse=True)
        return {self._ids[other]: weight for weight, other in heaviest if other != label}

    def _co_clicked_with(self, point: EncodedPoints) -> list[tuple[str, float, set[int]]]:
        """The labels similar to one point: id, weight, and the labels that each was clicked together with."""
        co_clicks, (_, labels, weights) = self.co_clicks.co_clicks_LL, point.similar_labels
        return [
            (
                self._ids[label],
                weight,
                set(co_clicks.indices[co_clicks.indptr[label] : co_clicks.indptr[label + 1]].tolist()),
            )
            for label, weight in zip(labels.tolist(), weights.tolist(), strict=True)
        ]


def _row_count(texts: TitlesOrFeatures) -> int:
    return int(texts.shape[0]) if isinstance(texts, sp.csr_matrix) else len(texts)


def _titles(texts: TitlesOrFeatures) -> Sequence[str]:
    if isinstance(texts, sp.csr_matrix):
        raise ValueError("text_encoder reads titles, got ready features: pass titles or leave it empty")
    return texts


def _reader(
    points: TitlesOrFeatures, labels: TitlesOrFeatures, name: str, device: torch.device
) -> SentenceReader | None:
    """The named encoder beside all titles; None where none is named."""
    return SentenceReader(SentenceEncoder.of(name, device), _titles(points), _titles(labels)) if name else None


def _features(texts: TitlesOrFeatures, vocabulary: Vocabulary | None) -> sp.csr_matrix:
    if isinstance(texts, sp.csr_matrix):
        if texts.nnz and not texts.data.min() >= 0:
            entry = int(np.argmin(texts.data >= 0))
            row = int(np.searchsorted(texts.indptr, entry, side="right")) - 1
            raise ValueError(
                f"features must be numbers of 0 or more, got {texts.data[entry]} in row {row}, "
                f"column {texts.indices[entry]}: correct or leave out this entry"
            )
        features = texts.copy()  # scaled rows share their columns with what they were scaled from
        features.eliminate_zeros()
        return normalise_rows(features)
    if vocabulary is None:
        raise ValueError("this model was fitted on ready features and knows no words: pass features, not titles")
    return vocabulary.features(texts)


def _token_names(vocabulary: Vocabulary | None, texts: sp.csr_matrix) -> Strings:
    """Names of the columns; ready features have their numbers."""
    return strings(map(str, range(texts.shape[1]))) if vocabulary is None else vocabulary.tokens_V
