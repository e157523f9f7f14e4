from dataclasses import asdict

import pytest

from tasks.errors import NotReady
from tasks.operations import alert as step
from tasks.operations.alert import Alert, Notice, notice_of, send_alert, send_notice
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tests.loopback import webhook
from tests.nights import make_night, with_lenient_gate

ALERT = Alert(
    "refresh_recommendations",
    "publish_recommendations",
    "Publish",
    "a run",
    "2017-06-30",
    "BadInput: churn",
    "http://log",
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(step._post.retry, "wait", lambda _: 0)


def test_a_webhook_gets_a_sentence_and_every_field():
    with webhook() as hook:
        send_alert(ALERT, Settings(alert_webhook_url=hook.url))
    what = "Publish (publish_recommendations) of night 2017-06-30"
    sentence = f"{what} failed (DAG refresh_recommendations): BadInput: churn"
    assert hook.sent == [{"text": sentence} | asdict(ALERT)]


def test_a_webhook_that_stumbles_is_tried_again():
    with webhook() as hook:
        hook.answers += [503, 500]
        send_alert(ALERT, Settings(alert_webhook_url=hook.url))
    assert len(hook.sent) == 3


def test_a_webhook_that_refuses_is_named_without_its_address():
    with webhook() as hook:
        hook.answers += [403] * 3
        with pytest.raises(NotReady, match=r"ALERT_WEBHOOK_URL .* got status 403 in 3 tries") as refused:
            send_alert(ALERT, Settings(alert_webhook_url=hook.url))
    assert "secret" not in str(refused.value)
    with pytest.raises(NotReady, match="ConnectError") as refused:
        send_alert(ALERT, Settings(alert_webhook_url=hook.url))
    assert "secret" not in str(refused.value)


def test_without_an_address_nobody_is_told():
    nowhere = Settings(_env_file=None, alert_webhook_url=None, success_webhook_url=None)
    send_alert(ALERT, nowhere)
    send_notice(Notice("2017-06-30", 2, "eclare", True, 5, 3), nowhere)


def test_a_published_night_is_told_with_its_version_and_size_and_whether_it_is_live(settings, monkeypatch):
    settings = with_lenient_gate(settings, monkeypatch)
    for day in ("2017-06-30", "2017-06-28"):
        publish_recommendations(make_night(day, settings), settings)
    with webhook() as hook:
        told = settings.model_copy(update={"success_webhook_url": hook.url})
        for day in ("2017-06-30", "2017-06-28"):
            send_notice(notice_of(day, told), told)
    size = "by eclare, 5 rows for 3 products"
    assert [sent["text"] for sent in hook.sent] == [
        f"Night 2017-06-30 is live: version 1 {size}",
        f"Night 2017-06-28 passed the gate and is not live: the version of a newer night is: version 2 {size}",
    ]
    assert hook.sent[0] == {
        "text": hook.sent[0]["text"], "night": "2017-06-30", "version": 1, "algorithm": "eclare", "live": True,
        "rows": 5, "products": 3,
    }  # fmt: skip
