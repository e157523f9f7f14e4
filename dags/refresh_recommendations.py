"""
Every night: the clicks of the window become a new version of related products, evaluated on its last days.

Runs at 03:00 UTC for the day that has just ended, one run at a time. Every task can be cleared and run again: it
overwrites its own artefact of that night and nothing else. Readers keep the live version until the last task moves the
pointer; a run for a past night publishes a version of its own and never displaces a newer live one.

Artefacts lie in `STORAGE_URL/nights/night=NIGHT/`; XCom carries counts only.

- **Pair the products of the window** (`build_interactions`) reads the window's daily aggregates and the catalogue
  stored for the night or the nearest day before; writes `interactions/`, and to PostgreSQL what it read
  (`night_freshness`). A day or the catalogue is missing: run the DAG `ingest_clicks` for it, then clear this task.
- **Build the label graph** (`build_label_graph`) reads `interactions/`; writes `label_graph/`, with the words of the
  titles in it. Out of memory: lower WINDOW_DAYS or MAX_RELATED, then clear the run from its first task.
- **Train ECLARE** (`train_model`, GPU) reads `interactions/` and `label_graph/`; writes `model/`. Out of GPU memory:
  lower the batch size in ECLARE_CONFIG, then clear it.
- **Judge the lists on held-out days** (`evaluate_model`, GPU) reads `model/`, `label_graph/` and the held-out days of
  `interactions/`; writes its metrics and those of the co-click baseline to `evaluation/` and PostgreSQL. Clear it.
- **Split the catalogue into shards** (`list_shards`) names the RECOMMEND_SHARDS parts of the catalogue that are
  ranked side by side; a task each follows.
- **Rank candidates, a shard of products each** (`rank_products`, GPU), one task a shard, reads `model/`,
  `label_graph/` and `interactions/`; writes `ranked/shard=NUMBER-of-SHARDS/`. Clear the shard that failed; the others
  keep what they ranked. As many run at once as the pool `gpu` has slots and the queue `gpu` has workers. Out of
  memory: more shards do not help, each holds the whole night's clicks and model; fewer slots on one machine do.
- **Choose the lists of the catalogue** (`recommend_products`, GPU) reads all shards of `ranked/`, `model/`,
  `label_graph/`, `interactions/` and what people pinned or blocked; writes `recommendations/`. It fails with
  `NotReady` where a shard is missing, also where RECOMMEND_SHARDS was changed in between: clear the run from
  `list_shards`. Else clear it.
- **Publish the night if the gate lets it pass** (`publish_recommendations`) reads `recommendations/`, and in `model/`
  which config and code trained it; writes a new version to PostgreSQL, then moves the live pointer unless a rule of
  the gate stops it (thresholds: GATE_CONFIG). Clear it once the database answers; until then the former version is
  live. It fails with `BadInput` where the gate refuses the version: read the reasons (in the message, the report and
  the view `gate_history`), correct the cause and clear the run from the task that it touches, or let the version
  pass: trigger `approve_version` with its number and a reason. Until somebody does, it stays rejected and the former
  version stays live.
- **Write the report of the night** (`report_night`) judges the lists that were live on the last days by the clicks of
  these days (`interactions/`), into `metrics_while_live`; reads PostgreSQL about the night and the losses in
  `model/`; writes `report/report.html`, one page to look at, also for a night that failed; its button *Report of the
  night* opens it. Nothing depends on it: clear it to have the page anew.

`NotReady` (an input or a service is away) is tried again with growing pauses for two to three hours. `BadInput` fails
at once, since only a changed input helps: correct it, then clear the failed task and those after it.
"""

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, chain

from dags.alerts import DEFAULT_ARGS, PublishedNotice
from dags.nightly import BY_HAND, LIVE, MACROS, NIGHT, night_param, step
from dags.report_link import ReportLink


