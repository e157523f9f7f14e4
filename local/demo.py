"""The demo: real logs become two versions, co-clicks in seconds and ECLARE's through Airflow, which stays up."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local import airflow
from local.airflow_environment import home_of
from local.complete_journey import write_complete_journey
from local.embedded_postgres import with_database
from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish.rollback import approve
from tasks.report.metrics_table import metrics_table
from tasks.run import BASELINE, INGEST, refresh, run
from tasks.settings import Settings
from tasks.stores.database import select, statement, transaction

NIGHT = date(2017, 6, 30)
NIGHT_BEFORE = NIGHT - timedelta(days=1)
ITS_OWN = ("click_log_url", "catalogue_url", "storage_url")

WHAT_IS = {  # by segment of a product
    "head": "head: the most popular third",
    "torso": "torso: the next third",
    "tail": "tail: the rest with a session",
    "cold": "cold: no session yet",
}

console = Console(highlight=False)


def demo(days: int, port: int) -> None:
    """Load `days` days of groceries, publish co-clicks of all but the last, then the whole night through Airflow.

    Airflow and PostgreSQL stay up. Raises BadInput where the settings name data of your own, and where Airflow runs.
    """
    settings, began = Settings(), time.monotonic()
    _refuse_data_of_your_own(settings)
    airflow.check_free(home_of(settings), port)
    first = NIGHT - timedelta(days=days - 1)
    console.rule(f"1 of 4: groceries of {first} to {NIGHT} as a click log and a catalogue")
    _say(_counted(write_complete_journey(Path(settings.click_log_url), Path(settings.catalogue_url), first, NIGHT)))
    console.rule(f"2 of 4: while Airflow comes up, {days - 1} days are ingested and co-clicks are published")
    settings = with_database(settings)
    with airflow.stopped_on_failure(settings), ThreadPoolExecutor(1) as beside:
        coming_up = beside.submit(airflow.start, settings, port=port, say=_say)
        _publish_co_clicks(first, settings)
        _say(f"co-clicks of {NIGHT_BEFORE} are live, {time.monotonic() - began:.0f} s after the start")
        running = coming_up.result()
    with airflow.stopped_on_failure(settings):
        console.rule(f"3 of 4: Airflow ingests {NIGHT} (DAG ingest_clicks)")
        with _States() as states:
            running.api().backfill("ingest_clicks", NIGHT, NIGHT, states.show)
        console.rule(f"4 of 4: Airflow refreshes the recommendations of {NIGHT} (DAG refresh_recommendations)")
        with _States(each=True) as states:
            running.api().trigger("refresh_recommendations", NIGHT, states.show)
    sample = _show_published(settings)
    console.print(f"All of it took {time.monotonic() - began:.0f} s.\n")
    _show_where_to_look(running, settings, sample[0])


def _publish_co_clicks(first: date, settings: Settings) -> None:
    """As a shop's first day would be: its past at once, by the commands, and lists that need no training."""
    days = [first + timedelta(days=number) for number in range((NIGHT_BEFORE - first).days + 1)]
    with _States() as states:
        for day in days:
            for step in INGEST:
                run(step, str(day), settings)
            states.show({str(each): "ingested" if each <= day else "waiting" for each in days})
    try:
        refresh(str(NIGHT_BEFORE), settings, BASELINE)
    except BadInput as refusal:
        _let_pass(refusal, settings)
    _date_back(settings)


def _let_pass(refusal: BadInput, settings: Settings) -> None:
    """Best sellers stand on most pages of co-clicks, so the gate refuses them: somebody has to approve."""
    of_night = [row for row in _rows(settings, "versions_with_rows") if row["night"] == NIGHT_BEFORE]
    if not of_night:
        raise refusal
    version = of_night[-1]
    if version["status"] != "rejected":
        _say(f"co-clicks are version {version['version_id']} as they were before, and stay {version['status']}")
        return
    approve(settings, version["version_id"], "the demo's first version, to compare with", "demo")
    verdicts = _rows(settings, "report_verdicts", version_id=version["version_id"])
    failed = ", ".join(row["rule"] for row in verdicts if not row["passed"] and row["level"] == "stop")
    _say(f"the gate refused co-clicks ({failed}); approved, as they are there to compare with")


