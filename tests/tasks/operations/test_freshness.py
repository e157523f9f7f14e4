from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.operations.freshness import check_live_version
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import transaction
from tests.nights import OTHER, make_night, roll_back, with_lenient_gate

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

TODAY = datetime.now(UTC).date()


def test_a_live_version_is_fresh_for_26_hours(settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    with pytest.raises(BadInput, match="a version must be live, none is"):
        check_live_version(settings)
    version = publish_recommendations(make_night(str(TODAY), settings), settings)["version"]
    for hours, is_fresh in ((0, True), (25.9, True), (26.1, False)):
        with transaction(settings) as connection:
            aged = sa.text("update live_version set since = now() - make_interval(secs => :seconds)")
            connection.execute(aged, {"seconds": hours * 3600})
        if is_fresh:
            counts = check_live_version(settings)
            assert (counts["version"], counts["age_hours"]) == (version, pytest.approx(hours, abs=0.01))
        else:
            with pytest.raises(BadInput, match=rf"at most 26 hours old, version 1 of night {TODAY} is 26\.1"):
                check_live_version(settings)
    assert check_live_version(settings.model_copy(update={"max_live_age_hours": 27}))["version"] == version


def test_a_version_that_a_rollback_brought_back_is_as_old_as_its_clicks(settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    old = TODAY - timedelta(days=4)
    publish_recommendations(make_night(str(old), settings), settings)
    publish_recommendations(make_night(str(TODAY), settings, OTHER), settings)
    assert check_live_version(settings)["data_age_hours"] < 50
    roll_back(settings, "odd titles")
    with pytest.raises(BadInput, match=rf"ended at most 50 hours ago, that of version 1 of night {old} did \d+"):
        check_live_version(settings)
    assert check_live_version(settings.model_copy(update={"max_data_age_hours": 200}))["age_hours"] < 1
