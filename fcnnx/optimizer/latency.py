"""What a network's budget has left, spent on the latency: single stages made faster."""

import dataclasses
import functools
from collections.abc import Mapping

from fcnnx.hdl.device import Resources

from .choice import Chooser, Selection
from .concurrency import at_once
from .fifos import ample
from .pareto import fit
from .timing import Solver


__all__ = ["latency_of", "lower_latency"]


LEAST_PAID = 0.002  # of a budget, that a stage made faster is taken to cost
STEP = 0.8  # of its cycles, that a stage made faster may take at most
LEAST_SAVED = 500  # a part of the latency; for less, a stage is not made faster
TOGETHER = 2  # moves that are looked at, at once


def latency_of(chooser: Chooser, selection: Selection) -> int:
    """Cycles of the first frame, with ample queues at joins."""
    return _solved(chooser, selection).latency


def _solved(chooser: Chooser, selection: Selection) -> Solver:
    # Of one frame there are fewer events to solve than to eliminate.
    solver = ample(functools.partial(chooser.engine, selection), frames=1, whole=True)
    solver.solve_frame()
    return solver


def lower_latency(chooser: Chooser, selection: Selection, budget: Resources, *,
                  rounds: int = 12, tries: int = 6) -> Selection:
    """Spend what a budget has left on the latency: make single stages faster while that helps.

    Greedy by latency saved for each share of the budget. A stage made faster saves at most its part
    of what it has of the critical path, if all else stays as it is: stages are tried in the order
    of that, until none promises more than what was seen.

    Parameters
    ----------
    chooser, selection, budget
        What there is, and what all of it may take.
    rounds : :class:`int`
        Moves, at most.
    tries : :class:`int`
        Moves looked at in a round, at most.
    """
    solver = _solved(chooser, selection)
    limits: Mapping[int, int] = {}
    for _ in range(rounds):
        least = max(1, solver.latency // LEAST_SAVED)
        moves = [move for node, cycles in _critical(chooser, solver).items() if cycles >= least
                 and (move := _faster(chooser, selection, budget, limits, node, cycles))
                 and move.promised >= least]
        moves = sorted(moves, key=lambda move: move.gain, reverse=True)[:tries]
        best, gain = None, 0.0
        for k in range(0, len(moves), TOGETHER):
            batch = moves[k:k + TOGETHER]
            if batch[0].gain <= gain:
                break
            tried = at_once(functools.partial(_solved, chooser),
                            [move.selection for move in batch])
            for move, faster in zip(batch, tried, strict=True):
                saved = solver.latency - faster.latency
                if saved >= least and saved / move.paid > gain:
                    best, gain = (move, faster), saved / move.paid
        if best is None:
            break
        move, solver = best
        selection, limits = move.selection, move.limits
    return selection


def _critical(chooser: Chooser, solver: Solver) -> dict[int, int]:
    """Cycles of the critical path by node; what lies between two of the network's stages counts
    with the later one."""
    spent = solver.critical()
    owner: dict[str, int | None] = {}
    found: dict[int, int] = {}
    for stage in reversed(solver.engine.stages):
        node = chooser.numbers.get(stage.name, owner.get(stage.name))
        owner.update({source.name: node for source in stage.inputs})
        if node is not None:
            found[node] = found.get(node, 0) + spent[stage.name]
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class _Move:
    """A selection with one stage faster.

    Parameters
    ----------
    selection : :class:`Selection`
    limits : cycles by node
        What makes it so.
    promised : :class:`float`
        Cycles of the latency that it saves at most.
    paid : :class:`float`
        Share of the budget.
    """

    selection: Selection
    limits: Mapping[int, int]
    promised: float
    paid: float

    @property
    def gain(self) -> float:
        """What it promises for what it costs."""
        return self.promised / self.paid


def _faster(chooser: Chooser, selection: Selection, budget: Resources, limits: Mapping[int, int],
            node: int, cycles: int) -> _Move | None:
    """A stage, which has so many cycles of the critical path, a step faster within the budget."""
    intervals = chooser.nodes[node].intervals
    now = int(intervals[selection.picks[node]])
    below = intervals[intervals <= STEP * now]
    if not below.size:
        return None
    tighter = {**limits, node: int(below.max())}
    trial = fit(chooser, selection.limit, budget, tighter)
    if trial is None or trial.interval > selection.interval:
        return None
    paid = max(trial.resources.share(budget) - selection.resources.share(budget), LEAST_PAID)
    return _Move(selection=trial, limits=tighter, promised=cycles * (1 - below.max() / now),
                 paid=paid)
