"""Airflow's cluster policy on Kubernetes: a task of the queue gpu runs in the pod of gpu_pod.yaml."""

from typing import Any

GPU_POD = "/opt/airflow/pods/gpu_pod.yaml"  # where the scheduler has it


def task_instance_mutation_hook(task_instance: Any) -> None:
    """Name the pod template; other executors do not look at it."""
    if task_instance.queue == "gpu":
        task_instance.executor_config = {**(task_instance.executor_config or {}), "pod_template_file": GPU_POD}
