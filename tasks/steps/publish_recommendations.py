"""The night's recommendations become an immutable version in PostgreSQL; past the gate, the live one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from eclare.arrays.topk import PAD
from eclare.evaluation.list_segments import PageFigures
from eclare.evaluation.lists import ListFigures
from eclare.related.recommendations import SOURCES, Recommendations
from tasks.errors import BadInput
from tasks.night import Night
from tasks.publish import versions
from tasks.publish.clicked import read_clicked
from tasks.publish.explanations import read_reasons
from tasks.publish.exposure import exposure_of
from tasks.publish.gate import RULES, GateConfig, Verdict, broken, broken_zero_rules, in_words, judge, read_gate
from tasks.publish.histories import with_histories
from tasks.publish.measurements import (
    Measured,
    Measurements,
    even_page,
    measure_catalogue,
    measure_change,
    measure_clicked,
    measure_inputs,
    measure_metrics,
    measure_page,
    measure_rows,
    measure_withdrawn,
    why_not_beside_live,
)
from tasks.publish.versions import Move, Version
from tasks.settings import Settings, code_version
from tasks.stores.artefacts import Artefact, Storage, hash_file
from tasks.stores.database import OURS, ROWS_PER_COPY, Connection, select, statement
from tasks.stores.locks import locked

LIVE_LISTS = [rule.name for rule in RULES if rule.compared_with == "live lists"]
ROWS = pa.schema(
    {
        "product_id": pa.string(), "rank": pa.int16(), "related_product_id": pa.string(), "score": pa.float32(),
        "source": pa.string(),
    }
)  # fmt: skip


log = logging.getLogger("tasks")


@dataclass(frozen=True)
class _Tonight:
    """A version ready to be stored, what is measured on its rows and would be on an even table, and the thresholds.

    clicked: the products of the last days' clicks and their sessions; None where the interactions are of older code.
    """

    night: Night
    version: Version
    measured: Measurements
    clicked: pa.Table | None
    even: dict[str, float]
    gate: GateConfig


def publish_recommendations(night: Night, settings: Settings) -> dict[str, float]:
    """Store the night's recommendations as a version, judge it and make it live; the same content keeps its version.

    A past night never displaces a newer live one; a second publisher waits for the first. Raises BadInput where the
    gate refuses, with its reasons: the version is then `rejected` (its rows are not even stored where they break a zero
    rule), and for a model that says not which config trained it; NotReady when an artefact or the database is away.
    What was live before then still is.
    """
    with _read(night, settings) as tonight, locked(settings, "publish") as connection:
        dropped = versions.drop_leftovers(connection)
        found = versions.find(connection, tonight.version)
        if broken_zero_rules(tonight.measured):
            version_id, has_rows = versions.stage_without_rows(connection, tonight.version), False
        else:
            version_id, has_rows = found or versions.stage(connection, tonight.version), True
        verdicts = _judge(connection, tonight, version_id, has_rows=has_rows)
        for warning in broken(verdicts, "warn"):
            log.warning("version %d of night %s: %s: %s", version_id, night, warning.rule, warning.reason)
        for failure in broken(verdicts, "stop"):
            log.error("version %d of night %s: %s: %s", version_id, night, failure.rule, failure.reason)
        if broken(verdicts, "stop"):
            versions.reject(connection, version_id, verdicts, has_rows=has_rows)
            raise _refusal(version_id, verdicts, night, has_rows=has_rows)
        move = Move("publish", versions.this_user(), "passed the gate")
        is_live = versions.accept(connection, version_id, verdicts, tonight.version, move)
        dropped += versions.drop_old(connection, settings)
    counts: dict[str, float] = {"version": version_id, "rows": tonight.version.description["row_count"]}
    counts |= {"products": len(tonight.version.products), "new": int(found is None)}
    counts |= {"live": int(is_live), "versions_dropped": dropped}
    return counts | {"warnings": len(broken(verdicts, "warn"))}


@contextmanager
def _read(night: Night, settings: Settings) -> Iterator[_Tonight]:
    """The version; most of its rows are read from the night's artefact while they are stored, so it stays open."""
    storage = Storage(settings.storage_url)
    names = ("recommendations", "model", "interactions")
    made, model, interactions = (storage.read(night.artefact(name)) for name in names)
    with storage.open(made) as folder:
        (recommendations, figures), reasons = _lists(folder, night), read_reasons(folder)
        with storage.open(interactions) as inputs:
            file = inputs / "products.parquet"
            products, products_hash = with_histories(pq.read_table(file), folder), hash_file(file)
            clicked = read_clicked(inputs)
        description = {
            "night": night.day,
            "recommendations_hash": made.hash,
            "products_hash": products_hash,
            "model_hash": made.made_from[model.path],
            "interactions_hash": interactions.hash,
            "config_hash": _config_hash(model, night),
            "algorithm": model.sources.get("algorithm", OURS),
            "model_code_version": model.code_version,
            "code_version": code_version(),
            "row_count": int((recommendations.labels_NK != PAD).sum()),
            "product_count": int((recommendations.labels_NK != PAD).any(axis=1).sum()),
            "catalogue_count": len(products),
        }
        described, exposure = _described(products, recommendations), exposure_of(recommendations)
        version = Version(_rows(recommendations), described, reasons, description, exposure)
        measured = measure_rows(recommendations, products) | measure_page(figures)
        even = even_page(recommendations, products, figures.with_session)
        yield _Tonight(night, version, measured, clicked, even, read_gate(settings))


