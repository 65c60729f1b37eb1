"""The memory side of an accelerator: what crosses which port, when, and how far ahead."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from fcnnx.errors import Problem, TargetMissed
from fcnnx.hdl.engine import Engine, Source
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.packing import Packing
from fcnnx.hdl.memory.port import MemoryPort, MemoryStream, MemoryStripe
from fcnnx.hdl.operator import StreamShape
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.hdl.system import (
    EngineMemory,
    FrameStream,
    MemorySystem,
    StripedStream,
    region_bytes,
)
from fcnnx.memory import MemoryTiming
from fcnnx.schedule import StreamSchedule

from .bounds import Infeasible
from .concurrency import at_once
from .demands import Demand, burst_words, engine_demand
from .schedule import Schedule, in_turn, solve
from .timing import EngineTiming, simulate


__all__ = ["POLICIES", "MemoryPlan", "PacedEngine", "plan_memory", "spread"]


POLICIES = ("cyclic", "round-robin")
USABLE = 0.985  # of the bandwidth: turns and whole bursts take the rest
MORE, MOST_GROWTH = 1.005, 2.0  # by which intervals grow where ports do not carry all
GROWTHS = 32
PACINGS = 6  # of the offers, until they are those of the gate
SHARES = (1.0, 0.75)  # of its pace, over which a frame's beats are spread
STILL = 16  # frames after which an engine that is paced must repeat itself


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PacedEngine:
    """An engine, and how it runs where its frames come at its pace.

    Parameters
    ----------
    engine : :class:`Engine`
    pace : :class:`int`
        Cycles from frame to frame.
    timing : :class:`EngineTiming`
    spreads : cycles by input
        Over which the beats of a frame come; of inputs whose beats pass as they come there are
        none.
    """

    engine: Engine
    pace: int
    timing: EngineTiming
    spreads: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MemoryPlan:
    """What was decided for the memory side.

    Parameters
    ----------
    system : :class:`MemorySystem`
    schedule : :class:`Schedule`
        Without tables where ports serve in turn.
    engines : tuple of :class:`PacedEngine`
    """

    system: MemorySystem
    schedule: Schedule
    engines: tuple[PacedEngine, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Crossing:
    """A stream of an engine that crosses the memory."""

    engine: str
    stream: str
    kind: str
    source: Source
    shape: StreamShape
    packing: Packing

    @property
    def name(self) -> str:
        return f"{self.engine} {self.stream}"

    @property
    def direction(self) -> str:
        return "write" if self.kind == "output" else "read"


def plan_memory(engines: Sequence[Engine], timings: Sequence[EngineTiming], memory: MemoryTiming,
                *, address_width: int, paces: Sequence[int], most: Sequence[int | None],
                even: Sequence[bool], policy: str = "cyclic") -> MemoryPlan:
    """Pace, assign and schedule all streams of some engines.

    Where the ports do not carry them at these paces, all intervals grow alike until they do; with
    ``"round-robin"`` each engine runs as it can, and ports serve in turn.

    Parameters
    ----------
    engines, timings : sequences, the engines as they run by themselves
    memory : :class:`MemoryTiming`
    address_width : :class:`int`
        Bits of a byte's address.
    paces, most : sequences, for each engine
        Cycles from frame to frame that it shall have, or more where it is slower; those that its
        target allows.
    even : for each engine
        Whether its inputs may come evenly over its frames where several engines share the memory,
        which makes their queues short and frames later.
    policy : one of :data:`POLICIES`

    Raises
    ------
    TargetMissed
        If the memory gives less than targets ask for.
    """
    axi = Axi(data_width=8 * memory.word_bytes, address_width=address_width,
              burst_beats=memory.longest_burst)
    crossings = [_crossings(engine, axi) for engine in engines]
    least = [max([pace, timing.interval_cycles, *(each.packing.interval for each in ours)])
             for pace, timing, ours in zip(paces, timings, crossings, strict=True)]
    loads = [load for engine in engines if (load := _load(engine, axi))]
    if policy == "round-robin":
        paced = [_paced(engine, timing.interval_cycles, ours, False) for engine, timing, ours
                 in zip(engines, timings, crossings, strict=True)]
        schedule = in_turn(memory, [*_demands(paced, crossings, axi), *loads])
        return MemoryPlan(system=_system(crossings, paced, schedule, axi), schedule=schedule,
                          engines=tuple(paced))
    factor = 1.0
    for _ in range(GROWTHS):
        paced = at_once(_paced, engines, [math.ceil(factor * pace) for pace in least], crossings,
                        [len(engines) > 1 and may for may in even])
        _keep_targets(paced, most)
        try:
            schedule = _fewest_ports(memory, [*_demands(paced, crossings, axi), *loads])
        except Infeasible as error:
            refusal = error
            factor *= max(MORE, min(error.factor, MOST_GROWTH))
            continue
        return MemoryPlan(system=_system(crossings, paced, schedule, axi), schedule=schedule,
                          engines=tuple(paced))
    raise _missed(refusal)


def _keep_targets(paced: Sequence[PacedEngine], most: Sequence[int | None]) -> None:
    """Raises TargetMissed if the memory has made an engine slower than its target allows."""
    slow = [(each, limit) for each, limit in zip(paced, most, strict=True)
            if limit is not None and each.pace > limit]
    if slow:
        raise TargetMissed(*(Problem(
            where=each.engine.name, reason=f"The target allows {limit} cycles a frame, and what "
            f"the ports of the memory carry together makes it {each.pace}.",
            remedy="Allow more bandwidth, or lower the targets.") for each, limit in slow))


def _fewest_ports(memory: MemoryTiming, demands: Sequence[Demand]) -> Schedule:
    """The schedule of as few ports as will do, each with the share that it has of all; no stream
    is striped where all of them do without.

    Raises
    ------
    Infeasible
        If all of them do not.
    """
    rate = sum(demand.rate for demand in demands)
    fewest = max(1, math.ceil(rate / (memory.share * (1 - memory.refresh_share))))
    tries = [(False, ports) for ports in range(fewest, memory.ports + 1)]
    tries += [(True, ports) for ports in range(max(2, fewest), memory.ports + 1)]
    refusal: Infeasible | None = None
    for striping, ports in tries or [(False, memory.ports)]:
        fewer = dataclasses.replace(memory, ports=ports, words_per_cycle=memory.share * ports)
        try:
            return solve(fewer, demands, striping=striping)
        except Infeasible as error:
            refusal = error
    assert refusal is not None
    raise refusal


def _missed(error: Infeasible) -> TargetMissed:
    return TargetMissed(Problem(where=error.demand, reason=f"The memory gives too little: {error}",
                                remedy=error.remedy or "Allow more bandwidth, or lower the "
                                "targets."))


def _crossings(engine: Engine, axi: Axi) -> list[_Crossing]:
    """Inputs, weights and outputs, as they are packed."""
    weights = engine.weight_frames
    rows = [("weights" if name in weights else "input", name, Source(name), shape)
            for name, shape in engine.inputs]
    rows += [("output", name, source, engine.shape(source)) for name, source in engine.outputs]
    found = []
    for kind, name, source, shape in rows:
        data = Packing(shape=shape, width=axi.data_width, words=1 << 40).data_words
        burst = burst_words(data, axi.longest_burst)
        packing = Packing(shape=shape, width=axi.data_width, words=-(-data // burst) * burst)
        found.append(_Crossing(engine=engine.name, stream=name, kind=kind, source=source,
                               shape=shape, packing=packing))
    return found


def _paced(engine: Engine, pace: int, crossings: Sequence[_Crossing],
           even: bool) -> PacedEngine:
    """The engine at its pace, the passes of stages whose weights are streamed spread over it, and
    with ``even`` the beats of its inputs as well, as far as that does not make it slower: what it
    then asks of the memory is even, and queues are short."""
    evenly = spread(engine, pace)
    engines = [evenly, engine] if evenly != engine else [engine]
    inputs = [each for each in crossings if each.kind == "input"] if even else []
    choices = [{each.stream: cycles for each in inputs
                if each.shape.beats * each.packing.words_per_beat < cycles}
               for cycles in (math.floor(share * pace) for share in SHARES)]
    for spreads in (*filter(None, choices), {}):
        for each in engines:
            found = _held_back(each, pace, crossings, spreads)
            if found.timing.interval_cycles == pace:
                return found
    return found


def spread(engine: Engine, pace: int) -> Engine:
    """The engine with a pace of each stage whose weights are streamed, so many cycles a frame: what
    it asks of the memory is then even."""
    stages = []
    for stage in engine.stages:
        operator = stage.operator
        if isinstance(operator, StreamedConvolution):
            passes = operator.output.pixels * operator.passes
            operator = dataclasses.replace(operator, pace=pace // passes)
        stages.append(dataclasses.replace(stage, operator=operator))
    return dataclasses.replace(engine, stages=tuple(stages))


def _held_back(engine: Engine, pace: int, crossings: Sequence[_Crossing],
               spreads: Mapping[str, int]) -> PacedEngine:
    """The engine with its frames held back: the gate counts from when a frame really began.

    The first waits until weights have filled their buffers.
    """
    filled = sum(each.packing.interval for each in crossings if each.kind == "weights")
    inputs = [each.stream for each in crossings if each.kind == "input"]
    begins = {name: filled + np.arange(STILL) * pace for name in inputs}
    real, timing = begins, None
    for _ in range(PACINGS):
        timing = simulate(engine, STILL if timing is None else len(timing.ends),
                          offers=_offers(crossings, begins, real, spreads),
                          kept=[each.source for each in crossings])
        counted, real = real, {
            name: timing.transfers[Source(name)].reshape(len(timing.ends), -1)[:, 0]
            for name in inputs}
        held = {name: np.concatenate([first[:1], first[:-1] + pace])
                for name, first in real.items()}
        if all((begins[name][:len(cycles)] == cycles).all() for name, cycles in held.items()) and (
                all((counted[name][:len(real[name])] == real[name]).all() for name in spreads)):
            break
        begins = held
    assert timing is not None
    first = min(int(cycles[0]) for cycles in real.values())
    transfers = {source: _since(cycles, first, len(timing.ends), pace) if source.name in
                 engine.weight_frames else cycles for source, cycles in timing.transfers.items()}
    return PacedEngine(engine=engine, pace=pace, spreads=spreads, timing=dataclasses.replace(
        timing, transfers=transfers, latency_cycles=int(timing.ends[0]) - first))


def _since(cycles: np.ndarray, first: int, frames: int, pace: int) -> np.ndarray:
    """Cycles of beats, those before the first frame moved up to it at their own rate: that much
    has been filled in before anything can run dry."""
    before = int((cycles < first).sum())
    ahead = np.arange(before, 0, -1) * pace * frames // len(cycles)
    return np.concatenate([first - 1 - ahead, cycles[before:]])


def _offers(crossings: Sequence[_Crossing], begins: Mapping[str, np.ndarray],
            real: Mapping[str, np.ndarray], spreads: Mapping[str, int]) -> dict[str, np.ndarray]:
    """When each beat is there at the earliest: a word in a cycle, frames of inputs at the gate.

    Where a frame is spread, its beats count from when it really began.
    """
    offers = {}
    frames = len(next(iter(begins.values())))
    for each in crossings:
        if each.kind == "output":
            continue
        beats = np.arange(each.shape.beats)
        starts = begins.get(each.stream, np.arange(frames) * each.packing.interval)
        if cycles := spreads.get(each.stream, 0):
            offered = real[each.stream][:, None] + -(-beats * cycles // each.shape.beats)
            offered[:, 0] = starts
        else:
            offered = starts[:, None] + beats * each.packing.words_per_beat
        offers[each.stream] = offered.ravel()
    return offers


def _demands(paced: Sequence[PacedEngine], crossings: Sequence[Sequence[_Crossing]],
             axi: Axi) -> list[Demand]:
    return [engine_demand(one.timing, each.source, name=each.name, network=each.engine,
                          direction=each.direction, longest_burst=axi.longest_burst,
                          beats_per_word=each.packing.beats_per_word,
                          words_per_beat=each.packing.words_per_beat)
            for one, ours in zip(paced, crossings, strict=True) for each in ours]


def _load_words(engine: Engine, axi: Axi) -> int:
    """Words of what is loaded, whole bursts; none where nothing is."""
    words = math.ceil(4 * len(engine.load_words) / axi.word_bytes)
    burst = burst_words(words, axi.longest_burst)
    return -(-words // burst) * burst


def _load(engine: Engine, axi: Axi) -> Demand | None:
    """What is read once, whenever there is time."""
    words = _load_words(engine, axi)
    if not words:
        return None
    return Demand(name=f"{engine.name} load", network=engine.name, direction="read",
                  burst=burst_words(words, axi.longest_burst))


def _system(crossings: Sequence[Sequence[_Crossing]],
            paced: Sequence[PacedEngine], schedule: Schedule, axi: Axi) -> MemorySystem:
    """The hardware that does it."""
    ports: list[MemoryPort] = []
    places: dict[str, dict[int, tuple[int, int]]] = {}
    for port in schedule.ports:
        if not port.streams:
            continue
        for k, each in enumerate(port.streams):
            places.setdefault(each.name, {})[each.stripe] = len(ports), k
        ports.append(MemoryPort(axi=axi, streams=tuple(map(_port_stream, port.streams)),
                                table=port.table,
                                outstanding=port.outstanding))
    cyclic = any(port.table for port in ports)
    memories = tuple(_engine_memory(ours, one, places, axi, cyclic,
                                    late=_lateness(schedule, one.engine.name))
                     for ours, one in zip(crossings, paced, strict=True))
    return MemorySystem(ports=tuple(ports), engines=memories)


def _lateness(schedule: Schedule, network: str) -> int:
    """Cycles by which a network's frames may come and go later than the tables have them."""
    return sum(max((each.latency for each in schedule.streams if each.network == network
                    and each.direction == direction and each.interval), default=0)
               for direction in ("read", "write"))


