"""What was not chosen, so that people see why: a network's front, and what the next step needs."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from fcnnx.hdl.device import Resources
from fcnnx.hdl.engine import Engine
from fcnnx.plan import FrontPoint

from .choice import Chooser, Selection
from .pareto import front, prices_of


__all__ = ["Evidence", "evidence"]


STEP = 1.1  # of the limits of neighbouring points: to be looked at, not to be chosen from
ROUNDS = 8  # of prices
SLOWEST = 100  # times what was chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a network could have been.

    Parameters
    ----------
    front : tuple of :class:`FrontPoint`
        The slowest first.
    faster : :class:`FrontPoint` or None
        The next faster foldings, those that exceed least what the other networks leave; None where
        no foldings are faster.
    """

    front: tuple[FrontPoint, ...]
    faster: FrontPoint | None


def evidence(chooser: Chooser, selection: Selection, engine: Engine, budget: Resources,
             others: Iterable[Resources]) -> Evidence:
    """What a network could have been instead.

    Parameters
    ----------
    chooser, selection
        Of the network, and what was chosen.
    engine : :class:`Engine`
        With its queues sized: what is held where branches meet stays as it is.
    budget : :class:`Resources`
    others : resources of the other networks, and of the memory side
    """
    chooser.remember(engine, selection)
    points = front(chooser, budget, fastest_interval=max(1, selection.interval // 4), ratio=STEP)
    return Evidence(
        front=tuple(FrontPoint(interval_cycles=each.interval, resources=each.resources)
                    for each in points if each.interval <= SLOWEST * selection.interval),
        faster=_faster(chooser, selection, budget, sum(others, Resources())))


def _faster(chooser: Chooser, selection: Selection, budget: Resources,
            others: Resources) -> FrontPoint | None:
    useful = chooser.useful[chooser.useful < selection.interval]
    if not useful.size:
        return None
    left = budget.less(others)
    amounts = np.maximum(chooser.bounds(left, int(useful[-1])), 1)
    prices = prices_of(amounts)
    best: tuple[float, Selection] | None = None
    for _ in range(ROUNDS):  # what is short becomes dearer, as where foldings are fitted
        found = chooser.choose(int(useful[-1]), prices)
        if found is None:
            break
        found = chooser.within(found, left)
        used = chooser.amounts(found) / amounts
        if best is None or used.max() < best[0]:
            best = float(used.max()), found
        if used.max() <= 1:
            break
        prices = prices * np.clip(used, 0.5, 2.0)
    return None if best is None else FrontPoint(interval_cycles=best[1].interval,
                                                resources=best[1].resources)
