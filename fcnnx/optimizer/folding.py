"""From a network and a folding of each stage to an engine: forks and width converters put in."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping

from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.engine import Engine, Source, Stage
from fcnnx.hdl.operator import FeatureMap, Operator, StreamShape
from fcnnx.hdl.operators.plumbing import LEAST_PLACES, Fork, Narrow, Queue, Widen
from fcnnx.hdl.operators.streamed import StreamedConvolution
from fcnnx.network import Network, Port


__all__ = ["PORT_BITS", "Link", "build_engine", "conversions", "engine_resources", "links"]


PORT_BITS = 128  # of a beat at the accelerator's ports, at most


@dataclasses.dataclass(frozen=True)
class Link:
    """A tensor on its way from its producer to one consumer.

    Parameters
    ----------
    source : :class:`Source`
        A stage's output, or an input of the network.
    consumer : :class:`str`
        A stage, or an output of the network.
    index : :class:`int`
        Which of the stage's inputs; -1 for an output of the network.
    map : :class:`FeatureMap`
    """

    source: Source
    consumer: str
    index: int
    map: FeatureMap


def links(network: Network) -> list[Link]:
    """All links, the stages' in their order, then those to the outputs."""
    found = [Link(source, stage.name, index, shape.map)
             for stage in network.stages
             for index, (source, shape) in enumerate(zip(stage.inputs, stage.operator.inputs,
                                                         strict=True))]
    return found + [Link(port.source, port.tensor, -1, port.map) for port in network.outputs
                    if port.source is not None]


@functools.cache
def conversions(feature_map: FeatureMap, lanes: int, wanted: int) -> tuple[tuple[Operator, ...],
                                                                           ...]:
    """The ways to make a stream of so many lanes one of as many as wanted.

    Where neither divides the other there are two: through the greatest common divisor, which is
    narrow, and may take more cycles than either stream has beats; and through the least common
    multiple or all channels, which is wide.
    """
    def step(lanes, wanted):
        kind = Widen if lanes < wanted else Narrow
        return kind(map=feature_map, lanes_in=lanes, lanes_out=wanted)

    if lanes == wanted:
        return ((),)
    if max(lanes, wanted) > feature_map.channels:
        return ()  # several pixels a beat, which nothing gathers or deals out
    narrow, wide = sorted((lanes, wanted))
    if wide % narrow == 0 or wide == feature_map.channels:
        return ((step(lanes, wanted),),)
    least, most = math.gcd(lanes, wanted), math.lcm(lanes, wanted)
    most = min(most, feature_map.channels)
    return ((step(lanes, least), step(least, wanted)), (step(lanes, most), step(most, wanted)))


def conversion(feature_map: FeatureMap, lanes: int, wanted: int,
               interval: int) -> tuple[Operator, ...]:
    """The first way that keeps to the interval, or the fastest."""
    def cycles(way):
        return max((each.interval for each in way), default=0)

    ways = conversions(feature_map, lanes, wanted)
    return next((way for way in ways if cycles(way) <= interval), min(ways, key=cycles))


def engine_resources(engine: Engine, device: Device) -> Resources:
    """What all stages of an engine take."""
    return sum((stage.operator.resources(device) for stage in engine.stages), Resources())


