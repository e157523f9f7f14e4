"""A user is forgotten: nothing of them is left in any file or table, and what others did stays."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import tasks.operations.erase
import tasks.steps.aggregate_clicks
import tasks.steps.ingest_clicks
from tasks.errors import BadInput, NotReady
from tasks.ingest.quarantine import CONTENT, QUARANTINE
from tasks.night import Night
from tasks.operations.erase import erase
from tasks.settings import Settings
from tasks.steps.aggregate_clicks import aggregate_clicks
from tasks.steps.build_interactions import build_interactions
from tasks.steps.ingest_clicks import ingest_clicks
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction
from tests.command_line import in_this_process
from tests.installations import Installation
from tests.traces import texts_in_files, texts_in_tables, traces_of

pytestmark = pytest.mark.slow

DAYS = [date(2017, 6, 29), date(2017, 6, 30)]
USER = "user-4711-to-forget"
HEADER = "event_time,session_id,product_id,user_id,event_type,event_id,note"


def lines(day: date) -> list[str]:
    before = day - timedelta(days=1)
    return [
        f"{day} 10:00:00,s1,a,{USER},view,,",
        f"{day} 10:00:01,s1,b,,view,,",  # before or after logging in
        f"{day} 10:00:02,s1,c,other,view,,",
        f"{day} 10:00:03,s2,a,other,view,,",
        f"{day} 10:00:04,s2,d,other,view,,",
        f"{day} 10:00:05,s3,d,,view,,",
        f"{before} 10:00:05,late,e,{USER},view,,",
        f"{before} 10:00:06,late,f,other,view,,",
        f"{day} 10:00:00,s1,x,{USER},hover,,",
        f"{day} 10:00:00,s1,y,,hover,,",
        f"{day} 10:00:00,s2,y,other,hover,,mentions {USER} in a note",
        f"{day},broken by {USER}",
    ]


@pytest.fixture(scope="module")
def shop(install: Callable[[str], Installation], embedded_server: str) -> Installation:
    made = install(embedded_server)
    for day in DAYS:
        folder = Path(made.settings.click_log_url, f"date={day}")
        folder.mkdir(parents=True)
        (folder / "log.csv.gz").write_bytes(gzip.compress("\n".join([HEADER, *lines(day)]).encode()))
        load(made.settings, day)
    return made


@pytest.fixture
def loaded(settings: Settings, shop: Installation, tmp_path: Path) -> Iterator[Settings]:
    with shop.copied_to(tmp_path) as mine:
        yield settings.model_copy(update={"database_url": mine.database_url})


def load(settings: Settings, day: date) -> dict[str, float]:
    counts = ingest_clicks(Night.of(day, settings), settings)
    aggregate_clicks(Night.of(day, settings), settings)
    return counts


def clicks_of(settings: Settings, day: date, part: str = "clicks") -> set[tuple[str, str, str | None]]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.clicks(day))) as folder:
        rows = pq.read_table(folder / part, partitioning=None).to_pylist()
    return {(row["session_id"], row["product_id"], row["user_id"]) for row in rows}


def aggregate_of(settings: Settings, day: date) -> tuple[dict[str, int], set[tuple[str, str]]]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.aggregate(day))) as folder:
        products = pq.read_table(folder / "products.parquet").to_pylist()
        pairs = pq.read_table(folder / "together.parquet").to_pylist()
    ids = [row["product_id"] for row in products]
    return {row["product_id"]: row["sessions"] for row in products}, {
        (ids[p["product_i"]], ids[p["product_j"]]) for p in pairs
    }


def test_no_file_and_no_table_names_the_user_afterwards(loaded: Settings) -> None:
    assert any(USER in text for _, text in texts_in_files(Path(loaded.storage_url)))
    totals = erase(USER, "asked for it on 2026-11-25", loaded).counts
    assert totals == {"days": 2, "clicks": 2 * 3, "quarantined": 2 * 4}
    assert [file for file, text in texts_in_files(Path(loaded.storage_url)) if USER in text] == []
    assert [table for table, text in texts_in_tables(loaded) if USER in text] == []


def test_the_clicks_of_others_stay(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    others = {("s1", "c", "other"), ("s2", "a", "other"), ("s2", "d", "other"), ("s3", "d", None)}
    assert clicks_of(loaded, DAYS[1]) == others
    assert clicks_of(loaded, DAYS[1], f"late/date={DAYS[0]}") == {("late", "f", "other")}
    products, pairs = aggregate_of(loaded, DAYS[1])
    assert products == {"a": 1, "c": 1, "d": 2}
    assert pairs == {("a", "d")}
    assert aggregate_of(loaded, DAYS[0])[0] == {"a": 1, "c": 1, "d": 2, "f": 1}


def test_quarantined_rows_lose_what_they_said_and_still_count(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    storage = Storage(loaded.storage_url)
    with storage.open(storage.read(Night.clicks(DAYS[1]))) as folder:
        rows = pq.read_table(folder / QUARANTINE).to_pylist()
    assert [(row["rule"], row["row"]) for row in rows] == [
        ("unknown_event_type", 10), ("unknown_event_type", 11), ("unknown_event_type", 12), ("unreadable_line", 13),
    ]  # fmt: skip
    assert all(row[name] is None for row in rows for name in CONTENT)


def test_the_database_keeps_hash_reason_and_counts(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    with transaction(loaded) as connection:
        (row,) = connection.execute(sa.text("select * from erasure")).mappings()
        days = connection.execute(sa.text("select day, clicks, quarantined from erasure_day order by day")).all()
    assert (row["reason"], len(row["user_hash"])) == ("asked", 64)
    assert [tuple(day) for day in days] == [(DAYS[0], 3, 4), (DAYS[1], 3, 4)]


def test_no_statement_tells_the_server_an_id(loaded: Settings) -> None:
    """What a server is asked may stand in its log."""
    said: list[str] = []

    def listen(*event: object) -> None:
        said.append(str(event[2:4]))

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    try:
        erase(USER, "asked", loaded)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", listen)
    assert any("insert into erasure" in statement for statement in said)
    assert not [statement for statement in said if USER in statement]


def test_a_later_load_leaves_the_user_out(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    counts = load(loaded, DAYS[1])
    assert counts["erased_user"] == 5
    assert counts["rows_read"] == counts["accepted"] + counts["quarantined"] + counts["duplicates"] == 12
    assert {session for session, _, user in clicks_of(loaded, DAYS[1]) if user is None} == {"s3"}
    assert not {user for _, _, user in clicks_of(loaded, DAYS[1])} & {USER}
    assert [file for file, text in texts_in_files(Path(loaded.storage_url)) if USER in text] == []


def test_the_clicks_of_a_rejected_load_too(loaded: Settings) -> None:
    strict = loaded.model_copy(update={"max_quarantined_share": 0.1})
    with pytest.raises(BadInput):
        ingest_clicks(Night.of(DAYS[1], strict), strict)
    assert Storage(loaded.storage_url).complete(Night.rejected(DAYS[1]))
    erase(USER, "asked", loaded)
    assert [file for file, text in texts_in_files(Path(loaded.storage_url)) if USER in text] == []


def test_what_a_killed_writer_left_goes_too(loaded: Settings) -> None:
    leftover = Path(loaded.storage_url, Night.clicks(DAYS[0]) + ".writing-0badcafe")
    leftover.mkdir()
    pq.write_table(pa.table({"user_id": [USER]}), leftover / "part-0.parquet")
    erase(USER, "asked", loaded)
    assert not leftover.exists()


def test_a_user_that_nobody_knows_is_remembered_all_the_same(loaded: Settings) -> None:
    before = {day: Storage(loaded.storage_url).read(Night.clicks(day)).hash for day in DAYS}
    assert erase("nobody", "asked", loaded, missing_ok=True).counts == {"days": 0, "clicks": 0, "quarantined": 0}
    assert {day: Storage(loaded.storage_url).read(Night.clicks(day)).hash for day in DAYS} == before


@pytest.mark.parametrize(("user", "reason"), [("", "asked"), (" ", "asked"), (USER, " "), (USER, f"{USER} asked")])
def test_an_erasure_without_user_or_reason_is_refused(loaded: Settings, user: str, reason: str) -> None:
    with pytest.raises(BadInput) as refused:
        erase(user, reason, loaded)
    assert USER not in str(refused.value)


def test_nobody_is_not_taken_for_erased_unless_that_is_said(loaded: Settings) -> None:
    with pytest.raises(BadInput, match="nothing found of this user"):
        erase("nobody", "asked", loaded)
    with transaction(loaded) as connection:
        assert connection.scalar(sa.text("select count(*) from erasure")) == 0


def test_rows_without_the_user_that_come_late_stay_out_too(loaded: Settings) -> None:
    erase(USER, "asked", loaded)
    deliver(loaded, DAYS[1], f"{DAYS[0]} 10:00:09,s1,late-and-unnamed,,view,,", f"{DAYS[0]} 10:00:09,s3,stays,,view,,")
    assert load(loaded, DAYS[1])["erased_user"] == 1
    assert clicks_of(loaded, DAYS[1], f"late/date={DAYS[0]}") == {("s3", "stays", None)}


def test_sessions_that_only_a_later_load_shows_to_be_theirs(loaded: Settings) -> None:
    """Rows that name the user come first, and are refused; the others of their session come a day later."""
    erase(USER, "asked", loaded)
    deliver(loaded, DAYS[0], f"{DAYS[0]} 10:00:00,new,a,{USER},view,,", f"{DAYS[0]} 10:00:00,s2,a,other,view,,")
    load(loaded, DAYS[0])
    deliver(loaded, DAYS[1], f"{DAYS[0]} 10:00:09,new,b,,view,,", f"{DAYS[1]} 10:00:09,new,stays,,view,,")
    assert load(loaded, DAYS[1])["erased_user"] == 1
    assert clicks_of(loaded, DAYS[1]) == {("new", "stays", None)}


def test_halves_of_a_day_that_killed_writers_left_go_too(loaded: Settings) -> None:
    """Of a day that was never whole: written beside, or on the way into place."""
    for name in ("date=2017-06-28.writing-0badcafe", "date=2017-06-27"):
        leftover = Path(loaded.storage_url, "clicks", name, "clicks")
        leftover.mkdir(parents=True)
        pq.write_table(pa.table({"user_id": [USER]}), leftover / "part-0.parquet")
    not_ours = Path(loaded.storage_url, "clicks", "date=2017-06-27 old", "notes.txt")
    not_ours.parent.mkdir()
    not_ours.touch()
    erasure = erase(USER, "asked", loaded)
    assert traces_of(USER, loaded) == []
    assert not_ours.exists()
    assert erasure.incomplete == [date(2017, 6, 27), date(2017, 6, 28)]
    assert not Path(loaded.storage_url, "clicks", "date=2017-06-27").exists()


def test_an_erasure_waits_for_an_ingest_that_has_begun(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    day = DAYS[1] + timedelta(days=1)
    deliver(loaded, day, *lines(day))
    with paused(monkeypatch, tasks.steps.ingest_clicks, "count_duplicates") as (began, go_on):
        ingest = in_background(load, loaded, day)
        began.wait(30)
        erasure = in_background(erase, USER, "asked", loaded)
        finished(erasure)
        go_on.set()
        ingest.result(60)
        erasure.result(60)
    assert traces_of(USER, loaded) == []
    assert clicks_of(loaded, day)


def test_an_aggregation_that_has_begun_does_not_bring_the_user_back(
    loaded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an object store, where it counts a copy of the clicks as they were."""
    remote = loaded.model_copy(update={"storage_url": f"memory://{uuid4().hex}"})
    for day in DAYS:
        load(remote, day)
    with paused(monkeypatch, tasks.steps.aggregate_clicks, "write_counted") as (began, go_on):
        aggregation = in_background(aggregate_clicks, Night.of(DAYS[1], remote), remote)
        began.wait(30)
        erasure = in_background(erase, USER, "asked", remote)
        finished(erasure)
        go_on.set()
        aggregation.result(60)
        erasure.result(60)
    assert aggregate_of(remote, DAYS[1])[0] == {"a": 1, "c": 1, "d": 2}


