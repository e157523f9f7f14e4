"""The held-out metrics of a night as a table to look at."""

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tasks.night import Night
from tasks.report.figures import figures_of
from tasks.settings import Settings
from tasks.stores.database import select, transaction


def metrics_table(night: Night, settings: Settings) -> Table:
    """ECLARE, its rivals and ECLARE in part, one row each, metrics at 10 as columns, of the night's newest model.

    It fits into 80 columns; intervals are in the report.
    """
    with transaction(settings) as connection:
        figures = figures_of(select(connection, "metrics_of_night", night=night.day))
    best = [f"{metric} {rival}" for metric, rival in figures.best_rivals.items()]
    title = f"Night {night}, evaluated on its last days: metrics at 10"
    table = Table(
        box=SIMPLE_HEAD, pad_edge=False, title=title, caption=f"best rival: {', '.join(best)}" if best else None
    )
    table.add_column("", no_wrap=True)
    for metric in figures.metrics:
        table.add_column(metric, justify="right")
    for lines in (figures.systems, figures.ratios):
        for line in lines:
            table.add_row(line.name, *(f"{each.value:.3f}" if each else "" for each in line.figures))
        table.add_section()
    return table
