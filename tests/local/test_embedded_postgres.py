import multiprocessing
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import psutil
import pytest
import sqlalchemy as sa

from local import embedded_postgres
from local.embedded_postgres import start, stop
from tasks.errors import NotReady
from tasks.settings import ROOT
from tests.installations import short_folder
from tests.servers import postmaster_pid

pytestmark = pytest.mark.slow


@contextmanager
def state_folder() -> Iterator[Path]:
    # Not tmp_path: pytest closes its parent folder to every other user, and root's server is another user.
    folder = short_folder()
    yield folder
    stop(folder)
    rmtree(folder)


@pytest.fixture
def new_folder() -> Iterator[Path]:
    with state_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with state_folder() as folder:
        yield folder


def scalar(url: str, query: str) -> object:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        return connection.execute(sa.text(query)).scalar_one()


def processes_of(folder: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cwd"]) if str(folder) in (process.info["cwd"] or "")]


def start_elsewhere(folder: Path, **environment: str) -> subprocess.Popen:
    code = f"from pathlib import Path; from local.embedded_postgres import start; print(start(Path({str(folder)!r})))"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | environment
    )


def as_nobody(call: Callable[[Path], object], folder: Path) -> object:
    with multiprocessing.get_context("fork").Pool(1, initializer=become_nobody) as pool:
        return pool.apply(call, (folder,))


def become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def test_it_keeps_its_rows_over_a_stop_and_leaves_no_process(folder):
    url = start(folder)
    assert start(folder) == url
    scalar(url, "create table kept as select 7 as number; select 1")
    assert scalar(url, "select count(*) from pg_database where datname in ('recommendations', 'airflow')") == 2
    assert stop(folder) is True
    assert processes_of(folder) == []
    assert stop(folder) is False
    assert scalar(start(folder), "select number from kept") == 7


def test_it_listens_on_its_socket_alone_and_only_its_user_may_open_that(folder):
    url = start(folder)
    assert scalar(url, "show listen_addresses") == ""
    socket = Path(sa.make_url(url).query["host"], ".s.PGSQL.5432")
    assert socket.stat().st_mode & 0o077 == 0


def test_two_processes_may_start_it_at_once_and_it_outlives_them(folder):
    stop(folder)
    callers = [start_elsewhere(folder) for _ in range(2)]
    urls = {caller.communicate(timeout=60)[0].strip() for caller in callers}
    assert [caller.returncode for caller in callers] == [0, 0]
    assert len(urls) == 1
    assert scalar(urls.pop(), "select 1") == 1


@pytest.mark.parametrize("reused_by", [None, os.getpid()], ids=["unused", "reused by another program"])
def test_it_starts_after_a_kill_that_left_its_process_id_behind(folder, reused_by):
    url = start(folder)
    scalar(url, "create table if not exists survivor as select 7 as number; select 1")
    killed = postmaster_pid(folder)
    os.kill(killed, signal.SIGKILL)
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        file = folder / "postgres" / name
        file.write_text(file.read_text().replace(str(killed), str(reused_by or killed), 1))
    assert scalar(start(folder), "select number from survivor") == 7
    assert postmaster_pid(folder) not in (killed, reused_by)


def test_stop_clears_what_a_killed_server_left(folder):
    start(folder)
    os.kill(postmaster_pid(folder), signal.SIGKILL)
    stop(folder)
    assert processes_of(folder) == []


def test_a_server_that_cannot_start_says_why(folder):
    start(folder)
    stop(folder)
    version = folder / "postgres" / "PG_VERSION"
    initialised_by = version.read_text()
    version.write_text("9.6\n")
    with pytest.raises(NotReady, match=r"did not start.*9\.6.*DATABASE_URL"):
        start(folder)
    version.write_text(initialised_by)


def test_psql_is_the_server_s_own(folder):
    url = start(folder)
    command = [embedded_postgres.psql(), url.replace("+psycopg2", ""), "-Atc", "show server_version_num"]
    assert subprocess.check_output(command, text=True).strip() == scalar(url, "show server_version_num")


def test_a_path_too_long_for_a_socket_is_no_obstacle(new_folder):
    folder = new_folder / ("long" * 30) / "with a space"
    assert scalar(start(folder), "select 1") == 1
    assert stop(folder) is True


def test_neither_a_first_start_that_was_killed_nor_an_unknown_locale_is_an_obstacle(new_folder):
    unfinished = new_folder / "postgres.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    url, _ = start_elsewhere(new_folder, LANG="xx_YY.UTF-8", LC_ALL="xx_YY.UTF-8").communicate(timeout=60)
    assert scalar(url.strip(), "select lower('ÅRSTA')") == "årsta"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")
def test_a_plain_user_can_start_and_stop_it(new_folder):
    new_folder.chmod(0o777)
    folder = new_folder / "of nobody"
    url = as_nobody(start, folder)
    assert {process.username() for process in processes_of(folder)} == {"nobody"}
    assert scalar(url, "select 1") == 1
    assert as_nobody(stop, folder) is True
    assert processes_of(folder) == []
