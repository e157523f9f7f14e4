"""Training, all at once (ours) or by the paper's stages (ECLARE, section 4.4).

I surrogate: token embeddings are learnt by finding meta-labels, without refinement. II the labels are clustered again
by what was learnt. III shortlister: classifiers of the new meta-labels. IV ranker (the paper's word): classifiers of
labels, each point scored against its own shortlist. I and III score all meta-labels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from eclare.arrays.fingerprint import hash_of_bytes, hash_of_matrices
from eclare.arrays.tfidf import normalise_rows
from eclare.model import distributed
from eclare.model.batches import Shortlist
from eclare.model.checkpoint import MINUTES, Checkpoint, Epoch
from eclare.model.clusters import Clusters, build_clusters, smoothed_centroids
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts, weighted
from eclare.model.ensemble import Ensemble, Member, Trained, meta_texts
from eclare.model.label_graph import LabelGraph, build_label_graph
from eclare.model.network import ECLARE, Bags
from eclare.model.search import best_clusters, chunks_of
from eclare.model.soft_targets import with_label_points
from eclare.model.training import Stage, TrainingData, run_stage

Start = Callable[[ECLARE], None]  # sets a fresh model to what an earlier one knew


@dataclass(frozen=True, eq=False)
class Training:
    """One training of one ensemble: what is learnt, where, and where it can be taken up again after a kill.

    clicks_NL: weighted clicks of the training points; texts: their titles and the labels' over the walked graph.
    checkpoints: folder for one file per stage, written at its end and, every `checkpoint_minutes` at most, after an
    epoch. shard_labels: as run_stage. starts: warm starts of the members, none for a cold one; origin: the hash of what
    they come from. history: every epoch run so far. title: of this training among several, for the log.
    """

    clicks_NL: sp.csr_matrix
    texts: Texts
    device: torch.device
    checkpoints: Path | None = None
    shard_labels: bool = False
    starts: tuple[Start, ...] = ()
    origin: str = ""
    checkpoint_minutes: float = MINUTES
    history: list[Epoch] = field(default_factory=list)
    title: str = ""

    def ensemble(self, config: ECLAREConfig) -> Ensemble:
        """Train all members.

        Raises ValueError without a single click, FloatingPointError when a loss stops being a number.
        """
        if config.shortlister == "clusters":
            return Ensemble(train_in_stages(self, config))
        return Ensemble([train_together(self, member) for member in members_of(config)])

    def run(self, model: ECLARE, data: TrainingData, stage: Stage) -> Trained:
        """One stage, from its checkpoint on where there is one of this very training."""
        name = f"{stage.name} {model.config.seed}"
        checkpoint = None
        if self.checkpoints:
            fingerprint = f"{model.config.hash} {self.data_hash} {self.origin} {stage}"
            checkpoint = Checkpoint(self.checkpoints / f"{name}.safetensors", fingerprint, self.checkpoint_minutes)
        named = stage._replace(name=name)
        epochs = run_stage(model, data, named, checkpoint, shard_labels=self.shard_labels, title=self.title)
        self.history.extend(epochs)
        return Trained(model, data.texts.without_points())

    @cached_property
    def data_hash(self) -> str:
        """Of clicks, titles and graph."""
        return hash_of_matrices([self.clicks_NL, self.texts.points_NV, self.texts.labels_LV, self.texts.edges_LL])

    def after(self, earlier: "Training", ensemble: Ensemble) -> "Training":
        """The same, started from the ensemble with which an earlier one over the same tokens and labels ended."""
        starts = tuple(partial(_take_over, member.classifier.model.state_dict()) for member in ensemble.members)
        origin = f"{earlier.origin} {earlier.data_hash} {ensemble.config.hash}"
        return replace(self, starts=starts, origin=hash_of_bytes(origin.encode()))

    def start(self, model: ECLARE) -> None:
        """Set a fresh model to what an earlier one knew, where there is one."""
        if self.starts:
            self.starts[model.config.seed % len(self.starts)](model)


def _take_over(state: dict[str, torch.Tensor], model: ECLARE) -> None:
    model.load_state_dict(state)


def train_together(training: Training, config: ECLAREConfig) -> Member:
    """Encoder and classifiers of all labels at once, negatives drawn: ours."""
    data = training_data_of(training, config)
    model = fresh_model(data.texts, config, training.device)
    training.start(model)
    stage = Stage("train", config.epochs, config.learning_rate, config.halve_learning_rate_every)
    return Member(training.run(model, data, stage))


def train_in_stages(training: Training, config: ECLAREConfig) -> list[Member]:
    """The paper's stages: surrogate, clusters anew and a pruned graph, shortlister, ranker (ECLARE, section 4.4).

    All members share the surrogate and the graph; each has clusters of its own.
    """
    data = training_data_of(training, config)
    clusters = build_clusters(
        smoothed_centroids(data.clicks_NL, data.texts.points_NV, data.texts.labels_LV, data.texts.edges_LL),
        points_of(training.clicks_NL),
        config,
    )
    surrogate = train_surrogate(training, data, clusters, config)
    data = replace(data, texts=data.texts.with_graph(prune_graph(training, surrogate, config)))
    return [train_over_clusters(training, data, surrogate, member) for member in members_of(config)]


def train_over_clusters(training: Training, data: TrainingData, surrogate: ECLARE, config: ECLAREConfig) -> Member:
    """One member: stages II, III and IV."""
    clusters = recluster(training, data, surrogate, config)
    shortlister = train_shortlister(training, data, clusters, surrogate, config)
    return Member(train_ranker(training, data, clusters, shortlister), clusters, shortlister)


def members_of(config: ECLAREConfig) -> list[ECLAREConfig]:
    """The options of every member of an ensemble, which differ in the seed."""
    return [replace(config, seed=seed) for seed in range(config.seed, config.seed + config.ensemble)]


def training_data_of(training: Training, config: ECLAREConfig) -> TrainingData:
    """Training points, and label points where the config wants them; a share of the points is kept to judge on."""
    clicks_NL, texts, validation = training.clicks_NL, training.texts, None
    kept = int(config.validation_share * clicks_NL.shape[0])
    if kept:
        order = np.random.default_rng(config.seed).permutation(clicks_NL.shape[0])
        judged, learnt = np.sort(order[:kept]), np.sort(order[kept:])
        if clicks_NL[judged].nnz:
            validation = texts.points_NV[judged], clicks_NL[judged]
            clicks_NL, texts = clicks_NL[learnt], texts.of_points(learnt)
    if config.label_point_targets:
        clicks_NL = with_label_points(clicks_NL, config.label_point_targets)
        texts = texts.with_label_points()
    return TrainingData(clicks_NL, texts, validation=validation)


def fresh_model(texts: Texts, config: ECLAREConfig, device: torch.device, tokens: ECLARE | None = None) -> ECLARE:
    """A model to train, its token embeddings taken over from another one where there is one."""
    torch.manual_seed(config.seed)
    model = ECLARE(texts.labels_LV.shape[1], texts.labels_LV.shape[0], config).to(device)
    if tokens is not None:
        model.tokens.load_state_dict(tokens.tokens.state_dict())
    model.start_refinement(Bags.of(texts.labels_LV, device), Bags.of(texts.edges_LL, device))
    return model


def train_surrogate(training: Training, data: TrainingData, clusters: Clusters, config: ECLAREConfig) -> ECLARE:
    """Stage I: learn token embeddings by finding meta-labels, without refinement where there is another view."""
    meta = over_clusters(data, clusters)
    only_refinement = config.views == ("refinement",)
    stage = Stage(
        "surrogate",
        config.surrogate_epochs,
        config.surrogate_learning_rate,
        config.halve_learning_rate_every,
        kept_at_first=config.halve_learning_rate_every,
    )
    model = fresh_model(meta.texts, replace(config, use_refinement=only_refinement), training.device)
    return training.run(model, meta, stage).model


def prune_graph(training: Training, surrogate: ECLARE, config: ECLAREConfig) -> LabelGraph:
    """Walk again, past labels whose text embeddings point away from each other (ECLARE, section 4.2)."""
    return build_label_graph(training.clicks_NL, config, _embedded(surrogate, training.texts.labels_LV))


def recluster(training: Training, data: TrainingData, surrogate: ECLARE, config: ECLAREConfig) -> Clusters:
    """Stage II: cluster labels again, by the learnt embeddings of their points, each of norm 1."""
    points, labels = (
        normalise_rows(sp.csr_matrix(_embedded(surrogate, texts)))
        for texts in (data.texts.points_NV, data.texts.labels_LV)
    )
    centroids = smoothed_centroids(data.clicks_NL, points, labels, data.texts.edges_LL)
    return build_clusters(centroids, points_of(training.clicks_NL), config)


def train_shortlister(
    training: Training, data: TrainingData, clusters: Clusters, surrogate: ECLARE, config: ECLAREConfig
) -> Trained:
    """Stage III: find the new meta-labels, token embeddings kept."""
    meta = over_clusters(data, clusters)
    model = fresh_model(meta.texts, config, training.device, surrogate)
    return training.run(model, meta, _fine("shortlister", config))


def train_ranker(training: Training, data: TrainingData, clusters: Clusters, shortlister: Trained) -> Trained:
    """Stage IV, the paper's ranker: classifiers of labels. What a point clicked outside its shortlist is not learnt."""
    config = shortlister.model.config
    model = fresh_model(data.texts, config, training.device, shortlister.model)
    return training.run(model, over_shortlists(data, clusters, shortlister), _fine("ranker", config))


