"""A version's lists as files, for whoever serves them from elsewhere: whole or not at all, as every artefact."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv

from tasks.errors import BadInput
from tasks.operations.export_formats import ROWS, WRITERS, Exported
from tasks.publish.channels import DEFAULT
from tasks.scratch import scratch
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import Connection, copy_out, select, statement, transaction


def export(
    settings: Settings, file_format: str, to: str = "", version_id: int | None = None, channel: str = DEFAULT
) -> dict[str, object]:
    """Write the lists that readers of a channel see, or those of a version; returns where they are.

    to: a folder or fsspec URL, else STORAGE_URL/exports; the file lies in version=N/FORMAT below it, and COMPLETE.json
    beside it is written last. Memory does not grow with the version. Raises BadInput for a format that is none of
    WRITERS and for a version without rows.
    """
    if file_format not in WRITERS:
        raise BadInput(f"the format must be one of {', '.join(WRITERS)}, got {file_format!r}: choose one of them")
    suffix, write = WRITERS[file_format]
    storage = Storage(to or f"{settings.storage_url}/exports")
    with transaction(settings) as connection:
        found = _version(connection, version_id, channel)
        path, name = f"version={found['version_id']}/{file_format}", f"recommendations.{suffix}"
        with scratch(), storage.write(path) as (folder, counts), tempfile.NamedTemporaryFile(suffix=".csv") as text:
            copy_out(connection, statement("export_rows", version_id=found["version_id"]), Path(text.name))
            write(Exported(found["version_id"], channel, _counted(Path(text.name), counts)), folder / name)
    return {"version": found["version_id"], "night": found["night"], "rows": counts["rows"]} | {
        "file": f"{storage.root}/{path}/{name}"
    }


def _version(connection: Connection, version_id: int | None, channel: str) -> dict[str, Any]:
    wanted = "a live version" if version_id is None else f"version {version_id}"
    for found in select(connection, "export_version", version_id=version_id, channel=channel):
        if found["has_rows"]:
            return found
        raise BadInput(f"{wanted} must have its rows to be exported, but they were dropped: choose another version")
    raise BadInput(f"{wanted} must be there to be exported, got none: see the table recommendation_version")


def _counted(text: Path, counts: dict[str, float]) -> Iterator[pa.RecordBatch]:
    """The batches of a file of comma-separated values; counts their rows."""
    counts["rows"] = 0
    options = csv.ConvertOptions(column_types=ROWS, null_values=[])  # a product may be called NA
    parsing = csv.ParseOptions(newlines_in_values=True)
    with closing(csv.open_csv(text, parse_options=parsing, convert_options=options)) as reader:
        for batch in reader:
            counts["rows"] += len(batch)
            yield batch
