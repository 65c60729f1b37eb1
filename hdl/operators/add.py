"""Addition of feature maps of different scales: residual connections."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..multiplier import scaled_by, scaling_cost, scaling_latency
from ..operator import FeatureMap, StreamShape, Timing
from ..streams import OutputQueue
from .beats import beat_timing, full_rate_places, give_beats, issue_beats
from .matvec import adder_tree, tree_levels
from .requantize import (
    MULTIPLIER_WIDTH,
    check_range,
    clamped,
    round_shift,
    rounded,
    scaled_foldings,
)


__all__ = ["Add", "Adder"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Add:
    """:py:`clamp(zero + round(sum((x[k] - zeros[k]) * scales[k]) / 2 ** shift), low, high)`.

    Parameters
    ----------
    operands : two or more :class:`FeatureMap`
        Of one size; widths and signs may differ.
    zeros, scales : as many :class:`int`
        Zero points, and fixed-point scales of 24 unsigned bits, of the operands.
    shift : :class:`int`
        1 to 63.
    zero, low, high : :class:`int`
        Zero point and range of the output.
    output : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels at once.
    scaling : :class:`str`
        Folding: what multiplies by the scales, as :func:`scaled_by` says.

    Raises
    ------
    ValueError
        If operands and output differ in size, or a parameter is out of its range.
    """

    operands: tuple[FeatureMap, ...]
    zeros: tuple[int, ...]
    scales: tuple[int, ...]
    shift: int
    zero: int
    low: int
    high: int
    output: FeatureMap
    lanes: int = 1
    scaling: str = "wide"

    def __post_init__(self) -> None:
        count = len(self.operands)
        if count < 2 or (len(self.zeros), len(self.scales)) != (count, count):
            raise ValueError(f"Two operands or more, and as many zeros and scales, are added, not "
                             f"{count!r}, {len(self.zeros)!r} and {len(self.scales)!r}")
        for each, zero, scale in zip(self.operands, self.zeros, self.scales, strict=True):
            if each.shape != self.output.shape:
                raise ValueError(f"Operands must have the output's size {self.output.shape!r}, "
                                 f"not {each.shape!r}")
            if not each.low <= zero <= each.high:
                raise ValueError(f"Zero point must be between {each.low!r} and {each.high!r}, "
                                 f"not {zero!r}")
            if not 0 <= scale < 1 << MULTIPLIER_WIDTH:
                raise ValueError(f"Scales must have {MULTIPLIER_WIDTH!r} bits at most and not be "
                                 f"negative, not {scale!r}")
        if not 1 <= self.shift <= 63:
            raise ValueError(f"Shift must be between 1 and 63, not {self.shift!r}")
        check_range(self.low, self.high, self.output)
        StreamShape(map=self.output, lanes=self.lanes)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return tuple(StreamShape(map=each, lanes=self.lanes) for each in self.operands)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    @property
    def stages(self) -> int:
        """Cycles from an issue to its values: difference, those of the product, sum, rounding,
        clamp."""
        return (3 + scaling_latency(self.scaling, self.difference_width)
                + tree_levels(len(self.operands)))

    @property
    def difference_width(self) -> int:
        """Bits of an operand less its zero point."""
        return max(each.width for each in self.operands) + 1

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        total = np.sum([(x - zero) * scale for x, zero, scale in
                        zip(inputs, self.zeros, self.scales, strict=True)], axis=0)
        return (np.clip(round_shift(total, self.shift) + self.zero, self.low, self.high),)

    def timing(self) -> Timing:
        return beat_timing(self.outputs[0].beats, inputs=len(self.operands), stages=self.stages)

    def resources(self, device: Device) -> Resources:
        one = Resources()
        for each, zero, scale in zip(self.operands, self.zeros, self.scales, strict=True):
            one += self._product_cost(each.width + 1, scale, device)
            one += Resources(lut=0 if not zero else 4 if device.wide_tables else 16)
        total = max(map(int.bit_length, self.scales)) + max(
            each.width for each in self.operands) + tree_levels(len(self.operands)) + 1
        scaled = max(1, total - self.shift + 1)
        one += Resources(lut=(len(self.operands) - 1) * total + self.shift // 5
                         + (0 if device.wide_tables else 22)
                         + 3 * scaled // 2 + self.output.width // 2,
                         ff=(len(self.operands) - 1) * total + scaled + self.output.width)
        queue = OutputQueue.cost(width=self.outputs[0].width,
                                 places=full_rate_places(self.stages), device=device)
        return one * self.lanes + queue + Resources(lut=2, ff=self.stages)

    def _product_cost(self, width: int, scale: int, device: Device) -> Resources:
        """One product, behind its operand's register where that is no DSP's."""
        if scale & scale - 1 == 0:  # wires
            return Resources(ff=width + 2 * (width + scale.bit_length()))
        cost = scaling_cost(self.scaling, width, device, scale.bit_length(), constant=True)
        inside = self.scaling == "wide" and device.family == "xc7"
        return cost + Resources(ff=0 if inside else width)

    def foldings(self) -> Iterator[Self]:
        return scaled_foldings(self, self.output.channels)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Adder":
        return Adder(self)


class Adder(wiring.Component):
    """Hardware of :class:`Add`; a beat per cycle.

    Members
    -------
    i_0, i_1, ... : :py:`In(stream)`
        Operands; a beat of each is taken in the same cycle.
    o : :py:`Out(stream)`
    """

    def __init__(self, spec: Add):
        self._spec = spec
        super().__init__({f"i_{k}": In(shape.signature) for k, shape in enumerate(spec.inputs)}
                         | {"o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        inputs = [getattr(self, f"i_{k}") for k in range(len(spec.operands))]
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        valid = issue_beats(m, inputs=inputs, queue=queue, stages=spec.stages)

        results = []
        for lane in range(spec.lanes):
            products = [self._product(m, lane, k, Value.cast(i.payload))
                        for k, i in enumerate(inputs)]
            total, _ = adder_tree(m, f"lane_{lane}", products)
            whole = rounded(total, spec.shift)
            scaled = Signal(whole.shape(), name=f"scaled_{lane}", reset_less=True)
            y = Signal(spec.output.width, name=f"y_{lane}", reset_less=True)
            m.d.sync += [scaled.eq(whole),
                         y.eq(clamped(scaled, zero=spec.zero, low=spec.low, high=spec.high))]
            results.append(y)
        give_beats(m, queue, spec.outputs[0], valid=valid, word=Cat(results))
        return m

    def _product(self, m, lane, k, beat):
        spec = self._spec
        x = beat.word_select(lane, spec.operands[k].width)
        if spec.operands[k].signed:
            x = x.as_signed()
        d = Signal(signed(spec.difference_width), name=f"d_{lane}_{k}", reset_less=True)
        m.d.sync += d.eq(x - spec.zeros[k])
        scale = spec.scales[k]
        return scaled_by(m, f"product_{lane}_{k}", d, Const(scale, max(1, scale.bit_length())),
                         spec.scaling)
