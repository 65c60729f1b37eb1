"""The memory side of an accelerator: what crosses which port, when, and how far ahead."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from fcnnx.errors import BadInput, Problem, TargetMissed
from fcnnx.hdl.engine import Engine, Source
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.memory.packing import Packing
from fcnnx.hdl.memory.port import MemoryPort, MemorySpill, MemoryStream, MemoryStripe
from fcnnx.hdl.operator import StreamShape
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.hdl.system import (
    SPILLED,
    WRITTEN,
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
from .curves import written_words
from .demands import Demand, burst_words, engine_demand
from .equations import Equations
from .schedule import Schedule, in_turn, solve
from .timing import EngineTiming, simulate
from .ways import Way, told


__all__ = ["POLICIES", "MemoryPlan", "PacedEngine", "plan_memory", "spread"]


POLICIES = ("cyclic", "round-robin")
USABLE = 0.99  # of the bandwidth: turns and whole bursts take the rest
MORE, MOST_GROWTH = 1.005, 2.0  # by which intervals grow where ports do not carry all
LESS, LATE = 1.01, 4  # and where what comes back is too late, and how often
# Frames of a network under way beyond those in its engine, or in all: each has a buffer, and each
# buffer a register. Intervals grow so often that they are few.
BEYOND, FEW_UNDER_WAY, MOST_UNDER_WAY = 6, 16, 64
SHORTENINGS = 3
GROWTHS = 32
PACINGS = 6  # of the offers, until they are those of the gate
RETURNS = 2  # more of them for each stream that comes back, whose offers depend on those before it
SHARES = (1.0, 0.75)  # of its pace, over which a frame's beats are spread
STILL = 16  # frames after which an engine that is paced must repeat itself
CALMINGS = 8  # paces that are tried until it does


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PacedEngine:
    """An engine, and how it runs where its frames come at its pace.

    Parameters
    ----------
    engine : :class:`Engine`
    pace : :class:`int`
        Cycles from frame to frame.
    first : :class:`int`
        Cycle in which the first frame begins, in ``timing``.
    timing : :class:`EngineTiming`
    spreads : cycles by input
        Over which the beats of a frame come; of inputs whose beats pass as they come there are
        none.
    """

    engine: Engine
    pace: int
    first: int
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
    burst: int
    spilled: "_Crossing | None" = None  # what comes back as this one

    @property
    def name(self) -> str:
        return f"{self.engine} {self.stream}"

    @property
    def direction(self) -> str:
        return "write" if self.kind in WRITTEN else "read"


class _Late(BadInput):
    """What comes back from the memory would be waited for."""


def plan_memory(engines: Sequence[Engine], timings: Sequence[EngineTiming], memory: MemoryTiming,
                *, address_width: int, paces: Sequence[int], most: Sequence[int | None],
                even: Sequence[bool], policy: str = "cyclic",
                equations: Sequence[Equations | None] | None = None) -> MemoryPlan:
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
    equations : for each engine
        Its own, where they are known.

    Raises
    ------
    BadInput
        If a stream that comes back from the memory is wanted before it surely is there.
    TargetMissed
        If the memory gives less than targets ask for.
    """
    axi = Axi(data_width=8 * memory.word_bytes, address_width=address_width,
              burst_beats=memory.longest_burst)
    known = equations or [None for _ in engines]
    sides = _Sides(sides=[_Side(*each, axi) for each in zip(engines, known, strict=True)],
                   memory=memory, axi=axi)
    if policy == "round-robin":
        return _round_robin(sides, [timing.interval_cycles for timing in timings])
    least = [max([pace, timing.interval_cycles, *(each.packing.interval for each in ours)])
             for pace, timing, ours in zip(paces, timings, sides.crossings, strict=True)]
    return _cyclic(sides, least, most, [len(engines) > 1 and may for may in even])