def _date_back(settings: Settings) -> None:
    """Record the version as live since the morning after its night, so that what it was worth while live is known."""
    morning = f"{NIGHT_BEFORE + timedelta(days=1)} 05:00Z"
    with transaction(settings) as connection:
        connection.execute(statement("date_back_first_move"), {"night": NIGHT_BEFORE, "moved": morning})
    _say(f"recorded as live since {morning[:-1]} UTC, as if it had been then: these are days of 2017")


def _refuse_data_of_your_own(settings: Settings) -> None:
    for name in ITS_OWN:
        if name in settings.model_fields_set:
            raise BadInput(
                f"the demo writes its own data to the default places, but {name.upper()} is set to "
                f"{getattr(settings, name)}: run it with {', '.join(ITS_OWN).upper()} unset, also in .env"
            )


def _say(line: str) -> None:
    console.print(f"   {line}", style="dim", soft_wrap=True)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())


class _States:
    """The states of days or steps on a terminal, redrawn each second; in a log file, a line at each change of steps."""

    def __init__(self, *, each: bool = False) -> None:
        self.each, self.began, self.shown = each, time.monotonic(), ""
        self.live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> "_States":
        if console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.is_terminal:
            self.live.stop()
        if console.is_terminal or not self.each:
            console.print(self.shown, style="dim", soft_wrap=True)

    def show(self, state_of: Mapping[str, str]) -> None:
        """Draw the state of each day or step."""
        if self.each:
            words = ", ".join(f"{name} {state}" for name, state in state_of.items() if state != "waiting")
        else:
            words = ", ".join(f"{count} {state}" for state, count in sorted(Counter(state_of.values()).items()))
        seconds = f"   {time.monotonic() - self.began:4.0f} s  "
        if console.is_terminal:
            self.live.update(seconds + words)
        elif self.each and words != self.shown.split("s  ", 1)[-1]:
            console.print(seconds + words, style="dim", soft_wrap=True)
        self.shown = seconds + words


def _show_published(settings: Settings) -> Sequence[Mapping[str, Any]]:
    """Print what is live and how good it is; returns the products that were drawn."""
    sample = _rows(settings, "sample_products", products=2, related=4, seed=str(NIGHT))
    console.print(samples_table(sample))
    console.print(metrics_table(Night.of(NIGHT, settings), settings))
    versions = Table("version", "night", "algorithm", "status", "rows", title="Versions, to be compared")
    for row in _rows(settings, "versions_with_rows"):
        named = [str(row[name]) for name in ("version_id", "night", "algorithm", "status")]
        versions.add_row(*named, f"{row['rows']:,}")
    console.print(versions)
    return sample


def samples_table(sample: Sequence[Mapping[str, Any]]) -> Table:
    """Drawn products with their first related ones, head to cold, a section each: rows of sample_products."""
    table = Table("product", "", "customers who bought it also bought", "from", title="What was published", expand=True)
    for segment, of_segment in groupby(sample, key=itemgetter("segment")):
        table.add_section()
        table.add_row(Text(WHAT_IS[segment], style="italic"))
        for row in of_segment:
            first = f"{row['title']} ({row['sessions']:,} sessions)" if row["rank"] == 1 else ""
            table.add_row(first, str(row["rank"]), row["related_title"], row["source"])
    return table


def _rows(settings: Settings, query: str, **values: Any) -> list[dict[str, Any]]:
    with transaction(settings) as connection:
        return select(connection, query, **values)


def _show_where_to_look(running: airflow.LocalAirflow, settings: Settings, drawn: Mapping[str, Any]) -> None:
    page, report = f"{running.url}/recommendations", Night.of(NIGHT, settings).artefact("report/report.html")
    versions = [row["version_id"] for row in _rows(settings, "versions_with_rows")]
    console.print("Airflow and PostgreSQL stay up. Where to look:")
    for what, where in (
        ("the page", f"{page}/"),
        ("log in as", f"admin, password {running.passwords['admin']}"),
        ("a product", f"{page}/product?product_id={drawn['product_id']}   {drawn['title']}"),
        ("what changed", f"{page}/changes?before={versions[0]}&after={versions[-1]}   co-clicks beside ECLARE"),
        ("the report", f"{settings.storage_url}/{report}"),
        ("in SQL", "make psql; try: select * from search_products('bananas');"),
        ("another night", "make night NIGHT=2017-06-29, without Airflow; a past one never displaces the live one"),
        ("stop", "make down; var/ keeps the data, make up starts both again"),
    ):
        console.print(f"   {what:<14} {where}", soft_wrap=True)
