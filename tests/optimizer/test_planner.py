"""Plans of one network and of several, and what cannot be planned."""

import dataclasses
import functools
import itertools

import pytest

from fcnnx import boards, optimizer
from fcnnx.errors import BadInput, Problem, TargetMissed
from fcnnx.hdl.device import Resources
from fcnnx.hdl.operators.plumbing import Fork
from fcnnx.optimizer import Target, decision, planner
from fcnnx.optimizer.choice import Chooser
from fcnnx.optimizer.decision import Decider, TooLittle
from fcnnx.optimizer.pareto import fastest, front
from fcnnx.optimizer.planner import _Attempts
from fcnnx.optimizer.timing import simulate

from .networks import dscnn, small, small_depthwise, small_residual, squeeze_excite


BOARD = boards.get("zedboard")
PAIR = [small("a", 1), small_depthwise("b", 3)]
SMALL_BUDGET = {"dsp": 60, "lut": 9000}

# Engines alone: what a memory adds is tested beside its own planning.
plan = functools.partial(optimizer.plan, io="stream")


def targets(*texts):
    return [Target.parse(text) for text in texts]


@pytest.mark.parametrize("network", [small(), small_residual(), small_depthwise()],
                         ids=lambda network: network.name)
def test_one_network(network):
    made = plan([network], BOARD, caps={"dsp": 80})
    (row,), (engine,) = made.networks, made.accelerator.engines
    timing = simulate(engine)
    assert (row.interval_cycles, row.latency_cycles) == (timing.interval_cycles,
                                                         timing.latency_cycles)
    assert row.alone_cycles == row.interval_cycles
    assert row.macs == network.macs
    assert row.multipliers == sum(stage.operator.multipliers for stage in engine.stages)
    assert row.resources == sum((stage.resources for stage in row.stages), Resources())
    assert made.resources.fits(made.budget)
    assert made.budget.dsp == 80
    assert made.gap == 0
    assert row.bottleneck in {stage.name for stage in engine.stages}
    forks = [stage.operator for stage in engine.stages if isinstance(stage.operator, Fork)]
    assert bool(forks) == (network.name == "small_residual")


def test_the_same_input_gives_the_same_plan():
    first, second = (plan(PAIR, BOARD, caps=SMALL_BUDGET) for _ in range(2))
    assert first == second
    assert first.digest == second.digest


def test_nothing_better_on_the_fronts():
    """Every pair of points of two networks on a small budget, tried one by one."""
    made = plan(PAIR, BOARD, caps=SMALL_BUDGET)
    budget = made.budget
    fronts = []
    for network in PAIR:
        chooser = Chooser(network, BOARD.device)
        limit = fastest(chooser, budget).interval
        fronts.append(front(chooser, budget, fastest_interval=limit))
    alone = [row.alone_cycles for row in made.networks]
    best = max(alone[0] / a.interval + alone[1] / b.interval
               for a, b in itertools.product(*fronts)
               if (a.resources + b.resources).fits(budget)
               and min(alone[0] / a.interval, alone[1] / b.interval) >= 0.25)
    assert sum(row.progress for row in made.networks) >= best - 1e-6
    assert made.gap == 0
    assert made.resources.fits(budget)


def test_objectives_differ_in_what_they_are_for():
    plans = {objective: plan(PAIR, BOARD, objective=objective, caps=SMALL_BUDGET,
                             targets=targets("a=3000fps", "b=3000fps", "a=2.0"))
             for objective in ("throughput", "fairness", "resources")}

    def worst(made):
        return min(row.progress / row.weight for row in made.networks)

    def share(made):
        return made.resources.share(made.budget)

    assert worst(plans["fairness"]) >= worst(plans["throughput"])
    assert share(plans["resources"]) < share(plans["throughput"])
    for made in plans.values():
        for row in made.networks:
            assert row.frames_per_second(made.clock_mhz) >= 3000
            assert row.target_fps == 3000
    assert [row.weight for row in plans["fairness"].networks] == [2.0, 1.0]


def test_no_network_starves():
    made = plan(PAIR, BOARD, caps=SMALL_BUDGET, targets=targets("a=20", "b=1"))
    assert made.networks[0].progress >= 20 / 21 / 2
    assert made.networks[1].progress >= 1 / 21 / 2


def test_latency_targets_are_kept():
    free = plan(PAIR, BOARD, objective="resources", caps=SMALL_BUDGET)
    wanted = free.networks[0].latency_cycles / 4 / free.clock_mhz / 1e3
    made = plan(PAIR, BOARD, objective="resources", caps=SMALL_BUDGET,
                targets=targets(f"a={wanted}ms"))
    assert made.networks[0].latency_cycles <= free.networks[0].latency_cycles / 4
    assert made.resources.share(made.budget) > free.resources.share(free.budget)


