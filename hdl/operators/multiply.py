"""Product of two feature maps, of which one may be a pixel for the whole of the other."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..multiplier import scaled_by, scaling_cost, scaling_latency
from ..operator import FeatureMap, Input, StreamShape, Timing
from ..streams import OutputQueue
from .beats import beat_timing, count_steps, full_rate_places, give_beats, issue_beats
from .requantize import (
    MULTIPLIER_WIDTH,
    check_range,
    clamped,
    round_shift,
    rounded,
    scaled_foldings,
)
from .window import delayed


__all__ = ["Multiplier", "Multiply"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multiply:
    """:py:`clamp(zero + round((a - zeros[0]) * (b - zeros[1]) * scale / 2 ** shift), low, high)`.

    Parameters
    ----------
    operands : two :class:`FeatureMap`
        The first of the output's size; the second too, or a single pixel, by which each pixel of
        the first is multiplied. At most 8 bits each.
    zeros : pair of :class:`int`
        Zero points of the operands.
    scale, shift : :class:`int`
        Fixed-point scale, of as many bits as a requantiser's; 1 to 63.
    zero, low, high : :class:`int`
        Zero point and range of the output.
    output : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels at once.
    scaling : :class:`str`
        Folding: what multiplies by the scale, as :func:`scaled_by` says.

    Raises
    ------
    ValueError
        If operands and output do not fit together, or a parameter is out of its range.
    """

    operands: tuple[FeatureMap, FeatureMap]
    zeros: tuple[int, int]
    scale: int
    shift: int
    zero: int
    low: int
    high: int
    output: FeatureMap
    lanes: int = 1
    scaling: str = "wide"

    def __post_init__(self) -> None:
        first, second = self.operands
        if first.shape != self.output.shape or second.shape not in (
                first.shape, (1, 1, first.channels)):
            raise ValueError(f"The first operand must have the output's size "
                             f"{self.output.shape!r}, and the second too, or one pixel, "
                             f"not {first.shape!r} and {second.shape!r}")
        for each, zero in zip(self.operands, self.zeros, strict=True):
            if each.width > 8:
                raise ValueError(f"Operands must have 8 bits at most, not {each.width!r}")
            if not each.low <= zero <= each.high:
                raise ValueError(f"Zero point must be between {each.low!r} and {each.high!r}, "
                                 f"not {zero!r}")
        if not 0 <= self.scale < 1 << MULTIPLIER_WIDTH:
            raise ValueError(f"Scale must have {MULTIPLIER_WIDTH!r} bits at most and not be "
                             f"negative, not {self.scale!r}")
        if not 1 <= self.shift <= 63:
            raise ValueError(f"Shift must be between 1 and 63, not {self.shift!r}")
        check_range(self.low, self.high, self.output)
        StreamShape(map=self.output, lanes=self.lanes)

    @property
    def repeated(self) -> bool:
        """Whether the second operand is one pixel for a map of several."""
        return self.operands[1].pixels < self.operands[0].pixels

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return tuple(StreamShape(map=each, lanes=self.lanes) for each in self.operands)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
        product = (a - self.zeros[0]) * (b - self.zeros[1]) * self.scale
        return (np.clip(round_shift(product, self.shift) + self.zero, self.low, self.high),)

    @property
    def product_width(self) -> int:
        """Bits of a product of the operands."""
        return sum(each.width + 1 for each in self.operands)

    @property
    def stages(self) -> int:
        """Cycles from an issue to its values: difference, those of the products, rounding,
        clamp."""
        return 5 + scaling_latency(self.scaling, self.product_width)

    def timing(self) -> Timing:
        timing = beat_timing(self.outputs[0].beats, inputs=2, stages=self.stages)
        if not self.repeated:
            return timing
        beats = self.inputs[1].beats
        needs = np.minimum(timing.inputs[0].needs, beats)
        return dataclasses.replace(timing, inputs=(
            timing.inputs[0], Input(beats=beats, needs=needs, frees=needs)))

    def resources(self, device: Device) -> Resources:
        first, second = (each.width + 1 for each in self.operands)
        scale = self.scale.bit_length()
        one = Resources(dsp=device.dsps(first, second))
        if self.scale & self.scale - 1:  # else wires, no product
            one += scaling_cost(self.scaling, self.product_width, device, scale,
                                constant=True)
        scaled = max(1, self.product_width + scale - self.shift + 1)
        registers, differences = 0, 2
        if device.family != "xc7":  # only in DSP48E1 does Yosys take operands and products
            registers = 8 if self.scaling == "lut" else first + second + 2 * self.product_width
            differences = sum(size // 2 for size, zero in zip((first, second), self.zeros,
                                                              strict=True) if zero)
        one += Resources(lut=differences + 2 * scaled + 2,
                        ff=registers + scaled + self.output.width)
        queue = OutputQueue.cost(width=self.outputs[0].width,
                                 places=full_rate_places(self.stages), device=device)
        cost = one * self.lanes + queue + Resources(lut=2, ff=self.stages)
        if self.repeated:
            shape = self.inputs[1]
            pixels = self.output.pixels.bit_length() + shape.groups.bit_length()
            cost += Resources(lut=2 * pixels + shape.width, ff=pixels)
            cost += (Resources(lut=device.lut_ram(shape.width, shape.groups))
                     if shape.groups > 1 else Resources(ff=shape.width))
        return cost

    def foldings(self) -> Iterator[Self]:
        return scaled_foldings(self, self.output.channels)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Multiplier":
        return Multiplier(self)


class Multiplier(wiring.Component):
    """Hardware of :class:`Multiply`; a beat per cycle.

    Members
    -------
    i_0, i_1 : :py:`In(stream)`
        Operands; a beat of each is taken in the same cycle, of a single pixel with the first pixel
        of the other.
    o : :py:`Out(stream)`
    """

    def __init__(self, spec: Multiply):
        self._spec = spec
        super().__init__({f"i_{k}": In(shape.signature) for k, shape in enumerate(spec.inputs)}
                         | {"o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        beats = [Value.cast(self.i_0.payload), Value.cast(self.i_1.payload)]
        if spec.repeated:
            valid, beats[1] = self._repeat(m, queue)
        else:
            valid = issue_beats(m, inputs=[self.i_0, self.i_1], queue=queue, stages=spec.stages)

        scale = Const(spec.scale, max(1, spec.scale.bit_length()))
        results = []
        for lane in range(spec.lanes):
            first, second = (self._difference(m, lane, k, beat) for k, beat in enumerate(beats))
            product = delayed(m, f"product_{lane}", first * second, 2)[-1].as_signed()
            scaled = scaled_by(m, f"scaled_{lane}", product,
                               scale, spec.scaling)
            whole = rounded(scaled, spec.shift)
            near = Signal(whole.shape(), name=f"rounded_{lane}", reset_less=True)
            y = Signal(spec.output.width, name=f"y_{lane}", reset_less=True)
            m.d.sync += [near.eq(whole),
                         y.eq(clamped(near, zero=spec.zero, low=spec.low, high=spec.high))]
            results.append(y)
        give_beats(m, queue, spec.outputs[0], valid=valid, word=Cat(results))
        return m

    def _difference(self, m, lane, k, beat):
        each = self._spec.operands[k]
        x = beat.word_select(lane, each.width)
        if each.signed:
            x = x.as_signed()
        d = Signal(signed(each.width + 1), name=f"d_{lane}_{k}", reset_less=True)
        m.d.sync += d.eq(x - self._spec.zeros[k])
        return d

    def _repeat(self, m, queue):
        """Issue with each beat of the first operand; gives the valid of what leaves the last
        stage, and the beat of the second that is kept for all pixels."""
        spec, shape = self._spec, self._spec.inputs[1]
        issue, opening = Signal(), Signal(init=1)
        group, pixel_end = count_steps(m, "group", issue, shape.groups)
        _, frame_end = count_steps(m, "pixel", pixel_end, spec.output.pixels)
        with m.If(pixel_end):
            m.d.sync += opening.eq(frame_end)
        m.d.comb += [
            queue.need.eq(1), queue.reserve.eq(issue),
            issue.eq(queue.enough & self.i_0.valid & (self.i_1.valid | ~opening)),
            self.i_0.ready.eq(queue.enough & (self.i_1.valid | ~opening)),
            self.i_1.ready.eq(queue.enough & self.i_0.valid & opening),
        ]
        beat = Value.cast(self.i_1.payload)
        if shape.groups == 1:
            kept = Signal.like(beat, reset_less=True, name="kept")
            with m.If(issue & opening):
                m.d.sync += kept.eq(beat)
        else:
            m.submodules.kept = held = memory.Memory(shape=shape.width, depth=shape.groups,
                                                     init=[])
            write, read = held.write_port(), held.read_port(domain="comb")
            m.d.comb += [write.addr.eq(group), write.data.eq(beat),
                         write.en.eq(issue & opening), read.addr.eq(group)]
            kept = read.data
        return delayed(m, "valid", issue, spec.stages, reset=True)[-1], Mux(opening, beat, kept)
