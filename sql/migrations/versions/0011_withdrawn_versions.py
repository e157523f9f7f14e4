"""Versions that were withdrawn, warnings of the gate, the size of the catalogue, products blocked by now."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    name = Path(__file__).with_suffix(".sql").name
    op.get_bind().exec_driver_sql(Path(__file__).parents[1].joinpath(name).read_text())
