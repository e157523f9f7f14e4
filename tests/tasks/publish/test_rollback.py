"""Moves of the live pointer by people: back, and on past the gate; and rows that go when they are old."""

import json
from contextlib import closing

import psycopg2
import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.publish.rollback import approve, rollback, withdraw
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import database_engine, statement, transaction
from tests.command_line import in_this_process
from tests.nights import (
    LENIENT,
    LIVE,
    OTHER,
    RELATED,
    TABLES,
    expected,
    make_night,
    roll_back,
    rows_of,
    tables_of_versions,
    with_lenient_gate,
)

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

HASHES = ("recommendations", "products", "model", "interactions", "config")
DESCRIBED = {f"{name}_hash": name for name in HASHES} | {
    "night": "2017-07-01", "code_version": "1", "model_code_version": "1",
    "row_count": 1, "product_count": 1, "catalogue_count": 1, "algorithm": "eclare",
}  # fmt: skip
CHANGES = "select action, version_id, previous_version_id, actor, reason from live_version_change order by change_id"


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def publish(day: str, settings: Settings, related=RELATED) -> int:
    return int(publish_recommendations(make_night(day, settings, related), settings)["version"])


def strict(settings: Settings, **thresholds: float) -> Settings:
    file = settings.gate_config.with_name("strict.json")
    file.write_text(json.dumps(LENIENT | thresholds))
    return settings.model_copy(update={"gate_config": file})


def statuses(settings: Settings) -> list[str]:
    return [status for (status,) in rows_of(settings, "select status from recommendation_version order by version_id")]


def test_a_rollback_goes_back_one_version_at_a_time_and_is_audited(settings):
    versions = [
        publish("2017-06-28", settings),
        publish("2017-06-29", settings, OTHER),
        publish("2017-06-30", settings),
    ]
    assert roll_back(settings, "titles are wrong", "Ada") == {
        "version": versions[1], "night": make_night("2017-06-29", settings).day, "by": "Ada"
    }  # fmt: skip
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert statuses(settings) == ["retired", "live", "withdrawn"]
    roll_back(settings, "still wrong", "Ada")
    assert statuses(settings) == ["live", "withdrawn", "withdrawn"]
    with pytest.raises(BadInput, match="before the live one that has its rows and was not withdrawn, got none"):
        roll_back(settings, "further", "Ada")
    assert rows_of(settings, CHANGES)[-2:] == [
        ("rollback", versions[1], versions[2], "Ada", "titles are wrong"),
        ("rollback", versions[0], versions[1], "Ada", "still wrong"),
    ]


def test_a_rollback_to_a_night_takes_its_newest_version_and_the_next_night_goes_live_again(settings):
    publish("2017-06-28", settings)
    second = publish("2017-06-28", settings, OTHER)
    publish("2017-06-30", settings)
    assert roll_back(settings, "back", to="2017-06-28")["version"] == second
    newest = publish("2017-07-01", settings)
    assert rows_of(settings, "select version_id from live_version") == [(newest,)]
    with pytest.raises(BadInput, match="night 2017-06-27"):
        roll_back(settings, "back", to="2017-06-27")


def live_of(settings: Settings) -> int:
    ((version_id,),) = rows_of(settings, "select version_id from live_version")
    return int(version_id)


def test_a_withdrawn_version_is_no_target_and_neither_are_those_that_a_rollback_passed_over(settings):
    one, two, three, four = (publish(f"2017-06-{day}", settings, (OTHER, RELATED)[day % 2]) for day in range(20, 24))
    roll_back(settings, "four is bad")
    five = publish("2017-06-24", settings, OTHER)
    assert roll_back(settings, "five is bad")["version"] == three, "not four"
    six = publish("2017-06-25", settings)
    assert roll_back(settings, "since the 21st", to="2017-06-20")["version"] == one
    assert statuses(settings) == ["live", *["withdrawn"] * 5]
    for withdrawn in (four, five, six):
        night = "2017-06-" + str(19 + withdrawn)
        with pytest.raises(BadInput, match=f"an accepted version of night {night} that has its rows and was not with"):
            roll_back(settings, "back", to=night)
    approve(settings, two, "it was good", "Ada")
    assert (live_of(settings), statuses(settings)[:2]) == (two, ["retired", "live"])


