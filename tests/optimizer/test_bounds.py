"""The intervals that keep within what a memory gives."""

import dataclasses
import itertools

import numpy as np
import pytest

from fcnnx.optimizer.bounds import SURPLUS, Infeasible, Traffic, least_pace


def taken(traffics, intervals):
    return sum(one.words * (1 + SURPLUS) / interval
               for one, interval in zip(traffics, intervals, strict=True))


def progress(traffics, intervals):
    return [one.reference / interval for one, interval in zip(traffics, intervals, strict=True)]


@pytest.mark.parametrize("objective", ["throughput", "fairness", "resources"])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_and_nothing_is_left(objective, seed):
    rng = np.random.default_rng(seed)
    traffics = [Traffic(network=f"n{k}", interval=int(own), words=int(words), weight=float(weight),
                        alone=int(own * 0.9))
                for k, (own, words, weight) in enumerate(zip(
                    rng.integers(10_000, 90_000, 4), rng.integers(5_000, 90_000, 4),
                    rng.uniform(0.5, 2, 4), strict=True))]
    most = taken(traffics, [one.interval for one in traffics])
    for share in (0.7, 0.9, 1.1):
        intervals = least_pace(traffics, share * most, objective)
        assert all(interval >= one.interval
                   for one, interval in zip(traffics, intervals, strict=True))
        assert taken(traffics, intervals) <= share * most * (1 + 1e-8)
        assert taken(traffics, intervals) >= min(share, 1) * most * 0.999


def test_objectives():
    """Against all pairs of intervals on a grid."""
    traffics = [Traffic(network="a", interval=1000, words=900),
                Traffic(network="b", interval=1000, words=300, weight=2.0)]
    grid = [pair for pair in itertools.product(range(1000, 7000, 20), repeat=2)
            if taken(traffics, pair) <= 0.7]
    shares = np.array([progress(traffics, pair) for pair in grid])

    found = np.array(progress(traffics, least_pace(traffics, 0.7, "throughput")))
    floored = shares[(shares[:, 0] >= 1 / 6) & (shares[:, 1] >= 1 / 3)]
    assert found @ [1, 2] >= (floored @ [1, 2]).max() * 0.9999

    found = np.array(progress(traffics, least_pace(traffics, 0.7, "fairness"))) / [1, 2]
    assert found.min() >= (shares / [1, 2]).min(axis=1).max() * 0.9999

    a, b = least_pace(traffics, 0.7, "resources")
    assert abs(a - b) <= 1


def test_a_floor_that_cannot_be_reached_counts_twice():
    """Against all pairs of intervals on a grid."""
    traffics = [Traffic(network="a", interval=1000, words=900),
                Traffic(network="b", interval=1000, words=300, weight=2.0)]
    floor = np.array([1 / 6, 1 / 3])
    grid = [pair for pair in itertools.product(range(1000, 60_000, 100), repeat=2)
            if taken(traffics, pair) <= 0.2]
    shares = np.array([progress(traffics, pair) for pair in grid])
    assert not (shares >= floor).all(axis=1).any()
    shares = shares[(shares >= 0.1 * floor).all(axis=1)]

    def worth(made):
        return (made - np.maximum(floor - made, 0)) @ [1, 2]

    found = np.array(progress(traffics, least_pace(traffics, 0.2, "throughput")))
    assert worth(found) >= worth(shares).max() - 1e-4
    assert (found >= 0.0999 * floor).all()
    # A network that is slower by itself than its floor does not starve either.
    slow = [dataclasses.replace(traffics[0], interval=50_000, alone=1000), traffics[1]]
    assert progress(slow, least_pace(slow, 0.03, "throughput"))[0] >= 0.1 * floor[0]


def test_a_lesser_part_of_the_floor():
    traffics = [Traffic(network="a", interval=1000, words=900),
                Traffic(network="b", interval=1000, words=300, weight=2.0)]
    floor = np.array([1 / 6, 1 / 3])
    given = 0.5 * taken(traffics, 1000 / (0.1 * floor))
    with pytest.raises(Infeasible):
        least_pace(traffics, given, "throughput")
    found = np.array(progress(traffics, least_pace(traffics, given, "throughput", part=0.01)))
    assert (found < 0.1 * floor).any()
    assert (found >= 0.00999 * floor).all()


def test_targets_hold():
    traffics = [Traffic(network="a", interval=1000, words=900, most_interval=1100),
                Traffic(network="b", interval=1000, words=300)]
    for objective in ("throughput", "fairness", "resources"):
        a, b = least_pace(traffics, 1.0, objective)
        assert a <= 1100
        assert b > 1000
    with pytest.raises(Infeasible) as caught:
        least_pace(traffics, 0.5, "fairness")
    assert caught.value.factor == pytest.approx(900 * (1 + SURPLUS) / 1100 / 0.5)
    assert caught.value.gap == pytest.approx(caught.value.asked - 0.5)
    with pytest.raises(Infeasible, match="a needs 1000 of cycles per frame, and there is 900"):
        least_pace([Traffic(network="a", interval=1000, words=1, most_interval=900)], 1.0)
