"""Accelerators that reach a memory: a host, a DRAM and the checker of the AXI ports around them."""

import dataclasses
import math
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fcnnx.cosim.cache import cached, digest
from fcnnx.cosim.compiler import compile_verilog, version
from fcnnx.cosim.levels import Levels, describe_flows, read_levels, watched_signals
from fcnnx.cosim.verilator import HEADERS, SIGNALS
from fcnnx.errors import BadInput, Problem, TargetMissed
from fcnnx.generate import weight_images
from fcnnx.hdl.accelerator import Accelerator
from fcnnx.hdl.engine import Engine
from fcnnx.hdl.memory.packing import pack_frames, unpack_frames
from fcnnx.hdl.registers import constants
from fcnnx.hdl.system import SPILLED, WRITTEN, EngineMemory, MemorySystem, region_bytes
from fcnnx.memory import MemoryTiming


__all__ = ["Event", "Fault", "MemoryRun", "PortTraffic", "run_with_memory"]


HARNESS = Path(__file__).with_name("system.cpp")
PARTS = [Path(__file__).with_name(name) for name in ("dram.h", "levels.h")]
WATCH = "watch.vlt"
BASE = 1 << 28  # address of the memory
FRAMES_IN_ENGINE = 8  # at most, before the first is out
NOWHERE: Mapping[str, tuple[int, int]] = {}
AXI_NAMES = ("araddr", "arlen", "arsize", "arburst", "arvalid", "arready", "rdata", "rresp",
             "rlast", "rvalid", "rready", "awaddr", "awlen", "awsize", "awburst", "awvalid",
             "awready", "wdata", "wstrb", "wlast", "wvalid", "wready", "bresp", "bvalid", "bready")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """A register that the host writes at some time.

    Parameters
    ----------
    cycle : :class:`int`
        From which on; it is done as soon as the host comes to it.
    register : :class:`str`
        As :func:`fcnnx.hdl.registers.constants` names it.
    value : :class:`int`
    starts : :class:`str`
        The engine that it starts, if it does.
    """

    cycle: int
    register: str
    value: int
    starts: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """Accesses that the memory answers with an error.

    Parameters
    ----------
    engine, stream : :class:`str`
        Whose regions; an empty stream for those of its weights.
    response : :class:`int`
        2 for SLVERR, 3 for DECERR.
    skipped : :class:`int`
        Bytes at the start of the regions that are answered well.
    times : :class:`int`
        Words that are answered so.
    """

    engine: str
    stream: str
    response: int
    skipped: int = 0
    times: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PortTraffic:
    """What crossed a port.

    Parameters
    ----------
    read_bytes, written_bytes : :class:`int`
    refused : :class:`int`
        Cycles in which a word that came was not taken at once.
    violations : :class:`int`
        Of the protocol.
    """

    read_bytes: int
    written_bytes: int
    refused: int
    violations: int


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MemoryRun:
    """What happened in an accelerator, and at its memory.

    Parameters
    ----------
    accelerator : :class:`Accelerator`
    timing : :class:`MemoryTiming`
    simulator : :class:`str`
    outputs : arrays, shape (frames, rows, columns, channels), by engine and output
    begins, ends : integers, shape (frames,), by name of the port
        Cycle of the first beat of each frame of an input, of the last of each of an output.
    traffic : tuple of :class:`PortTraffic`
    levels : :class:`Levels`
    registers : :class:`int` by name
        Values at the end.
    messages : tuple of :class:`str`
        The first violations of each port.
    cycles : :class:`int`
    seconds : :class:`float`
    """

    accelerator: Accelerator
    timing: MemoryTiming
    simulator: str
    outputs: dict[tuple[str, str], np.ndarray]
    begins: dict[str, np.ndarray]
    ends: dict[str, np.ndarray]
    traffic: tuple[PortTraffic, ...]
    levels: Levels
    registers: dict[str, int]
    messages: tuple[str, ...]
    cycles: int
    seconds: float

    def frames(self, engine: str) -> int:
        """Whole frames that have left an engine, and that the host has collected."""
        return min(len(frames) for (name, _), frames in self.outputs.items() if name == engine)

    def frame_times(self, engine: Engine) -> tuple[np.ndarray, np.ndarray]:
        """Cycles of the first beat into an engine, and of the last out of it, of each frame that
        was collected."""
        count = self.frames(engine.name)
        ports = self.accelerator.ports_of
        begins = np.min([self.begins[port.name][:count] for port in ports(engine, "input")
                         if port.name in self.begins], axis=0)
        ends = np.max([self.ends[port.name][:count] for port in ports(engine, "output")
                       if port.name in self.ends], axis=0)
        return begins, ends

    def starved_cycles(self, engine: str) -> int:
        """Cycles in which an engine waited for data of the memory."""
        names = [each.name for each in self.accelerator.engines]
        return self.registers[f"NETWORK_{names.index(engine)}_STARVED_CYCLES"]

    @property
    def memory(self) -> dict[str, float]:
        """What crossed the memory, and by what share of what it gives outside refreshes: from the
        first cycle on, and since a frame of every network was done."""
        moved = sum(port.read_bytes + port.written_bytes for port in self.traffic)
        levels = self.levels
        return {"bytes": moved, "busy_cycles": moved // self.timing.word_bytes,
                "utilisation": self._share(moved, self.cycles),
                "steady_utilisation": self._share(moved - levels.before,
                                                  self.cycles - levels.since),
                "underruns": sum(self.starved_cycles(engine.name)
                                 for engine in self.accelerator.engines)}

    def _share(self, moved: int, cycles: int) -> float:
        most = self.timing.word_bytes * self.timing.derated * cycles
        return round(moved / most, 4)


