from dataclasses import asdict

import pytest

from tasks.errors import NotReady
from tasks.operations import alert as step
from tasks.operations.alert import Alert, send_alert
from tasks.settings import Settings
from tests.loopback import webhook

ALERT = Alert(
    "refresh_recommendations", "publish_recommendations", "a run", "2017-06-30", "BadInput: churn", "http://log"
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(step._post.retry, "wait", lambda _: 0)


def test_a_webhook_gets_a_sentence_and_every_field():
    with webhook() as hook:
        send_alert(ALERT, Settings(alert_webhook_url=hook.url))
    sentence = "publish_recommendations of night 2017-06-30 failed (refresh_recommendations): BadInput: churn"
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
    send_alert(ALERT, Settings(_env_file=None, alert_webhook_url=None))
