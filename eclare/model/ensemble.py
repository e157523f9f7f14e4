"""What training ends with: models whose scores are averaged (ECLARE, section 4.5), each with clusters of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from eclare.arrays.csr import Floats
from eclare.arrays.products import keep_heaviest
from eclare.arrays.tfidf import normalise_rows
from eclare.model.clusters import Clusters
from eclare.model.config import ECLAREConfig
from eclare.model.data import Texts
from eclare.model.exact_index import Index
from eclare.model.inference import build_index, build_quick_index, classifiers_of, encoded_by
from eclare.model.label_graph import LabelGraph, normalised_edges
from eclare.model.network import ECLARE

META_NEIGHBOURS = 10  # heaviest edges kept per meta-label, beside its self-loop


@dataclass(frozen=True, eq=False)
class Trained:
    """A model and the labels (or meta-labels) it was trained on: their texts and their graph."""

    model: ECLARE
    texts: Texts

    @cached_property
    def classifiers_LD(self) -> Floats:
        """All classifiers w_l."""
        return classifiers_of(self.model, self.texts)

    @cached_property
    def index(self) -> Index:
        """Inner-product search over them."""
        return build_index(self.classifiers_LD, self.model.device)


@dataclass(frozen=True, eq=False)
class Member:
    """Classifiers of labels and, where the config says "clusters", the shortlister of the meta-labels to look into."""

    classifier: Trained
    clusters: Clusters | None = None
    shortlister: Trained | None = None

    @property
    def over_clusters(self) -> tuple[Trained, sp.csr_matrix]:
        """The shortlister and which labels each of its meta-labels holds, C x L; raises ValueError without one."""
        if self.shortlister is None or self.clusters is None:
            shortlister = self.classifier.model.config.shortlister
            raise ValueError(
                f"beam search needs a model trained with shortlister 'clusters', this one has {shortlister!r}: "
                "train it with clusters, or search all labels"
            )
        return self.shortlister, self.clusters.members_CL

    def save(self, folder: Path) -> None:
        """Write classifiers and graph, and under shortlister/ the rest."""
        folder.mkdir(parents=True)
        self.classifier.model.save(folder)
        LabelGraph(self.classifier.texts.edges_LL).save(folder)
        if self.shortlister and self.clusters:
            below = folder / "shortlister"
            below.mkdir()
            self.shortlister.model.save(below)
            self.clusters.save(below)

    @classmethod
    def load(cls, folder: Path, labels_LV: sp.csr_matrix, device: torch.device) -> "Member":
        """Read what `save` wrote, beside the same label texts."""
        texts = Texts.of(labels_LV[:0], labels_LV, LabelGraph.load(folder))
        classifier = Trained(ECLARE.load(folder).to(device), texts)
        below = folder / "shortlister"
        if not below.exists():
            return cls(classifier)
        clusters = Clusters.load(below)
        return cls(classifier, clusters, Trained(ECLARE.load(below).to(device), meta_texts(texts, clusters)))


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Members trained on the same clicks with different seeds; their scores are averaged."""

    members: Sequence[Member]

    @property
    def config(self) -> ECLAREConfig:
        """How the first of them was trained."""
        return self.members[0].classifier.model.config

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.members[0].classifier.model.device

    @property
    def texts(self) -> Texts:
        """The labels and the graph of the first member."""
        return self.members[0].classifier.texts

    @property
    def parameters(self) -> int:
        """Numbers learnt, of all members."""
        models = [each.model for member in self.members for each in (member.classifier, member.shortlister) if each]
        return sum(parameter.numel() for model in models for parameter in model.parameters())

    def encode(self, points_NV: sp.csr_matrix) -> Floats:
        """Points, N x D of all members side by side, so that an inner product is the sum of the members'."""
        return np.hstack([encoded_by(member.classifier.model, points_NV) for member in self.members])

    @cached_property
    def classifiers_LD(self) -> Floats:
        """Classifiers side by side, over the number of members: inner products are the mean score."""
        return np.hstack([member.classifier.classifiers_LD for member in self.members]) / np.float32(len(self.members))

    @cached_property
    def index(self) -> Index:
        """Inner-product search over them."""
        return build_index(self.classifiers_LD, self.device)

    @cached_property
    def quick_index(self) -> Index:
        """The same over quantised classifiers, for scores that are computed again."""
        return build_quick_index(self.classifiers_LD, self.device)

    def save(self, folder: Path) -> None:
        """Write member_1/, member_2/, ..."""
        for number, member in enumerate(self.members, start=1):
            member.save(folder / f"member_{number}")

    @classmethod
    def load(cls, folder: Path, labels_LV: sp.csr_matrix, device: torch.device) -> "Ensemble":
        """Read what `save` wrote; raises FileNotFoundError where there is none."""
        found = sorted(folder.glob("member_*"), key=lambda path: int(path.name.removeprefix("member_")))
        if not found:
            raise FileNotFoundError(f"{folder} must hold member_1 and so on: it must be a folder that training wrote")
        return cls([Member.load(path, labels_LV, device) for path in found])

    def __repr__(self) -> str:
        first = self.members[0]
        clusters = f", {first.clusters!r}" if first.clusters else ""
        return f"Ensemble({len(self.members)} x {first.classifier.model!r}{clusters})"


def meta_texts(texts: Texts, clusters: Clusters) -> Texts:
    """Meta-labels: their text is the sum of their labels' texts, their graph C G C^T (ECLARE, section 4.4)."""
    members_CL = clusters.members_CL
    labels = normalise_rows(sp.csr_matrix(members_CL @ texts.labels_LV, dtype=np.float32))
    edges = sp.csr_matrix(members_CL @ texts.edges_LL @ members_CL.T)
    own = sp.diags_array(edges.diagonal())
    others = sp.csr_matrix(edges - own)
    others.eliminate_zeros()
    kept = sp.csr_matrix(keep_heaviest(others, META_NEIGHBOURS) + own)
    return Texts(texts.points_NV, labels, normalised_edges(kept))
