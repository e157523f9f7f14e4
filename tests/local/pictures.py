"""The documentation's pictures of the page, made of a running demo: `python -m tests.local.pictures --password ...`."""

import io
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from PIL import Image

from benchmarks.plots import write_small
from tasks.settings import ROOT
from tests.local.browser import browser

DESK, PHONE = 1440, 390


class Picture(NamedTuple):
    """A page by its path, as wide as a screen, cut at a height; theme as prefers-color-scheme has it."""

    path: str
    width: int
    height: int
    theme: str = "light"


def pictures_of(product: str) -> dict[str, Picture]:
    """By the names of their files."""
    of_product = f"product?product_id={product}"
    return {
        "overview": Picture("", DESK, 1400),
        "overview-phone": Picture("", PHONE, 1300),
        "compared": Picture(f"{of_product}&version=2&beside=1", DESK, 1150, "dark"),
        "product-phone": Picture(of_product, PHONE, 1200),
        "roll-back": Picture("move/roll_back?version=2", DESK, 620),
    }


def main(
    password: Annotated[str, typer.Option(help="of admin, as the demo prints it")],
    product: Annotated[str, typer.Option(help="whose list is shown")] = "937626",
    url: Annotated[str, typer.Option(help="of Airflow")] = "http://127.0.0.1:8080",
    out: Annotated[Path, typer.Option(help="folder")] = ROOT / "docs" / "screenshots",
) -> None:
    """Write the pictures."""
    with browser(url) as screen:
        screen.log_in("admin", password)
        for name, picture in pictures_of(product).items():
            png = screen.look(f"/recommendations/{picture.path}", picture.width, picture.theme)
            image = Image.open(io.BytesIO(png))
            write_small(image.crop((0, 0, image.width, min(picture.height, image.height))), out / f"{name}.png")


if __name__ == "__main__":
    typer.run(main)