def test_a_floor_that_cannot_be_reached_is_told():
    """Nobody starves because half of each share is too much."""
    made = plan(PAIR, BOARD, caps={"dsp": 60, "lut": 3500})
    (warning,) = made.warnings
    assert "gives every network 50% of its weight's share" in warning
    least = min(row.alone_cycles / row.interval_cycles for row in made.networks)
    assert 0.1 * 0.5 / 2 <= least < 0.5 / 2


def test_a_crowded_device_is_warned_of():
    """Routers want look-up tables that are free."""
    made = plan([small()], BOARD, caps={"dsp": 80, "lut": 9000})
    assert made.warnings == ()
    tight = dataclasses.replace(BOARD, device=dataclasses.replace(
        BOARD.device, resources=made.networks[0].resources))
    (warning,) = plan([small()], tight).warnings
    assert "of the look-up tables of" in warning
    assert "--headroom" in warning


def test_headroom_and_clock():
    made = plan([small()], BOARD, headroom_percent=20, clock_mhz=100, caps={"dsp": 1000})
    assert made.clock_mhz == 100
    assert made.budget == Resources(dsp=176, bram18=224, lut=42560, ff=85120)


@pytest.mark.parametrize(("options", "message"), [
    ({"objective": "speed"}, "--objective: There is no objective 'speed'. There are: throughput, "
     "fairness, resources."),
    ({"policy": "greedy"}, "--policy: There is no policy 'greedy'. There are: joint, unaware."),
    ({"schedule": "random"}, "--schedule: There is no schedule 'random'. There are: cyclic, "
     "round-robin."),
    ({"io": "tape"}, "--io: Inputs and outputs cannot be 'tape'. There are: stream, dram."),
    ({"clock_mhz": 0}, "--clock: The clock cannot be 0.0 MHz. Give 1 to 1000."),
    ({"headroom_percent": 100}, "--headroom: Headroom cannot be 100 percent. Give 0 to 99."),
    ({"caps": {"dps": 3}}, "caps: There is no resource 'dps'. Did you mean dsp?"),
    ({"caps": {"dsp": -1}}, "--dsp: A cap cannot be -1. Give 0 or more."),
    ({"targets": targets("c=1")}, "--targets: There is no network 'c'. There are: a, b.")])
def test_bad_options(options, message):
    with pytest.raises(BadInput) as caught:
        plan(PAIR, BOARD, **options)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.fixture
def asked(monkeypatch):
    """What each decision is asked with: budget and what is set aside."""
    decide, rows = Decider.decide, []

    def watched(self, *row, hasty=False):
        rows.append(row)
        return decide(self, *row, hasty=hasty)

    monkeypatch.setattr(Decider, "decide", watched)
    return rows


def test_what_surely_is_refused_is_asked_once(asked):
    with pytest.raises(TooLittle):
        plan(PAIR, BOARD, caps={"lut": 500})
    assert len(asked) == 1


def test_a_room_lacks_what_is_set_aside(asked, monkeypatch):
    """Of a refusal, need and what is set aside are then more than is allowed."""
    check, rows = Decider._check_smallest, []

    def watched(self, *row):
        rows.append(row)
        return check(self, *row)

    monkeypatch.setattr(Decider, "_check_smallest", watched)
    caps = {"dsp": 30, "lut": 26_000, "bram18": 6}
    made = optimizer.plan([squeeze_excite(), small()], BOARD, io="dram", caps=caps)
    assert len({aside for _, aside in asked}) > 2
    assert {budget for budget, _ in asked} == {made.budget}
    assert len(rows) == len(asked)
    for room, budget, aside in rows:
        assert all(amount == max(0, getattr(budget, kind) - getattr(aside, kind))
                   for kind, amount in room.items())


def test_caps_too_small_name_the_least_that_would_do():
    with pytest.raises(BadInput) as caught:
        plan(PAIR, BOARD, caps={"lut": 500})
    (problem,) = caught.value.problems
    assert problem.where == "lut"
    assert "The smallest foldings of a, b need" in problem.reason
    assert "500 are allowed" in problem.reason
    least = int(problem.remedy.split()[1])
    assert caught.value.exit_code == 2
    assert plan(PAIR, BOARD, caps={"lut": least}).resources.lut == least
    with pytest.raises(BadInput):
        plan(PAIR, BOARD, caps={"lut": least - 1})


def test_a_target_out_of_reach_says_what_binds():
    with pytest.raises(TargetMissed) as caught:
        plan([small()], BOARD, caps={"dsp": 30, "lut": 5000},
             targets=targets("small=200000fps"))
    text = str(caught.value)
    assert text.startswith("small: 200000 fps cannot be met: alone on the whole budget it reaches")
    assert "lut of 5000" in text
    assert "too many" in text
    assert caught.value.exit_code == 1
    reached = float(text.rpartition("Lower the target to ")[2].split()[0])
    assert plan([small()], BOARD, caps={"dsp": 30, "lut": 5000},
                targets=targets(f"small={reached - 1}fps"))


def test_no_folding_is_fast_enough():
    with pytest.raises(TargetMissed, match="No folding of its stages takes fewer than 144 cycles"):
        plan([small()], BOARD, targets=targets("small=2000000fps"))


