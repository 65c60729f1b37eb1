"""What is found is worth as much as the best of all choices, and keeps to the limits."""

import itertools

import numpy as np
import pytest

from fcnnx.optimizer.enumeration import Choices, best_choice


def choices(seed, sets=3, most=12, kinds=3):
    """Values that rise with what is taken, and two pieces of the last amount, the first of which
    is worth more."""
    rng = np.random.default_rng(seed)
    starts = np.cumsum([0, *rng.integers(1, most, sets)])
    amounts = rng.integers(0, 40, (starts[-1], kinds)).astype(np.float64)
    gains = np.sort(rng.random((starts[-1], 2)), axis=1)[:, ::-1].copy()
    return Choices(starts=starts, values=amounts @ rng.random(kinds) + rng.random(starts[-1]),
                   amounts=amounts, limits=rng.integers(10, 90, kinds).astype(np.float64),
                   extents=rng.integers(0, 30, gains.shape).astype(np.float64), gains=gains)


def worth(given, picks):
    """Of options that keep to the limits, the best pieces first; else none."""
    used = given.amounts[picks].sum(axis=0)
    if (used > given.limits).any():
        return None
    value, left = given.values[picks].sum(), given.limits[-1] - used[-1]
    for gain, extent in sorted(zip(given.gains[picks].flat, given.extents[picks].flat,
                                   strict=True), reverse=True):
        value += gain * min(left, extent)
        left -= min(left, extent)
    return value


@pytest.mark.parametrize("sets", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_worth_more(sets, seed):
    given = choices(seed, sets=sets)
    rows = [range(first, end) for first, end in itertools.pairwise(given.starts.tolist())]
    known = [value for picks in itertools.product(*rows)
             if (value := worth(given, list(picks))) is not None]
    found = best_choice(given)
    if not known:
        assert found is None
        return
    assert all(0 <= k < len(row) for k, row in zip(found, rows, strict=True))
    assert worth(given, given.starts[:-1] + found) == pytest.approx(max(known))


def test_some_fit_and_some_do_not():
    """The cases above are of both kinds."""
    found = [best_choice(choices(seed)) for seed in range(40)]
    assert 5 < sum(each is None for each in found) < 35


def test_the_first_of_equals_is_taken():
    alike = Choices(starts=np.array([0, 3, 6]), values=np.ones(6), amounts=np.ones((6, 1)),
                    limits=np.array([2.0]), extents=np.zeros((6, 2)), gains=np.zeros((6, 2)))
    assert best_choice(alike) == (0, 0)
