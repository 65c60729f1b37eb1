"""The mean of a whole map."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..operator import FeatureMap, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places, give_beats
from .matvec import sum_cost
from .requantize import Requantization, Requantizer, scaled_foldings
from .whole_map import WholeMap, whole_map_timing


__all__ = ["GlobalAveragePool", "GlobalAverager"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GlobalAveragePool:
    """The requantised sum of each channel over the whole map, summed as the pixels come.

    Parameters
    ----------
    input : :class:`FeatureMap`
    bias : :class:`int`
        Less the input's zero point times the pixels.
    requantization : :class:`Requantization`
        The divisor included.
    output : :class:`FeatureMap`
        One pixel.
    lanes : :class:`int`
        Folding: channels at once.
    scaling : :class:`str`
        Folding: what multiplies, as :class:`Requantizer` says.

    Raises
    ------
    ValueError
        If the output is not one pixel of the input's channels, or a parameter is out of its range.
    """

    input: FeatureMap
    bias: int = 0
    requantization: Requantization
    output: FeatureMap
    lanes: int = 1
    scaling: str = "wide"

    def __post_init__(self) -> None:
        if self.output.shape != (1, 1, self.input.channels):
            raise ValueError(f"Output must have the size {(1, 1, self.input.channels)!r}, "
                             f"not {self.output.shape!r}")
        StreamShape(map=self.input, lanes=self.lanes)
        self.requantization.check(self.output)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        sums = x.sum(axis=(1, 2), keepdims=True) + self.bias
        return (self.requantization.apply(sums),)

    @property
    def acc_width(self) -> int:
        """Bits of a sum, the bias included."""
        most = self.input.pixels * max(-self.input.low, self.input.high) + abs(self.bias)
        return most.bit_length() + 1

    @property
    def stages(self) -> int:
        """Cycles from an issue to its values: input, sum, requantisation."""
        return 2 + Requantizer.stages(self.requantization.uniform_shift, in_width=self.acc_width,
                                      scaling=self.scaling)

    @property
    def places(self) -> int:
        """Places of the output queue with which issues never wait for it."""
        return full_rate_places(self.stages)

    def timing(self) -> Timing:
        return whole_map_timing(self.inputs[0], stages=self.stages)

    def resources(self, device: Device) -> Resources:
        shape, groups = self.outputs[0], self.outputs[0].groups
        bits = self.lanes * self.acc_width
        sums = sum_cost(bits, device) + Resources(
            lut=3 * self.input.pixels.bit_length() + 2 * groups.bit_length(),
            ff=self.inputs[0].width + self.input.pixels.bit_length() + 2 * groups.bit_length() + 8)
        if groups > 1:
            sums += Resources(lut=device.lut_ram(bits, groups), ff=bits)
        parameters = LoadedMemory.cost(width=self.lanes * self.requantization.lane_width(0),
                                       depth=groups, device=device)
        requantizer = self.requantization.cost(
            in_width=self.acc_width, bias_width=0, out_width=self.output.width, lanes=self.lanes,
            device=device, scaling=self.scaling)
        queue = OutputQueue.cost(width=shape.width, places=self.places, device=device)
        return sums + parameters + requantizer + queue

    def foldings(self) -> Iterator[Self]:
        return scaled_foldings(self, self.input.channels)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name."""
        words = self.requantization.words(np.zeros(self.output.channels, dtype=np.int64),
                                          lanes=self.lanes, bias_width=0)
        return {"_scales.mem": (self.lanes * self.requantization.lane_width(0), words)}

    def create(self) -> "GlobalAverager":
        return GlobalAverager(self)


class GlobalAverager(wiring.Component):
    """Hardware of :class:`GlobalAveragePool`; takes a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain of the multipliers.
    """

    def __init__(self, spec: GlobalAveragePool):
        self._spec = spec
        super().__init__({
            "i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature),
            "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec, groups = self._spec, self._spec.outputs[0].groups
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout, places=spec.places)
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        values = WholeMap(m, self.i, queue, spec.inputs[0])
        total, complete = values.accumulate(
            m, width=spec.acc_width, combine=lambda first, before, x: Mux(
                first, spec.bias, before.as_signed()) + x)
        ((file, (width, words)),) = spec.contents().items()
        m.submodules.scales = scales = LoadedMemory(width=width, depth=groups, words=words,
                                                    file=file)
        chain_loads(m, self, scales)
        m.submodules.requantizer = requantizer = Requantizer(
            spec.requantization, in_width=spec.acc_width, bias_width=0,
            out_width=spec.output.width, lanes=spec.lanes, scaling=spec.scaling)
        # The words come when the sums do: both take two cycles.
        m.d.comb += [
            scales.r_addr.eq(values.group), requantizer.parameters.eq(scales.r_data),
            requantizer.i_valid.eq(complete), requantizer.x.eq(total),
        ]
        give_beats(m, queue, spec.outputs[0], valid=requantizer.o_valid, word=requantizer.y)
        return m
