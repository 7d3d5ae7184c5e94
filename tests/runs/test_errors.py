"""What is quoted of other libraries' errors."""

from quickstudy.errors import LONGEST, reason


def test_one_line_that_a_terminal_can_show():
    assert reason(ValueError("first\nsecond")) == "first"
    assert reason(ValueError("bell \a, colour \x1b[31m, \u202e turned")) == "bell , colour [31m, turned"
    assert reason(KeyError()) == "KeyError"
    assert reason(ValueError("x" * 1000)) == "x" * LONGEST + "..."
