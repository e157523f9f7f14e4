"""Run DAGs by dag.test() in a process of its own, whose environment is Airflow's, for as long as it is asked to.

A line of standard input asks: runs, a list of {dag_id, conf, logical_date (absent: now), retries (absent: as in the
DAG)}, and the environment of these runs. A line of the file descriptor that the argument names answers how each ended.
"""

import json
import os
import sys
from datetime import datetime
from unittest.mock import patch

from airflow.dag_processing.dagbag import DagBag


def name_of(task):
    """As operators see it: of a mapped task, each by its name."""
    return task.task_id if task.map_index < 0 else f"{task.task_id} {task.rendered_map_index}"


def outcome_of(run):
    dag = DagBag().dags[run["dag_id"]]
    if "retries" in run:
        for task in dag.tasks:
            task.retries = run["retries"]
    when = {}
    if "logical_date" in run:
        when["logical_date"] = run["logical_date"] and datetime.fromisoformat(run["logical_date"])
    ended = dag.test(run_conf=run.get("conf"), **when)
    tasks = ended.get_task_instances()
    return {
        "state": str(ended.state),
        "tasks": {name_of(task): str(task.state) for task in tasks},
        "tries": {name_of(task): task.try_number for task in tasks},
        "counts": {name_of(task): task.xcom_pull(task_ids=task.task_id, map_indexes=task.map_index) for task in tasks},
    }


with os.fdopen(int(sys.argv[1]), "w", buffering=1) as answers:
    for line in sys.stdin:
        asked = json.loads(line)
        with patch.dict(os.environ, asked["environment"]):
            print(json.dumps([outcome_of(run) for run in asked["runs"]]), file=answers)
os._exit(0)  # nothing is left to write, and to take a thousand modules down costs seconds of a core
