"""Alerts of failures: to the webhook ALERT_WEBHOOK_URL, and by e-mail to ALERT_EMAIL (connection smtp_default)."""

from html import escape
from typing import Any

from airflow.sdk import BaseNotifier
from airflow.sdk.exceptions import AirflowException

from dags.nightly import RETRIES, night_of


class FailureAlert(BaseNotifier):
    """Sends which task failed for good, for which night, why, and where its log is."""

    def notify(self, context: Any) -> None:
        """Send both; the second goes out where the first fails."""
        from tasks.operations.alert import send_alert
        from tasks.settings import AlertSettings

        settings, alert = AlertSettings(), _alert_of(context)
        try:
            send_alert(alert, settings)
        finally:
            if settings.alert_email:
                _mail(settings.alert_email, alert, context)


def _alert_of(context: Any) -> Any:
    from tasks.operations.alert import Alert

    task, error = context["ti"], context.get("exception")
    why = f"{type(error).__name__}: {error}" if error else "it was stopped from outside: see its log"
    return Alert(task.dag_id, task.task_id, task.run_id, _night_of(context), why, task.log_url)


def _night_of(context: Any) -> str:
    try:
        return night_of(context["params"], context["dag_run"])
    except (AirflowException, KeyError):  # the run is for no night
        return ""


def _mail(to: str, alert: Any, context: Any) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    log = escape(alert.log, quote=True)
    SmtpNotifier(
        to=to,
        subject=f"{alert.task} failed {alert.night}".strip(),
        html_content=f'<p>{escape(alert.text)}</p><p>Run {escape(alert.run)}, <a href="{log}">log</a></p>',
    ).notify(context)


# Of every task that does not override them.
DEFAULT_ARGS = {"owner": "recommendations", "on_failure_callback": [FailureAlert()], **RETRIES}
