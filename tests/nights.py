"""Artefacts of nights made by hand, and a look at what was published of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from eclare.arrays.topk import PAD
from eclare.evaluation.list_segments import PageFigures, by_history, by_popularity, segment_figures
from eclare.evaluation.lists import list_figures
from eclare.evaluation.metrics import SEGMENTS
from eclare.related.recommendations import Recommendations
from eclare.related.variants import title_numbers
from tasks.night import Night
from tasks.publish.histories import write_histories
from tasks.publish.rollback import rollback
from tasks.settings import Settings
from tasks.stores.artefacts import MARKER, Storage
from tasks.stores.database import Metric, database_engine, store_metrics, transaction

TITLES = {"1": 'A "quoted" title', "2": "tab\tand \\ backslash", "3": "Ünïcödé 靴\nline", "4": "plain"}
RELATED = {"1": ["2", "3"], "2": ["1"], "3": [], "4": ["3", "2"]}
OTHER = {"1": ["4"], "2": ["3", "1"]}
LIVE = "select product_id, rank, related_product_id from current_recommendations order by product_id, rank"
SYSTEMS = ("eclare", "co-click", "eclare by rules", "co-click by rules")
RATIOS = ("eclare / co-click", "eclare by rules / co-click by rules", "eclare by rules / live")
METRICS = [
    Metric(system, metric, 10, value, segment, 0.9 * value, 1.1 * value)
    for system, value in [*((system, 0.5) for system in SYSTEMS), *((ratio, 1.0) for ratio in RATIOS)]
    for metric, segment in [("P", "all"), ("PSP", "all"), ("nDCG", "all"), *(("recall", part) for part in SEGMENTS)]
]
TABLES = ("recommendation", "recommended_product", "recommendation_reason")
TRAINED_CONFIG_HASH = "hash of the config that train_model read"
TRAINED_WITH = {"config": TRAINED_CONFIG_HASH}
LENIENT = {"listed": 0.1, "churn": 1, "rank_biased_overlap": 0, "catalogue_size": 0}


def with_lenient_gate(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Four products are too few for the usual thresholds."""
    file = settings.state_folder.with_name("gate.json")
    file.write_text(json.dumps(LENIENT))
    monkeypatch.setenv("GATE_CONFIG", str(file))
    return settings.model_copy(update={"gate_config": file})


def make_night(
    day: str, settings: Settings, related=RELATED, titles=TITLES, sources=TRAINED_WITH, clicked=None, **columns: list
) -> Night:
    """The artefacts a publish reads: `related` maps a product to its related ones, best first; sources: the model's.

    clicked: writes what was clicked into the folder of the interactions.
    """
    night, storage = Night.of(day, settings), Storage(settings.storage_url)
    nothing = [None] * len(titles)
    products = {"product_id": list(titles), "title": list(titles.values()), "category": nothing, "brand": nothing}
    products |= {"in_stock": [True] * len(titles), "blocked": [False] * len(titles)} | columns
    with storage.write(night.artefact("interactions")) as (folder, _):
        pq.write_table(pa.table(products), folder / "products.parquet")
        if clicked:
            clicked(folder)
    interactions = storage.read(night.artefact("interactions"))
    with storage.write(night.artefact("model"), made_from=[interactions], sources=sources) as (folder, _):
        (folder / "weights").write_text(json.dumps(related))
    model = storage.read(night.artefact("model"))
    store_metrics(night, model.hash, METRICS, settings)
    with storage.write(night.artefact("recommendations"), made_from=[interactions, model]) as (folder, _):
        recommendations = recommendations_of(related, list(titles))
        recommendations.save(folder)
        describe(recommendations, list(titles.values()), folder)
    return night


def describe(made: Recommendations, titles: list[str], folder: Path) -> None:
    """What the lists look like: the first product has 40 sessions, each after it half as many, down to none."""
    sessions = np.array([40 >> row if row < len(titles) - 1 else 0 for row in range(len(titles))], np.float32)
    allowed, popularity = np.ones(len(titles), bool), by_popularity(sessions)
    figures = list_figures(made.labels_NK, np.ones(len(titles), np.float32), allowed, title_numbers(titles))
    segments = segment_figures(made.labels_NK, sessions, [by_history(sessions[: len(made.labels_NK)])])
    PageFigures(figures, segments).save(folder)
    write_histories(pa.chunked_array([made.label_ids_L.tolist()]), sessions, popularity, folder)


def recommendations_of(related: dict[str, list[str]], ids: list[str]) -> Recommendations:
    labels = np.full((len(related), 3), PAD, np.int32)
    for row, names in zip(labels, related.values(), strict=True):
        row[: len(names)] = [ids.index(name) for name in names]
    scores = np.tile(np.array([0.9, 0.5, 0.25], np.float32), (len(related), 1))
    sources = np.zeros(labels.shape, np.int8)
    return Recommendations(labels, scores, sources, np.array(list(related), str), np.array(ids, str))


def rows_of(settings: Settings, query: str, **parameters: object) -> list[tuple]:
    with transaction(settings) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query), parameters)]


def expected(related: dict[str, list[str]]) -> list[tuple]:
    return [(product, rank, other) for product, names in related.items() for rank, other in enumerate(names, 1)]


def roll_back(settings: Settings, reason: str, by: str = "", to: str = "") -> dict[str, object]:
    """As somebody asks who has just seen what is live."""
    ((live,),) = rows_of(settings, "select version_id from live_version")
    return rollback(settings, live, reason, by, to)


def of_older_code(artefact: str, settings: Settings) -> Path:
    """The folder of an artefact as code left it that noted no checks of files: they can be changed unnoticed."""
    folder = Path(settings.storage_url, artefact)
    marker = json.loads((folder / MARKER).read_text())
    (folder / MARKER).write_text(json.dumps(marker | {"checks": {}}))
    return folder


def tables_of_versions(settings: Settings) -> set[str]:
    query = "select relname from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r'"
    return {name for (name,) in rows_of(settings, query) if name[-1].isdigit()}


def tables_expected(settings: Settings) -> set[str]:
    versions = [number for (number,) in rows_of(settings, "select version_id from recommendation_version")]
    return {f"{table}_{number}" for table in TABLES for number in versions}


def scanned_by(settings: Settings, query: str, **parameters: object) -> dict[str, int]:
    """The tables that a query scanned, in functions too, but for the pointer, and how often without an index."""
    scans = "select relname, seq_scan from pg_stat_xact_user_tables where seq_scan + idx_scan > 0"
    with database_engine(settings).connect() as reader:
        reader.execute(sa.text(query), parameters).all()
        scanned = reader.execute(sa.text(scans)).tuples().all()
    return {table: whole for table, whole in scanned if not table.endswith("_version")}


def scans_of(settings: Settings, query: str, **parameters: object) -> list[dict]:
    """The scans of tables that the query really made, as EXPLAIN shows them."""
    (plan,) = rows_of(settings, f"explain (analyze, format json) {query}", **parameters)[0]
    return [scan for scan in _scans(plan[0]["Plan"]) if scan["Actual Loops"]]


def _scans(plan: dict) -> Iterator[dict]:
    if "Relation Name" in plan:
        yield plan
    for inner in plan.get("Plans", []):
        yield from _scans(inner)
