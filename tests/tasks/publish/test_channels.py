"""Channels: another version for a share of the sessions, audited; the live version is what it was without them."""

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from tasks.errors import BadInput
from tasks.publish.channels import close_channel, point_channel
from tasks.publish.rollback import withdraw
from tasks.settings import ROOT, Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import transaction
from tests.command_line import in_this_process
from tests.nights import LIVE, OTHER, RELATED, expected, make_night, roll_back, rows_of, scanned_by, with_lenient_gate

NOW = "select channel, version_id, share::float8 from live_channel order by channel"
SHOWN = """select product_id, rank, related_product_id, version_id
from unnest(array['1', '2', '4']) as page (product_id), related_products(page.product_id, 10, :channel) order by 1, 2"""


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Version 1 of RELATED, retired, and version 2 of OTHER, live."""
    settings = with_lenient_gate(settings, monkeypatch)
    for day, related in (("2017-06-29", RELATED), ("2017-06-30", OTHER)):
        publish_recommendations(make_night(day, settings, related), settings)
    return settings


def shown(settings: Settings, channel: str) -> list[tuple]:
    return rows_of(settings, SHOWN, channel=channel)


def with_version(related: dict[str, list[str]], version: int) -> list[tuple]:
    return [(*row, version) for row in expected(related)]


def test_a_channel_shows_its_version_and_the_live_one_stays(settings: Settings) -> None:
    point_channel(settings, "b", "last night's lists", version_id=1, share=0.5, by="Ada")
    assert rows_of(settings, LIVE) == expected(OTHER)
    assert shown(settings, "b") == with_version(RELATED, 1)
    assert shown(settings, "default") == shown(settings, "never opened") == with_version(OTHER, 2)
    publish_recommendations(make_night("2017-07-01", settings, RELATED), settings)
    assert shown(settings, "b") == with_version(RELATED, 1), "a publish moves the live pointer alone"
    with transaction(settings) as connection:
        connection.execute(sa.text("insert into blocked_product values ('3')"))
    assert "3" not in {related for _, _, related, _ in shown(settings, "b")}
    close_channel(settings, "b", "no difference", "Ada")
    assert {version for *_, version in shown(settings, "b")} == {3}
    history = (
        "select channel, version_id, night::text, share::float8, actor, reason, live_until is null from channel_history"
    )
    assert rows_of(settings, history + " order by change_id") == [
        ("b", 1, "2017-06-29", 0.5, "Ada", "last night's lists", False),
        ("b", None, None, 0, "Ada", "no difference", True),
    ]  # fmt: skip


def test_a_lookup_reads_the_channel_s_partitions_alone(settings: Settings) -> None:
    point_channel(settings, "b", "try", version_id=1)
    scanned = scanned_by(settings, "select * from related_products('1', 10, 'b')")
    assert scanned.keys() & {f"recommendation_{number}" for number in (1, 2)} == {"recommendation_1"}


def formula_of_the_docs() -> Callable[[str, dict[str, float]], str]:
    """The function that docs/serving.md gives to shops."""
    names: dict[str, Any] = {"md5": hashlib.md5}
    exec(re.search(r"```python\n(.+?)```", (ROOT / "docs" / "serving.md").read_text(), re.DOTALL)[1], names)  # noqa: S102
    return names["channel_of"]


def test_sessions_are_assigned_by_a_hash_that_shops_can_compute_and_their_share(settings: Settings) -> None:
    channel_of = formula_of_the_docs()
    sessions = [f"s{number}" for number in range(3_000)] + ["", "Ünïcödé 靴"]
    query = "select channel_of(id) from unnest(cast(:sessions as text[])) with ordinality as s (id, n) order by n"
    of_share = {}
    for share in (0.1, 0.25):
        for channel, part in (("b", share), ("c_1", 0.5), ("a", 0)):
            point_channel(settings, channel, "try", version_id=1, share=part)
        found = [channel for (channel,) in rows_of(settings, query, sessions=sessions)]
        assert found == [channel_of(session, {"a": 0, "b": share, "c_1": 0.5}) for session in sessions]
        counts = Counter(found)
        assert counts["a"] == 0
        for channel, part in (("b", share), ("c_1", 0.5), ("default", 0.5 - share)):
            assert counts[channel] / len(sessions) == pytest.approx(part, abs=0.03)
        of_share[share] = {session for session, channel in zip(sessions, found, strict=True) if channel == "b"}
    assert of_share[0.1] < of_share[0.25], "a larger share keeps the sessions of the smaller one"


def test_a_rollback_takes_its_version_from_channels_too(settings: Settings) -> None:
    for channel, version in (("b", 2), ("c", 1)):
        point_channel(settings, channel, "try", version_id=version, share=0.1)
    roll_back(settings, "odd titles", "Grace")
    assert rows_of(settings, NOW) == [("c", 1, 0.1)]
    said = "select actor, reason from live_channel_change where version_id is null"
    assert rows_of(settings, said) == [("Grace", "its version was withdrawn: odd titles")]


def test_a_version_that_is_withdrawn_alone_leaves_its_channel_too(settings: Settings) -> None:
    point_channel(settings, "b", "try", version_id=1, share=0.1)
    point_channel(settings, "c", "try", version_id=2, share=0.1)
    withdraw(settings, 1, "a broken export", "Grace")
    assert rows_of(settings, NOW) == [("c", 2, 0.1)]
    assert shown(settings, "b") == with_version(OTHER, 2)
    said = "select channel, actor, reason from live_channel_change where version_id is null"
    assert rows_of(settings, said) == [("b", "Grace", "its version was withdrawn: a broken export")]


def test_retention_keeps_what_a_channel_shows(settings: Settings) -> None:
    point_channel(settings, "b", "last night's lists", version_id=1)
    few = settings.model_copy(update={"keep_versions": 2})
    kept = "select version_id from recommendation_version where dropped_at is null order by 1"
    for day, related in (("2017-07-01", RELATED), ("2017-07-02", OTHER)):
        publish_recommendations(make_night(day, few, related), few)
    assert rows_of(settings, kept) == [(1,), (3,), (4,)]
    assert shown(settings, "b") == with_version(RELATED, 1)
    close_channel(settings, "b", "done")
    publish_recommendations(make_night("2017-07-03", few, RELATED), few)
    assert rows_of(settings, kept) == [(4,), (5,)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version_id": 9}, "version 9 must have passed the gate and have its rows .* is not there"),
        ({"version_id": 2}, "is withdrawn"),
        ({}, "must be given a version"),
        ({"version_id": 1, "share": 0.7}, "must add up to 1 at most, got 0.7 with 0.4"),
        ({"version_id": 1, "share": 1.5}, "from 0 to 1, got 1.5"),
        ({"version_id": 1, "reason": " "}, "must have a reason"),
        ({"version_id": 1, "channel": "default"}, "must be named"),
        ({"version_id": 1, "channel": "B"}, "must be named"),
    ],
)
def test_a_change_that_cannot_be_is_refused(settings: Settings, change: dict, said: str) -> None:
    point_channel(settings, "other", "try", version_id=1, share=0.4)
    roll_back(settings, "odd titles")
    with pytest.raises(BadInput, match=said):
        point_channel(settings, **{"channel": "b", "reason": "why not"} | change)
    assert rows_of(settings, NOW) == [("other", 1, 0.4)]


def test_the_command_points_and_closes(settings: Settings) -> None:
    words = ("tasks", "channel", "--name", "b", "--by", "Ada", "--reason", "try")
    assert (
        in_this_process(*words, "--version", "1", "--share", "0.2").stdout
        == "channel b, version_id 1, share 0.2, by Ada\n"
    )
    assert in_this_process(*words, "--share", "0.3").returncode == 0
    assert rows_of(settings, NOW) == [("b", 1, 0.3)]
    both = in_this_process(*words, "--close", "--share", "0.5")
    assert (both.returncode, "--close takes neither" in both.stderr) == (1, True)
    assert rows_of(settings, NOW) == [("b", 1, 0.3)]
    assert in_this_process(*words, "--close").returncode == 0
    again = in_this_process(*words, "--close")
    assert (again.returncode, again.stderr.splitlines()[-1]) == (
        1, "BadInput: channel b must be open to be closed, but it is not: see the table live_channel"
    )  # fmt: skip
