"""The processes of docker-compose.yml without Docker: Redis, CeleryExecutor, a worker on each queue."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import psutil

from local import airflow, embedded_postgres
from local.airflow import LocalAirflow
from local.airflow_environment import METADATA_URL, airflow_environment, home_of, passwords_file
from tasks.settings import Settings
from tests.installations import skip_disk_flushes
from tests.local.forked import Forked, Forks, forks
from tests.local.running import PARSED_ONCE, load_early
from tests.servers import postmaster_pid
from tests.small_shop import NIGHT

# One day is held out, one is trained on; two more are delivered and missed.
DELIVERED = [NIGHT - timedelta(days=age) for age in reversed(range(4))]
MISSED, INGESTED = DELIVERED[:2], DELIVERED[2:]
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
QUEUES = ("default", "gpu")
WORKER = "celery worker --queues {queue} --celery-hostname {queue}@%h --concurrency 1 --skip-serve-logs"
# A night of hours may wait minutes before it takes a task for lost or tries it again; a test may not.
IMPATIENT = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


@dataclass
class Topology:
    """Airflow's processes by name: scheduler, api-server, triggerer, dag-processor, worker default, worker gpu."""

    settings: Settings
    airflow: LocalAirflow
    environment: dict[str, str]
    commands: dict[str, str]
    forks: Forks
    running: dict[str, Forked] = field(default_factory=dict)

    @property
    def hold_training(self) -> Path:
        """While this file is there, a training waits after each checkpoint: it lasts as long as a test needs."""
        return Path(self.environment["HOLD_TRAINING"])

    def start(self, name: str) -> None:
        """Start one of the processes."""
        self.running[name] = self.forks.start(self.commands[name], self.log_of(name))

    def log_of(self, name: str) -> Path:
        """What one of them says."""
        return self.airflow.home / "logs" / f"{name.replace(' ', '-')}.log"

    def kill(self, name: str) -> None:
        """SIGKILL for one of the processes, or the database, and for all that it started: a machine without power."""
        pid = postmaster_pid(self.settings.state_folder) if name == "database" else self.running[name].pid
        parent = psutil.Process(pid)
        killed = [parent, *parent.children(recursive=True)]
        for process in killed:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(killed, timeout=10)

    def restart_what_ended(self) -> None:
        """Do what `restart: unless-stopped` does."""
        embedded_postgres.start(self.settings.state_folder)
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.start(name)

    def taken_by(self, queue: str) -> list[str]:
        """What the log of a queue's worker says it received."""
        return re.findall(r"Task execute_workload\[(.+?)\] received", self.log_of(f"worker {queue}").read_text())


class NightRun(NamedTuple):
    """The task instances of its days and of the night, and what each returned.

    When it had ended, the tasks each queue's worker took, and what was live.
    """

    ingested: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    counts: list[tuple[str, Any]]
    taken_by: dict[str, int]
    live: list[tuple[Any, ...]]


@contextmanager
def started(settings: Settings, **variables: str) -> Iterator[Topology]:
    """All of it, up and healthy, told also `variables`; none of its processes is left afterwards."""
    port, home = airflow.free_port(), home_of(settings)
    ready = embedded_postgres.with_database(settings)
    skip_disk_flushes(str(ready.database_url))
    environment = airflow_environment(ready, port=port) | PARSED_ONCE | IMPATIENT | variables
    environment |= {
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": REDIS_URL,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{environment[METADATA_URL]}",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__GLOBAL_KEYPREFIX": f"test-{uuid4().hex[:8]}-",
        "HOLD_TRAINING": str(home / "hold-training"),
    }
    commands = {command.partition(" ")[0]: command for command in airflow.components(port)}
    commands |= {f"worker {queue}": WORKER.format(queue=queue) for queue in QUEUES}
    up = LocalAirflow(home, f"http://127.0.0.1:{port}", json.loads(passwords_file(home).read_text()), True)
    load_early(home)
    try:
        with forks(home, environment) as each:
            topology = Topology(ready, up, environment, commands, each)
            log = home / "logs" / "db-migrate.log"
            each.start("db migrate", log).wait()
            assert "Database migration done!" in log.read_text()
            for name in commands:
                topology.start(name)
            airflow.wait_until_loaded(up, topology.running, lambda _: None)
            up.api().make_pool("gpu", slots=1)
            yield topology
            for name in commands:  # how they end when asked to is for tests/local/test_up_and_down.py
                with suppress(psutil.NoSuchProcess):
                    topology.kill(name)
    finally:
        airflow.stop(settings, say=lambda _: None)
