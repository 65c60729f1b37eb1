"""The exact combination finds what an exhaustive search finds, and nothing better exists."""

import dataclasses
import itertools

import numpy as np
import pytest

from fcnnx.hdl.device import Resources
from fcnnx.optimizer import partition
from fcnnx.optimizer.candidates import Room
from fcnnx.optimizer.partition import OBJECTIVES, Option, combine, score


def options(seed, count):
    rng = np.random.default_rng(seed)
    made = []
    for interval in np.sort(rng.integers(1000, 100_000, count)):
        speed = 100_000 / interval
        made.append(Option(interval=int(interval), progress=1200 / interval, resources=Resources(
            dsp=int(2 * speed + rng.integers(0, 9)), lut=int(90 * speed + rng.integers(0, 400)),
            bram18=int(rng.integers(1, 12)))))
    return made


BUDGET = Resources(dsp=120, bram18=18, lut=5000, ff=10_000)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weights", [(1.0, 1.0), (2.0, 0.5)])
def test_nothing_better_exists(objective, seed, weights):
    fronts = [options(2 * seed, 40), options(2 * seed + 1, 40)]
    found = combine(fronts, BUDGET, objective=objective, weights=weights)
    best = max(score(objective, pair, weights, BUDGET) for pair in itertools.product(*fronts)
               if (pair[0].resources + pair[1].resources).fits(BUDGET))
    picked = [front[k] for front, k in zip(fronts, found.picks, strict=True)]
    assert (picked[0].resources + picked[1].resources).fits(BUDGET)
    assert score(objective, picked, weights, BUDGET) == pytest.approx(best, abs=1e-6)
    assert found.gap == 0


def test_four_networks_have_a_proven_gap():
    fronts = [options(seed, 150) for seed in range(4)]
    found = combine(fronts, BUDGET * 3, objective="throughput", weights=(1.0, 2.0, 3.0, 1.0))
    assert found.gap == 0


def test_what_is_not_told_is_not_claimed(monkeypatch):
    """A search cut short tells how far off it may be, and is not farther off than that."""
    rng = np.random.default_rng(1)
    fronts = [[Option(interval=1000, progress=(dsp + lut + bram18) / 1000, resources=Resources(
        dsp=dsp, lut=lut, bram18=bram18)) for dsp, lut, bram18 in rng.integers(
            1, 300, (16, 3)).tolist()] for _ in range(4)]
    budget, weights = Resources(dsp=513, lut=519, bram18=531), (1.0,) * 4

    def reached(found):
        picked = [front[k] for front, k in zip(fronts, found.picks, strict=True)]
        return score("throughput", picked, weights, budget)

    exact = combine(fronts, budget, objective="throughput", weights=weights)
    monkeypatch.setattr(partition, "NODES", 1)
    found = combine(fronts, budget, objective="throughput", weights=weights)
    assert exact.gap == 0
    assert 0 < found.gap < 0.05
    assert reached(exact) * (1 - found.gap) <= reached(found) <= reached(exact)


def crowded(seed, networks):
    """Some networks with words, whose frames may be held apart or not, and little of everything."""
    rng = np.random.default_rng(seed)
    fronts = [[dataclasses.replace(each, words=int(rng.integers(0, 9000)),
                                   slowest=int(rng.choice([0, 200_000])))
               for each in options(seed + n, 15)] for n in range(networks)]
    room = Resources(dsp=int(rng.integers(10, 200)), bram18=int(rng.integers(0, 30)),
                     lut=int(rng.integers(500, 9000)), ff=1000)
    return fronts, Room.of(room, float(rng.choice([0.05, 0.2, 1.0])))


@pytest.mark.parametrize("networks", [2, 3])
@pytest.mark.parametrize(("objective", "floor"), [("throughput", 0.0), ("throughput", 0.5),
                                                  ("fairness", 0.0)])
@pytest.mark.parametrize("shared", [True, False])
def test_few_networks_are_what_the_solver_makes_of_them(networks, objective, floor, shared,
                                                        monkeypatch):
    fitting = 0
    monkeypatch.setattr(partition, "MANY", 0)
    for seed in range(8):
        fronts, room = crowded(seed, networks)
        found = [None, None]
        for k, few in enumerate((0, networks)):
            monkeypatch.setattr(partition, "FEW", few)
            found[k] = combine(fronts, room, objective=objective, shared=shared, floor=floor,
                               weights=(1.0, 2.0, 0.5)[:networks])
        assert found[0] == found[1]
        fitting += found[0] is not None
    assert fitting > 2


def test_nothing_fits():
    fronts = [options(1, 5), options(2, 5)]
    assert combine(fronts, Resources(dsp=3), objective="throughput", weights=(1, 1)) is None
    free = combine(fronts, Resources(dsp=3), objective="resources", weights=(1, 1), capped=False)
    assert [front[k].resources.dsp for front, k in zip(fronts, free.picks, strict=True)] == [
        min(option.resources.dsp for option in front) for front in fronts]


def test_ties_go_to_the_least_resources():
    same = Option(interval=1000, progress=1.0, resources=Resources(dsp=9))
    fronts = [[same, Option(interval=1000, progress=1.0, resources=Resources(dsp=7))], [same]]
    found = combine(fronts, BUDGET, objective="throughput", weights=(1, 1))
    assert found.picks == (1, 0)
