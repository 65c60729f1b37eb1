"""One device for several networks: a point of each front, chosen exactly."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fcnnx.hdl.device import KINDS, Resources

from .candidates import Room


__all__ = ["OBJECTIVES", "Combination", "Option", "Undecided", "combine", "score"]


OBJECTIVES = ("throughput", "fairness", "resources")
SCALE = 10 ** 9  # of real figures as integers
PROGRESS, RATE = 10 ** 7, 10 ** 6  # likewise, where they multiply each other
HELD, FINE = 100, 1.005  # how far frames are held apart at the most, and the steps that are tried
EFFORT = 60.0  # deterministic time of the solver: no clock decides


class Undecided(Exception):
    """The solver's effort did not tell whether anything fits."""

    def __init__(self) -> None:
        super().__init__("Whether the networks fit together could not be told with the effort "
                         "that is allowed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What a network may take, and what it then does.

    Parameters
    ----------
    interval : :class:`int`
        Cycles.
    resources : :class:`Resources`
    progress : :class:`float`
        T_alone / interval.
    words : :class:`int`
        Of a memory's port, that a frame moves.
    slowest : :class:`int`
        The longest interval that its frames may be held apart to, where words are short; at least
        its own.
    """

    interval: int
    resources: Resources
    progress: float
    words: int = 0
    slowest: int = 0

    @property
    def least_rate(self) -> float:
        """Words per cycle that it takes at the least."""
        return self.words / max(self.interval, self.slowest)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combination:
    """An option for each network.

    Parameters
    ----------
    picks : tuple of :class:`int`
    gap : :class:`float`
        Proven distance to the best, as a share of it; 0 where nothing better exists.
    """

    picks: tuple[int, ...]
    gap: float


def score(objective: str, picked: Sequence[Option], weights: Sequence[float],
          budget: Resources) -> float:
    """The figure that an objective makes as great as it can."""
    total = math.fsum(weights)
    if objective == "throughput":
        return math.fsum(weight / total * option.progress
                         for weight, option in zip(weights, picked, strict=True))
    if objective == "fairness":
        return min(option.progress * total / weight
                   for weight, option in zip(weights, picked, strict=True))
    return -sum((option.resources for option in picked), Resources()).share(budget)


def combine(options: Sequence[Sequence[Option]], budget: Resources, *, objective: str,
            weights: Sequence[float], capped: bool = True,
            shared: bool = True) -> Combination | None:
    """The best combination of options within a budget, or none where none fits.

    Of those that are equally good, one that takes least of the device, as a sum of shares. In a
    :class:`Room` the words of all together are bounded as well, and options may be slowed down.

    Parameters
    ----------
    options : sequences of :class:`Option`, one for each network
    budget : :class:`Resources`
    objective : one of :data:`OBJECTIVES`
    weights : numbers, one for each network
    capped : :class:`bool`
        Whether the budget must be kept; else it only measures.
    shared : :class:`bool`
        Whether the words are for all together; else each network has them all, and of combinations
        that are equally good one moves fewest.

    Raises
    ------
    Undecided
        If it cannot be told with the effort that is allowed.
    """
    if not all(options):
        return None
    if objective == "fairness":
        assert capped, "Without caps, all are as fast as they can be"
        return _fairest(options, budget, weights, shared)
    return _combine(options, budget, objective, weights, capped, shared)


def _fairest(options, budget, weights, shared) -> Combination | None:
    """Bisection over the values that the least progress can have: each step is only whether
    options above it fit, which is easy where the greatest least is hard."""
    total = math.fsum(weights)
    shares = [[option.progress * total / weight for option in each]
              for each, weight in zip(options, weights, strict=True)]
    values = sorted({share for row in shares for share in row})
    holds = shared and isinstance(budget, Room)
    if holds:  # frames may be held apart as far as any of these
        count = math.ceil(math.log(values[-1] / values[0] * HELD) / math.log(FINE)) + 1
        held = np.geomspace(values[0] / HELD, values[-1], count)
        values = sorted({*values, *held.tolist()})
    low, high, impossible, best = -1, len(values), len(values), None
    while high - low > 1:
        middle = (low + high) // 2
        kept = [[k for k, share in enumerate(row) if share >= values[middle]] for row in shares]
        found = None
        tried = [[each[k] for k in ours] for each, ours in zip(options, kept, strict=True)]
        if holds:
            tried = [[_held(each, share=values[middle] * weight / total) for each in ours]
                     for ours, weight in zip(tried, weights, strict=True)]
        try:
            if all(kept):
                found = _combine(tried, budget, "none", weights, True, shared)
            if found is None:
                impossible = middle
        except Undecided:
            found = None
        if found is None:
            high = middle
        else:
            low = middle
            best = tuple(ours[k] for ours, k in zip(kept, found.picks, strict=True))
    if best is None:
        if impossible:
            raise Undecided
        return None
    return Combination(picks=best, gap=1 - values[low] / values[impossible - 1])


def _held(option: Option, *, share: float) -> Option:
    """The option where no more than this progress is asked for."""
    return dataclasses.replace(
        option, slowest=max(option.interval, int(option.interval * option.progress / share)))


def _combine(options, budget, objective, weights, capped, shared) -> Combination | None:
    """:func:`combine` in one model; ``"none"`` asks only for the least of the device."""
    # The solver takes a second to load, which a network alone need not wait for.
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    chosen = [[model.new_bool_var(f"{n}_{k}") for k in range(len(each))]
              for n, each in enumerate(options)]
    for row in chosen:
        model.add_exactly_one(row)
    used = {kind: sum(getattr(option.resources, kind) * variable
                      for each, row in zip(options, chosen, strict=True)
                      for option, variable in zip(each, row, strict=True)) for kind in KINDS}
    if capped:
        for kind in KINDS:
            model.add(used[kind] <= getattr(budget, kind))
    solver, gap = None, 0.0
    words = None
    if isinstance(budget, Room) and shared and math.isfinite(budget.words_per_cycle):
        words = budget.words_per_cycle
    if objective == "throughput" and words is not None:
        goal = _held_progress(model, options, chosen, words, weights)
    elif words is not None:
        rates = sum(math.ceil(RATE * option.least_rate) * variable
                    for each, row in zip(options, chosen, strict=True)
                    for option, variable in zip(each, row, strict=True))
        if capped:
            model.add(rates <= math.floor(RATE * words))
    if objective != "none":
        if objective != "throughput" or words is None:
            goal = _goal(model, options, chosen, used, budget, objective, weights)
        if objective == "resources" and words is not None:
            model.add(-goal >= SCALE // max(1, math.floor(RATE * words)) * rates)
        first = _solve(model, goal)
        if first is None:
            return None
        solver, gap = first
        model.add(goal >= int(solver.objective_value))
        for row in chosen:
            for variable in row:
                model.add_hint(variable, solver.value(variable))
    taken = sum(SCALE // getattr(budget, kind) * used[kind] for kind in KINDS
                if getattr(budget, kind))
    if not shared:
        taken = sum(math.ceil(RATE * option.words / option.interval) * variable
                    for each, row in zip(options, chosen, strict=True)
                    for option, variable in zip(each, row, strict=True))
    try:
        second = _solve(model, -taken)
    except Undecided:
        if solver is None:
            raise
        second = solver, gap
    if second is None:
        return None
    solver, _ = second
    picks = tuple(next(k for k, variable in enumerate(row) if solver.value(variable))
                  for row in chosen)
    return Combination(picks=picks, gap=gap)


def _held_progress(model, options, chosen, words: float, weights):
    """Weighted progress where words are short: that of each option is anything down to the least,
    and what it moves is in proportion."""
    total = math.fsum(weights)
    terms, moved = [], []
    dearest = max(option.words / (option.interval * option.progress * weight / total)
                  for weight, each in zip(weights, options, strict=True) for option in each)
    for n, (weight, each, row) in enumerate(zip(weights, options, chosen, strict=True)):
        for k, (option, variable) in enumerate(zip(each, row, strict=True)):
            most = round(PROGRESS * weight / total * option.progress)
            if not option.words:
                terms.append(most * variable)
                continue
            least = most * option.interval // max(option.interval, option.slowest)
            term = model.new_int_var(0, most, f"progress_{n}_{k}")
            model.add(term <= most * variable)
            model.add(term >= least * variable)
            terms.append(term)
            each_moves = option.words / (option.interval * option.progress * weight / total)
            moved.append(math.ceil(RATE * each_moves / dearest) * term)
    if moved:
        model.add(sum(moved) <= math.floor(RATE * PROGRESS * words / dearest))
    return sum(terms)


def _goal(model, options, chosen, used, budget, objective, weights):
    """What is to be made as great as possible: an integer expression."""
    total = math.fsum(weights)
    if objective == "throughput":
        return sum(round(SCALE * weight / total * option.progress) * variable
                   for weight, each, row in zip(weights, options, chosen, strict=True)
                   for option, variable in zip(each, row, strict=True))
    worst = model.new_int_var(-SCALE * 10 ** 6, SCALE * 10 ** 6, "worst")
    for kind in KINDS:
        if amount := getattr(budget, kind):
            model.add(-worst >= SCALE // amount * used[kind])
    return worst


def _solve(model, goal) -> tuple[Any, float] | None:
    from ortools.sat.python import cp_model

    model.maximize(goal)
    solver = cp_model.CpSolver()
    solver.parameters.random_seed = 1
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = EFFORT
    status = solver.solve(model)
    if status == cp_model.UNKNOWN:
        raise Undecided
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    value, bound = solver.objective_value, solver.best_objective_bound
    return solver, max(bound - value, 0.0) / max(abs(bound), 1.0)
