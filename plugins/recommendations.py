"""Adds the page to Airflow's navigation and the figures that Prometheus reads."""

from airflow.plugins_manager import AirflowPlugin

from pages.app import app


class RecommendationsPlugin(AirflowPlugin):
    """Mounts pages.app below /recommendations."""

    name = "recommendations"
    fastapi_apps = [{"app": app, "url_prefix": "/recommendations", "name": "Recommendations"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Recommendations",
            "href": "/recommendations/",
            "destination": "nav",
            "category": "browse",
            "url_route": "recommendations",
        }
    ]
