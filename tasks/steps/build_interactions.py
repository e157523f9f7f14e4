"""The daily aggregates of the window, added up, become weighted pairs of products, split at the cut."""

import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from eclare.arrays.strings import strings
from eclare.model.data import Interactions
from eclare.related.cooccurrence import Cooccurrence, CountsByAge
from eclare.related.daily_cooccurrence import Weighting, WindowCooccurrence, WindowSize, sessions_by_age
from tasks.errors import BadInput, NotReady
from tasks.ingest.catalogue import catalogue_of
from tasks.ingest.clicks import Piece, counted_pieces
from tasks.ingest.cooccurrence import pairing
from tasks.ingest.log_format import EVENT_TYPES
from tasks.ingest.session_groups import count_groups
from tasks.ingest.window import Window, open_window
from tasks.night import Night
from tasks.publish.clicked import write_clicked
from tasks.settings import Settings
from tasks.stores.artefacts import Artefact, Storage
from tasks.stores.database import transaction
from tasks.stores.ledger import record_build
from tasks.stores.locks import hold_clicks

BYTES_OF_AN_ENTRY = 8  # its code


def build_interactions(night: Night, settings: Settings) -> dict[str, float]:
    """Add up the window's daily pairs into training and held-out Interactions over the night's catalogue.

    Writes products.parquet, refused_products.parquet, training/ and held_out/interactions.npz, cooccurrence.npz of the
    whole window, session_groups.npz and clicked.parquet of the held-out days, and notes the build in the ledger. A
    training weight is the weighted sessions that share the pair, each halved every half_life_days before the cut; a
    held-out weight counts them whole. Raises NotReady where the night's own day, a catalogue or the clicks of which
    held-out days were counted are missing, BadInput where aggregates were paired by other settings and where no day or
    no pair is left to train on.
    """
    with hold_clicks(settings, f"build_interactions of {night}"):
        return _build(night, settings)


def _build(night: Night, settings: Settings) -> dict[str, float]:
    storage, weighting = Storage(settings.storage_url), _weighting(settings)
    aggregates = _aggregates(night, storage, settings)
    catalogue_day, catalogue = catalogue_of(night, storage)
    sources = {artefact.path: artefact.hash for artefact in (*aggregates.values(), catalogue)}
    with storage.draft(night.artefact("interactions"), sources=sources) as draft:
        folder, counts = draft.folder, draft.counts
        ids = _copy_catalogue(catalogue, storage, folder)
        counts |= {"days": len(aggregates), "days_of_window": night.window_days}
        counts |= {"products": len(ids), "refused_products": _rows_of(folder / "refused_products.parquet")}
        held_out = _held_out_clicks(night, aggregates, storage)
        count_groups(held_out, ids, storage, settings, weighting).save(folder)  # while memory is still free
        with open_window(night, aggregates, ids, storage) as window:
            size = WindowSize.of(window, len(ids))
            sums = _add_up(window, size, night, settings)
            write_clicked(window.products_at(range(night.held_out_days)), folder)
        names = strings(ids.to_pylist())
        for part, weights in (("training", sums.training), ("held_out", sums.held_out)):
            (folder / part).mkdir()
            Interactions(weights, names, names).save(folder / part)
            counts |= _counts(part, weights.nnz, night, aggregates, size)
        if not counts["training_pairs"]:
            raise BadInput(_nothing_to_train_on(night, counts, settings))
        sessions_A = _sessions_by_age(night, aggregates)
        sessions = sessions_by_age(window.sessions_of_products(), len(ids))
        Cooccurrence(sums.by_age, sessions, len(ids), sessions_A, settings.min_support).save(folder)
        built, hashes = draft.finish(), {day: aggregate.hash for day, aggregate in aggregates.items()}
        with transaction(settings) as connection:
            record_build(night, built, hashes, (catalogue_day, catalogue.hash), connection)
            draft.put_in_place()
        draft.mark_complete()
    return built.counts


def _weighting(settings: Settings) -> Weighting:
    try:
        return Weighting(settings.min_support, tuple(settings.weight_of[kind] for kind in EVENT_TYPES))
    except (KeyError, ValueError) as error:
        raise BadInput(
            f"WEIGHT_OF must give each of {', '.join(EVENT_TYPES)} a finite weight of 0 or more, "
            f"got {settings.weight_of}: correct it"
        ) from error


def _aggregates(night: Night, storage: Storage, settings: Settings) -> dict[date, Artefact]:
    """The aggregates of the window's days that have some, oldest first."""
    if not storage.complete(Night.aggregate(night.day)):
        raise NotReady(f"the clicks of {night} are not aggregated: run aggregate_clicks --night {night}")
    days = [day for day in night.window if storage.complete(Night.aggregate(day))]
    if days[0] >= night.first_held_out_day:
        raise BadInput(
            f"night {night} must have aggregated days to train on, from {night.window[0]} until before "
            f"{night.first_held_out_day}, but there are none: run ingest_clicks and aggregate_clicks for them, "
            "oldest first"
        )
    aggregates = {day: storage.read(Night.aggregate(day)) for day in days}
    _check_pairing(aggregates, settings)
    return aggregates


