"""Decides every folding, every queue's depth and the split of the device between networks."""

from .planner import check_io, plan
from .targets import Target


__all__ = ["Target", "check_io", "plan"]
