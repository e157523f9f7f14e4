"""python -m tasks: every step of a night, the whole night, and the operations, without Airflow; needs DATABASE_URL."""

import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from tasks.errors import BadInput, TaskError
from tasks.ingest.reading import days_with_a_folder
from tasks.night import Night
from tasks.report.metrics_table import metrics_table
from tasks.run import BASELINE, INGEST, STEPS, refresh, run
from tasks.settings import Settings
from tasks.stores.unreachable import unreachable_files_told

Day = Annotated[str, typer.Option("--night", help="the night, a UTC day written YYYY-MM-DD")]
OfShard = Annotated[str, typer.Option("--shard", help="NUMBER-of-SHARDS, such as 2-of-4; without it, all, in turn")]
Since = Annotated[str, typer.Option(help="also ingest every day from here on that has a folder, oldest first")]

Reason = Annotated[str, typer.Option(help="why; kept in live_version_change")]
Refused = Annotated[int, typer.Option("--version", help="the rejected or withdrawn version")]
Withdrawn = Annotated[int, typer.Option("--version", help="the retired or rejected version")]
By = Annotated[str, typer.Option("--by", help="who decides; without it, the system user")]
To = Annotated[str, typer.Option("--to", help="a night, YYYY-MM-DD; without it, the last version before the live one")]
Live = Annotated[
    int, typer.Option("--version", help="the live version, which is withdrawn; refused if another is live")
]

ExportFormat = Literal["parquet", "csv", "jsonl", "redis"]

