"""Where an id is left: in files, below one folder, and in tables."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa

from tasks.settings import Settings
from tasks.stores.database import transaction


def traces_of(user: str, settings: Settings) -> list[str]:
    """The files below STORAGE_URL and the tables that hold an id, in any form."""
    texts = [*texts_in_files(Path(settings.storage_url)), *texts_in_tables(settings)]
    return [str(place) for place, text in texts if user in text or user in str(place)]


def texts_in_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file as bytes, and what Parquet files hold, since they are compressed."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield file, file.read_bytes().decode("latin-1")
            if file.suffix == ".parquet":
                yield file, str(pq.read_table(file, partitioning=None).to_pylist())


def texts_in_tables(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every table as text."""
    tables = sa.text("select table_name from information_schema.tables where table_schema = current_schema()")
    with transaction(settings) as connection:
        for table in connection.scalars(tables).all():
            yield table, str(connection.execute(sa.text(f'select * from "{table}"')).all())
