"""Alerts: a failure is posted to a webhook, in the form that chat rooms and pagers take."""

from dataclasses import asdict, dataclass

import httpx
from tenacity import retry, stop_after_attempt, wait_exponential

from tasks.errors import NotReady
from tasks.settings import AlertSettings

TRIES, TIMEOUT_S = 3, 10


@dataclass(frozen=True)
class Alert:
    """What failed, in which run and for which night (empty: for none), why, and where its log is."""

    dag: str
    task: str
    run: str
    night: str
    error: str
    log: str

    @property
    def text(self) -> str:
        """One sentence."""
        night = f" of night {self.night}" if self.night else ""
        return f"{self.task}{night} failed ({self.dag}): {self.error}"


def send_alert(alert: Alert, settings: AlertSettings) -> None:
    """POST {"text", "dag", "task", "run", "night", "error", "log"} to ALERT_WEBHOOK_URL, if it is set.

    Raises NotReady, without the address, which is a secret, where three tries to deliver it have failed.
    """
    if not settings.alert_webhook_url:
        return
    try:
        _post(settings.alert_webhook_url, {"text": alert.text} | asdict(alert))
    except httpx.HTTPError as error:
        answer = getattr(error, "response", None)
        seen = f"status {answer.status_code}" if answer is not None else type(error).__name__
        raise NotReady(f"ALERT_WEBHOOK_URL must take the alert {alert.text!r}, got {seen} in {TRIES} tries") from None


@retry(stop=stop_after_attempt(TRIES), wait=wait_exponential(multiplier=0.5, max=TIMEOUT_S), reraise=True)
def _post(url: str, body: dict[str, str]) -> None:
    httpx.post(url, json=body, timeout=TIMEOUT_S).raise_for_status()