def run_with_memory(folder: Path, accelerator: Accelerator,
                    inputs: Mapping[tuple[str, str], np.ndarray], frames: Mapping[str, int],
                    timing: MemoryTiming, *, seed: int = 0, events: Iterable[Event] = (),
                    faults: Iterable[Fault] = (), frozen: tuple[int, int] = (0, 0),
                    away: Mapping[str, tuple[int, int]] = NOWHERE, reset: int = 0,
                    idle: Iterable[str] = (), waves: Path | None = None,
                    progress: Callable[[str], None] = lambda step: None,
                    patience: int = 2_000_000) -> MemoryRun:
    """Run a design with all its networks at once, as a board would: by its registers and memory.

    Parameters
    ----------
    folder : path
        Holds ``rtl``, as :func:`fcnnx.generate.generate` wrote it for this accelerator.
    inputs, frames, waves, progress, patience
        As in :func:`fcnnx.cosim.simulation.run`.
    timing : :class:`MemoryTiming`
        What the memory does; its jitter is random, seeded for each port and cycle.
    seed : :class:`int`
    events : of :class:`Event`, in their order
    faults : of :class:`Fault`
    frozen : pair of :class:`int`
        Cycles from which, and until which, the memory moves nothing.
    away : pairs of :class:`int`, by engine
        Cycles from which, and until which, the host neither takes outputs nor releases frames.
    reset : :class:`int`
        Cycle at which the whole accelerator is reset and started anew, or 0: the frames are those
        after it.
    idle : names
        Engines that the host does not start by itself.

    Raises
    ------
    BadInput
        If the simulator cannot be made.
    TargetMissed
        If a network hangs.
    """
    start = time.monotonic()
    rtl = Path(folder).absolute() / "rtl"
    program = _compile(sorted(rtl.glob("*.v")), accelerator, waves=waves is not None,
                       progress=progress)
    patience += (_loading_cycles(_memory(accelerator), timing)
                 + _first_frame_cycles(_memory(accelerator), timing))
    with tempfile.TemporaryDirectory(prefix="fcnnx-") as name:
        work = Path(name)
        host = _Host(accelerator, timing, work)
        host.describe(inputs, frames, seed, set(idle))
        host.disturb(events, faults, frozen, away, reset)
        host.write()
        command = [program, work, "description", patience,
                   "-" if waves is None else Path(waves).absolute()]
        lines = _call(list(map(str, command)), rtl, sum(frames.values()), progress)
        _refuse_hanging(lines, accelerator, patience)
        return host.read(lines, time.monotonic() - start)


