"""The memory side of an accelerator: which streams cross which port, and where frames lie."""

import dataclasses
from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .device import Device, Resources
from .engine import Engine
from .memories import Load
from .memory.axi import BOUNDARY, Axi
from .memory.control import NetworkControl, Transfer, stripe_name
from .memory.gate import FrameGate
from .memory.loader import Loader
from .memory.monitor import PortMonitor
from .memory.packing import Packer, Packing, Unpacker
from .memory.port import MemoryPort, MemoryStream
from .memory.spill import SpillCredit
from .memory.stripes import StripeMerge, StripeSplit
from .operator import StreamShape
from .registers import (
    RegisterFile,
    RegisterMap,
    accelerator_registers,
    axi_lite,
    connect_network,
    connect_port,
)
from .streams import connect_streams
from .verilog import Once


__all__ = ["SPILLED", "WRITTEN", "EngineMemory", "FrameStream", "MemorySide", "MemorySystem",
           "StripedStream", "region_bytes"]


# Of the streams of an engine, as its control has them.
KINDS = ("input", "weights", "output", "load", "spill", "refill")
WRITTEN, SPILLED = ("output", "spill"), ("spill", "refill")


def region_bytes(words: int, axi: Axi) -> int:
    """Bytes of a region of so many words: whole pages of 4 KiB, in which no burst crosses one."""
    return -(-words * axi.word_bytes // BOUNDARY) * BOUNDARY


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameStream:
    """A stream of an engine that crosses the memory.

    Parameters
    ----------
    stream : :class:`str`
        Name of the engine's input or output; empty for the words of its load chain.
    kind : :class:`str`
        ``"input"``, ``"output"``, ``"weights"`` or ``"load"``; ``"spill"`` or ``"refill"`` where an
        output comes back as an input.
    words : :class:`int`
        Of a frame, whole bursts; of all that is loaded.
    port, number : :class:`int`
        The memory port, and which of its streams.
    offset : :class:`int`
        Bytes from the base address of the weights; what is spilled has a region for each buffer
        there.
    spread : :class:`int`
        Cycles over which the beats of an input's frame pass (:class:`FrameGate`); 0 where they pass
        as they come.
    """

    stream: str
    kind: str
    words: int
    port: int
    number: int
    offset: int = 0
    spread: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.stream}: A stream cannot be {self.kind!r}")

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """The ports that it crosses, and which of their streams: its first burst the first."""
        return ((self.port, self.number),)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StripedStream(FrameStream):
    """A stream whose bursts cross several ports in turn, from the first again with each frame.

    Parameters
    ----------
    others : pairs of :class:`int`
        The further ports, and which of their streams.

    Raises
    ------
    ValueError
        If there are none, or it is what is loaded or spilled.
    """

    others: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.others or self.kind in ("load", *SPILLED):
            raise ValueError(f"{self.stream}: A {self.kind} stream cannot cross "
                             f"{len(self.others) + 1!r} ports")

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        return ((self.port, self.number), *self.others)


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineMemory:
    """What one engine moves.

    Parameters
    ----------
    engine : :class:`str`
    streams : tuple of :class:`FrameStream`
        Inputs, weights, outputs, each in the order of the engine; then what is spilled and what
        comes back, both in the same order; then what is loaded, if anything.
    pace : :class:`int`
        Cycles from frame to frame at the least; 0 for none.
    buffers : :class:`int`
        Of each input and output; a power of two.
    in_flight : :class:`int`
        Frames that have begun and are not done, at most.
    """

    engine: str
    streams: tuple[FrameStream, ...]
    pace: int = 0
    buffers: int = 2
    in_flight: int = 8

    def of_kind(self, kind: str) -> list[FrameStream]:
        return [each for each in self.streams if each.kind == kind]

    @property
    def named(self) -> dict[str, FrameStream]:
        """The streams by the names that the network's control has for them."""
        return {("load" if kind == "load" else f"{kind}_{k}"): each
                for kind in KINDS for k, each in enumerate(self.of_kind(kind))}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemorySystem:
    """Everything between the engines and the memory.

    Parameters
    ----------
    ports : tuple of :class:`MemoryPort`
    engines : tuple of :class:`EngineMemory`
        In the order of the accelerator.
    timeout : :class:`int`
        Cycles after which a memory that owes an answer counts as stalled.

    Raises
    ------
    ValueError
        If a frame is no whole number of its stream's bursts, or a stream of a port belongs to none
        or to several, or stripes do not fit together.
    """

    ports: tuple[MemoryPort, ...]
    engines: tuple[EngineMemory, ...]
    timeout: int = 4096

    def __post_init__(self) -> None:
        found = [place for engine in self.engines for each in engine.streams
                 for place in each.places]
        wanted = [(k, number) for k, port in enumerate(self.ports)
                  for number in range(len(port.streams))]
        if sorted(found) != wanted:
            raise ValueError("Each stream of a port must belong to one engine's stream")
        for engine in self.engines:
            for each in engine.streams:
                if each.words % self.stream_of(each).burst:
                    raise ValueError(f"{engine.engine}: {each.words!r} words of {each.stream!r} "
                                     f"are no whole bursts")
                parts = [self.ports[port].streams[number] for port, number in each.places]
                if len(parts) > 1 and {(part.stride, part.burst) for part in parts} != {
                        (len(parts), parts[0].burst)}:
                    raise ValueError(f"{engine.engine}: The stripes of {each.stream!r} differ")

    @property
    def axi(self) -> Axi:
        """Of the first port: all are alike."""
        return self.ports[0].axi

    def stream_of(self, each: FrameStream) -> MemoryStream:
        """The port's side of a stream; of its first stripe where it has several."""
        return self.ports[each.port].streams[each.number]

    def control(self, engine: EngineMemory) -> NetworkControl:
        """What commands the streams of an engine."""
        def transfers(kind: str) -> tuple[Transfer, ...]:
            return tuple(self._transfer(each) for each in engine.of_kind(kind))
        load = transfers("load")
        return NetworkControl(
            name=engine.engine, axi=self.axi, inputs=transfers("input"),
            outputs=transfers("output"), weights=transfers("weights"),
            spills=transfers("spill"), refills=transfers("refill"),
            load=load[0] if load else None, buffers=engine.buffers, in_flight=engine.in_flight)

    def _transfer(self, each: FrameStream) -> Transfer:
        """What a stream moves in a frame, over each of its ports."""
        burst, stripes = self.stream_of(each).burst, len(each.places)
        first, *others = (Transfer(
            name=each.stream or each.kind, offset=each.offset, lead=k * burst * self.axi.word_bytes,
            bursts=-(-(each.words // burst - k) // stripes),
            stride=region_bytes(each.words, self.axi) if each.kind in SPILLED else 0)
            for k in range(stripes))
        return dataclasses.replace(first, others=tuple(others))

    def packing(self, each: FrameStream, shape: StreamShape) -> Packing:
        """How the frames of an engine's stream lie in memory."""
        return Packing(shape=shape, width=self.axi.data_width, words=each.words)

    def weight_bytes(self, engine: EngineMemory) -> int:
        """Bytes of all regions behind the base address of an engine's weights."""
        buffers = {"weights": 1, "load": 1, "spill": engine.buffers}
        return max((each.offset + buffers[each.kind] * region_bytes(each.words, self.axi)
                    for each in engine.streams if each.kind in buffers), default=0)

    def spilled_bursts(self, engine: EngineMemory, each: FrameStream) -> int:
        """Of a stream that is spilled, in the memory at once, at most."""
        return engine.buffers * each.words // self.stream_of(each).burst

    def registers(self, digest: str) -> RegisterMap:
        """The registers; the digest, 64 hexadecimal digits, tells this design from others."""
        return accelerator_registers([self.control(engine) for engine in self.engines],
                                     [port.axi for port in self.ports], digest)

    def resources(self, engines: Sequence[Engine], device: Device) -> Resources:
        """What it takes on the device, registers included."""
        parts = [RegisterFile.cost(self.registers("0" * 64), device)]
        for port in self.ports:
            parts += [port.resources(device), PortMonitor.cost(timeout=self.timeout, device=device)]
        for engine, memory in zip(engines, self.engines, strict=True):
            parts.append(self.control(memory).resources(device))
            shapes = _shapes(engine)
            for each in memory.streams:
                if each.kind == "load":
                    parts.append(Loader.cost(width=self.axi.data_width, device=device))
                    continue
                parts.append(self.packing(each, shapes[each.stream]).resources(
                    device, "write" if each.kind in WRITTEN else "read"))
                if each.kind == "spill":
                    parts.append(SpillCredit.cost(bursts=self.spilled_bursts(memory, each)))
                if len(each.places) > 1:
                    parts.append(self._stripes_cost(each))
                if each.kind == "input":
                    parts.append(FrameGate.cost(shapes[each.stream], pace=memory.pace,
                                                spread=each.spread, device=device))
        return sum(parts, Resources())

    def _stripes_cost(self, each: FrameStream) -> Resources:
        burst, stripes = self.stream_of(each).burst, len(each.places)
        if each.kind == "output":
            return StripeSplit.cost(burst=burst, words=each.words, stripes=stripes)
        return StripeMerge.cost(self.axi.data_width, burst=burst, words=each.words,
                                stripes=stripes)


def _shapes(engine: Engine) -> dict[str, StreamShape]:
    """What crosses each of an engine's inputs and outputs."""
    return dict(engine.inputs) | {name: engine.shape(source) for name, source in engine.outputs}


def _waits(empty, words, several):
    """Whether the memory is what an engine waits for that has no beat: not while the words of one
    are put together."""
    return empty & ~words.valid if several else empty


class MemorySide(wiring.Component):
    """Hardware of :class:`MemorySystem`: all of an accelerator but its engines.

    Parameters
    ----------
    spec : :class:`MemorySystem`
    engines : sequence of :class:`Engine`
    digest : :class:`str`
        As in :meth:`MemorySystem.registers`.

    Members
    -------
    axi_0, axi_1... : :py:`Out(axi.signature)`
        The ports.
    bus : :py:`In(axi_lite(...))`
        The registers.
    irq : :py:`Out(1)`
    o_E_K, i_E_K : streams
        To input K of engine E, and from its output K.
    load_E : :py:`Out(Load)`
        For its load chain.
    reset_E : :py:`Out(1)`
        It is to begin anew, as its memories are about to be loaded.
    begins, ends : :py:`Out`
        A bit of each input, and of each output, of all engines in order: the first beat of a frame
        enters, the last beat of one leaves.
    """

    def __init__(self, spec: MemorySystem, engines: Sequence[Engine], digest: str):
        self._spec = spec
        self._engines = engines
        self._registers = spec.registers(digest)
        members: dict = {f"axi_{k}": Out(port.axi.signature) for k, port in enumerate(spec.ports)}
        members |= {"bus": In(axi_lite(self._registers.address_width)), "irq": Out(1)}
        begins = ends = 0
        for number, (engine, memory) in enumerate(zip(engines, spec.engines, strict=True)):
            members |= {f"o_{number}_{k}": Out(shape.signature)
                        for k, (_, shape) in enumerate(engine.inputs)}
            members |= {f"i_{number}_{k}": In(engine.shape(source).signature)
                        for k, (_, source) in enumerate(engine.outputs)}
            members |= {f"load_{number}": Out(Load), f"reset_{number}": Out(1)}
            begins += len(memory.of_kind("input"))
            ends += len(memory.of_kind("output"))
        super().__init__(members | {"begins": Out(begins), "ends": Out(ends)})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        m.submodules.registers = registers = Once(
            RegisterFile(self._registers), key=self._registers, name="register_file")
        wiring.connect(m, wiring.flipped(self.bus), registers.bus)
        m.d.comb += self.irq.eq(registers.irq)
        ports, stalled = [], []
        for k, port in enumerate(spec.ports):
            m.submodules[f"port_{k}"] = controller = Once(port.create(), key=port,
                                                          name="memory_port")
            wiring.connect(m, controller.axi, wiring.flipped(getattr(self, f"axi_{k}")))
            m.submodules[f"monitor_{k}"] = monitor = PortMonitor(port.axi, timeout=spec.timeout)
            m.d.comb += [getattr(monitor, name).eq(getattr(controller.axi, name))
                         for name in monitor.watched]
            connect_port(m, registers, k, monitor)
            ports.append(controller)
            stalled.append(monitor.stalled)
        begins, ends = [], []
        for number, (engine, memory) in enumerate(zip(self._engines, spec.engines, strict=True)):
            control = spec.control(memory)
            m.submodules[f"control_{number}"] = controller = Once(
                control.create(), key=control, name="network_control")
            connect_network(m, registers, number, control, controller)
            m.d.comb += controller.stalled.eq(
                Cat(stalled[k] for k in sorted({port for each in memory.streams
                                                for port, _ in each.places})).any())
            for name, each in memory.named.items():
                for stripe, (port, place) in enumerate(each.places):
                    self._command(m, stripe_name(name, stripe), each.kind, controller, ports[port],
                                  place)
            begins += self._reads(m, number, engine, memory, controller, ports)
            ends += self._writes(m, number, engine, memory, controller, ports)
            self._spills(m, number, memory, ports)
            self._load(m, number, engine, memory, controller, ports)
        m.d.comb += [self.begins.eq(Cat(begins)), self.ends.eq(Cat(ends))]
        return m

    @staticmethod
    def _command(m, name, kind, controller, port, place):
        """Between a network's control and a stream of a port."""
        wiring.connect(m, getattr(controller, f"command_{name}"),
                       getattr(port, f"command_{place}"))
        m.d.comb += getattr(controller, f"error_{name}").eq(getattr(port, f"error_{place}"))
        if kind != "load":
            m.d.comb += getattr(controller, f"done_{name}").eq(getattr(port, f"done_{place}"))
        if kind in ("input", "weights"):
            m.d.comb += getattr(controller, f"ready_{name}").eq(getattr(port, f"ready_{place}"))

    def _from_ports(self, m, number, place, each, ports):
        """The words of a stream that is read, in their order."""
        return self._over_ports(m, StripeMerge, f"merge_{number}_{place}", each, ports, "o", "i")

    def _to_ports(self, m, number, place, each, ports):
        """Where the words of a stream that is written go."""
        return self._over_ports(m, StripeSplit, f"split_{number}_{place}", each, ports, "i", "o")

    def _over_ports(self, m, kind, name, each, ports, whole, part):
        """All words of a stream; ``whole`` and ``part`` are what the streams of a port, and the
        stripes' side of what deals with them, are called."""
        parts = [getattr(ports[port], f"{whole}_{k}") for port, k in each.places]
        if len(parts) == 1:
            return parts[0]
        shape = {"burst": self._spec.stream_of(each).burst, "words": each.words,
                 "stripes": len(parts)}
        width = self._spec.axi.data_width
        m.submodules[name] = switch = Once(kind(width, **shape), key=(
            kind.__name__, width, *shape.values()), name=f"stripe_{name.partition('_')[0]}")
        for k, stripe in enumerate(parts):
            wiring.connect(m, stripe, getattr(switch, f"{part}_{k}"))
        return getattr(switch, whole)

    def _reads(self, m, number, engine, memory, controller, ports):
        """Inputs and weights, to the engine; gives the first beats of the inputs."""
        spec = self._spec
        begins = []
        names = [name for name, _ in engine.inputs]
        for name, each in memory.named.items():
            if each.kind not in ("input", "weights", "refill"):
                continue
            place = names.index(each.stream)
            shape = engine.inputs[place][1]
            key = "unpacker", shape, spec.axi.data_width, each.words
            m.submodules[f"unpacker_{number}_{place}"] = unpacker = Once(
                Unpacker(*key[1:]), key=key, name="unpacker")
            words = self._from_ports(m, number, place, each, ports)
            wiring.connect(m, words, unpacker.i)
            out = getattr(self, f"o_{number}_{place}")
            if each.kind == "refill":
                connect_streams(m, name, unpacker.o, out)
                continue
            starved = [getattr(controller, f"starved_{stripe_name(name, stripe)}")
                       for stripe in range(len(each.places))]
            several = spec.packing(each, shape).words_per_beat > 1
            if each.kind == "weights":
                connect_streams(m, name, unpacker.o, out)
                m.d.comb += [one.eq(_waits(out.ready & ~out.valid, words, several))
                             for one in starved]
                continue
            m.submodules[f"gate_{number}_{place}"] = gate = FrameGate(
                shape, pace=memory.pace, spread=each.spread)
            connect_streams(m, name, unpacker.o, gate.i)
            connect_streams(m, name, gate.o, out)
            m.d.comb += [gate.open.eq(controller.gate),
                         *(one.eq(_waits(gate.starved, words, several)) for one in starved),
                         getattr(controller, f"began_{len(begins)}").eq(gate.began)]
            begins.append(gate.began)
        return begins

    def _writes(self, m, number, engine, memory, controller, ports):
        """Outputs, from the engine; gives the last beats of their frames."""
        spec = self._spec
        ends = []
        written = {each.stream: each for each in memory.streams if each.kind in WRITTEN}
        for k, (name, source) in enumerate(engine.outputs):
            shape, each = engine.shape(source), written[name]
            key = "packer", shape, spec.axi.data_width, each.words
            m.submodules[f"packer_{number}_{k}"] = packer = Once(
                Packer(*key[1:]), key=key, name="packer")
            given = getattr(self, f"i_{number}_{k}")
            connect_streams(m, name, given, packer.i)
            wiring.connect(m, packer.o, self._to_ports(m, number, k, each, ports))
            m.d.comb += getattr(controller, f"blocked_{k}").eq(given.valid & ~given.ready)
            if each.kind == "spill":
                continue
            beat = Signal(range(shape.beats), name=f"beat_{number}_{k}")
            last = beat == shape.beats - 1
            with m.If(given.valid & given.ready):
                m.d.sync += beat.eq(Mux(last, 0, beat + 1))
            ends.append(given.valid & given.ready & last)
        return ends

    def _spills(self, m, number, memory, ports):
        """What was written is asked for when it is there."""
        for k, (spill, refill) in enumerate(zip(memory.of_kind("spill"), memory.of_kind("refill"),
                                                strict=True)):
            m.submodules[f"credit_{number}_{k}"] = credit = SpillCredit(
                self._spec.spilled_bursts(memory, spill))
            read = ports[refill.port]
            m.d.comb += [
                credit.written.eq(getattr(ports[spill.port], f"written_{spill.number}")),
                credit.asked.eq(getattr(read, f"served_{refill.number}")),
                getattr(read, f"stored_{refill.number}").eq(credit.stored),
            ]

    def _load(self, m, number, engine, memory, controller, ports):
        """What fills the engine's memories; it begins anew before."""
        for each in memory.of_kind("load"):
            width = self._spec.axi.data_width
            m.submodules[f"loader_{number}"] = loader = Loader(
                width=width, words=each.words, settle=engine.loaded_memories + 4)
            wiring.connect(m, getattr(ports[each.port], f"o_{each.number}"), loader.i)
            load = getattr(self, f"load_{number}")
            before = Signal(name=f"loading_{number}")
            m.d.sync += before.eq(controller.loading)
            m.d.comb += [load.valid.eq(loader.load.valid), load.data.eq(loader.load.data),
                         controller.done_load.eq(loader.done),
                         getattr(self, f"reset_{number}").eq(controller.loading & ~before)]
