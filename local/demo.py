"""The demo: real logs through both DAGs on this machine, then a look at what was published."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
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
from local.complete_journey import write_complete_journey
from local.embedded_postgres import with_database
from tasks.errors import BadInput
from tasks.night import Night
from tasks.report.metrics_table import metrics_table
from tasks.settings import Settings
from tasks.stores.database import select, transaction

NIGHT = date(2017, 6, 30)
ITS_OWN = ("click_log_url", "catalogue_url", "storage_url")

WHAT_IS = {  # by segment of a product
    "head": "head: the most popular third",
    "torso": "torso: the next third",
    "tail": "tail: the rest with a session",
    "cold": "cold: no session yet",
}

console = Console(highlight=False)


def demo(days: int, port: int) -> None:
    """Load `days` days of groceries, ingest them and publish one night through Airflow, then show the tables.

    Airflow is stopped at the end, PostgreSQL stays up. Raises BadInput where the settings name data of your own.
    """
    settings, began = Settings(), time.monotonic()
    _refuse_data_of_your_own(settings)
    first = NIGHT - timedelta(days=days - 1)
    console.rule(f"1 of 4: groceries of {first} to {NIGHT} as a click log and a catalogue")
    _say(_counted(write_complete_journey(Path(settings.click_log_url), Path(settings.catalogue_url), first, NIGHT)))
    console.rule("2 of 4: PostgreSQL and Airflow come up")
    settings = with_database(settings)
    running = airflow.start(settings, port=port, say=_say)
    try:
        console.rule(f"3 of 4: Airflow ingests {days} days (DAG ingest_clicks)")
        with _States() as states:
            running.api().backfill("ingest_clicks", first, NIGHT, states.show)
        console.rule(f"4 of 4: Airflow refreshes the recommendations of {NIGHT} (DAG refresh_recommendations)")
        with _States(each=True) as states:
            running.api().trigger("refresh_recommendations", NIGHT, states.show)
    finally:
        airflow.stop(settings, say=_say)
    _show_published(settings)
    console.print(f"All of it took {time.monotonic() - began:.0f} s.\n")
    _show_next_steps()


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
    """The states of an Airflow run on a terminal, redrawn each second; in a log file, a line at each change."""

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
        elif words != self.shown.split("s  ", 1)[-1]:
            console.print(seconds + words, style="dim", soft_wrap=True)
        self.shown = seconds + words


def _show_published(settings: Settings) -> None:
    sample = _rows(settings, "sample_products", products=2, related=4, seed=str(NIGHT))
    console.print(samples_table(sample))
    console.print(metrics_table(Night.of(NIGHT, settings), settings))
    counts = Table("table", "rows", title="In PostgreSQL")
    for row in _rows(settings, "table_rows"):
        counts.add_row(row["name"], f"{row['rows']:,}")
    console.print(counts)


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


def _show_next_steps() -> None:
    console.print("What to type next:")
    for command, effect in (
        ("make psql", "psql on these tables; try: select * from current_recommendations limit 20;"),
        ("make up", "the same Airflow with its user interface, to watch, backfill and trigger nights"),
        ("make night NIGHT=2017-06-29", "another night without Airflow; a past one never displaces the live one"),
        ("make down", "stop everything, PostgreSQL too; var/ keeps the data"),
    ):
        console.print(f"   {command:<28} {effect}", soft_wrap=True)
