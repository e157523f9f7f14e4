"""What the newest catalogue blocks is hidden from readers, whatever version they see."""

from datetime import date

import pyarrow as pa

from tasks.settings import Settings
from tasks.stores.database import ROWS_PER_COPY, copy_rows, statement
from tasks.stores.locks import locked


def hide_blocked(day: date, products: pa.Table, settings: Settings) -> None:
    """Replace table blocked_product by what a day's stored catalogue blocks, unless that of a later day is stored.

    products: product_id and blocked. Raises what `connect` raises.
    """
    blocked = products.filter(products["blocked"]).select(["product_id"])
    with locked(settings, "blocked products") as connection, connection.begin():
        if connection.scalar(statement("newest_catalogue_day")) == day:
            connection.execute(statement("delete_blocked_products"))
            copy_rows(connection, "blocked_product", blocked.to_reader(ROWS_PER_COPY))