def _check_pairing(aggregates: Mapping[date, Artefact], settings: Settings) -> None:
    expected = pairing(settings)
    pairing_of = {day: aggregate.sources.get("pairing") for day, aggregate in aggregates.items()}
    different = {day: paired for day, paired in pairing_of.items() if paired != expected}
    if different:
        days = ", ".join(map(str, different))
        raise BadInput(
            f"all days of a window must be paired by the settings of today, {expected!r}, got "
            f"{next(iter(different.values()))!r}: run aggregate_clicks for these days again: {days}"
        )


def _copy_catalogue(catalogue: Artefact, storage: Storage, folder: Path) -> pa.ChunkedArray:
    """Bring the catalogue's files into the artefact; returns its product ids."""
    with storage.open(catalogue) as stored:
        for name in ("products.parquet", "refused_products.parquet"):
            shutil.copyfile(stored / name, folder / name)
        storage.check_unchanged(catalogue)
    return pq.read_table(folder / "products.parquet", columns=["product_id"])["product_id"]


def _rows_of(file: Path) -> int:
    return int(pq.read_metadata(file).num_rows)


def _held_out_clicks(night: Night, aggregates: Mapping[date, Artefact], storage: Storage) -> list[Piece]:
    """The clicks that the aggregates of the held-out days were made of."""
    held_out = [aggregate for day, aggregate in aggregates.items() if day >= night.first_held_out_day]
    return [piece for aggregate in held_out for piece in counted_pieces(aggregate, storage)]


class _Sums(NamedTuple):
    """What is kept of the pairs, for all queries or some: weights until the cut and after it, sessions by age."""

    training: sp.csr_matrix
    held_out: sp.csr_matrix
    by_age: CountsByAge


def _add_up(window: Window, size: WindowSize, night: Night, settings: Settings) -> _Sums:
    """Some queries at a time: memory holds what is kept of the pairs, and of the rest what MEMORY_LIMIT_GIB allows."""
    at_once = int(settings.memory_limit_gib * 2**30) // BYTES_OF_AN_ENTRY
    training, held_out, by_age = [], [], []
    for queries in size.ranges(at_once):
        some = _sum_up(window, size, queries, night, settings)
        training.append(some.training)
        held_out.append(some.held_out)
        by_age.append(some.by_age)
    del some  # each column of by_age goes as soon as it is joined
    return _Sums(sp.vstack(training, format="csr"), sp.vstack(held_out, format="csr"), CountsByAge.joined(by_age))


def _sum_up(window: Window, size: WindowSize, queries: range, night: Night, settings: Settings) -> _Sums:
    cut, weighting = night.held_out_days, _weighting(settings)
    pairs = WindowCooccurrence.of_queries(window, size, queries)
    training = pairs.weights(range(cut, night.window_days), settings.half_life_days, weighting, settings.max_related)
    return _Sums(training, pairs.weights(range(cut), np.inf, weighting, len(size)), pairs.by_age(weighting))


def _sessions_by_age(night: Night, aggregates: Mapping[date, Artefact]) -> npt.NDArray[np.int64]:
    """All sessions of every day, by its age; 0 where a day is missing."""
    sessions_A = np.zeros(night.window_days, np.int64)
    for day, aggregate in aggregates.items():
        sessions_A[(night.day - day).days] = int(aggregate.counts["sessions"])
    return sessions_A


def _counts(
    part: str, pairs: int, night: Night, aggregates: Mapping[date, Artefact], size: WindowSize
) -> dict[str, float]:
    days = [day for day in aggregates if (day < night.first_held_out_day) == (part == "training")]
    summed = {
        name: sum(int(aggregates[day].counts[name]) for day in days) for name in ("sessions", "too_large_sessions")
    }
    outside = sum(int(size.outside_A[(night.day - day).days]) for day in days)
    summed |= {"pairs_outside_catalogue": outside, "pairs": pairs}
    return {f"{part}_{name}": count for name, count in summed.items()}


def _nothing_to_train_on(night: Night, counts: dict[str, float], settings: Settings) -> str:
    return (
        f"night {night} must have pairs of catalogue products to train on, but none is shared by "
        f"{settings.min_support} or more of the {counts['training_sessions']:,} sessions before "
        f"{night.first_held_out_day} "
        f"({counts['training_too_large_sessions']:,} sessions are too large, "
        f"{counts['training_pairs_outside_catalogue']:,} of their pairs are not of two products of the catalogue): "
        "ingest more days, correct the catalogue, or set MIN_SUPPORT lower"
    )
