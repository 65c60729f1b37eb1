"""Figures as people read them."""

from collections.abc import Mapping


__all__ = ["KINDS", "TIMES", "number", "ratio", "share"]


TIMES = "&times;"  # between figures, in HTML
# What resources are called, by the names of report.json.
KINDS: Mapping[str, str] = {"dsp": "DSP", "bram18": "BRAM18", "uram": "URAM", "lut": "LUT",
                            "ff": "FF"}


def number(value: float) -> str:
    """A figure with thousands apart, and three digits that count where it is small."""
    if value != int(value) and abs(value) < 1000:
        return f"{value:.3g}"
    return f"{round(value):,}"


def share(used: float, whole: float) -> str:
    """A part of a whole in percent; nothing where there is no whole."""
    return f"{used / whole:.0%}" if whole else ""


def ratio(value: float) -> str:
    """Three digits behind the point, so that 1.000 is what was expected."""
    return f"{value:.3f}"
