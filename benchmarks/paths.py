"""Longest paths of modules, held against those of the modules that multiply."""

import statistics
from collections.abc import Mapping
from typing import Any


__all__ = ["lengths", "median"]

MULTIPLIERS = "row_pair", "lut_product"


def lengths(modules: Mapping[str, Any]) -> dict[str, int]:
    """The longest path of each module of synthesis.json that has one."""
    return {name: row["longest_path"] for name, row in modules.items() if row["longest_path"]}


def median(modules: Mapping[str, Any]) -> float:
    """Of the modules that multiply: with DSPs, or with tables in their place."""
    return statistics.median([length for name, length in lengths(modules).items()
                              if modules[name]["dsp"] or name.startswith(MULTIPLIERS)])
