"""Rules of pairs in SQL: which hold, what readers see of them, and who may add them."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.publish.pair_rules import PairRule, read_pair_rules, set_pair_rule
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import statement, transaction
from tests.nights import LIVE, OTHER, RELATED, expected, make_night, rows_of, with_lenient_gate
from tests.tasks.test_analysts import as_role

pytestmark = pytest.mark.parametrize("server", ["embedded", "given"], indirect=True)

PIN = "insert into pair_rule (product_id, related_product_id, action, reason) values ('2', '3', 'pin', 'why')"
IDS = pa.chunked_array([["1", "2", "3", "4"]])


@pytest.fixture
def settings(settings, monkeypatch):
    return with_lenient_gate(settings, monkeypatch)


def rule(action: str, product: str, related: str, until: date | None = None) -> PairRule:
    return PairRule(product, related, action, "because", until)


def test_the_newest_rule_of_a_pair_holds_until_its_day_has_passed(settings):
    today = datetime.now(UTC).date()
    set_pair_rule(settings, rule("pin", "1", "4"), "ada")
    set_pair_rule(settings, rule("block", "1", "4", today), "bob")
    set_pair_rule(settings, rule("pin", "2", "3"), "ada")
    set_pair_rule(settings, rule("none", "2", "3"), "ada")
    set_pair_rule(settings, rule("pin", "2", "1", today + timedelta(days=1)), "ada")
    yesterday = {"product_id": "3", "related_product_id": "1", "until": today - timedelta(days=1)}
    with transaction(settings) as connection:
        connection.execute(statement("insert_pair_rule"), yesterday | {"action": "pin", "reason": "x", "actor": "eve"})
    holding = "select action, product_id, related_product_id, actor from current_pair_rules order by 1"
    assert rows_of(settings, holding) == [("block", "1", "4", "bob"), ("pin", "2", "1", "ada")]
    rules = read_pair_rules(IDS, settings)
    assert [each.tolist() for each in (*rules.pinned, *rules.blocked)] == [[1], [0], [0], [3]]


def test_rules_of_products_that_a_catalogue_lacks_have_no_row(settings):
    set_pair_rule(settings, rule("pin", "1", "9"))
    assert np.array_equal(read_pair_rules(IDS, settings).pinned.labels_E, [-1])


def test_a_blocked_pair_is_not_read_whatever_the_version_says(settings):
    publish_recommendations(make_night("2017-06-29", settings), settings)
    set_pair_rule(settings, rule("block", "1", "2"))
    assert rows_of(settings, LIVE) == [row for row in expected(RELATED) if row[0] + row[2] != "12"]
    assert rows_of(settings, "select rank, related_product_id from related_products('1', 1)") == [(2, "3")]
    assert rows_of(settings, "select related_product_id from related_products('2', 9)") == [("1",)]
    assert rows_of(settings, "select * from explain_recommendation('1', '2')") == []
    set_pair_rule(settings, rule("none", "1", "2"))
    assert rows_of(settings, LIVE) == expected(RELATED)


def test_ids_are_looked_up_and_ruled_in_any_form(settings):
    publish_recommendations(make_night("2017-06-29", settings), settings)
    for asked in ("1", "1    ", "\t1"):
        found = sa.text("select related_product_id from related_products(:asked, 9)")
        with transaction(settings) as connection:
            assert list(connection.scalars(found, {"asked": asked})) == ["2", "3"]
            explained = sa.text("select related_title from explain_recommendation(:asked, :related)")
            assert len(connection.execute(explained, {"asked": asked, "related": " 2"}).all()) == 1
    set_pair_rule(settings, rule("block", "1  ", " 2"))
    assert rows_of(settings, "select related_product_id from related_products('1', 9)") == [("3",)]
    with transaction(settings) as connection:  # as before ids had a normal form
        old = {
            "product_id": "3 ",
            "related_product_id": "1",
            "action": "pin",
            "until": None,
            "reason": "x",
            "actor": "a",
        }
        connection.execute(statement("insert_pair_rule"), old)
    assert [each.tolist() for each in read_pair_rules(IDS, settings).pinned] == [[2], [0]]
    with pytest.raises(BadInput, match="a pair must be of two products"):
        rule("pin", "1", " 1")


def test_analysts_read_a_list_of_any_kept_version_without_pairs_that_are_blocked_by_now(settings):
    older, live = (
        publish_recommendations(make_night(day, settings, related), settings)["version"]
        for day, related in (("2017-06-29", RELATED), ("2017-06-30", OTHER))
    )
    set_pair_rule(settings, rule("block", "1", "2"))
    query = sa.text("select rank, related_product_id from related_products_of_version('1', :k, :version_id)")
    with as_role(settings, "analyst") as analyst:

        def listed(version_id: int | None, k: int = 9) -> list[tuple]:
            return [tuple(row) for row in analyst.execute(query, {"version_id": version_id, "k": k})]

        assert listed(older) == listed(older, k=1) == [(2, "3")]
        assert listed(live) == [(1, "4")]
        assert listed(None) == listed(99) == [], "nothing is live, and a version that never was"


def test_what_was_decided_is_added_to_by_publishers_and_read_by_analysts(settings):
    set_pair_rule(settings, rule("block", "1", "2"), "ada")
    with as_role(settings, "publisher") as connection:
        connection.execute(sa.text(PIN))
        for change in ("update pair_rule set reason = ''", "delete from pair_rule"):
            with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
                connection.execute(sa.text(change))
    with as_role(settings, "analyst") as connection:
        assert connection.scalar(sa.text("select count(*) from current_pair_rules")) >= 1
        with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
            connection.execute(sa.text(PIN))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (("1", "1", "pin", "why"), "a pair must be of two products, got '1' and '1'"),
        (("", "2", "pin", "why"), "a pair must be of two products, got '' and '2'"),
        (("1", "2", "hide", "why"), "must be one of pin, block, none, got 'hide'"),
        (("1", "2", "pin", ""), "a rule must have a reason"),
        (("1", "2", "pin", "why", date(2001, 1, 1)), "a rule must hold today"),
    ],
)
def test_what_cannot_be_decided_is_refused(settings, given, says):
    with pytest.raises(BadInput, match=says):
        PairRule(*given)
