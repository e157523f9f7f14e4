"""What readers saw is judged on the days that they saw it, and one page says all of the night."""

import logging

from tasks.night import Night
from tasks.report.data import Found, lists_of, read_report, training_of
from tasks.report.while_live import judge_while_live
from tasks.settings import Settings
from tasks.stores.artefacts import Storage
from tasks.stores.database import transaction

PAGE = "report.html"

log = logging.getLogger("tasks")


def report_night(night: Night, settings: Settings) -> dict[str, float]:
    """Judge the lists that were live on the last days, then write report/report.html, which loads nothing.

    It shows verdicts, metrics over the nights, losses, lists before and after: what PostgreSQL has on the newest
    version of the night, and what the folders of its model and its lists say, where there are any. Published lists are
    judged here and not in evaluate_model, so that they are in nights that fail before it.
    Raises NotReady when the database or the storage is away.
    """
    from tasks.report.page import render  # matplotlib takes a second to load

    storage = Storage(settings.storage_url)
    with transaction(settings) as connection:
        judged = judge_while_live(connection, night, storage)
    for sentence in judged.not_judged:
        log.warning("%s", sentence)
    with transaction(settings) as connection:
        found = Found(training_of(storage, night), lists_of(storage, night), judged.not_judged)
        report = read_report(connection, night, found)
    with storage.write(night.artefact("report")) as (folder, counts):
        (folder / PAGE).write_text(render(report, night), encoding="utf-8")
        counts |= {"version": report.version["version_id"] or 0, "failed_rules": len(report.failed)}
        counts |= {"nights": len({row["night"] for row in report.metrics}), "samples": len(report.samples)}
        counts |= {"live_days_judged": judged.days, "live_days_not_judged": len(judged.not_judged)}
    return counts
