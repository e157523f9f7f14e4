"""One Airflow for all files that look at a running one: its boot and its end take half a minute of both cores."""

import json
from collections.abc import Iterator

import pytest

from local import embedded_postgres
from tests.installations import skip_disk_flushes
from tests.local.running import Up, started
from tests.nights import LENIENT


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    (folder / "gate.json").write_text(json.dumps(LENIENT))
    skip_disk_flushes(embedded_postgres.start(folder / "state_folder"))
    with started(folder, GATE_CONFIG=str(folder / "gate.json"), HELD_OUT_DAYS="1") as running:
        yield running
