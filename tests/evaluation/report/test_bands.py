"""Lines with bands, as functions from numbers to places."""

from __future__ import annotations

import pytest

from quickstudy.evaluation.report.draw_curve import APART, HEIGHT
from quickstudy.evaluation.trials.curves import Curve
from quickstudy.evaluation.trials.draw_bands import WIDE, Line, bands


def having(root, *classes: str):
    return [e for e in root.iter() if set(classes) <= set(e.attrib.get("class", "").split())]


def points(element):
    return [tuple(float(number) for number in pair.split(",")) for pair in element.attrib["points"].split()]


@pytest.fixture
def lines():
    mine = Curve([1.0, 2.0, 3.0], [0.5, 1.5, 2.5], [1.5, 2.5, 3.5])
    return [Line("Mine", mine, 0), Line("<b>", Curve([1.0, 1.0, 3.0], [0.9, 0.9, 2.9], [1.1, 1.1, 3.1]), 1)]


def drawn(lines, drawing, **more):
    return drawing(bands(lines, "pull", "reward", key="k", title="Rewards", **more))


def test_lines_and_bands_go_where_the_numbers_are(lines, drawing):
    root = drawn(lines, drawing)
    other, mine = [points(e) for e in root.iter("polyline")]  # the first is on top
    assert [x for x, _ in mine] == [0, WIDE / 2, WIDE]
    step = mine[0][1] - mine[1][1]
    assert mine[1][1] - mine[2][1] == pytest.approx(step, abs=0.1)  # upwards
    assert mine[0] == other[0]
    band = points(having(root, "band")[1])
    assert [x for x, _ in band] == [0, WIDE / 2, WIDE, WIDE, WIDE / 2, 0]
    assert band[0][1] == pytest.approx(mine[0][1] - step / 2, abs=0.1)
    assert band[-1][1] == pytest.approx(mine[0][1] + step / 2, abs=0.1)
    assert all(0 <= y <= HEIGHT for _, y in band)


def test_each_is_named_at_its_end_and_none_covers_another(lines, drawing):
    root = drawn(lines, drawing)
    names = {e.text: float(e.attrib["y"]) for e in root.iter("text") if e.text in ("Mine", "<b>")}
    assert abs(names["Mine"] - names["<b>"]) >= APART - 0.11
    assert "Mine 1 at 1, 2 at 2, 3 at 3; <b> 1 at 1" in root.find("desc").text
    assert root.findall(".//b") == []


def test_a_curve_without_intervals_has_no_band(drawing):
    root = drawn([Line("Mine", Curve(*[[1.0, 2.0]] * 3), 0)], drawing)
    assert having(root, "band") == []


def test_lines_may_begin_at_different_points(drawing):
    flat = Curve(*[[1.0, 1.0]] * 3)
    root = drawn([Line("A", Curve(*[[1.0, 2.0, 3.0]] * 3), 0, first=0), Line("B", flat, 1)], drawing)
    later, first = [points(e) for e in root.iter("polyline")]
    assert [x for x, _ in first] == [0, WIDE / 2, WIDE]
    assert [x for x, _ in later] == [WIDE / 2, WIDE]


def test_equal_factors_are_equal_steps_where_the_scale_is_logarithmic(drawing):
    root = drawn([Line("A", Curve(*[[0.01, 0.1, 1.0]] * 3), 0)], drawing, log=True)
    (low, middle, high) = [y for _, y in points(next(root.iter("polyline")))]
    assert low - middle == pytest.approx(middle - high, abs=0.1)
    ticks = [e.text for e in having(root, "tick", "end")]
    assert ticks == ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]


def test_a_wide_logarithmic_scale_has_powers_of_ten_and_a_narrow_one_round_numbers(drawing):
    def ticks(low, high):
        return [e.text for e in having(drawn([Line("A", Curve(*[[low, high]] * 3), 0)], drawing, log=True), "tick", "end")]

    assert ticks(1e-3, 100.0) == ["0.001", "0.01", "0.1", "1", "10", "100"]
    assert len(ticks(0.21, 0.27)) >= 2


def test_shares_are_percent_and_stay_within_what_is_possible(drawing):
    root = drawn([Line("A", Curve([0.5, 1.0], [0.2, 0.9], [0.8, 1.1]), 0)], drawing, percent=True, least=0.0, most=1.0)
    shown = [e.text for e in having(root, "tick", "end")]
    assert all(each.endswith("%") for each in shown)
    assert float(shown[-1][:-1]) <= 100
    assert "A 50.0% at 1, 100.0% at 2" in root.find("desc").text


def test_many_points_are_marked_at_round_ones_and_the_first(drawing):
    root = drawn([Line("A", Curve(*[[float(at) for at in range(100)]] * 3), 0)], drawing)
    marked = [e.text for e in having(root, "tick", "middle")]
    assert marked == ["1", "20", "40", "60", "80", "100", "pull"]
