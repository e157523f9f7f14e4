import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from local import airflow
from local.airflow_environment import METADATA_URL, airflow_environment
from tasks.errors import BadInput
from tasks.settings import Settings
from tasks.stores.database import transaction


@pytest.fixture
def server_without_airflow(embedded_server: str) -> Iterator[sa.URL]:
    """The embedded server, taken for a server that was given: no database `airflow`, and a user who may make none."""
    url = sa.make_url(embedded_server)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("drop database if exists airflow")
        connection.exec_driver_sql("create role limited login")
        connection.exec_driver_sql("create database ours owner limited")
    yield url.set(database="ours")
    with engine.connect() as connection:
        connection.exec_driver_sql("drop database ours")
        connection.exec_driver_sql("drop role limited")


def settings_for(url: sa.URL, folder: Path) -> Settings:
    return Settings(_env_file=None, database_url=url.render_as_string(hide_password=False), state_folder=folder)


def test_airflow_gets_a_database_of_its_own_on_the_given_server(server_without_airflow: sa.URL, tmp_path: Path) -> None:
    ours = server_without_airflow.update_query_dict({"options": "-csearch_path=public"})
    environment = airflow_environment(settings_for(ours, tmp_path))
    assert sa.make_url(environment["DATABASE_URL"]).database == "ours"
    assert sa.make_url(environment["DATABASE_URL"]).query["options"] == "-csearch_path=public"
    with transaction(settings_for(ours, tmp_path)):
        pass
    metadata = sa.make_url(environment[METADATA_URL])
    assert metadata.drivername == "postgresql+psycopg2"
    assert "options" not in metadata.query
    with sa.create_engine(metadata, poolclass=sa.NullPool).connect() as connection:
        assert connection.exec_driver_sql("select current_database()").scalar_one() == "airflow"


def test_a_user_who_may_make_no_database_is_told_what_to_do(server_without_airflow: sa.URL, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=f"user limited may not make it .*set {METADATA_URL}"):
        airflow_environment(settings_for(server_without_airflow.set(username="limited"), tmp_path))


def test_a_given_metadata_database_is_left_alone(
    server_without_airflow: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METADATA_URL, "postgresql+psycopg2://somewhere/else")
    environment = airflow_environment(settings_for(server_without_airflow.set(username="limited"), tmp_path))
    assert environment[METADATA_URL] == "postgresql+psycopg2://somewhere/else"


def test_secrets_are_made_once_and_differ_between_installations(embedded_server: str, tmp_path: Path) -> None:
    def secrets_of(folder: Path) -> list[str]:
        environment = airflow_environment(settings_for(sa.make_url(embedded_server), folder))
        names = ("CORE__FERNET_KEY", "API__SECRET_KEY", "API_AUTH__JWT_SECRET")
        return [environment[f"AIRFLOW__{name}"] for name in names]

    assert secrets_of(tmp_path / "one") == secrets_of(tmp_path / "one")
    assert not set(secrets_of(tmp_path / "one")) & set(secrets_of(tmp_path / "other"))


def test_settings_reach_the_workers_as_they_are(
    embedded_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(sa.make_url(embedded_server), tmp_path)
    settings = settings.model_copy(update={"weight_of": {"view": 0.5, "purchase": 3.0}, "lateness_days": 4})
    environment = airflow_environment(settings)
    for name in [name.upper() for name in Settings.model_fields if name.upper() in environment]:
        monkeypatch.setenv(name, environment[name])
    assert Settings(_env_file=None).model_copy(update={"database_url": settings.database_url}) == settings


def test_a_taken_port_is_refused_before_anything_starts(embedded_server: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BadInput, match="choose another with --port"):
            airflow.start(settings_for(sa.make_url(embedded_server), tmp_path), port=taken.getsockname()[1])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_airflow_that_cannot_start_says_where_its_log_is_and_leaves_no_process(
    embedded_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(METADATA_URL, "postgresql+psycopg2://nobody@127.0.0.1:1/airflow")
    with pytest.raises(
        airflow.NotReady, match=r"`airflow db migrate` ended .*db-migrate\.log ends with:\n(.*\n)*.*refused"
    ):
        airflow.start(settings_for(sa.make_url(embedded_server), tmp_path), port=18080)
    assert not airflow.processes(tmp_path / "airflow")
