"""A report as text for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.doctor.findings import LEVELS, Finding
from tasks.doctor.report import Report, Section

STYLES = dict(zip(LEVELS, ("bold red", "bold yellow", "dim"), strict=True))


def print_report(report: Report, console: Console) -> None:
    """The whole report; files and commands last, so that they stand above the prompt."""
    console.print(Text(report.headline, "bold"))
    for section in report.sections:
        _print_section(section, console)
    if report.findings:
        _title("What is odd", console)
        for finding in report.findings:
            _print_finding(finding, console)
    for name, content in report.files.items():
        _title(f"{name}, proposed", console)
        console.print(Text(content.rstrip()), soft_wrap=True)
    _title("Next", console)
    for command in report.commands:
        console.print(Text(command), soft_wrap=True)


def _title(title: str, console: Console) -> None:
    console.print()
    console.print(Text(title, "bold underline"))


def _print_section(section: Section, console: Console) -> None:
    _title(section.title, console)
    for sentence in section.said:
        console.print(Text(sentence))
    if not section.rows:
        return
    table = Table(box=SIMPLE_HEAD, show_header=any(section.header), pad_edge=False, show_edge=False)
    for number, name in enumerate(section.header):
        table.add_column(name, justify="right" if number in section.numbers else "left", overflow="fold")
    for row in section.rows:
        table.add_row(*map(Text, row))
    console.print(table)


def _print_finding(finding: Finding, console: Console) -> None:
    console.print(Text.assemble((f"[{finding.level}] ", STYLES[finding.level]), finding.what))
    if finding.do:
        console.print(Text(f"    -> {finding.do}"))
    for example in finding.examples:
        console.print(Text(f"    . {example}"))
