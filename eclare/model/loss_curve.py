"""Pictures of a training."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from eclare.model.checkpoint import Epoch


def plot_losses(history: "Sequence[Epoch]", file: Path) -> None:
    """Training loss by epoch of every stage and, where there were validation points, their nDCG@5; writes a PNG."""
    from matplotlib.figure import Figure  # half a second to load, and every process that trains would

    figure = Figure(figsize=(8, 4), layout="constrained")
    draw_losses(history, figure.subplots())
    figure.savefig(file, dpi=120)


def draw_losses(history: "Sequence[Epoch]", losses: "Axes") -> None:
    """The same, drawn into `losses`."""
    losses.set(xlabel="epoch", ylabel="training loss")
    if any(epoch.validation is not None for epoch in history):
        judged = losses.twinx()
        judged.set_ylabel("validation nDCG@5 (dashed)")
    for name, group in groupby(history, key=lambda epoch: epoch.stage):
        epochs = list(group)
        (line,) = losses.plot([epoch.epoch for epoch in epochs], [epoch.loss for epoch in epochs], label=name)
        known = [(epoch.epoch, epoch.validation) for epoch in epochs if epoch.validation is not None]
        if known:
            judged.plot(*zip(*known, strict=True), linestyle="--", color=line.get_color())
    losses.legend()