def _lists(folder: Path, night: Night) -> tuple[Recommendations, ListFigures]:
    try:
        return Recommendations.load(folder), PageFigures.load(folder).all
    except ValueError as error:
        raise BadInput(f"{error}: run recommend_products --night {night} again, then this step") from error


def _config_hash(model: Artefact, night: Night) -> str:
    """The hash of the config that trained the model, which is not always the config of today."""
    if "config" not in model.sources:
        raise BadInput(
            f"{model.path} must carry the hash of the config that trained it, but has none, as models of older code: "
            f"run train_model --night {night} again, then the steps after it"
        )
    return model.sources["config"]


def _rows(made: Recommendations) -> pa.RecordBatchReader:
    """One row per point and label, best first, some ROWS_PER_COPY at a time."""
    point_ids, label_ids = (pa.array(ids, pa.string()) for ids in (made.point_ids_N, made.label_ids_L))
    sources, points_at_once = pa.array(SOURCES, pa.string()), max(1, ROWS_PER_COPY // max(1, made.labels_NK.shape[1]))

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(point_ids), points_at_once):
            labels_QK = made.labels_NK[start : start + points_at_once]
            queries, places = np.nonzero(labels_QK != PAD)
            points = start + queries
            columns = [
                point_ids.take(pa.array(points)),
                pa.array(places + 1, pa.int16()),
                label_ids.take(pa.array(labels_QK[queries, places])),
                pa.array(made.scores_NK[points, places], pa.float32()),
                sources.take(pa.array(made.sources_NK[points, places])),
            ]
            yield pa.record_batch(columns, ROWS)

    return pa.RecordBatchReader.from_batches(ROWS, batches())


def _described(products: pa.Table, made: Recommendations) -> pa.Table:
    """The text and the history of the products that occur, on either side."""
    points = made.point_ids_N[(made.labels_NK != PAD).any(axis=1)]
    is_shown_L = np.zeros(len(made.label_ids_L), np.bool_)
    is_shown_L[made.labels_NK[made.labels_NK != PAD]] = True
    mentioned = pa.array(np.concatenate([points, made.label_ids_L[is_shown_L]]), pa.string())
    columns = ["product_id", "title", "category", "brand", "price", "image_url", "sessions", "segment"]
    known = [name for name in columns if name in products.column_names]  # catalogues of older code have fewer
    return products.select(known).filter(pc.is_in(products["product_id"], mentioned))


def _judge(connection: Connection, tonight: _Tonight, version_id: int, *, has_rows: bool) -> list[Verdict]:
    """The verdicts on all that is measured; the change from the live version only where the rows are stored."""
    night, described = tonight.night.day, tonight.version.description
    with connection.begin():
        connection.execute(statement("limit_parallelism"))
        live = next(iter(select(connection, "live_model")), None)
        model_hash, algorithm = str(described["model_hash"]), str(described["algorithm"])
        not_beside_live = dict.fromkeys(LIVE_LISTS, why_not_beside_live(live, night))
        measured = Measured(tonight.measured, not_beside_live)
        measured |= measure_metrics(connection, night, model_hash, algorithm)
        measured |= measure_catalogue(int(described["catalogue_count"]), live)
        measured |= measure_inputs(connection, night, str(described["interactions_hash"]))
        measured |= measure_withdrawn(connection, night, version_id)
        if has_rows:
            measured |= Measured(measure_change(connection, version_id))
            measured |= measure_clicked(connection, version_id, tonight.clicked)
        values, why_not, remarks = measured
        return judge(
            values, tonight.gate, has_live=live is not None, why_not=why_not, even=tonight.even, remarks=remarks
        )


def _refusal(version_id: int, verdicts: list[Verdict], night: Night, *, has_rows: bool) -> BadInput:
    what_to_do = (
        f'or let it pass: python -m tasks approve --version {version_id} --by NAME --reason "..."'
        if has_rows
        else "its rows were not stored"
    )
    return BadInput(
        f"version {version_id} of night {night} must pass the gate before anybody sees it, but "
        f"{in_words(broken(verdicts, 'stop'))}; "
        f"what was live still is: see to the cause and run the night again, {what_to_do}"
    )
