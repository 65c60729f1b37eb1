"""Selections of several networks made better, by what networks leave or give one another.

A combination is exact for the points of the networks' fronts. Between those there are others, of
other prices.
"""

import dataclasses
from collections.abc import Callable, Sequence

from fcnnx.hdl.device import Resources

from .candidates import Room
from .choice import Chooser, Selection
from .concurrency import at_once
from .pareto import fastest


__all__ = ["LEAST_WORDS", "NOTHING", "Trader", "Worth"]


Worth = tuple[float, float]
NOTHING: Worth = (float("-inf"), float("-inf"))  # what is worth least
TRADES = 2  # rounds in which networks give each other words of the memory
POLISHES = 3  # rounds in which each takes what others leave
WORDS_SHARES = (1.0, 0.3, 0.1)  # of the words, that a network is tried with
LEAST_WORDS = 1e-6  # per cycle, that are left at the least


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Trader:
    """What networks can trade, and what that is worth.

    Parameters
    ----------
    choosers : one for each network
    room : :class:`Resources`
        For all of them.
    words : :class:`float` or None
        Per cycle that a memory gives; None without one.
    shared : :class:`bool`
        Whether they share them; else each has all.
    known : lists of :class:`Selection`, one for each network
        Points that it may have; what is found is added.
    longest : sequence of :class:`int`
        Intervals that they may have at most.
    keeps : callable
        Whether a network, by its number, keeps to its targets with a selection.
    worth : callable
        What selections of all are worth.
    """

    choosers: Sequence[Chooser]
    room: Resources
    words: float | None
    shared: bool
    known: Sequence[list[Selection]]
    longest: Sequence[int]
    keeps: Callable[[int, Selection], bool]
    worth: Callable[[Sequence[Selection]], Worth]

    def left(self, selections: Sequence[Selection], n: int) -> Resources:
        """What all networks but one leave."""
        others = [each for k, each in enumerate(selections) if k != n]
        taken = sum((each.resources for each in others), Resources())
        left = self.room - taken
        if self.words is None or not self.shared:
            return Room.of(left, self.words)
        moved = sum(each.words / each.interval for each in others)
        return Room.of(left, max(self.words - moved, LEAST_WORDS))

    def traded(self, picked: Sequence[Selection]) -> list[Selection]:
        """The selections, each in turn as fast as what the others leave of the device makes it with
        more or fewer words, where that is worth more when all are held apart for the memory.

        Where words bind, one network is faster only if another gives some of them.
        """
        assert self.words is not None
        made, best = list(picked), self.worth(picked)
        for _ in range(TRADES):
            before = best
            for n, chooser in enumerate(self.choosers):
                left = self.left(made, n)
                rooms = [Room.of(left, share * self.words) for share in WORDS_SHARES]
                for option in at_once(fastest, [chooser] * len(rooms), rooms):
                    if (option is None or option.interval > self.longest[n]
                            or not self.keeps(n, option)):
                        continue
                    self.known[n].append(option)
                    tried = [*made[:n], option, *made[n + 1:]]
                    worth = self.worth(tried)
                    if worth > best:
                        made, best = tried, worth
            if best <= before:
                break
        return made

    def polished(self, selections: Sequence[Selection]) -> tuple[Selection, ...]:
        """The selections, each in turn as fast as what the others leave makes it, until none is
        faster."""
        made = list(selections)
        for _ in range(POLISHES):
            before = list(made)
            for n, chooser in enumerate(self.choosers):
                faster = fastest(chooser, self.left(made, n))
                if (faster is not None and faster.interval < made[n].interval
                        and self.keeps(n, faster)):
                    made[n] = faster
            if made == before:
                break
        return tuple(made)
