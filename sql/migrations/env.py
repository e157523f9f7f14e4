"""Run by Alembic, from tasks.stores.database alone: tables up to date, every view anew, then the grants."""

from pathlib import Path

from alembic import context

SQL = Path(__file__).parents[1]

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=context.config.attributes["version_table"])
context.run_migrations()
for file in (*sorted((SQL / "views").glob("*.sql")), SQL / "grants.sql"):
    connection.exec_driver_sql(file.read_text(), execution_options={"no_parameters": True})  # % is no placeholder here
