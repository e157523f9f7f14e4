"""Run by Alembic, from tasks.database.open_database alone: bring the tables up to date, then define every view anew."""

from pathlib import Path

from alembic import context

VIEWS = Path(__file__).parents[1] / "views"

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=context.config.attributes["version_table"])
context.run_migrations()
for view in sorted(VIEWS.glob("*.sql")):
    connection.exec_driver_sql(view.read_text())
