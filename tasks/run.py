"""Running one step, as the command line, the DAGs and tests do, or all that refresh a night."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from tasks.errors import TaskError
from tasks.night import Night
from tasks.scratch import scratch
from tasks.settings import Settings
from tasks.stores.unreachable import unreachable_files_told

INGEST = ("ingest_catalogue", "ingest_clicks", "aggregate_clicks")
REFRESH = (
    "build_interactions",
    "build_label_graph",
    "train_model",
    "evaluate_model",
    "rank_products",
    "recommend_products",
    "publish_recommendations",
)
BASELINE = ("build_interactions", "recommend_co_clicks", "publish_recommendations")  # in the place of REFRESH
REPORT = "report_night"
STEPS = (*INGEST, *REFRESH, REPORT)

log = logging.getLogger("tasks")


def run(step: str, day: str, settings: Settings | None = None, **part: str) -> dict[str, float]:
    """Run one step for the night of a day (YYYY-MM-DD) and return its counts, after logging them on one line.

    Raises what the step raises, and NotReady where files cannot be reached.

    part: what the step alone knows, of which part of the night it is: shard="2-of-4" of rank_products.
    """
    settings = settings or Settings()
    night = Night.of(day, settings)
    start = time.perf_counter()
    name = " ".join([step, *part.values()])
    log.info("%s of night %s begins", name, night)
    with unreachable_files_told(), scratch():
        counts: dict[str, float] = getattr(import_module(f"tasks.steps.{step}"), step)(night, settings, **part)
    shown = ", ".join(f"{name} {value:,.10g}" for name, value in counts.items())
    log.info("%s of night %s: %s (%.1f s)", name, night, shown, time.perf_counter() - start)
    return counts


def refresh(day: str, settings: Settings | None = None, steps: Sequence[str] = REFRESH) -> None:
    """Run the steps in order and then the report, which a night that fails has too."""
    try:
        for step in steps:
            run(step, day, settings)
    except TaskError:
        with suppress(TaskError):  # the error that failed the night is the one to raise
            run(REPORT, day, settings)
        raise
    run(REPORT, day, settings)
