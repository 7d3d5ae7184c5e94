"""Who wins after how many steps: baselines first, and nothing certain of what is not."""

from __future__ import annotations

import pytest

from quickstudy.evaluation.language.verdict import after, standings, verdict

BEST = "the best baseline"


@pytest.mark.parametrize(
    ("judged", "others", "more", "said"),
    [
        (
            [3.0, 2.8],
            {"Fresh": [3.1, 3.0]},
            {},
            f"Mine wins after 0 and 1 steps: 0.100 and 0.200 nats a token better than Fresh, {BEST}.",
        ),
        (
            [3.0, 2.8],
            {"Fresh": [2.9, 2.6]},
            {},
            "A baseline wins after 0 and 1 steps: Fresh is 0.100 and 0.200 nats a token better than Mine.",
        ),
        (
            [3.0, 2.8],
            {"Fresh": [3.1, 2.9], "Context": [2.9, 3.0]},
            {},
            "A baseline wins after 0 steps: Context is 0.100 nats a token better than Mine. "
            f"Mine wins after 1 step: 0.100 nats a token better than Fresh, {BEST}.",
        ),
        ([3.0, 2.8], {"Fresh": [3.0, 2.9]}, {}, f"Mine wins after 1 step: 0.100 nats a token better than Fresh, {BEST}."),
        ([3.0, 2.8], {"Fresh": [3.0, 2.8]}, {}, f"Mine and Fresh, {BEST}, are level after 0 and 1 steps."),
        (
            [3.0, 2.8],
            {"Fresh": [3.1, 3.0]},
            {"ends": 0.3},
            "Mine is ahead of Fresh by 0.100 and 0.200 nats a token after 0 and 1 steps, but that is not certain.",
        ),
        (
            [3.0, 2.8],
            {"Fresh": [2.9, 2.9]},
            {"ends": 0.2},
            "A baseline is ahead after 0 steps: Fresh leads Mine by 0.100 nats a token, but that is not certain. "
            "Mine is ahead of Fresh by 0.100 nats a token after 1 step, but that is not certain.",
        ),
        (
            [3.0, 2.8],
            {"Fresh": [3.1, 3.0]},
            {"count": 9},
            "Mine is ahead of Fresh by 0.100 and 0.200 nats a token after 0 and 1 steps, but 9 tasks are few.",
        ),
        (
            [3.0],
            {"Fresh": [2.9]},
            {"count": 1, "steps": (4,)},
            "A baseline is ahead after 4 steps: Fresh leads Mine by 0.100 nats a token, but a single task is no evidence yet.",
        ),
        ([3.0, 2.8], {}, {}, "Mine was judged alone."),
    ],
    ids=["wins", "baseline wins", "baseline first", "one start", "level", "uncertain", "both ways", "few", "single", "alone"],
)
def test_the_verdict(rows, judged, others, more, said):
    assert verdict(rows(judged, **others, **more)) == said


def test_better_is_said_of_nothing_uncertain(rows):
    for difference in (0.02, -0.02):
        for more in ({"ends": 0.03}, {"count": 9}):
            assert "better" not in verdict(rows([3.0, 3.0], Fresh=[3.0 + difference] * 2, **more))


def test_it_wins_only_where_it_is_certain_against_all(rows):
    found = rows([3.0], steps=(4,), Fresh=[3.02], Context=[3.3])
    assert verdict(found).startswith("Mine wins after 4 steps: 0.020")
    found["comparisons"][1]["ci95"] = [-1.0, 0.4]
    assert verdict(found) == "Mine is ahead of Context by 0.300 nats a token after 4 steps, but that is not certain."


def test_many_leads_are_a_range(rows):
    found = rows([3.0, 2.9, 2.8], steps=(1, 2, 4), Fresh=[3.1, 3.05, 3.0])
    assert verdict(found) == "Mine wins after 1, 2 and 4 steps: 0.100 to 0.200 nats a token better than Fresh, the best baseline."


def test_a_ceiling_is_no_rival(rows):
    found = rows([3.0, 2.8], Fresh=[3.1, 2.9], Long=[2.0, 2.0])
    assert verdict(found).startswith("A baseline wins after 0 and 1 steps: Long")
    assert verdict(found, ["Long"]).startswith("Mine wins")


def test_a_standing_has_the_lead_and_its_interval(rows):
    (place,) = standings(rows([3.0], steps=(8,), Fresh=[3.3], Context=[3.2]))
    assert (place.steps, place.state, place.rival, place.tasks) == (8, "ahead", "Context", 20)
    assert place.lead == pytest.approx(0.2)
    assert place.ci95 == pytest.approx([0.19, 0.21])


def test_steps_in_words():
    assert [after(steps) for steps in ([0], [1], [0, 1], [1, 2, 4])] == [
        "after 0 steps",
        "after 1 step",
        "after 0 and 1 steps",
        "after 1, 2 and 4 steps",
    ]
