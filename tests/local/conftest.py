"""Airflows that files share, because a boot and an end take half a minute of both cores."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from local import embedded_postgres
from local.airflow_api import AirflowApi
from tasks.settings import Settings
from tests.installations import skip_disk_flushes
from tests.local import topology as processes
from tests.local.running import Up, started
from tests.local.topology import DELIVERED, INGESTED, QUEUES, REDIS_URL, NightRun, Topology
from tests.loopback import collector
from tests.nights import LENIENT, rows_of
from tests.small_shop import NIGHT, deliver_catalogue, deliver_log

NIGHTLY = ("ingest_clicks", "refresh_recommendations")


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Airflow as `make up` leaves it; nothing was delivered."""
    folder = tmp_path_factory.mktemp("up")
    skip_disk_flushes(embedded_postgres.start(folder / "state_folder"))
    with started(folder) as running:
        yield running


@pytest.fixture(scope="session")
def collected() -> Iterator[tuple[str, dict[str, set[str]]]]:
    """Where Airflow's measurements are collected, and what came."""
    with collector() as address_and_figures:
        yield address_and_figures


@pytest.fixture(scope="session")
def topology(tmp_path_factory: pytest.TempPathFactory, collected: tuple[str, dict]) -> Iterator[Topology]:
    """The processes of docker-compose.yml; four days were delivered, nothing has run."""
    try:
        redis.Redis.from_url(REDIS_URL).ping()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis answers at TEST_REDIS_URL: {error}")
    folder = tmp_path_factory.mktemp("topology")
    (folder / "gate.json").write_text(json.dumps(LENIENT))
    (folder / "eclare.json").write_text("{}")
    deliver_log(folder / "clicks", DELIVERED[0])
    deliver_catalogue(folder / "catalogue.parquet")
    settings = Settings(
        _env_file=None, database_url=None, state_folder=folder / "state", storage_url=str(folder / "storage"),
        click_log_url=str(folder / "clicks"), catalogue_url=str(folder / "catalogue.parquet"),
        gate_config=folder / "gate.json", eclare_config=folder / "eclare.json", held_out_days=1,
        recommend_shards=2,
    )  # fmt: skip
    telemetry = {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collected[0],
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    with processes.started(settings, **telemetry) as running:
        yield running


@pytest.fixture(scope="session")
def night_run(topology: Topology) -> NightRun:
    """The last two of the days were ingested, and their night is live."""
    api = topology.airflow.api("op")
    api.backfill("ingest_clicks", INGESTED[0], INGESTED[-1], lambda _: None)
    api.trigger("refresh_recommendations", NIGHT, lambda _: None)
    ingested, tasks = (list(api.task_instances(f"dags/{dag_id}/dagRuns/~", {})) for dag_id in NIGHTLY)
    taken_by = {queue: len(topology.taken_by(queue)) for queue in QUEUES}
    live = rows_of(topology.settings, "select product_id, rank, related_product_id, night from current_recommendations")
    counts = [(name_of(task), counts_of(api, task)) for task in [*ingested, *tasks]]
    return NightRun(ingested, tasks, counts, taken_by, live)


def name_of(task: dict[str, Any]) -> str:
    """As operators see it: of a mapped task, each by its name."""
    return task["task_id"] if task["map_index"] < 0 else f"{task['task_id']} {task['rendered_map_index']}"


def counts_of(api: AirflowApi, task: dict[str, Any]) -> Any:
    """What a task returned."""
    path = f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
    value = api.call("GET", f"{path}/xcomEntries/return_value", params={"map_index": task["map_index"]})["value"]
    return json.loads(value) if isinstance(value, str) else value
