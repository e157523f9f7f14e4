"""Adds the page to Airflow's navigation and the figures that Prometheus reads."""

from typing import Any

from airflow.plugins_manager import AirflowPlugin


async def page(scope: Any, receive: Any, send: Any) -> None:
    """pages.app, loaded on its first request: every Airflow process, each task's as well, loads this file."""
    from pages.app import app

    await app(scope, receive, send)


class RecommendationsPlugin(AirflowPlugin):
    """Mounts the page below /recommendations."""

    name = "recommendations"
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
