"""Where raw logs, which belong to those who deliver them, still hold a user."""

import logging
from datetime import date

from tasks.errors import TaskError
from tasks.ingest.engine import FILE, open_engine
from tasks.ingest.erased import names_nobody
from tasks.ingest.log_format import LogFormat
from tasks.ingest.mentions import names_any_of
from tasks.ingest.reading import delivered_days, open_log, open_rows
from tasks.operations.alike import as_ingested
from tasks.scratch import scratch
from tasks.settings import Settings

log = logging.getLogger("tasks")


def find_in_logs(user_id: str, settings: Settings) -> list[str]:
    """The files of CLICK_LOG_URL with a row or an unreadable line that names the user; logs days it cannot read."""
    found: list[str] = []
    with scratch():
        for day in delivered_days(settings):
            try:
                found += [f"date={day}/{name}" for name in _files_of_day(day, user_id, settings)]
            except TaskError as refusal:
                log.warning("not searched: %s", refusal)
    return found


def _files_of_day(day: date, user_id: str, settings: Settings) -> list[str]:
    ids = as_ingested(user_id)
    log_format, names_user = LogFormat.read(settings.log_format), names_any_of(ids)
    with open_log(day, log_format, settings) as raw, open_engine(settings) as engine:
        found = {file for file, lines in raw.unreadable() if any(names_user(line.beginning) for line in lines)}
        if raw.readable:
            rows = open_rows(engine, raw, log_format)
            column = rows.session_id if names_nobody(rows) else rows.user_id
            found.update(rows.filter(column.isin(ids)).select(FILE).distinct().to_pyarrow()[FILE].to_pylist())
        return [raw.names[file] for file in sorted(found)]
