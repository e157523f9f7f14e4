"""Airflow as `make up` leaves it: what is there, who may do what, and what a failed run says."""

import re
from datetime import date
from pathlib import Path

import httpx
import psutil
import pytest

from local.airflow import processes
from local.airflow_api import DAGS, AirflowApi, RunFailed, state_of_all
from tasks.errors import BadInput
from tests.local.running import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NOTHING_DELIVERED = date(2017, 4, 30)


def test_the_dags_and_the_gpu_pool_are_there_and_nothing_else(up: Up) -> None:
    api = up.api("admin")
    assert api.call("GET", "importErrors")["import_errors"] == []
    dags = {dag["dag_id"]: dag["is_paused"] for dag in api.call("GET", "dags")["dags"]}
    assert dags == dict.fromkeys(DAGS, False)
    pools = {pool["name"]: pool["slots"] for pool in api.call("GET", "pools")["pools"]}
    assert pools["gpu"] == 1


def test_passwords_and_secrets_are_readable_by_their_owner_only(up: Up) -> None:
    for file in ("passwords.json", "secrets.json"):
        assert (up.home / file).stat().st_mode & 0o777 == 0o600
    assert up.home.stat().st_mode & 0o777 == 0o700


def test_it_listens_on_loopback_only(up: Up) -> None:
    listening = [
        connection.laddr.ip
        for process in processes(up.home)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_a_viewer_may_look_but_not_run(up: Up) -> None:
    analyst = up.api("analyst")
    assert analyst.call("GET", "dags")["total_entries"] == len(DAGS)
    with pytest.raises(BadInput, match=r"POST api/v2/backfills for analyst \(403\)"):
        day = {"from_date": "2017-06-30T00:00:00Z", "to_date": "2017-06-30T23:59:59Z"}
        analyst.call("POST", "backfills", json={"dag_id": "ingest_clicks", **day})


def test_an_operator_may_backfill_and_reads_why_a_day_failed(up: Up) -> None:
    seen: list[str] = []
    with pytest.raises(RunFailed, match=r"ingest_catalogue of run .*NotReady: there is no catalogue at") as failed:
        up.api("op").backfill("ingest_clicks", NOTHING_DELIVERED, NOTHING_DELIVERED, seen.append)
    assert seen[0].keys() == {str(NOTHING_DELIVERED)}
    log = Path(re.search(r"the whole log is (.+)$", str(failed.value))[1])
    assert "there is no catalogue at" in log.read_text()


def test_a_failed_refresh_names_its_task_and_stands_in_nobodys_way(up: Up) -> None:
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"^build_interactions of run .*must be a day whose clicks are ingested"):
            up.api("op").trigger("refresh_recommendations", NOTHING_DELIVERED, lambda _: None)
    runs = up.api("op").call("GET", "dags/refresh_recommendations/dagRuns")["dag_runs"]
    assert [run["note"] for run in runs] == [f"night {NOTHING_DELIVERED}"] * 2


def test_the_page_is_in_the_navigation_and_asks_for_the_permissions_of_the_dags(up: Up) -> None:
    views = [view for plugin in up.api("op").call("GET", "plugins")["plugins"] for view in plugin["external_views"]]
    assert [view["href"] for view in views] == ["/recommendations/"]
    page = f"{up.url}/recommendations"
    assert httpx.get(f"{page}/nights").status_code == 401
    lists = f"{page}/api/lists?product_id=1"
    assert httpx.get(lists).status_code == 401
    back = {"version": "1", "reason": "odd titles"}
    for user, may_go_back in (("analyst", False), ("op", True), ("admin", True)):
        who = {"Authorization": f"Bearer {up.api(user).token}"}
        assert httpx.get(f"{page}/nights", headers=who).status_code == 200
        assert httpx.get(lists, headers=who).json() == {"detail": "Channel 'default' has no related products for '1'."}
        answer = httpx.post(f"{page}/move/roll_back", headers=who, data=back)
        assert answer.status_code == 403, "nothing is live, so nobody was shown the form"
        assert ("A form must be sent as it was shown to you" in answer.text) is may_go_back
    assert httpx.post(f"{page}/move/roll_back", data=back).status_code == 401
    assert httpx.get(f"{page}/metrics").status_code == 404, "METRICS_TOKEN is not set"


def test_a_wrong_password_is_refused(up: Up) -> None:
    stranger = AirflowApi(up.url, "op", "guessed", up.home)
    with pytest.raises(BadInput, match=r"for op \(401\)"):
        stranger.call("GET", "dags")


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ({"success"}, "success"),
        ({"success", "waiting"}, "running"),
        ({"success", "queued"}, "running"),
        ({"waiting"}, "waiting"),
        ({"queued", "waiting"}, "waiting"),
        ({"success", "running", "waiting"}, "running"),
        ({"success", "failed", "upstream_failed"}, "failed"),
        ({"up_for_retry", "waiting"}, "up_for_retry"),
    ],
)
def test_a_day_is_done_when_all_its_tasks_are(states: set[str], state: str) -> None:
    assert state_of_all(states) == state
