"""The raw files of a small shop with a known answer: whoever views a product views others of its group."""

from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from tests.made_shops import shop_of_groups

NIGHT = date(2017, 6, 30)
FIRST = NIGHT - timedelta(days=11)
SHOP = shop_of_groups()
IDS = SHOP.clicks.label_ids_L
GROUP_OF = dict(zip(IDS.tolist(), SHOP.group_of_P.tolist(), strict=True))
NEVER_CLICKED = IDS[np.diff(SHOP.clicks.weights_NL.indptr) == 0].tolist()


def deliver_log(folder: Path, first: date = FIRST, last: date = NIGHT, sessions_a_day: int = 150) -> None:
    """One CSV a day; a session views four clicked products of one group."""
    clicked = np.setdiff1d(IDS, NEVER_CLICKED)
    for day in pd.date_range(first, last):
        random = np.random.default_rng(day.toordinal())
        rows = []
        for session in range(sessions_a_day):
            group = random.integers(SHOP.group_of_P.max() + 1)
            of_group = [id_ for id_ in clicked if GROUP_OF[id_] == group]
            at = datetime.combine(day.date(), time(9)) + timedelta(minutes=session)
            rows += [(at, f"{day.date()}-{session}", id_) for id_ in random.choice(of_group, 4, replace=False)]
        file = folder / f"date={day.date()}" / "log.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows, columns=["event_time", "session_id", "product_id"]).to_csv(file, index=False)


def deliver_catalogue(file: Path) -> None:
    """Titles that share the words of their group; one product is blocked, one out of stock."""
    products = pd.DataFrame({"product_id": IDS, "title": SHOP.titles})
    products["blocked"] = products["product_id"] == IDS[0]
    products["in_stock"] = products["product_id"] != IDS[1]
    products.to_parquet(file, index=False)