class _Side:
    """An engine beside a memory; what was found last is kept, as often it is other engines that
    change.

    Parameters
    ----------
    engine : :class:`Engine`
    equations : :class:`Equations` or None
        Of the engine as it is.
    axi : :class:`Axi`

    Attributes
    ----------
    crossings : list of :class:`_Crossing`
        What of it crosses the memory.
    """

    def __init__(self, engine: Engine, equations: Equations | None, axi: Axi):
        self.engine, self._axi = engine, axi
        self._equations = equations or Equations(engine)
        self.crossings = _crossings(engine, axi)
        self._inputs = [each for each in self.crossings if each.kind == "input"]
        self._asked: tuple = ()
        self._paced: PacedEngine | None = None
        self._demands: list[Demand] = []
        self._unhindered: dict[tuple, EngineTiming] = {}  # first passes at the last pace

    def paced(self, pace: int, even: bool, ways: Mapping[str, Way]) -> PacedEngine:
        """The engine at its pace, the passes of stages whose weights are streamed spread over it,
        and with ``even`` the beats of its inputs as well, as far as that does not make it slower:
        what it then asks of the memory is even, and queues are short."""
        asked = pace, even, {each.name: ways[each.name] for each in self.crossings
                             if each.name in ways}
        if self._paced is None or self._asked != asked:
            if self._paced is None or self._asked[0] != pace:
                self._unhindered = {}
            self._paced, self._asked = self._as_even_as_may_be(*asked), asked
            self._demands = []
        return self._paced

    def demands(self) -> list[Demand]:
        """What the engine asks of the ports at its last pace, for each of its streams."""
        assert self._paced is not None
        self._demands = self._demands or _demands(self._paced, self.crossings, self._axi)
        return self._demands

    def _as_even_as_may_be(self, pace: int, even: bool, ways: Mapping[str, Way]) -> PacedEngine:
        for _ in range(CALMINGS):
            found = self._at_pace(pace, even, ways)
            if found.timing.transfers.repeat:
                break
            # Most frames come in time, and now and then one is late: where all of them take what
            # they do on average, none is.
            pace = max(pace + 1, math.ceil(_mean_step(np.diff(found.timing.ends))))
        return found

    def _at_pace(self, pace: int, even: bool, ways: Mapping[str, Way]) -> PacedEngine:
        """The engine at its pace, or a little slower where it does not keep it."""
        evenly = spread(self.engine, pace)
        engines = [evenly, self.engine] if evenly != self.engine else [self.engine]
        choices = [{each.stream: cycles for each in self._inputs if even
                    and each.shape.beats * each.packing.words_per_beat < cycles}
                   for cycles in (math.floor(share * pace) for share in SHARES)]
        found = None
        equations = [self._equations if engine == self.engine else Equations(engine)
                     for engine in engines]
        for spreads in (*filter(None, choices), {}):
            for engine, its in zip(engines, equations, strict=True):
                found = self._held_back(engine, its, pace, spreads, ways)
                if (found is not None and found.timing.interval_cycles == pace
                        and found.timing.transfers.repeat):
                    return found
        if found is None or self.engine.returning:
            raise self._late(ways)
        return found

    def _late(self, ways: Mapping[str, Way]) -> _Late:
        names = ", ".join(name for name, _ in self.engine.returning)
        longest = max((math.ceil(sum(way.delays)) for way in ways.values()), default=0)
        return _Late(Problem(
            where=self.engine.name, reason=f"{names}: What leaves is wanted back before the memory "
            f"has surely written and read it, which takes up to {longest} cycles and more where "
            "bursts wait for one another.",
            remedy="Allow more block RAM or bandwidth."))

    def _held_back(self, engine: Engine, equations: Equations, pace: int,
                   spreads: Mapping[str, int], ways: Mapping[str, Way]) -> PacedEngine | None:
        """The engine with its frames held back: the gate counts from when a frame really began.

        The first waits until weights have filled their buffers, and from then on they are always
        offered. What comes back from the memory does so as late as its way may take; None where
        something would have to wait for it, and so for the memory's whims.
        """
        crossings, inputs = self.crossings, self._inputs
        filled = sum(each.packing.interval for each in crossings if each.kind == "weights")
        begins = {each.stream: filled + np.arange(STILL) * pace for each in inputs}
        real, timing = begins, None
        back: dict[str, np.ndarray] = {}
        first: dict[str, np.ndarray] = {}
        for _ in range(PACINGS + RETURNS * len(engine.returning)):
            offers = {each.stream: _offers(each, begins[each.stream], real[each.stream],
                                           spreads.get(each.stream, 0)) for each in inputs}
            if first:
                timing = self._simulated(engine, equations, offers | back)
            else:
                timing, first = self._first(engine, equations, pace, offers, spreads), offers
            came, back = back, {each.stream: _back(each, each.spilled, timing, ways[each.name])
                                for each in crossings if each.spilled and each.name in ways}
            counted, real = real, {each.stream: timing.transfers.frames(each.source, STILL)[:, 0]
                                   for each in inputs}
            held = {name: np.concatenate([cycles[:1], cycles[:-1] + pace])
                    for name, cycles in real.items()}
            if (all((begins[name] == cycles).all() for name, cycles in held.items())
                    and all((counted[name] == real[name]).all() for name in spreads)
                    and came.keys() == back.keys()
                    and all(np.array_equal(came[name], cycles) for name, cycles in back.items())):
                break
            begins = held
        assert timing is not None
        if back:
            free = (self._first(engine, equations, pace, offers, spreads) if all(
                np.array_equal(cycles, first[name]) for name, cycles in offers.items())
                else self._simulated(engine, equations, offers))
            if not np.array_equal(free.ends, timing.ends):
                return None
        begun = min(int(cycles[0]) for cycles in real.values())
        return PacedEngine(engine=engine, pace=pace, spreads=spreads, first=begun,
                           timing=dataclasses.replace(
                               timing, latency_cycles=int(timing.ends[0]) - begun))

    def _first(self, engine: Engine, equations: Equations, pace: int,
               offers: Mapping[str, np.ndarray], spreads: Mapping[str, int]) -> EngineTiming:
        """The engine with frames as they come at first, and nothing coming back late; kept where
        something does come back, as the same is then asked for with other ways."""
        key = pace, engine is self.engine, *sorted(spreads.items())
        timing = self._unhindered.get(key) or self._simulated(engine, equations, offers)
        if engine.returning:
            self._unhindered[key] = timing
        return timing

    def _simulated(self, engine: Engine, equations: Equations,
                   offers: Mapping[str, np.ndarray]) -> EngineTiming:
        return simulate(engine, STILL, offers=offers, equations=equations,
                        kept=[each.source for each in self.crossings])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Sides:
    """Engines beside a memory, and what its ports are."""

    sides: Sequence[_Side]
    memory: MemoryTiming
    axi: Axi

    @functools.cached_property
    def crossings(self) -> list[list[_Crossing]]:
        """What of each engine crosses the memory."""
        return [each.crossings for each in self.sides]

    @functools.cached_property
    def loads(self) -> list[Demand]:
        """What engines load, of those that do."""
        return [load for each in self.sides if (load := _load(each.engine, self.axi))]

    def paced(self, paces: Sequence[int], even: Sequence[bool],
              ways: Mapping[str, Way]) -> list[PacedEngine]:
        """Each engine at its pace, as :meth:`_Side.paced` makes it."""
        return at_once(_Side.paced, self.sides, paces, even, [ways for _ in paces])

    def demands(self) -> list[Demand]:
        """All that is asked of the ports at the last paces."""
        each = at_once(_Side.demands, self.sides)
        return [*itertools.chain.from_iterable(each), *self.loads]

    def plan(self, paced: Sequence[PacedEngine], schedule: Schedule,
             under_way: Sequence[int]) -> MemoryPlan:
        """The memory side that a schedule makes, with so many frames of each network under way."""
        return MemoryPlan(system=_system(self.crossings, paced, schedule, self.axi, under_way),
                          schedule=schedule, engines=tuple(paced))


