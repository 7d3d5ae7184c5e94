"""A robot of one's own."""

from pathlib import Path

import pytest

from quickstudy.tasks.robots import Robot
from quickstudy.tasks.robots.find import find_robot


@pytest.fixture
def arm() -> Robot:
    return find_robot(f"{Path(__file__).with_name('my_arm.py')}:arm")
