"""What the DAGs share: which night a run is for, who asked for it, what is retried, what follows a new version."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule, task
from airflow.sdk.exceptions import AirflowFailException

from dags.report_link import page_url

# Named, not imported: a DAG file is parsed every few seconds and must not load the steps.
REFUSALS = ["tasks.errors.BadInput", "pydantic.ValidationError", "pydantic_settings.SettingsError"]
# The first pause is AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY, five minutes unless it is set.
RETRIES = {
    "retries": 5,
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(hours=1),
    "retry_policy": ExceptionRetryPolicy([RetryRule(REFUSALS, RetryAction.FAIL, reason="no retry can help")]),
}

# What a task returns is one message to Airflow. Without the word each of its ten counts would be one more.
step = partial(task, multiple_outputs=False)

# Updated by each task that may move the live pointer, so that a shop's own DAGs can follow:
# DAG("copy_lists", schedule=[Asset("live_recommendations")])
LIVE = Asset("live_recommendations")


def night_param(which: str) -> dict[str, Param]:
    """The one parameter of a run; each DAG has its own, since a Param keeps the value it resolved.

    which: what must be there of the night.
    """
    described = (
        f"The night, a UTC day (YYYY-MM-DD) {which}. Empty: the day on which the run's data interval starts, for a run "
        "by hand the last one that has ended."
    )
    with_link = f"{described} Which days are ingested: [Recommendations]({page_url('')})."
    as_date = {"type": ["null", "string"], "format": "date"}
    return {"night": Param(None, **as_date, description=described, description_md=with_link)}


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


def first_caught_up(now: datetime) -> datetime:
    """The Monday two weeks before this week's: days that Airflow slept through since are run when it is up again.

    A day far back would be run on every new installation, too. It moves once a week, as each move is a new version of
    the DAG.
    """
    monday = now.date() - timedelta(days=now.weekday(), weeks=2)
    return datetime(monday.year, monday.month, monday.day, tzinfo=UTC)


def is_caught_up(dag_run: Any) -> bool:
    """Whether the scheduler makes up for a day that ended more than a day ago."""
    return dag_run.run_type == "scheduled" and datetime.now(UTC) - dag_run.data_interval_end > timedelta(days=1)


def is_by_hand(dag_run: Any) -> bool:
    """Whether a person asked for the run, alone or as one of a backfill, who is there to correct it."""
    return dag_run.run_type != "scheduled"


# Rendered where the task runs, so that the night of a task shows among its rendered arguments.
NIGHT = "{{ night_of(params, dag_run) }}"
CAUGHT_UP = "{{ 'yes' if is_caught_up(dag_run) else '' }}"
BY_HAND = "{{ 'yes' if is_by_hand(dag_run) else '' }}"
MACROS = {"night_of": night_of, "is_caught_up": is_caught_up, "is_by_hand": is_by_hand}
# Who triggered the run, as Airflow knows them; empty for the command line, where the system user stands in.
WHO = "{{ dag_run.triggering_user_name or '' }}"


def reason_param() -> Param:
    """The reason for which a person moves the live pointer; required."""
    described = "Why: it is kept with your name in live_history."
    return Param(type="string", minLength=3, maxLength=1000, description=described)
