from pages.chart import HEIGHT, WIDTH, polylines


def test_lines_go_from_left_to_right_and_up_to_the_largest_value():
    rows = [{"night": night, "name": "P", "value": value} for night, value in ((1, 1.0), (2, 2.0), (4, 0.0))]
    (line,) = polylines(rows)
    assert line.points == f"0.0,{HEIGHT / 2:.1f} {WIDTH / 2:.1f},0.0 {WIDTH:.1f},{HEIGHT:.1f}"
    assert polylines([]) == []
