"""How fast the operators' page answers, through Airflow's api-server, on a catalogue of any size."""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import httpx
import numpy as np
import typer
from rich.console import Console

from benchmarks.local_airflow import NIGHT, running, scratch_shop
from benchmarks.made_night import ids_of, make_night
from local.embedded_postgres import with_database
from tasks.steps.publish_recommendations import publish_recommendations

console = Console(stderr=True)

FLOOR = "api/v2/dags/refresh_recommendations"  # what Airflow takes to let a user in and to answer with one row


def main(
    products: Annotated[int, typer.Option(help="products, 20 related ones each", min=1_000)] = 1_000_000,
    requests: Annotated[int, typer.Option(help="requests of each kind", min=1)] = 100,
) -> None:
    """Publish two nights, start Airflow, and ask for each page as an operator, one request after the other.

    Ends with one JSON line: milliseconds of each kind (mean, 99th percentile, first), slowest_ms: the largest mean, and
    ratio_to_airflow: that over the mean of Airflow's own answer about one DAG.
    """
    with scratch_shop(days=0) as settings:
        ready = with_database(settings)
        for age in (1, 0):
            console.print(f"a night of {products:,} products", style="dim")
            publish_recommendations(make_night(NIGHT - timedelta(days=age), products, ready), ready)
        with running(settings) as airflow, httpx.Client(base_url=airflow.url, timeout=60) as client:
            client.headers["Authorization"] = f"Bearer {airflow.api('op').token}"
            ids = ids_of(products)
            kinds = {
                "airflow": (FLOOR for _ in range(requests)),
                "overview": _paths("", ids, requests),
                "search_by_words": _paths("search?words=product+{row}", ids, requests),
                "search_by_a_word_of_all": _paths("search?words=product", ids, requests),
                "search_mistyped": _paths("search?words=prodcut+{row}", ids, requests),
                "search_by_id": _paths("search?words={id}", ids, requests),
                "product": _paths("product?product_id={id}", ids, requests),
                "product_beside": _paths("product?product_id={id}&version=1&beside=2", ids, requests),
                "nights": _paths("nights", ids, requests),
                "versions": _paths("versions", ids, requests),
                "version": _paths("version?version_id=2", ids, requests),
                "changes": _paths("changes?before=1&after=2", ids, requests),
                "roll_back": _paths("move/roll_back?version=2", ids, requests),
                "pairs": _paths("pairs", ids, requests),
                "pair": _paths(f"pairs?action=block&product_id={{id}}&related_product_id={ids[0]}", ids, requests),
            }
            milliseconds = {kind: _rounded([_ask(client, path) for path in paths]) for kind, paths in kinds.items()}
    slowest = max(times["mean"] for kind, times in milliseconds.items() if kind != "airflow")
    ratio = round(slowest / milliseconds["airflow"]["mean"], 2)
    shown = {"products": products, "slowest_ms": slowest, "ratio_to_airflow": ratio, "milliseconds": milliseconds}
    print(json.dumps(shown))


def _paths(path: str, ids: list[str], requests: int) -> Iterator[str]:
    """The same path with other products."""
    for row in np.random.default_rng(0).integers(0, len(ids), requests):
        yield "recommendations/" + path.format(row=row, id=ids[row])


def _ask(client: httpx.Client, path: str) -> float:
    start = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - start


def _rounded(seconds: list[float]) -> dict[str, float]:
    later = 1000 * np.array(seconds[1:] or seconds)
    shown = {"mean": later.mean(), "p99": np.percentile(later, 99), "first": 1000 * seconds[0]}
    return {name: round(float(value), 1) for name, value in shown.items()}


if __name__ == "__main__":
    typer.run(main)
