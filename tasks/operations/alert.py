"""Alerts and notices: what failed, and what was published, is posted to webhooks of chat rooms and pagers."""

from dataclasses import asdict, dataclass
from typing import Any

import httpx
from tenacity import retry, stop_after_attempt, wait_exponential

from tasks.errors import NotReady
from tasks.night import Night
from tasks.settings import AlertSettings, Settings
from tasks.stores.database import select, transaction

TRIES, TIMEOUT_S = 3, 10


@dataclass(frozen=True)
class Alert:
    """What failed, by its id and by the name that Airflow shows, in which run and for which night (empty: for none).

    With why, and where its log is.
    """

    dag: str
    task: str
    name: str
    run: str
    night: str
    error: str
    log: str

    @property
    def text(self) -> str:
        """One sentence."""
        night = f" of night {self.night}" if self.night else ""
        return f"{self.name} ({self.task}){night} failed (DAG {self.dag}): {self.error}"


@dataclass(frozen=True)
class Notice:
    """A night that passed the gate: its version, what made it, and how large it is; live: whether readers see it."""

    night: str
    version: int
    algorithm: str
    live: bool
    rows: int
    products: int

    @property
    def text(self) -> str:
        """One sentence."""
        what = "is live" if self.live else "passed the gate and is not live: the version of a newer night is"
        size = f"{self.rows:,} rows for {self.products:,} products"
        return f"Night {self.night} {what}: version {self.version} by {self.algorithm}, {size}"


def send_alert(alert: Alert, settings: AlertSettings) -> None:
    """POST {"text", "dag", "task", "name", "run", "night", "error", "log"} to ALERT_WEBHOOK_URL, if it is set.

    Raises NotReady, without the address, which is a secret, where three tries to deliver it have failed.
    """
    _send("ALERT_WEBHOOK_URL", settings.alert_webhook_url, {"text": alert.text} | asdict(alert))


def send_notice(notice: Notice, settings: AlertSettings) -> None:
    """POST {"text", "night", "version", "algorithm", "live", "rows", "products"} to SUCCESS_WEBHOOK_URL, if it is set.

    Raises what `send_alert` raises.
    """
    _send("SUCCESS_WEBHOOK_URL", settings.success_webhook_url, {"text": notice.text} | asdict(notice))


def notice_of(day: str, settings: Settings) -> Notice:
    """The newest version of a night, which has just passed the gate."""
    with transaction(settings) as connection:
        (version,) = select(connection, "report_version", night=Night.of(day, settings).day)
    sizes = version["row_count"], version["product_count"]
    return Notice(day, version["version_id"], version["algorithm"], version["status"] == "live", *sizes)


def _send(setting: str, url: str | None, body: dict[str, Any]) -> None:
    if not url:
        return
    try:
        _post(url, body)
    except httpx.HTTPError as error:
        answer = getattr(error, "response", None)
        seen = f"status {answer.status_code}" if answer is not None else type(error).__name__
        raise NotReady(f"{setting} must take {body['text']!r}, got {seen} in {TRIES} tries") from None


@retry(stop=stop_after_attempt(TRIES), wait=wait_exponential(multiplier=0.5, max=TIMEOUT_S), reraise=True)
def _post(url: str, body: dict[str, Any]) -> None:
    httpx.post(url, json=body, timeout=TIMEOUT_S).raise_for_status()
