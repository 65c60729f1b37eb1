"""Decides every folding, every queue's depth and the split of the device between networks."""

from .planner import plan
from .targets import Target


__all__ = ["Target", "plan"]
