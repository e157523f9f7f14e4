"""
One partition a day: the raw click log of a UTC day becomes its cleaned clicks.

Runs at 01:00 UTC for the day that has just ended. Safe to run again and to backfill: a day is replaced whole, other
days and every model stay as they are. It never retrains; `refresh_recommendations` does.

**ingest_clicks** reads `CLICK_LOG_URL/date=NIGHT/`; writes `STORAGE_URL/clicks/date=NIGHT` and a row of the ingest
ledger in PostgreSQL. When it fails:

- `NotReady` (no folder yet, storage or database away): it tries again by itself for two to three hours; after that,
  clear the task once the log has arrived.
- `BadInput`: it fails at once, since only a changed input helps. The message names the file and column: correct the
  file, then clear the task.

A late or corrected day: put the files in place, then Trigger -> Backfill over those days with "all runs".
"""

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, task

from dags.nightly import MACROS, NIGHT, RETRIES, night_param


@task(execution_timeout=timedelta(hours=1))
def ingest_clicks(night: str) -> dict[str, float]:
    """Clean one day's raw click log."""
    from tasks.run import run

    return run("ingest_clicks", night)


with DAG(
    "ingest_clicks",
    description="One day of raw click logs to cleaned clicks",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=4,
    params=night_param(),
    user_defined_macros=MACROS,
    default_args={"owner": "recommendations", **RETRIES},
    tags=["clicks", "daily"],
) as dag:
    ingest_clicks(NIGHT)