def test_a_rollback_withdraws_the_version_that_was_asked_for_or_nothing(settings):
    """A second press, and a request that a publish was faster than."""
    publish("2017-06-28", settings)
    two = publish("2017-06-29", settings, OTHER)
    three = publish("2017-06-30", settings)
    with pytest.raises(BadInput, match=f"must be {two}, got version {three} of night 2017-06-30, since .*: somebody"):
        rollback(settings, two, "asked before the 30th was published")
    with pytest.raises(BadInput, match=f"version {two} is retired .* run python -m tasks withdraw --version {two} "):
        rollback(settings, two, "asked before the 30th was published")
    rollback(settings, three, "odd titles")
    with pytest.raises(BadInput, match=f"must be {three}, got version {two} of night 2017-06-29.*bad as well$"):
        rollback(settings, three, "pressed twice")
    assert live_of(settings) == two


def test_a_withdrawn_night_that_is_run_again_waits_until_a_person_approves_it(settings):
    publish("2017-06-29", settings)
    publish("2017-06-30", settings, OTHER)
    roll_back(settings, "odd titles")
    held = r"withdrawn: must be at most 0, is 1 .* approve --version {}"
    with pytest.raises(BadInput, match=held.format(2)):
        publish("2017-06-30", settings, OTHER)
    with pytest.raises(BadInput, match=held.format(3)):
        publish("2017-06-30", settings, {"1": ["2"]})
    assert (live_of(settings), statuses(settings)) == (1, ["live", "withdrawn", "rejected"])
    approve(settings, 3, "mended", "Ada")
    assert publish("2017-06-30", settings, {"1": ["3"]}) == live_of(settings) == 4, "the night has been answered for"
    with pytest.raises(BadInput, match=held.format(2)):
        publish("2017-06-30", settings, OTHER)
    assert live_of(settings) == 4
    approve(settings, 2, "it was good after all", "Ada")
    assert publish("2017-06-30", settings, OTHER) == live_of(settings) == 2


def test_a_version_that_is_not_live_is_withdrawn_and_audited_while_readers_see_no_change(settings):
    one, two, three = (publish(f"2017-06-{day}", settings, (RELATED, OTHER)[day % 2]) for day in (28, 29, 30))
    assert withdraw(settings, two, "a bad export", "Ada")["version"] == two
    assert (live_of(settings), statuses(settings)) == (three, ["retired", "withdrawn", "live"])
    assert roll_back(settings, "odd titles")["version"] == one, "not two"
    with pytest.raises(BadInput, match=f"withdrawn: must be at most 0, is 1 .* approve --version {two}"):
        publish("2017-06-29", settings, OTHER)
    assert rows_of(settings, CHANGES)[3] == ("withdraw", two, None, "Ada", "a bad export")
    live_at = "select version_id from live_history where live_from <= :at and coalesce(live_until, now()) > :at"
    ((withdrawn_at,),) = rows_of(settings, "select live_from from live_history where action = 'withdraw'")
    assert rows_of(settings, live_at, at=withdrawn_at) == [(three,)]
    assert rows_of(settings, live_at.replace(":at", "now()").replace("> now()", ">= now()")) == [(one,)]
    approve(settings, two, "it was good after all")
    assert statuses(settings) == ["retired", "live", "withdrawn"]


def test_a_rejected_version_that_is_withdrawn_does_not_pass_when_the_gate_is_laxer(settings):
    publish("2017-06-29", settings)
    night = make_night("2017-06-30", settings, OTHER)
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(night, strict(settings, churn=0))
    withdraw(settings, 2, "the export was broken")
    with pytest.raises(BadInput, match="withdrawn: must be at most 0"):
        publish_recommendations(night, settings)
    assert statuses(settings) == ["live", "withdrawn"]


def test_what_cannot_be_withdrawn_is_refused_with_what_to_do(settings):
    publish("2017-06-29", settings)
    publish("2017-06-30", settings, OTHER)
    withdraw(settings, 1, "odd titles")
    with transaction(settings) as connection:
        connection.execute(statement("stage_version"), DESCRIBED)
    told = {2: "live: .* tasks rollback --version 2", 1: "withdrawn: it stays", 3: "staged: a publish", 9: "mi"}
    for version, message in told.items():
        with pytest.raises(BadInput, match=f"version {version} must be retired or rejected .*{message}"):
            withdraw(settings, version, "odd titles")
    with pytest.raises(BadInput, match="a withdrawal must have a reason"):
        withdraw(settings, 1, " ")
    assert statuses(settings) == ["withdrawn", "live", "staged"]


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (
            "delete from recommendation where version_id = 1 and product_id = '4'",
            "must hold 5 rows to be live, but hol",
        ),
        ("alter table recommendation detach partition recommendation_1", "its partitions attached .* but 1 of 2 are"),
        ("update recommendation_version set dropped_at = now() where version_id = 1", "an accepted version before"),
    ],
)
def test_a_version_that_lost_rows_is_not_made_live(settings, lost, message):
    publish("2017-06-29", settings)
    publish("2017-06-30", settings, OTHER)
    with transaction(settings) as connection:
        connection.execute(sa.text(lost))
    with pytest.raises(BadInput, match=message):
        roll_back(settings, "odd titles")
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert statuses(settings) == ["retired", "live"]


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_nobody_moves_the_pointer_without_a_reason(settings, reason):
    version = publish("2017-06-28", settings)
    with pytest.raises(BadInput, match="a rollback must have a reason"):
        roll_back(settings, reason)
    with pytest.raises(BadInput, match="an approval must have a reason"):
        approve(settings, version, reason)


