"""The held-out sessions counted once more, by group: what a figure would be without a group says what chance does."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp

from eclare.arrays.csr import Rows
from eclare.evaluation.session_groups import SessionGroups
from eclare.related.daily_cooccurrence import DayCooccurrence, Weighting, WindowCooccurrence
from tasks.ingest.clicks import Piece, opened
from tasks.ingest.cooccurrence import DAY_SECONDS, without_large_sessions
from tasks.ingest.counted import read_pairs, write_counted
from tasks.ingest.engine import open_engine, read_parquet
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.rows import rows_of_stored

GROUPS = 32  # Student's t is near its limit, and each costs a judgement of all lists
SALT = "group of session "  # a shop's own hash of its session ids, as in a test of two designs, must not be ours
DIGITS, HEXADECIMAL = 2, "0123456789abcdef"  # of a group's number


def count_groups(
    pieces: Sequence[Piece], ids: pa.ChunkedArray, storage: Storage, settings: Settings, weighting: Weighting
) -> SessionGroups:
    """Sessions of these clicks by group, with products as rows of ids.

    Pairs are those of aggregate_clicks; they count where all groups together have MIN_SUPPORT sessions and a weight.
    """
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with opened(pieces, storage) as files, open_engine(settings) as engine:
            clicks = in_groups(read_parquet(engine, files))
            fitting, _ = without_large_sessions(clicks, settings)
            write_counted(clicks, fitting, folder, settings)
            counted = fitting.group_by("session_group").agg(sessions=fitting.session_id.nunique()).to_pyarrow()
        return _added_up(folder, counted, ids, weighting)


def in_groups(clicks: ibis.Table) -> ibis.Table:
    """The clicks of several days, where a product is another one in each group of sessions.

    The group's two digits come before the ids of products, so that all counts of products and pairs are by group, in
    the order of the groups; a session's id says its day, with which it ends. session_group: a session's group on all
    days, the first five bits of a hash of its id alone.
    """
    # A hash that every engine computes alike; their own ones differ.
    digest = (ibis.literal(SALT) + clicks.session_id).hexdigest("md5")
    first, second = (ibis.literal(HEXADECIMAL).find(digest.substr(place, 1)) for place in (0, 1))
    group = (2 * first + second // 8).cast("string").lpad(DIGITS, "0")
    day = (clicks.event_time.epoch_seconds() // DAY_SECONDS).cast("int64").cast("string")
    return clicks.mutate(
        session_group=group,
        session_id=day + " " + clicks.session_id,
        product_id=group + clicks.product_id,
        source_product_id=group + clicks.source_product_id,
    )


def _added_up(folder: Path, counted: pa.Table, ids: pa.ChunkedArray, weighting: Weighting) -> SessionGroups:
    products = pq.read_table(folder / "products.parquet")
    group_of_D = pc.utf8_slice_codeunits(products["product_id"], 0, DIGITS).cast(pa.int32()).to_numpy()
    row_of_D = rows_of_stored(ids, pc.utf8_slice_codeunits(products["product_id"], DIGITS))
    # A group takes the place of a day: both are parts whose sessions are added up.
    parts = [part for pairs in read_pairs(folder, 0) for part in _by_group(pairs, group_of_D, row_of_D)]
    by_group = WindowCooccurrence.add_up(parts, len(ids)).by_age(weighting)
    shared_EG = sp.csr_matrix(
        (by_group.sessions_E, by_group.age_E, np.append(by_group.starts, len(by_group.key_E))),
        (len(by_group.starts), GROUPS),
    )
    kept = row_of_D >= 0
    held_PG = sp.csc_matrix(
        (products["sessions"].to_numpy()[kept].astype(np.float32), (row_of_D[kept], group_of_D[kept])),
        (len(ids), GROUPS),
    )
    sessions_G = np.zeros(GROUPS, np.int64)
    sessions_G[counted["session_group"].cast(pa.int32()).to_numpy()] = counted["sessions"].to_numpy()
    return SessionGroups(by_group.key_E[by_group.starts], shared_EG.tocsc(), held_PG, sessions_G, weighting.min_support)


def _by_group(pairs: DayCooccurrence, group_of_D: Rows, row_of_D: Rows) -> Iterator[DayCooccurrence]:
    """The pairs of each group, in rows of the catalogue; they are sorted by the first product, and so by group."""
    bounds_G = np.searchsorted(group_of_D[pairs.query_E], np.arange(GROUPS + 1)).tolist()
    for group, (first, end) in enumerate(pairwise(bounds_G)):
        part = slice(first, end)
        of_group = DayCooccurrence(
            group, pairs.symmetric, pairs.query_E[part], pairs.related_E[part], pairs.event_type_E[part],
            pairs.sessions_E[part],
        )  # fmt: skip
        yield of_group.in_catalogue(row_of_D)
