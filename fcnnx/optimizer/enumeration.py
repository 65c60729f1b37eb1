"""The best choice of one option from each of a few sets within limits, compiled by numba.

Prices of the limits (Lagrange multipliers) bound what any choice is worth: its options' values less
what they take at these prices, and all of the limits at these prices. Options are tried in the
order of that difference, and no further than where the bound is below the best choice that is
known: what is found is exact, whatever the prices.
"""

from typing import NamedTuple

import numba
import numpy as np


__all__ = ["Choices", "best_choice"]


ROUNDS = 400  # of prices
PATIENCE = 10  # rounds without a lower bound, after which steps are halved


class Choices(NamedTuple):
    """The options of all sets, set after set.

    What the last limit leaves is handed out: an option may take more of it, piece by piece, and is
    worth more then.

    Parameters
    ----------
    starts : integers, shape (sets + 1,)
        First option of each.
    values : floats, shape (options,)
        What each is worth with what it takes at the least.
    amounts : floats, shape (options, limits)
    limits : positive floats, shape (limits,)
    extents : floats, shape (options, pieces)
        Of the last amount.
    gains : floats, shape (options, pieces)
        For each unit of it; those of an option's later pieces are no greater.
    """

    starts: np.ndarray
    values: np.ndarray
    amounts: np.ndarray
    limits: np.ndarray
    extents: np.ndarray
    gains: np.ndarray


def best_choice(choices: Choices) -> tuple[int, ...] | None:
    """The option of each set that together are worth most, counted within the set; none where none
    keep to the limits."""
    fitting = np.flatnonzero((choices.amounts <= choices.limits).all(axis=1))
    starts = np.searchsorted(fitting, choices.starts)
    if not (np.diff(starts) > 0).all():
        return None
    kept = _taken(choices, fitting, starts)
    prices, best, picks = _prices(kept)
    reduced = _reduced(kept, prices)
    order = np.lexsort((-reduced, np.repeat(np.arange(len(starts) - 1), np.diff(starts))))
    better, found = _search(_taken(kept, order, starts), reduced[order],
                            float(prices @ kept.limits), best)
    if better:
        picks = order[found]
    elif best == -np.inf:
        return None
    return tuple((fitting[picks] - choices.starts[:-1]).tolist())


def _taken(choices: Choices, options: np.ndarray, starts: np.ndarray) -> Choices:
    """Some of the options, in another order within their sets."""
    return Choices(starts=starts, values=choices.values[options], amounts=choices.amounts[options],
                   limits=choices.limits, extents=choices.extents[options],
                   gains=choices.gains[options])


@numba.njit(cache=True, nogil=True)
def _reduced(choices, prices):
    """What each option is worth less what it takes, at these prices."""
    reduced = np.empty(len(choices.values))
    for k in range(len(reduced)):
        worth = choices.values[k]
        for kind in range(len(prices)):
            worth -= prices[kind] * choices.amounts[k, kind]
        for piece in range(choices.gains.shape[1]):
            worth += max(choices.gains[k, piece] - prices[-1], 0.0) * choices.extents[k, piece]
        reduced[k] = worth
    return reduced


