"""The top: one engine for each network, and the streams that lead to them."""

import dataclasses

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .engine import Engine
from .operator import StreamShape
from .streams import connect_streams
from .verilog import Once, identifier, unique_identifiers


__all__ = ["Accelerator", "AcceleratorPort", "Top"]


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

    Raises
    ------
    ValueError
        If there is none, or two have the same name.
    """

    engines: tuple[Engine, ...]

    def __post_init__(self) -> None:
        names = [engine.name for engine in self.engines]
        if not names:
            raise ValueError("An accelerator must have an engine")
        if len(set(names)) < len(names):
            raise ValueError(f"Engines must have different names, not {', '.join(names)}")

    @property
    def ports(self) -> tuple[AcceleratorPort, ...]:
        """The streams, engine after engine, inputs before outputs."""
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

    def create(self) -> "Top":
        return Top(self)


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
