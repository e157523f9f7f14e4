"""Whether what readers see is fresh."""

from tasks.errors import BadInput
from tasks.settings import Settings
from tasks.stores.database import statement, transaction

WHAT_TO_DO = "see which task of refresh_recommendations or ingest_clicks failed last, and why the gate refused"


def check_live_version(settings: Settings) -> dict[str, float]:
    """How long the live version has been live and ago its last day of clicks ended, in hours.

    Raises BadInput where either is over MAX_LIVE_AGE_HOURS or MAX_DATA_AGE_HOURS, or nothing is live. After a rollback
    a version has just become live, and its clicks are old.
    """
    with transaction(settings) as connection:
        live = connection.execute(statement("staleness")).one()
    if live.version_id is None:
        raise BadInput(f"a version must be live, none is: {WHAT_TO_DO}")
    age, data_age = float(live.age_hours), float(live.night_ended_hours)
    seen = f"version {live.version_id} of night {live.night}"
    if age > settings.max_live_age_hours:
        raise BadInput(
            f"the live version must be at most {settings.max_live_age_hours:g} hours old, {seen} is {age:g}: "
            f"{WHAT_TO_DO}"
        )
    if data_age > settings.max_data_age_hours:
        raise BadInput(
            f"the last day of the live version's clicks must have ended at most {settings.max_data_age_hours:g} hours "
            f"ago, that of {seen} did {data_age:g} hours ago: publish a newer night; {WHAT_TO_DO}"
        )
    return {"version": live.version_id, "age_hours": age, "data_age_hours": data_age}