def _round_robin(sides: _Sides, paces: Sequence[int]) -> MemoryPlan:
    """The memory side of engines that run as they can; what comes back does so no sooner than it
    has left, and nothing is proven of it."""
    at_once_back = {each.name: Way() for ours in sides.crossings for each in ours if each.spilled}
    paced = sides.paced(paces, [False for _ in paces], at_once_back)
    schedule = in_turn(sides.memory, sides.demands())
    return sides.plan(paced, schedule, _under_way(paced, schedule))


def _cyclic(sides: _Sides, least: Sequence[int], most: Sequence[int | None],
            even: Sequence[bool]) -> MemoryPlan:
    """The memory side with tables, engines as near to their least paces as ports carry them."""
    search = _Search()
    for _ in range(GROWTHS):
        try:
            paced = sides.paced([math.ceil(search.factor * pace) for pace in least], even,
                                search.ways)
            _keep_targets(paced, most)
            schedule = _fewest_ports(sides.memory, sides.demands())
        except _Late as late:
            search.allow_for(late)
            continue
        except Infeasible as refusal:
            search.slow_down(refusal)
            continue
        if search.lengthens(_ways(sides.crossings, schedule, sides.memory)):
            continue
        schedule = told(schedule, search.ways)
        under_way = _under_way(paced, schedule)
        if search.thins_out(paced, under_way):
            continue
        return sides.plan(paced, schedule, under_way)
    assert search.refusal is not None, "What is late uses its patience up before"
    raise _missed(search.refusal)