app = typer.Typer(
    help="The steps of a night, in order. Each reads the artefacts of the steps before it and can be run again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _command(step: str) -> Callable[[str], None]:
    def command(night: Day) -> None:
        run(step, night)

    command.__doc__ = f"Run the step {step} alone (see tasks/steps/{step}.py for what it reads and writes)."
    return command


def _rank_products(night: Day, shard: OfShard = "") -> None:
    """Run the step rank_products alone, of one shard of the catalogue or all (see tasks/steps/rank_products.py)."""
    run("rank_products", night, shard=shard)


for _step in STEPS:
    app.command(_step)(_rank_products if _step == "rank_products" else _command(_step))


@app.command()
def night(night: Day, since: Since = "") -> None:
    """Run the whole night: ingest the night's day (and the days since --since), refresh, publish, report."""
    settings = Settings()
    _ingest(night, since or night, settings)
    refresh(night, settings)
    Console().print(metrics_table(Night.of(night, settings), settings))


@app.command()
def baseline(night: Day, since: Since = "") -> None:
    """Publish lists of what was clicked together, which need no training: seconds, and as good a start as any.

    With --since the days up to the night are ingested first. The gate judges the lists as any version. Run `night` for
    the same night, or a later one, to have ECLARE's.
    """
    settings = Settings()
    if since:
        _ingest(night, since, settings)
    refresh(night, settings, BASELINE)
    Console().print(metrics_table(Night.of(night, settings), settings))


def _ingest(night: str, since: str, settings: Settings) -> None:
    for day in days_with_a_folder(Night.of(since, settings).day, Night.of(night, settings).day, settings):
        for step in INGEST:
            run(step, str(day), settings)


@app.command()
def doctor(
    *,
    log: Annotated[Path, typer.Option(help="the log: a file, or a folder")],
    catalogue: Annotated[Path | None, typer.Option(help="the catalogue's file, or a folder")] = None,
    write: Annotated[Path | None, typer.Option(help="write LOG_FORMAT there, CATALOGUE_FORMAT beside it")] = None,
    page: Annotated[Path | None, typer.Option(help="write the report as a page of HTML there")] = None,
    sample_mib: Annotated[int, typer.Option(min=1, help="of a larger log, the newest files of about so much")] = 256,
    days: Annotated[int, typer.Option(min=1, help="of a log in folders of days, so many newest ones")] = 31,
) -> None:
    """Say what a log and a catalogue look like, what a night would make of them, what is odd and what to do next.

    It needs no database and writes nothing but --write and --page.
    """
    from tasks.doctor.examine import examine

    examine(log, catalogue, Settings(), write=write, page=page, sample_mib=sample_mib, days=days)


@app.command(name="split_by_day")
def split_by_day(
    log: Annotated[Path, typer.Option(help="an export of many days: a file, or a folder of them")],
    to: Annotated[Path, typer.Option(help="the folder that becomes CLICK_LOG_URL")],
    catalogue: Annotated[
        Path | None,
        typer.Option(help="also write what the log says of its products (CATALOGUE_FORMAT) there, as Parquet"),
    ] = None,
) -> None:
    """Divide an export into folders date=YYYY-MM-DD, as nights read them, with our names of columns (LOG_FORMAT)."""
    from tasks.operations.split_by_day import split_by_day as split

    _echo(split(log, to, catalogue, Settings()))


@app.command()
def migrate() -> None:
    """Bring the tables and views in the database to this version of the code; harmless where they are there."""
    from tasks.stores.database import migrate as migrate_schema

    typer.echo(f"the schema is at revision {migrate_schema(Settings())}")


@app.command()
def erase(
    user_id: Annotated[str, typer.Option(help="the user, as the log writes the id")],
    reason: Annotated[str, typer.Option(help="why; kept with the counts, so it must not name the user")],
    missing_ok: Annotated[
        bool, typer.Option("--missing-ok", help="leave out of later loads one who is in none")
    ] = False,
) -> None:
    """Forget a user: their clicks leave every stored day and every later load (tasks/operations/erase.py)."""
    from tasks.operations.erase import erase as erase_user
    from tasks.operations.out_of_reach import out_of_reach

    settings = Settings()
    erasure = erase_user(user_id, reason, settings, missing_ok=missing_ok)
    typer.echo(", ".join(f"{name} {count:,}" for name, count in erasure.counts.items()))
    for other in erasure.alike:
        typer.echo(f"like it, and not erased: {other!r}; erase it too if it is the same user")
    for day in erasure.incomplete:
        typer.echo(
            f"the clicks of {day} were left in halves by a step that was killed: run ingest_clicks --night {day}"
        )
    typer.echo("\nwhat an erasure does not reach, and how to check it:")
    for what, command in out_of_reach(user_id, settings).items():
        typer.echo(f"  {what}: {command}")


@app.command(name="find_in_logs")
def find_in_logs(user_id: Annotated[str, typer.Option(help="the user, as the log writes the id")]) -> None:
    """Name the raw log files that hold a user, and exit with 1 where there is one."""
    from tasks.operations.find_in_logs import find_in_logs as find

    found = find(user_id, Settings())
    typer.echo("\n".join(found) if found else "no raw log names the user")
    raise typer.Exit(code=1 if found else 0)


@app.command()
def rollback(version: Live, reason: Reason, to: To = "", by: By = "") -> None:
    """Withdraw the live version: the last one before it is live again, or the newest of a night."""
    from tasks.publish.rollback import rollback as roll_back

    _echo(roll_back(Settings(), version, reason, by, to))


@app.command()
def approve(version: Refused, reason: Reason, by: By = "") -> None:
    """Make a version live that the gate rejected or somebody withdrew; name and reason are kept."""
    from tasks.publish.rollback import approve as approve_version

    _echo(approve_version(Settings(), version, reason, by))


@app.command()
def channel(
    *,
    name: Annotated[str, typer.Option(help="of the channel, which the shop asks for")],
    reason: Annotated[str, typer.Option(help="why; kept in channel_history")],
    version: Annotated[int | None, typer.Option(help="what its readers see; without it, the version stays")] = None,
    share: Annotated[float | None, typer.Option(help="of the sessions, from 0 to 1; without it, it stays")] = None,
    close: Annotated[bool, typer.Option("--close", help="its readers see the live version again")] = False,
    by: By = "",
) -> None:
    """Show another version to a share of the sessions, beside the live one (docs/serving.md)."""
    from tasks.publish.channels import close_channel, point_channel

    settings = Settings()
    if close and (version is not None or share is not None):
        raise BadInput("--close takes neither --version nor --share, which a closed channel has not: leave them out")
    if close:
        _echo(close_channel(settings, name, reason, by))
    else:
        _echo(point_channel(settings, name, reason, version_id=version, share=share, by=by))


@app.command()
def export(
    file_format: Annotated[ExportFormat, typer.Option("--format", help="of the file")] = "parquet",
    to: Annotated[str, typer.Option(help="a folder or URL (s3://, gs://); without it, STORAGE_URL/exports")] = "",
    version: Annotated[int | None, typer.Option(help="a version; without it, what readers see")] = None,
    channel: Annotated[str, typer.Option(help="whose readers, and whose pointer in Redis")] = "default",
) -> None:
    """Write the lists of a version to a file; that of redis is loaded by `redis-cli --pipe`."""
    from tasks.operations.export import export as export_version

    _echo(export_version(Settings(), file_format, to, version, channel))


@app.command()
def withdraw(version: Withdrawn, reason: Reason, by: By = "") -> None:
    """Withdraw a version that is not live: no rollback goes to it, and its night waits for a person to approve it."""
    from tasks.publish.rollback import withdraw as withdraw_version

    _echo(withdraw_version(Settings(), version, reason, by))


def _echo(counts: Mapping[str, object]) -> None:
    typer.echo(", ".join(f"{name} {value}" for name, value in counts.items()))


def main() -> None:
    """Show a step's refusal as one message, without a traceback, and exit with 1."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for package in ("tasks", "eclare"):  # not of the libraries
        logging.getLogger(package).setLevel(logging.INFO)
    try:
        with unreachable_files_told():
            app()
    except (TaskError, ValidationError, SettingsError) as refusal:
        sys.exit(f"{type(refusal).__name__}: {refusal}")


if __name__ == "__main__":
    main()
