"""One network's best points: the fastest within a budget, and the front of what it costs."""

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fcnnx.hdl.device import KINDS, Resources

from .candidates import Room, amounts_of
from .choice import Chooser, Selection
from .concurrency import at_once
from .fifos import ample


__all__ = ["ANY", "base_prices", "fastest", "fit", "front", "latency_of", "lower_latency", "paced",
           "prices_of", "smallest", "undominated"]


ANY = 1 << 40  # cycles: no limit
WORDS = "words"  # the kind that a memory adds to those of a device
ROUNDS = 16  # of prices
STEEPNESS = 2.0  # what is short becomes dearer by so much a round
# Prices of a front's points, as shares of the budget: all alike, and each scarce kind dear; all of
# it once more with block RAM dear, which weights are put into where it is cheap.
NO_LEANING: Mapping[str, float] = {}
SPARES_LUTS = {"lut": 8.0}
SPARES_BLOCKS = {"bram18": 8.0}
MIXES = (0.2, 0.4, 0.6, 0.8)  # of the DSPs that make all products
LEANINGS = tuple({**leaning, **blocks} for blocks in (NO_LEANING, SPARES_BLOCKS) for leaning in (
    NO_LEANING, {"dsp": 2.5}, {"dsp": 8.0}, {"dsp": 40.0}, {"lut": 2.5}, SPARES_LUTS))
MEMORY_LEANINGS: tuple[Mapping[str, float], ...] = ({WORDS: 8.0}, {WORDS: 40.0}, {WORDS: 0.1})
# With a memory, networks may be large: points lie farther apart, those of so many times the
# fastest's interval most, and what is between is tried once the others are known.
NEAR, NEAR_RATIO, FAR_RATIO = 8, 1.02, 1.1
LEAST_PAID = 0.002  # of a budget, that a stage made faster is taken to cost
FINE = 1.01  # of intervals that are tried where it is words that a frame takes long for


def base_prices(budget: Resources, leaning: Mapping[str, float] = NO_LEANING) -> np.ndarray:
    """Prices that make a whole budget of each kind cost the same, but for a leaning.

    Flip-flops are never what is short: they cost little.
    """
    return prices_of(amounts_of(budget), leaning)


def prices_of(bounds: np.ndarray, leaning: Mapping[str, float] = NO_LEANING) -> np.ndarray:
    """The same for what :meth:`Chooser.bounds` gives."""
    prices = 1.0 / np.maximum(bounds, 1)
    prices[KINDS.index("ff")] *= 0.1
    return prices * np.array([leaning.get(kind, 1.0) for kind in (*KINDS, WORDS)[:len(prices)]])


def fit(chooser: Chooser, limit: int, budget: Resources,
        limits: Mapping[int, int] | None = None) -> Selection | None:
    """Foldings that keep to an interval within a budget, or none: prices of what is short rise."""
    amounts = np.maximum(chooser.bounds(budget, limit), 1)
    prices = prices_of(amounts)
    for _ in range(ROUNDS):
        selection = chooser.choose(limit, prices, limits)
        if selection is None:
            return None
        if chooser.fits(selection, budget):
            return paced(selection, budget)
        mended = chooser.within(selection, budget, limits)
        if chooser.fits(mended, budget):
            return paced(mended, budget)
        used = chooser.amounts(selection) / amounts
        prices = prices * np.clip(used, 0.5, 4.0) ** STEEPNESS
        prices /= (prices * amounts).max()
    return None


def paced(selection: Selection, budget: Resources) -> Selection:
    """The selection with its frames as far apart as the words of a budget make them."""
    return selection.paced(budget.words_per_cycle) if isinstance(budget, Room) else selection


def smallest(chooser: Chooser, budget: Resources) -> Selection:
    """The foldings that exceed a budget least, however slow."""
    found = []
    amounts = np.maximum(chooser.bounds(budget, ANY), 1)
    prices = prices_of(amounts)
    for _ in range(ROUNDS):
        selection = chooser.choose(ANY, prices)
        assert selection is not None, "Some folding keeps to no limit at all"
        used = chooser.amounts(selection) / amounts
        found.append((float(used.max()), selection))
        prices = prices * np.clip(used, 0.5, 4.0) ** STEEPNESS
        prices /= (prices * amounts).max()
    return min(found, key=lambda each: each[0])[1]


def fastest(chooser: Chooser, budget: Resources) -> Selection | None:
    """The least interval within a budget, by bisection over those that a stage may have."""
    slowest = fit(chooser, ANY, budget)
    if slowest is None:
        return None
    useful = _useful(chooser, slowest).tolist()
    low, high, best = -1, len(useful), slowest
    while high - low > 1:
        middle = (low + high) // 2
        selection = fit(chooser, useful[middle], budget)
        if selection is None:
            low = middle
        else:
            high, best = middle, selection
    return best


def _useful(chooser: Chooser, slowest: Selection) -> np.ndarray:
    """Intervals worth trying: a stage may have them, or the words of a frame may take as long."""
    useful = chooser.useful[chooser.useful < slowest.interval]
    if chooser.memory is None:
        return useful
    count = math.ceil(math.log(slowest.interval / chooser.useful[0]) / math.log(FINE)) + 1
    grid = np.geomspace(chooser.useful[0], slowest.interval, count).astype(np.int64)
    return np.unique(np.concatenate([useful, grid[:-1]]))


