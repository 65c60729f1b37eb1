"""The top: one engine for each network, and the streams or the memory that lead to them."""

import dataclasses

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .engine import Engine
from .operator import StreamShape
from .registers import axi_lite
from .streams import connect_streams
from .system import MemorySide, MemorySystem
from .verilog import Once, identifier, unique_identifiers


__all__ = ["Accelerator", "AcceleratorPort", "MemoryTop", "Top"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceleratorPort:
    """A stream of the accelerator.

    Parameters
    ----------
    direction : :class:`str`
        ``"input"`` or ``"output"``.
    engine, stream : :class:`str`
        Names of the engine, and of its input or output.
    name : :class:`str`
        In the hardware.
    shape : :class:`StreamShape`
    """

    direction: str
    engine: str
    stream: str
    name: str
    shape: StreamShape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accelerator:
    """Engines side by side, which share a clock and a reset.

    Parameters
    ----------
    engines : tuple of :class:`Engine`
    memory : :class:`MemorySystem` or None
        What brings their frames from a memory and back; without it their streams are ports.

    Raises
    ------
    ValueError
        If there is no engine, two have the same name, or the memory's are others.
    """

    engines: tuple[Engine, ...]
    memory: MemorySystem | None = None

    def __post_init__(self) -> None:
        names = [engine.name for engine in self.engines]
        if not names:
            raise ValueError("An accelerator must have an engine")
        if len(set(names)) < len(names):
            raise ValueError(f"Engines must have different names, not {', '.join(names)}")
        if self.memory and names != [engine.engine for engine in self.memory.engines]:
            raise ValueError("The memory's engines must be the accelerator's")

    @property
    def ports(self) -> tuple[AcceleratorPort, ...]:
        """The streams of the engines, engine after engine, inputs before outputs; with a memory
        they are inside."""
        rows = []
        for engine in self.engines:
            rows += [("input", engine.name, name, shape) for name, shape in engine.inputs]
            rows += [("output", engine.name, name, engine.shape(source))
                     for name, source in engine.outputs]
        names = unique_identifiers(f"{engine}_{identifier(stream)}"
                                   for _, engine, stream, _ in rows)
        return tuple(AcceleratorPort(direction=direction, engine=engine, stream=stream, name=name,
                                     shape=shape)
                     for (direction, engine, stream, shape), name in zip(rows, names, strict=True))

    def ports_of(self, engine: Engine, direction: str) -> list[AcceleratorPort]:
        """An engine's ports of one direction, in its order."""
        return [port for port in self.ports
                if port.engine == engine.name and port.direction == direction]

    @property
    def module_names(self) -> dict[str, str]:
        """The module of each engine."""
        names = [engine.name for engine in self.engines]
        return dict(zip(names, unique_identifiers(f"{name}_engine" for name in names),
                        strict=True))

    def create(self, digest: str = "0" * 64) -> "Top | MemoryTop":
        """The component; the digest, 64 hexadecimal digits, is what its registers tell it from
        others by, where it has any."""
        return MemoryTop(self, self.memory, digest) if self.memory else Top(self)


class Top(wiring.Component):
    """Hardware of :class:`Accelerator`.

    Parameters
    ----------
    spec : :class:`Accelerator`

    Members
    -------
    of each of :attr:`Accelerator.ports` : its stream
    """

    def __init__(self, spec: Accelerator):
        self._spec = spec
        super().__init__({
            port.name: (In if port.direction == "input" else Out)(port.shape.signature)
            for port in spec.ports})

    @property
    def spec(self) -> Accelerator:
        """What it was made of."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        for engine in self._spec.engines:
            name = self._spec.module_names[engine.name]
            m.submodules[name] = pipeline = Once(engine.create(), key=engine, name=name,
                                                 file=engine.name)
            for k, port in enumerate(self._spec.ports_of(engine, "input")):
                connect_streams(m, port.name, getattr(self, port.name),
                                getattr(pipeline, f"i_{k}"))
            for k, port in enumerate(self._spec.ports_of(engine, "output")):
                connect_streams(m, port.name, getattr(pipeline, f"o_{k}"),
                                getattr(self, port.name))
        return m


class MemoryTop(wiring.Component):
    """Hardware of :class:`Accelerator` where a memory brings and takes its frames.

    Parameters
    ----------
    spec : :class:`Accelerator`
    memory : :class:`MemorySystem`
    digest : :class:`str`
        As in :meth:`Accelerator.create`.

    Members
    -------
    m_axi_K_NAME : signals of the master K
        AXI4, or AXI3 where no burst is longer than 16.
    s_axi_NAME : signals of the registers' slave
        AXI4-Lite.
    irq : :py:`Out(1)`
    frame_begin, frame_end : :py:`Out`
        A bit of each input, and of each output, in the order of :attr:`Accelerator.ports`: the
        first beat of a frame enters the engine, the last beat of one leaves it, in this cycle.
    """

    def __init__(self, spec: Accelerator, memory: MemorySystem, digest: str):
        self._spec = spec
        self._side = MemorySide(memory, spec.engines, digest)
        members = {"irq": Out(1), "frame_begin": Out(len(self._side.begins)),
                   "frame_end": Out(len(self._side.ends))}
        for k, port in enumerate(memory.ports):
            members |= {f"m_axi_{k}_{name}": member
                        for name, member in port.axi.signature.members.items()}
        bus = axi_lite(len(self._side.bus.araddr))
        members |= {f"s_axi_{name}": member for name, member in bus.flip().members.items()}
        super().__init__(members)

    @property
    def spec(self) -> Accelerator:
        """What it was made of."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        side = self._side
        m.submodules.memory_side = side
        m.d.comb += [self.irq.eq(side.irq), self.frame_begin.eq(side.begins),
                     self.frame_end.eq(side.ends)]
        buses = {"s_axi": side.bus} | {
            name.replace("axi", "m_axi"): getattr(side, name)
            for name in side.signature.members if name.startswith("axi_")}
        for name, bus in buses.items():
            for signal in bus.signature.members:
                ours, theirs = getattr(self, f"{name}_{signal}"), getattr(bus, signal)
                flow = self.signature.members[f"{name}_{signal}"].flow
                m.d.comb += theirs.eq(ours) if flow is In else ours.eq(theirs)
        for number, engine in enumerate(self._spec.engines):
            self._engine(m, number, engine)
        return m

    def _engine(self, m, number, engine):
        side, name = self._side, self._spec.module_names[engine.name]
        # What fills its memories begins with all of them empty.
        m.submodules[name] = pipeline = Once(engine.create(), key=engine, name=name,
                                             file=engine.name,
                                             reset=getattr(side, f"reset_{number}"))
        load = getattr(side, f"load_{number}")
        m.d.comb += [pipeline.load.valid.eq(load.valid), pipeline.load.data.eq(load.data)]
        for k, (stream, _) in enumerate(engine.inputs):
            connect_streams(m, stream, getattr(side, f"o_{number}_{k}"),
                            getattr(pipeline, f"i_{k}"))
        for k, (stream, _) in enumerate(engine.outputs):
            connect_streams(m, stream, getattr(pipeline, f"o_{k}"),
                            getattr(side, f"i_{number}_{k}"))
