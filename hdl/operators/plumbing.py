"""Operators that move beats and change nothing: forks, queues, width converters."""

import dataclasses
import math

import numpy as np

from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing


__all__ = ["Fork", "Narrow", "Queue", "Widen"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fork:
    """One stream to several: it takes a beat when every branch's queue has a place.

    Parameters
    ----------
    map : :class:`FeatureMap`
    lanes : :class:`int`
    places : two or more :class:`int`
        Beats that each branch's queue holds; where branches meet again, they balance their delays.
    """

    map: FeatureMap
    lanes: int = 1
    places: tuple[int, ...] = (4, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queue:
    """A first-in first-out buffer.

    Parameters
    ----------
    map : :class:`FeatureMap`
    lanes : :class:`int`
    places : :class:`int`
        Beats that it holds, 2 or more.
    """

    map: FeatureMap
    lanes: int = 1
    places: int = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Widen:
    """Several beats of a pixel gathered in one: ``lanes`` becomes ``times`` as many.

    The last beat of a pixel may gather fewer; ``lanes * times`` is cut to the channels.
    """

    map: FeatureMap
    lanes: int
    times: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrow:
    """A beat of a pixel dealt out in several: ``lanes`` becomes its ``times``-th part."""

    map: FeatureMap
    lanes: int
    times: int
