"""A whole night through Redis, Celery and both queues, and what becomes of it when one of the processes dies."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.run import run
from tasks.stores.artefacts import Storage
from tests.local.topology import INGESTED, NightRun, Topology
from tests.nights import rows_of
from tests.small_shop import GROUP_OF, IDS, NIGHT

pytestmark = pytest.mark.slow

OF_THE_GPU = {"train_model", "evaluate_model", "rank_products", "recommend_products"}
LIVE = "select version_id, count(*) from current_recommendations group by version_id"
PATIENCE_SECONDS = 150


def test_a_night_goes_through_both_queues(night_run: NightRun) -> None:
    tasks = night_run.tasks
    of_the_gpu = [task["task_id"] for task in tasks if task["queue"] == "gpu"]
    assert set(of_the_gpu) == OF_THE_GPU
    assert {task["state"] for task in tasks} == {"success"}
    assert {task["try_number"] for task in tasks} == {1}
    assert night_run.taken_by["gpu"] == len(of_the_gpu)
    assert night_run.taken_by["default"] == len(night_run.ingested) + len(tasks) - len(of_the_gpu)


def test_its_tasks_return_what_they_counted(night_run: NightRun) -> None:
    assert {task["state"] for task in night_run.ingested} == {"success"}
    of_days = night_run.counts[: len(night_run.ingested)]
    for step, count, value in (
        ("ingest_catalogue", "products", len(IDS)), ("ingest_clicks", "accepted", 600),
        ("aggregate_clicks", "sessions", 150),
    ):  # fmt: skip
        assert [counts[count] for name, counts in of_days if name == step] == [value] * len(INGESTED)
    of_night = dict(night_run.counts[len(night_run.ingested) :])
    assert of_night["list_shards"] == ["1-of-2", "2-of-2"]
    assert sum(of_night[f"rank_products {shard}"]["products"] for shard in of_night["list_shards"]) == len(IDS)
    assert of_night["publish_recommendations"]["live"] == 1


def test_the_night_is_live_with_products_of_the_same_group(night_run: NightRun) -> None:
    first = [(product, related) for product, rank, related, _ in night_run.live if rank == 1]
    assert {product for product, _ in first} == {product for product, *_ in night_run.live} == set(IDS)
    assert {night for *_, night in night_run.live} == {NIGHT}
    assert sum(GROUP_OF[product] == GROUP_OF[related] for product, related in first) > 0.95 * len(first)


def test_open_telemetry_is_told_how_long_each_task_took(night_run: NightRun, collected: tuple[str, dict]) -> None:
    _, figures = collected
    assert {f"task_id={task}" for task in OF_THE_GPU} <= figures["airflow.task.duration"]


class DyingNight:
    """A night whose training is held until all have died, watched by one who reads the live version all the while."""

    def __init__(self, topology: Topology) -> None:
        self.topology, self.settings = topology, topology.settings
        assert self.settings.eclare_config
        # Another model than the live one, of more epochs than attempts: each attempt waits at its next epoch.
        self.settings.eclare_config.write_text('{"epochs": 7}')
        topology.hold_training.touch()
        self.before, self.live = rows_of(self.settings, LIVE), set()
        request = {"logical_date": None, "conf": {"night": str(NIGHT)}}
        self.api = topology.airflow.api("op")
        self.run = self.api.call("POST", "dags/refresh_recommendations/dagRuns", json=request)["dag_run_id"]

    def tasks(self) -> dict[str, Any]:
        """The task instances by name; none while the API is away."""
        try:
            path = f"dags/refresh_recommendations/dagRuns/{self.run}"
            return {task["task_id"]: task for task in self.api.task_instances(path, {})}
        except (NotReady, BadInput):
            return {}

    def until(self, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Read what is live, restart what died, and return the task instances once they are as awaited."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (tasks := self.tasks()) or not reached(tasks):
            assert time.monotonic() < deadline, {name: task["state"] for name, task in tasks.items()}
            self.topology.restart_what_ended()
            for _ in range(3):  # a reader costs less than Airflow's answer
                self.look()
                time.sleep(0.3)
        return tasks

    def look(self) -> None:
        with suppress(NotReady):  # the database died a moment ago
            self.live.add(tuple(rows_of(self.settings, LIVE)))

    def in_training(self, attempt: int) -> dict[str, Any]:
        """The task instance of training once this attempt at it, or a later one, has written a checkpoint."""

        def reached(tasks: dict[str, Any]) -> bool:
            training = tasks["train_model"]
            if training["state"] != "running" or training["try_number"] < attempt:
                return False
            began = datetime.fromisoformat(training["start_date"]).timestamp()  # earlier attempts' checkpoints stay
            return any(file.stat().st_mtime > began for file in checkpoints.rglob("*.safetensors"))

        checkpoints = self.settings.state_folder / "checkpoints" / str(NIGHT)
        return self.until(reached)["train_model"]

    def until_all_are_back(self) -> None:
        self.until(lambda _: not self.api.awaited())

    def end(self) -> None:
        """Let go of the training; the night goes well, and readers saw two whole versions."""
        self.topology.hold_training.unlink()
        tasks = self.until(lambda tasks: tasks["report_night"]["state"] in ("success", "failed", "upstream_failed"))
        assert {name: task["state"] for name, task in tasks.items()} == dict.fromkeys(tasks, "success")
        after = rows_of(self.settings, LIVE)
        assert len(after) == len(self.before) == 1 and after != self.before
        assert self.live <= {tuple(self.before), tuple(after)}

    def log_of(self, task: str, attempt: int) -> str:
        """What an attempt at a task logged."""
        log = f"logs/**/run_id={self.run}/task_id={task}/attempt={attempt}.log"
        return next(self.topology.airflow.home.glob(log)).read_text()


def test_a_night_and_its_readers_outlive_each_process_and_the_model_is_the_same(
    topology: Topology, night_run: NightRun
) -> None:
    """Killed one after the other in one training, each once the one before it is back."""
    night = DyingNight(topology)
    night.in_training(attempt=1)
    topology.kill("worker gpu")
    assert night.in_training(attempt=2)["try_number"] == 2
    for name in ("scheduler", "api-server", "database"):
        night.in_training(attempt=2)
        topology.kill(name)
        night.until_all_are_back()
    night.in_training(attempt=2)
    night.end()
    assert "where an earlier try ended" in night.log_of("train_model", attempt=2)
    storage, model = Storage(topology.settings.storage_url), Night.of(str(NIGHT), topology.settings).artefact("model")
    resumed = storage.read(model).hash
    run("train_model", str(NIGHT), topology.settings)
    assert storage.read(model).hash == resumed
