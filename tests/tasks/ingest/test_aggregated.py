"""Which night a person may ask for: one whose clicks are ingested."""

from datetime import date

import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.ingest.aggregated import check_aggregated
from tasks.stores.database import transaction


def test_a_night_after_the_newest_ingested_day_is_refused_and_the_days_there_are_named(settings):
    with pytest.raises(BadInput, match="night 2017-06-30 must be a day whose clicks are ingested, but none is"):
        check_aggregated("2017-06-30", settings)
    with transaction(settings) as connection:
        for day in (date(2017, 6, 3), date(2017, 6, 29)):
            row = "insert into daily_aggregate (day, aggregate_hash, sessions, products, pairs, code_version) "
            connection.execute(sa.text(row + "values (:day, 'hash', 1, 1, 1, 'code')"), {"day": day})
    with pytest.raises(BadInput, match="but those from 2017-06-03 to 2017-06-29 are: run ingest_clicks for 2017-06-30"):
        check_aggregated("2017-06-30", settings)
    check_aggregated("2017-06-29", settings)
    check_aggregated("2017-06-10", settings)  # one that is missing in between is a warning of the gate
