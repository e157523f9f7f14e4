"""python -m local demo | up | down | night | run | psql: the single-machine set-up."""

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from local import airflow, embedded_postgres
from local.airflow_environment import PORT, ROLES, home_of, passwords_file
from local.tcp_login import PORT as TCP_PORT
from local.tcp_login import open_tcp
from tasks.errors import TaskError
from tasks.settings import Settings
from tasks.stores.database import database_engine

PASSED_ON: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
Port = Annotated[int, typer.Option(envvar="AIRFLOW_PORT", help="port of 127.0.0.1 for the user interface")]

app = typer.Typer(
    help="Airflow and PostgreSQL on this machine, on loopback only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def demo(
    days: Annotated[int, typer.Option(min=8, max=90, help="days of the log to ingest, the night's own day last")] = 28,
    port: Port = PORT,
) -> None:
    """Two versions on real data: co-clicks in seconds, then ECLARE's through Airflow, which stays up at the end."""
    from local.demo import demo as run_demo

    run_demo(days, port)


@app.command()
def up(
    port: Port = PORT,
    schedule: Annotated[bool, typer.Option(help="start each night by itself, not only when asked")] = False,
    tcp: Annotated[bool, typer.Option("--tcp", help="let analysts' tools read the tables, on 127.0.0.1")] = False,
    tcp_port: Annotated[int, typer.Option(help="for that", envvar="POSTGRES_TCP_PORT")] = TCP_PORT,
) -> None:
    """Start Airflow with its DAGs, and the embedded PostgreSQL where DATABASE_URL names no server; again, say where."""
    settings = Settings()
    reader = None
    if tcp:
        airflow.check_free(home_of(settings), port)  # before the database, which a running one uses, is started again
        reader = open_tcp(settings, tcp_port)
    running = airflow.running(settings) or airflow.start(settings, port=port, schedule=schedule)
    print(f"\nAirflow is up: {running.url}")
    if running.passwords_are_new:
        for user, password in running.passwords.items():
            print(f"  {user:<8} {password}   ({ROLES[user]})")
        print(f"  Passwords are shown this once; they are kept in {passwords_file(running.home)}")
    else:
        print(f"  log in as {', '.join(running.passwords)}; passwords are in {passwords_file(running.home)}")
    for line in _when_runs_start(running):
        print(f"  {line}")
    if reader:
        print(f"  tools read the tables at {reader} (docs/connect.md)")
    print("Next: open the address, `make psql` for the tables, `make down` to stop.")


def _when_runs_start(running: airflow.LocalAirflow) -> list[str]:
    other = "up --schedule" if not running.schedule else "up"
    by_itself = "each day and night starts by itself" if running.schedule else "runs start only when asked for"
    lines = [f"{by_itself}; to change it: python -m local down, then {other}"]
    if paused := running.api().paused():
        lines.append(f"paused, so that no run of it starts until you unpause it: {', '.join(paused)}")
    return lines


@app.command()
def down() -> None:
    """Stop Airflow and the embedded PostgreSQL, also after a crash; harmless where nothing runs."""
    airflow.stop(Settings())


@app.command(context_settings=PASSED_ON)
def night(context: typer.Context) -> None:
    """One night without Airflow, on a database made ready here: --night YYYY-MM-DD [--since YYYY-MM-DD]."""
    _run_tasks("night", *context.args)


@app.command(context_settings=PASSED_ON)
def run(context: typer.Context) -> None:
    """Any command of `python -m tasks` (a step, rollback, erase, ...), on a database made ready here."""
    _run_tasks(*context.args)


def _run_tasks(*arguments: str) -> NoReturn:
    os.environ["DATABASE_URL"] = str(embedded_postgres.with_database(Settings()).database_url)
    os.execv(sys.executable, [sys.executable, "-m", "tasks", *arguments])  # noqa: S606


@app.command(context_settings=PASSED_ON)
def psql(context: typer.Context) -> None:
    """Open psql on our database, with any arguments of psql (-c "select ...")."""
    settings = Settings()
    if settings.database_url is None:  # a server that was given is only looked at
        settings = embedded_postgres.with_database(settings)
    url = database_engine(settings).url
    shown = url._replace(drivername="postgresql", password=None).render_as_string()
    os.environ["PGPASSWORD"] = url.password or ""
    program = str(embedded_postgres.psql())
    os.execv(program, [program, shown, *context.args])  # noqa: S606


def main() -> None:
    """Show a refusal as one message, without a traceback, and exit with 1."""
    try:
        app()
    except (TaskError, ValidationError, SettingsError) as refusal:
        sys.exit(f"{type(refusal).__name__}: {refusal}")


if __name__ == "__main__":
    main()
