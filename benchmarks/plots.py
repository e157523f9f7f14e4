"""Pictures for documents: where a plot may be written, and PNGs of few colours, which stay below 100 KB."""

from io import BytesIO
from pathlib import Path

import typer
from matplotlib.figure import Figure
from PIL import Image

FORMATS = (".png", ".svg")


def check_plot(plot: Path) -> None:
    """Raises typer.BadParameter for a file that no plot can be written to, before the work is done."""
    if plot.suffix not in FORMATS or not plot.parent.is_dir():
        raise typer.BadParameter(
            f"must be a file in a folder that exists and end with {' or '.join(FORMATS)}, got {plot}",
            param_hint="--plot",
        )


def write_plot(figure: Figure, plot: Path) -> None:
    """Write a figure to a file that `check_plot` let pass."""
    if plot.suffix == ".svg":
        figure.savefig(plot)
        return
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=150)
    write_small(Image.open(drawn), plot)


def write_small(picture: Image.Image, file: Path) -> None:
    """Write a PNG of at most 256 colours of the picture's own."""
    colours = picture.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    colours.save(file, optimize=True)
