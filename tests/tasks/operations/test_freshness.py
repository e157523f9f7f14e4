import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.operations.freshness import check_live_version
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import transaction
from tests.nights import make_night, with_lenient_gate

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)


def test_a_live_version_is_fresh_for_26_hours(settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    with pytest.raises(BadInput, match="a version must be live, none is"):
        check_live_version(settings)
    version = publish_recommendations(make_night("2017-06-30", settings), settings)["version"]
    for hours, is_fresh in ((0, True), (25.9, True), (26.1, False)):
        with transaction(settings) as connection:
            aged = sa.text("update live_version set since = now() - make_interval(secs => :seconds)")
            connection.execute(aged, {"seconds": hours * 3600})
        if is_fresh:
            assert check_live_version(settings) == {"version": version, "age_hours": pytest.approx(hours, abs=0.01)}
        else:
            with pytest.raises(BadInput, match=r"at most 26 hours old, version 1 of night 2017-06-30 is 26\.1"):
                check_live_version(settings)
    assert check_live_version(settings.model_copy(update={"max_live_age_hours": 27}))["version"] == version
