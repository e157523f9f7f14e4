import pytest

from pages.chart import HEIGHT, WIDTH, chart_of


def test_lines_go_from_left_to_right_and_up_to_the_highest_label():
    rows = [{"day": day, "name": "P", "value": value} for day, value in ((1, 1.0), (2, 2.0), (4, 0.0))]
    chart = chart_of(rows)
    assert [(line.name, line.last) for line in chart.lines] == [("P", 0.0)]
    assert chart.lines[0].points == f"0.0,{HEIGHT / 2:.1f} {WIDTH / 3:.1f},0.0 {WIDTH:.1f},{HEIGHT:.1f}", (
        "day 3 is missing"
    )
    assert (chart.first, chart.last) == (1, 4)
    assert chart_of([]) is None


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (0.0, ["0", "0.1"]), (0.3, ["0", "0.1", "0.2", "0.3"]), (0.31, ["0", "0.1", "0.2", "0.3", "0.4"]),
        (0.95, ["0", "0.25", "0.5", "0.75", "1"]), (1.3, ["0", "0.5", "1", "1.5"]),
        (100.0, ["0", "25", "50", "75", "100"]),
    ],
)  # fmt: skip
def test_the_upright_axis_has_round_labels_up_to_what_is_drawn(highest, labels):
    chart = chart_of([{"day": 1, "name": "P", "value": highest}])
    assert [label for label, _ in chart.ticks] == labels
    assert (chart.ticks[0][1], chart.ticks[-1][1]) == (HEIGHT, 0)
    _, y = map(float, chart.lines[0].points.split(","))
    assert y == pytest.approx(HEIGHT * (1 - highest / float(labels[-1])), abs=0.05)
