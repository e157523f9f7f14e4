from copy import deepcopy
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pendulum
import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, ParamValidationError
from airflow.serialization.encoders import coerce_to_core_timetable
from airflow.timetables.base import DataInterval, TimeRestriction
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dags.alerts import FailureAlert, PublishedNotice
from dags.approve_version import dag as approve_version
from dags.ingest_clicks import dag as ingest_clicks
from dags.nightly import LIVE, first_caught_up, is_by_hand, is_caught_up, night_of
from dags.refresh_recommendations import dag as refresh_recommendations
from dags.roll_back import dag as roll_back
from dags.watch_live_version import dag as watch_live_version
from plugins.recommendations import NightNotes
from tasks.errors import BadInput, NotReady
from tasks.run import INGEST, REFRESH, REPORT
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tests.loopback import webhook
from tests.nights import make_night, with_lenient_gate

DAGS = [ingest_clicks, refresh_recommendations]
ALL = [*DAGS, watch_live_version, approve_version, roll_back]
GPU_TASKS = {"train_model", "evaluate_model", "rank_products", "recommend_products"}
# What the tasks of the nightly DAG are: the steps, and how many tasks one of them becomes.
NIGHTLY = [step for of in (*REFRESH, REPORT) for step in (("list_shards", of) if of == "rank_products" else (of,))]


@pytest.mark.parametrize(("dag", "steps"), zip(DAGS, (INGEST, NIGHTLY), strict=True), ids=["day", "night"])
def test_steps_run_one_after_the_other_in_their_order_and_no_other_does(dag: DAG, steps: tuple[str, ...]) -> None:
    assert [task.task_id for task in dag.topological_sort()] == list(steps)
    for before, after in pairwise(steps):
        assert dag.get_task(before).downstream_task_ids == {after}


def test_the_gpu_steps_alone_wait_for_the_gpu() -> None:
    for task in [*ingest_clicks.tasks, *refresh_recommendations.tasks]:
        expected = ("gpu", "gpu") if task.task_id in GPU_TASKS else ("default_pool", "default")
        assert (task.pool, task.queue) == expected


def test_days_are_ingested_and_nights_refreshed_one_at_a_time() -> None:
    """A day's late clicks change the aggregates of the days before it."""
    assert [dag.max_active_runs for dag in DAGS] == [1, 1]


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
def test_every_task_retries_with_growing_pauses_and_has_a_limit(dag: DAG) -> None:
    assert dag.doc_md
    for task in dag.tasks:
        assert task.doc_md
        assert task.task_id in dag.doc_md
        assert task.retries == 5
        assert task.retry_exponential_backoff == 2
        assert task.retry_delay < task.max_retry_delay
        assert task.execution_timeout < timedelta(hours=12)


@pytest.mark.parametrize("dag", ALL, ids=lambda dag: dag.dag_id)
def test_an_operator_reads_what_each_task_does_and_hears_of_its_failure(dag: DAG) -> None:
    assert dag.tags and dag.description and dag.max_active_runs == 1
    assert dag.catchup == (dag is ingest_clicks), "each day is wanted once, of nights the newest alone"
    for task in dag.tasks:
        assert f"**{task.task_display_name}** (`{task.task_id}`" in dag.doc_md, "Airflow shows the one, logs the other"
        assert task.owner == "recommendations"
        assert task.task_display_name[0].isupper() and " " in task.task_display_name
        assert task.execution_timeout
        assert [type(callback) for callback in task.on_failure_callback] == [FailureAlert]
    for name in dag.params:
        assert dag.params.get_param(name).description
        assert name != "night" or "(/recommendations/)" in dag.params.get_param(name).schema["description_md"]
    assert "fails" in dag.doc_md


def test_a_setting_that_stops_every_step_does_not_stop_the_alert_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    task = SimpleNamespace(
        dag_id="refresh_recommendations", task_id="train_model", run_id="a run", log_url="http://log"
    )
    with webhook() as hook:
        for name, value in (("ALERT_WEBHOOK_URL", hook.url), ("TOP_K", "many")):
            monkeypatch.setenv(name, value)
        with pytest.raises(ValidationError, match="top_k") as refusal:
            Settings()
        shown = SimpleNamespace(task_display_name="Train ECLARE")
        context = {"ti": task, "task": shown, "exception": refusal.value, "dag_run": None}
        context["params"] = {"night": "2017-06-30"}
        FailureAlert().notify(context)
    [sent] = hook.sent
    assert "top_k" in sent["error"] and sent["night"] == "2017-06-30"
    assert sent["text"].startswith("Train ECLARE (train_model) of night 2017-06-30 failed")