def test_a_refused_version_can_be_looked_at_and_approved_by_a_named_person(settings):
    publish("2017-06-29", settings)
    with pytest.raises(BadInput, match=r"churn: must be at most 0, is 0\.66.*; what was live .* approve --version 2"):
        publish_recommendations(make_night("2017-06-30", settings, OTHER), strict(settings, churn=0))
    assert rows_of(settings, LIVE) == expected(RELATED)
    assert statuses(settings) == ["live", "rejected"]
    refused = rows_of(settings, "select rule, value, threshold from gate_verdict where not passed")
    assert refused == [("churn", pytest.approx(2 / 3), 0)]
    query = "select product_id, rank, related_product_id from recommendation where version_id = 2 order by 1, 2"
    assert rows_of(settings, query) == expected(OTHER)
    approve(settings, 2, "a new season", "Ada")
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert statuses(settings) == ["retired", "live"]
    assert rows_of(settings, CHANGES)[-1] == ("override", 2, 1, "Ada", "a new season")


def test_a_refused_version_goes_live_when_the_thresholds_allow_it_later(settings):
    publish("2017-06-29", settings)
    night = make_night("2017-06-30", settings, OTHER)
    with pytest.raises(BadInput, match="churn"):
        publish_recommendations(night, strict(settings, churn=0))
    counts = publish_recommendations(night, settings)
    assert (counts["new"], counts["live"], counts["version"]) == (0, 1, 2)
    assert len(rows_of(settings, "select distinct judged_at from gate_verdict where version_id = 2")) == 2


def test_a_version_that_breaks_a_zero_rule_cannot_be_approved(settings):
    publish("2017-06-29", settings)
    with pytest.raises(BadInput, match="its rows were not stored"):
        publish("2017-06-30", settings, {"1": ["1"]})
    for version in (2, 1, 99):
        with pytest.raises(BadInput, match=f"version {version} must be rejected or withdrawn and have its rows"):
            approve(settings, version, "I want it", "Ada")
    assert rows_of(settings, LIVE) == expected(RELATED)


def test_a_model_that_was_not_evaluated_or_is_worse_is_refused(settings):
    night = make_night("2017-06-29", settings)
    over_baseline = "where system = 'eclare by rules / co-click by rules' and metric = 'PSP'"
    with transaction(settings) as connection:
        connection.execute(sa.text(f"update metric set value = 0.2, low = 0.1, high = 0.3 {over_baseline}"))
    with pytest.raises(BadInput, match=r"baseline_psp: must be at least 0\.8, is 0\.3;"):
        publish_recommendations(night, settings)
    with transaction(settings) as connection:
        connection.execute(sa.text(f"update metric set low = null, high = null {over_baseline}"))
    with pytest.raises(BadInput, match=r"baseline_psp: must be at least 0\.8, but could not be measured"):
        publish_recommendations(night, settings)
    with transaction(settings) as connection:
        connection.execute(sa.text("delete from metric"))
    with pytest.raises(BadInput, match=r"baseline_precision: must be at least 0\.8, but could not be measured"):
        publish_recommendations(night, settings)
    assert rows_of(settings, LIVE) == []


def test_a_model_that_is_worse_by_no_more_than_chance_passes_and_one_without_a_hit_does_not(settings):
    night = make_night("2017-06-29", settings)
    with transaction(settings) as connection:
        connection.execute(
            sa.text("update metric set value = 0.7, low = 0.5, high = 0.9 where system like 'eclare /%'")
        )
    assert publish_recommendations(night, settings)["live"] == 1
    night = make_night("2017-06-30", settings, OTHER)
    with transaction(settings) as connection:  # beside a rival without a hit the ratio is 1
        connection.execute(sa.text("update metric set value = 0, low = 0, high = 0 where system not like '% / %'"))
    with pytest.raises(BadInput, match=r"but precision: must be at least 0\.001, is 0; what was live"):
        publish_recommendations(night, settings)


