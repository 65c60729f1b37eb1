"""What networks may ask of a memory.

Every schedule keeps three bounds: no network is faster than its own interval; the words of all
networks per cycle are no more than the memory gives; and the slots of each stream carry its words,
and a surplus.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np


__all__ = ["FLOOR", "PARTS_OF_FLOOR", "SHORTFALL", "SURPLUS", "Infeasible", "Traffic", "least_pace"]


SURPLUS = 0.002  # share by which a stream's slots exceed its rate, at least
ROUNDING = 1e-9
FLOOR = 0.5  # of its weight's share, that each network gets at least where all can
# Where they cannot: what a network lacks counts so much more, and each gets this part of the floor,
# the greatest that all can have.
SHORTFALL, PARTS_OF_FLOOR = 1.0, (1.0, 0.1, 0.01)


class Infeasible(Exception):
    """What the networks ask for cannot be given, and why.

    Parameters
    ----------
    demand : :class:`str`
        Whose: a stream, a network, a port or all.
    bound : :class:`str`
        What binds.
    asked, given : :class:`float`
        The demand and the bound, in the bound's unit.
    factor : :class:`float`
        The least by which all intervals must grow for it to fit; 0 where none helps.
    remedy : :class:`str`
        What would make it possible, for a person.
    """

    def __init__(self, *, demand: str, bound: str, asked: float, given: float,
                 factor: float = 0.0, remedy: str = ""):
        self.demand, self.bound = demand, bound
        self.asked, self.given = asked, given
        self.factor, self.remedy = factor, remedy
        super().__init__(f"{demand} needs {asked:.4g} of {bound}, and there is {given:.4g}."
                         + (f" {remedy}" if remedy else ""))

    @property
    def gap(self) -> float:
        """How much is missing."""
        return self.asked - self.given


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traffic:
    """What a network asks of the memory.

    Parameters
    ----------
    network : :class:`str`
    interval : :class:`int`
        Cycles per frame where the memory never holds it up.
    words : :class:`int`
        Of a port, per frame, of all its streams, whole bursts.
    alone : :class:`int`
        Its interval with the whole device; its own where left out.
    weight : :class:`float`
    most_interval : :class:`int`
        Cycles that a target allows.
    """

    network: str
    interval: int
    words: int
    alone: int = 0
    weight: float = 1.0
    most_interval: int | None = None

    @property
    def reference(self) -> int:
        """The interval that progress is measured by."""
        return self.alone or self.interval


def least_pace(traffics: Sequence[Traffic], words_per_cycle: float,
               objective: str = "throughput", part: float = PARTS_OF_FLOOR[1]) -> tuple[int, ...]:
    """The intervals of networks that share a memory, as short as the objective likes them.

    A network's progress is its interval alone by its interval here. With ``throughput`` the
    weighted sum of progress is largest, and each network has half its weight's share of progress
    at least; where that cannot be, what a network lacks of it counts twice, and a part of it is
    what each has. With ``fairness`` the least progress by weight is largest; with ``resources`` all
    are slowed down alike, as far as targets allow. Exact but for the rounding to whole cycles.

    Parameters
    ----------
    traffics : sequence of :class:`Traffic`
    words_per_cycle : :class:`float`
        That all may take together: :attr:`fcnnx.memory.MemoryTiming.derated`, or a share of it.
    objective : :class:`str`
    part : :class:`float`
        Of the floor, for networks that cannot all reach it.

    Raises
    ------
    Infeasible
        If what targets, or the floor of progress, ask for is more than that.
    """
    total = sum(one.weight for one in traffics)
    words = np.array([one.words * (1 + SURPLUS) for one in traffics])
    fastest = np.array([1 / one.interval for one in traffics])
    slowest = np.array([1 / one.most_interval if one.most_interval else 0.0 for one in traffics])
    floor = np.zeros(len(words))
    if objective == "throughput":
        floor = np.array([FLOOR * one.weight / total / one.reference for one in traffics])
        kept, lowered = (np.maximum(slowest, np.minimum(fastest, share * floor))
                         for share in (1.0, part))
        short = float(words @ kept) > words_per_cycle * (1 + ROUNDING)
        slowest = lowered if short else kept
    for one, least, most in zip(traffics, slowest, fastest, strict=True):
        if least > most * (1 + ROUNDING):
            raise Infeasible(demand=one.network, bound="cycles per frame", asked=one.interval,
                             given=round(1 / least), remedy="A faster engine is needed.")
    least_words = float(words @ slowest)
    if least_words > words_per_cycle * (1 + ROUNDING):
        raise Infeasible(demand=", ".join(one.network for one in traffics),
                         bound="words per cycle", asked=least_words, given=words_per_cycle,
                         factor=least_words / words_per_cycle,
                         remedy=f"Targets {least_words / words_per_cycle:.4g} times slower fit.")
    if objective == "throughput":
        worth = [one.weight * one.reference for one in traffics]
        speeds = _most_worth(words, slowest, floor, fastest, worth, words_per_cycle)
    else:
        level = (fastest if objective == "resources"
                 else np.array([one.weight / one.reference for one in traffics]))
        speeds = _highest_level(words, slowest, fastest, level, words_per_cycle)
    return tuple(one.interval if speed >= most else math.ceil(1 / speed - ROUNDING)
                 for one, speed, most in zip(traffics, speeds, fastest, strict=True))


def _most_worth(words, slowest, floor, fastest, worth, limit: float) -> np.ndarray:
    """Frames per cycle: what is left goes to those whose words are worth most, in turn; they are
    worth more as far as a network is below its floor."""
    speeds, floor = slowest.copy(), np.minimum(floor, fastest)
    left = limit - float(words @ slowest)
    steps = [(words[k] / (worth[k] * more), k, bound[k])
             for more, bound in ((1 + SHORTFALL, floor), (1.0, fastest))
             for k in range(len(words))]
    for _, k, bound in sorted(steps, key=lambda step: step[:2]):
        more = max(bound - speeds[k], 0.0)
        if words[k]:
            more = min(more, max(left, 0.0) / words[k])
        speeds[k] += more
        left -= more * words[k]
    return speeds


def _highest_level(words, slowest, fastest, level, limit: float) -> np.ndarray:
    """Frames per cycle: all at one multiple of their level, within their own bounds."""
    corners = np.unique(np.concatenate([slowest / level, fastest / level]))
    speeds = np.clip(corners[:, None] * level, slowest, fastest)
    loads = speeds @ words
    if loads[-1] <= limit:
        return fastest
    after = int(np.searchsorted(loads, limit, side="right"))
    before = max(after - 1, 0)
    step = loads[after] - loads[before]
    part = (limit - loads[before]) / step if step else 0.0
    multiple = corners[before] + part * (corners[after] - corners[before])
    return np.clip(multiple * level, slowest, fastest)
