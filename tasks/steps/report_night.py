"""Step 8: one page on the night, whether it was published or not."""

from tasks.night import Night
from tasks.report.data import lists_of, read_report, training_of
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction

PAGE = "report.html"


def report_night(night: Night, settings: Settings) -> dict[str, float]:
    """Write report/report.html: verdicts, metrics over the nights, losses, lists before and after; it loads nothing.

    Reads PostgreSQL about the newest version of the night, and what the folders of its model and its lists say, where
    there are any.
    Raises NotReady when the database or the storage is away.
    """
    from tasks.report.page import render  # matplotlib takes a second to load

    storage = Storage(settings.storage_url)
    with transaction(settings) as connection:
        report = read_report(connection, night, training_of(storage, night), lists_of(storage, night))
    with storage.write(night.artefact("report")) as (folder, counts):
        (folder / PAGE).write_text(render(report, night), encoding="utf-8")
        counts |= {"version": report.version["version_id"] or 0, "failed_rules": len(report.failed)}
        counts |= {"nights": len({row["night"] for row in report.metrics}), "samples": len(report.samples)}
    return counts
