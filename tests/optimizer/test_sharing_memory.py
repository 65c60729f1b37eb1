"""Networks that share a memory: weights that do not fit are streamed, and words are shared."""

import dataclasses
import itertools
import re

import numpy as np
import pytest

from fcnnx import boards
from fcnnx.errors import TargetMissed
from fcnnx.hdl.device import Resources
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.memory import memory_timing
from fcnnx.optimizer import plan
from fcnnx.optimizer.bounds import FLOOR, SURPLUS, Infeasible, Traffic, least_pace
from fcnnx.optimizer.candidates import Room
from fcnnx.optimizer.candidates import streamed as streamed_foldings
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.decision import Decider, TooLittle
from fcnnx.optimizer.fifos import size_queues
from fcnnx.optimizer.folding import build_engine
from fcnnx.optimizer.memory import BEYOND, FEW_UNDER_WAY, USABLE
from fcnnx.optimizer.pareto import ANY, fastest, front
from fcnnx.optimizer.partition import OBJECTIVES, Option, combine, score
from fcnnx.optimizer.targets import Target, merge_targets
from fcnnx.optimizer.timing import simulate
from fcnnx.optimizer.trading import LEAST_WORDS, Trader

from .networks import Builder, autoencoder, dscnn, small
from .test_hardware import check_engine


BOARD = boards.get("zedboard")
BUDGET = Resources(dsp=150, lut=40_000, ff=90_000, bram18=30)
NOTHING = Resources()


def memory(gbps):
    return memory_timing(BOARD, 125.0, gbps)


def decide(networks, gbps, objective="throughput", targets=(), policy="joint", budget=BUDGET,
           aside=NOTHING):
    wanted = merge_targets([Target.parse(text) for text in targets],
                           [network.name for network in networks])
    choosers = [Chooser(network, BOARD.device, memory(gbps)) for network in networks]
    decider = Decider(choosers, [wanted[network.name] for network in networks],
                      objective=objective, clock_mhz=125.0, progress=lambda step: None,
                      policy=policy)
    return choosers, decider.decide(budget + aside, aside)


def rate(selections):
    return sum(each.words / each.interval for each in selections)


def total(selections):
    return sum((each.resources for each in selections), Resources())


def streamed(engine):
    return [stage for stage in engine.stages if isinstance(stage.operator, StreamedConvolution)]


def test_weights_that_do_not_fit_are_streamed():
    network = autoencoder()
    choosers, made = decide([network], 2.0)
    (selection,) = made.selections
    solver = size_queues(lambda places: choosers[0].engine(selection, places))
    engine, timing = solver.engine, solver.result()
    assert streamed(engine)
    assert selection.resources.fits(BUDGET)
    assert rate(made.selections) <= memory(2.0).derated
    # Frames are held apart for the words: the engine itself keeps to less.
    assert timing.interval_cycles <= selection.interval == made.alone[0]
    plenty = Resources(dsp=150, lut=40_000, ff=90_000, bram18=280)
    choosers, made = decide([network], 2.0, budget=plenty)
    assert not streamed(choosers[0].engine(made.selections[0]))


def test_words_that_a_network_gives_up_are_taken():
    """The first has hardly any, until the second is faster with fewer."""
    networks = [autoencoder("held"), autoencoder("greedy", 8)]
    choosers = [Chooser(network, BOARD.device, memory(0.5)) for network in networks]
    words = memory(0.5).derated * USABLE / (1 + SURPLUS)
    room = Room.of(Resources(dsp=100, lut=60_000, ff=150_000, bram18=240), words)
    greedy = max(front(choosers[1], room, fastest_interval=1),
                 key=lambda each: each.words / each.interval)
    held = fastest(choosers[0], Room.of(room, LEAST_WORDS))
    made = Trader(choosers=choosers, room=room, words=words, shared=True, known=[[], []],
                  longest=[ANY, ANY], keeps=lambda n, option: True,
                  worth=lambda picked: (1.0, 0.0)).polished([held, greedy])
    assert total(made).fits(room)
    assert made[1].words < greedy.words
    assert made[0].interval < held.interval / 2
    assert 0.99 * words < rate(made) <= words


