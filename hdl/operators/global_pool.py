"""The mean of a whole map."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places, give_beats
from .requantize import Requantization, Requantizer
from .window import fewest_for_each


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
        return 2 + Requantizer.stages(self.requantization.uniform_shift)

    @property
    def places(self) -> int:
        """Places of the output queue with which issues never wait for it."""
        return full_rate_places(self.stages)

    def timing(self) -> Timing:
        issues = np.arange(1, self.inputs[0].beats + 1)
        groups = self.outputs[0].beats
        return Timing(
            inputs=(Input(beats=self.inputs[0].beats, needs=issues, frees=issues),),
            outputs=(Output(makes=np.maximum(issues - (len(issues) - groups), 0),
                            depth=self.stages + OutputQueue.latency, places=self.places,
                            back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        shape, groups = self.outputs[0], self.outputs[0].groups
        bits = self.lanes * self.acc_width
        sums = Resources(lut=bits + 3 * self.input.pixels.bit_length() + 2 * groups.bit_length(),
                         ff=2 * bits + self.inputs[0].width + self.input.pixels.bit_length()
                         + 2 * groups.bit_length() + 8)
        if groups > 1:
            sums += Resources(lut=device.lut_ram(bits, groups))
        parameters = LoadedMemory.cost(width=self.lanes * self.requantization.lane_width(0),
                                       depth=groups, device=device)
        requantizer = self.requantization.cost(
            in_width=self.acc_width, bias_width=0, out_width=self.output.width, lanes=self.lanes,
            device=device)
        queue = OutputQueue.cost(width=shape.width, places=self.places, device=device)
        return sums + parameters + requantizer + queue

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.input.channels))

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

        group = Signal(range(max(2, groups)))
        pixel = Signal(range(max(2, spec.input.pixels)))
        first, last = Signal(init=1), Signal(init=spec.input.pixels == 1)
        pixel_ends, issue = Signal(), Signal()
        m.d.comb += [
            pixel_ends.eq(group == groups - 1),
            queue.need.eq(last),
            self.i.ready.eq(queue.enough),
            issue.eq(self.i.valid & self.i.ready),
            queue.reserve.eq(issue),
        ]
        with m.If(issue):
            m.d.sync += group.eq(Mux(pixel_ends, 0, group + 1))
        with m.If(issue & pixel_ends):
            m.d.sync += pixel.eq(Mux(last, 0, pixel + 1))
            m.d.sync += first.eq(last)
            m.d.sync += last.eq(pixel == (spec.input.pixels - 2) % spec.input.pixels)

        total, complete = self._sum(m, issue, group, first, last)
        ((file, (width, words)),) = spec.contents().items()
        m.submodules.scales = scales = LoadedMemory(width=width, depth=groups, words=words,
                                                    file=file)
        chain_loads(m, self, scales)
        m.submodules.requantizer = requantizer = Requantizer(
            spec.requantization, in_width=spec.acc_width, bias_width=0,
            out_width=spec.output.width, lanes=spec.lanes)
        # The words come when the sums do: both take two cycles.
        m.d.comb += [
            scales.r_addr.eq(group), requantizer.parameters.eq(scales.r_data),
            requantizer.i_valid.eq(complete), requantizer.x.eq(total),
        ]
        give_beats(m, queue, spec.outputs[0], valid=requantizer.o_valid, word=requantizer.y)
        return m

    def _sum(self, m, issue, group, first, last):
        """Sums two cycles after an issue, and whether they are those of whole maps."""
        spec, groups = self._spec, self._spec.outputs[0].groups
        width, acc_width = spec.input.width, spec.acc_width
        beat = Signal(spec.lanes * width, reset_less=True)
        valid, starts, ends, complete = Signal(), Signal(), Signal(), Signal()
        slot = Signal.like(group)
        m.d.sync += [beat.eq(Value.cast(self.i.payload)), valid.eq(issue), slot.eq(group),
                     starts.eq(first), ends.eq(last), complete.eq(valid & ends)]

        before = Signal(spec.lanes * acc_width)
        sums = Signal(spec.lanes * acc_width)
        total = Signal(spec.lanes * acc_width, reset_less=True)
        for lane in range(spec.lanes):
            x = beat.word_select(lane, width)
            base = Mux(starts, spec.bias, before.word_select(lane, acc_width).as_signed())
            m.d.comb += sums.word_select(lane, acc_width).eq(
                base + (x.as_signed() if spec.input.signed else x))
        with m.If(valid):
            m.d.sync += total.eq(sums)
        if groups == 1:
            m.d.comb += before.eq(total)
            return total, complete

        # The next group's sum is fetched with each beat, so that no cycle reads and adds.
        m.submodules.sums = held = memory.Memory(shape=len(sums), depth=groups, init=[])
        write, read = held.write_port(), held.read_port(domain="comb")
        fetched = Signal.like(before, reset_less=True)
        m.d.comb += [write.addr.eq(slot), write.data.eq(sums), write.en.eq(valid),
                     read.addr.eq(Mux(slot == groups - 1, 0, slot + 1)), before.eq(fetched)]
        with m.If(valid):
            m.d.sync += fetched.eq(read.data)
        return total, complete
