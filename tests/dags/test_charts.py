"""Charts of the page: what they draw, and whether every eye can tell their colours apart."""

import re
from datetime import date, timedelta
from itertools import combinations

import numpy as np
import pytest

from pages.charts import Point, Threshold, Words, beside_rivals, exposure, over_days
from pages.rendering import STYLE

DAY = date(2017, 6, 30)
WORDS = Words("Figures <b>", "share")
# Linear RGB as protanopes see it (Vienot, Brettel, Mollon, 1999).
PROTANOPIA = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])


def test_a_day_without_a_figure_breaks_the_line_and_each_other_has_a_mark():
    points = tuple(Point("P", DAY + timedelta(days=age), 0.5, 0.4, 0.6) for age in (0, 1, 3, 4))
    svg = over_days(WORDS, points)
    line = re.search(r'<path d="([^"]*)"[^>]*stroke="var\(--series-0\)"[^>]*stroke-width="1.5"', svg)[1]
    assert line.count("M") == 2 and line.count("L") == 2
    assert len(re.findall(r'<use [^>]*fill="var\(--series-0\)"', svg)) == 4
    assert ">30 Jun</text>" in svg and ">share</text>" in svg
    assert "<title>Figures &lt;b&gt;</title><desc>share: P 0.5 (2017-07-04)</desc>" in svg


def test_a_threshold_is_drawn_and_named_and_nothing_has_a_style_of_its_own():
    svg = over_days(WORDS, (Point("churn", DAY, 0.2),), (Threshold(0.9, "gate: at most 0.9"),))
    assert "gate: at most 0.9</text>" in svg and "stroke-dasharray" in svg
    assert "style" not in svg and "#01" not in svg and "#11" not in svg, "colours are those of the stylesheet"


def test_systems_and_curves_have_a_legend():
    svg = beside_rivals(WORDS, tuple(Point(name, "lift", 0.3, 0.2, 0.4) for name in ("eclare", "co-click")))
    assert "eclare</text>" in svg and "co-click</text>" in svg and "lift</text>" in svg
    svg = exposure(
        WORDS, tuple(Point("version 2", products, share) for products, share in ((1, 0.1), (10, 0.5), (90, 1)))
    )
    assert "100%</text>" in svg and "version 2</text>" in svg and "products, those shown most first</text>" in svg


def test_the_same_figures_are_drawn_once():
    points = (Point("once", DAY, 1.0),)
    assert over_days(WORDS, points) is over_days(WORDS, points)


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("kind", ["series", "part"])
@pytest.mark.parametrize("eye", [np.eye(3), PROTANOPIA], ids=["usual", "protanope"])
def test_colours_differ_for_every_eye_by_day_and_by_night(theme, kind, eye):
    block = re.findall(r":root \{(.*?)\}", STYLE, flags=re.S)[theme]
    colours = dict(re.findall(rf"--({kind}-[\w-]+): #(\w{{6}})", block))
    assert len(colours) >= 4
    seen = {name: lab(eye @ linear(colour)) for name, colour in colours.items()}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 11, (one, other)


@pytest.mark.parametrize("theme", [0, 1])
def test_words_and_the_focus_stand_out(theme):
    block = dict(re.findall(r"--(\w+): #(\w{3,6})", re.findall(r":root \{(.*?)\}", STYLE, flags=re.S)[theme]))
    for name, least in (
        ("ink", 7),
        ("quiet", 4.5),
        ("link", 4.5),
        ("good", 4.5),
        ("bad", 4.5),
        ("warn", 4.5),
        ("focus", 3),
    ):
        for ground in ("paper", "ground"):
            assert contrast(block[name], block[ground]) >= least, (name, ground)


def linear(colour: str) -> np.ndarray:
    colour = "".join(2 * letter for letter in colour) if len(colour) == 3 else colour
    srgb = np.array([int(colour[place : place + 2], 16) for place in (0, 2, 4)]) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """As WCAG defines it."""
    light, dark = sorted((float(linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