@step(task_display_name="Pair the products of the window", execution_timeout=timedelta(hours=2))
def build_interactions(night: str, by_hand: str) -> dict[str, float]:
    """Pair products over the window's sessions; keep the last days to evaluate on."""
    from tasks.ingest.aggregated import check_aggregated
    from tasks.run import run
    from tasks.settings import Settings

    if by_hand:  # nobody waits two hours for a day that nobody delivers
        check_aggregated(night, Settings())
    return run("build_interactions", night)


@step(task_display_name="Build the label graph", execution_timeout=timedelta(hours=2))
def build_label_graph(night: str) -> dict[str, float]:
    """Title features, and which related products are clicked together."""
    from tasks.run import run

    return run("build_label_graph", night)


@step(task_display_name="Train ECLARE", pool="gpu", queue="gpu", execution_timeout=timedelta(hours=8))
def train_model(night: str) -> dict[str, float]:
    """Train ECLARE at earlier cut-offs and on to the night, and fit the ranker on what followed them."""
    from tasks.run import run

    return run("train_model", night)


@step(
    task_display_name="Judge the lists on held-out days", pool="gpu", queue="gpu", execution_timeout=timedelta(hours=2)
)
def evaluate_model(night: str) -> dict[str, float]:
    """Judge the lists on the held-out days, beside simple rivals and the live version."""
    from tasks.run import run

    return run("evaluate_model", night)


@step(task_display_name="Split the catalogue into shards", execution_timeout=timedelta(minutes=10))
def list_shards() -> list[str]:
    """Name the shards that RECOMMEND_SHARDS asks for, where settings are read: on a worker."""
    from tasks.settings import Settings
    from tasks.shards import shards_of

    return [str(shard) for shard in shards_of(Settings())]


@step(
    task_display_name="Rank candidates, a shard of products each",
    map_index_template="{{ task.op_kwargs['shard'] }}",
    doc_md="Rank the candidates of one shard of the catalogue's products.",  # a mapped task has not its docstring's
    pool="gpu",
    queue="gpu",
    execution_timeout=timedelta(hours=4),
)
def rank_products(night: str, shard: str) -> dict[str, float]:
    """Rank the candidates of one shard of the catalogue's products."""
    from tasks.run import run

    return run("rank_products", night, shard=shard)


@step(
    task_display_name="Choose the lists of the catalogue", pool="gpu", queue="gpu", execution_timeout=timedelta(hours=4)
)
def recommend_products(night: str) -> dict[str, float]:
    """Choose the top-k related products of every product from its ranked candidates."""
    from tasks.run import run

    return run("recommend_products", night)


@step(
    task_display_name="Publish the night if the gate lets it pass",
    outlets=[LIVE],
    on_success_callback=[PublishedNotice()],
    execution_timeout=timedelta(hours=2),
)
def publish_recommendations(night: str) -> dict[str, float]:
    """Copy the version into PostgreSQL, then move the live pointer."""
    from tasks.run import run

    return run("publish_recommendations", night)


@step(task_display_name="Write the report of the night", execution_timeout=timedelta(minutes=30))
def report_night(night: str) -> dict[str, float]:
    """Write the page of the night, also of one that failed."""
    from tasks.run import run

    return run("report_night", night)


with DAG(
    "refresh_recommendations",
    description="Clicks of the window to published related products",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    params=night_param("that ingest_clicks has ingested; a run for a later one fails at once and names them"),
    user_defined_macros=MACROS,
    default_args=DEFAULT_ARGS,
    tags=["recommendations", "nightly", "gpu"],
) as dag:
    shards, report = list_shards(), report_night(NIGHT)
    report.operator.operator_extra_links = (ReportLink(),)
    chain(
        build_interactions(NIGHT, BY_HAND),
        build_label_graph(NIGHT),
        train_model(NIGHT),
        evaluate_model(NIGHT),
        shards,
        rank_products.partial(night=NIGHT).expand(shard=shards),
        recommend_products(NIGHT),
        publish_recommendations(NIGHT),
        report.as_teardown(),  # runs whatever became of the others, and does not hide that they failed
    )
