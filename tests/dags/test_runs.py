from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.small_shop import deliver_catalogue

pytestmark = pytest.mark.slow

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture(scope="module")
def ended(run_dags: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[dict[str, Any]], str]:
    catalogue = tmp_path_factory.mktemp("catalogue") / "catalogue.parquet"
    deliver_catalogue(catalogue)
    return run_dags(
        {"dag_id": "ingest_clicks", "conf": {"night": "2017-06-30"}, "retries": 0},
        {"dag_id": "ingest_clicks", "logical_date": f"{YESTERDAY}T12:00:00+00:00", "retries": 0},
        {"dag_id": "ingest_clicks", "logical_date": None},
        {"dag_id": "ingest_clicks", "conf": {"night": "2999-12-31"}, "logical_date": f"{YESTERDAY}T13:00:00+00:00"},
        {"dag_id": "refresh_recommendations", "conf": {"night": "2017-06-30"}, "retries": 0},
        CATALOGUE_URL=str(catalogue),
    )


def test_a_night_without_a_folder_is_refused_in_our_words(ended: Any) -> None:
    outcomes, log = ended
    assert outcomes[0]["state"] == "failed"
    steps = {"ingest_catalogue": "success", "ingest_clicks": "failed", "aggregate_clicks": "upstream_failed"}
    assert outcomes[0]["tasks"] == steps
    assert "NotReady" in log
    assert "date=2017-06-30" in log


def test_a_manual_run_for_a_logical_date_is_for_the_day_that_ended_before_it(ended: Any) -> None:
    outcomes, log = ended
    assert outcomes[1]["state"] == "failed"
    assert f"date={YESTERDAY - timedelta(days=1)}" in log


def test_a_run_without_any_night_fails_at_once_and_says_what_to_do(ended: Any) -> None:
    outcomes, log = ended
    assert outcomes[2]["tries"]["ingest_catalogue"] == 1
    assert "has no logical date, so no night: trigger it again" in log


def test_bad_input_is_not_tried_again(ended: Any) -> None:
    outcomes, log = ended
    assert outcomes[3]["state"] == "failed"
    assert outcomes[3]["tries"]["ingest_catalogue"] == 1
    assert "night 2999-12-31 is in the future" in log


def test_a_night_that_fails_has_its_report_and_stays_failed(ended: Any) -> None:
    outcomes, _ = ended
    assert outcomes[4]["state"] == "failed"
    assert outcomes[4]["tasks"]["build_interactions"] == "failed"
    assert outcomes[4]["tasks"]["publish_recommendations"] == "upstream_failed"
    assert outcomes[4]["tasks"]["report_night"] == "success"
    assert outcomes[4]["counts"]["report_night"]["version"] == 0
