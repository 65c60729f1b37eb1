"""The greatest value of a whole map."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import FeatureMap, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places
from .whole_map import WholeMap, whole_map_timing
from .window import fewest_for_each


__all__ = ["GlobalMaxPool", "GlobalMaximizer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlobalMaxPool:
    """The greatest value of each channel over the whole map, found as the pixels come.

    Parameters
    ----------
    input : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels at once.

    Raises
    ------
    ValueError
        If the lanes are out of their range.
    """

    input: FeatureMap
    lanes: int = 1

    def __post_init__(self) -> None:
        StreamShape(map=self.input, lanes=self.lanes)

    @property
    def output(self) -> FeatureMap:
        return self.input.resized(rows=1, columns=1)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = 2  # input, greatest

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x.max(axis=(1, 2), keepdims=True),)

    def timing(self) -> Timing:
        return whole_map_timing(self.inputs[0], stages=self.stages)

    def resources(self, device: Device) -> Resources:
        shape, groups = self.outputs[0], self.outputs[0].groups
        pixels = self.input.pixels.bit_length()
        greatest = Resources(lut=13 * shape.width // 16 + 3 * pixels + 2 * groups.bit_length(),
                             ff=2 * shape.width + pixels + 2 * groups.bit_length() + 5)
        if groups > 1:  # else a register keeps its value, and nothing chooses
            greatest += Resources(lut=device.lut_ram(shape.width, groups) + 11 * shape.width // 16,
                                  ff=shape.width)
        queue = OutputQueue.cost(width=shape.width, places=full_rate_places(self.stages),
                                 device=device)
        return greatest + queue

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.input.channels))

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "GlobalMaximizer":
        return GlobalMaximizer(self)


class GlobalMaximizer(wiring.Component):
    """Hardware of :class:`GlobalMaxPool`; takes a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: GlobalMaxPool):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, shape = self._spec, self._spec.inputs[0]
        m.submodules.queue = queue = OutputQueue(shape.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        def greater(first, before, x):
            before = before.as_signed() if spec.input.signed else before
            return Mux(first | (x > before), x, before)

        values = WholeMap(m, self.i, queue, shape)
        greatest, complete = values.accumulate(m, width=spec.input.width, combine=greater)
        # The lanes that a beat leaves unused are zero already.
        m.d.comb += [queue.i_valid.eq(complete), Value.cast(queue.i_payload).eq(greatest)]
        return m
