"""Exported lists: every format holds what readers see, whole or not at all; Redis serves one version at any time."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import fsspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
import redis
import sqlalchemy as sa

from tasks.errors import BadInput, NotReady
from tasks.operations import export_formats
from tasks.operations.export import export
from tasks.operations.export_formats import WRITERS
from tasks.publish.channels import point_channel
from tasks.settings import Settings
from tasks.steps.publish_recommendations import publish_recommendations
from tasks.stores.database import transaction
from tests.command_line import in_this_process
from tests.nights import LIVE, OTHER, RELATED, TITLES, make_night, roll_back, rows_of, with_lenient_gate
from tests.servers import environment_of_s3

READ = """select product_id, rank, related_product_id, related_title, score, source
from current_recommendations order by product_id, rank"""


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return with_lenient_gate(settings, monkeypatch)


@pytest.fixture
def published(settings: Settings) -> Settings:
    """A version that is live, one of whose products is blocked since, and ids that readers of CSV take for nothing."""
    titles = TITLES | {"NA": "null", "5": "=1+1"}
    related = RELATED | {"NA": ["5", "4"], "5": ["NA", "2"]}
    publish_recommendations(make_night("2017-06-30", settings, related, titles), settings)
    with transaction(settings) as connection:
        connection.execute(sa.text("insert into blocked_product values ('2')"))
    return settings


def exported(settings: Settings, file_format: str, **how: object) -> Path:
    return Path(str(export(settings, file_format, **how)["file"]))


def of_lists(lists: dict[str, list[dict[str, object]]]) -> list[tuple[object, ...]]:
    return sorted((product, *row.values()) for product, related in lists.items() for row in related)


def test_every_format_holds_the_rows_that_readers_see(published: Settings) -> None:
    seen = rows_of(published, READ)
    assert ("2" in {row[0] for row in seen}, "2" in {row[2] for row in seen}) == (True, False)
    parquet = pq.read_table(exported(published, "parquet"))
    assert [tuple(row.values()) for row in parquet.to_pylist()] == [pytest.approx(row) for row in seen]
    text = {"product_id": str, "related_product_id": str, "related_title": str}
    table = pd.read_csv(exported(published, "csv"), dtype=text, keep_default_na=False)
    assert list(table.itertuples(index=False, name=None)) == [pytest.approx(row) for row in seen]
    lines = [json.loads(line) for line in exported(published, "jsonl").read_text().splitlines()]
    assert of_lists({line["product_id"]: line["related"] for line in lines}) == seen
    assert not [line for line in lines if not line["related"]]


def test_a_version_that_is_not_live_is_exported_by_its_number(published: Settings) -> None:
    publish_recommendations(make_night("2017-07-01", published, OTHER), published)
    former, live = (exported(published, "csv", version_id=number) for number in (1, None))
    assert (former.parent.parent.name, live.parent.parent.name) == ("version=1", "version=2")
    assert [
        row[:3] for row in pd.read_csv(live, dtype=str)[["product_id", "rank", "related_product_id"]].values.tolist()
    ] == [[product, str(rank), related] for product, rank, related in rows_of(published, LIVE)]
    with transaction(published) as connection:
        connection.execute(sa.text("update recommendation_version set dropped_at = now() where version_id = 1"))
    for version, said in ((1, "version 1 must have its rows"), (9, "version 9 must be there"), (None, "")):
        if said:
            with pytest.raises(BadInput, match=said):
                export(published, "csv", version_id=version)


def test_nothing_is_exported_where_nothing_is_live(settings: Settings) -> None:
    with pytest.raises(BadInput, match="a live version must be there"):
        export(settings, "csv")


def test_an_export_that_fails_leaves_the_one_before(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    file = exported(published, "jsonl")
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_formats, "_json", full)
    with pytest.raises(NotReady, match="what stood there before still stands"):
        export(published, "jsonl")
    assert file.read_bytes() == before
    assert sorted(path.name for path in file.parent.parent.iterdir()) == ["jsonl"]


def test_the_command_writes_to_a_url_and_says_where(
    published: Settings, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of_s3(s3_server).items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    files = fsspec.filesystem("s3")
    files.mkdir("feeds")
    ended = in_this_process("tasks", "export", "--format", "parquet", "--to", "s3://feeds/lists")
    assert ended.returncode == 0, ended.stderr
    assert (
        ended.stdout
        == "version 1, night 2017-06-30, rows 6, file feeds/lists/version=1/parquet/recommendations.parquet\n"
    )
    assert len(pd.read_parquet(files.open("feeds/lists/version=1/parquet/recommendations.parquet"))) == 6
    assert files.exists("feeds/lists/version=1/parquet/COMPLETE.json")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[redis.Redis, str]]:
    """A Redis and what keys of this test begin with there."""
    if not shutil.which("redis-cli"):
        pytest.skip("redis-cli is not installed")
    server = redis.Redis.from_url(os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0"), decode_responses=True)
    try:
        server.ping()
    except redis.ConnectionError as error:
        pytest.skip(f"no Redis answers at TEST_REDIS_URL: {error}")
    name = f"test_{uuid4().hex[:8]}"
    monkeypatch.setattr(export_formats, "KEYS", name)
    yield server, name
    for key in server.scan_iter(f"{name}:*"):
        server.delete(key)


def load(server: redis.Redis, commands: bytes) -> str:
    """As `redis-cli --pipe` does it."""
    where = server.connection_pool.connection_kwargs
    address = ["-h", where["host"], "-p", str(where["port"]), "-n", str(where.get("db", 0))]
    environment = os.environ | ({"REDISCLI_AUTH": where["password"]} if where.get("password") else {})
    ended = subprocess.run(
        # By default it waits half a minute for the answers to a load that is cut off.
        ["redis-cli", *address, "--pipe", "--pipe-timeout", "2"],
        input=commands, capture_output=True, env=environment, check=False,
    )  # fmt: skip
    return (ended.stdout + ended.stderr).decode()


def served(server: redis.Redis, name: str) -> list[tuple[object, ...]]:
    """What a shop reads: the pointer, then lists of that version."""
    version = server.hget(f"{name}:live", "default")
    return of_lists({product: json.loads(text) for product, text in server.hgetall(f"{name}:{version}").items()})


def test_redis_serves_the_version_before_until_all_of_the_next_is_there(
    published: Settings, keys: tuple[redis.Redis, str]
) -> None:
    server, name = keys
    commands = exported(published, "redis").read_bytes()
    assert "errors: 0" in load(server, commands)
    first = rows_of(published, READ)
    assert served(server, name) == first
    assert server.ttl(f"{name}:1") == -1, "what is served does not expire"
    publish_recommendations(make_night("2017-07-01", published, OTHER), published)
    commands = exported(published, "redis").read_bytes()
    load(server, commands[: len(commands) // 2])
    assert served(server, name) == first, "a load that is cut off switches nothing"
    assert 0 < server.ttl(f"{name}:2:loading") <= export_formats.LEFT_SECONDS
    lost = commands.replace(b"HSET", b"HGET", 1)  # as one that Redis refuses
    assert "must have 2 lists, got 1" in load(server, lost)
    assert served(server, name) == first
    assert "errors: 0" in load(server, commands)
    assert served(server, name) == rows_of(published, READ) != first
    assert 0 < server.ttl(f"{name}:1") <= export_formats.FORMER_SECONDS, "the version before goes"
    assert (server.ttl(f"{name}:2"), server.exists(f"{name}:2:loading")) == (-1, 0)
    point_channel(published, "b", "the one before", version_id=1)
    assert "errors: 0" in load(server, exported(published, "redis", channel="b").read_bytes())
    assert (server.hgetall(f"{name}:live"), server.ttl(f"{name}:1")) == ({"default": "2", "b": "1"}, -1)
    point_channel(published, "b", "the same as all", version_id=2)
    roll_back(published, "odd titles")
    assert "errors: 0" in load(server, exported(published, "redis").read_bytes())
    assert served(server, name) == first
    assert (server.ttl(f"{name}:1"), server.ttl(f"{name}:2")) == (-1, 3600)


def test_every_format_is_offered_by_the_command(settings: Settings) -> None:
    ended = in_this_process("tasks", "export", "--help")
    assert all(name in ended.stdout for name in WRITERS)
    with pytest.raises(BadInput, match="got 'xml'"):
        export(settings, "xml")
