"""
Withdraws the live version: readers see a former one again, within seconds.

Trigger it with the number of the live version, a reason, and a night unless it is to be the version before. Who, when
and why is kept in `live_history`; caches that listen to the channel `live_version` are notified.

- **Go back to a former version** (`go_back`) reads `recommendation_version`; moves the live pointer and updates the
  asset `live_recommendations`. It fails with `BadInput` where another version is live by now (somebody was faster, or
  the next night was published: look at that one), and where no accepted version with its rows is left: `select * from
  recommendation_version order by night desc` lists them.

A withdrawn version, and what its night makes when it is run again, comes back only when somebody triggers
`approve_version`. The next night publishes over it. If the next would be as bad, pause `refresh_recommendations` until
the cause is found.
"""

from datetime import timedelta

from airflow.sdk import DAG, Param

from dags.alerts import DEFAULT_ARGS
from dags.nightly import LIVE, WHO, reason_param, step


@step(task_display_name="Go back to a former version", execution_timeout=timedelta(minutes=10), outlets=[LIVE])
def go_back(version: str, reason: str, by: str, to_night: str) -> dict[str, str]:
    """Move the live pointer back."""
    from tasks.publish.rollback import rollback
    from tasks.settings import Settings

    return {name: str(value) for name, value in rollback(Settings(), int(version), reason, by, to_night).items()}


with DAG(
    "roll_back",
    description="Withdraws the live version for a former one",
    doc_md=__doc__,
    schedule=None,
    max_active_runs=1,
    params={
        "version": Param(type="integer", minimum=1, description="Number of the live version, which is withdrawn."),
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
    go_back("{{ params.version }}", "{{ params.reason }}", WHO, "{{ params.to_night or '' }}")
