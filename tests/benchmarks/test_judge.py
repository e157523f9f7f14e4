"""The judge of benchmarks.next_days gives the figures of an outside one."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from benchmarks.judge import Judge, K
from benchmarks.next_days import days_before, files_of, settings_of
from eclare.arrays.csr import Rows
from eclare.arrays.topk import PAD
from tasks.settings import ROOT

OUTSIDE = ROOT.parent / "shared" / "peers" / "next_days.py"
SEED = 5
CUT = pd.Timestamp("2020-02-01")
NAMES = {"P": "P@10", "nDCG": "nDCG@10", "PSP": "PSP@10", "P of new": "P@10 new", "lift": "lift@10"}
NAMES |= {"most shown": "max-share", "tail": "tail%"}


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """Sessions around the cut of products that like their neighbours, best sellers and new ones among them."""
    random, rows = np.random.default_rng(SEED), []
    for session in range(900):
        first = random.integers(2) == 0
        at = CUT + pd.Timedelta(hours=-1 - session % 700 if first else session % 700)
        centre = random.integers(50 if first else 60)
        size = random.choice([1, 2, 4, 8, 70 if session % 50 == 0 else 6])
        near = np.abs(np.rint(random.normal(centre, 4, size))).astype(int)
        held = np.unique(np.concatenate([near % 60, random.integers(5, size=size // 4)]))
        held = random.permutation(100)[:size] if size == 70 else held
        held = held[held < 50] if first else held
        rows += [(f"s{session}", f"p{product:03d}", at) for product in [*held, *held[:1]]]
    straddling = [("s9999", f"p{product:03d}", CUT + pd.Timedelta(hours=product - 3)) for product in range(6)]
    return pd.DataFrame(rows + straddling, columns=["session_id", "product_id", "event_time"])


@pytest.fixture(scope="module")
def judge(log) -> Judge:
    return Judge(log, CUT)


@pytest.fixture(scope="module")
def outside(log) -> Callable:
    """An outside judge of the same log."""
    if not OUTSIDE.exists():
        pytest.skip(f"there is no outside judge at {OUTSIDE}")
    spec = importlib.util.spec_from_file_location("outside_next_days", OUTSIDE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    log = log.drop_duplicates(["session_id", "product_id"])
    products, is_before = pd.Index(sorted(log["product_id"].unique())), log["event_time"] < CUT
    (before, _), (after, _) = (module.sessions(log[side], products) for side in (is_before, ~is_before))
    return module.Judge(before, after, products)


def _lists(judge: Judge) -> dict[str, Rows]:
    random = np.random.default_rng(1)
    score = random.random((len(judge.queries), len(judge.product_ids)))
    score[np.arange(len(score)), judge.queries] = 1  # a product is last of its own list
    by_chance = np.argsort(score, axis=1)[:, :K].astype(np.int32)
    short = np.where(np.arange(K) < random.integers(K + 1, size=(len(by_chance), 1)), by_chance, PAD)
    return {"chance": by_chance, "short": short} | judge.rivals()


def test_all_figures_are_those_of_an_outside_judge(judge, outside) -> None:
    assert judge.queries.tolist() == outside.queries.tolist()
    assert 0 < judge.new < len(judge.queries)
    head = np.sort(outside.popularity)[::-1]
    assert head[len(head) // 10 - 1] > head[len(head) // 10]  # a tie there is theirs to break
    for name, labels_QK in _lists(judge).items():
        expected, found = outside(labels_QK.tolist()), judge.metrics(labels_QK)
        assert set(found) == set(NAMES)
        for metric, theirs_is_called in NAMES.items():
            seen = 100 * found[metric].value
            assert seen == pytest.approx(expected[theirs_is_called], abs=1e-6, rel=1e-6), (name, metric)
        assert 100 * judge.shown(labels_QK).value == pytest.approx(expected["shown%"], abs=1e-6)


def test_a_table_of_ranks_becomes_lists_of_the_queries(judge) -> None:
    labels_QK = judge.rivals()["co-counts"]
    query, place = np.nonzero(labels_QK != PAD)
    ids, labels = judge.product_ids.to_numpy(), labels_QK[query, place]
    table = pd.DataFrame(
        {"product_id": ids[judge.queries[query]], "related_product_id": ids[labels], "rank": place + 1}
    )
    never_judged = np.setdiff1d(ids, ids[judge.queries])
    other = pd.DataFrame(
        {"product_id": [never_judged[0], ids[judge.queries[0]]], "related_product_id": ids[0], "rank": 1}
    )
    other["related_product_id"] = [ids[0], "of no log"]
    assert np.array_equal(judge.lists_of(pd.concat([other, table.sample(frac=1, random_state=0)])), labels_QK)


def test_ratios_are_to_the_best_of_the_others_and_every_figure_has_its_interval(judge) -> None:
    figures = judge.figures(_lists(judge), "short")
    for system in figures["metrics_at_10"].values():
        assert set(system) == {*NAMES, "shown"}
        assert all(low <= value <= high for value, low, high in system.values())
    for metric, of_best in figures["ratios"].items():
        values = {name: system[metric][0] for name, system in figures["metrics_at_10"].items() if name != "short"}
        assert values[of_best["over"]] == max(values.values())
        expected = figures["metrics_at_10"]["short"][metric][0] / max(values.values())
        assert of_best["ratio"][0] == pytest.approx(expected, abs=2e-3)


def test_a_log_without_enough_days_after_the_cut_is_refused(log) -> None:
    with pytest.raises(ValueError, match="take an earlier cut"):
        Judge(log, log["event_time"].max())


def test_the_window_is_the_whole_log_before_the_cut(log) -> None:
    assert days_before(log, CUT) == 30
    assert days_before(log, CUT + pd.Timedelta(days=1)) == 31


def test_settings_are_those_of_a_night_and_none_of_the_benchmarks_own() -> None:
    assert settings_of(["MAX_VARIANTS=0", "half_life_days=90"]) == {"MAX_VARIANTS": "0", "HALF_LIFE_DAYS": "90"}
    for refused in ("MAX_VARIANTS", "NO_SUCH=1", "GOAL=basket", "DATABASE_URL=postgresql://other"):
        with pytest.raises(typer.BadParameter, match="NAME=VALUE"):
            settings_of([refused])


def test_every_table_has_a_file_of_its_own(tmp_path) -> None:
    cuts, goals = [CUT, CUT + pd.Timedelta(days=1)], ["related", "basket"]
    files = files_of(tmp_path / "{goal}-{cut}.parquet", cuts, goals)
    assert files[CUT, "basket"] == tmp_path / "basket-2020-02-01.parquet"
    assert len(set(files.values())) == 4
    assert files_of(Path("one.parquet"), cuts[:1], goals[:1]) == {(CUT, "related"): Path("one.parquet")}
    for refused in ("one.parquet", "{goal}.parquet", "{cut}-{place}.parquet", "{cut.at}.parquet", "{.parquet"):
        with pytest.raises(typer.BadParameter, match="cut"):
            files_of(Path(refused), cuts, goals)
    with pytest.raises(typer.BadParameter, match=r"folder that exists, got .*nowhere: make it first"):
        files_of(tmp_path / "nowhere" / "{goal}-{cut}.parquet", cuts, goals)
