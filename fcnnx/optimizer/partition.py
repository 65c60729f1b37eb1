"""One device for several networks: a point of each front, chosen exactly."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fcnnx.errors import BadInput, Problem
from fcnnx.hdl.device import KINDS, Resources

from .bounds import SHORTFALL
from .candidates import Room
from .enumeration import Choices, best_choice


__all__ = ["OBJECTIVES", "Combination", "Option", "Undecided", "combine", "score", "weighted"]


OBJECTIVES = ("throughput", "fairness", "resources")
SCALE = 1e4  # of the goal: the solver takes anything below 1e-7 for nothing
TIE = 1e-6  # what a share of the device weighs beside the goal
EXACT = 1e-6  # of the goal: a gap that ties alone make
FEW = 3  # networks at most, of which all combinations are looked at that may be the best
MANY = 2000  # options of all networks, with which the solver takes long
HELD, FINE = 100, 1.005  # how far frames are held apart at the most, and the steps that are tried
NODES = 5000  # of the solver's search: no clock decides


class Undecided(BadInput):
    """The solver's effort did not tell whether anything fits."""

    def __init__(self) -> None:
        super().__init__(Problem(
            where="targets", reason="Whether the networks fit together could not be told with the "
            "effort that is allowed.", remedy="State fewer targets, or plan fewer networks."))


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


def weighted(progress: Sequence[float], weights: Sequence[float], floor: float) -> float:
    """The weighted sum of progress, of which what lacks of the floor, as in :func:`combine`, counts
    once more."""
    total = math.fsum(weights)
    return math.fsum(weight * (made - SHORTFALL * max(floor * weight / total - made, 0.0))
                     for weight, made in zip(weights, progress, strict=True))


def score(objective: str, picked: Sequence[Option], weights: Sequence[float],
          budget: Resources, floor: float = 0.0) -> float:
    """The figure that an objective makes as great as it can; the floor is as in
    :func:`combine`."""
    total = math.fsum(weights)
    if objective == "throughput":
        return weighted([option.progress for option in picked], weights, floor) / total
    if objective == "fairness":
        return min(option.progress * total / weight
                   for weight, option in zip(weights, picked, strict=True))
    return -sum((option.resources for option in picked), Resources()).share(budget)


