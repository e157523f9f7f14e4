"""
A person lets a version pass that the gate refused or somebody withdrew.

Trigger it with the version's number and a reason; both are kept with your name in `live_history`. Until
somebody does, a refused version stays rejected and the former version stays live.

- **Make the refused version live** (`make_it_live`) reads the version's row in `recommendation_version`; moves the
  live pointer and updates the asset `live_recommendations`. It fails with `BadInput` for a version that is neither
  rejected nor withdrawn, whose rows were dropped, or that broke a zero rule (blocked, out of stock, unknown, itself,
  repeated): such rows were never stored, so correct the cause and run the night again.

The number and the reasons are in the failed run of `publish_recommendations`, in the report of the night and in the
view `gate_history`. Changed your mind? Trigger `roll_back`.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param

from dags.alerts import DEFAULT_ARGS
from dags.nightly import LIVE, WHO, reason_param, step


@step(task_display_name="Make the refused version live", execution_timeout=timedelta(minutes=10), outlets=[LIVE])
def make_it_live(version: str, reason: str, by: str) -> dict[str, str]:
    """Move the live pointer to the version."""
    from tasks.publish.rollback import approve
    from tasks.settings import Settings

    return {name: str(value) for name, value in approve(Settings(), int(version), reason, by).items()}


with DAG(
    "approve_version",
    description="Lets a version pass that was refused or withdrawn",
    doc_md=__doc__,
    schedule=None,
    max_active_runs=1,
    params={
        "version": Param(type="integer", minimum=1, description="Number of the rejected or withdrawn version."),
        "reason": reason_param(),
    },
    default_args={**DEFAULT_ARGS, "retries": 0},
    tags=["recommendations", "by hand"],
) as dag:
    make_it_live("{{ params.version }}", "{{ params.reason }}", WHO)
