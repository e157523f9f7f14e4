"""
One partition a day: the delivered catalogue and the raw click log of a UTC day become what nights add up.

Runs at 01:00 UTC for the day that has just ended, one day at a time: clicks that come late change the aggregates of
days before. Days of the last two weeks on which Airflow was off are run when it is up again, oldest first; of these, a
day without a folder is skipped, and the nights say that their window lacks it. A run by hand names its day by the
parameter night; one whose logical date is older has no tasks. Safe to run again and to backfill: what a day delivered
is replaced whole, every model stays as it is. It never retrains; `refresh_recommendations` does.

- **Store the catalogue of the day** (`ingest_catalogue`) reads `CATALOGUE_URL`; writes
  `STORAGE_URL/catalogue/date=NIGHT` and a row of `catalogue_load`. Of a folder with one folder date=YYYY-MM-DD a
  delivery, it takes the newest up to the night. One file without dated folders has no history: for a day older than
  yesterday, the stored catalogue is kept where there is one (kept 1). To correct a past day, deliver a dated folder.
- **Clean the clicks of the day** (`ingest_clicks`) reads `CLICK_LOG_URL/date=NIGHT/`; writes `clicks/date=NIGHT` with
  the clicks of the day, late and early ones of others and `quarantine.parquet`, every refused row with its rule, file
  and row; and the counts to PostgreSQL.
- **Count products and pairs of the day** (`aggregate_clicks`) reads the clicks of the day, late ones included; writes
  `aggregates/date=NIGHT`, and anew those of days before whose clicks have changed.

**When a task fails.** `NotReady` (a file, the storage or the database is away) is tried again for two to three hours;
after that, clear the task once it is there. `BadInput` fails at once, since only a changed input helps: the message
names the file and its fault; correct it, then clear the failed task and those after it. What was stored before stands.

**Too many rows were refused** (MAX_QUARANTINED_SHARE): the load is rejected, its quarantine lies in
`STORAGE_URL/rejected/date=NIGHT/`. `select * from ingest_rules where day = 'NIGHT'` shows how many rows each rule
refused. Correct the log and deliver it again, or give LOG_FORMAT the names it uses; then clear the run.

**A late or corrected day**: put its files in place, then Trigger -> Backfill over those days with "all runs". A click
in the log of a later day counts on its own day if that is at most LATENESS_DAYS before; older ones are quarantined as
`too_late`: deliver them in the folder of their own day and backfill it. `select * from night_freshness where
out_of_date` lists the nights that would see other clicks now: trigger `refresh_recommendations` for those that matter.

**Erasing a user**: `python -m tasks erase --user-id ID --reason WHY`. It makes the aggregates of the days concerned
anew; loads made again later leave the user out as well. It and the tasks that use clicks wait for one another; a task
that waits longer than LOCK_MINUTES says who holds the lock, and is tried again.
"""

from datetime import UTC, date, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, chain
from airflow.sdk.exceptions import AirflowSkipException

from dags.alerts import DEFAULT_ARGS
from dags.nightly import CAUGHT_UP, MACROS, NIGHT, first_caught_up, night_param, step


@step(task_display_name="Store the catalogue of the day", execution_timeout=timedelta(hours=1))
def ingest_catalogue(night: str, caught_up: str) -> dict[str, float]:
    """Store the catalogue that holds on the day."""
    from tasks.ingest.reading import delivered_days
    from tasks.run import run
    from tasks.settings import Settings

    if caught_up and date.fromisoformat(night) not in delivered_days(Settings()):
        raise AirflowSkipException(f"no log of {night} was delivered meanwhile: deliver it, then backfill the day")
    return run("ingest_catalogue", night)


@step(task_display_name="Clean the clicks of the day", execution_timeout=timedelta(hours=2))
def ingest_clicks(night: str) -> dict[str, float]:
    """Clean one day's raw click log; put refused rows into quarantine."""
    from tasks.run import run

    return run("ingest_clicks", night)


@step(task_display_name="Count products and pairs of the day", execution_timeout=timedelta(hours=2))
def aggregate_clicks(night: str) -> dict[str, float]:
    """Count products and pairs of the day, and again of days that got late clicks."""
    from tasks.run import run

    return run("aggregate_clicks", night)


with DAG(
    "ingest_clicks",
    description="One day of catalogue and raw click logs to daily aggregates",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 1 * * *", timezone="UTC"),
    start_date=first_caught_up(datetime.now(UTC)),
    catchup=True,
    max_active_runs=1,
    params=night_param("that was delivered: CLICK_LOG_URL has a folder of it"),
    user_defined_macros=MACROS,
    default_args=DEFAULT_ARGS,
    tags=["clicks", "daily"],
) as dag:
    chain(ingest_catalogue(NIGHT, CAUGHT_UP), ingest_clicks(NIGHT), aggregate_clicks(NIGHT))
