"""What the doctor says of a catalogue is what a night makes of it: the same rows, and refusals in the same words."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tasks.doctor.diagnosis import diagnose
from tasks.errors import TaskError
from tasks.night import Night
from tasks.settings import Settings
from tasks.steps.ingest_catalogue import ingest_catalogue
from tasks.stores.artefacts import Storage

NIGHT = date(2017, 6, 30)
HEADER = "product_id,title,brand\n"
FIRST, SECOND = f"{HEADER}p1,Enamel mug,Acme\np2,,Acme\n", f"{HEADER}p3,Soup bowl,\n,Nothing,\n"


def written(root: Path, **files: str) -> Path:
    for name, content in files.items():
        file = root / name.replace("__", "/").replace("day", "date=2017-")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return root


def empty(root: Path) -> Path:
    root.mkdir()
    return root


CATALOGUES: dict[str, Callable[[Path], Path]] = {
    "one file": lambda root: written(root, catalogue=FIRST) / "catalogue",
    "a folder of parts": lambda root: written(root, part0=FIRST, part1=SECOND, part2="", _SUCCESS=""),
    "folders of days": lambda root: written(
        root, **{"day06-28__a": FIRST, "day06-28__b": SECOND, "day07-02__a": SECOND}
    ),
    "folders of later days": lambda root: written(root, **{"day07-02__a": FIRST}),
    "a product in two parts": lambda root: written(root, part0=FIRST, part1=f"{HEADER}p1,Mug,\n"),
    "a line that is no row": lambda root: written(root, part0=FIRST, part1=f"{HEADER}p4\n"),
    "an archive among the parts": lambda root: written(root, part0=FIRST, part1="PK\x03\x04"),
    "an empty folder": empty,
    "no file": lambda root: root,
}


@pytest.mark.parametrize("shape", list(CATALOGUES))
def test_the_doctor_takes_and_refuses_what_a_night_does(shape: str, settings: Settings, tmp_path: Path) -> None:
    log = written(
        tmp_path / "log", **{"day06-30__log.csv": "event_time,session_id,product_id\n2017-06-30 10:00,s,p1\n"}
    )
    catalogue = CATALOGUES[shape](tmp_path / "catalogue")
    by_night, by_doctor = night(settings, catalogue), doctor(settings, log, catalogue)
    assert by_doctor == by_night
    assert isinstance(by_night, str) == (shape not in ("one file", "a folder of parts", "folders of days"))


def night(settings: Settings, catalogue: Path) -> tuple[object, object] | str:
    settings = settings.model_copy(update={"catalogue_url": str(catalogue)})
    try:
        ingest_catalogue(Night.of(NIGHT, settings), settings)
    except TaskError as refusal:
        return str(refusal)
    storage = Storage(settings.storage_url)
    with storage.open(storage.read(Night.catalogue(NIGHT))) as folder:
        tables = (pq.read_table(folder / f"{name}.parquet") for name in ("products", "refused_products"))
        products, refused = (table.to_pylist() for table in tables)
    return products, refused


def doctor(settings: Settings, log: Path, catalogue: Path) -> tuple[object, object] | str:
    try:
        found = diagnose(log, catalogue, settings, 64, 31)
    except TaskError as refusal:
        return str(refusal)
    if found.products is None:
        return found.refusals["catalogue"]
    return found.products.products.to_pylist(), found.products.refused.to_pylist()
