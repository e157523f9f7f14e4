"""python -m tasks doctor: the diagnosis told as text, and as files where they are asked for."""

from pathlib import Path

from rich.console import Console

from tasks.doctor.diagnosis import diagnose
from tasks.doctor.report import FILES, Report, report_of
from tasks.doctor.text import print_report
from tasks.errors import BadInput
from tasks.scratch import scratch
from tasks.settings import Settings

CATALOGUE_FILE = FILES["CATALOGUE_FORMAT"]
WIDTH = 110  # of a text that goes to no terminal


def examine(
    log: Path, catalogue: Path | None, settings: Settings, *, write: Path | None, page: Path | None,
    sample_mib: int, days: int,
) -> None:  # fmt: skip
    """Print what was found out; write LOG_FORMAT to `write`, CATALOGUE_FORMAT beside it, and the report to `page`.

    Raises BadInput where a file to write is there already, before anything is read, and what `diagnose` raises.
    """
    targets = {"LOG_FORMAT": write, "CATALOGUE_FORMAT": write.with_name(CATALOGUE_FILE)} if write else {}
    if write and write.name == CATALOGUE_FILE:
        raise BadInput(f"--write must name the file of LOG_FORMAT, got {write.name}, which is that of CATALOGUE_FORMAT")
    for target in filter(None, (*targets.values(), page)):
        if not target.parent.is_dir():
            raise BadInput(f"{target} must lie in a folder that is there, but {target.parent} is none: make it first")
    for target in targets.values():
        if target.exists():
            raise BadInput(f"{target} must not be there yet, and would be overwritten: remove it, or name another")
    with scratch():
        found = diagnose(log, catalogue, settings, sample_mib, days)
        report = report_of(found, log, catalogue, targets)
    console = Console()
    print_report(report, console if console.is_terminal else Console(width=WIDTH))
    _write(report, targets, page)


def _write(report: Report, targets: dict[str, Path], page: Path | None) -> None:
    for name, content in report.files.items():
        if name in targets:
            targets[name].write_text(content, encoding="utf-8")
    if page:
        from tasks.doctor.page import render

        page.write_text(render(report), encoding="utf-8")
