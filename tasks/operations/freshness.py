"""Whether what readers see is fresh."""

from tasks.errors import BadInput
from tasks.settings import Settings
from tasks.stores.database import statement, transaction


def check_live_version(settings: Settings) -> dict[str, float]:
    """The age of the live version, in hours; raises BadInput where it is over MAX_LIVE_AGE_HOURS or nothing is live."""
    with transaction(settings) as connection:
        live = connection.execute(statement("staleness")).one()
    what_to_do = "see which task of refresh_recommendations or ingest_clicks failed last, and why the gate refused"
    if live.version_id is None:
        raise BadInput(f"a version must be live, none is: {what_to_do}")
    age = float(live.age_hours)
    if age > settings.max_live_age_hours:
        raise BadInput(
            f"the live version must be at most {settings.max_live_age_hours:g} hours old, version {live.version_id} of "
            f"night {live.night} is {age:g}: {what_to_do}"
        )
    return {"version": live.version_id, "age_hours": age}
