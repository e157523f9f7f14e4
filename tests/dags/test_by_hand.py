"""What operators do by hand, and the alerts of failures, through Airflow."""

import json
from email import message_from_string
from typing import Any

import pytest

from tasks.errors import BadInput
from tasks.publish.versions import this_user
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tests.loopback import mailbox, webhook
from tests.nights import OTHER, make_night, rows_of, with_lenient_gate
from tests.tasks.test_analysts import strict

pytestmark = pytest.mark.slow

AUDIT = "select action, night::text, actor, reason from live_history order by change_id"
WHY = "the range changed; '; drop table metric; -- {{ 7 * 7 }}"


@pytest.fixture
def refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A night is live, and the gate refused the next one."""
    settings = with_lenient_gate(settings, monkeypatch)
    publish_recommendations(make_night("2017-06-29", settings), settings)
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(make_night("2017-06-30", settings, OTHER), strict(settings))
    return settings


@pytest.mark.parametrize("server", ["given"], indirect=True)
def test_a_person_approves_and_rolls_back_and_is_named(refused: Settings, run_dags: Any) -> None:
    with webhook() as hook, mailbox() as (port, mails):
        mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": port}
        mail["extra"] = {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@example.org"}
        outcomes, _ = run_dags(
            {"dag_id": "approve_version", "conf": {"version": 2, "reason": WHY}},
            {"dag_id": "roll_back", "conf": {"version": 2, "reason": "odd titles"}},
            {"dag_id": "approve_version", "conf": {"version": 2, "reason": "too far"}},
            {"dag_id": "approve_version", "conf": {"version": 1, "reason": "no need"}},
            {"dag_id": "watch_live_version"},
            MAX_DATA_AGE_HOURS="1e9",
            DATABASE_URL=str(refused.database_url), ALERT_WEBHOOK_URL=hook.url, ALERT_EMAIL="shop@example.org",
            AIRFLOW_CONN_SMTP_DEFAULT=json.dumps(mail),
        )  # fmt: skip
    assert [outcome["state"] for outcome in outcomes] == ["success", "success", "success", "failed", "success"]
    assert rows_of(refused, AUDIT) == [
        ("publish", "2017-06-29", this_user(), "passed the gate"),
        ("override", "2017-06-30", "dag_test", WHY),
        ("rollback", "2017-06-29", "dag_test", "odd titles"),
        ("override", "2017-06-30", "dag_test", "too far"),
    ]
    assert outcomes[4]["counts"]["live_version_is_fresh"]["version"] == 2
    (alert,) = hook.sent
    assert (alert["dag"], alert["task"], alert["night"]) == ("approve_version", "make_it_live", "")
    assert alert["error"].startswith("BadInput: version 1 must be rejected or withdrawn and have its rows")
    assert alert["log"].startswith("http")
    (mail_sent,) = map(message_from_string, mails)
    assert mail_sent["To"] == "shop@example.org"
    assert mail_sent["Subject"] == "Make the refused version live (make_it_live) failed"
