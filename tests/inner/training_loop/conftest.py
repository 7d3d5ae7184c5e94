"""Trainings side by side are in single precision, as the data of their pool."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _double() -> None:
    """In place of the one for everything else about the inner loop."""
