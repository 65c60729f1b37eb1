"""One network's pipeline: stages connected by streams."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from .operator import FeatureMap, Operator, StreamShape


__all__ = ["Engine", "Source", "Stage", "run_stages"]


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
        for stage, results in run_stages(self.stages, inputs):
            values |= {Source(stage.name, k): y for k, y in enumerate(results)}
        return {name: values[source] for name, source in self.outputs}
