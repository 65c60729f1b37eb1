"""The streams of an engine, as report.json holds them: between which stages, how wide, how deep."""

import dataclasses
from typing import Any

from fcnnx.hdl.engine import Engine, Source
from fcnnx.hdl.operator import Operator, StreamShape, Timing


__all__ = ["folding", "memory_bits", "streams"]


# What the optimizer chooses of an operator, whichever of these it has.
FOLDING = ("rows", "lanes", "part", "pixels", "requantizers", "packed", "lut_rows",
           "block_weights", "scaling", "lanes_in", "lanes_out", "places")


def folding(operator: Operator) -> dict[str, Any]:
    """The chosen parameters of an operator, by name."""
    assert dataclasses.is_dataclass(operator)
    names = [field.name for field in dataclasses.fields(operator)]
    values = {name: getattr(operator, name) for name in FOLDING if name in names}
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()}


def memory_bits(operator: Operator) -> int:
    """Bits of weights, biases and tables that the operator keeps."""
    return sum(width * len(words) for width, words in operator.contents().values())


def streams(engine: Engine) -> list[dict[str, Any]]:
    """Every stream of an engine, by what takes it: stages in their order, then the outputs.

    ``places`` are the beats that the producer's queue holds, 0 at an input of the engine;
    ``buffer`` those that the consumer's own buffer holds.
    """
    timings = {stage.name: stage.operator.timing() for stage in engine.stages}
    rows = []
    for stage in engine.stages:
        for k, (source, shape) in enumerate(zip(stage.inputs, stage.operator.inputs, strict=True)):
            rows.append(_stream(timings, source, shape, stage.name, "stage", k)
                        | {"buffer": timings[stage.name].inputs[k].places})
    return rows + [_stream(timings, source, engine.shape(source), name, "output", 0)
                   | {"buffer": 0} for name, source in engine.outputs]


def _stream(timings: dict[str, Timing], source: Source, shape: StreamShape, to: str, kind: str,
            index: int) -> dict[str, Any]:
    made = timings.get(source.name)
    return {
        "from": source.name, "from_kind": "stage" if made else "input", "output": source.output,
        "to": to, "to_kind": kind, "input": index, "shape": list(shape.map.shape),
        "width": shape.map.width, "signed": shape.map.signed, "lanes": shape.lanes,
        "pixels": shape.pixels, "bits": shape.width, "beats": shape.beats,
        "places": made.outputs[source.output].places if made else 0}
