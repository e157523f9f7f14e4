"""The way from a run in Airflow's interface to the report of its night."""

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf


class ReportLink(BaseOperatorLink):
    """A button on the task report_night."""

    name = "Report of the night"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 (Airflow's signature)
        """Where the page Recommendations serves it, once the task has run and its night is rendered."""
        root = urlsplit(conf.get("api", "base_url", fallback="/")).path.rstrip("/")
        (night,) = operator.op_args
        return f"{root}/recommendations/report?night={night}"
