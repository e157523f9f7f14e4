"""Users with ids of every kind are erased at random moments while days are loaded, counted and built, and killed.

ERASURE_MOMENTS=200 tries so many instead of a few.
"""

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec import AbstractFileSystem

from tasks.night import Night
from tasks.operations.erase import erase
from tasks.run import run
from tasks.settings import Settings
from tests.installations import Installation
from tests.moments import begin, end
from tests.servers import environment_of_s3
from tests.traces import texts_in_files, traces_of

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("ERASURE_MOMENTS", "2"))
DAYS = [date(2017, 6, 28), date(2017, 6, 29), date(2017, 6, 30)]
LETTERS = "abcxyzABC0123456789éß漢"
SEPARATORS = ":|-/.@ =;()[]{}#_+'"


def an_id(chance: random.Random) -> str:
    """Words of letters and digits with what may stand between and around them; no id is within another text."""
    words = ["".join(chance.choices(LETTERS, k=chance.randint(5, 9))) for _ in range(chance.randint(1, 3))]
    between = "".join(chance.choice(SEPARATORS) + word for word in words[1:])
    around = chance.choice(["", "", "()", "{}", "##", "''"])
    return (around[:1] + words[0] + between + around[1:]).strip()


USERS = [an_id(random.Random(number)) for number in range(24)]


def log_of(day: date) -> str:
    """JSON lines: of each user clicks, rows without them in their sessions, refused rows and broken lines."""
    chance, rows = random.Random(day.toordinal()), list[str]()
    for number, user in enumerate([*USERS, *(f"other-{n}" for n in range(30))]):
        for place in range(4):
            day_of_click = day - timedelta(days=chance.choice([0, 0, 0, 1]))
            click = {"event_time": f"{day_of_click} 10:00:0{place}", "session_id": f"s{number}"}
            click |= {"product_id": f"p{chance.randrange(9)}", "user_id": user, "event_type": "view"}
            rows.append(json.dumps(click, ensure_ascii=chance.random() < 0.5))
            rows.append(json.dumps(click | {"user_id": "", "product_id": "p-unnamed"}))
        rows.append(json.dumps(click | {"event_type": "hover", "note": f"seen with {user}"}, ensure_ascii=False))
        rows.append(json.dumps(click | {"event_type": "hover", "user_id": None, "of": {"user": user}}))
        rows.append('{"user_id": ' + json.dumps(user, ensure_ascii=chance.random() < 0.5) + ', "event')
    return "\n".join(rows)


def load(day: date, settings: Settings) -> None:
    for step in ("ingest_catalogue", "ingest_clicks", "aggregate_clicks"):
        run(step, str(day), settings)


def night(day: date, settings: Settings) -> None:
    load(day, settings)
    run("build_interactions", str(day), settings)


def ingest(day: date, settings: Settings) -> None:
    run("ingest_clicks", str(day), settings)


def aggregate(day: date, settings: Settings) -> None:
    run("aggregate_clicks", str(day), settings)


WORKS = [(night, DAYS[2]), (aggregate, DAYS[1]), (ingest, DAYS[2]), (ingest, DAYS[1])]


def erase_at_last(user: str, settings: Settings) -> None:
    erase(user, "asked", settings, missing_ok=True)


def of_shop(settings: Settings) -> Settings:
    return settings.model_copy(update={"window_days": 3, "held_out_days": 1, "min_support": 1})


@pytest.fixture(scope="module")
def shop(install: Callable[[str], Installation], embedded_server: str) -> Installation:
    made = install(embedded_server)
    settings = of_shop(made.settings)
    products = [f"p{number}" for number in range(9)]
    pq.write_table(pa.table({"product_id": products, "title": products}), settings.catalogue_url)
    for day in DAYS:
        folder = Path(settings.click_log_url, f"date={day}")
        folder.mkdir(parents=True)
        (folder / "log.jsonl").write_text(log_of(day))
    for day in DAYS[:2]:
        load(day, settings)
    return made


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> AbstractFileSystem:
    for name, value in environment_of_s3(s3_server).items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return fsspec.filesystem("s3")


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_nothing_is_left_whenever_it_comes(
    shop: Installation, tmp_path: Path, seed: int, request: pytest.FixtureRequest
) -> None:
    """Every fourth time with an object store."""
    chance = random.Random(seed)
    user, (work, day) = chance.choice(USERS), WORKS[(seed + seed // 4) % len(WORKS)]
    kill_work, kill_erasure = (chance.uniform(0, 2) if chance.random() < 0.4 else None for _ in range(2))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with shop.copied_to(tmp_path / "shop") as mine:
        here = there = of_shop(mine.settings)
        if seed % 4 == 3:
            s3 = request.getfixturevalue("s3")
            there = here.model_copy(update={"storage_url": f"s3://shop-{seed}/storage"})
            s3.mkdir(f"shop-{seed}")
            s3.put(f"{here.storage_url}/", f"shop-{seed}/storage/", recursive=True)
        start = time.monotonic()
        erasure = begin(erase_at_last, user, there, after=chance.uniform(0, 1), scratch=str(scratch))
        working = begin(work, day, there, after=chance.uniform(0, 0.5), scratch=str(scratch))
        killed = end(erasure, kill_erasure and start + kill_erasure)
        end(working, kill_work and start + kill_work)
        if killed:
            end(begin(erase_at_last, user, there, after=0, scratch=str(scratch)), None)
        assert traces_of(user, brought(here, there)) == []
        end(begin(load, DAYS[2], there, after=0, scratch=str(scratch)), None)  # of the same log once more
        assert traces_of(user, brought(here, there)) == []
        assert not [file for file, _ in texts_in_files(scratch) if not file.name.endswith("lock")]
        products = Path(here.storage_url, Night.aggregate(DAYS[2]), "products.parquet")
        assert set(pq.read_table(products)["product_id"].to_pylist()) > {"p0", "p-unnamed"}  # of others


def brought(here: Settings, there: Settings) -> Settings:
    """The settings of a storage in a folder: a copy, where it is one of objects."""
    if there != here:
        shutil.rmtree(here.storage_url)
        fsspec.filesystem("s3").get(f"{there.storage_url}/", f"{here.storage_url}/", recursive=True)
    return here