def _loading_cycles(memory: MemorySystem, timing: MemoryTiming) -> int:
    """Cycles in which all weights on chip are surely loaded: each burst waits for a walk of its
    port's table, in which streams that have nothing to ask for are passed over."""
    total = 0.0
    for engine in memory.engines:
        for each in engine.of_kind("load"):
            port = memory.ports[each.port]
            burst = port.streams[each.number].burst
            total += each.words / burst * (len(port.table) + len(port.streams)
                                           + burst / timing.share)
    return math.ceil(total / (1 - timing.refresh_share))


def _first_frame_cycles(memory: MemorySystem, timing: MemoryTiming) -> int:
    """Cycles in which a frame of every network is surely out, with the memory shared alike: several
    frames are in an engine at once."""
    slowest = max(max(engine.pace, sum(each.words for each in engine.streams)
                      * len(memory.engines) / timing.derated) for engine in memory.engines)
    return math.ceil(FRAMES_IN_ENGINE * slowest)


def _compile(sources: Sequence[Path], accelerator: Accelerator, *, waves: bool,
             progress: Callable[[str], None]) -> Path:
    files = {path.name: path.read_bytes()
             for path in [*sources, HARNESS, SIGNALS, *PARTS, *(HEADERS if waves else ())]}
    files["ports.h"] = _ports_header(accelerator).encode()
    files[WATCH] = watched_signals(accelerator).encode()

    def make(work: Path) -> Path:
        progress("Compiling the simulator")
        for name, content in files.items():
            (work / name).write_bytes(content)
        return compile_verilog(work, [WATCH, *(path.name for path in sources)], HARNESS.name,
                               waves=waves)

    return cached(digest([version(), str(waves),
                          *(part for item in sorted(files.items()) for part in item)]), make)


def _ports_header(accelerator: Accelerator) -> str:
    """What the harness must know of the accelerator's ports."""
    memory = _memory(accelerator)
    visits = "\n".join(
        f"  each(ports[{k}], axi({', '.join(f'top.m_axi_{k}_{name}' for name in AXI_NAMES)}));"
        for k in range(len(memory.ports)))
    inputs = sum(len(engine.of_kind("input")) for engine in memory.engines)
    outputs = sum(len(engine.of_kind("output")) for engine in memory.engines)
    return f"""\
#include "Vaccelerator.h"
using TOP = Vaccelerator;
const int NETWORKS = {len(memory.engines)}, PORTS = {len(memory.ports)};
const int INPUTS = {inputs}, OUTPUTS = {outputs};
template <class F> void visit(TOP& top, AxiPort* ports, F& each) {{
{visits}
}}
"""


def _memory(accelerator: Accelerator) -> MemorySystem:
    assert accelerator.memory is not None, "The accelerator has no memory"
    return accelerator.memory


