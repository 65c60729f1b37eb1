"""One device for several networks: a point of each front, chosen exactly."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from fcnnx.hdl.device import KINDS, Resources


__all__ = ["OBJECTIVES", "Combination", "Option", "Undecided", "combine", "score"]


OBJECTIVES = ("throughput", "fairness", "resources")
SCALE = 10 ** 9  # of real figures as integers
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
    """

    interval: int
    resources: Resources
    progress: float


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
            weights: Sequence[float], capped: bool = True) -> Combination | None:
    """The best combination of options within a budget, or none where none fits.

    Of those that are equally good, one that takes least of the device, as a sum of shares.

    Parameters
    ----------
    options : sequences of :class:`Option`, one for each network
    budget : :class:`Resources`
    objective : one of :data:`OBJECTIVES`
    weights : numbers, one for each network
    capped : :class:`bool`
        Whether the budget must be kept; else it only measures.

    Raises
    ------
    Undecided
        If it cannot be told with the effort that is allowed.
    """
    if not all(options):
        return None
    if objective == "fairness":
        assert capped, "Without caps, all are as fast as they can be"
        return _fairest(options, budget, weights)
    return _combine(options, budget, objective, weights, capped)


def _fairest(options, budget, weights) -> Combination | None:
    """Bisection over the values that the least progress can have: each step is only whether
    options above it fit, which is easy where the greatest least is hard."""
    total = math.fsum(weights)
    shares = [[option.progress * total / weight for option in each]
              for each, weight in zip(options, weights, strict=True)]
    values = sorted({share for row in shares for share in row})
    low, high, impossible, best = -1, len(values), len(values), None
    while high - low > 1:
        middle = (low + high) // 2
        kept = [[k for k, share in enumerate(row) if share >= values[middle]] for row in shares]
        found = None
        try:
            if all(kept):
                found = _combine([[each[k] for k in ours] for each, ours in
                                  zip(options, kept, strict=True)], budget, "none", weights, True)
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


def _combine(options, budget, objective, weights, capped) -> Combination | None:
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
    if objective != "none":
        goal = _goal(model, options, chosen, used, budget, objective, weights)
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
