"""Alerts of failures and notices of published nights: to webhooks, and by e-mail (connection smtp_default).

ALERT_WEBHOOK_URL and ALERT_EMAIL are told what failed, SUCCESS_WEBHOOK_URL and SUCCESS_EMAIL what was published.
"""

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
                log = escape(alert.log, quote=True)
                body = f'<p>{escape(alert.text)}</p><p>Run {escape(alert.run)}, <a href="{log}">log</a></p>'
                _mail(settings.alert_email, f"{alert.name} ({alert.task}) failed {alert.night}".strip(), body, context)


class PublishedNotice(BaseNotifier):
    """Sends which night passed the gate, and whether readers see it."""

    def notify(self, context: Any) -> None:
        """Send both; the second goes out where the first fails. Reads nothing where nobody is to be told."""
        from tasks.operations.alert import notice_of, send_notice
        from tasks.settings import Settings

        settings = Settings()
        if not (settings.success_webhook_url or settings.success_email):
            return
        notice = notice_of(night_of(context["params"], context["dag_run"]), settings)
        try:
            send_notice(notice, settings)
        finally:
            if settings.success_email:
                body = f"<p>{escape(notice.text)}</p>"
                _mail(settings.success_email, f"Night {notice.night} published", body, context)


def _alert_of(context: Any) -> Any:
    from tasks.operations.alert import Alert

    task, error = context["ti"], context.get("exception")
    why = f"{type(error).__name__}: {error}" if error else "it was stopped from outside: see its log"
    name = getattr(context.get("task"), "task_display_name", task.task_id)
    return Alert(task.dag_id, task.task_id, name, task.run_id, _night_of(context), why, task.log_url)


def _night_of(context: Any) -> str:
    try:
        return night_of(context["params"], context["dag_run"])
    except (AirflowException, KeyError):  # the run is for no night
        return ""


def _mail(to: str, subject: str, body: str, context: Any) -> None:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    SmtpNotifier(to=to, subject=subject, html_content=body).notify(context)


# Of every task that does not override them.
DEFAULT_ARGS = {"owner": "recommendations", "on_failure_callback": [FailureAlert()], **RETRIES}