def test_few_frames_are_under_way():
    """Each has a buffer whose address is a register: where tables can be shorter, they are."""
    made = plan([dscnn(), autoencoder()], BOARD, io="dram", caps={
        "dsp": 120, "lut": 36_000, "bram18": 120})
    assert made.resources.fits(made.budget)
    for memory, network in zip(made.accelerator.memory.engines, made.networks, strict=True):
        inside = -(-network.latency_cycles // network.interval_cycles)
        assert inside + 3 <= memory.in_flight <= max(FEW_UNDER_WAY, inside + BEYOND)


@pytest.mark.parametrize("seed", range(2))
def test_streaming_engine_in_simulation(seed):
    net = Builder("tiny", 4, 4, 4)
    net.conv(8)
    net.conv(12, stride=2)
    network, rng = net.network(), np.random.default_rng(seed)
    operators = {}
    for stage in network.stages:
        found = [chain for chain in streamed_foldings(stage.operator) if chain[0].interval < 1500]
        operators[stage.name] = found[rng.integers(len(found))]
    engine = build_engine(network, operators, interval=1500, ports={"x": 2, "y0": 3})
    assert len(streamed(engine)) == 2
    check_engine(engine, simulate(engine), "random", "random")


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("gbps", [2.0, 0.6])
def test_networks_share_words(objective, gbps):
    networks = [small("a"), autoencoder("b")]
    _, made = decide(networks, gbps, objective, targets=("a=9000fps", "b=1500fps"))
    assert total(made.selections).fits(BUDGET)
    assert rate(made.selections) <= memory(gbps).derated
    assert [each.interval <= 125e6 / fps for each, fps in
            zip(made.selections, (9000, 1500), strict=True)] == [True, True]
    assert made.gap <= 0.01


def test_unaware_networks_have_all_words_each():
    networks = [autoencoder("a"), autoencoder("b")]
    budget = Resources(dsp=150, lut=53_000, ff=99_000, bram18=70)
    _, joint = decide(networks, 1.0, budget=budget)
    _, unaware = decide(networks, 1.0, policy="unaware", budget=budget)
    words = memory(1.0).derated
    assert rate(joint.selections) <= words < rate(unaware.selections)
    assert all(rate([each]) <= words for each in unaware.selections)
    assert joint.alone == unaware.alone


def test_words_that_are_short_are_told():
    networks = [autoencoder("a"), autoencoder("b")]
    budget = Resources(dsp=150, lut=53_000, ff=99_000, bram18=70)
    with pytest.raises(TargetMissed, match=r"b: 3000 fps cannot be met.*needs 0\.\d+ GB/s of the "
                                           r"0\.47.*too many\).*allow more bandwidth"):
        decide([autoencoder("b")], 0.5, targets=("b=3000fps",))
    with pytest.raises(TargetMissed, match=r"a, b: Each target can be met alone.*GB/s of the 0\.9"):
        decide(networks, 1.0, targets=("a=3000fps", "b=3000fps"), budget=budget)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("fps", "kept"), [(1800, True), (2300, False), (3000, False)])
def test_words_bind_targets_whatever_the_objective(objective, fps, kept):
    networks = [autoencoder("a"), autoencoder("b")]
    budget = Resources(dsp=150, lut=53_000, ff=99_000, bram18=70)
    asked = (f"a={fps}fps", f"b={fps}fps")
    if kept:
        _, made = decide(networks, 1.0, objective, asked, budget=budget)
        assert all(each.interval <= 125e6 / fps for each in made.selections)
        return
    with pytest.raises(TargetMissed, match=r"a, b: Each target can be met alone.*GB/s of the 0\.9"):
        decide(networks, 1.0, objective, asked, budget=budget)


def test_a_network_without_a_target_gives_its_words_away():
    networks = [autoencoder("a"), autoencoder("b")]
    budget = Resources(dsp=150, lut=53_000, ff=99_000, bram18=70)
    for objective in OBJECTIVES:
        _, made = decide(networks, 0.6, objective, ("a=1000fps",), budget=budget)
        assert made.selections[0].interval <= 125_000


def test_networks_without_targets_are_told_what_is_short(monkeypatch):
    """As if nothing less than the floor would do."""
    networks, budget = [dscnn("a"), autoencoder("b")], Resources(dsp=220, lut=18_500, ff=90_000,
                                                                 bram18=44)
    _, made = decide(networks, 1.0, budget=budget)
    assert made.selections[0].interval > 4 * made.alone[0]
    monkeypatch.setattr("fcnnx.optimizer.decision.PARTS_OF_FLOOR", (1.0, 1.0))
    asked = (r"^{}: With 50\.0% of their weights' shares, a, b need (\d+), queues and the memory "
             r"side (\d+), and (\d+) are allowed\. Allow (\d+)")
    for targets in ((), ("a=100fps",)):
        with pytest.raises(TooLittle) as caught:
            decide(networks, 1.0, budget=budget, targets=targets, aside=Resources(lut=700))
        found = [re.match(asked.format(kind), line) for kind in ("bram18", "lut")
                 for line in str(caught.value).splitlines()]
        lacking = [tuple(map(int, each.groups())) for each in found if each]
        assert lacking
        assert all(need + aside == least > allowed for need, aside, allowed, least in lacking)