@pytest.mark.parametrize(("caps", "milliseconds", "slowest"), [
    ({"dsp": 95, "bram18": 121, "lut": 23167, "ff": 46334}, 0.00559, 1125),
    ({"dsp": 74, "bram18": 95, "lut": 18111, "ff": 36223}, 0.00781, 1125)])
def test_what_a_latency_needs_is_not_given_to_others(caps, milliseconds, slowest):
    made = plan([small_residual(), small()], BOARD, io="stream", caps=caps, objective="fairness",
                targets=[Target(network="small", latency_ms=milliseconds)])
    assert max(each.interval_cycles for each in made.networks) <= slowest
    assert made.networks[1].latency_cycles <= milliseconds * made.clock_mhz * 1e3


def test_latency_out_of_reach():
    with pytest.raises(TargetMissed, match=r"^small: 0\.001 ms cannot be met: alone on the whole"):
        plan([small()], BOARD, targets=targets("small=0.001ms"))


def test_targets_that_do_not_fit_together():
    alone = [plan([network], BOARD, caps=SMALL_BUDGET).networks[0] for network in PAIR]
    wanted = targets(*(f"{row.name}={row.frames_per_second(125) * 0.9}fps" for row in alone))
    with pytest.raises(TargetMissed) as caught:
        plan(PAIR, BOARD, caps=SMALL_BUDGET, targets=wanted)
    text = str(caught.value)
    assert text.startswith("a, b: Each target can be met alone, all of them together cannot. "
                           "They need ")
    assert "too many" in text
    share = float(text.rpartition("Lower the targets to ")[2].split("%")[0]) / 100
    assert plan(PAIR, BOARD, caps=SMALL_BUDGET, targets=[
        dataclasses.replace(each, fps=each.fps * (share - 0.01)) for each in wanted])


@pytest.mark.parametrize(("lut", "as_fast"), [(22_000, True), (27_000, False)])
def test_what_is_too_much_by_little_is_folded_otherwise(monkeypatch, lut, as_fast):
    """As fast as before; or slower, where no foldings that are as fast fit."""
    seen = []

    def watched(attempts, made, *patience, mended=_Attempts._mended):
        seen.append((made, mended(attempts, made, *patience)))
        return seen[-1][1]

    monkeypatch.setattr(_Attempts, "_mended", watched)
    caps = Resources(dsp=90, lut=lut, ff=200_000, bram18=80)
    plan([small("a"), dscnn("b")], BOARD, caps=caps, io="dram")
    changed = [(before, after) for before, after in seen if after is not None]
    assert changed
    for before, after in changed:
        assert not before.resources.fits(caps)
        assert after.resources.fits(caps)
        kept = [mine.timing.interval_cycles <= theirs.timing.interval_cycles
                for mine, theirs in zip(after.networks, before.networks, strict=True)]
        assert any(kept)
        assert all(kept) == as_fast


@pytest.mark.parametrize(("step", "caps"), [
    ("_mended", Resources(dsp=90, lut=22_000, ff=200_000, bram18=80)),
    ("_with_less_aside", Resources(dsp=90, lut=26_000, ff=200_000, bram18=80))])
def test_what_the_memory_then_refuses_ends_no_plan(monkeypatch, step, caps):
    """What is tried beside a plan may ask for more than the memory gives."""
    trying, refused, original = [], [], getattr(_Attempts, step)

    def tried(attempts, *made):
        trying.append(step)
        found = original(attempts, *made)
        trying.pop()
        return found

    def refusing(*engines, plan_memory=planner._plan_memory, **options):
        if trying:
            refused.append(step)
            raise TargetMissed(Problem(where="a", reason="Too slow.", remedy="Allow more."))
        return plan_memory(*engines, **options)

    monkeypatch.setattr(_Attempts, step, tried)
    monkeypatch.setattr(planner, "_plan_memory", refusing)
    found = plan([small("a"), dscnn("b")], BOARD, caps=caps, io="dram")
    assert refused
    assert found.resources.fits(caps)


@pytest.mark.parametrize("bram18", [280, 8])
def test_latency_of_a_large_network_is_lowered_once_it_fits(bram18, monkeypatch):
    """What does not fit is not made faster; what does is, if it still fits then."""
    lowered, lower = [], decision.lower_latency
    monkeypatch.setattr(decision, "lower_latency", lambda *row: lowered.append(
        lower(*row)) or lowered[-1])
    options = {"io": "dram", "caps": {"bram18": bram18}}
    usual = optimizer.plan([small_residual()], BOARD, **options)
    tried = len(lowered)
    lowered.clear()
    for module in decision, planner:
        monkeypatch.setattr(module, "is_large", lambda engine: True)
    made = optimizer.plan([small_residual()], BOARD, **options)
    assert len(lowered) == 1 <= tried
    assert made.resources.fits(made.budget)
    assert made.networks[0].interval_cycles == usual.networks[0].interval_cycles
    assert made.networks[0].latency_cycles <= 1.02 * usual.networks[0].latency_cycles
