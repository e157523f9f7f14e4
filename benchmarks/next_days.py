"""Related products from the log before a day, to be judged on the log after it."""

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import scipy.sparse as sp
import typer

from eclare.arrays.tfidf import Vocabulary
from eclare.related.backtest import related_products
from eclare.related.cooccurrence import Cooccurrence

LARGEST_SESSION = 60  # products; larger ones are wholesale orders
K = 20


def main(
    log: Annotated[Path, typer.Option(help="Parquet with session_id, product_id, event_time, title")],
    cut: Annotated[str, typer.Option(help="First day that is not read, YYYY-MM-DD")],
    out: Annotated[Path, typer.Option(help="Parquet: product_id, related_product_id, rank (1 is best)")],
) -> None:
    """Ends with one line of JSON: seconds, products, rows.

    Sessions are read before the cut only. Of products that first appear later, id and first title are read, as a
    catalogue would have them on the day they are listed; nothing else of the days after the cut is used.
    """
    rows = pd.read_parquet(log, columns=["session_id", "product_id", "event_time", "title"])
    start = time.perf_counter()
    titles = catalogue_on(rows, pd.Timestamp(cut))
    pairs = pairs_before(rows, pd.Timestamp(cut), titles.index)
    features = Vocabulary.of(titles.tolist()).features(titles)
    labels, _ = related_products(pairs, features, K)
    product, rank = np.nonzero(labels >= 0)
    related = pd.DataFrame(
        {
            "product_id": titles.index[product],
            "related_product_id": titles.index[labels[product, rank]],
            "rank": rank + 1,
        }
    )
    related.to_parquet(out, index=False)
    seconds = round(time.perf_counter() - start, 1)
    print(json.dumps({"seconds": seconds, "products": len(titles), "rows": len(related)}))


def catalogue_on(rows: pd.DataFrame, cut: pd.Timestamp) -> pd.Series:
    """Title by product id: the last one before the cut, or the first one of a product that is new after it."""
    rows = rows.sort_values("event_time", kind="stable")
    before = rows.event_time < cut
    known, new = rows[before].groupby("product_id").title.last(), rows[~before].groupby("product_id").title.first()
    return known.combine_first(new).fillna("").sort_index()


def pairs_before(rows: pd.DataFrame, cut: pd.Timestamp, products: pd.Index) -> Cooccurrence:
    """Pairs of the sessions of 2 to LARGEST_SESSION products before the cut."""
    rows = rows[rows.event_time < cut].drop_duplicates(["session_id", "product_id"])
    session = pd.factorize(rows.session_id)[0]
    days = (cut - rows.event_time).dt.days.groupby(session).min().to_numpy()
    ones = np.ones(len(rows), np.float32)
    chosen = sp.csr_matrix(
        (ones, (session, products.get_indexer(pd.Index(rows.product_id)))), (len(days), len(products))
    )
    size = np.diff(chosen.indptr)
    kept = (size > 1) & (size <= LARGEST_SESSION)
    return Cooccurrence.of_sessions(chosen[kept], days[kept])


if __name__ == "__main__":
    typer.run(main)
