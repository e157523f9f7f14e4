"""The held-out metrics of a night as a table to look at."""

from rich.table import Table

from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.database import select, transaction


def metrics_table(night: Night, settings: Settings) -> Table:
    """ECLARE and the co-click baseline side by side, one row per metric and cut-off, of the night's newest model."""
    table = Table("held-out metric", "ECLARE", "co-click baseline", title=f"Night {night}, evaluated on its last days")
    with transaction(settings) as connection:
        for row in select(connection, "metrics_of_night", night=night.day):
            table.add_row(f"{row['metric']}@{row['k']}", f"{row['eclare']:.3f}", f"{row['co_click']:.3f}")
    return table
