"""Comments on catalogues of several files."""

from pathlib import Path

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Run the SQL file of the same name."""
    name = Path(__file__).with_suffix(".sql").name
    op.get_bind().exec_driver_sql(Path(__file__).parents[1].joinpath(name).read_text())