def combine(options: Sequence[Sequence[Option]], budget: Resources, *, objective: str,
            weights: Sequence[float], capped: bool = True,
            shared: bool = True, floor: float = 0.0) -> Combination | None:
    """The best combination of options within a budget, or none where none fits.

    Of those that are equally good, to a millionth, one that takes least of the device, as a sum of
    shares. In a :class:`Room` the words of all together are bounded as well, and options may be
    slowed down.

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
    floor : :class:`float`
        Of a weight's share of progress, where ``throughput`` is the objective: what a network lacks
        of it counts once more.

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
    return _combine(options, budget, objective, weights, capped, shared, floor)


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
    """The option where no more than this progress is asked for, nor less than before."""
    longest = int(option.interval * option.progress / share)
    if option.slowest:
        longest = min(longest, option.slowest)
    return dataclasses.replace(option, slowest=max(option.interval, longest))


def _combine(options, budget, objective, weights, capped, shared,
             floor: float = 0.0) -> Combination | None:
    """:func:`combine` where fairness is none of its objectives; ``"none"`` asks only for the least
    of the device."""
    # Where words are not for all together, what is taken of the device breaks no tie, and many are
    # equally good: of networks that are not large, those of the solver have always been taken.
    if (len(options) <= FEW and objective != "resources"
            and (shared or sum(map(len, options)) > MANY)):
        assert capped, "Without caps, all are as fast as they can be"
        return _enumerated(options, budget, objective, weights, shared, floor)
    return _modelled(options, budget, objective, weights, capped, shared, floor)


def _enumerated(options, budget, objective, weights, shared, floor) -> Combination | None:
    """:func:`_combine` of a few networks, by what their options are worth together."""
    flat = [option for each in options for option in each]
    share = np.repeat(np.array(weights) / math.fsum(weights), [len(each) for each in options])
    progress = np.array([option.progress for option in flat])
    words = budget.words_per_cycle if isinstance(budget, Room) and shared else math.inf
    held = objective == "throughput" and math.isfinite(words)
    most = np.array([option.words / option.interval for option in flat])
    least = np.array([option.least_rate for option in flat])
    rate = progress / np.where(most, most, 1.0)  # progress for each word in a cycle
    slowed = np.where(held & (least < most), rate * least, progress)
    # What of its words lifts each to its floor, and the others.
    turn = np.clip(floor * share / np.where(most, rate, 1.0), least, most)
    extents = np.stack([turn - least, most - turn], axis=1) * held
    gains = np.stack([(1 + SHORTFALL) * share * rate, share * rate], axis=1)
    amounts = np.array([[getattr(option.resources, kind) for kind in KINDS] for option in flat])
    given = np.array([getattr(budget, kind) for kind in KINDS])
    cost = (amounts / np.where(given, given, np.inf)).sum(axis=1) if shared else most
    worth = share * (slowed - SHORTFALL * np.maximum(floor * share - slowed, 0.0))
    picks = best_choice(Choices(
        starts=np.cumsum([0, *map(len, options)]),
        values=worth - TIE * cost if objective == "throughput" else -cost,
        amounts=np.column_stack([amounts, least]).astype(np.float64),
        # Of what there is none of, nothing fits: amounts are whole.
        limits=np.append(np.maximum(given, 0.5), min(words, 1 + most.sum())),
        extents=extents, gains=gains))
    return None if picks is None else Combination(picks=picks, gap=0.0)


def _modelled(options, budget, objective, weights, capped, shared,
              floor: float = 0.0) -> Combination | None:
    """:func:`_combine` in one model of integers, solved."""
    # The solver takes a second to load, which a network alone need not wait for.
    from ortools.math_opt.python import mathopt

    model = mathopt.Model()
    words = budget.words_per_cycle if isinstance(budget, Room) and shared else math.inf
    held = objective == "throughput" and math.isfinite(words)
    chosen: list[tuple[Option, Any]] = []
    rows, goal, moved = [], [], []
    for weight, each in zip(weights, options, strict=True):
        row = [model.add_binary_variable() for _ in each]
        model.add_linear_constraint(mathopt.fast_sum(row) == 1)
        rows.append(row)
        chosen += zip(each, row, strict=True)
        made: list[Any] = []
        for option, variable in zip(each, row, strict=True):
            progress, rate = _terms(model, option, variable, held)
            made += progress
            moved += rate
        share = weight / math.fsum(weights)
        goal += [share * term for term in made]
        if floor:
            lack = model.add_variable(lb=0.0)
            model.add_linear_constraint(lack >= floor * share - mathopt.fast_sum(made))
            goal.append(-SHORTFALL * share * lack)
    used = {kind: mathopt.fast_sum(getattr(option.resources, kind) * variable
                                   for option, variable in chosen) for kind in KINDS}
    amounts = {kind: getattr(budget, kind) for kind in KINDS}
    if capped:
        for kind, amount in amounts.items():
            model.add_linear_constraint(used[kind] <= amount)
        if math.isfinite(words):
            model.add_linear_constraint(mathopt.fast_sum(moved) <= words)
    shares = [used[kind] / amount for kind, amount in amounts.items() if amount]
    least = mathopt.fast_sum(shares) if shared else mathopt.fast_sum(
        option.words / option.interval * variable for option, variable in chosen)
    if objective == "throughput":
        best = mathopt.fast_sum(goal) - TIE * least
    elif objective == "resources":
        worst = model.add_variable()
        for share in [*shares, *([mathopt.fast_sum(moved) / words] if math.isfinite(words)
                                 else [])]:
            model.add_linear_constraint(worst >= share)
        best = -worst - TIE * least
    else:
        best = -least
    model.maximize(SCALE * best)
    found = _solve(model)
    if found is None:
        return None
    values, gap = found
    picks = tuple(int(np.argmax([values[variable] for variable in row])) for row in rows)
    total = sum((each[k].resources for each, k in zip(options, picks, strict=True)), Resources())
    assert not capped or total.fits(budget), "What is chosen is whole"
    return Combination(picks=picks, gap=gap if objective != "none" else 0.0)


def _terms(model, option: Option, variable, held: bool) -> tuple[list, list]:
    """What an option adds to progress, and to the words per cycle, if it is the one: as much as it
    can, or as little as it may where frames are held apart, or anything between."""
    least, most = option.least_rate, option.words / option.interval
    if not held or least == most:
        return [option.progress * variable], [least * variable]
    way = model.add_variable(lb=0.0, ub=1.0)
    model.add_linear_constraint(way <= variable)
    slowed = option.progress * least / most
    return ([slowed * variable, (option.progress - slowed) * way],
            [least * variable, (most - least) * way])


def _solve(model) -> tuple[Any, float] | None:
    """The values of its variables, and the proven gap; None where nothing fits."""
    from ortools.math_opt.python import mathopt

    result = mathopt.solve(model, mathopt.SolverType.HIGHS, params=mathopt.SolveParameters(
        random_seed=1, node_limit=NODES, relative_gap_tolerance=0.0))
    reason = result.termination.reason
    if reason in (mathopt.TerminationReason.INFEASIBLE,
                  mathopt.TerminationReason.INFEASIBLE_OR_UNBOUNDED):
        return None
    if not result.has_primal_feasible_solution():
        raise Undecided
    bounds = result.termination.objective_bounds
    gap = max(bounds.dual_bound - bounds.primal_bound, 0.0) / max(abs(bounds.dual_bound), EXACT)
    return result.variable_values(), gap if gap > EXACT else 0.0
