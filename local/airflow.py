"""Airflow on this machine: its four processes on loopback, and none of them left after a stop."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from local import embedded_postgres
from local.airflow_api import AirflowApi
from local.airflow_environment import MARK, PORT, airflow_environment, home_of, passwords_file
from tasks.errors import BadInput, NotReady
from tasks.settings import Settings

START_LIMIT_SECONDS = 240
STOP_LIMIT_SECONDS = 12

Say = Callable[[str], None]


@dataclass(frozen=True)
class LocalAirflow:
    """A running Airflow: where it lives and listens, who may log in, and whether the passwords were made just now."""

    home: Path
    url: str
    passwords: dict[str, str]
    passwords_are_new: bool

    def api(self, user: str = "admin") -> AirflowApi:
        """Its REST API, as one of its users."""
        return AirflowApi(self.url, user, self.passwords[user], self.home / "logs")


def start(settings: Settings, *, port: int = PORT, schedule: bool = False, say: Say = print) -> LocalAirflow:
    """Start Airflow and make its database ready (`with_database`); return once both DAGs are loaded.

    `schedule` lets Airflow start each night by itself; without it, runs start only when triggered or backfilled.
    Raises BadInput where it already runs or the port is taken, NotReady where it does not come up.
    """
    home = home_of(settings)
    check_free(home, port)
    passwords_are_new = not passwords_file(home).exists()
    environment = airflow_environment(settings, port=port, schedule=schedule)
    passwords = json.loads(passwords_file(home).read_text())
    airflow = LocalAirflow(home, f"http://127.0.0.1:{port}", passwords, passwords_are_new)
    with _stopped_on_failure(settings):
        say("Airflow: bringing its database to the installed version")
        migration = launch("db migrate", home, environment)
        if migration.wait():
            raise _failure("db migrate", home)
        say("Airflow: starting")
        started = {command: launch(command, home, environment) for command in components(port)}
        wait_until_loaded(airflow, started, say)
        airflow.api().make_pool("gpu", slots=1)
    return airflow


def free_port() -> int:
    """A port of loopback that is free."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return int(chosen.getsockname()[1])


def components(port: int) -> list[str]:
    """The commands of the processes that an Airflow consists of, without its workers."""
    return [
        f"api-server --host 127.0.0.1 --port {port} --workers 1",
        # Without the flag these two serve their logs on every interface; the api-server reads the files.
        "scheduler --skip-serve-logs",
        "triggerer --skip-serve-logs",
        "dag-processor",
    ]


def stop(settings: Settings, say: Say = print) -> None:
    """Stop Airflow, then the embedded PostgreSQL, whatever state they are in; none of their processes is left."""
    count = stop_airflow(settings)
    say(f"Airflow: stopped {count} processes" if count else "Airflow: was not running")
    if settings.database_url is None:
        stopped = embedded_postgres.stop(settings.state_folder)
        say("PostgreSQL: stopped the embedded server" if stopped else "PostgreSQL: was not running")


def stop_airflow(settings: Settings) -> int:
    """Terminate every process of Airflow, kill those that do not go, and return how many there were."""
    home = home_of(settings)
    count = len(processes(home))
    for send in (psutil.Process.terminate, psutil.Process.kill):
        living = processes(home)
        for process in living:
            with suppress(psutil.NoSuchProcess):
                send(process)
        deadline = time.monotonic() + STOP_LIMIT_SECONDS
        # Not `processes`, which knows them by their environment: a dying process has none any more.
        while any(_lives(process) for process in living) and time.monotonic() < deadline:
            time.sleep(0.2)
    return count


def _lives(process: psutil.Process) -> bool:
    """Whether it is there and no zombie, which stays until its parent asks for it."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def processes(home: Path) -> list[psutil.Process]:
    """Every living process of the Airflow whose home this is; a zombie, which cannot be stopped, has no environment."""
    return [process for process in psutil.process_iter() if _environment(process).get(MARK) == str(home)]


def _environment(process: psutil.Process) -> dict[str, str]:
    with suppress(psutil.Error, OSError):
        return dict(process.environ())
    return {}


def check_free(home: Path, port: int) -> None:
    """Raise BadInput where Airflow already runs or the port is taken."""
    running = processes(home)
    if running:
        where = _environment(running[0]).get("AIRFLOW__API__BASE_URL", "an unknown address")
        raise BadInput(f"Airflow is already running at {where}: open it, or stop it with `python -m local down`")
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            raise BadInput(
                f"port {port} of 127.0.0.1 cannot be used ({error.strerror}): choose another with --port"
            ) from error


def launch(command: str, home: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start `airflow COMMAND`; its output goes to a file in the folder logs."""
    log = _log_file(command, home)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", *command.split()],
            env=environment,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # control-C in the terminal is for us, not for them
        )


def _log_file(command: str, home: Path) -> Path:
    return home / "logs" / f"{command.partition(' --')[0].replace(' ', '-')}.log"


def _failure(command: str, home: Path) -> NotReady:
    log = _log_file(command, home)
    last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    return NotReady(f"`airflow {command}` ended before Airflow was up; {log} ends with:\n{last_lines}")


def wait_until_loaded(airflow: LocalAirflow, started: dict[str, subprocess.Popen[bytes]], say: Say) -> None:
    """Return once every part is healthy and the DAGs are loaded.

    Raises NotReady where one of the processes ends before that, or it takes too long.
    """
    begin, shown, api = time.monotonic(), "", airflow.api()
    while awaited := api.awaited():
        for command, process in started.items():
            if process.poll() is not None:
                raise _failure(command, airflow.home)
        if time.monotonic() - begin > START_LIMIT_SECONDS:
            raise NotReady(
                f"Airflow was not up within {START_LIMIT_SECONDS} s, still waiting for {awaited}: "
                f"read the logs in {airflow.home / 'logs'}"
            )
        if awaited != shown:
            say(f"Airflow: waiting for {awaited}")
            shown = awaited
        time.sleep(0.5)


@contextmanager
def _stopped_on_failure(settings: Settings) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stop_airflow(settings)
        raise
