"""`python -m tasks`, as typed."""

from datetime import timedelta
from pathlib import Path

import pytest

from tasks.run import INGEST, REFRESH, STEPS
from tasks.settings import Settings
from tasks.stores.database import migrate
from tests.command_line import in_a_process, in_this_process
from tests.small_shop import NIGHT, deliver_catalogue, deliver_log


@pytest.mark.slow
def test_a_whole_night_logs_each_step_and_ends_with_the_metrics_beside_the_baseline(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELD_OUT_DAYS", "1")
    first = NIGHT - timedelta(days=2)
    deliver_log(Path(settings.click_log_url), first)
    deliver_catalogue(Path(settings.catalogue_url))
    ended = in_a_process("tasks", "night", "--night", str(NIGHT), "--since", str(first))
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("ingest_clicks of night") == 2 * 3  # it begins, it ends
    assert all(f"{step} of night {NIGHT}: " in ended.stderr for step in STEPS)
    table = ended.stdout[ended.stdout.index("metrics at 10") :]
    header, *lines = [line for line in table.splitlines()[1:] if line.strip()]
    assert header.split() == ["P", "nDCG", "PSP", "lift", "recall", "coverage"]
    figures = {line[:26].strip(): line[26:].split() for line in lines}
    systems = ("eclare", "co-click", "observed - expected", "cosine", "popularity", "eclare without model")
    assert all(len(figures[system]) == 6 for system in systems)
    assert len(figures["eclare / best rival"]) == len(figures["eclare / without model"]) == 4
    assert "best rival: P " in ended.stdout


@pytest.mark.slow
def test_each_step_runs_alone_and_is_refused_in_one_line(settings: Settings) -> None:
    for place, step in enumerate((*INGEST, *REFRESH)):
        run = in_this_process if place else in_a_process
        ended = run("tasks", step, "--night", "2017-06-30")
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1].startswith("NotReady: ")
        assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_without_a_database_each_use_of_it_is_refused_and_no_server_is_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver_log(Path(settings.click_log_url))
    deliver_catalogue(Path(settings.catalogue_url))
    monkeypatch.setenv("DATABASE_URL", "")
    rollback = ("rollback", "--version", "1", "--reason", "odd titles")
    for words in (("migrate",), ("night", "--night", str(NIGHT)), ("ingest_clicks", "--night", str(NIGHT)), rollback):
        ended = in_this_process("tasks", *words)
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1].startswith("BadInput: DATABASE_URL must name the PostgreSQL server")
        assert "Traceback" not in ended.stderr
    assert not settings.state_folder.exists()
    assert not Path(settings.storage_url).exists()


@pytest.mark.slow
def test_a_fresh_database_is_refused_until_it_is_migrated(fresh_settings: Settings) -> None:
    deliver_catalogue(Path(fresh_settings.catalogue_url))
    step = ("ingest_catalogue", "--night", str(NIGHT))
    ended = in_this_process("tasks", *step)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("run `python -m tasks migrate`")
    migrated = in_a_process("tasks", "migrate")
    assert (migrated.returncode, migrated.stdout) == (0, f"the schema is at revision {migrate(fresh_settings)}\n")
    assert in_this_process("tasks", *step).returncode == 0


@pytest.mark.parametrize(("night", "said"), [("2999-12-31", "is in the future"), ("yesterday", "YYYY-MM-DD")])
def test_a_night_that_cannot_be_is_refused(settings: Settings, night: str, said: str) -> None:
    ended = in_this_process("tasks", "night", "--night", night)
    assert ended.returncode == 1
    assert ended.stderr.startswith("BadInput: ")
    assert said in ended.stderr
