"""Which days can be in a night: those whose clicks are aggregated, as the ledger has them."""

from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings
from tasks.stores.database import select, transaction


def check_aggregated(day: str, settings: Settings) -> None:
    """Raise BadInput for a night after the newest aggregated day: a person who asks for it need not wait for it."""
    night = Night.of(day, settings)
    with transaction(settings) as connection:
        ((first, last),) = (found.values() for found in select(connection, "aggregated_days"))
    if last is None or night.day > last:
        there_are = "none is" if last is None else f"those from {first} to {last} are"
        raise BadInput(
            f"night {night} must be a day whose clicks are ingested, but {there_are}: run ingest_clicks for {night} "
            "first, or choose another night"
        )