class _Host:
    """What a host does for each network, written down for the harness; and what came of it."""

    def __init__(self, accelerator: Accelerator, timing: MemoryTiming, work: Path):
        self._accelerator, self._work = accelerator, work
        self._memory = _memory(accelerator)
        self._registers = constants(self._memory.registers("0" * 64))
        self._lines: list[str] = []
        self._regions: dict[tuple[str, str], tuple[int, int]] = {}
        self._image = b""
        self._end = BASE
        self._timing = timing

    def describe(self, inputs: Mapping[tuple[str, str], np.ndarray], frames: Mapping[str, int],
                 seed: int, idle: set[str]) -> None:
        """The memory, and the networks with their buffers."""
        timing = self._timing
        images = weight_images(self._accelerator)
        self._image = b"".join(images.values())
        for k, port in enumerate(self._memory.ports):
            self._lines.append(f"port {k} {port.axi.word_bytes} {port.axi.burst_beats}")
        for name, image in images.items():
            self._place(name, "", len(image))
        for number, (engine, streams) in enumerate(zip(
                self._accelerator.engines, self._memory.engines, strict=True)):
            self._network(number, streams, frames[engine.name], engine.name not in idle)
            for name, each in streams.named.items():
                if each.kind in ("input", "output"):
                    self._stream(number, engine, streams, name, inputs)
                elif each.kind in SPILLED:
                    self._regions[engine.name, each.stream] = (
                        self._regions[engine.name, ""][0] + each.offset,
                        region_bytes(each.words, self._memory.axi) * streams.buffers)
        self._lines.append(f"timing {timing.latency} {timing.jitter} {timing.refresh_cycles} "
                           f"{timing.refresh_interval if timing.refresh_cycles else 0} "
                           f"{timing.turnaround} {timing.share!r} {seed}")
        self._lines += [f"watch {self._registers[name]}" for name in self._watched]
        places = {name: place for name, (place, _) in self._regions.items()}
        self._lines += describe_flows(self._accelerator, self._memory, timing, places)

    @property
    def _watched(self) -> list[str]:
        kinds = ("ERRORS", "STATUS", "STARTED", "DONE", "INTERVAL", "LATENCY", "CYCLES",
                 "STARVED_CYCLES", "BLOCKED_CYCLES")
        return [f"NETWORK_{k}_{kind}" for k in range(len(self._memory.engines)) for kind in kinds]

    def _place(self, engine: str, stream: str, size: int) -> int:
        place, self._end = self._end, self._end + size
        self._regions[engine, stream] = place, size
        return place

    def _network(self, number: int, streams: EngineMemory, frames: int, starts: bool) -> None:
        register = f"NETWORK_{number}"
        place, size = self._regions[streams.engine, ""]
        start = 1 << self._registers[f"{register}_CONTROL_START_SHIFT"]
        self._lines.append(" ".join(map(str, (
            "network", number, self._registers[f"{register}_CONTROL"], start,
            self._registers[f"{register}_RELEASED"], self._registers[f"{register}_DONE"],
            streams.buffers, frames, self._registers.get(f"{register}_WEIGHTS", 0),
            place if size else 0, int(starts)))))

    def _stream(self, number: int, engine: Engine, streams: EngineMemory, name: str,
                inputs: Mapping[tuple[str, str], np.ndarray]) -> None:
        """The buffers of an input or output, and what goes in."""
        each, axi = streams.named[name], self._memory.axi
        stride = region_bytes(each.words, axi)
        place = self._place(engine.name, each.stream, stride * streams.buffers)
        file = "-"
        if each.kind == "input":
            file = f"{number}.{name}.in"
            shape = dict(engine.inputs)[each.stream]
            packed = pack_frames(shape, axi.data_width, each.words,
                                 inputs[engine.name, each.stream])
            (self._work / file).write_bytes(packed.tobytes())
        self._lines.append(" ".join(map(str, (
            "stream", number, int(each.kind == "input"),
            self._registers[f"NETWORK_{number}_{name.upper()}_0"], place, stride,
            each.words * axi.word_bytes, file))))

    def disturb(self, events: Iterable[Event], faults: Iterable[Fault], frozen: tuple[int, int],
                away: Mapping[str, tuple[int, int]], reset: int) -> None:
        """What else happens."""
        names = [engine.engine for engine in self._memory.engines]
        for event in events:
            starts = names.index(event.starts) if event.starts else -1
            self._lines.append(f"event {event.cycle} {self._registers[event.register]} "
                               f"{event.value} {starts}")
        for fault in faults:
            place, size = self._regions[fault.engine, fault.stream]
            engine = self._memory.engines[names.index(fault.engine)]
            write = int(any(each.stream == fault.stream and each.kind in WRITTEN
                            for each in engine.streams))
            self._lines.append(f"fault {place + fault.skipped} {size - fault.skipped} "
                               f"{fault.response} {write} {fault.times}")
        self._lines += [f"away {names.index(engine)} {begin} {end}"
                        for engine, (begin, end) in away.items()]
        self._lines += [f"freeze {frozen[0]} {frozen[1]}", f"reset {reset}"]

    def write(self) -> None:
        (self._work / "image").write_bytes(self._image)
        lines = [f"memory {BASE} {self._end - BASE} image", *self._lines]
        (self._work / "description").write_text("\n".join(lines) + "\n")

    def read(self, lines: Sequence[str], seconds: float) -> MemoryRun:
        """What the harness left."""
        said: dict[str, list[list[int]]] = {}
        for line in lines:
            kind, *rest = line.split()
            if kind in ("port", "register", "cycles", "flow", "sampled"):
                said.setdefault(kind, []).append(list(map(int, rest)))
        values = {row[0]: row[1] for row in said.get("register", [])}
        outputs = {}
        begins: dict[str, np.ndarray] = {}
        ends: dict[str, np.ndarray] = {}
        for number, (engine, streams) in enumerate(zip(
                self._accelerator.engines, self._memory.engines, strict=True)):
            ports = self._accelerator.ports_of(engine, "input")
            gated = {each.stream for each in streams.of_kind("input")}
            for port in ports:
                if port.stream in gated:
                    begins[port.name] = self._cycles(f"{len(begins)}.begins")
            results = {name for name, _ in engine.results}
            for port in self._accelerator.ports_of(engine, "output"):
                if port.stream in results:
                    ends[port.name] = self._cycles(f"{len(ends)}.ends")
            places = [each for each in streams.named.values()
                      if each.kind in ("input", "output")]
            for place, each in enumerate(places):
                if each.kind == "output":
                    outputs[engine.name, each.stream] = self._frames(number, place, engine, each)
        return MemoryRun(
            accelerator=self._accelerator, timing=self._timing, simulator="verilator",
            outputs=outputs, begins=begins, ends=ends, cycles=said["cycles"][0][0], seconds=seconds,
            traffic=tuple(PortTraffic(read_bytes=read, written_bytes=written, refused=refused,
                                      violations=violations)
                          for _, read, written, refused, violations in said["port"]),
            levels=read_levels(self._memory, self._work, said.get("flow", []),
                               said["sampled"][0], self._timing),
            registers={name: values[self._registers[name]] for name in self._watched},
            messages=tuple(line for line in lines if line.startswith("violation")))

    def _cycles(self, file: str) -> np.ndarray:
        return np.fromfile(self._work / file, "<u8").astype(np.int64)

    def _frames(self, number: int, place: int, engine: Engine, each) -> np.ndarray:
        axi = self._memory.axi
        shape = engine.shape(dict(engine.outputs)[each.stream])
        packed = np.fromfile(self._work / f"{number}.{place}.out", np.uint8)
        if not packed.size:
            return np.empty((0, *shape.map.shape), dtype=np.int64)
        return unpack_frames(shape, axi.data_width, each.words,
                             packed.reshape(-1, each.words * axi.word_bytes))


def _call(command: list[str], rtl: Path, frames: int,
          progress: Callable[[str], None]) -> list[str]:
    """Run the harness; gives what it says."""
    lines: list[str] = []
    progress("Simulating")
    with subprocess.Popen(command, cwd=rtl, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for line in process.stdout or ():
            lines.append(line.strip())
            if line.startswith("frames "):
                progress(f"Simulating: {line.split()[1]} of {frames} frames")
    for line in lines:
        if line.startswith("%"):
            raise BadInput(Problem(where=str(rtl), reason=line.lstrip("%")))
    if process.returncode not in (0, 3):
        raise BadInput(Problem(where="Verilator", reason=f"The simulator ended with "
                               f"{process.returncode}: {' '.join(lines[-1:])}"))
    return lines


def _refuse_hanging(lines: Sequence[str], accelerator: Accelerator, patience: int) -> None:
    hanging = {int(line.split()[1]): int(line.split()[2]) for line in lines
               if line.startswith("hangs ")}
    if hanging:
        names = [engine.name for engine in accelerator.engines]
        raise TargetMissed(*(Problem(
            where=names[k], reason=f"The network hangs: no frame in the {patience} cycles after "
            f"cycle {cycle}.") for k, cycle in hanging.items()))
