"""Step 7: the night's recommendations become an immutable version in PostgreSQL, and the live one unless a newer is."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eclare.recommendations import NOTHING, Recommendations
from tasks.database import Connection, copy_rows, locked, statement
from tasks.errors import BadInput
from tasks.night import Night
from tasks.settings import Settings, code_version
from tasks.storage import Storage, hash_file


@dataclass(frozen=True)
class _Version:
    """The rows of both partitions, and the row of recommendation_version that describes them."""

    recommendations: pa.Table
    products: pa.Table
    description: dict[str, object]


def publish_recommendations(night: Night, settings: Settings) -> dict[str, float]:
    """Publish the night's recommendations: the same content keeps its version, other content makes a new one.

    A past night never displaces a newer live one; a second publisher waits for the first. Raises BadInput for no rows
    or for a product related to itself or to one that is blocked, out of stock or unknown, NotReady when an artefact or
    the database is away; what was live before then still is.
    """
    version = _read(night, Storage(settings.storage_url))
    with locked(settings, "publish") as connection:
        _drop_staged_versions(connection)
        published = _find(connection, version)
        version_id = _stage(connection, version) if published is None else published
        is_live = _make_live(connection, version_id, version)
    return {
        "version": version_id,
        "rows": len(version.recommendations),
        "products": len(version.products),
        "new": int(published is None),
        "live": int(is_live),
    }


def _read(night: Night, storage: Storage) -> _Version:
    made, interactions = (storage.read(night.artefact(name)) for name in ("recommendations", "interactions"))
    with storage.open(made) as folder:
        rows = _rows(Recommendations.load(folder))
    with storage.open(interactions) as folder:
        file = folder / "products.parquet"
        products, products_hash = pq.read_table(file), hash_file(file)
    _refuse_unfit(rows, products, night)
    description = {
        "night": night.day,
        "recommendations_hash": made.hash,
        "products_hash": products_hash,
        "model_hash": made.made_from[night.artefact("model")],
        "interactions_hash": interactions.hash,
        "code_version": code_version(),
        "row_count": len(rows),
        "product_count": pc.count_distinct(rows["product_id"]).as_py(),
    }
    return _Version(rows, _described(products, rows), description)


def _rows(recommendations: Recommendations) -> pa.Table:
    """One row per point and label, best first."""
    points, places = np.nonzero(recommendations.labels_NK != NOTHING)
    labels = recommendations.labels_NK[points, places]
    return pa.table(
        {
            "product_id": pa.array(recommendations.point_ids_N, pa.string()).take(pa.array(points)),
            "rank": pa.array(places + 1, pa.int16()),
            "related_product_id": pa.array(recommendations.label_ids_L, pa.string()).take(pa.array(labels)),
            "score": pa.array(recommendations.scores_NK[points, places], pa.float32()),
        }
    )


def _refuse_unfit(rows: pa.Table, products: pa.Table, night: Night) -> None:
    if not len(rows):
        raise BadInput(
            f"the recommendations of night {night} must hold a row, got none: see to the clicks and the model"
        )
    known, sellable = products["product_id"], pc.and_not(products["in_stock"], products["blocked"])
    product, related = rows["product_id"], rows["related_product_id"]
    faults = {
        "the product itself": pc.equal(product, related),
        "for a product the night does not know": pc.invert(pc.is_in(product, known)),
        "blocked, out of stock or unknown to the night": pc.invert(pc.is_in(related, known.filter(sellable))),
    }
    for fault, unfit in faults.items():
        if found := rows.filter(unfit).slice(0, 1).to_pylist():
            raise BadInput(
                f"night {night} recommends {found[0]['related_product_id']!r} on the page of "
                f"{found[0]['product_id']!r} (rank {found[0]['rank']}), which is {fault}; {pc.sum(unfit).as_py():,} of "
                f"{len(rows):,} rows are like that: run recommend_products again, nothing was published"
            )


def _described(products: pa.Table, rows: pa.Table) -> pa.Table:
    """The text of the products that occur in the rows, on either side."""
    mentioned = pa.chunked_array([*rows["product_id"].chunks, *rows["related_product_id"].chunks], pa.string())
    columns = ["product_id", "title", "category", "brand"]
    return products.select(columns).filter(pc.is_in(products["product_id"], mentioned))


def _drop_staged_versions(connection: Connection) -> None:
    """Remove what a killed publish left behind: whoever holds the lock knows that nobody is writing it."""
    with connection.begin():
        for version_id in connection.scalars(statement("staged_versions")).all():
            connection.execute(statement("drop_version", version_id=version_id))


def _find(connection: Connection, version: _Version) -> int | None:
    """The published version with the same content, if there is one and it still holds every row."""
    with connection.begin():
        version_id: int | None = connection.scalar(statement("find_version"), version.description)
        if version_id is not None:
            _check_row_count(connection, version_id, version)
    return version_id


def _stage(connection: Connection, version: _Version) -> int:
    """Write a version that nobody reads yet; killed before the first commit it leaves nothing behind."""
    with connection.begin():
        version_id: int = connection.execute(statement("stage_version"), version.description).scalar_one()
        connection.execute(statement("make_partitions", version_id=version_id))
        copy_rows(connection, f"recommendation_{version_id}", version.recommendations)
        copy_rows(connection, f"recommended_product_{version_id}", version.products)
        connection.execute(statement("finish_partitions", version_id=version_id))
        _check_row_count(connection, version_id, version)
    with connection.begin():  # on its own: a reader who sees the pointer moved must find the partition there
        connection.execute(statement("attach_partitions", version_id=version_id))
    return version_id


def _check_row_count(connection: Connection, version_id: int, version: _Version) -> None:
    expected = len(version.recommendations)
    seen = connection.execute(statement("count_rows", version_id=version_id)).scalar_one()
    if seen != expected:
        raise BadInput(
            f"version {version_id} must hold {expected:,} rows, got {seen:,}: a published version never changes, "
            "so find out who changed it and restore it"
        )


def _make_live(connection: Connection, version_id: int, version: _Version) -> bool:
    """Mark the version published and move the pointer to it, unless the live version is of a newer night."""
    with connection.begin():
        published = {"version_id": version_id, "interactions_hash": version.description["interactions_hash"]}
        connection.execute(statement("publish_version"), published)
        return connection.scalar(statement("make_live"), {"version_id": version_id}) is not None
