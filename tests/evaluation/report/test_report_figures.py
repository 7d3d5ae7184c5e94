"""The figures as functions from numbers to places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quickstudy.evaluation.report.calibration import Bin, Calibration
from quickstudy.evaluation.report.draw_curve import HEIGHT, Series, curve, spread
from quickstudy.evaluation.report.draw_intervals import Row, differences, forest
from quickstudy.evaluation.report.draw_map import Style, placed, sentence_map, swatch
from quickstudy.evaluation.report.draw_reliability import reliability
from quickstudy.evaluation.report.projection import Projection
from quickstudy.evaluation.report.svg import Scale, around, tag, text, ticks


def having(root, *classes: str, tag: str = "*"):
    return [e for e in root.iter() if tag in ("*", e.tag) and set(classes) <= set(e.attrib.get("class", "").split())]


def percent(place: str) -> float:
    assert place.endswith("%")
    return float(place[:-1])


def marks(root, kind: str):
    """The drawings within the drawing, whose path is of this class, as (x, y)."""
    nested = [e for e in root.iter("svg") if e is not root and any(kind in p.attrib.get("class", "").split() for p in e)]
    return [(percent(e.attrib["x"]), float(e.attrib["y"])) for e in nested]


def test_a_scale_puts_numbers_where_they_belong():
    assert [Scale(2, 4)(n) for n in (2, 3, 4)] == ["0.00%", "50.00%", "100.00%"]
    assert [Scale(0, 1, length=200)(n) for n in (0, 0.25, 1)] == ["200.0", "150.0", "0.0"]
    assert Scale(1, 100, log=True).share(10) == pytest.approx(0.5)
    assert math.isfinite(Scale(3, 3).share(3))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0.83, 0.91, [0.84, 0.86, 0.88, 0.9]), (-3, 2, [-3, -2, -1, 0, 1, 2]), (5, 5, [5])],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_a_range_leaves_a_margin_and_keeps_its_bounds():
    low, high = around([0.5, 0.99], least=0, most=1)
    assert low < 0.5
    assert high == 1
    low, high = around([3.0, 3.0])
    assert low < 3 < high


def test_markup_in_words_and_attributes_is_escaped(drawing):
    assert tag("g", class_='a"b') == '<g class="a&quot;b"></g>'
    assert "&lt;script&gt;" in text("<script>", 0, 0)
    drawn = forest([Row('<script>"&', 0.5, [0.4, 0.6])], "accuracy")
    assert drawing(drawn).findall("script") == []
    assert any(e.text == '<script>"&' for e in drawing(drawn).iter("text"))


def test_the_forest_has_a_row_for_each_method_on_one_scale(drawing):
    rows = [Row("A", 0.8, [0.7, 0.9], strong=True), Row("B", 0.6, [0.5, 0.7], note="judged"), Row("C", 0.6, None)]
    root = drawing(forest(rows, "accuracy", chance=0.55))
    ticks_at = {e.text: percent(e.attrib["x"]) for e in having(root, "tick") if e.text and e.text.endswith("%")}
    points = marks(root, "point")
    assert points[0][0] == pytest.approx(ticks_at["80%"], abs=0.01)
    assert points[1][0] == points[2][0] == pytest.approx(ticks_at["60%"], abs=0.01)
    assert [y for _, y in points] == sorted(y for _, y in points)
    whiskers = having(root, "whisker")
    assert len(whiskers) == 2
    assert percent(whiskers[0].attrib["x1"]) == pytest.approx(ticks_at["70%"], abs=0.01)
    assert percent(whiskers[0].attrib["x2"]) == pytest.approx(ticks_at["90%"], abs=0.01)
    assert [e.text for e in root.iter("text")][:4] == ["A", "80.0% (70.0 to 90.0)", "B \u00b7 judged", "60.0% (50.0 to 70.0)"]
    assert len(having(root, "reference")) == 1
    assert having(drawing(forest(rows, "accuracy", chance=0.1)), "reference") == []


def test_a_difference_is_hollow_where_its_interval_holds_zero(drawing):
    rows = [
        Row("A", -0.02, [-0.03, -0.01]),
        Row("B", 0.01, [-0.01, 0.03]),
        Row("C", 0.04, None),
        Row("D", 0.09, [0.08, 0.1], tasks=3),
    ]
    root = drawing(differences(rows, "accuracy", "Mine"))
    zero = percent(having(root, "reference")[0].attrib["x1"])
    assert [x < zero for x, _ in marks(root, "point")] == [True, False, False, False]
    assert len(marks(root, "open")) == 3
    assert any(e.text == "\u22122.0 points (\u22123.0 to \u22121.0)" for e in root.iter("text"))


def test_a_curve_is_on_a_logarithmic_scale_and_named_at_its_end(drawing):
    series = [
        Series("Mine", [(1, 0.5, [0.4, 0.6]), (10, 0.7, [0.6, 0.8]), (100, 0.9, None)]),
        Series("Other", [(1, 0.4, None), (10, 0.69, None), (100, 0.9, None)]),
    ]
    root = drawing(curve(series, "accuracy", "examples", key="curve", title="A title"))
    (mine,) = [e for e in having(root, "series") if "--c0" in e.attrib["style"]]
    places = [(percent(e.attrib["x"]), float(e.attrib["y"])) for e in mine.iter("svg")]
    assert [x for x, _ in places] == pytest.approx([0, 50, 100], abs=0.01)
    assert HEIGHT > places[0][1] > places[1][1] > places[2][1] > 0
    assert len(having(mine, "thin")) == 2
    names = {e.text: float(e.attrib["y"]) for e in root.iter("text") if e.text in ("Mine", "Other")}
    assert abs(names["Mine"] - names["Other"]) >= 16 - 0.1
    assert [e.attrib.get("stroke-dasharray") for e in mine.iter("line")][:2] == [None, None]
    (other,) = [e for e in having(root, "series") if "--c1" in e.attrib["style"]]
    assert all(e.attrib["stroke-dasharray"] for e in other.iter("line"))
    assert "Mine 50.0% at 1, 70.0% at 10, 90.0% at 100" in (root.find("desc").text or "")


def test_a_curve_may_begin_without_any_training_beside_a_level(drawing):
    mine = Series("Mine", [(0, 0.5, None), (50, 0.7, None), (100, 0.6, [0.5, 0.7])])
    root = drawing(curve([mine], "accuracy", "tasks", key="m", title="T", log=False, level=("before any", 0.5)))
    assert [e.text for e in having(root, "tick", "middle")][:3] == ["0", "20", "40"]
    (line,) = having(root, "series")
    places = [(percent(e.attrib["x"]), float(e.attrib["y"])) for e in line.iter("svg")]
    assert [x for x, _ in places] == pytest.approx([0, 50, 100])
    assert float(having(root, "reference")[0].attrib["y1"]) == places[0][1]
    assert "before any 50.0%" in (root.find("desc").text or "")


def test_names_are_spread_no_further_than_needed():
    assert spread([10, 50], 16) == [10, 50]
    assert spread([10, 10], 16) == [2, 18]
    apart = spread([30, 10, 12, 14], 16)
    assert sorted(np.diff(sorted(apart))) >= [16 - 1e-9] * 3
    assert apart[1] < apart[2] < apart[3] < apart[0]


def test_reliability_bars_are_as_high_as_the_share_that_is_right(drawing):
    found = Calibration([Bin(0.2, 0.3, 4, 0.25, 0.5), Bin(0.9, 1.0, 90, 0.97, 1.0)], 0.04, -0.01)
    root = drawing(reliability(found))
    low, full = having(root, "bar")
    assert float(full.attrib["y"]) == 0
    assert float(low.attrib["height"]) == pytest.approx(float(full.attrib["height"]) / 2)
    assert percent(low.attrib["x"]) == pytest.approx(20, abs=1)
    assert marks(root, "point") == [(25, float(low.attrib["y"])), (97, 0)]
    assert [e.text for e in having(root, "count")] == ["4", "90"]


def test_the_map_has_a_mark_for_each_sentence_and_a_name_for_each_label(drawing):
    points = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 4.0], [0.5, 2.0]])
    root = drawing(sentence_map(Projection(points, ["x", "x", "l" * 300, "<b>"], 0.4)))
    assert len(marks(root, "filled")) == 4
    names = [e.text or "" for e in having(root, "name", "wide")]
    assert (names[0], names[2]) == ("x", "<b>")
    assert len(names[1]) == 24
    assert [e.text for e in having(root, "name", "narrow")] == ["1", "2", "3"]
    left, right = marks(root, "filled")[0], marks(root, "filled")[2]  # the same label first: x, x, then the others
    assert left[0] < right[0]
    assert left[1] > right[1]


def test_no_two_of_twelve_labels_look_alike_without_colour():
    assert len({(Style.of(place).shape, Style.of(place).hollow) for place in range(12)}) == 12
    assert len({swatch(place) for place in range(12)}) == 12


def test_names_on_the_map_do_not_cover_one_another():
    middles = [(0.5, 200.0 + i) for i in range(8)]
    found = placed(middles, [120.0] * 8, 720)
    downs = sorted(down for _, down in found)
    assert min(np.diff(downs)) >= 16
    assert all(0 < across < 1 and 0 < down < 460 for across, down in placed([(0.0, 0.0), (1.0, 460.0)], [300, 300], 330))
