"""Checkpoints that a thread writes while training goes on."""

import threading
from pathlib import Path

import pytest
import torch

from eclare.model.checkpoint import Checkpoint, CheckpointWriter, Epoch, Progress


class Trained:
    """A training whose weights are the number of its epochs."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(2, 2, bias=False)
        self.optimisers = [torch.optim.Adam(self.model.parameters())]
        self.progress = Progress()

    def epoch(self) -> None:
        number = len(self.progress.epochs) + 1
        self.progress.epochs.append(Epoch("train", number, 0.0, None))
        with torch.no_grad():
            self.model.weight.fill_(number)

    @property
    def state(self) -> tuple:
        return self.model, self.optimisers, self.progress


def read(checkpoint: Checkpoint) -> tuple[int, float]:
    """How many epochs the file knows, and the weight in it."""
    training = Trained()
    progress = checkpoint.read(training.model, training.optimisers)
    return len(progress.epochs), training.model.weight[0, 0].item()


@pytest.fixture
def held(monkeypatch) -> dict[str, threading.Event]:
    """Writing waits until it may."""
    events = {"begun": threading.Event(), "may": threading.Event()}
    write = Checkpoint.write

    def slowly(self, state) -> None:
        events["begun"].set()
        assert events["may"].wait(10)
        write(self, state)

    monkeypatch.setattr(Checkpoint, "write", slowly)
    return events


def test_what_is_written_is_the_epoch_that_ended_and_the_last_one_is_waited_for(tmp_path, held) -> None:
    checkpoint, training = Checkpoint(tmp_path / "file", "mine", minutes=0), Trained()
    with CheckpointWriter(checkpoint) as writer:
        training.epoch()
        writer.after_epoch(*training.state)
        assert held["begun"].wait(10)
        training.epoch()  # the first is being written
        writer.after_epoch(*training.state)
        training.epoch()
        assert not checkpoint.file.exists()
        held["may"].set()
        writer._writing.result()
        assert read(checkpoint) == (1, 1), "not the second: one at a time"
        writer.at_end(*training.state)
        assert read(checkpoint) == (3, 3)


def test_a_training_that_fails_waits_for_what_is_being_written(tmp_path, held) -> None:
    checkpoint, training = Checkpoint(tmp_path / "file", "mine", minutes=0), Trained()
    with pytest.raises(KeyError), CheckpointWriter(checkpoint) as writer:
        training.epoch()
        writer.after_epoch(*training.state)
        training.epoch()
        held["may"].set()
        raise KeyError
    assert read(checkpoint) == (1, 1)


def test_epochs_shorter_than_the_minutes_are_not_all_written(tmp_path, monkeypatch) -> None:
    now = [0.0]
    monkeypatch.setattr("eclare.model.checkpoint.time.monotonic", lambda: now[0])
    checkpoint, training, written = Checkpoint(tmp_path / "file", "mine", minutes=5), Trained(), []
    monkeypatch.setattr(Checkpoint, "write", lambda _, state: written.append(len(state.epochs)))
    with CheckpointWriter(checkpoint) as writer:
        for minutes in (2, 4, 6, 8, 10, 13, 18, 20):
            now[0] = 60.0 * minutes
            training.epoch()
            writer.after_epoch(*training.state)
            if writer._writing:
                writer._writing.result()
        assert written == [3, 6, 7]
        writer.at_end(*training.state)
        writer.at_end(*training.state)
    assert written == [3, 6, 7, 8]


@pytest.mark.parametrize("where", ["next", "end"])
def test_a_disk_that_is_full_is_told_and_the_old_file_stays(tmp_path, monkeypatch, where) -> None:
    checkpoint, training = Checkpoint(tmp_path / "file", "mine", minutes=0), Trained()
    training.epoch()
    with CheckpointWriter(checkpoint) as writer:
        writer.at_end(*training.state)

    def full(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    training.epoch()
    with CheckpointWriter(checkpoint) as writer:
        writer.after_epoch(*training.state)
        writer._thread.submit(int).result()  # the thread is through with it
        with pytest.raises(OSError, match="no space left"):
            (writer.after_epoch if where == "next" else writer.at_end)(*training.state)
    assert read(checkpoint) == (1, 1)


def test_without_a_checkpoint_nothing_is_written() -> None:
    training = Trained()
    training.epoch()
    with CheckpointWriter(None) as writer:
        writer.after_epoch(*training.state)
        writer.at_end(*training.state)
    assert writer._writing is None
