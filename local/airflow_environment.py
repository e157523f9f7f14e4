"""The environment of every Airflow process of this machine: where things are, who may log in, its secrets."""

import json
import os
import secrets
from contextlib import closing
from pathlib import Path

import psycopg2
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from local.embedded_postgres import with_database
from local.private_file import kept_privately
from tasks.errors import BadInput
from tasks.settings import ROOT, Settings
from tasks.stores.database import database_engine

PORT = 8080
ROLES = {"admin": "admin", "op": "op", "analyst": "viewer"}
METADATA_URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
# Every process of ours inherits it, so a stop finds them all, even the orphans of a crash.
MARK = "LOCAL_AIRFLOW_HOME"


def home_of(settings: Settings) -> Path:
    """Where Airflow keeps its logs, passwords and secrets."""
    return settings.state_folder.resolve() / "airflow"


def passwords_file(home: Path) -> Path:
    """The one place that holds the users' passwords, readable by its owner only."""
    return home / "passwords.json"


def airflow_environment(settings: Settings, *, port: int = PORT, schedule: bool = False) -> dict[str, str]:
    """The environment of every Airflow process and command; makes the database ready by `with_database`.

    Raises what that raises, and BadInput where no database `airflow` is on the server nor may be made.
    """
    home = home_of(settings)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = with_database(settings)
    engine = database_engine(settings)
    own = json.loads(kept_privately(home / "secrets.json", _new_secrets))
    kept_privately(passwords_file(home), _new_passwords)
    return {
        **os.environ,
        **{name.upper(): _as_written(value) for name, value in settings if value is not None},
        "DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "PYTHONPATH": str(ROOT),
        MARK: str(home),
        "SPT_NOENV": "1",  # a process that renames itself keeps its environment readable, and with it the mark
        "AIRFLOW_HOME": str(home),
        METADATA_URL: os.environ.get(METADATA_URL) or _metadata_database(engine),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": own["fernet_key"],
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in ROLES.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(home)),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": own["api_secret"],
        "AIRFLOW__API_AUTH__JWT_SECRET": own["jwt_secret"],
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": str(schedule),
    }


def _as_written(value: object) -> str:
    """A setting as the environment holds it."""
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _new_secrets() -> str:
    return json.dumps(
        {
            "fernet_key": Fernet.generate_key().decode(),
            "api_secret": secrets.token_urlsafe(32),
            "jwt_secret": secrets.token_urlsafe(32),
        }
    )


def _new_passwords() -> str:
    return json.dumps({user: secrets.token_urlsafe(12) for user in ROLES})


def _metadata_database(engine: Engine) -> str:
    """The URL of the database `airflow` on the same server, made where it is missing."""
    server = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with closing(psycopg2.connect(server)) as connection, connection.cursor() as cursor:
            connection.autocommit = True  # CREATE DATABASE refuses a transaction
            cursor.execute("select 1 from pg_database where datname = 'airflow'")
            if cursor.fetchone() is None:
                cursor.execute("create database airflow")
    except psycopg2.errors.InsufficientPrivilege as error:
        raise BadInput(
            f"{engine.url.host} has no database airflow, and user {engine.url.username} may not make it "
            f"({str(error).strip()}): have it made, or set {METADATA_URL} to the database that Airflow shall use"
        ) from error
    url = engine.url.set(database="airflow").difference_update_query(["options"])  # our search_path is not Airflow's
    return str(url.render_as_string(hide_password=False))
