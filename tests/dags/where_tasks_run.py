"""Print the pool, queue and executor_config of every task as the scheduler sees them, cluster policy included."""

import json
import sys
import uuid

from airflow.dag_processing.dagbag import DagBag
from airflow.models.taskinstance import TaskInstance
from airflow.serialization.serialized_objects import DagSerialization

found = {}
for dag in DagBag(sys.argv[1]).dags.values():
    for task in DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).tasks:
        instance = TaskInstance(task, run_id="any", dag_version_id=uuid.uuid4())
        instance.refresh_from_task(task)
        found[task.task_id] = [instance.pool, instance.queue, instance.executor_config]
print(json.dumps(found))
