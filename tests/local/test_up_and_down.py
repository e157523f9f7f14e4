"""`up` where it is up already, and `down`: the last tests of the Airflow that they share with others."""

import signal

import psutil
import pytest

from local.airflow import check_free, free_port, processes
from tasks.errors import BadInput
from tests.local.running import Up

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_second_up_says_where_it_is_and_what_is_paused(up: Up) -> None:
    assert "paused" not in up.printed and "runs start only when asked for" in up.printed
    op = up.api("op")
    op.call("PATCH", "dags/roll_back", json={"is_paused": True})
    again = up.command("up", "--port", str(free_port()))
    assert again.exit_code == 0, again.exception
    assert f"Airflow is up: {up.url}" in again.output and "starting" not in again.output
    assert "until you unpause it: roll_back\n" in again.output
    op.call("PATCH", "dags/roll_back", json={"is_paused": False})
    assert "paused" not in up.command("up").output
    assert op.awaited() == ""


def test_a_demo_does_not_begin_where_an_airflow_is_up(up: Up) -> None:
    with pytest.raises(BadInput, match=f"already running at {up.url}"):
        check_free(up.home, free_port())


def test_down_leaves_no_process_even_after_a_crash_and_may_be_said_twice(up: Up) -> None:
    everyone = processes(up.home)
    servers = [
        process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(up.home.parent / "postgres")
    ]
    scheduler = next(process for process in everyone if "scheduler" in process.cmdline())
    scheduler.send_signal(signal.SIGKILL)
    assert servers
    assert up.command("down").exit_code == 0
    assert not [process for process in [*everyone, *servers] if lives(process)]
    assert not processes(up.home)
    assert "was not running" in up.command("down").output
