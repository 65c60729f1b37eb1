"""What networks suffer from their neighbours, and from what memory and host do wrong."""

import dataclasses
import pathlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cases import SIMULATES, Accelerator
from fcnnx.cosim.block import block_outputs
from fcnnx.cosim.check import check
from fcnnx.cosim.system import BASE, Event, Fault, MemoryRun, run_with_memory
from fcnnx.generate import weight_images
from fcnnx.hdl.memory.control import ERRORS
from fcnnx.hdl.registers import constants
from fcnnx.hdl.system import EngineMemory, FrameStream, region_bytes
from fcnnx.plan import Plan
from keeping import Figures, Record, digest_of_sources


__all__ = ["Isolation", "isolation"]

GIVEN = 3   # different frames of each network
AFTER = 6   # frames of the network that is disturbed, behind the disturbance
STILL = 10_000  # cycles in which the memory moves nothing
SEED = 1    # of the memory's jitter
RESPONSES = {2: "slverr", 3: "decerr"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario:
    """Something that happens to a network.

    Parameters
    ----------
    what : :class:`str`
    network : :class:`str`
        Whom it happens to; empty where it happens to all.
    flag : :class:`str`
        The error flag that must be seen, or nothing.
    options : of :func:`run_with_memory`
    over : :class:`int`
        Cycle from which on all must be well again.
    blocked : pair of :class:`int`, or None
        Cycles in which the engine's outputs are not taken.
    """

    what: str
    network: str = ""
    flag: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    over: int = 0
    blocked: tuple[int, int] | None = None


class Trials:
    """A build, as it runs undisturbed, and what can be done to it.

    Parameters
    ----------
    folder : path
        Of the build.
    """

    def __init__(self, folder: pathlib.Path):
        decided = Plan.load(folder)
        accelerator, timing = decided.accelerator, decided.memory
        assert accelerator.memory is not None
        assert timing is not None
        rng = np.random.default_rng(SEED)
        self._folder, self._accelerator, self._timing = folder, accelerator, timing
        self._system = accelerator.memory
        self._registers = constants(self._system.registers("0" * 64))
        self._engines = {engine.name: engine for engine in accelerator.engines}
        self._streams = dict(zip(self._engines, self._system.engines, strict=True))
        self._inputs = {(name, stream): rng.integers(shape.map.low, shape.map.high + 1,
                                                     (GIVEN, *shape.map.shape))
                        for name, engine in self._engines.items() for stream, shape in engine.inputs
                        if stream not in engine.weight_frames}
        self._steady = self._run(self._folder, dict.fromkeys(self._engines, 8))

    def rows(self) -> Iterator[Figures]:
        """Every scenario, with what came of it."""
        for scenario in (*self._of_all(), *(each for name in self._engines
                                            for each in self._of(name))):
            print(f"  {scenario.what} {scenario.network}", flush=True)
            yield self._try(scenario)

    def _run(self, folder: pathlib.Path, frames: Mapping[str, int], **options: Any) -> MemoryRun:
        return run_with_memory(folder, self._accelerator, self._inputs, frames, self._timing,
                               seed=SEED, **options)

    def _try(self, scenario: Scenario) -> Figures:
        names = [*self._engines]
        last = scenario.over + max(self._drained(name) for name in names)
        frames = {name: last // self._streams[name].pace + AFTER for name in names}
        if scenario.network:
            frames[scenario.network] = self._streams[scenario.network].in_flight + 3 + AFTER
        with tempfile.TemporaryDirectory() as work:
            folder = self._folder
            if scenario.blocked:
                folder = pathlib.Path(work)
                shutil.copytree(self._folder / "rtl", folder / "rtl")
                block_outputs(folder / "rtl", scenario.network, *scenario.blocked)
            run = self._run(folder, frames, **scenario.options)
        victims = [scenario.network] if scenario.network else names
        return {
            "what": scenario.what, "network": scenario.network, "expected": scenario.flag,
            "flags": sorted({flag for name in victims for flag in self._flags(run, name)}),
            "others_flags": sorted({flag for name in names if name not in victims
                                    for flag in self._flags(run, name)}),
            "intervals": {name: [self._longest(self._steady, name), self._longest(run, name)]
                          for name in names if name not in victims},
            "starved": sum(run.starved_cycles(name) for name in names if name not in victims),
            "mismatches": sum(self._mismatches(run, name, 0) for name in names
                              if name not in victims),
            "after": {name: self._after(run, name, scenario.over) for name in victims},
            "violations": sum(port.violations for port in run.traffic), "cycles": run.cycles}

    def _after(self, run: MemoryRun, name: str, cycle: int) -> list[int]:
        """Frames of a network that left it after a cycle, and their mismatches: from the first on
        for which its inputs come from the start."""
        _, ends = run.frame_times(self._engines[name])
        first = -(-int((ends <= cycle).sum()) // GIVEN) * GIVEN
        return [len(ends) - first, self._mismatches(run, name, first)]

    def _mismatches(self, run: MemoryRun, name: str, first: int) -> int:
        outputs = {key: frames[first:] for key, frames in run.outputs.items()}
        return check(dataclasses.replace(run, outputs=outputs), self._inputs,
                     self._engines)[name].mismatches

    def _longest(self, run: MemoryRun, name: str) -> int:
        """The longest interval of an engine, at its outputs."""
        _, ends = run.frame_times(self._engines[name])
        return int(np.diff(ends).max())

    def _flags(self, run: MemoryRun, name: str) -> list[str]:
        word = run.registers[f"NETWORK_{[*self._engines].index(name)}_ERRORS"]
        return [flag for bit, flag in enumerate(ERRORS) if word >> bit & 1 and flag != "starved"]

    def _times(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        return self._steady.frame_times(self._engines[name])

    def _drained(self, name: str) -> int:
        """Cycles after which all frames that have begun have surely left."""
        begins, ends = self._times(name)
        streams = self._streams[name]
        return int(ends[0] - begins[0]) + streams.in_flight * streams.pace

    def _control(self, name: str, what: str, cycle: int) -> Event:
        register = f"NETWORK_{[*self._engines].index(name)}_CONTROL"
        return Event(cycle=cycle, register=register,
                     value=1 << self._registers[f"{register}_{what}_SHIFT"],
                     starts=name if what == "START" else "")

    def _of_all(self) -> Iterator[Scenario]:
        """What happens to all of them."""
        middle = max(int(self._times(name)[1][1]) for name in self._engines) + 777
        again = middle + STILL + max(map(self._drained, self._engines))
        yield Scenario(what=f"memory stands still for {STILL:,} cycles", flag="stalled", over=again,
                       options={"frozen": (middle, middle + STILL), "events": [
                           self._control(name, "START", again) for name in self._engines]})
        yield Scenario(what="reset in mid-frame", over=middle, options={"reset": middle})

    def _of(self, name: str) -> Iterator[Scenario]:
        """What happens to one of them."""
        streams = self._streams[name]
        middle = int(self._times(name)[1][1]) + streams.pace // 3
        back = middle + (streams.buffers + 2) * streams.pace
        yield Scenario(what="outputs not taken by the host", network=name, over=back,
                       options={"away": {name: (middle, back)}})
        freed = middle + self._drained(name)
        yield Scenario(what="output blocked at the engine", network=name, over=freed,
                       blocked=(middle, freed))
        again = middle + self._drained(name)
        start = self._control(name, "START", again)
        yield Scenario(what="stopped and started again", network=name, over=again,
                       options={"events": [self._control(name, "STOP", middle), start]})
        yield Scenario(what="started while it runs", network=name, flag="running", over=middle,
                       options={"events": [self._control(name, "START", middle)]})
        yield self._without_base(name)
        for each in {each.kind: each for each in reversed(streams.streams)}.values():
            yield from self._answered_wrong(name, streams, each)

    def _without_base(self, name: str) -> Scenario:
        """The base address of its weights is missing, and comes later."""
        number = [*self._engines].index(name)
        sizes = [len(image) for image in weight_images(self._accelerator).values()]
        later = self._drained(name)
        base = f"NETWORK_{number}_WEIGHTS"
        events = [Event(cycle=0, register=base, value=0), self._control(name, "START", 0),
                  Event(cycle=later, register=base, value=BASE + sum(sizes[:number])),
                  self._control(name, "START", later)]
        events[1] = dataclasses.replace(events[1], starts="")
        return Scenario(what="started without a base address", network=name, flag="no_base",
                        over=later, options={"idle": [name], "events": events})

    def _answered_wrong(self, name: str, streams: EngineMemory,
                        each: FrameStream) -> Iterator[Scenario]:
        """A word of one stream is answered with an error: of the third frame where that has a
        buffer of its own."""
        axi = self._system.axi
        own = each.kind in ("input", "output")
        frame = 2 * region_bytes(each.words, axi) if own else each.offset
        again = int(self._times(name)[1][2]) + self._drained(name)
        side = "write" if each.kind == "output" else "read"
        places = {"first": 0, "middle": each.words // 2, "last": each.words - 1}
        for response, flag in RESPONSES.items():
            for place, word in places.items():
                fault = Fault(engine=name, stream=each.stream if own else "", response=response,
                              skipped=frame + word * axi.word_bytes)
                yield Scenario(
                    what=f"{flag.upper()}, {place} word of {each.kind} {each.stream}".strip(),
                    network=name, flag=f"{side}_{flag}", over=again,
                    options={"faults": [fault], "events": [self._control(name, "START", again)]})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Isolation(Accelerator):
    """An accelerator with its memory, disturbed."""

    io: str = "dram"
    simulated: bool = False

    def measure(self, record: Record) -> None:
        """Build it, and try everything."""
        super().measure(record)
        built = record.parts["build"]
        record.part("isolation", [built["rtl"], built["golden"], digest_of_sources(
            *SIMULATES, "benchmarks/isolation.py")], lambda: self._disturb(built))

    def _disturb(self, built: Figures) -> Figures:
        self._ready(built)
        return {"command": f"PYTHONPATH=models:benchmarks python benchmarks/bench.py {self.name}",
                "rows": list(Trials(self.folder).rows())}


def isolation() -> list[Isolation]:
    """Two networks on three ports, which they share; layers of one are streamed."""
    return [Isolation(name="isolation", models=("dscnn_qdq.onnx", "autoencoder_qdq.onnx"),
                      options=("--dsp", "120", "--lut", "36000", "--bram18", "120"))]
