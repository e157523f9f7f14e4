"""Trusted ingest: counts by rule, the catalogue and the aggregates by day, what nights were built from, erasures."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    name = Path(__file__).with_suffix(".sql").name
    op.get_bind().exec_driver_sql(Path(__file__).parents[1].joinpath(name).read_text())
