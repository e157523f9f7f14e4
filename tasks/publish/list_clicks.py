"""What sessions clicked of the lists that they were shown, by version, channel, rank and source: rows of list_click."""

from datetime import date

import pyarrow as pa

from tasks.settings import Settings
from tasks.stores.database import Connection, copy_rows, statement


def count_list_clicks(
    connection: Connection, day: date, shown: pa.RecordBatchReader | None, settings: Settings
) -> None:
    """Replace a day's rows of list_click, in the caller's transaction.

    shown: session, version_id, channel, product_id and related_product_id (clicked; null: the list was shown),
    None where none was. What was counted of versions that have lost their rows since stays.
    """
    connection.execute(statement("delete_list_clicks"), {"day": day})
    if shown is None:
        return
    connection.execute(statement("create_shown_lists"))
    copy_rows(connection, "shown_list", shown)
    connection.execute(statement("analyze_shown_lists"))
    for version_id in connection.scalars(statement("shown_versions")).all():
        counted = {"day": day, "version_id": version_id, "places": settings.list_places}
        connection.execute(statement("count_list_clicks"), counted)
