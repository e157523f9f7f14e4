"""The runbook: its queries run, its commands and DAGs exist, and its alerts name figures that there are."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from local.airflow_api import DAGS
from pages.prometheus import HELP
from tasks.__main__ import app
from tasks.errors import BadInput
from tasks.run import run
from tasks.settings import ROOT, Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tests.command_line import in_this_process
from tests.nights import OTHER, make_night, rows_of, with_lenient_gate
from tests.tasks.test_analysts import as_role, lively_shop, strict

RUNBOOK = (ROOT / "docs" / "operators.md").read_text()
QUERIES = re.findall(r"^```sql\n(.*?)```", RUNBOOK, re.DOTALL | re.MULTILINE)
RETIRED = "select version_id from recommendation_version where status = 'retired'"
COMMANDS = re.findall(r"^```sh\n(.*?)\n```", RUNBOOK, re.DOTALL | re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)
def test_every_query_is_answered(settings, monkeypatch):
    lively_shop(with_lenient_gate(settings, monkeypatch))
    assert len(QUERIES) >= 6
    with as_role(settings, "analyst") as analyst:
        for query in QUERIES:
            rows = analyst.exec_driver_sql(query, execution_options={"no_parameters": True}).all()
            assert rows or "out_of_date" in query or "ingest_rules" in query, query  # a clean day has none


@pytest.mark.slow
@pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)
def test_every_command_does_what_it_says(settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    lively_shop(settings)
    log = Path(settings.click_log_url, "date=2017-06-28", "log.csv")
    log.parent.mkdir()
    log.write_text("event_time,session_id,product_id,user_id\n2017-06-28,s,1,4711\n2017-06-28,t,1,\n")
    run("ingest_clicks", "2017-06-28", settings)
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(make_night("2017-07-01", settings, OTHER), strict(settings))
    (rejected,) = rows_of(settings, "select version_id from recommendation_version where status = 'rejected'")
    done = set()
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        version = rejected[0] if " withdraw " not in command else rows_of(settings, RETIRED)[0][0]
        python, option, *words = shlex.split(re.sub(r"--version \d+", f"--version {version}", command))
        assert (python, option) == ("python", "-m")
        ended = in_this_process(*words)
        assert ended.returncode == 0, ended.stderr
        done.add(words[1])
    assert done == {"approve", "rollback", "withdraw", "erase"}
    history = "select action, actor, reason from live_history order by change_id desc limit 3"
    assert rows_of(settings, history) == [
        ("withdraw", "Ada", "a broken export"),
        ("rollback", "Ada", "odd titles"), ("override", "Ada", "the season changed")
    ]  # fmt: skip
    assert rows_of(settings, "select reason from erasure") == [("request of 2017-06-30",)]


def test_every_name_in_it_exists():
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"python -m tasks (\w+)", RUNBOOK)) <= commands
    words = set(re.findall(r"`(\w+)`", RUNBOOK))
    assert {"approve_version", "roll_back", "watch_live_version", "refresh_recommendations"} <= words & DAGS
    of_compose = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    settings = {name.upper() for name in Settings.model_fields} | of_compose
    named = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)+)\b", re.sub(r"(AIRFLOW_|OTEL)_\w+", "", RUNBOOK)))
    assert named <= settings
    for picture in re.findall(r"\]\((screenshots/[^)]+)\)", RUNBOOK):
        assert (ROOT / "docs" / picture).stat().st_size < 150_000


def test_alerts_are_about_figures_that_there_are():
    rules = yaml.safe_load((ROOT / "docs" / "alerts.yml").read_text())["groups"][0]["rules"]
    for rule in rules:
        figures = re.findall(r"recommendations_(\w+)", rule["expr"])
        assert figures and set(figures) <= HELP.keys()
        assert rule["annotations"]["summary"]
