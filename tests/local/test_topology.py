"""A whole night through Redis, Celery and both queues, and what becomes of it when one of the processes dies."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import redis

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.run import run
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tests.local.topology import REDIS_URL, Topology, started
from tests.loopback import collector
from tests.nights import LENIENT, rows_of
from tests.small_shop import IDS, NIGHT, deliver_catalogue, deliver_log

pytestmark = pytest.mark.slow

# One day is held out, one is trained on.
DAYS = [NIGHT - timedelta(days=age) for age in reversed(range(2))]
OF_THE_GPU = {"train_model", "evaluate_model", "recommend_products"}
LIVE = "select version_id, count(*) from current_recommendations group by version_id"
PATIENCE_SECONDS = 150


@pytest.fixture(scope="module")
def collected() -> Iterator[tuple[str, dict[str, set[str]]]]:
    with collector() as address_and_figures:
        yield address_and_figures


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory, collected: tuple[str, dict]) -> Iterator[Topology]:
    try:
        redis.Redis.from_url(REDIS_URL).ping()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis answers at TEST_REDIS_URL: {error}")
    folder = tmp_path_factory.mktemp("topology")
    (folder / "gate.json").write_text(json.dumps(LENIENT))
    (folder / "eclare.json").write_text("{}")
    deliver_log(folder / "clicks", DAYS[0])
    deliver_catalogue(folder / "catalogue.parquet")
    settings = Settings(
        _env_file=None, database_url=None, state_folder=folder / "state", storage_url=str(folder / "storage"),
        click_log_url=str(folder / "clicks"), catalogue_url=str(folder / "catalogue.parquet"),
        gate_config=folder / "gate.json", eclare_config=folder / "eclare.json", held_out_days=1,
    )  # fmt: skip
    telemetry = {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collected[0],
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    with started(settings, **telemetry) as up:
        yield up


def test_a_night_goes_through_both_queues(topology: Topology) -> None:
    api = topology.airflow.api("op")
    api.backfill("ingest_clicks", DAYS[0], DAYS[-1], lambda _: None)
    api.trigger("refresh_recommendations", NIGHT, lambda _: None)
    tasks = list(api.task_instances("dags/refresh_recommendations/dagRuns/~", {}))
    assert {task["task_id"] for task in tasks if task["queue"] == "gpu"} == OF_THE_GPU
    assert {task["state"] for task in tasks} == {"success"}
    assert len(topology.taken_by("gpu")) == len(OF_THE_GPU)
    assert len(topology.taken_by("default")) == 3 * len(DAYS) + len(tasks) - len(OF_THE_GPU)
    live = rows_of(topology.settings, "select distinct product_id, night from current_recommendations")
    assert {product for product, _ in live} == set(IDS)
    assert {night for _, night in live} == {NIGHT}


def test_open_telemetry_is_told_how_long_each_task_took(topology: Topology, collected: tuple[str, dict]) -> None:
    _, figures = collected
    assert {f"task_id={task}" for task in OF_THE_GPU} <= figures["airflow.task.duration"]


class DyingNight:
    """A night whose training is held until all have died, watched by one who reads the live version all the while."""

    def __init__(self, topology: Topology) -> None:
        self.topology, self.settings = topology, topology.settings
        assert self.settings.eclare_config
        self.settings.eclare_config.write_text('{"epochs": 5}')  # another model than the live version's
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
            self.look()
            time.sleep(0.5)
        return tasks

    def look(self) -> None:
        with suppress(NotReady):  # the database died a moment ago
            self.live.add(tuple(rows_of(self.settings, LIVE)))

    def in_training(self, attempt: int) -> None:
        """This attempt to train, or a later one, has written a checkpoint."""

        def reached(tasks: dict[str, Any]) -> bool:
            training = tasks["train_model"]
            is_far_enough = training["try_number"] >= attempt and any(checkpoints.glob("*"))
            return training["state"] == "running" and is_far_enough

        checkpoints = self.settings.state_folder / "checkpoints" / str(NIGHT)
        self.until(reached)

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


def test_a_night_and_its_readers_outlive_each_process_and_the_model_is_the_same(topology: Topology) -> None:
    """Killed one after the other in one training, each once the one before it is back."""
    night = DyingNight(topology)
    night.in_training(attempt=1)
    topology.kill("worker gpu")
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
