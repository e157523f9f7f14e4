"""What tells products of one title apart, where a page shows several of them."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

Row = dict[str, Any]
TELLING = ("category", "brand", "price")


def tell_apart(products: Collection[Row]) -> None:
    """Add `apart` to products that one page shows: what differs from others of the same title, the id last.

    products: rows with product_id, title and TELLING, the same product perhaps more than once. `apart` is empty where
    no other product has the title.
    """
    of_title: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in products:
        of_title[row["title"]][row["product_id"]] = row
    for row in products:
        namesakes = of_title[row["title"]].values()
        row["apart"] = _telling(row, namesakes) if len(namesakes) > 1 else []


def _telling(row: Row, namesakes: Collection[Row]) -> list[str]:
    differ = [name for name in TELLING if len({each[name] for each in namesakes}) > 1]
    return [*(str(row[name]) for name in differ if row[name]), row["product_id"]]