def test_a_published_night_is_told_to_who_wants_to_know(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish = refresh_recommendations.get_task("publish_recommendations")
    (notice,) = publish.on_success_callback
    assert isinstance(notice, PublishedNotice)
    others = [task for dag in ALL for task in dag.tasks if task is not publish]
    assert not any(task.on_success_callback for task in others)
    settings = with_lenient_gate(settings, monkeypatch)
    publish_recommendations(make_night("2017-06-30", settings), settings)
    context = {"params": {"night": "2017-06-30"}, "dag_run": None}
    with webhook() as hook:
        notice.notify(context)
        assert not hook.sent, "nobody asked"
        monkeypatch.setenv("SUCCESS_WEBHOOK_URL", hook.url)
        notice.notify(context)
    assert [sent["text"] for sent in hook.sent] == [
        "Night 2017-06-30 is live: version 1 by eclare, 5 rows for 3 products"
    ]


def test_other_dags_can_follow_what_moves_the_live_pointer() -> None:
    moving = {task.task_id for dag in ALL for task in dag.tasks if LIVE in task.outlets}
    assert moving == {"publish_recommendations", "make_it_live", "go_back"}
    with DAG("copy_lists", schedule=[Asset("live_recommendations")]) as follower:
        pass
    followed = [key.name for key, _ in core_timetable(follower).asset_condition.iter_assets()]
    assert followed == ["live_recommendations"]


@pytest.mark.parametrize(
    ("conf", "written", "note"),
    [
        ({"night": "2017-06-30"}, None, "night 2017-06-30"), (None, None, "night 2017-06-29"),
        ({}, "for Ada", "night 2017-06-29 for Ada"), ({}, "night 2017-06-29 for Ada", "night 2017-06-29 for Ada"),
    ],
)  # fmt: skip
def test_the_note_of_a_run_says_its_night(conf: dict[str, str] | None, written: str | None, note: str) -> None:
    interval = datetime(2017, 6, 29, 3, tzinfo=UTC)
    run = SimpleNamespace(dag_id="ingest_clicks", run_id="a", conf=conf, note=written, data_interval_start=interval)
    NightNotes().on_dag_run_running(run)
    assert run.note == note
    for other in ({"data_interval_start": None, "conf": {}}, {"dag_id": "roll_back"}):
        elsewhere = SimpleNamespace(**vars(run) | {"note": "mine"} | other)
        NightNotes().on_dag_run_running(elsewhere)
        assert elsewhere.note == "mine"


def test_a_night_that_is_asked_for_by_hand_and_not_ingested_is_refused_at_once(settings: Settings) -> None:
    build = refresh_recommendations.get_task("build_interactions").python_callable
    with pytest.raises(BadInput, match="2017-06-30 must be a day whose clicks are ingested, but none is: run ingest_"):
        build("2017-06-30", "yes")
    with pytest.raises(NotReady):  # the scheduler's waits for its day
        build("2017-06-30", "")
    by_type = [is_by_hand(SimpleNamespace(run_type=kind)) for kind in ("manual", "backfill", "scheduled")]
    assert by_type == [True, True, False]


@pytest.mark.parametrize("dag", [approve_version, roll_back], ids=lambda dag: dag.dag_id)
def test_nobody_moves_the_pointer_without_a_reason(dag: DAG) -> None:
    reason = deepcopy(dag.params.get_param("reason"))
    assert reason.resolve("odd titles") == "odd titles"
    for refused in ("", "no", None, "x" * 1001):
        with pytest.raises(ParamValidationError):
            deepcopy(dag.params.get_param("reason")).resolve(refused)


@pytest.mark.parametrize("refused", [0, -1, "2", None, 1.5])
def test_a_version_is_a_number_from_1_on(refused: object) -> None:
    with pytest.raises(ParamValidationError):
        deepcopy(approve_version.params.get_param("version")).resolve(refused)


@pytest.mark.parametrize(("days_off", "run"), [(0, 1), (1, 2), (4, 5), (13, 14)])
def test_days_that_airflow_slept_through_are_run_once_it_is_up(days_off: int, run: int) -> None:
    """Of two weeks at least, whatever the weekday; the night of the newest day alone."""
    for now in (datetime(2017, 7, day, 9, tzinfo=UTC) for day in range(1, 8)):
        ended = now.replace(hour=1) - timedelta(days=1 + days_off)
        last = DataInterval(pendulum.instance(ended - timedelta(days=1)), pendulum.instance(ended))
        assert len(scheduled(ingest_clicks, last, now)) == run
        assert len(scheduled(refresh_recommendations, last, now)) == 1


def test_a_new_installation_begins_two_weeks_back_at_most_three() -> None:
    runs = scheduled(ingest_clicks, None, datetime(2017, 7, 2, 9, tzinfo=UTC))
    assert runs[0].date() == date(2017, 6, 12), "a Monday"
    assert len(runs) == 20


def scheduled(dag: DAG, last: DataInterval | None, now: datetime) -> list[datetime]:
    """The days that the scheduler runs at a time, after it ran `last`."""
    days, earliest = [], first_caught_up(now) if dag.start_date else None
    restriction = TimeRestriction(earliest=earliest and pendulum.instance(earliest), latest=None, catchup=dag.catchup)
    with mock.patch("airflow.timetables.interval.utcnow", lambda: now):
        while True:
            info = core_timetable(dag).next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
            if info is None or info.run_after > now:
                return days
            days.append(info.data_interval.start)
            last = info.data_interval


@pytest.mark.parametrize(
    ("run_type", "hours", "caught_up"),
    [("scheduled", 3, False), ("scheduled", 25, True), ("manual", 25, False), ("backfill", 25, False)],
)
def test_a_day_is_caught_up_by_the_scheduler_a_day_late_or_more(run_type: str, hours: int, caught_up: bool) -> None:
    ended = datetime.now(UTC) - timedelta(hours=hours)
    assert is_caught_up(SimpleNamespace(run_type=run_type, data_interval_end=ended)) == caught_up


def test_a_day_that_is_caught_up_and_was_not_delivered_is_skipped(settings: Settings) -> None:
    ingest = ingest_clicks.get_task("ingest_catalogue").python_callable
    with pytest.raises(AirflowSkipException, match=r"no log of 2017-06-30 was delivered meanwhile: deliver it, then"):
        ingest("2017-06-30", "yes")
    with pytest.raises(NotReady, match="there is no catalogue at"):
        ingest("2017-06-30", "")
    Path(settings.click_log_url, "date=2017-06-30").mkdir(parents=True)
    with pytest.raises(NotReady, match="there is no catalogue at"):
        ingest("2017-06-30", "yes")


def core_timetable(dag: DAG):
    return coerce_to_core_timetable(dag.timetable)


def run_over(interval: DataInterval | None) -> SimpleNamespace:
    return SimpleNamespace(run_id="a run", data_interval_start=interval and interval.start)


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
@given(day=st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_the_scheduled_run_of_a_day_starts_after_it_and_is_for_its_night(dag: DAG, day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    whole_day = TimeRestriction(earliest=midnight, latest=midnight + timedelta(days=1), catchup=True)
    run = core_timetable(dag).next_dagrun_info(last_automated_data_interval=None, restriction=whole_day)
    assert run.logical_date.date() == day
    assert run.run_after >= midnight + timedelta(days=1)
    assert night_of({"night": None}, run_over(run.data_interval)) == day.isoformat()


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
def test_a_manual_run_without_a_night_is_for_the_last_day_that_has_ended(dag: DAG) -> None:
    interval = core_timetable(dag).infer_manual_data_interval(run_after=datetime(2017, 7, 1, 12, tzinfo=UTC))
    assert night_of({"night": None}, run_over(interval)) == "2017-06-30"


def test_the_parameter_night_wins_and_a_run_without_any_night_says_what_to_do() -> None:
    interval = DataInterval(datetime(2017, 6, 30, tzinfo=UTC), datetime(2017, 7, 1, tzinfo=UTC))
    assert night_of({"night": "2017-06-01"}, run_over(interval)) == "2017-06-01"
    assert night_of({"night": "2017-06-01"}, run_over(None)) == "2017-06-01"
    with pytest.raises(AirflowFailException, match=r"a run has no logical date.*trigger it again"):
        night_of({"night": None}, run_over(None))


@pytest.mark.parametrize("dag", DAGS, ids=lambda dag: dag.dag_id)
def test_the_parameter_night_is_a_date_or_empty(dag: DAG) -> None:
    night = deepcopy(dag.params.get_param("night"))  # a Param keeps the value it resolved
    assert night.resolve() is None
    assert night.resolve("2017-06-30") == "2017-06-30"
    for refused in ("30.06.2017", 20170630):
        with pytest.raises(ParamValidationError):
            night.resolve(refused)