def front(chooser: Chooser, budget: Resources, *, fastest_interval: int,
          ratio: float = 1.01) -> list[Selection]:
    """Points that no other beats in interval and every resource, the slowest first.

    Parameters
    ----------
    chooser : :class:`Chooser`
    budget : :class:`Resources`
        What prices are relative to; points may exceed it.
    fastest_interval : :class:`int`
        Where the front ends.
    ratio : :class:`float`
        Of the limits of neighbouring points, at least: every useful interval where they lie
        farther apart.
    """
    found: list[Selection] = []
    for leaning in LEANINGS if chooser.memory is None else LEANINGS + MEMORY_LEANINGS:
        limit = ANY
        while limit >= fastest_interval:
            prices = prices_of(chooser.bounds(budget, limit), leaning)
            selection = chooser.choose(limit, prices)
            if selection is None:
                break
            for each in (selection, *_mixed(chooser, selection, budget, leaning)):
                found.append(paced(each, budget))
            step = ratio
            if chooser.memory is not None:
                near = selection.interval <= NEAR * fastest_interval
                step = max(ratio, NEAR_RATIO if near else FAR_RATIO)
            limit = max(min(selection.interval - 1, int(selection.interval / step)),
                        min(fastest_interval, selection.interval - 1))
    return undominated(chooser, found)


def _mixed(chooser: Chooser, selection: Selection, budget: Resources,
           leaning: Mapping[str, float]) -> Iterator[Selection]:
    """Where look-up tables are dear, the same with some of its multipliers made of them: prices
    choose all of one kind, or of the other."""
    if leaning.get("lut") != SPARES_LUTS["lut"]:
        return
    for share in MIXES:
        most = dataclasses.replace(budget, dsp=int(share * selection.resources.dsp))
        yield chooser.within(selection, most)


def undominated(chooser: Chooser, selections: Iterable[Selection]) -> list[Selection]:
    """Those that no other beats in interval and every amount, the slowest first."""
    found: dict[tuple[int, ...], Selection] = {}
    for each in selections:
        found.setdefault((each.interval, *chooser.amounts(each).tolist()), each)
    kept: list[Selection] = []
    costs = np.empty((0, len(next(iter(found)))), dtype=np.int64)
    for key in sorted(found):
        if not (costs <= key).all(axis=1).any():
            costs = np.vstack([costs, key])
            kept.append(found[key])
    return kept[::-1]


def latency_of(chooser: Chooser, selection: Selection) -> int:
    """Cycles of the first frame, with ample queues at joins."""
    solver = ample(functools.partial(chooser.engine, selection), frames=1)
    solver.solve_frame()
    return solver.latency


@dataclasses.dataclass
class _Move:
    """A stage made faster, and what that was seen to bring."""

    node: int
    gain: float


def lower_latency(chooser: Chooser, selection: Selection, budget: Resources, *,
                  rounds: int = 12, tries: int = 6) -> Selection:
    """Spend what a budget has left on the latency: make single stages faster while that helps.

    Greedy by latency saved for each share of the budget; in each round only the moves that looked
    best before are tried again.

    Parameters
    ----------
    chooser, selection, budget
        What there is, and what all of it may take.
    rounds : :class:`int`
        Moves, at most.
    tries : :class:`int`
        Moves looked at in a round after the first.
    """
    latency = latency_of(chooser, selection)
    limits: Mapping[int, int] = {}
    moves = [_Move(k, np.inf) for k in range(*chooser.stages.indices(len(chooser.nodes)))]
    for turn in range(rounds):
        moves.sort(key=lambda move: (-move.gain, move.node))
        tried = moves if not turn else moves[:tries]
        trials = at_once(functools.partial(_tried, chooser, selection, latency, budget, limits),
                         [move.node for move in tried])
        for move, trial in zip(tried, trials, strict=True):
            move.gain = trial.gain if trial else 0.0
        best = max((trial for trial in trials if trial), key=lambda trial: trial.gain,
                   default=None)
        if best is None or latency - best.latency < max(1, latency // 500):
            return selection
        selection, limits, latency = best.selection, best.limits, best.latency
    return selection


@dataclasses.dataclass(frozen=True, eq=False)
class _Trial:
    """A selection with one stage faster, the limits that make it so, and what that brings for each
    share of the budget."""

    selection: Selection
    limits: Mapping[int, int]
    latency: int
    gain: float


def _tried(chooser: Chooser, selection: Selection, latency: int, budget: Resources,
           limits: Mapping[int, int], node: int) -> _Trial | None:
    """What comes of one stage a step faster, if it can be."""
    found = _faster(chooser, selection, budget, limits, node)
    if found is None:
        return None
    faster, tighter = found
    reached = latency_of(chooser, faster)
    paid = max(faster.resources.share(budget) - selection.resources.share(budget), LEAST_PAID)
    return _Trial(faster, tighter, reached, gain=max(latency - reached, 0) / paid)


def _faster(chooser: Chooser, selection: Selection, budget: Resources, limits: Mapping[int, int],
            node: int) -> tuple[Selection, dict[int, int]] | None:
    """The selection with one stage a step faster, within the budget."""
    intervals = chooser.nodes[node].intervals
    now = int(intervals[selection.picks[node]])
    below = intervals[intervals <= 0.8 * now]
    if not below.size:
        return None
    tighter = {**limits, node: int(below.max())}
    trial = fit(chooser, selection.limit, budget, tighter)
    if trial is None or trial.interval > selection.interval:
        return None
    return trial, tighter
