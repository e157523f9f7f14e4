"""train_model in two processes on a CPU, as torchrun starts them, and what becomes of them when one or the step dies."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
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


def workers() -> list[psutil.Process]:
    """The processes of any training on this machine that this test's process started, without torchrun's own."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.NoSuchProcess:
            continue
        if "tasks.training" in words and "torch.distributed.run" not in words:
            found.append(process)
    return found


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)


def nothing_is_left_of(night: Night, settings) -> None:
    assert not list(Path(settings.storage_url, night.artefact("model")).parent.glob("model*"))


@pytest.mark.slow
def test_two_processes_learn_as_well_as_one_and_the_first_one_s_log_is_the_step_s(settings, caplog) -> None:
    caplog.set_level(logging.INFO)
    night = make_interactions(SHOP, settings)
    together = run("train_model", DAY, settings)
    logged = [record.message for record in caplog.records]
    assert len([line for line in logged if re.match(r"all 0, epoch 6 of 6|.*epoch 2 of 2", line)])
    assert len(logged) == len(set(logged)), "each line once"
    known_together, new_together = same_group(SHOP, night, settings)
    alone = run("train_model", DAY, settings.model_copy(update={"train_processes": 1}))
    known, new = same_group(SHOP, night, settings)
    assert together == alone
    assert (known_together, new_together) == pytest.approx((known, new), abs=0.05)
    assert min(known_together, new_together) > 0.9
    assert not (settings.state_folder / "checkpoints" / DAY).exists()


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_the_next_try_goes_on_where_it_was(settings) -> None:
    night = make_interactions(SHOP, settings)
    endless = with_config(settings, ENDLESS)

    def kill_one() -> None:
        until(lambda: len(workers()) == 2)
        time.sleep(5)
        workers()[1].kill()

    threading.Thread(target=kill_one).start()
    with pytest.raises(NotReady, match="one of 2 processes was killed"):
        run("train_model", DAY, endless)
    assert not psutil.Process().children(recursive=True) or not workers()
    nothing_is_left_of(night, settings)


@pytest.mark.slow
def test_a_training_that_diverges_is_refused_as_in_one_process(settings) -> None:
    night = make_interactions(SHOP, settings)
    with pytest.raises(BadInput, match=rf"the model of night {DAY} did not learn: the loss of .* lower learning_rate"):
        run("train_model", DAY, with_config(settings, QUICK | {"learning_rate": 1e30}))
    assert not workers()
    nothing_is_left_of(night, settings)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_step_that_is_killed_leaves_no_process(settings, how) -> None:
    make_interactions(SHOP, settings)
    settings = with_config(settings, ENDLESS)
    environment = os.environ | {
        "HELD_OUT_DAYS": "2", "WINDOW_DAYS": "60", "DEVICE": "cpu", "TRAIN_PROCESSES": "2",
        "ECLARE_CONFIG": str(settings.eclare_config),
    }  # fmt: skip
    command = [sys.executable, "-m", "tasks", "train_model", "--night", DAY]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as step:
        until(lambda: len(workers()) == 2)
        started = psutil.Process(step.pid).children(recursive=True)
        assert len(started) == 3, "torchrun and two processes"
        step.send_signal(how)
    _, alive = psutil.wait_procs(started, timeout=40)
    assert not alive


def test_a_process_is_told_its_job_as_the_step_has_it(settings, tmp_path) -> None:
    learning = Learning(replace(read_config(settings), dropout=0), "basket", 45.0, 100)
    folders = [tmp_path / name for name in ("interactions", "label_graph", "model", "checkpoints")]
    job = Job(Night.of(DAY, settings), *folders, learning, "cpu")
    job.save(tmp_path)
    told = Job.load(tmp_path)
    assert told == job
    assert told.learning.config.hash == learning.config.hash


def test_one_process_trains_on_a_cpu_and_one_for_each_gpu(settings, monkeypatch) -> None:
    of = {wanted: settings.model_copy(update={"train_processes": wanted}) for wanted in (0, 1, 2, 3)}
    assert [processes_of(of[wanted]) for wanted in of] == [1, 1, 2, 3]
    monkeypatch.setattr(training, "choose_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [processes_of(of[wanted]) for wanted in (0, 1, 2)] == [2, 1, 2]
    with pytest.raises(NotReady, match="TRAIN_PROCESSES is 3 and each needs a GPU of its own, torch sees 2"):
        processes_of(of[3])


@pytest.mark.slow
def test_an_error_that_nobody_foresaw_is_told(tmp_path) -> None:
    with pytest.raises(RuntimeError, match=r"one of 2 processes failed.*FileNotFoundError: .*job\.json"):
        start("tasks.training", tmp_path, 2)