def over_shortlists(data: TrainingData, clusters: Clusters, shortlister: Trained) -> TrainingData:
    """The same points, each scored against its own shortlist."""
    chunks = [data.texts.points_NV[chunk] for chunk in chunks_of(data.texts.points_NV.shape[0])]
    best = [best_clusters(shortlister, points_NV, shortlister.model.config) for points_NV in chunks]
    shortlist = Shortlist(sp.vstack(best, format="csr"), clusters.members_CL, data.texts.edges_LL)
    return replace(data, shortlist=shortlist)


def _fine(name: str, config: ECLAREConfig) -> Stage:
    return Stage(name, config.epochs, config.learning_rate, config.halve_learning_rate_every, config.freeze_tokens)


def over_clusters(data: TrainingData, clusters: Clusters) -> TrainingData:
    """The same points and clicks over meta-labels, all of which are scored."""
    clicks_NC = sp.csr_matrix(data.clicks_NL @ clusters.members_CL.T, dtype=np.float32)
    clicks_NC.sort_indices()
    return TrainingData(clicks_NC, meta_texts(data.texts, clusters), every_label=True)


@torch.no_grad()
def _embedded(model: ECLARE, texts: sp.csr_matrix) -> npt.NDArray[np.float32]:
    return np.asarray(model.embed(Bags.of(texts, model.device)).cpu().numpy())


def points_of(clicks_NL: sp.csr_matrix) -> npt.NDArray[np.int64]:
    """Points of every label, L."""
    return np.bincount(clicks_NL.indices, minlength=clicks_NL.shape[1])


def train(clicks_NL: sp.csr_matrix, texts: Texts, config: ECLAREConfig, device: torch.device) -> Ensemble:
    """Fit on weighted clicks, points x labels, as the config says; see Training for resuming and warm starts."""
    with distributed.process_group(device):
        return Training(weighted(clicks_NL, config), texts, device).ensemble(config)