@numba.njit(cache=True, nogil=True)
def _prices(choices):
    """Prices whose bound is low, by subgradients; and the best choice that was met meanwhile, if
    any, with what it is worth."""
    sets, limits = len(choices.starts) - 1, choices.limits
    prices, lowest = np.zeros(len(limits)), np.inf
    best, picks, found = -np.inf, np.zeros(sets, np.int64), np.zeros(sets, np.int64)
    target = 0.0  # a bound below which the least one may be
    for n in range(sets):
        target += choices.values[choices.starts[n]:choices.starts[n + 1]].min()
    tried, length, waited = prices.copy(), 1.0, 0
    for _ in range(ROUNDS):
        reduced = _reduced(choices, tried)
        bound, used = 0.0, np.zeros(len(limits))
        for kind in range(len(limits)):
            bound += tried[kind] * limits[kind]
        for n in range(sets):
            k = choices.starts[n] + np.argmax(reduced[choices.starts[n]:choices.starts[n + 1]])
            picks[n] = k
            bound += reduced[k]
            used += choices.amounts[k]
        value = _value(choices, picks, used)
        if value > best:
            best, target = value, value
            found[:] = picks
        for n in range(sets):
            for piece in range(choices.gains.shape[1]):
                if choices.gains[picks[n], piece] > tried[-1]:
                    used[-1] += choices.extents[picks[n], piece]
        waited += 1
        if bound < lowest:
            lowest, waited = bound, 0
            prices[:] = tried
        elif waited == PATIENCE:
            length, waited = length / 2, 0
            tried[:] = prices
            continue
        left = 1 - used / limits
        square = (left * left).sum()
        if bound <= target or square == 0.0:
            break
        tried = np.maximum(tried - length * (bound - target) / square * left / limits, 0.0)
    return prices, best, found


@numba.njit(cache=True, nogil=True)
def _value(choices, picks, used):
    """What options are worth together that take so much at the least, the rest of the last limit
    handed out; nothing where they exceed a limit."""
    value = 0.0
    for kind in range(len(used)):
        if used[kind] > choices.limits[kind]:
            return -np.inf
    for k in picks:
        value += choices.values[k]
    left, pieces = choices.limits[-1] - used[-1], choices.gains.shape[1]
    above = np.inf
    while left > 0:  # the pieces of the next greatest gain
        gain = 0.0
        for k in picks:
            for piece in range(pieces):
                if choices.extents[k, piece] > 0 and choices.gains[k, piece] < above:
                    gain = max(gain, choices.gains[k, piece])
        if gain == 0.0:
            break
        for k in picks:
            for piece in range(pieces):
                if choices.gains[k, piece] == gain:
                    taken = min(left, choices.extents[k, piece])
                    value += gain * taken
                    left -= taken
        above = gain
    return value


@numba.njit(cache=True, nogil=True)
def _search(choices, reduced, credit, best):
    """Whether a choice is worth more than this, and the best one.

    Parameters
    ----------
    choices : :class:`Choices`
        Those of each set in falling order of what they are worth at some prices.
    reduced : floats, shape (options,)
        That.
    credit : :class:`float`
        All of the limits, at these prices.
    best : :class:`float`
    """
    starts, limits = choices.starts, choices.limits
    sets, better = len(starts) - 1, False
    most = np.zeros(sets + 1)  # of a set and all after it
    least = np.zeros((sets + 1, len(limits)))
    for n in range(sets - 1, -1, -1):
        most[n] = most[n + 1] + reduced[starts[n]]
        for kind in range(len(limits)):
            least[n, kind] = (least[n + 1, kind]
                              + choices.amounts[starts[n]:starts[n + 1], kind].min())
    worth, used = np.zeros(sets + 1), np.zeros((sets + 1, len(limits)))
    worth[0] = credit
    tried, picks, found = starts[:-1].copy(), np.zeros(sets, np.int64), np.zeros(sets, np.int64)
    n = 0
    while n >= 0:
        k = tried[n]
        if k == starts[n + 1] or worth[n] + reduced[k] + most[n + 1] <= best:
            n -= 1
            continue
        tried[n] += 1
        fits = True
        for kind in range(len(limits)):
            used[n + 1, kind] = used[n, kind] + choices.amounts[k, kind]
            fits &= used[n + 1, kind] + least[n + 1, kind] <= limits[kind]
        if not fits:
            continue
        picks[n], worth[n + 1] = k, worth[n] + reduced[k]
        if n + 1 < sets:
            n += 1
            tried[n] = starts[n]
            continue
        value = _value(choices, picks, used[sets])
        if value > best:
            best, better = value, True
            found[:] = picks
    return better, found