def test_old_versions_lose_their_rows_and_never_the_live_one_or_the_one_before(settings):
    few = settings.model_copy(update={"keep_versions": 2})
    for day in range(10, 16):
        publish_recommendations(make_night(f"2017-06-{day}", few, (OTHER, RELATED)[day % 2]), few)
    kept = "select version_id from recommendation_version where dropped_at is null order by 1"
    assert rows_of(few, kept) == [(5,), (6,)]
    assert tables_of_versions(few) == {f"{table}_{n}" for table in TABLES for n in (5, 6)}
    roll_back(few, "back")
    with transaction(few) as connection:
        connection.execute(sa.text("update recommendation_version set created_at = created_at - interval '1 year'"))
    publish_recommendations(make_night("2017-06-01", few, OTHER), few)  # a past night
    assert rows_of(few, kept) == [(5,), (7,)]  # 5 is live and nothing before it is left
    again = publish_recommendations(make_night("2017-06-14", few, RELATED), few)
    assert again["new"] == 1


@pytest.mark.slow
def test_a_long_reader_keeps_a_partition_and_new_readers_are_not_held_up(settings):
    few = settings.model_copy(update={"keep_versions": 2})
    for day in (10, 11):
        publish(f"2017-06-{day}", few, (OTHER, RELATED)[day % 2])
    engine = database_engine(few)
    with engine.connect() as analyst, engine.connect() as reader:
        analyst.execute(sa.text("select count(*) from recommendation")).scalar_one()
        counts = publish_recommendations(make_night("2017-06-12", few, OTHER), few)
        assert (counts["live"], counts["versions_dropped"]) == (1, 0)
        reader.execute(sa.text("set statement_timeout = '1s'"))
        assert [tuple(row) for row in reader.execute(sa.text(LIVE))] == expected(OTHER)
    assert publish_recommendations(make_night("2017-06-13", few, RELATED), few)["versions_dropped"] == 2
    assert {name.rpartition("_")[2] for name in tables_of_versions(few)} == {"3", "4"}


@pytest.mark.parametrize("lookup", ["related_products('1')", "current_recommendations where product_id = '1'"])
def test_a_transaction_that_saw_a_version_live_finds_its_list_until_it_ends(settings, lookup):
    """One that has read nothing but the pointer, so that it holds no table of versions."""
    few = settings.model_copy(update={"keep_versions": 2})
    publish("2017-06-10", few)
    with database_engine(few).connect().execution_options(isolation_level="REPEATABLE READ") as analyst:
        analyst.execute(sa.text("select version_id from live_version")).one()
        for day in (11, 12, 13):
            publish(f"2017-06-{day}", few, (OTHER, RELATED)[day % 2])
        assert analyst.scalars(sa.text(f"select related_product_id from {lookup} order by rank")).all() == RELATED["1"]
    publish("2017-06-14", few, OTHER)
    assert {name.rpartition("_")[2] for name in tables_of_versions(few)} == {"4", "5"}


def test_caches_hear_of_every_change(settings):
    with closing(psycopg2.connect(settings.database_url.replace("+psycopg2", ""))) as cache:
        cache.autocommit = True
        cache.cursor().execute("listen live_version")
        publish("2017-06-29", settings)
        publish("2017-06-30", settings, OTHER)
        roll_back(settings, "back")
        cache.cursor().execute("select")  # what was announced before comes with the answer
        heard = [json.loads(notify.payload) for notify in cache.notifies]
    assert [(note["version_id"], note["night"], note["action"]) for note in heard] == [
        (1, "2017-06-29", "publish"), (2, "2017-06-30", "publish"), (1, "2017-06-29", "rollback")
    ]  # fmt: skip


def test_the_command_line_rolls_back_and_approves(settings):
    publish("2017-06-29", settings)
    publish("2017-06-30", settings, OTHER)
    ended = in_this_process(
        "tasks", "rollback", "--version", "2", "--reason", "'; drop table recommendation; --", "--by", "Robert'); --"
    )
    assert (ended.returncode, ended.stdout) == (0, "version 1, night 2017-06-29, by Robert'); --\n")
    assert rows_of(settings, LIVE) == expected(RELATED)
    publish("2017-07-01", settings, OTHER)
    ended = in_this_process("tasks", "withdraw", "--version", "1", "--reason", "why not", "--by", "Ada")
    assert (ended.returncode, ended.stdout) == (0, "version 1, night 2017-06-29, by Ada\n")
    ended = in_this_process("tasks", "withdraw", "--version", "3", "--reason", "why not")
    assert ended.returncode == 1 and "python -m tasks rollback --version 3" in ended.stderr
    approve(settings, 1, "it was good")
    ended = in_this_process("tasks", "approve", "--version", "1", "--reason", "why not")
    assert ended.returncode == 1
    expected_of_it = "version 1 must be rejected or withdrawn and have its rows to be approved, got one that is live"
    assert expected_of_it in ended.stderr
