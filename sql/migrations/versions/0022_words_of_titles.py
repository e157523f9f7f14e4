"""Words of titles in any language."""

from pathlib import Path

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    name = Path(__file__).with_suffix(".sql").name
    op.get_bind().exec_driver_sql(Path(__file__).parents[1].joinpath(name).read_text())
