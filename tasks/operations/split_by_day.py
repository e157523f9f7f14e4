"""An export of many days becomes folders of days, and a catalogue where it says what its products are called."""

from pathlib import Path

from tasks.errors import BadInput
from tasks.ingest.by_day import divide_by_day
from tasks.ingest.catalogue_format import CatalogueFormat
from tasks.ingest.catalogue_of_log import former_catalogue, write_catalogue_of_log
from tasks.ingest.input_files import is_left_out
from tasks.ingest.log_format import LogFormat
from tasks.scratch import scratch
from tasks.settings import Settings


def split_by_day(log: Path, to: Path, catalogue: Path | None, settings: Settings) -> dict[str, int]:
    """Divide a file, or the files of a folder, by the format of LOG_FORMAT; returns counts.

    catalogue: where to write what they say of their products, by CATALOGUE_FORMAT. Raises what `divide_by_day`,
    `catalogue_of_log` and the readers of formats raise, and BadInput where there is no file.
    """
    files = [log] if log.is_file() else sorted(file for file in log.rglob("*") if _is_delivered(file, log))
    if not files:
        raise BadInput(f"{log} must be a file or a folder of files, but none is there: write where the export lies")
    log_format, catalogue_format = LogFormat.read(settings.log_format), CatalogueFormat.read(settings.catalogue_format)
    if catalogue:
        former_catalogue(catalogue)  # what is no place for one is refused before anything is written
    with scratch():
        divided = divide_by_day(files, to, log_format, settings)
        counts = {"files": len(files), "days": len(divided.rows_of_day), "rows": divided.rows}
        counts |= {"rows_without_a_time": divided.timeless, "unreadable_lines": divided.unreadable}
        if log_format.order_level:
            counts["rows_from_order"] = divided.from_order
        if catalogue:
            counts |= write_catalogue_of_log(files, catalogue, catalogue_format, settings)
    return counts


def _is_delivered(file: Path, root: Path) -> bool:
    return file.is_file() and not any(map(is_left_out, file.relative_to(root).parts))