def _port_stream(each: StreamSchedule) -> MemoryStream:
    """A stream, or a stripe of one, as its port has it."""
    kind = (MemoryStream if each.stripes == 1
            else functools.partial(MemoryStripe, stripes=each.stripes))
    return kind(name=each.name, direction=each.direction, burst=each.burst, places=each.places)


def _frame_stream(places: Mapping[int, tuple[int, int]], *, stream: str, kind: str, words: int,
                  offset: int, spread: int = 0) -> FrameStream:
    """A stream of an engine, over the ports that its stripes have."""
    (port, number), *others = (places[stripe] for stripe in range(len(places)))
    made = functools.partial(StripedStream, others=tuple(others)) if others else FrameStream
    return made(stream=stream, kind=kind, words=words, port=port, number=number, offset=offset,
                spread=spread)


def _engine_memory(crossings: Sequence[_Crossing], paced: PacedEngine,
                   places: Mapping[str, Mapping[int, tuple[int, int]]], axi: Axi,
                   cyclic: bool, *, late: int) -> EngineMemory:
    """An engine's streams, weights one region after the other; only tables ask for a pace.

    As many frames are under way as are in the engine and in the memory at once, and one each that
    is asked for, that is answered and that the host has.
    """
    engine = paced.engine
    offset, streams = 0, []
    for each in crossings:
        words = each.packing.words
        streams.append(_frame_stream(places[each.name], stream=each.stream, kind=each.kind,
                                     words=words, offset=offset if each.kind == "weights" else 0,
                                     spread=paced.spreads.get(each.stream, 0)))
        if each.kind == "weights":
            offset += region_bytes(words, axi)
    if words := _load_words(engine, axi):
        streams.append(_frame_stream(places[f"{engine.name} load"], stream="", kind="load",
                                     words=words, offset=offset))
    under_way = math.ceil((paced.timing.latency_cycles + late) / paced.pace) + 3
    return EngineMemory(engine=engine.name, streams=tuple(streams),
                        pace=paced.pace if cyclic else 0,
                        buffers=1 << (under_way - 1).bit_length(), in_flight=under_way)
