"""Adds the page to Airflow's navigation, the figures that Prometheus reads, and the night to the note of its runs."""

from contextlib import suppress
from typing import Any

from airflow.exceptions import AirflowException
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


async def page(scope: Any, receive: Any, send: Any) -> None:
    """pages.app, loaded on its first request: every Airflow process, each task's as well, loads this file."""
    from pages.app import app

    await app(scope, receive, send)


class NightNotes:
    """In the scheduler: the note of a run says its night, which Airflow knows by a parameter or an interval alone."""

    DAGS = ("ingest_clicks", "refresh_recommendations")

    @hookimpl
    def on_dag_run_running(self, dag_run: Any) -> None:
        """Write "night 2017-06-30" before what a person may have written."""
        if dag_run.dag_id not in self.DAGS:
            return
        from dags.nightly import night_of

        with suppress(AirflowException):  # a run without a night fails at its first task, and says what to do
            night = night_of({"night": (dag_run.conf or {}).get("night")}, dag_run)
            said = (dag_run.note or "").removeprefix(f"night {night}").strip()
            dag_run.note = f"night {night} {said}".strip()


class RecommendationsPlugin(AirflowPlugin):
    """Mounts the page below /recommendations."""

    name = "recommendations"
    listeners = [NightNotes()]  # noqa: RUF012
    fastapi_apps = [{"app": page, "url_prefix": "/recommendations", "name": "Recommendations"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Recommendations",
            "href": "/recommendations/",
            "destination": "nav",
            "category": "browse",
            "url_route": "recommendations",
        }
    ]
