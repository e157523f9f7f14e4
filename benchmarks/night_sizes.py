"""What a product costs by the size of the shop: nights of `benchmarks.night --made`, from their JSON lines."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from rich.console import Console
from rich.table import Table

from benchmarks.plots import check_plot, write_plot

TRAINING = "train_model"
BUT_TRAINING = "all but training"
MARKERS = ("o", "s", "v", "^", "D", "P", "X")  # colours come again after ten
COMPARED = ("P", "nDCG", "PSP", "lift")

Night: TypeAlias = Mapping[str, Any]  # a line of benchmarks.night --made


def main(
    lines: Annotated[Path, typer.Argument(help="JSON lines of python -m benchmarks.night --made")],
    plot: Annotated[Path, typer.Option(help="picture to write, .png or .svg")],
) -> None:
    """Draw what each step costs by products, and print each size's quality beside the rivals'.

    Ends with one JSON line: by products, milliseconds a product of training and of all other steps together, peak GiB,
    and of each metric at 10 ours, the best rival's and its name. Nights that stopped early have fewer figures.
    """
    check_plot(plot)
    nights = read(lines)
    write_plot(drawn(nights), plot)
    _show(nights)
    print(json.dumps({f"{night['made']['products']:,}": figures_of(night) for night in nights}))


def read(file: Path) -> list[Night]:
    """The nights of made shops, smallest first; raises typer.BadParameter where there is none."""
    found = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
    nights = [night for night in found if "made" in night]
    if not nights:
        raise typer.BadParameter(
            f"{file} must have lines of python -m benchmarks.night --made, got {len(found)} others", param_hint="LINES"
        )
    return sorted(nights, key=lambda night: night["made"]["products"])


def figures_of(night: Night) -> dict[str, Any]:
    """What the JSON line says of a night."""
    costs = {step: cost * 1000 / night["made"]["products"] for step, cost in seconds_of(night).items()}
    shown = {name: round(costs[name], 3) for name in (TRAINING, BUT_TRAINING) if name in costs}
    found: dict[str, Any] = {"milliseconds a product": shown, "peak_gib": night["peak_gib"]}
    of_all = night.get("metrics_at_10", {}).get("all", {})
    rivals = [name.removeprefix("eclare / ") for name in of_all if name.startswith("eclare / ")]
    rivals = [name for name in rivals if not name.startswith("eclare")]
    for metric in COMPARED if rivals else ():
        best = max(rivals, key=lambda name: of_all[name][metric][0])
        found[metric] = [of_all["eclare"][metric][0], of_all[best][metric][0], best]
    return found


def seconds_of(night: Night) -> dict[str, float]:
    """Seconds of every step, and of all but training; the ingest's are those of one day."""
    seconds = {step: cost["seconds"] for step, cost in night["steps"].items()}
    if TRAINING not in seconds:
        return seconds
    return seconds | {BUT_TRAINING: sum(seconds.values()) - seconds[TRAINING]}


def drawn(nights: Sequence[Night]) -> Figure:
    """Milliseconds a product, and peak GiB, of every step against products."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    time, memory = figure.subplots(1, 2, sharex=True)
    names = list(dict.fromkeys(name for night in nights for name in seconds_of(night)))
    for number, name in enumerate(names):
        of_step = [night for night in nights if name in seconds_of(night)]
        products = [night["made"]["products"] for night in of_step]
        summed = name == BUT_TRAINING
        line = {"color": "black" if summed else f"C{number}", "linewidth": 2.5 if summed else 1.3}
        line["marker"] = MARKERS[number % len(MARKERS)]
        costs = [1000 * seconds_of(night)[name] / night["made"]["products"] for night in of_step]
        time.plot(products, costs, label=name, **line)
        if not summed:
            memory.plot(products, [night["steps"][name]["peak_gib"] for night in of_step], **line)
    for panel, label in ((time, "milliseconds a product (ingest: of one day)"), (memory, "peak of the process (GiB)")):
        panel.set(xscale="log", yscale="log", xlabel="products", ylabel=label)
        panel.grid(alpha=0.3, which="both")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
    figure.suptitle("\n".join(map(_run, nights)), fontsize=9)
    figure.legend(loc="outside lower center", ncols=6, fontsize=8)
    return figure


def _run(night: Night) -> str:
    made, epochs = night["made"], f"{night['epochs'] or 'all'} epochs" if TRAINING in night["steps"] else "no training"
    return f"{made['products']:,} products: {night['days']} days of {made['events_a_day']:,} events, {epochs}"


def _show(nights: Sequence[Night]) -> None:
    names = list(dict.fromkeys(name for night in nights for name in seconds_of(night)))
    table = Table("", *(f"{night['made']['products']:,}" for night in nights), title="milliseconds a product, peak GiB")
    for name in names:
        table.add_row(name, *(_cost(night, name) for night in nights))
    found = [figures_of(night) for night in nights]
    for metric in COMPARED:
        table.add_row(f"{metric}@10: ours, best rival", *(_quality(figures.get(metric)) for figures in found))
    Console(stderr=True).print(table)


def _cost(night: Night, name: str) -> str:
    seconds, peak = seconds_of(night).get(name), night["steps"].get(name, {}).get("peak_gib")
    if seconds is None:
        return ""
    return f"{1000 * seconds / night['made']['products']:.3g}" + (f", {peak}" if peak else "")


def _quality(figures: Sequence[Any] | None) -> str:
    return "{:.1f}, {:.1f} ({})".format(*figures) if figures else ""


if __name__ == "__main__":
    typer.run(main)