def port_elements(feature_map: FeatureMap) -> list[int]:
    """How many values a beat at the accelerator's ports can have: lanes, or several pixels."""
    most = max(1, PORT_BITS // feature_map.width)
    lanes = list(range(1, min(feature_map.channels, most) + 1))
    return lanes + [pixels * feature_map.channels
                    for pixels in range(2, most // feature_map.channels + 1)
                    if feature_map.columns % pixels == 0]


def build_engine(network: Network, operators: Mapping[str, Operator | tuple[Operator, ...]], *,
                 ports: Mapping[str, int], interval: int,
                 places: Mapping[str, tuple[int, ...]] | None = None) -> Engine:
    """The engine of a network with these foldings.

    What is streamed to a stage is one more input of the engine, called ``STAGE weights``; inputs of
    the network come first.

    Parameters
    ----------
    network : :class:`Network`
    operators : :class:`Operator`, or several in a row, by the name of the stage
        The network's own, folded; the last one in a row gives what the stage gives, and has its
        name.
    ports : lanes by the tensor of the input or output
    interval : :class:`int`
        Cycles that a width converter may take, where there is a choice.
    places : depths of the branches' queues, by the name of a fork
        The shortest where left out.
    """
    return _Builder(network, operators, ports, interval, places or {}).build()


class _Builder:
    def __init__(self, network: Network,
                 operators: Mapping[str, Operator | tuple[Operator, ...]],
                 ports: Mapping[str, int], interval: int,
                 places: Mapping[str, tuple[int, ...]]):
        self._network, self._operators = network, operators
        self._ports, self._interval, self._places = ports, interval, places
        self._stages: list[Stage] = []
        self._inputs: list[tuple[str, StreamShape]] = []
        self._names = ({stage.name for stage in network.stages}
                       | {port.tensor for port in network.inputs})
        # Streams that a source's consumers take, in order, once it is there.
        self._branches: dict[Source, Iterator[Source]] = {}
        self._shapes: dict[Source, StreamShape] = {}
        self._consumers: dict[Source, int] = {}
        for link in links(network):
            self._consumers[link.source] = self._consumers.get(link.source, 0) + 1

    def build(self) -> Engine:
        network = self._network
        for port in network.inputs:
            shape = StreamShape.of(port.map, self._ports[port.tensor])
            self._inputs.append((port.tensor, shape))
            self._arrive(Source(port.tensor), shape)
        for stage in network.stages:
            chain = self._operators[stage.name]
            first, *others = chain if isinstance(chain, tuple) else (chain,)
            sources = tuple(self._take(source, shape.elements, stage.name)
                            for source, shape in zip(
                                stage.inputs, first.inputs[:len(stage.inputs)], strict=True))
            if isinstance(first, StreamedConvolution):
                sources += (self._weights(stage.name, first),)
            for operator in others:
                name = self._unique(f"{stage.name}_streamed")
                sources, first = (self._append(name, first, sources),), operator
            self._append(stage.name, first, sources)
            for k, shape in enumerate(first.outputs):
                self._arrive(Source(stage.name, k), shape)
        outputs = tuple((port.tensor, self._output(port)) for port in network.outputs)
        return Engine(name=network.name, inputs=tuple(self._inputs), stages=tuple(self._stages),
                      outputs=outputs)

    def _weights(self, stage: str, operator: StreamedConvolution) -> Source:
        """The stream of a stage's weights, from outside."""
        name = self._unique(f"{stage} weights")
        self._inputs.append((name, operator.weight_shape))
        return Source(name)

    def _append(self, name: str, operator: Operator, sources: tuple[Source, ...]) -> Source:
        self._stages.append(Stage(name=name, operator=operator, inputs=sources))
        for k, shape in enumerate(operator.outputs):
            self._shapes[Source(name, k)] = shape
        return Source(name)

    def _arrive(self, source: Source, shape: StreamShape) -> None:
        """Make a stream for each consumer of a source."""
        self._shapes[source] = shape
        count = self._consumers.get(source, 0)
        if count < 2:
            self._branches[source] = iter([source])
            return
        name = self._unique(f"{source}_fork")
        fork = Fork(map=shape.map, lanes=shape.lanes,
                    places=self._places.get(name, (LEAST_PLACES,) * count))
        self._append(name, fork, (source,))
        self._branches[source] = iter([Source(name, k) for k in range(count)])

    def _take(self, source: Source, lanes: int, consumer: str) -> Source:
        """The next stream of a source, at so many lanes."""
        stream = next(self._branches[source])
        shape = self._shapes[stream]
        for operator in conversion(shape.map, shape.elements, lanes, self._interval):
            kind = type(operator).__name__.lower()
            stream = self._append(self._unique(f"{consumer}_{kind}"), operator, (stream,))
        return stream

    def _output(self, port: Port) -> Source:
        assert port.source is not None, "An output has a source"
        stream = self._take(port.source, self._ports[port.tensor], port.tensor)
        if stream.name not in {each.tensor for each in self._network.inputs}:
            return stream
        queue = Queue(map=port.map, lanes=self._ports[port.tensor])
        return self._append(self._unique(f"{port.tensor}_queue"), queue, (stream,))

    def _unique(self, name: str) -> str:
        unique, count = name, 1
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        return unique
