"""
Every hour: is the live version fresh?

- **The live version is fresh** (`live_version_is_fresh`) reads the view `staleness`. It fails, and so alerts, when
  the live version has been live for more than `MAX_LIVE_AGE_HOURS` (26: a day and a slow night), when its last day of
  clicks ended more than `MAX_DATA_AGE_HOURS` ago (50: the next night's was due by then), as days after a rollback, or
  nothing is live at all.

**When it fails**, the recommendations are stale, not gone: readers go on seeing the live version. Look at the last runs
of `refresh_recommendations` (its task that failed says what to do) and of `ingest_clicks` (a day that did not come).
Where the gate refused, read the report of the night, then correct the cause or trigger `approve_version`.
"""

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from dags.alerts import DEFAULT_ARGS
from dags.nightly import step


@step(task_display_name="The live version is fresh", execution_timeout=timedelta(minutes=10))
def live_version_is_fresh() -> dict[str, float]:
    """Fail where the live version is too old."""
    from tasks.operations.freshness import check_live_version
    from tasks.settings import Settings

    return check_live_version(Settings())


with DAG(
    "watch_live_version",
    description="Alerts when the live version is too old",
    doc_md=__doc__,
    schedule=CronTriggerTimetable("7 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=50),
    default_args={**DEFAULT_ARGS, "retries": 2},
    tags=["recommendations", "watch"],
) as dag:
    live_version_is_fresh()
