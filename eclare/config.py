"""How ECLARE learns: its hyper-parameters, checked once, saved as JSON beside the weights."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

_POSITIVE = (
    "embedding_dim", "walk_length", "graph_neighbours", "head_label_points", "epochs", "batch_size",
    "positives_per_point", "negatives_per_batch", "learning_rate", "halve_learning_rate_every",
)  # fmt: skip


@dataclass(frozen=True)
class ECLAREConfig:
    """Hyper-parameters of one model (Mittal et al., WWW 2021, section 4 and appendix A).

    Raises ValueError, naming the option, for a value that cannot work.
    """

    embedding_dim: int = 128  # D, size of token, point and label embeddings

    walk_length: int = 400  # steps of the random walk that starts at each label
    restart_probability: float = 0.8  # chance that a step goes back to the label it started from
    graph_neighbours: int = 10  # heaviest edges kept per label, beside its self-loop
    head_label_points: int = 500  # labels with more points are cut out of the walk

    use_graph: bool = True  # the ablations of the paper's section 5: without neighbours' texts,
    use_label_text: bool = True  # without the label's own text,
    use_refinement: bool = True  # without a free vector a label,
    use_attention: bool = True  # with the plain sum of these three views

    weighting: str = "clicks"  # "clicks": heavier clicks count more; "paper": every clicked pair counts the same
    label_point_targets: int = 20  # co-occurring labels that a label's own text learns to find; 0: texts are no points
    evidence_weight: float = 0.5  # of observed co-clicks beside the model's score; 0: the model alone

    loss: str = "softmax"  # "softmax": over the labels of a step; "bce": binary cross-entropy, the paper's
    dropout: float = 0.2
    epochs: int = 10
    batch_size: int = 256  # points a step
    positives_per_point: int = 16  # clicked labels drawn per point and step
    negatives_per_batch: int = 2048  # further labels drawn per step, shared by its points
    learning_rate: float = 0.005
    halve_learning_rate_every: int = 5  # epochs

    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not field.type and not (field.type is float and type(value) is int):
                raise ValueError(f"{field.name} must be {field.type.__name__}, got {value!r}")  # type: ignore[union-attr]
        for name, known in (("loss", ("softmax", "bce")), ("weighting", ("clicks", "paper"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be {' or '.join(known)}, got {getattr(self, name)!r}")
        if not self.views:
            raise ValueError(
                "use_graph, use_label_text and use_refinement are all off: a label needs at least one view"
            )
        for name in ("label_point_targets", "evidence_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("restart_probability", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    @property
    def views(self) -> tuple[str, ...]:
        """Which embeddings of a label its classifier mixes."""
        used = {"text": self.use_label_text, "graph": self.use_graph, "refinement": self.use_refinement}
        return tuple(view for view, is_used in used.items() if is_used)

    def save(self, file: Path) -> None:
        """Write every option as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> "ECLAREConfig":
        """Read options from JSON, defaults for those left out; raises ValueError for one that does not exist."""
        options = json.loads(file.read_text())
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(options) - known)
        if unknown:
            raise ValueError(f"{file} has no such option: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        return cls(**options)
