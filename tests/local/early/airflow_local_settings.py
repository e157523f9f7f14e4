"""Airflow reads this on its start: what forks a process for each task loads first, and once, what tasks load.

Otherwise every task of a test's tiny night spends more of both cores on imports than on its work. Airflow's own file
for what an installation adds; `local/` has none.
"""

import os
import sys

FORKS_TASKS = {"LocalExecutor": "scheduler", "CeleryExecutor": "celery"}
FORKS_ALL = "forked.py"  # what forks the workers, too


def dag_policy(dag):
    """No day of the last two weeks is made up for: twenty runs, each of processes, of days that nobody delivered."""
    dag.start_date, dag.catchup = None, False


def load_what_tasks_load(*, with_training):
    from importlib import import_module

    from tasks.run import STEPS

    modules = [
        *("tasks.steps.ingest_catalogue", "tasks.steps.build_interactions", "tasks.report.page"),
        *("ibis.backends.duckdb.converter", "pandas", "pyarrow.dataset", "airflow.sdk.execution_time.task_runner"),
    ]
    if with_training:
        modules += [
            *(f"tasks.steps.{step}" for step in STEPS),
            *("tasks.ranking", "eclare.model.loss_curve", "eclare.related.backtest", "torch._dynamo"),
            *(
                "airflow.sdk.observability.metrics.otel_logger",
                "opentelemetry.exporter.otlp.proto.http.metric_exporter",
            ),
        ]
    for module in modules:
        import_module(module)


def hold_training_while(file):
    """A training writes a checkpoint after each epoch and waits while the file is there, without using a core."""
    import time
    from pathlib import Path

    from eclare.model.checkpoint import CheckpointWriter

    def write_and_wait(self, *state):
        self.at_end(*state)
        while Path(file).exists():
            time.sleep(0.2)

    CheckpointWriter.after_epoch = write_and_wait


if FORKS_TASKS[os.environ["AIRFLOW__CORE__EXECUTOR"]] in sys.argv or sys.argv[0].endswith(FORKS_ALL):
    load_what_tasks_load(with_training="HOLD_TRAINING" in os.environ)  # nothing is trained by the Airflow of `make up`
    if "HOLD_TRAINING" in os.environ:
        hold_training_while(os.environ["HOLD_TRAINING"])
