"""Foldings of one network: within the budget, and no worse than an exhaustive search finds."""

import dataclasses
import itertools

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.hdl.device import Resources
from fcnnx.optimizer.candidates import amounts_of
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.folding import engine_resources
from fcnnx.optimizer.pareto import (
    ANY,
    base_prices,
    fastest,
    fit,
    front,
    smallest,
)

from .networks import Builder, mobilenet, resnet8, small, small_depthwise, small_residual


DEVICE = boards.get("zedboard").device
NETWORKS = [small(), small_residual(), small_depthwise()]


def named(network):
    return network.name


@pytest.mark.parametrize("network", NETWORKS, ids=named)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_what_is_chosen_is_what_is_built(network, share):
    chooser = Chooser(network, DEVICE)
    budget = Resources(**{kind: int(share * amount) for kind, amount in DEVICE.resources.items()})
    selection = fastest(chooser, budget)
    engine = chooser.engine(selection)
    assert selection.resources == engine_resources(engine, DEVICE)
    assert selection.resources.fits(budget)
    assert selection.interval == max(stage.operator.interval for stage in engine.stages)


def test_choice_is_the_cheapest_of_all():
    net = Builder("two", 6, 6, 3)
    net.conv(4)
    net.dense(4)
    chooser = Chooser(net.network(), DEVICE)
    prices = base_prices(DEVICE.resources)
    rng = np.random.default_rng(1)
    for limit in rng.choice(chooser.useful, 6, replace=False).tolist():
        found = chooser.choose(limit, prices)
        best = np.inf
        for picks in itertools.product(*(range(len(node.intervals)) for node in chooser.nodes)):
            nodes = zip(chooser.nodes, picks, strict=True)
            if any(node.intervals[pick] > limit for node, pick in nodes):
                continue
            other = chooser._selection(np.array(picks), limit)
            if other.interval <= limit:
                best = min(best, float(amounts_of(other.resources) @ prices))
        assert float(amounts_of(found.resources) @ prices) == pytest.approx(best)


@pytest.mark.parametrize("network", NETWORKS, ids=named)
def test_front_falls(network):
    chooser = Chooser(network, DEVICE)
    points = front(chooser, DEVICE.resources, fastest_interval=1)
    intervals = [point.interval for point in points]
    assert intervals == sorted(intervals, reverse=True)
    assert intervals[-1] == chooser.useful[0]
    costs = [np.append(amounts_of(point.resources), point.interval) for point in points]
    for a, b in itertools.permutations(costs, 2):
        assert (a > b).any()


def test_no_foldings_fit():
    chooser = Chooser(small(), DEVICE)
    tight = dataclasses.replace(DEVICE.resources, lut=100)
    assert fastest(chooser, tight) is None
    assert fit(chooser, ANY, tight) is None
    assert smallest(chooser, tight).resources.lut > 100


@pytest.mark.parametrize(("network", "dsp", "most"), [
    (resnet8(), 211, 40_000), (mobilenet(), 189, 40_000)], ids=["resnet8", "mobilenet"])
def test_multipliers_are_kept_busy(network, dsp, most):
    budget = dataclasses.replace(DEVICE.resources, dsp=dsp, lut=47_000)
    assert fastest(Chooser(network, DEVICE), budget).interval <= most


@pytest.mark.parametrize("kind", ["dsp", "lut", "bram18"])
def test_what_exceeds_a_budget_is_mended_step_by_step(kind):
    """Each step is the change of one stage, its lanes kept, after which least is exceeded."""
    chooser = Chooser(NETWORKS[0], DEVICE)
    limit = int(chooser.useful[len(chooser.useful) // 2])
    selection = chooser.choose(limit, base_prices(DEVICE.resources))
    budget = dataclasses.replace(
        DEVICE.resources, **{kind: getattr(selection.resources, kind) * 2 // 3})
    most, picks = np.maximum(amounts_of(budget), 1), selection.picks.copy()
    used, best, steps = amounts_of(selection.resources), np.inf, 0
    while (used > most).any():
        tries = []
        for k in range(*chooser.stages.indices(len(picks))):
            node = chooser.nodes[k]
            same = (node.lanes == node.lanes[picks[k]]).all(axis=1) & (node.intervals <= limit)
            for pick in np.flatnonzero(same).tolist():
                after = used - node.amounts[picks[k]] + node.amounts[pick]
                shares = after / most
                tries.append((np.maximum(shares - 1, 0).sum() + 1e-3 * shares.max(), k, pick))
        score, k, pick = min(tries)
        if score >= best:
            break
        best, steps = score, steps + 1
        used = used - chooser.nodes[k].amounts[picks[k]] + chooser.nodes[k].amounts[pick]
        picks[k] = pick
    assert steps
    assert chooser.within(selection, budget).picks.tolist() == picks.tolist()
