"""A whole night without Airflow: raw files in, related products out, and what a spoilt night leaves behind."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from eclare.evaluation.list_segments import PageFigures
from tasks.errors import BadInput, NotReady, TaskError
from tasks.publish.pair_rules import PairRule, set_pair_rule
from tasks.run import BASELINE, INGEST, REFRESH, STEPS, run
from tasks.run import refresh as run_all
from tasks.settings import Settings
from tasks.stores.database import VERSION_TABLE, transaction
from tests.installations import Installation
from tests.small_shop import FIRST, GROUP_OF, IDS, NEVER_CLICKED, NIGHT, deliver_catalogue, deliver_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # kernels are compiled in the first one

LIVE = "select product_id, rank, related_product_id, score, version_id from current_recommendations order by 1, 2"
METRICS = "select system, metric, k, value, model_hash from metrics_by_night where segment = 'all' order by 1, 2, 3"


def rows_of(settings: Settings, query: str) -> list[tuple]:
    with transaction(settings) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


DAYS = [day.date() for day in pd.date_range(FIRST, NIGHT)]


def ingest(settings: Settings, days: Sequence[date] = DAYS) -> None:
    for day in days:
        for step in INGEST:
            run(step, str(day), settings)


def refresh(settings: Settings) -> dict[str, dict[str, float]]:
    return {step: run(step, str(NIGHT), settings) for step in REFRESH}


@pytest.fixture(scope="module")
def ingested(install: Callable[[str], Installation], embedded_server: str) -> Installation:
    """Every day of the shop was ingested, once for all tests."""
    shop = install(embedded_server)
    deliver_log(Path(shop.settings.click_log_url))
    deliver_catalogue(Path(shop.settings.catalogue_url))
    ingest(shop.settings)
    return shop


@pytest.fixture(scope="module")
def published(install: Callable[[str], Installation], ingested: Installation) -> Callable[[str], Installation]:
    """By server, the shop after its night ran there, once for all tests."""

    @cache
    def on(server: str) -> Installation:
        night = install(server)
        shutil.copytree(ingested.folder, night.folder, dirs_exist_ok=True)
        refresh(night.settings)
        return night

    return on


@pytest.fixture
def shop(settings: Settings, ingested: Installation) -> Settings:
    """The raw files of the shop are there, nothing has run."""
    shutil.copytree(ingested.settings.click_log_url, settings.click_log_url)
    shutil.copy(ingested.settings.catalogue_url, settings.catalogue_url)
    return settings


@pytest.fixture
def live(
    settings: Settings, server: str, published: Callable[[str], Installation], tmp_path: Path
) -> Iterator[Settings]:
    """The night has run once."""
    with published(server).copied_to(tmp_path) as installation:
        yield settings.model_copy(update={"database_url": installation.database_url})


@pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)
class TestAGoodNight:
    def test_every_product_gets_products_of_its_group(self, live: Settings) -> None:
        rows = rows_of(live, LIVE)
        best = [(product, related) for product, rank, related, *_ in rows if rank <= 5]
        assert {product for product, *_ in rows} == set(IDS)
        assert all(product != related for product, _, related, *_ in rows)
        assert sum(GROUP_OF[product] == GROUP_OF[related] for product, related in best) > 0.95 * len(best)
        assert not {related for _, _, related, *_ in rows} & {IDS[0], IDS[1]}, "blocked and out of stock"

    def test_new_products_are_related_by_their_title(self, live: Settings) -> None:
        rows = rows_of(live, LIVE)
        best = [(product, related) for product, rank, related, *_ in rows if product in NEVER_CLICKED and rank <= 5]
        assert len(best) == 5 * len(NEVER_CLICKED)
        cold = rows_of(live, "select distinct product_id from current_recommendations where source = 'cold'")
        assert {product for (product,) in cold} == set(NEVER_CLICKED)
        assert sum(GROUP_OF[product] == GROUP_OF[related] for product, related in best) > 0.9 * len(best)

    def test_products_have_their_sessions_and_lists_their_figures_by_segment(self, live: Settings) -> None:
        cold = "select product_id from recommended_product where segment = 'cold' and sessions = 0"
        assert {product for (product,) in rows_of(live, cold)} == set(NEVER_CLICKED)
        halves = "select segment, min(sessions), max(sessions) from recommended_product group by 1"
        of_segment = {segment: ends for segment, *ends in rows_of(live, halves)}
        assert of_segment["head"][0] >= of_segment["torso"][1] and of_segment["torso"][0] >= of_segment["tail"][1] > 0
        figures = PageFigures.load(Path(live.storage_url, "nights", f"night={NIGHT}", "recommendations"))
        by = {by: sum(each.lists for each in figures.segments if each.by == by) for by, *_ in figures.segments}
        assert by == {
            "history": len(IDS), "popularity": len(IDS) - len(NEVER_CLICKED), "category": len(IDS),
            "first place from": len(IDS),
        }  # fmt: skip

    def test_lists_are_as_long_as_they_can_be_and_say_where_they_come_from(self, live: Settings) -> None:
        longest = min(live.top_k, len(IDS) - 3)  # the product itself, a blocked one and one out of stock
        lengths = rows_of(live, "select count(*) from current_recommendations group by product_id order by 1")
        assert lengths[0] >= (longest,)
        sources = dict(rows_of(live, "select source, count(*) from current_recommendations group by source"))
        assert sources["co-click"] > 0 and sources["model"] > 0
        paired = "select count(*) from current_recommendations where source = 'co-click' and rank = 1"
        assert rows_of(live, paired)[0][0] > 0.9 * (len(IDS) - len(NEVER_CLICKED))

    def test_the_first_ranks_are_explained(self, live: Settings) -> None:
        pairs = rows_of(live, "select product_id, related_product_id from current_recommendations where rank = 1")
        paired = """select bool_and(sessions > 0), bool_and(last_day <= night), max(abs(score - (
                coalesce(score_co_clicks, 0) + coalesce(score_popularity, 0) + coalesce(score_like_products, 0)
                + coalesce(score_titles, 0) + score_model + score_base)))
            from current_recommendations join recommendation_reason using (version_id, product_id, related_product_id)
            where source = 'co-click'"""
        (met, before, missed), *_ = rows_of(live, paired)
        assert met and before
        assert missed < 1e-3
        explained = "select count(*) from recommendation_reason join live_version using (version_id)"
        assert rows_of(live, explained)[0][0] == live.explained_ranks * len(pairs)

    def test_why_follows_the_heaviest_part_of_each_published_row(self, live: Settings) -> None:
        query = """select why.source, why.sessions, why.reason, score_co_clicks, score_popularity, score_like_products,
                score_titles, score_model, score_rules
            from current_recommendations as shown
            cross join lateral explain_recommendation(shown.product_id, shown.related_product_id) as why
            where shown.rank <= 5 and score_base is not null order by md5(shown.product_id || shown.rank) limit 200"""
        names = ("sessions with both", "popularity", "sessions of like products", "words that both titles share")
        said_of = [f"comes from {name}." for name in (*names, "the model", "the rules of the list")]
        sampled, said = rows_of(live, query), set()
        assert {source for source, *_ in sampled} >= {"co-click", "cold"}
        for _, sessions, reason, *parts in sampled:
            heaviest = max(parts)
            expected = said_of[parts.index(heaviest)] if heaviest > 0 else "No part of its score speaks for it"
            assert expected in reason, parts
            assert reason.startswith("No session" if sessions == 0 else f"{sessions} sessions"), reason
            said.add(expected)
        assert len(said) > 1

    def test_the_metrics_stand_beside_the_rivals(self, live: Settings) -> None:
        value = {(system, f"{metric}@{k}"): value for system, metric, k, value, _ in rows_of(live, METRICS)}
        rivals = ("co-click", "observed - expected", "cosine", "popularity")
        for metric in ("P", "PSP", "nDCG", "recall", "lift", "coverage"):
            for k in (1, 3, 5, 10):
                assert all(0 <= value[system, f"{metric}@{k}"] <= 1 for system in ("eclare", *rivals))
        for rival in rivals:
            for metric in ("P", "PSP", "nDCG", "lift"):
                ratio = value["eclare", f"{metric}@10"] / value[rival, f"{metric}@10"]
                assert value[f"eclare / {rival}", f"{metric}@10"] == pytest.approx(ratio)
        for part in ("eclare without model", "eclare without popularity"):
            ratio = value["eclare", "lift@10"] / value[part, "lift@10"]
            assert value[f"eclare / {part}", "lift@10"] == pytest.approx(ratio)
        assert value["popularity", "lift@10"] < 0.5 * value["eclare", "lift@10"], "best sellers of all groups"
        without = "select distinct metric from metrics_by_night where low is null or high is null order by 1"
        assert rows_of(live, without) == [("coverage",), ("queries",)]
        outside = "select system, metric, k, low, value, high from metrics_by_night where "
        assert rows_of(live, outside + "value not between low - 1e-9 and high + 1e-9") == []
        # Ten of the eleven clicked products of a group are right, two of all are not recommendable.
        assert value["eclare", "P@5"] > 0.9

    def test_a_rerun_gives_the_same_rows_and_the_same_version(self, live: Settings) -> None:
        before, metrics = rows_of(live, LIVE), rows_of(live, METRICS)
        ingest(live, [FIRST, NIGHT])  # a day to train on and one to judge by
        counts = refresh(live)
        assert counts["publish_recommendations"]["live"] == 1
        assert rows_of(live, LIVE) == before
        again = rows_of(live, METRICS)
        assert [row for row in again if "live" not in row[0]] == metrics
        ratios = "select metric, value, low, high from metrics_by_night where system = 'eclare by rules / live'"
        assert {row[1:] for row in rows_of(live, ratios)} == {(1, 1, 1)}, "beside itself"
        (queries,) = [value for system, metric, _, value, _ in again if (system, metric) == ("live", "queries")]
        assert queries == next(value for system, metric, _, value, _ in again if system == "held-out")
        judged = "select distinct value, reason from gate_verdict where rule like 'live%' and value is not null"
        assert rows_of(live, judged) == [(1, "must be at least 0.7, is 1")]
        assert rows_of(live, "select count(*) from recommendation_version") == [(1,)]


def test_what_people_pinned_and_blocked_is_so_in_the_next_version(live: Settings) -> None:
    before = {(product, rank): related for product, rank, related, *_ in rows_of(live, LIVE)}
    page, second, pinned = IDS[3], before[IDS[3], 2], before[IDS[3], 7]
    for related, action in ((pinned, "pin"), (second, "block"), (IDS[0], "pin"), (IDS[1], "pin"), ("no such", "pin")):
        set_pair_rule(live, PairRule(page, related, action, "as people want it"), "ada")
    counts = run("recommend_products", str(NIGHT), live)
    assert (counts["pinned"], counts["pins_skipped"], counts["blocked_pairs"]) == (1, 3, 1)
    assert run("publish_recommendations", str(NIGHT), live)["new"] == 1
    after = {(product, rank): related for product, rank, related, *_ in rows_of(live, LIVE)}
    kept = [before[page, rank] for rank in range(1, live.top_k + 1) if (page, rank) in before]
    assert [after[page, rank] for rank in range(1, len(kept))] == [
        pinned, *(each for each in kept if each not in (second, pinned))
    ]  # fmt: skip
    assert {key: each for key, each in after.items() if key[0] != page} == {
        key: each for key, each in before.items() if key[0] != page
    }
    pins = "select product_id, related_product_id, rank from current_recommendations where source = 'pinned'"
    assert rows_of(live, pins) == [(page, pinned, 1)]
    lists = f"select related_product_id from recommendation where product_id = '{page}' and version_id = 2"
    assert second not in {related for (related,) in rows_of(live, lists)}, "it is not even stored"


@pytest.fixture(scope="module")
def three_versions(
    install: Callable[[str], Installation], ingested: Installation, embedded_server: str
) -> tuple[Settings, dict[str, float]]:
    """The co-click baseline of the day before, the night's, and its model again by rules that the gate refuses.

    With the settings the counts of the last lists.
    """
    folder, shop = (each := install(embedded_server)).folder, each.settings
    shutil.copytree(ingested.folder, folder, dirs_exist_ok=True)
    categories = pd.read_parquet(shop.catalogue_url).assign(category=[f"group {GROUP_OF[id_]}" for id_ in IDS])
    shop = delivered_for_the_night(shop, categories)
    run("ingest_catalogue", str(NIGHT), shop)
    run_all(str(DAYS[-2]), shop, BASELINE)
    refresh(shop)
    strict = shop.model_copy(update={"max_same_category": 2, "diversity": 0.4})
    for step in ("evaluate_model", "rank_products", "recommend_products"):
        counts = run(step, str(NIGHT), strict)
    with pytest.raises(BadInput, match="live_precision"):
        run("publish_recommendations", str(NIGHT), strict)
    return strict, counts


def test_a_list_keeps_to_the_rules_of_the_shop(three_versions: tuple[Settings, dict[str, float]]) -> None:
    strict, counts = three_versions
    assert (counts["title_twice"], counts["popular"]) == (0, 0)
    assert counts["lists"] == counts["products"] and counts["different"] <= counts["distinct"]
    most = """select max(same) from (
        select count(*) as same from recommendation
        join recommended_product as related using (version_id)
        where version_id = 3 and related.product_id = related_product_id
        group by recommendation.product_id, related.category
    ) as lists"""
    assert rows_of(strict, most) == [(2,)]


def test_the_gate_judges_the_rows_that_readers_get(three_versions: tuple[Settings, dict[str, float]]) -> None:
    """The model is the one that is live: the rules alone made the lists worse."""
    verdicts = "select version_id, rule, value from gate_verdict where rule like 'live%' or rule like 'baseline%'"
    judged = {(version, rule): value for version, rule, value in rows_of(three_versions[0], verdicts)}
    for rule in ("precision", "ndcg"):
        assert judged[3, f"live_{rule}"] < 0.7
        assert judged[3, f"baseline_{rule}"] == pytest.approx(1, abs=0.2), "co-clicks keep to the same rules"
    before = "system = 'eclare by rules / eclare' and metric = 'P' and k = 10 and segment = 'all'"
    ((cost,),) = rows_of(three_versions[0], f"select value from metrics_by_night where {before}")
    assert cost < 0.5, "two of ten may be of the group that sessions view"


def test_the_baseline_is_a_version_that_names_its_algorithm_and_that_the_next_night_is_judged_beside(
    three_versions: tuple[Settings, dict[str, float]],
) -> None:
    shop, _ = three_versions
    versions = "select version_id, night, algorithm, status from recommendation_version order by 1"
    assert rows_of(shop, versions) == [
        (1, DAYS[-2], "co-click", "retired"), (2, NIGHT, "eclare", "live"), (3, NIGHT, "eclare", "rejected"),
    ]  # fmt: skip
    first = "select product_id, related_product_id from recommendation where version_id = 1 and rank = 1"
    met = sum(GROUP_OF[one] == GROUP_OF[other] for one, other in rows_of(shop, first))
    assert met > 0.9 * (len(IDS) - len(NEVER_CLICKED))
    judged = """select version_id, rule, value, passed from gate_verdict
        where rule in ('live_ndcg', 'baseline_ndcg') and version_id < 3 order by 1, 2"""
    found = [(version, rule, value is not None, passed) for version, rule, value, passed in rows_of(shop, judged)]
    assert found == [
        (1, "baseline_ndcg", False, True), (1, "live_ndcg", False, True),
        (2, "baseline_ndcg", True, True), (2, "live_ndcg", True, True),
    ]  # fmt: skip
    assert {change for (change,) in rows_of(shop, "select distinct change from changes_since_last_night")} >= {"new"}
    beside = "select metric, value from metric where system = 'eclare by rules / live' and segment = 'all' and k = 10"
    assert {metric for metric, value in rows_of(shop, beside) if value > 0} == {"P", "PSP", "nDCG", "lift"}


def no_folder(settings: Settings) -> Settings:
    (Path(settings.click_log_url) / f"date={NIGHT}" / "log.csv").unlink()
    (Path(settings.click_log_url) / f"date={NIGHT}").rmdir()
    return settings


def empty_day(settings: Settings) -> Settings:
    (Path(settings.click_log_url) / f"date={NIGHT}" / "log.csv").write_text("event_time,session_id,product_id\n")
    return settings


def missing_column(settings: Settings) -> Settings:
    (Path(settings.click_log_url) / f"date={NIGHT}" / "log.csv").write_text("event_time,product_id\n2017-06-30,P0001\n")
    return settings


def wrong_suffix(settings: Settings) -> Settings:
    folder = Path(settings.click_log_url) / f"date={NIGHT}"
    (folder / "log.csv").rename(folder / "log.parquet")
    return settings


def delivered_for_the_night(settings: Settings, catalogue: pd.DataFrame) -> Settings:
    """A dated delivery: one file without history would leave what is stored for a past day."""
    folder = Path(settings.catalogue_url).parent / "catalogues"
    (folder / f"date={NIGHT}").mkdir(parents=True)
    catalogue.to_parquet(folder / f"date={NIGHT}" / "catalogue.parquet")
    return settings.model_copy(update={"catalogue_url": str(folder)})


def duplicate_ids(settings: Settings) -> Settings:
    catalogue = pd.read_parquet(settings.catalogue_url)
    return delivered_for_the_night(settings, pd.concat([catalogue, catalogue.head(1)]))


def no_title_at_all(settings: Settings) -> Settings:
    return delivered_for_the_night(settings, pd.read_parquet(settings.catalogue_url).assign(title=None))


def database_down(settings: Settings) -> Settings:
    return settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/nothing"})


def newer_schema(settings: Settings) -> Settings:
    with transaction(settings) as connection:
        connection.execute(sa.text(f"update {VERSION_TABLE} set version_num = '9999'"))
    return settings


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (no_folder, NotReady, "has not arrived"),
        (empty_day, BadInput, "empty day 2017-06-30"),
        (missing_column, BadInput, "session_id"),
        (wrong_suffix, BadInput, "log.parquet"),
        (
            duplicate_ids,
            BadInput,
            "P0000 (2 rows, from date=2017-06-30/catalogue.parquet:1 to date=2017-06-30/catalogue.parquet:97)",
        ),
        (no_title_at_all, BadInput, "no product with an id and a title"),
        (database_down, NotReady, "127.0.0.1"),
        (newer_schema, BadInput, "deploy the newer code"),
    ],
)
def test_a_spoilt_night_is_refused_and_the_live_version_stays(
    live: Settings, spoil: Callable[[Settings], Settings], error: type[TaskError], message: str
) -> None:
    engine = sa.create_engine(sa.make_url(live.database_url or "").set(drivername="postgresql+psycopg2"))
    with engine.connect() as reader:
        before = reader.execute(sa.text(LIVE)).all()
    settings = spoil(live)
    with pytest.raises(error) as refused:
        for step in STEPS:
            run(step, str(NIGHT), settings)
    assert message in str(refused.value)
    with engine.connect() as reader:
        assert reader.execute(sa.text(LIVE)).all() == before


def test_a_night_in_the_future_is_refused_and_the_live_version_stays(live: Settings) -> None:
    before = rows_of(live, LIVE)
    with pytest.raises(BadInput, match="night 2999-12-31 is in the future"):
        run("ingest_clicks", "2999-12-31", live)
    assert rows_of(live, LIVE) == before


def test_a_product_without_title_is_counted_and_the_others_are_published(
    shop: Settings, ingested: Installation
) -> None:
    shutil.copytree(ingested.settings.storage_url, shop.storage_url)
    catalogue = pd.read_parquet(shop.catalogue_url)
    catalogue.loc[5, "title"] = None
    shop = delivered_for_the_night(shop, catalogue)
    run("ingest_catalogue", str(NIGHT), shop)
    assert refresh(shop)["build_interactions"]["refused_products"] == 1
    rows = rows_of(shop, LIVE)
    assert {product for product, *_ in rows} == set(IDS) - {IDS[5]}
    assert IDS[5] not in {related for _, _, related, *_ in rows}


def test_a_full_disk_stops_each_step_and_the_live_version_stays(live: Settings, tmp_path: Path) -> None:
    """One night over again: each step meets a full disk first, and goes on once there is room."""
    before = rows_of(live, LIVE)
    with small_disk(Path(live.storage_url), tmp_path / "moved") as filler:
        for step in STEPS:
            with filler.open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(bytes(4096))
            if step == "publish_recommendations":  # writes to PostgreSQL alone: a full disk of artefacts is no matter
                assert run(step, str(NIGHT), live)["live"] == 1
            elif step == "ingest_catalogue":  # the catalogue of a past day is kept: nothing is written
                assert run(step, str(NIGHT), live)["kept"] == 1
            else:
                with pytest.raises(NotReady, match="No space left"):
                    run(step, str(NIGHT), live)
            assert rows_of(live, LIVE) == before, f"{step} on a full disk"
            filler.unlink()
            run(step, str(NIGHT), live)
            assert rows_of(live, LIVE) == before, f"{step} with room again"


@contextmanager
def small_disk(storage: Path, moved: Path) -> Iterator[Path]:
    """The storage lies on a disk with half a megabyte of room; the file that takes it is not there yet."""
    storage.rename(moved)
    storage.mkdir()
    used_kib = sum(file.stat().st_size // 4096 * 4 + 8 for file in moved.rglob("*"))
    size = f"size={used_kib + 512}k"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", storage], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        subprocess.run(["cp", "-a", f"{moved}/.", str(storage)], check=True)
        yield storage / "filler"
    finally:
        subprocess.run(["umount", storage], check=True)
