"""Streams that wait in the memory: a branch whose queue would take too much of the chip."""

import dataclasses
from collections.abc import Collection

from fcnnx.hdl.engine import Engine, Source, SpillingEngine, Stage
from fcnnx.hdl.operator import FeatureMap, StreamShape

from .folding import conversion


__all__ = ["spill", "spilled_lanes"]


def spilled_lanes(feature_map: FeatureMap, bits: int) -> int:
    """The lanes with which a map crosses a memory of words of so many bits: the most of which a
    word holds a beat, and one at least."""
    most = max(1, bits // feature_map.width)
    return max(lanes for lanes in range(1, min(most, feature_map.channels) + 1)
               if feature_map.channels % lanes == 0)


def spill(engine: Engine, sources: Collection[Source], *, bits: int, interval: int) -> Engine:
    """The engine with some of its streams led through the memory.

    Each leaves as an output, no wider than a word, and comes back as an input; to which stage or
    output it goes stays as it is.

    Parameters
    ----------
    engine : :class:`Engine`
        None of whose streams is spilled.
    sources : collection of :class:`Source`
        Its own.
    bits : :class:`int`
        Of a word of the memory.
    interval : :class:`int`
        Cycles that a width converter may take, where there is a choice.
    """
    if not sources:
        return engine
    inputs, outputs, spills = list(engine.inputs), list(engine.outputs), []
    converters: dict[str, list[Stage]] = {}  # by the stage that they follow
    back: dict[Source, Source] = {}
    for source in sorted(sources):
        shape = engine.shape(source)
        lanes = spilled_lanes(shape.map, bits)
        narrow = StreamShape(map=shape.map, lanes=lanes)
        spilled, refilled = f"{source} spill", f"{source} refill"
        ours = converters.setdefault(source.name, [])
        out = _converted(ours, source, shape, lanes, spilled, interval)
        back[source] = _converted(ours, Source(refilled), narrow, shape.elements, refilled,
                                  interval)
        inputs.append((refilled, narrow))
        outputs.append((spilled, out))
        spills.append((spilled, refilled))
    stages = []
    for stage in engine.stages:
        stages.append(dataclasses.replace(stage, inputs=tuple(
            back.get(each, each) for each in stage.inputs)))
        stages += converters.get(stage.name, [])
    return SpillingEngine(
        name=engine.name, inputs=tuple(inputs), stages=tuple(stages), outputs=tuple(
            (name, source if name in dict(spills) else back.get(source, source))
            for name, source in outputs), spills=tuple(spills))


def _converted(stages: list[Stage], source: Source, shape: StreamShape, lanes: int, name: str,
               interval: int) -> Source:
    """The stream with so many lanes; what makes it so is appended."""
    for operator in conversion(shape.map, shape.elements, lanes, interval):
        stage = f"{name} {type(operator).__name__.lower()}"
        stages.append(Stage(name=stage, operator=operator, inputs=(source,)))
        source = Source(stage)
    return source
