"""Airflow's REST API, as far as one machine needs it: is it up, run these days, run this night, what failed."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from tasks.errors import BadInput, NotReady, TaskError

DAGS = {"ingest_clicks", "refresh_recommendations", "watch_live_version", "approve_version", "roll_back"}
FAILED = {"failed", "up_for_retry"}
PAGE = 100
GIVEN_UP_SECONDS = 300  # for the report of a run that failed
Progress = Callable[[Mapping[str, str]], None]


class RunFailed(TaskError):
    """A task of an Airflow run failed; the run was given up, with the retries it had left."""


class AirflowApi:
    """The REST API of the Airflow at `url`, for one user; `logs` is the folder of its task logs."""

    def __init__(self, url: str, user: str, password: str, logs: Path) -> None:
        self.url, self.user, self.password, self.logs = url, user, password, logs
        # One client, because each reads all certificates anew; no connection is kept, so the server may be restarted.
        self._client = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))

    @cached_property
    def token(self) -> str:
        """What requests carry as `Authorization: Bearer TOKEN`."""
        return str(
            self._answer("POST", "auth/token", json={"username": self.user, "password": self.password})["access_token"]
        )

    def call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The JSON answer to one request below /api/v2/.

        Raises BadInput with Airflow's own words for a refusal, NotReady where it does not answer.
        """
        return self._answer(method, f"api/v2/{path}", headers={"Authorization": f"Bearer {self.token}"}, **request)

    def _answer(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self._client.request(method, f"{self.url}/{path}", **request)
        except httpx.TransportError as error:
            raise NotReady(f"Airflow at {self.url} does not answer ({error}): start it with `make up`") from error
        if answer.is_error:
            raise BadInput(
                f"Airflow refused {method} {path} for {self.user} ({answer.status_code}): {answer.text[:500]}"
            )
        return dict(answer.json()) if answer.content else {}

    def awaited(self) -> str:
        """What is still awaited until the DAGs can run, in words; empty when nothing is.

        Raises NotReady when a DAG file has an import error.
        """
        try:
            health = self._answer("GET", "api/v2/monitor/health")
        except NotReady:
            return "api-server"
        away = [name for name, part in health.items() if part["status"] != "healthy"]
        if away:
            return ", ".join(sorted(away))
        if broken := self.call("GET", "importErrors")["import_errors"]:
            raise NotReady(f"Airflow cannot load {broken[0]['filename']}: {broken[0]['stack_trace']}")
        loaded = {dag["dag_id"] for dag in self.call("GET", "dags")["dags"]}
        return ", ".join(f"DAG {dag_id}" for dag_id in sorted(DAGS - loaded))

    def paused(self) -> list[str]:
        """The DAGs none of whose runs start until somebody unpauses them."""
        return sorted(dag["dag_id"] for dag in self.call("GET", "dags")["dags"] if dag["is_paused"])

    def make_pool(self, name: str, *, slots: int) -> None:
        """Make a pool unless it exists; the slots an operator has set stay."""
        pools = {pool["name"] for pool in self.call("GET", "pools")["pools"]}
        if name not in pools:
            self.call("POST", "pools", json={"name": name, "slots": slots})

    def backfill(self, dag_id: str, first: date, last: date, progress: Progress) -> None:
        """Run a daily DAG for each day from `first` to `last`, both included, again where it ran; wait for the end.

        One day at a time, oldest first, since Airflow's backfills would not heed the limit of the DAG.
        `progress` is given the state of each day. Raises RunFailed at the first failed task; the rest is cancelled.
        """
        self._unpause(dag_id)
        days = {"from_date": f"{first}T00:00:00Z", "to_date": f"{last}T23:59:59Z"}
        again = {"reprocess_behavior": "completed", "max_active_runs": 1}
        backfill = self.call("POST", "backfills", json={"dag_id": dag_id, **days, **again})
        within = {"logical_date_gte": days["from_date"], "logical_date_lte": days["to_date"]}
        try:
            self._wait(dag_id, "~", within, lambda task: task["logical_date"][:10], progress)
        finally:
            # Airflow takes up to half a minute to call it complete, and refuses another backfill until then.
            if self.call("GET", f"backfills/{backfill['id']}")["completed_at"] is None:
                self.call("PUT", f"backfills/{backfill['id']}/cancel")

    def trigger(self, dag_id: str, night: date, progress: Progress) -> None:
        """Run a DAG once for a night and wait for its end.

        `progress` is given the state of each task. Raises NotReady where another run of the DAG would be waited for,
        RunFailed at the first failed task.
        """
        self._unpause(dag_id)
        for run in self.call("GET", f"dags/{dag_id}/dagRuns", params={"state": ["running", "queued"]})["dag_runs"]:
            address = f"{self.url}/dags/{dag_id}/runs/{run['dag_run_id']}"
            raise NotReady(f"a run of {dag_id} is {run['state']}: wait for it or mark it failed at {address}")
        request = {"logical_date": None, "conf": {"night": str(night)}}
        run_id = self.call("POST", f"dags/{dag_id}/dagRuns", json=request)["dag_run_id"]
        self._wait(dag_id, run_id, {}, lambda task: task["task_id"], progress)

    def _unpause(self, dag_id: str) -> None:
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def _wait(
        self,
        dag_id: str,
        run_id: str,
        within: Mapping[str, str],
        name_of: Callable[[Mapping[str, Any]], str],
        progress: Progress,
    ) -> None:
        while True:
            tasks = list(self.task_instances(f"dags/{dag_id}/dagRuns/{run_id}", within))
            states: dict[str, set[str]] = {}
            for task in tasks:
                states.setdefault(name_of(task), set()).add(task["state"] or "waiting")
            progress({name: state_of_all(of_name) for name, of_name in states.items()})
            for task in tasks:
                if task["state"] in FAILED:
                    self._give_up(f"dags/{dag_id}/dagRuns/{task['dag_run_id']}")
                    raise RunFailed(self._failure(task))
            if tasks and all(task["state"] == "success" for task in tasks):
                return
            time.sleep(1)

    def _give_up(self, run: str) -> None:
        """Mark a run failed and wait, not for ever, for what Airflow still runs of it: its report."""
        self.call("PATCH", run, json={"state": "failed"})
        deadline = time.monotonic() + GIVEN_UP_SECONDS
        while self.call("GET", run)["state"] in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(0.5)

    def task_instances(self, run: str, within: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Those of a run dags/DAG/dagRuns/RUN, or of all runs (RUN is ~), page by page."""
        offset, total = 0, 1
        while offset < total:
            page = self.call(
                "GET",
                f"{run}/taskInstances",
                params={**within, "limit": PAGE, "offset": offset, "order_by": "run_after"},
            )
            yield from page["task_instances"]
            offset, total = offset + PAGE, page["total_entries"]

    def _failure(self, task: Mapping[str, Any]) -> str:
        folder = self.logs / f"dag_id={task['dag_id']}/run_id={task['dag_run_id']}/task_id={task['task_id']}"
        log = folder / f"attempt={task['try_number']}.log"
        return f"{task['task_id']} of run {task['dag_run_id']}: {last_error(log)}; the whole log is {log}"


def state_of_all(states: Set[str]) -> str:
    """The state of what several tasks make up: a failure first, success only when all have it."""
    for state in (*sorted(FAILED), "running"):
        if state in states:
            return state
    if len(states) == 1:
        return next(iter(states))
    return "running" if "success" in states else "waiting"


def last_error(log: Path) -> str:
    """The exception that ended a task, from its log of JSON lines; else the log's last line."""
    lines = log.read_text().splitlines() if log.exists() else []
    for line in reversed(lines):
        with suppress(ValueError, KeyError, IndexError):
            raised = json.loads(line)["error_detail"][0]
            return f"{raised['exc_type']}: {raised['exc_value']}"
    return lines[-1] if lines else "it ended before it wrote a log (see scheduler.log)"