@dataclasses.dataclass
class _Search:
    """With what a memory side with tables is tried next: each refusal changes it.

    Parameters
    ----------
    ways : by stream that comes back
        How late it may be; those that are not there come at once.
    factor : :class:`float`
        Of all paces.
    patience : :class:`int`
        How often what comes back may yet be too late.
    shortenings : :class:`int`
        How often intervals may yet grow for few frames under way, instead of not too many.
    refusal : :class:`Infeasible` or None
        The last, of the memory.
    """

    ways: Mapping[str, Way] = dataclasses.field(default_factory=dict)
    factor: float = 1.0
    patience: int = LATE
    shortenings: int = SHORTENINGS
    refusal: Infeasible | None = None

    def allow_for(self, late: _Late) -> None:
        """Longer intervals, and no ways, as at first: tables that have hardly a slot to spare have
        long turns.

        Raises what was late where that has been tried often enough.
        """
        if not self.patience:
            raise late
        self.patience -= 1
        self.factor *= LESS
        self.ways = {}

    def slow_down(self, refusal: Infeasible) -> None:
        """Intervals with which ports may carry all."""
        self.refusal = refusal
        self.factor *= max(MORE, min(refusal.factor, MOST_GROWTH))

    def lengthens(self, found: Mapping[str, Way]) -> bool:
        """Whether ways were taken to be shorter than these, and are now as long."""
        allowed = {name: self.ways.get(name, Way()) for name in found}
        longer = [name for name, way in found.items() if not allowed[name].covers(way)]
        if not longer:
            return False
        self.refusal = Infeasible(
            demand=", ".join(longer), bound="cycles to the memory and back",
            asked=sum(found[longer[0]].delays), given=sum(allowed[longer[0]].delays))
        self.ways = {name: way.longest(found[name]) for name, way in allowed.items()}
        return True

    def thins_out(self, paced: Sequence[PacedEngine], under_way: Sequence[int]) -> bool:
        """Whether too many frames would be under way, and intervals are now longer."""
        crowd = _crowd(paced, under_way, FEW_UNDER_WAY if self.shortenings else MOST_UNDER_WAY)
        if crowd is None:
            return False
        self.refusal = crowd
        self.factor *= LESS
        self.shortenings = max(self.shortenings - 1, 0)
        return True


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
    at_once(Demand.curve, [demand for demand in demands if demand.words])
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
    inputs, outputs = dict(engine.inputs), dict(engine.outputs)
    back = dict(engine.returning)
    rows = [("weights" if name in weights else "input", name, Source(name))
            for name in inputs if name not in back.values()]
    rows += [("output", name, source) for name, source in engine.results]
    rows += [("spill", name, outputs[name]) for name in back]
    found = []
    for kind, name, source in rows:
        shape = engine.shape(source)
        data = Packing(shape=shape, width=axi.data_width, words=1 << 40).data_words
        burst = burst_words(data, axi.longest_burst)
        packing = Packing(shape=shape, width=axi.data_width, words=-(-data // burst) * burst)
        found.append(_Crossing(engine=engine.name, stream=name, kind=kind, source=source,
                               shape=shape, packing=packing, burst=burst))
    return found + [dataclasses.replace(
        each, stream=back[each.stream], kind="refill", source=Source(back[each.stream]),
        spilled=each) for each in found if each.kind == "spill"]


def _ways(crossings: Sequence[Sequence[_Crossing]], schedule: Schedule,
          memory: MemoryTiming) -> dict[str, Way]:
    """The way of each stream that comes back, as the ports serve it."""
    served = {each.name: each for each in schedule.streams}
    return {each.name: Way.of(served[each.spilled.name], served[each.name], memory)
            for ours in crossings for each in ours if each.spilled}


def spread(engine: Engine, pace: int) -> Engine:
    """The engine with a pace of each stage whose weights are streamed, so many cycles a frame: what
    it asks of the memory is then even."""
    stages = []
    for stage in engine.stages:
        operator = stage.operator
        if isinstance(operator, StreamedConvolution):
            operator = operator.paced(pace)
        stages.append(dataclasses.replace(stage, operator=operator))
    return dataclasses.replace(engine, stages=tuple(stages))


def _mean_step(steps: np.ndarray) -> float:
    """The mean of the shortest pattern that steps repeat at the end, or else of their later
    half."""
    half = len(steps) // 2
    period = next((size for size in range(1, half + 1)
                   if (steps[half:] == steps[half - size:-size]).all()), half)
    return float(steps[-period:].mean())


def _back(each: _Crossing, spilled: _Crossing, timing: EngineTiming, way: Way) -> np.ndarray:
    """When each beat that comes back is there, the last word of its burst having left before."""
    packing = each.packing
    left = timing.transfers.frames(spilled.source, STILL)
    written = written_words(left, beats_per_word=packing.beats_per_word,
                            words_per_beat=packing.words_per_beat, burst=each.burst)
    bursts = way.back(written[:, each.burst - 1::each.burst].ravel()).reshape(len(written), -1)
    beats = np.arange(each.shape.beats)
    last = (beats // packing.beats_per_word + 1) * packing.words_per_beat - 1
    return bursts[:, last // each.burst].ravel()


def _offers(each: _Crossing, begins: np.ndarray, real: np.ndarray, spread: int) -> np.ndarray:
    """When each beat of an input is there at the earliest: a word in a cycle, frames at the gate.

    Where a frame is spread, its beats count from when it really began.
    """
    beats = np.arange(each.shape.beats)
    if not spread:
        return (begins[:, None] + beats * each.packing.words_per_beat).ravel()
    offered = real[:, None] + -(-beats * spread // each.shape.beats)
    offered[:, 0] = begins
    return offered.ravel()


def _demands(paced: PacedEngine, crossings: Sequence[_Crossing], axi: Axi) -> list[Demand]:
    """What an engine asks of the ports, for each of its streams."""
    return [engine_demand(_transfers(paced, each), paced.timing.interval_cycles, name=each.name,
                          network=each.engine, direction=each.direction,
                          longest_burst=axi.longest_burst,
                          beats_per_word=each.packing.beats_per_word,
                          words_per_beat=each.packing.words_per_beat,
                          stripes=each.kind not in SPILLED) for each in crossings]


def _transfers(paced: PacedEngine, each: _Crossing) -> np.ndarray:
    """Cycles of a stream's beats, shape (frames, beats). Those of weights before the first frame
    are moved up to it at their own rate: that much has been filled in before anything can run
    dry."""
    cycles = paced.timing.transfers.frames(each.source)
    if each.kind == "weights":
        while cycles[-2, 0] < paced.first:
            cycles = np.concatenate([cycles, cycles[-1:] + paced.timing.interval_cycles])
        early = cycles < paced.first
        ahead = np.arange(early.sum(), 0, -1) * paced.pace // cycles.shape[1]
        cycles[early] = paced.first - 1 - ahead
    return cycles


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


def _system(crossings: Sequence[Sequence[_Crossing]], paced: Sequence[PacedEngine],
            schedule: Schedule, axi: Axi, under_way: Sequence[int]) -> MemorySystem:
    """The hardware that does it, with so many frames of each network under way."""
    ports: list[MemoryPort] = []
    places: dict[str, dict[int, tuple[int, int]]] = {}
    spilled = {each.name for ours in crossings for each in ours if each.kind in SPILLED}
    for port in schedule.ports:
        if not port.streams:
            continue
        for k, each in enumerate(port.streams):
            places.setdefault(each.name, {})[each.stripe] = len(ports), k
        streams = tuple(_port_stream(each, each.name in spilled) for each in port.streams)
        ports.append(MemoryPort(axi=axi, streams=streams, table=port.table,
                                outstanding=port.outstanding))
    cyclic = any(port.table for port in ports)
    memories = tuple(_engine_memory(ours, one, places, axi, cyclic, under_way=frames)
                     for ours, one, frames in zip(crossings, paced, under_way, strict=True))
    return MemorySystem(ports=tuple(ports), engines=memories)


def _under_way(paced: Sequence[PacedEngine], schedule: Schedule) -> list[int]:
    """Frames of each network that are under way at once."""
    return [_frames_under_way(each, schedule) for each in paced]


def _frames_under_way(paced: PacedEngine, schedule: Schedule) -> int:
    """As many frames as the network's queues hold ahead, those in the engine, those whose outputs
    wait to be written; and one each that is asked for, that is answered and that the host has.
    With fewer, queues would not be as full as they are proven to be."""
    ours = [each for each in schedule.streams if each.network == paced.engine.name and each.words]
    ahead = max((each.needed / each.words for each in ours if each.direction == "read"),
                default=0.0)
    behind = max((each.waits for each in ours if each.direction == "write"), default=0)
    return math.ceil((paced.timing.latency_cycles + behind) / paced.pace + ahead) + 3


def _crowd(paced: Sequence[PacedEngine], under_way: Sequence[int],
           most: int) -> Infeasible | None:
    """That more frames of a network would be under way than these, and than some beyond those in
    its engine: a table that has hardly a slot to spare is a long one, of many small frames."""
    for each, asked in zip(paced, under_way, strict=True):
        given = max(most, math.ceil(each.timing.latency_cycles / each.pace) + BEYOND)
        if asked > given:
            return Infeasible(demand=each.engine.name, bound="frames at once", asked=asked,
                              given=given)
    return None


def _port_stream(each: StreamSchedule, spilled: bool) -> MemoryStream:
    """A stream, or a stripe of one, as its port has it."""
    kind = (functools.partial(MemoryStripe, stripes=each.stripes) if each.stripes > 1
            else MemorySpill if spilled else MemoryStream)
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
                   cyclic: bool, *, under_way: int) -> EngineMemory:
    """An engine's streams, one region after the other; only tables ask for a pace."""
    engine = paced.engine
    buffers = 1 << (under_way - 1).bit_length()
    loaded = _load_words(engine, axi)
    # Weights, what is loaded, what is spilled; that which comes back lies where it was put.
    regions = [(each.name, each.packing.words) for each in crossings if each.kind == "weights"]
    regions += [("", loaded)]
    regions += [(each.name, buffers * region_bytes(each.packing.words, axi) // axi.word_bytes)
                for each in crossings if each.kind == "spill"]
    ends = np.cumsum([region_bytes(words, axi) for _, words in regions])
    offsets = dict(zip([name for name, _ in regions], [0, *ends.tolist()], strict=False))
    streams = [_frame_stream(places[each.name], stream=each.stream, kind=each.kind,
                             words=each.packing.words,
                             offset=offsets.get((each.spilled or each).name, 0),
                             spread=paced.spreads.get(each.stream, 0)) for each in crossings]
    if loaded:
        streams.append(_frame_stream(places[f"{engine.name} load"], stream="", kind="load",
                                     words=loaded, offset=offsets[""]))
    return EngineMemory(engine=engine.name, streams=tuple(streams),
                        pace=paced.pace if cyclic else 0, buffers=buffers, in_flight=under_way)
