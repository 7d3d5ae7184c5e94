"""Robots in simulators: tasks that an expert shows, and attempts at them."""

from quickstudy.tasks.robots.robot import Robot

__all__ = ["Robot"]
