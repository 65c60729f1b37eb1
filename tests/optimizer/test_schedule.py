"""Tables serve their streams: where memory is at its worst, no queue is ever dry, or full."""

import dataclasses
import time

import numpy as np
import pytest

from fcnnx.hdl.engine import Source
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.port import MemoryPort, MemoryStream
from fcnnx.memory import MemoryTiming
from fcnnx.optimizer.bounds import Infeasible
from fcnnx.optimizer.curves import striped
from fcnnx.optimizer.demands import (
    CONTROLLER,
    Demand,
    burst_words,
    engine_demand,
    round_robin_places,
)
from fcnnx.optimizer.schedule import solve
from fcnnx.optimizer.timing import simulate

from .memory_model import run
from .stand_ins import chain, pointwise, sliding


CYCLES = 15_000


def pattern(rng, words, interval):
    """Evenly, in part of the interval, in passes, or anyhow."""
    kind = int(rng.integers(4))
    if kind == 0:
        return np.arange(words) * interval // words
    if kind == 1:
        span = int(words + (interval - words) * rng.uniform(0, 0.8))
        return np.arange(words) * span // words
    if kind == 2:
        passes = int(rng.integers(2, 9))
        each = -(-words // passes)
        return np.arange(words) // each * (interval // passes) + np.arange(words) % each
    return np.sort(rng.choice(interval, words, replace=False))


def random_demands(rng, streams, load, memory, most_interval=12_000):
    """So many streams of three networks that take this share of the memory; starts differ from
    steady state."""
    rates = rng.dirichlet(np.full(streams, 1.5)) * load * memory.derated
    intervals = rng.integers(most_interval // 6, most_interval, 3)
    demands = []
    for k, rate in enumerate(rates):
        network = int(rng.integers(3))
        interval, burst = int(intervals[network]), int(rng.choice([8, 16, 16]))
        words = max(burst, int(rate * interval) // burst * burst)
        first, steady = (pattern(rng, words, interval) for _ in range(2))
        frames = np.stack([first, steady + interval, steady + 2 * interval])
        demands.append(Demand(
            name=f"s{k}", network=f"n{network}", burst=burst, cycles=frames, interval=interval,
            direction="write" if rng.random() < 0.3 else "read"))
    return demands


def engines(demands, schedule):
    """When each stream's engine takes, or makes, its words, for as long as it runs."""
    cycles = {}
    for stream in schedule.streams:
        demand = next(each for each in demands if each.name == stream.name)
        frames = CYCLES // demand.interval + 5
        later = demand.cycles[-1] + demand.interval * np.arange(1, frames)[:, None]
        every = np.concatenate([demand.cycles, later])
        part = striped(every, stream.stripes, stream.burst)[stream.stripe]
        cycles[stream.name, stream.stripe] = part.reshape(-1).tolist()
    return cycles


def served(memory, demands, schedule, seed):
    return run(memory, schedule.ports, engines(demands, schedule), CYCLES, seed=seed,
               worst=bool(seed % 2))


@pytest.mark.parametrize("seed", range(12))
def test_no_queue_runs_dry(seed):
    rng = np.random.default_rng(seed)
    memory = MemoryTiming(word_bytes=8, words_per_cycle=(1.0, 0.945, 0.6)[seed % 3])
    demands = random_demands(rng, int(rng.integers(2, 9)), (0.5, 0.8, 0.95, 0.965)[seed % 4],
                             memory)
    schedule = solve(memory, demands)
    queues, _ = served(memory, demands, schedule, seed)
    assert not any(queue.failed for queue in queues)
    assert all(queue.needed for queue in queues)


def test_places_are_few_and_needed():
    """All together less than twice what was in use in some run; half of them starve some engine."""
    memory = MemoryTiming(word_bytes=8)
    places = needed = 0
    starved = []
    for seed in range(20, 26):
        demands = random_demands(np.random.default_rng(seed), 6, 0.9, memory)
        schedule = solve(memory, demands)
        queues, _ = served(memory, demands, schedule, seed)
        places += sum(queue.stream.places for queue in queues)
        needed += sum(queue.needed for queue in queues)
        port, = schedule.ports
        halved = dataclasses.replace(port, streams=tuple(
            dataclasses.replace(stream, places=max(stream.burst, stream.places // 2
                                                   // stream.burst * stream.burst))
            for stream in port.streams))
        queues, _ = run(memory, (halved,), engines(demands, schedule), CYCLES, seed=seed,
                        worst=bool(seed % 2))
        starved.append(any(queue.failed for queue in queues))
    assert needed <= places < 2 * needed
    assert all(starved)


def test_memory_is_used():
    """Where the memory is the limit, it is busy but for refreshes, turns and the surplus."""
    memory = MemoryTiming(word_bytes=8)
    demands = random_demands(np.random.default_rng(3), 6, 0.985, memory)
    schedule = solve(memory, demands)
    assert schedule.utilisation > 0.975
    queues, moved = served(memory, demands, schedule, 3)
    assert not any(queue.failed for queue in queues)
    assert moved / memory.derated > 0.97
    assert {queue.reads for queue in queues} == {True, False}


def test_all_bounds_are_told():
    memory = MemoryTiming(word_bytes=8, ports=2, words_per_cycle=1.5)
    demands = random_demands(np.random.default_rng(1), 5, 0.8, memory)
    demands.append(Demand(name="load", network="n0", direction="read", burst=16))
    schedule = solve(memory, demands)
    assert len(schedule.checked) == 2 * 2 + 5 + 1
    assert schedule.utilisation == pytest.approx(
        sum(demand.rate for demand in demands) / memory.derated)
    assert {stream.port for stream in schedule.streams} == {0, 1}
    load = next(stream for stream in schedule.streams if stream.name == "load")
    assert (load.places, load.words) == (32, 0)
    for stream in schedule.streams:
        assert schedule.ports[stream.port].table.count(
            schedule.ports[stream.port].streams.index(stream)) == stream.slots
        assert stream.places % stream.burst == 0
    again = solve(memory, demands)
    assert again == schedule


def test_fast_streams_are_striped():
    memory = MemoryTiming(word_bytes=8, ports=3, words_per_cycle=2.4)
    frames = np.arange(3)[:, None]
    demands = [Demand(name="fast", network="a", direction="read", burst=16, interval=7000,
                      cycles=np.arange(6400) + 7000 * frames),
               Demand(name="slow", network="b", direction="read", burst=16, interval=19_200,
                      cycles=np.arange(1600) * 9 + 19_200 * frames)]
    with pytest.raises(Infeasible, match="striped over ports") as caught:
        solve(memory, demands)
    assert caught.value.demand == "fast"
    schedule = solve(memory, demands, striping=True)
    assert sorted((s.name, s.port, s.stripe) for s in schedule.streams if s.stripes > 1) == [
        ("fast", k, k) for k in range(3)]
    queues, _ = served(memory, demands, schedule, 0)
    assert not any(queue.failed for queue in queues)


def test_all_ports_are_used():
    """A few streams that no deal makes even leave nothing of the memory unused."""
    memory = MemoryTiming(word_bytes=8, ports=3, words_per_cycle=2.4)
    demands = random_demands(np.random.default_rng(1), 5, 0.98, memory)
    with pytest.raises(Infeasible, match="of one port, and there is"):
        solve(memory, demands)
    schedule = solve(memory, demands, striping=True)
    assert schedule.utilisation > 0.97
    for demand in demands:
        stripes = [each for each in schedule.streams if each.name == demand.name]
        assert sorted(each.stripe for each in stripes) == list(range(len(stripes)))
        assert {each.stripes for each in stripes} == {len(stripes)}
        assert len({each.port for each in stripes}) == len(stripes)
        assert sum(each.words for each in stripes) == demand.words
    queues, moved = served(memory, demands, schedule, 1)
    assert not any(queue.failed for queue in queues)
    assert all(queue.needed <= queue.stream.needed <= queue.stream.places for queue in queues)
    assert moved / memory.derated > schedule.utilisation - 0.02  # in some thousand cycles


def test_what_does_not_fit_is_told():
    memory = MemoryTiming(word_bytes=8)
    demands = random_demands(np.random.default_rng(0), 4, 1.3, memory)
    with pytest.raises(Infeasible, match="words per cycle, and there is") as caught:
        solve(memory, demands)
    slower = [dataclasses.replace(demand, interval=int(demand.interval * factor), cycles=(
        demand.cycles * factor).astype(int))
        for factor in [caught.value.factor * 1.03] for demand in demands]
    assert solve(memory, slower).utilisation > 0.96

    # The bandwidth is there, and no table of so few slots is.
    tight = random_demands(np.random.default_rng(0), 4, 0.99, memory)
    with pytest.raises(Infeasible, match="turns and whole bursts taken off") as caught:
        solve(memory, tight, most_slots=30)
    assert 1 < caught.value.factor < 1.5
    assert "Intervals" in caught.value.remedy
    with pytest.raises(Infeasible, match="Take shorter bursts"):
        solve(MemoryTiming(word_bytes=8, longest_burst=8), demands)


def test_twenty_long_streams_take_no_second():
    memory = MemoryTiming(word_bytes=16)
    demands = random_demands(np.random.default_rng(5), 20, 0.97, memory, most_interval=1_000_000)
    start = time.process_time()
    solve(memory, demands)
    assert time.process_time() - start < 2  # 0.4 on an idle machine


def test_demand_of_an_engine():
    engine = chain(pointwise(100), sliding(10, 10, steps=3), pointwise(100))
    paced = (np.arange(8) * 400).repeat(100)
    timing = simulate(engine, offers={engine.inputs[0][0]: paced})
    assert timing.interval_cycles == 400
    taken = timing.transfers.frames(Source(engine.inputs[0][0]))
    demand = engine_demand(taken, 400, name="i", network="a", direction="read", longest_burst=16,
                           beats_per_word=4)
    assert (demand.words, demand.burst, demand.interval) == (32, 16, 400)
    assert (demand.cycles[:, :25] == taken[:, ::4]).all()
    assert solve(MemoryTiming(word_bytes=8), [demand]).streams[0].places >= 32
    with pytest.raises(ValueError, match="does not repeat itself within 2 frames"):
        engine_demand(taken[:2] * [[1], [2]], 400, name="i", network="a", direction="read",
                      longest_burst=16)


@pytest.mark.parametrize(("words", "longest", "burst"), [
    (1, 16, 4), (5, 16, 8), (9, 16, 16), (10_000, 16, 16), (10_000, 256, 16), (3, 2, 2)])
def test_bursts(words, longest, burst):
    assert burst_words(words, longest) == burst


def test_round_robin_covers_the_round_trip():
    demand = Demand(name="s", network="a", direction="read", burst=16, interval=200,
                    cycles=np.arange(64)[None])
    assert round_robin_places(demand, MemoryTiming(word_bytes=8)) == 64


@pytest.mark.parametrize("places", [16, 512, 8192])
def test_the_controller_is_as_fast_as_planned(places):
    port = MemoryPort(axi=Axi(data_width=64), streams=(
        MemoryStream(name="i", direction="read", burst=16, places=places),
        MemoryStream(name="o", direction="write", burst=16, places=places)))
    assert port.request_latency + port.word_latency(0) + port.release <= CONTROLLER
    assert port.request_latency + port.answer_latency + 1 <= CONTROLLER
    assert port.write_latency + port.entry <= CONTROLLER
