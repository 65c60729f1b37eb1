"""One network's best points: the fastest within a budget, and the front of what it costs."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from fcnnx.hdl.device import KINDS, Resources

from .candidates import Room, amounts_of
from .choice import Chooser, Selection


__all__ = ["ANY", "base_prices", "fastest", "fit", "front", "paced", "prices_of",
           "smallest", "undominated"]


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
