"""train_model in two processes on a CPU, and what becomes of them when one of them or the step dies."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch

from eclare.related.retraining import Learning
from tasks import training
from tasks.errors import BadInput, NotReady
from tasks.model_config import read_config
from tasks.night import Night
from tasks.processes import start
from tasks.run import run
from tasks.settings import ROOT
from tasks.training import Job, processes_of
from tests.made_shops import sessions_of_groups
from tests.tasks.steps.test_train_model import DAY, QUICK, make_interactions, same_group, with_config

SHOP = sessions_of_groups(groups=6, products_per_group=8, days=40)
ENDLESS = QUICK | {"epochs": 100_000}


@pytest.fixture
def settings(settings):
    changed = {"held_out_days": 2, "window_days": 60, "top_k": 5, "device": "cpu", "train_processes": 2}
    return with_config(settings.model_copy(update=changed), QUICK)


def started_by(process: psutil.Process) -> list[psutil.Process]:
    """torchrun and the two that train, in this order, once they are all there; other children are none of them."""
    found: list[psutil.Process] = []

    def are_there() -> bool:
        found[:] = [child for child in process.children(recursive=True) if trains(child)]
        return len(found) == 3

    until(are_there, every=0.3)  # to look at all processes of the machine takes a core
    return found


def trains(process: psutil.Process) -> bool:
    try:
        return "tasks.training" in process.cmdline()
    except psutil.Error:
        return False


def until(holds: Callable[[], bool], seconds: float = 60, every: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(every)


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_absent(night: Night, settings) -> bool:
    """Whether neither the artefact nor a part of it stands there."""
    return not list(Path(settings.storage_url, night.artefact("model")).parent.glob("model*"))


def meanwhile(act: Callable[[], None]) -> Future[None]:
    """An act beside the test, whose failure is the test's once it asks for its result."""
    return ThreadPoolExecutor(1).submit(act)


@pytest.mark.slow
def test_two_processes_learn_as_well_as_one_and_the_first_one_s_log_is_the_step_s(settings, caplog) -> None:
    night = make_interactions(SHOP, settings)
    caplog.set_level(logging.INFO)
    together = run("train_model", DAY, settings)
    logged = [record.message for record in caplog.records if "epoch 3 of 3: loss" in record.message]
    assert len(logged) == 1, "of the first cut-off, by the first process alone"
    same_together = same_group(SHOP, night, settings)
    alone = run("train_model", DAY, settings.model_copy(update={"train_processes": 1}))
    assert together == alone
    assert same_together == pytest.approx(same_group(SHOP, night, settings), abs=0.05)
    assert min(same_together) > 0.9
    assert not (settings.state_folder / "checkpoints" / DAY).exists()


@pytest.mark.slow
def test_a_killed_process_ends_the_step_and_the_next_try_goes_on_where_it_was(settings, caplog) -> None:
    caplog.set_level(logging.INFO)
    night, settings = make_interactions(SHOP, settings), with_config(settings, QUICK | {"epochs": 20})
    settings = settings.model_copy(update={"shard_label_table": True})
    started = []

    def kill_the_last() -> None:
        started.extend(started_by(psutil.Process()))
        until(lambda: list(settings.state_folder.glob("checkpoints/*/*/*.safetensors")))
        started[-1].kill()

    killer = meanwhile(kill_the_last)
    with pytest.raises(NotReady, match=r"one of 2 processes died without a word.*run the step again"):
        run("train_model", DAY, settings)
    killer.result()
    assert all(map(has_ended, started)) and is_absent(night, settings)
    assert "SIGKILL" in caplog.text and "goes on after" not in caplog.text
    assert "2 processes share the label table out, 24 rows each" in caplog.text
    run("train_model", DAY, settings)
    assert "goes on after epoch 10 of 10" in caplog.text


@pytest.mark.slow
def test_a_training_that_diverges_is_refused_as_in_one_process(settings) -> None:
    night = make_interactions(SHOP, settings)
    with pytest.raises(BadInput, match=rf"the model of night {DAY} did not learn: the loss of .* lower learning_rate"):
        run("train_model", DAY, with_config(settings, QUICK | {"learning_rate": 1e30}))
    assert is_absent(night, settings)


@pytest.mark.slow
def test_an_error_that_nobody_foresaw_is_told_and_logged(tmp_path, caplog) -> None:
    with pytest.raises(RuntimeError, match=r"one of 2 processes failed.*FileNotFoundError: .*job\.json"):
        start("tasks.training", tmp_path, 2)
    assert "Job.load" in caplog.text, "where it happened"


class Ended(BaseException):
    pass


@pytest.mark.slow
def test_a_step_that_is_told_to_end_ends_its_processes(settings) -> None:
    night, settings = make_interactions(SHOP, settings), with_config(settings, ENDLESS)
    started = []

    def raise_ended(*_: object) -> None:
        raise Ended

    def tell() -> None:
        try:
            started.extend(started_by(psutil.Process()))
        finally:
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, raise_ended)  # as Airflow ends a task
    teller = meanwhile(tell)
    try:
        with pytest.raises(Ended):
            run("train_model", DAY, settings)
    finally:
        signal.signal(signal.SIGUSR1, before)
    teller.result()
    assert all(map(has_ended, started)) and is_absent(night, settings)


@pytest.mark.slow
def test_a_killed_step_leaves_no_process_behind(settings) -> None:
    make_interactions(SHOP, settings)
    given = {"HELD_OUT_DAYS": "2", "WINDOW_DAYS": "60", "DEVICE": "cpu", "TRAIN_PROCESSES": "2"}
    environment = os.environ | given | {"ECLARE_CONFIG": str(with_config(settings, ENDLESS).eclare_config)}
    command = [sys.executable, "-m", "tasks", "train_model", "--night", DAY]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as step:
        started = started_by(psutil.Process(step.pid))
        assert step.stderr is not None
        assert any("epoch 2 of 50000" in line for line in step.stderr), "it trains"
        step.kill()
    until(lambda: all(map(has_ended, started)))


def test_a_process_is_told_its_job_as_the_step_has_it(settings, tmp_path) -> None:
    learning = Learning(replace(read_config(settings), dropout=0), "basket", 45.0, 100)
    folders = [tmp_path / name for name in ("interactions", "label_graph", "model", "checkpoints")]
    job = Job(Night.of(DAY, settings), *folders, learning, "cpu")
    job.save(tmp_path)
    told = Job.load(tmp_path)
    assert told == job
    assert told.learning.config.hash == learning.config.hash


def test_one_process_trains_on_a_cpu_and_one_on_each_gpu(settings, monkeypatch) -> None:
    of = {wanted: settings.model_copy(update={"train_processes": wanted}) for wanted in (0, 1, 2, 3)}
    assert [processes_of(each) for each in of.values()] == [1, 1, 2, 3]
    monkeypatch.setattr(training, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [processes_of(of[wanted]) for wanted in (0, 1, 2)] == [2, 1, 2]
    with pytest.raises(NotReady, match="TRAIN_PROCESSES is 3 and each needs a GPU of its own, torch sees 2"):
        processes_of(of[3])
