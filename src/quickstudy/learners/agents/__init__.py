"""Learners that act."""
