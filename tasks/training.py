"""What train_model trains, in its own process or as one of several that torchrun started (tasks/processes.py)."""

import json
import shutil
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import torch

from eclare.model import distributed
from eclare.model.config import ECLAREConfig
from eclare.model.loss_curve import plot_losses
from eclare.related.backtest import ranker_from
from eclare.related.candidates import worth_shortlists
from eclare.related.features import WITH_SENTENCES
from eclare.related.retraining import Learning, retrain
from eclare.related.snapshot import Snapshot
from tasks.errors import BadInput, NotReady
from tasks.model_config import load_cooccurrence, load_like_titles
from tasks.night import Night
from tasks.processes import work
from tasks.publish.lists import recommendable
from tasks.ranking import RANKER, choose_device, load_sentences, load_texts
from tasks.settings import Settings

# Others wait for the first while it makes examples. That a process has died is torchrun's to notice, that none gets
# anywhere is the step's limit of time.
PATIENCE = timedelta(days=1)
JOB, COUNTS = "job.json", "counts.json"


@dataclass(frozen=True)
class Job:
    """The night's folders to read, the one to fill, how to learn, where to go on after a kill, the setting DEVICE."""

    night: Night
    interactions: Path
    label_graph: Path
    model: Path
    checkpoints: Path
    learning: Learning
    device: str
    shard_labels: bool = False

    def save(self, folder: Path) -> None:
        """Write job.json, for other processes."""
        (folder / JOB).write_text(json.dumps(asdict(self), default=str))

    @classmethod
    def load(cls, folder: Path) -> "Job":
        """Read what `save` wrote."""
        values = json.loads((folder / JOB).read_text())
        night, learning = values.pop("night"), values.pop("learning")
        night["day"], learning["config"] = date.fromisoformat(night["day"]), ECLAREConfig(**learning["config"])
        values |= {name: Path(values[name]) for name in ("interactions", "label_graph", "model", "checkpoints")}
        return cls(night=Night(**night), learning=Learning(**learning), **values)


def learning_of(settings: Settings, config: ECLAREConfig) -> Learning:
    """How the models of this installation's nights learn."""
    return Learning(config, settings.goal, settings.half_life_days, settings.max_related)


def processes_of(settings: Settings) -> int:
    """How many train: TRAIN_PROCESSES, or one for each GPU that torch sees; raises NotReady where GPUs are missing."""
    wanted, device = settings.train_processes, choose_device(settings)
    if device.type == "cpu":
        return wanted or 1
    visible = torch.cuda.device_count()
    if wanted > visible:
        raise NotReady(
            f"TRAIN_PROCESSES is {wanted} and each needs a GPU of its own, torch sees {visible}: "
            f"run on a worker with {wanted} GPUs or set TRAIN_PROCESSES=0"
        )
    return wanted or visible


def train(job: Job) -> dict[str, float]:
    """Train, fit the ranker, fill the folder and return its counts; only the first of several processes does the last.

    All of them compute clicks and graphs alike, since all need them. The first alone makes the ranker's examples: they
    take memory, and all cores. Raises BadInput for a training that diverges.
    """
    device = distributed.choose_device(job.device)
    known = load_cooccurrence(job.interactions).until(job.night.held_out_days)
    texts, like_PP = load_texts(job.label_graph), load_like_titles(job.label_graph)
    with distributed.process_group(device, PATIENCE):
        first = not distributed.rank()
        sentences = load_sentences(job.label_graph) if first else None
        try:
            made = retrain(
                known, texts, like_PP, job.learning, device,
                checkpoints=job.checkpoints, shard_labels=job.shard_labels, sentences=sentences,
            )  # fmt: skip
        except FloatingPointError as error:
            raise BadInput(f"the model of night {job.night} did not learn: {error}") from error
    if not first:
        return {}
    made.ensemble.save(job.model)
    allowed = recommendable(pq.read_table(job.interactions / "products.parquet"))
    snapshot = Snapshot(known, texts.labels_LV, like_PP, made.ensemble, allowed)
    if worth_shortlists(snapshot):  # all steps that rank, and all shards, need the same
        snapshot.token_shortlists.save(job.model)
    ranker = ranker_from(made.examples, job.learning.goal, job.learning.config.seed)
    ranker.save(job.model / RANKER)
    (job.model / "training.json").write_text(json.dumps([epoch._asdict() for epoch in made.history]) + "\n")
    plot_losses(made.history, job.model / "losses.png")
    shutil.rmtree(job.checkpoints, ignore_errors=True)
    of_encoder = {} if sentences is None else {"text_encoder_kept": float(ranker.features == WITH_SENTENCES)}
    return {
        "parameters": made.ensemble.parameters,
        "epochs": len(made.history),
        "ranker_examples": sum(map(len, made.examples)),
    } | of_encoder


def train_of(folder: Path) -> None:
    """The part of one of several processes: the job in a folder, to which the first adds its counts."""
    counts = train(Job.load(folder))
    if counts:
        (folder / COUNTS).write_text(json.dumps(counts))


if __name__ == "__main__":
    work(train_of)
