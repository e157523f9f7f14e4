"""What the DAGs share: which night a run is for, who triggered it, and which failures are retried."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException

# Named, not imported: a DAG file is parsed every few seconds and must not load the steps.
REFUSALS = ["tasks.errors.BadInput", "pydantic.ValidationError", "pydantic_settings.SettingsError"]
# The first pause is AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY, five minutes unless it is set.
RETRIES = {
    "retries": 5,
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(hours=1),
    "retry_policy": ExceptionRetryPolicy([RetryRule(REFUSALS, RetryAction.FAIL, reason="no retry can help")]),
}


def night_param() -> dict[str, Param]:
    """The one parameter of a run; each DAG has its own, since a Param keeps the value it resolved."""
    described = "The night, a UTC day (YYYY-MM-DD). Empty: the day on which the run's data interval starts."
    return {"night": Param(None, type=["null", "string"], format="date", description=described)}


def night_of(params: Mapping[str, Any], dag_run: Any) -> str:
    """The night of a run, YYYY-MM-DD: its parameter, else the day its data interval starts.

    Raises AirflowFailException for a run with neither.
    """
    if params["night"]:
        return str(params["night"])
    if dag_run.data_interval_start is None:
        raise AirflowFailException(
            f"run {dag_run.run_id} has no logical date, so no night: trigger it again with a logical date "
            'or with the parameter night, for example {"night": "2017-06-30"}'
        )
    return str(dag_run.data_interval_start.astimezone(UTC).date())


# Rendered where the task runs, so that the night of a task shows among its rendered arguments.
NIGHT = "{{ night_of(params, dag_run) }}"
MACROS = {"night_of": night_of}
# Who triggered the run, as Airflow knows them; empty for the command line, where the system user stands in.
WHO = "{{ dag_run.triggering_user_name or '' }}"


def reason_param() -> Param:
    """The reason for which a person moves the live pointer; required."""
    described = "Why: it is kept with your name in live_history."
    return Param(type="string", minLength=3, maxLength=1000, description=described)
