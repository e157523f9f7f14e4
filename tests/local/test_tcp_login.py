"""The login for analysts' tools: on loopback, with a password, to read."""

import socket
from pathlib import Path
from shutil import rmtree

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from local import airflow, embedded_postgres
from local.__main__ import app
from local.airflow import free_port
from local.tcp_login import open_tcp
from tasks.errors import BadInput
from tasks.settings import Settings
from tests.installations import engine_of, short_folder

pytestmark = pytest.mark.slow


def ask(url: str | sa.URL, query: str) -> object:
    with engine_of(url).connect() as connection:
        return connection.execute(sa.text(query)).scalar_one_or_none()


def listening() -> socket.socket:
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def test_tools_read_on_loopback_with_a_password_and_nobody_does_more() -> None:
    folder, port = short_folder(), free_port()
    settings = Settings(_env_file=None, database_url=None, state_folder=folder)
    try:
        url = open_tcp(settings, port)
        assert ask(url, "select count(*) from current_recommendations") == 0
        assert ask(url, "show listen_addresses") == "127.0.0.1"
        for forbidden in ("create table mine (one int)", "delete from metric", "select * from erasure_salt"):
            with pytest.raises(sa.exc.DBAPIError, match=r"read-only transaction|permission denied"):
                ask(url, f"begin read write; {forbidden}")
        reader = sa.make_url(url)
        strangers = [{"password": "guessed"}, {"username": "postgres"}, {"database": "airflow"}]
        for stranger in (reader.set(**changed) for changed in strangers):
            with pytest.raises(sa.exc.OperationalError, match=r"password authentication failed|no pg_hba.conf entry"):
                ask(stranger, "select 1")
        assert (folder / "reader_password").stat().st_mode & 0o077 == 0
        again = embedded_postgres.start(folder)
        assert ask(again, "select current_user") == "postgres", "the socket is as before"
        assert open_tcp(settings, port) == url
        with pytest.raises(BadInput, match="DATABASE_URL names another"):
            open_tcp(settings.model_copy(update={"database_url": again}), port)
        embedded_postgres.stop(folder)
        assert ask(embedded_postgres.start(folder), "show listen_addresses") == "", "until it is stopped"
        with listening() as taken, pytest.raises(BadInput, match="choose another with --tcp-port"):
            open_tcp(settings, taken.getsockname()[1])
    finally:
        embedded_postgres.stop(folder)
        rmtree(folder)


def test_up_opens_it_before_airflow_starts_and_prints_the_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def started(*_: object, **__: object) -> airflow.LocalAirflow:
        calls.append("started")
        return airflow.LocalAirflow(tmp_path, "http://127.0.0.1:8080", {"admin": "x"}, passwords_are_new=False)

    monkeypatch.setattr(airflow, "check_free", lambda *_: calls.append("is free"))
    monkeypatch.setattr(airflow, "start", started)
    monkeypatch.setattr("local.__main__._when_runs_start", lambda _: [])  # nobody is there to ask
    monkeypatch.setattr(
        "local.__main__.open_tcp", lambda _, port: calls.append(f"opened {port}") or "postgresql://reader"
    )
    said = CliRunner().invoke(app, ["up", "--tcp", "--tcp-port", "6000"]).output
    assert calls == ["is free", "opened 6000", "started"]
    assert "tools read the tables at postgresql://reader (docs/connect.md)" in said
    assert "tools read" not in CliRunner().invoke(app, ["up"]).output
