"""The processes of docker-compose.yml without Docker: Redis, CeleryExecutor, a worker on each queue, a whole night."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from local import airflow
from local.airflow import LocalAirflow
from local.airflow_environment import METADATA_URL, airflow_environment, home_of, passwords_file
from tasks.settings import Settings
from tests.nights import LENIENT, rows_of
from tests.small_shop import IDS, NIGHT, deliver_catalogue, deliver_log

REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
DAYS = [NIGHT - timedelta(days=age) for age in reversed(range(3))]
OF_THE_GPU = {"train_model", "evaluate_model", "recommend_products"}
WORKER = "celery worker --queues {queue} --celery-hostname {queue}@%h --concurrency 1 --skip-serve-logs"


@dataclass(frozen=True)
class Topology:
    settings: Settings
    airflow: LocalAirflow

    def taken_by(self, queue: str) -> list[str]:
        """What the log of a queue's worker says it received."""
        file = next(self.airflow.home.glob(f"logs/celery-worker-{queue}.log"))
        return re.findall(r"Task execute_workload\[(.+?)\] received", file.read_text())


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    try:
        redis.Redis.from_url(REDIS_URL).ping()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis answers at TEST_REDIS_URL: {error}")
    folder = tmp_path_factory.mktemp("topology")
    (folder / "gate.json").write_text(json.dumps(LENIENT))
    deliver_log(folder / "clicks", DAYS[0])
    deliver_catalogue(folder / "catalogue.parquet")
    settings = Settings(
        _env_file=None, database_url=None, state_folder=folder / "state", storage_url=str(folder / "storage"),
        click_log_url=str(folder / "clicks"), catalogue_url=str(folder / "catalogue.parquet"),
        gate_config=folder / "gate.json", held_out_days=1,
    )  # fmt: skip
    try:
        yield Topology(settings, start(settings))
    finally:
        airflow.stop(settings, say=lambda _: None)


def start(settings: Settings) -> LocalAirflow:
    """As local.airflow does, with Celery."""
    port = airflow.free_port()
    home = home_of(settings)
    environment = airflow_environment(settings, port=port)
    environment |= {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": REDIS_URL,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{environment[METADATA_URL]}",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": f"test-{uuid4().hex[:8]}-",
    }
    assert airflow._launch("db migrate", home, environment).wait() == 0
    components = {command: airflow._launch(command, home, environment) for command in airflow.components(port)}
    for queue in ("default", "gpu"):
        worker = airflow._launch(WORKER.format(queue=queue), home, environment)
        log = Path(home, "logs", "celery-worker.log")
        log.rename(log.with_name(f"celery-worker-{queue}.log"))  # both commands would name theirs alike
        components[f"worker {queue}"] = worker
    started = LocalAirflow(home, f"http://127.0.0.1:{port}", json.loads(passwords_file(home).read_text()), True)
    airflow._wait_until_loaded(started, components, lambda _: None)
    started.api().make_pool("gpu", slots=1)
    return started


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