def test_steps_wait_for_an_erasure_and_say_so(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = loaded.model_copy(update={"lock_minutes": 0.005})
    with paused(monkeypatch, tasks.operations.erase, "record_erased_day") as (began, go_on):
        erasure = in_background(erase, USER, "asked", loaded)
        began.wait(30)
        for step in (ingest_clicks, aggregate_clicks, build_interactions):
            holder = r"LOCK_MINUTES \(0.005\), but erase, \S+ \d+ holds it \(process \d+ of PostgreSQL, since"
            with pytest.raises(NotReady, match=holder):
                step(Night.of(DAYS[1], hasty), hasty)
        go_on.set()
        erasure.result(60)
    assert load(loaded, DAYS[1])


def test_an_ingest_whose_lock_is_lost_replaces_nothing(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Storage(loaded.storage_url).read(Night.clicks(DAYS[1])).hash
    deliver(loaded, DAYS[1], f"{DAYS[1]} 10:00:00,s9,a,{USER},view,,")
    holders = "select pg_terminate_backend(pid) from pg_locks where relation = 'clicks_lock'::regclass"
    with paused(monkeypatch, tasks.steps.ingest_clicks, "count_duplicates") as (began, go_on):
        ingest = in_background(ingest_clicks, Night.of(DAYS[1], loaded), loaded)
        began.wait(30)
        with transaction(loaded) as connection:  # as a server that is started again does
            connection.execute(sa.text(holders))
        go_on.set()
        with pytest.raises(NotReady, match="must answer"):
            ingest.result(60)
    assert Storage(loaded.storage_url).read(Night.clicks(DAYS[1])).hash == before


def test_an_erasure_that_was_killed_goes_on(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows without a user in a later load are known by rows that name them in one that is clean already."""
    deliver(loaded, DAYS[1], *lines(DAYS[1]), f"{DAYS[0]} 10:00:07,s1,late-and-unnamed,,view,,")
    load(loaded, DAYS[1])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tasks.operations.erase, "record_erased_day", interrupt)
        erase(USER, "asked", loaded)
    assert USER not in {user for _, _, user in clicks_of(loaded, DAYS[0])}
    erase(USER, "asked", loaded)
    assert clicks_of(loaded, DAYS[1], f"late/date={DAYS[0]}") == {("late", "f", "other")}
    assert traces_of(USER, loaded) == []
    assert aggregate_of(loaded, DAYS[0])[0] == {"a": 1, "c": 1, "d": 2, "f": 1}


def test_ids_with_separators_leave_quarantine_too(loaded: Settings) -> None:
    """When they are erased, and when the same log is loaded again."""
    day, users = DAYS[1], ["urn:user:4712", "(plain-1)", "a|b", "x=1;y=2", "Zoë Ünal", "a.b@shop.example"]
    rows = [f"{day} 11:00:00,s4,p{n},other,view,," for n in range(30)] + [f"{day} 10:00:00,s2,y,other,hover,,nobody"]
    for user in users:
        rows += [
            f"{day} 10:00:00,of {user},a,{user},view,,", f"{day} 10:00:00,of {user},x,{user},hover,,",
            f"{day} 10:00:00,s2,y,other,hover,,mentions {user} in a note",
            f"{day},broken by;{user};", f"{user},broken",
        ]  # fmt: skip
    deliver(loaded, day, *rows)
    load(loaded, day)
    for user in users:
        assert traces_of(user, loaded)
        assert erase(user, "asked", loaded, missing_ok=True).counts == {"days": 1, "clicks": 1, "quarantined": 4}
        assert traces_of(user, loaded) == []
    load(loaded, day)
    assert [traces_of(user, loaded) for user in users] == [[]] * len(users)
    assert [row["rest"] for row in quarantine_of(loaded, day) if row["rest"]] == ["note=nobody"]


def test_an_id_that_json_escapes_is_found(loaded: Settings) -> None:
    """Also beyond the characters of 16 bits, and beside half of one."""
    folder, user = Path(loaded.click_log_url, f"date={DAYS[1]}"), "Zoë😀"
    lines = [f'{{"user_id": {json.dumps(user)}, "event_time": ', '{"user_id": "\\ud83d", "event_time": ']
    (folder / "more.jsonl").write_text("\n".join(lines))
    load(loaded, DAYS[1])
    assert erase(user, "asked", loaded).counts == {"days": 1, "clicks": 0, "quarantined": 1}
    said = sorted(str(row["rest"]) for row in quarantine_of(loaded, DAYS[1]) if row["file"] == "more.jsonl")
    load(loaded, DAYS[1])
    assert said == sorted(str(row["rest"]) for row in quarantine_of(loaded, DAYS[1]) if row["file"] == "more.jsonl")
    assert [text == "None" for text in said] == [True, False]


def test_a_number_in_a_date_a_time_or_our_own_words_names_nobody(loaded: Settings) -> None:
    before = quarantine_of(loaded, DAYS[1])
    assert any("2 columns, not 7" in str(row["rest"]) for row in before)
    for user in ("6", "10", "30", "2", "7", "2017"):
        erase(user, f"asked on {DAYS[1]}", loaded, missing_ok=True)
    assert quarantine_of(loaded, DAYS[1]) == before
    load(loaded, DAYS[1])
    assert quarantine_of(loaded, DAYS[1]) == before


def test_spellings_of_an_id_are_told_and_stay(loaded: Settings) -> None:
    others = ["04711", "ZOË"]
    users = ["4711", "4711 ", "Zo\u00eb", "Zoe\u0308", *others]  # of these, two and two have one normal form
    deliver(loaded, DAYS[1], *(f"{DAYS[1]} 10:00:00,s{n},a,{user},view,," for n, user in enumerate(users)))
    deliver(loaded, DAYS[0], f"{DAYS[0]} 10:00:00,s1,a,004711,hover,,", f"{DAYS[0]} 10:00:00,s2,a,other,view,,")
    for day in DAYS:
        load(loaded, day)
    assert erase("4711", "asked", loaded).alike == ["004711", "04711"]
    assert erase("Zo\u00eb", "asked", loaded).alike == ["ZOË"]
    assert {user for _, _, user in clicks_of(loaded, DAYS[1])} == {*others}
    with pytest.raises(BadInput, match=r"ids like it are there: '004711', '04711'"):
        erase("00004711", "asked", loaded)


def test_an_id_is_read_as_an_ingest_reads_it(loaded: Settings) -> None:
    deliver(loaded, DAYS[1], f"{DAYS[1]} 10:00:00,s1,a,4711.0,view,,", f"{DAYS[1]} 10:00:00,s2,a,other,view,,")
    load(loaded, DAYS[1])
    assert erase("4711.0", "asked", loaded).counts["clicks"] == 1
    load(loaded, DAYS[1])
    assert clicks_of(loaded, DAYS[1]) == {("s2", "a", "other")}


def test_a_log_whose_sessions_are_users(loaded: Settings) -> None:
    for day in DAYS:
        deliver(loaded, day, *(f"{day} 10:00:0{n},{user},p{n},,view,," for n, user in enumerate([USER, USER, "other"])))
        load(loaded, day)
    assert erase(USER, "asked", loaded).counts == {"days": 2, "clicks": 4, "quarantined": 0}
    assert traces_of(USER, loaded) == []
    assert load(loaded, DAYS[1])["erased_user"] == 2
    assert clicks_of(loaded, DAYS[1]) == {("other", "p2", None)}


def test_what_cannot_be_reached_is_listed_with_how_to_look(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(loaded.database_url))
    ended = in_this_process("tasks", "erase", "--user-id", USER, "--reason", "asked")
    assert ended.returncode == 0, ended.stderr
    command = f"python -m tasks find_in_logs --user-id {USER}"
    for words in (f"raw logs: {command}", "copies of the storage", "a dump of PostgreSQL"):
        assert words in ended.stdout
    found = in_this_process(*command.split()[2:])
    assert (found.returncode, found.stdout.split()) == (1, [f"date={day}/log.csv.gz" for day in DAYS])
    assert in_this_process("tasks", "find_in_logs", "--user-id", "nobody").returncode == 0
    ended = in_this_process("tasks", "erase", "--user-id", "nobody", "--reason", "asked")
    assert ended.returncode == 1
    assert "nothing found" in ended.stderr
    ended = in_this_process("tasks", "erase", "--user-id", "nobody", "--reason", "asked", "--missing-ok")
    assert ended.returncode == 0, ended.stderr


def deliver(settings: Settings, day: date, *rows: str) -> None:
    folder = Path(settings.click_log_url, f"date={day}")
    folder.mkdir(exist_ok=True)
    (folder / "log.csv.gz").write_bytes(gzip.compress("\n".join([HEADER, *rows]).encode()))


def quarantine_of(settings: Settings, day: date) -> list[dict[str, object]]:
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.clicks(day))) as folder:
        rows: list[dict[str, object]] = pq.read_table(folder / QUARANTINE).to_pylist()
        return rows


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def in_background(work: Callable[..., object], *arguments: object) -> Future[object]:
    return ThreadPoolExecutor(1).submit(work, *arguments)


def finished(work: Future[object]) -> bool:
    """Whether it ends within a moment."""
    return bool(wait([work], 1).done)


@contextmanager
def paused(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The first call of a function in a module waits; yields the events that it began and that it may go on."""
    began, go_on, original = threading.Event(), threading.Event(), getattr(module, name)

    def pause(*arguments: object) -> object:
        if not began.is_set():
            began.set()
            go_on.wait(60)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, pause)
        yield began, go_on
