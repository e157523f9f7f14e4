"""Step 2: the window's sessions become weighted pairs of products, split at the cut."""

from contextlib import ExitStack
from datetime import date

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from ibis.backends.duckdb import Backend

from eclare.dated_pairs import Dated, DatedPairs
from eclare.interactions import Interactions
from tasks.catalogue import read_catalogue
from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.pairs import dated_pairs, dated_products, pair_products, weigh_pairs
from tasks.settings import Settings
from tasks.storage import Artefact, Storage
from tasks.tables import duckdb_engine


def build_interactions(night: Night, settings: Settings) -> dict[str, float]:
    """Pair the products of the window's sessions into training and held-out Interactions over the catalogue.

    Writes products.parquet, refused_products.parquet, training/ and held_out/interactions.npz, and dated_pairs.npz of
    the whole window. A training weight is the sessions that share the pair, each halved every half_life_days before the
    cut; a held-out weight counts them.
    Raises NotReady where the night's own day is not ingested, BadInput where no day or no pair is left to train on.
    """
    storage = Storage(settings.storage_url)
    days = _ingested_days(night, storage)
    catalogue = read_catalogue(settings)
    sources = {clicks.path: clicks.hash for clicks in days.values()} | {"catalogue": catalogue.hash}
    with (
        storage.write(night.artefact("interactions"), sources=sources) as (folder, counts),
        ExitStack() as copies,
        duckdb_engine() as engine,
    ):
        counts |= {"days": len(days), "days_of_window": night.window_days}
        counts |= {"products": len(catalogue.products), "refused_products": len(catalogue.refused)}
        pq.write_table(catalogue.products, folder / "products.parquet")
        pq.write_table(catalogue.refused, folder / "refused_products.parquet")
        ids, cut = catalogue.products["product_id"], night.first_held_out_day
        files = {day: str(copies.enter_context(storage.open(days[day])) / "clicks.parquet") for day in days}
        for part, half_life_days, max_related in (
            ("training", settings.half_life_days, settings.max_related),
            ("held_out", None, len(ids)),
        ):
            of_part = [files[day] for day in files if (day < cut) == (part == "training")]
            clicks = engine.read_parquet(of_part, hive_partitioning=False)
            pairs, counted = pair_products(engine, clicks, ids, cut, settings.max_session_products)
            weighed = weigh_pairs(pairs, half_life_days, settings.min_support, max_related)
            interactions = _interactions(weighed, ids)
            (folder / part).mkdir()
            interactions.save(folder / part)
            counts |= {f"{part}_{name}": count for name, count in counted.items()} | {f"{part}_pairs": len(weighed)}
        clicks = engine.read_parquet(list(files.values()), hive_partitioning=False)
        _dated_pairs(engine, clicks, ids, night, settings).save(folder)
        if not counts["training_pairs"]:
            raise BadInput(_nothing_to_train_on(night, counts, settings))
    return counts


def _ingested_days(night: Night, storage: Storage) -> dict[date, Artefact]:
    if not storage.complete(Night.clicks(night.day)):
        raise NotReady(f"the clicks of {night} are not ingested: run ingest_clicks --night {night}")
    days = [day for day in night.window if storage.complete(Night.clicks(day))]
    if days[0] >= night.first_held_out_day:
        raise BadInput(
            f"night {night} must have ingested days to train on, from {night.window[0]} until before "
            f"{night.first_held_out_day}, but there are none: run ingest_clicks for them, oldest first"
        )
    return {day: storage.read(Night.clicks(day)) for day in days}


def _dated_pairs(
    engine: Backend, clicks: ibis.Table, ids: pa.ChunkedArray, night: Night, settings: Settings
) -> DatedPairs:
    """The pairs of the whole window, held-out days included, by their age on the night."""
    pairs, _ = pair_products(engine, clicks, ids, night.day, settings.max_session_products)
    by_age, seen = dated_pairs(pairs, settings.min_support), dated_products(engine, clicks, ids, night.day)
    query, related, product = (
        column.to_numpy().astype(np.int64) for column in (by_age["query"], by_age["related"], seen["product"])
    )
    return DatedPairs(_dated(query * len(ids) + related, by_age), _dated(product, seen), len(ids))


def _dated(key: npt.NDArray[np.int64], table: pa.Table) -> Dated:
    return Dated(key, table["age"].to_numpy().astype(np.int32), table["sessions"].to_numpy().astype(np.float32))


def _interactions(weighed: pa.Table, product_ids: pa.ChunkedArray) -> Interactions:
    ids = product_ids.to_numpy().astype(str)
    query, related, weight = (weighed[name].to_numpy() for name in ("query", "related", "weight"))
    weights = sp.csr_matrix((weight.astype(np.float32), (query, related)), shape=(len(ids), len(ids)))
    return Interactions(weights, ids, ids)


def _nothing_to_train_on(night: Night, counts: dict[str, float], settings: Settings) -> str:
    return (
        f"night {night} must have pairs of catalogue products to train on, but none is shared by "
        f"{settings.min_support} or more of the {counts['training_sessions']:,} sessions before "
        f"{night.first_held_out_day} "
        f"({counts['training_too_large_sessions']:,} sessions are too large, "
        f"{counts['training_pairs_outside_catalogue']:,} pairs are outside the catalogue): ingest more days, "
        "correct the catalogue, or set MIN_SUPPORT lower"
    )
