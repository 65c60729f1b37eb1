"""PRelu: another scale, for each channel, where values are negative."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..multiplier import scaled_by, scaling_cost, scaling_latency
from ..operator import Constants, FeatureMap, StreamShape, Timing
from ..streams import OutputQueue
from .beats import beat_timing, full_rate_places, give_beats, issue_beats
from .matvec import join_fields
from .requantize import (
    MULTIPLIER_WIDTH,
    check_range,
    clamped,
    round_shift,
    rounded,
    scaled_foldings,
)
from .window import delayed


__all__ = ["PRelu", "PReluUnit"]


SLOPE_WIDTH = MULTIPLIER_WIDTH + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class PRelu:
    """:py:`clamp(zero_out + round(d * (scale if d >= 0 else slopes[c]) / 2 ** shift), low, high)`,
    :py:`d = x - zero`.

    Parameters
    ----------
    input, output : :class:`FeatureMap`
        Of one size.
    zero, zero_out : :class:`int`
        Zero points of the input and output.
    scale : :class:`int`
        Fixed-point scale where the input is not negative; 24 unsigned bits.
    slopes : :class:`Constants`, shape (channels,)
        Fixed-point scale where it is; 25 signed bits.
    shift : :class:`int`
        1 to 63.
    low, high : :class:`int`
        Range of the output.
    lanes : :class:`int`
        Folding: channels at once.
    scaling : :class:`str`
        Folding: what multiplies, as :func:`scaled_by` says.

    Raises
    ------
    ValueError
        If input and output differ in size, or a parameter is out of its range.
    """

    input: FeatureMap
    output: FeatureMap
    zero: int
    zero_out: int
    scale: int
    slopes: Constants
    shift: int
    low: int
    high: int
    lanes: int = 1
    scaling: str = "wide"

    def __post_init__(self) -> None:
        if self.output.shape != self.input.shape:
            raise ValueError(f"Output must have the size {self.input.shape!r}, "
                             f"not {self.output.shape!r}")
        if not self.input.low <= self.zero <= self.input.high:
            raise ValueError(f"Zero point must be between {self.input.low!r} and "
                             f"{self.input.high!r}, not {self.zero!r}")
        if not 0 <= self.scale < 1 << MULTIPLIER_WIDTH:
            raise ValueError(f"Scale must have {MULTIPLIER_WIDTH!r} bits at most and not be "
                             f"negative, not {self.scale!r}")
        if self.slopes.shape != (self.input.channels,):
            raise ValueError(f"Slopes must have the shape {(self.input.channels,)!r}, "
                             f"not {self.slopes.shape!r}")
        if np.abs(self.slopes.values).max() >= 1 << MULTIPLIER_WIDTH:
            raise ValueError(f"Slopes must have {SLOPE_WIDTH!r} bits at most, sign included")
        if not 1 <= self.shift <= 63:
            raise ValueError(f"Shift must be between 1 and 63, not {self.shift!r}")
        check_range(self.low, self.high, self.output)
        StreamShape(map=self.input, lanes=self.lanes)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    @property
    def stages(self) -> int:
        """Cycles from an issue to its values: difference while the slope comes, operands, those
        of the product, rounding, clamp."""
        return LoadedMemory.latency + 3 + scaling_latency(self.scaling, self.input.width + 1)

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        d = x - self.zero
        scaled = round_shift(d * np.where(d >= 0, self.scale, self.slopes.values), self.shift)
        return (np.clip(scaled + self.zero_out, self.low, self.high),)

    def timing(self) -> Timing:
        return beat_timing(self.inputs[0].beats, stages=self.stages)

    def resources(self, device: Device) -> Resources:
        width = self.input.width + 1
        scaled = max(1, width + SLOPE_WIDTH - self.shift + 1)
        inside = self.scaling == "wide" and device.family == "xc7"  # registers of operands
        one = scaling_cost(self.scaling, width, device) + Resources(
            lut=(width if self.zero else 0) + self.shift // 5 + 3 * scaled // 2
            + self.output.width // 2 + (0 if inside else 6),
            ff=2 * width + scaled + self.output.width + MULTIPLIER_WIDTH - 7
            + (0 if inside else width + SLOPE_WIDTH - 40))
        if not device.wide_tables:
            one += Resources(lut=55, ff=27)
        groups = self.inputs[0].groups
        slopes = LoadedMemory.cost(width=self.lanes * SLOPE_WIDTH, depth=groups, device=device)
        queue = OutputQueue.cost(width=self.outputs[0].width,
                                 places=full_rate_places(self.stages), device=device)
        count = groups.bit_length()
        return one * self.lanes + slopes + queue + Resources(lut=2 * count, ff=count + self.stages)

    def foldings(self) -> Iterator[Self]:
        return scaled_foldings(self, self.input.channels)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name."""
        shape = self.inputs[0]
        slopes = np.pad(self.slopes.values, (0, shape.groups * self.lanes - len(
            self.slopes.values))).reshape(shape.groups, self.lanes)
        return {"_slopes.mem": (self.lanes * SLOPE_WIDTH, join_fields(slopes, SLOPE_WIDTH))}

    def create(self) -> "PReluUnit":
        return PReluUnit(self)


class PReluUnit(wiring.Component):
    """Hardware of :class:`PRelu`: a multiplier for each lane; a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain of the slopes.
    """

    def __init__(self, spec: PRelu):
        self._spec = spec
        super().__init__({
            "i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature),
            "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec, groups = self._spec, self._spec.inputs[0].groups
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        valid = issue_beats(m, inputs=[self.i], queue=queue, stages=spec.stages)

        ((file, (width, words)),) = spec.contents().items()
        m.submodules.slopes = slopes = LoadedMemory(width=width, depth=groups, words=words,
                                                    file=file)
        chain_loads(m, self, slopes)
        group = Signal(range(max(2, groups)))
        m.d.comb += slopes.r_addr.eq(group)
        with m.If(queue.reserve):
            m.d.sync += group.eq(Mux(group == groups - 1, 0, group + 1))

        beat = Value.cast(self.i.payload)
        results = [self._lane(m, lane, beat.word_select(lane, spec.input.width),
                              slopes.r_data.word_select(lane, SLOPE_WIDTH))
                   for lane in range(spec.lanes)]
        give_beats(m, queue, spec.outputs[0], valid=valid, word=Cat(results))
        return m

    def _lane(self, m, lane, x, slope):
        spec = self._spec
        if spec.input.signed:
            x = x.as_signed()
        d = Signal(signed(spec.input.width + 1), name=f"d_{lane}", reset_less=True)
        m.d.sync += d.eq(x - spec.zero)
        d = delayed(m, f"d_{lane}", d, LoadedMemory.latency - 1)[-1].as_signed()
        a = Signal(d.shape(), name=f"a_{lane}", reset_less=True)
        b = Signal(signed(SLOPE_WIDTH), name=f"b_{lane}", reset_less=True)
        m.d.sync += [a.eq(d), b.eq(Mux(d < 0, slope, spec.scale))]
        product = scaled_by(m, f"product_{lane}", a, b, spec.scaling)
        whole = rounded(product, spec.shift)
        scaled = Signal(whole.shape(), name=f"scaled_{lane}", reset_less=True)
        y = Signal(spec.output.width, name=f"y_{lane}", reset_less=True)
        m.d.sync += [scaled.eq(whole),
                     y.eq(clamped(scaled, zero=spec.zero_out, low=spec.low, high=spec.high))]
        return y
