"""Ways from Airflow's interface to the page Recommendations: to the report of a run's night, to what is ingested."""

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf


def page_url(path: str) -> str:
    """Where Airflow serves a path of the page Recommendations."""
    root = urlsplit(conf.get("api", "base_url", fallback="/")).path.rstrip("/")
    return f"{root}/recommendations/{path}"


class ReportLink(BaseOperatorLink):
    """A button on the task report_night."""

    name = "Report of the night"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """Where the page Recommendations serves it, once the task has run and its night is rendered."""
        (night,) = operator.op_args
        return page_url(f"report?night={night}")
