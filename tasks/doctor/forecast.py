"""What a night would have to go by: pairs that clicks support, pages that get a list from them or from titles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eclare.arrays.tfidf import Vocabulary
from eclare.related.daily_cooccurrence import Weighting, WindowCooccurrence, WindowSize
from eclare.related.like_titles import like_titles
from tasks.ingest.cooccurrence import without_large_sessions
from tasks.ingest.counted import write_counted
from tasks.ingest.log_format import EVENT_TYPES
from tasks.ingest.window import Day, Window
from tasks.model_config import NIGHT
from tasks.settings import Settings
from tasks.stores.rows import rows_in


@dataclass(frozen=True)
class Forecast:
    """A night in numbers, of the days of its window that the log has.

    pairs: products that MIN_SUPPORT sessions or more share, each way counted; from_clicks, from_titles: pages with a
    list of what met the product, or, of the others, what met products of like titles; neither: pages with neither.
    """

    night: date
    days: int
    products: int
    sessions: int
    pairs: int
    from_clicks: int
    from_titles: int

    @property
    def neither(self) -> int:
        """Pages that only the model, the category and best sellers can fill."""
        return self.products - self.from_clicks - self.from_titles


def forecast(clicks: ibis.Table, products: pa.Table | None, night: date, settings: Settings, scratch: Path) -> Forecast:
    """Count what a night would count of accepted clicks (`clicks_of`) beside a catalogue (product_id, title).

    Without a catalogue the products are those clicked, and no title is known.
    """
    first = night - timedelta(days=settings.window_days - 1)
    window = clicks.filter(clicks.day.between(first, night))
    fitting, _ = without_large_sessions(window, settings)
    folder = scratch / "counted"
    folder.mkdir()
    counts = write_counted(window, fitting, folder, settings)
    counted = pq.read_table(folder / "products.parquet")
    ids = counted["product_id"] if products is None else products["product_id"]
    day = Day(0, folder, rows_in(ids, counted["product_id"]), counted["sessions"].to_numpy())
    paired = _paired(Window([day]), len(ids), settings)
    has_pair_P = np.diff(paired.indptr) > 0
    like = 0 if products is None else _like(products["title"].to_pylist(), has_pair_P)
    days = int(window.day.nunique().to_pyarrow().as_py())
    return Forecast(night, days, len(ids), counts["sessions"], paired.nnz, int(has_pair_P.sum()), like)


def _paired(window: Window, products: int, settings: Settings):  # type: ignore[no-untyped-def]
    """Sessions of pairs that MIN_SUPPORT or more share, CSR P x P."""
    weighting = Weighting(settings.min_support, (1.0,) * len(EVENT_TYPES))
    size = WindowSize.of(window, products)
    pairs = WindowCooccurrence.of_queries(window, size, range(products))
    return pairs.weights(range(1), np.inf, weighting, products)


def _like(titles: Sequence[str], has_pair_P: np.ndarray) -> int:
    """Products without a pair whose titles are like those of products that have some."""
    try:
        titles_PV = Vocabulary.of(titles, word_pairs=NIGHT.word_pairs).features(titles)
    except ValueError:  # no title has a word
        return 0
    like_PP = like_titles(titles_PV, has_pair_P)
    return int(((np.diff(like_PP.indptr) > 0) & ~has_pair_P).sum())
