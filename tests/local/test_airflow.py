import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from local.__main__ import app
from local.airflow import free_port, processes
from local.airflow_api import DAGS, AirflowApi, RunFailed, state_of_all
from local.airflow_environment import home_of
from tasks.errors import BadInput
from tasks.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Up:
    """An Airflow brought up by the command, and what the command printed."""

    settings: Settings
    printed: str

    @property
    def home(self) -> Path:
        return home_of(self.settings)

    def api(self, user: str) -> AirflowApi:
        """The API at the printed address, with the printed password."""
        address = re.search(r"Airflow is up: (\S+)", self.printed)
        password = re.search(rf"^  {user} +(\S+)", self.printed, re.MULTILINE)
        assert address
        assert password
        return AirflowApi(address[1], user, password[1], self.home / "logs")


def command(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Settings.model_config, "env_file", None)
        patch.delenv("DATABASE_URL", raising=False)
        patch.setenv("STATE_FOLDER", str(folder / "state"))
        patch.setenv("STORAGE_URL", str(folder / "storage"))
        patch.setenv("CLICK_LOG_URL", str(folder / "clicks"))
        patch.setenv("CATALOGUE_URL", str(folder / "catalogue.parquet"))
        try:
            printed = command("up", "--port", str(free_port()))
            assert printed.exit_code == 0, (printed.output, printed.exception)
            yield Up(Settings(), printed.output)
        finally:
            command("down")


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
        up.api("op").backfill("ingest_clicks", date(2017, 6, 30), date(2017, 6, 30), seen.append)
    assert seen[0].keys() == {"2017-06-30"}
    log = Path(re.search(r"the whole log is (.+)$", str(failed.value))[1])
    assert "there is no catalogue at" in log.read_text()


def test_a_failed_refresh_names_its_task_and_stands_in_nobodys_way(up: Up) -> None:
    for _ in range(2):
        with pytest.raises(RunFailed, match=r"^build_interactions of run "):
            up.api("op").trigger("refresh_recommendations", date(2017, 6, 30), lambda _: None)


def test_the_page_is_in_the_navigation_and_asks_for_the_permissions_of_the_dags(up: Up) -> None:
    views = [view for plugin in up.api("op").call("GET", "plugins")["plugins"] for view in plugin["external_views"]]
    assert [view["href"] for view in views] == ["/recommendations/"]
    page = f"{up.api('op').url}/recommendations"
    assert httpx.get(f"{page}/nights").status_code == 401
    back = {"reason": "odd titles"}
    for user, looks, goes_back in (("analyst", 200, 403), ("op", 200, 400), ("admin", 200, 400)):
        who = {"Authorization": f"Bearer {up.api(user).token}"}
        assert httpx.get(f"{page}/nights", headers=who).status_code == looks
        answer = httpx.post(f"{page}/roll_back", headers=who, data=back)
        assert answer.status_code == goes_back
        if goes_back == 400:
            assert "needs an accepted version before the live one" in answer.text
    assert httpx.post(f"{page}/roll_back", data=back).status_code == 401
    assert httpx.get(f"{page}/metrics").status_code == 404, "METRICS_TOKEN is not set"


def test_a_wrong_password_is_refused(up: Up) -> None:
    stranger = AirflowApi(up.api("op").url, "op", "guessed", up.home)
    with pytest.raises(BadInput, match=r"for op \(401\)"):
        stranger.call("GET", "dags")


def test_a_second_up_says_that_it_is_already_running(up: Up) -> None:
    again = command("up", "--port", str(free_port()))
    assert isinstance(again.exception, BadInput)
    assert f"already running at {up.api('op').url}" in str(again.exception)
    assert up.api("op").awaited() == ""


def test_down_leaves_no_process_even_after_a_crash_and_may_be_said_twice(up: Up) -> None:
    everyone = processes(up.home)
    servers = [
        process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(up.home.parent / "postgres")
    ]
    scheduler = next(process for process in everyone if "scheduler" in process.cmdline())
    scheduler.send_signal(signal.SIGKILL)
    assert servers
    assert command("down").exit_code == 0
    assert not [process for process in [*everyone, *servers] if lives(process)]
    assert not processes(up.home)
    assert "was not running" in command("down").output


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