def options(seed, count=30):
    rng = np.random.default_rng(seed)
    made = []
    for interval in np.sort(rng.integers(1000, 50_000, count)):
        speed = 50_000 / interval
        made.append(Option(interval=int(interval), progress=1200 / interval, slowest=60_000,
                           words=int(rng.integers(100, 4000)), resources=Resources(
                               dsp=int(2 * speed + rng.integers(0, 9)),
                               lut=int(90 * speed + rng.integers(0, 400)))))
    return made


WEIGHTS = (2.0, 1.0)


def held(pair, words, objective, room, *, floor=0.0):
    """What a pair is worth, its frames held apart as far as is best for it; None where words do
    not let it reach its floor, or are too few for anything."""
    traffics = [Traffic(network=str(k), interval=each.interval, words=each.words, alone=1200,
                        weight=weight, most_interval=each.slowest)
                for k, (each, weight) in enumerate(zip(pair, WEIGHTS, strict=True))]
    try:
        paces = least_pace(traffics, words * 1.002, objective)
    except Infeasible:
        return None
    longest = [max(each.interval, limit) for each, limit in zip(pair, floors(1), strict=True)]
    if objective == "throughput" and not floor and any(
            pace > most for pace, most in zip(paces, longest, strict=True)):
        return None
    paced = [Option(interval=pace, progress=1200 / pace, resources=each.resources)
             for each, pace in zip(pair, paces, strict=True)]
    return score(objective, paced, WEIGHTS, room, floor)


def floors(part):
    """The longest interval of each with this part of its floor."""
    return [int(1200 * sum(WEIGHTS) / weight / FLOOR / part) for weight in WEIGHTS]


def held_to(fronts, limits):
    return [[dataclasses.replace(each, slowest=min(each.slowest, max(each.interval, limit)))
             for each in ours] for ours, limit in zip(fronts, limits, strict=True)]


@pytest.mark.parametrize("objective", ["throughput", "fairness"])
@pytest.mark.parametrize("seed", range(3))
def test_no_pair_is_better_at_any_pace(objective, seed):
    """Every pair, its frames held apart as far as is best for it."""
    fronts, words = [options(2 * seed), options(2 * seed + 1)], 0.15
    room = Room.of(Resources(dsp=70, lut=4000), words)
    tried = [held(pair, words, objective, room) for pair in itertools.product(*fronts)
             if (pair[0].resources + pair[1].resources).fits(room)]
    limited = held_to(fronts, floors(1)) if objective == "throughput" else fronts
    found = combine(limited, room, objective=objective, weights=WEIGHTS)
    picked = [ours[k] for ours, k in zip(fronts, found.picks, strict=True)]
    best = max(value for value in tried if value is not None)
    assert held(picked, words, objective, room) >= best * (1 - max(found.gap, 2e-3))


@pytest.mark.parametrize("seed", range(3))
def test_what_lacks_of_the_floor_counts_twice(seed):
    """Words that let no pair reach it, against every pair."""
    fronts = [[dataclasses.replace(each, interval=each.interval // 8, slowest=10**6,
                                   progress=1200 / (each.interval // 8))
               for each in ours if each.interval // 8 <= limit]
              for ours, limit in zip((options(2 * seed), options(2 * seed + 1)), floors(1),
                                     strict=True)]
    words = 0.4 * sum(min(each.words for each in ours) / limit
                      for ours, limit in zip(fronts, floors(1), strict=True))
    room = Room.of(Resources(dsp=500, lut=40000), words)
    pairs = list(itertools.product(*fronts))
    assert all(held(pair, words, "throughput", room) is None for pair in pairs)
    tried = [held(pair, words, "throughput", room, floor=FLOOR) for pair in pairs]
    found = combine(held_to(fronts, floors(0.1)), room, objective="throughput", weights=WEIGHTS,
                    floor=FLOOR)
    picked = [ours[k] for ours, k in zip(fronts, found.picks, strict=True)]
    best = max(value for value in tried if value is not None)
    mine = held(picked, words, "throughput", room, floor=FLOOR)
    assert mine >= best - abs(best) * max(found.gap, 2e-3)
    assert any(value is not None and value < best - 0.01 for value in tried)


def test_fronts_trade_words_for_the_device():
    chooser = Chooser(autoencoder(), BOARD.device, memory(2.0))
    room = Room.of(BOARD.device.resources, memory(2.0).derated)
    points = front(chooser, room, fastest_interval=fastest(chooser, room).interval)
    costs = [np.append(chooser.amounts(point), point.interval) for point in points]
    for a, b in itertools.permutations(costs, 2):
        assert (a > b).any()
    assert min(point.words for point in points) * 50 < max(point.words for point in points)
    assert all(rate([point]) <= room.words_per_cycle for point in points)
