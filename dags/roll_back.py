"""
Readers see a former version again, within seconds.

Trigger it with a reason, and a night unless it is to be the version before the live one. Who, when and why is kept in
`live_history`; caches that listen to the channel `live_version` are notified.

- **go_back** reads `recommendation_version`; moves the live pointer. It fails with `BadInput` where no accepted
  version with its rows is left: `select * from recommendation_version order by night desc` lists them.

The next night publishes over it. If the next would be as bad, pause `refresh_recommendations` until the cause is
found.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from dags.alerts import DEFAULT_ARGS
from dags.nightly import WHO, reason_param


@task(task_display_name="Go back to a former version", execution_timeout=timedelta(minutes=10))
def go_back(reason: str, by: str, to_night: str) -> dict[str, str]:
    """Move the live pointer back."""
    from tasks.publish.rollback import rollback
    from tasks.settings import Settings

    return {name: str(value) for name, value in rollback(Settings(), reason, by, to_night).items()}


with DAG(
    "roll_back",
    description="Makes a former version live again",
    doc_md=__doc__,
    schedule=None,
    max_active_runs=1,
    params={
        "to_night": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Night whose newest accepted version becomes live (YYYY-MM-DD). Empty: the one before.",
        ),
        "reason": reason_param(),
    },
    default_args={**DEFAULT_ARGS, "retries": 0},
    tags=["recommendations", "by hand"],
) as dag:
    go_back("{{ params.reason }}", WHO, "{{ params.to_night or '' }}")
