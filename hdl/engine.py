"""One network's pipeline: stages connected by streams."""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from .memories import Load, load_words
from .operator import Operator, StreamShape
from .operators.streamed import StreamedConvolution
from .streams import connect_streams
from .verilog import Once, identifier, unique_identifiers


__all__ = ["Engine", "Pipeline", "Source", "SpillingEngine", "Stage", "run_stages"]


@dataclasses.dataclass(frozen=True, order=True)
class Source:
    """Where a stream comes from.

    Parameters
    ----------
    name : :class:`str`
        A stage, or an input of the engine.
    output : :class:`int`
        Which of the stage's outputs.
    """

    name: str
    output: int = 0

    def __str__(self) -> str:
        return self.name if not self.output else f"{self.name}:{self.output}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """An operator in its place.

    Parameters
    ----------
    name : :class:`str`
        Unique in the engine; that of the ONNX node it comes from.
    operator : :class:`Operator`
    inputs : tuple of :class:`Source`
    """

    name: str
    operator: Operator
    inputs: tuple[Source, ...]


def run_stages(stages: Iterable[Stage],
               inputs: Mapping[str, np.ndarray]) -> Iterator[tuple[Stage, tuple[np.ndarray, ...]]]:
    """Compute stage after stage; yields each with its outputs.

    Parameters
    ----------
    stages : in topological order
    inputs : arrays, shape (frames, rows, columns, channels), by name
    """
    values = {Source(name): x for name, x in inputs.items()}
    for stage in stages:
        results = stage.operator.compute(*(values[source] for source in stage.inputs))
        values |= {Source(stage.name, k): y for k, y in enumerate(results)}
        yield stage, results


@dataclasses.dataclass(frozen=True, kw_only=True)
class Engine:
    """A pipeline of folded operators; each stream has one producer and one consumer.

    Parameters
    ----------
    name : :class:`str`
        Letters, digits, underscores.
    inputs : tuple of pairs of :class:`str` and :class:`StreamShape`
    stages : tuple of :class:`Stage`
        In topological order.
    outputs : tuple of pairs of :class:`str` and :class:`Source`

    Raises
    ------
    ValueError
        If a stage takes a stream that is not there, or of another shape, or two take the same.
    """

    name: str
    inputs: tuple[tuple[str, StreamShape], ...]
    stages: tuple[Stage, ...]
    outputs: tuple[tuple[str, Source], ...]

    def __post_init__(self) -> None:
        free = {Source(name): shape for name, shape in self.inputs}
        for stage in self.stages:
            for source, shape in zip(stage.inputs, stage.operator.inputs, strict=True):
                if source not in free:
                    raise ValueError(f"{stage.name}: Stream {source} is not there, or taken")
                if free[source] != shape:
                    raise ValueError(f"{stage.name}: Stream {source} is {free[source]!r}, "
                                     f"not {shape!r}")
                del free[source]
            for k, shape in enumerate(stage.operator.outputs):
                free[Source(stage.name, k)] = shape
        for name, source in self.outputs:
            if free.pop(source, None) is None:
                raise ValueError(f"{name}: Stream {source} is not there, or taken")
        if free:
            raise ValueError(f"Streams {', '.join(map(str, free))} are not taken")

    @property
    def _back(self) -> dict[Source, Source]:
        """What comes back, as it leaves."""
        outputs = dict(self.outputs)
        return {Source(refill): outputs[spill] for spill, refill in self.returning}

    def shape(self, source: Source) -> StreamShape:
        """What a source carries."""
        for name, shape in self.inputs:
            if name == source.name:
                return shape
        (stage,) = (stage for stage in self.stages if stage.name == source.name)
        return stage.operator.outputs[source.output]

    def compute(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name; arrays of shape (frames, rows, columns, channels)."""
        values = {Source(name): x for name, x in inputs.items()}
        for stage, results in run_stages(self.direct_stages, inputs):
            values |= {Source(stage.name, k): y for k, y in enumerate(results)}
        back = self._back
        return {name: values[back.get(source, source)] for name, source in self.outputs}

    @property
    def returning(self) -> tuple[tuple[str, str], ...]:
        """The outputs that come back as inputs, by way of a memory: the name of each, and of its
        input."""
        return ()

    @property
    def results(self) -> tuple[tuple[str, Source], ...]:
        """The outputs that do not come back."""
        spilled = {name for name, _ in self.returning}
        return tuple((name, source) for name, source in self.outputs if name not in spilled)

    @property
    def direct_stages(self) -> tuple[Stage, ...]:
        """The stages as if what comes back never left."""
        back = self._back
        return tuple(dataclasses.replace(stage, inputs=tuple(
            back.get(source, source) for source in stage.inputs)) for stage in self.stages)

    @property
    def sources(self) -> list[Source]:
        """Every stream: those of the inputs, then those of the stages in their order."""
        return [Source(name) for name, _ in self.inputs] + [
            Source(stage.name, k) for stage in self.stages
            for k in range(len(stage.operator.outputs))]

    @property
    def stream_names(self) -> dict[Source, str]:
        """The name of each stream in the hardware; none is that of a port."""
        names = [re.sub(r"^([io](_\d.*)?)$", r"stream_\1", identifier(str(source)))
                 for source in self.sources]
        return dict(zip(self.sources, unique_identifiers(names), strict=True))

    @property
    def file_names(self) -> dict[str, str]:
        """What names each stage's memory files, between the engine's name and the memory's."""
        names = [stage.name for stage in self.stages]
        return {name: f".{short}" for name, short in
                zip(names, unique_identifiers(names), strict=True)}

    @property
    def weight_frames(self) -> dict[str, np.ndarray]:
        """What each input that is a stage's weights brings in every frame, by name; shape (rows,
        columns, channels)."""
        streamed = {stage.inputs[1].name: stage.operator for stage in self.stages
                    if isinstance(stage.operator, StreamedConvolution)}
        return {name: streamed[name].weight_frame() for name, _ in self.inputs if name in streamed}

    @property
    def loaded_memories(self) -> int:
        """Memories in its load chain."""
        return sum(len(stage.operator.contents()) for stage in self.stages)

    @property
    def load_words(self) -> list[int]:
        """What its load chain must bring, 32 bits a word."""
        return [part for stage in self.stages for width, words in stage.operator.contents().values()
                for part in load_words(width, words)]

    def create(self) -> "Pipeline":
        return Pipeline(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpillingEngine(Engine):
    """An engine some of whose streams leave it, to come back when they are needed: what waits
    between a producer and a consumer that is far behind it does so in a memory outside.

    Parameters
    ----------
    spills : tuple of pairs of :class:`str`
        An output, and the input by which the same beats come back.

    Raises
    ------
    ValueError
        If there are none, or the shapes of a pair differ.
    """

    spills: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        inputs, outputs = dict(self.inputs), dict(self.outputs)
        if not self.spills:
            raise ValueError(f"{self.name}: Nothing is spilled")
        for spill, refill in self.spills:
            if self.shape(outputs[spill]) != inputs[refill]:
                raise ValueError(f"{self.name}: {spill} does not come back as {refill}")

    @property
    def returning(self) -> tuple[tuple[str, str], ...]:
        return self.spills


class Pipeline(wiring.Component):
    """Hardware of :class:`Engine`.

    Parameters
    ----------
    spec : :class:`Engine`

    Members
    -------
    i_0, i_1... : :py:`In(spec.inputs[k][1].signature)`
    o_0, o_1... : :py:`Out(spec.shape(spec.outputs[k][1]).signature)`
    load : :py:`In(Load)`
        What fills the memories of the stages, in their order.
    """

    def __init__(self, spec: Engine):
        self._spec = spec
        super().__init__(
            {f"i_{k}": In(shape.signature) for k, (_, shape) in enumerate(spec.inputs)}
            | {f"o_{k}": Out(spec.shape(source).signature)
               for k, (_, source) in enumerate(spec.outputs)}
            | {"load": In(Load)})

    @property
    def spec(self) -> Engine:
        """What it was made of."""
        return self._spec

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        streams = {source: _named_stream(name, spec.shape(source))
                   for source, name in spec.stream_names.items()}
        names = unique_identifiers(f"stage_{stage.name}" for stage in spec.stages)

        for k, (name, _) in enumerate(spec.inputs):
            connect_streams(m, name, getattr(self, f"i_{k}"), streams[Source(name)])
        load = self.load
        for stage, name in zip(spec.stages, names, strict=True):
            operator = stage.operator
            m.submodules[name] = component = Once(
                operator.create(), key=operator, name=_module_name(operator),
                file=spec.file_names[stage.name])
            for source, port in zip(stage.inputs, _ports(component, "i"), strict=True):
                connect_streams(m, f"{stage.name} from {source}", streams[source], port)
            for k, port in enumerate(_ports(component, "o")):
                connect_streams(m, stage.name, port, streams[Source(stage.name, k)])
            if "load" in component.signature.members:
                m.d.comb += [component.load.valid.eq(load.valid),
                             component.load.data.eq(load.data)]
                load = component.load_o
        for k, (name, source) in enumerate(spec.outputs):
            connect_streams(m, name, streams[source], getattr(self, f"o_{k}"))
        return m


def _named_stream(name: str, shape: StreamShape):
    signals = shape.signature.create(path=(name,))
    for value in (signals.payload, signals.valid, signals.ready):
        signal = Value.cast(value)
        assert isinstance(signal, Signal)
        signal.attrs["keep"] = 1  # waveforms and probes find it by its name
    return signals


def _ports(component: wiring.Component, kind: str) -> list[stream.Interface]:
    """Ports ``i``, or ``i_0``, ``i_1``..."""
    members = component.signature.members
    if kind in members:
        return [getattr(component, kind)]
    count = sum(re.fullmatch(rf"{kind}_\d+", name) is not None for name in members)
    return [getattr(component, f"{kind}_{k}") for k in range(count)]


def _module_name(operator: Operator) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(operator).__name__).lower()
    return f"{words}_stage"
