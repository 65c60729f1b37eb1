"""Requantisation: accumulator words to narrower activation words."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..multiplier import NARROW, SCALE, scaled_by, scaling_cost, scaling_latency
from ..operator import Constants, FeatureMap
from .window import fewest_for_each


__all__ = ["MULTIPLIER_WIDTH", "Requantization", "Requantizer", "check_range", "clamped",
           "round_shift", "rounded", "scaled_foldings"]


MULTIPLIER_WIDTH = SCALE  # with a sign bit, the wider operand of a DSP48
SHIFT_WIDTH = 6


def round_shift(x: np.ndarray, shift) -> np.ndarray:
    """:py:`x / 2 ** shift` to the nearest integer, ties to even."""
    to_even = (x >> shift) & 1
    return (x + (1 << np.asarray(shift) - 1) - 1 + to_even) >> shift


def check_range(low: int, high: int, output: FeatureMap) -> None:
    """Whether a range of values fits an output.

    Raises
    ------
    ValueError
        If it does not, or is empty.
    """
    if not output.low <= low <= high <= output.high:
        raise ValueError(f"Range must lie between {output.low!r} and {output.high!r}, "
                         f"not {low!r} and {high!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Requantization:
    """Parameters of :py:`clamp(zero + round(x * multiplier[c] / 2 ** shift[c]), low, high)`.

    Rounding is to nearest, ties to even, as in ONNX QuantizeLinear.

    Parameters
    ----------
    multiplier : :class:`Constants`, shape (channels,) or (1,)
        Fixed-point scale, 0 to 2 ** 24 - 1; one for each channel, or one for all.
    shift : :class:`int` or :class:`Constants`, shape (channels,)
        1 to 63. One for all channels is built into the hardware, and is cheap; one for each is
        kept beside the multipliers, and takes a shifter in every lane.
    zero : :class:`int`
        Zero point of the output.
    low, high : :class:`int`
        Range of the output: that of its type, or less where a Relu or Clip is folded in.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or shifts and multipliers differ in number.
    """

    multiplier: Constants
    shift: int | Constants
    zero: int
    low: int
    high: int

    def __post_init__(self) -> None:
        values, shifts = self.multiplier.values, self._shifts
        if values.ndim != 1 or not ((values >= 0) & (values < 1 << MULTIPLIER_WIDTH)).all():
            raise ValueError("Multipliers must be a vector of integers from 0 to 2 ** 24 - 1")
        if shifts.ndim > 1 or not ((shifts >= 1) & (shifts <= 63)).all():
            raise ValueError("Shift must be an integer, or a vector of integers, from 1 to 63")
        if shifts.ndim and 1 not in (len(values), len(shifts)) and len(values) != len(shifts):
            raise ValueError(f"Shifts must be as many as the {len(values)!r} multipliers, "
                             f"not {len(shifts)!r}")
        if self.low > self.high:
            raise ValueError(f"Low must be at most high, not {self.low!r} and {self.high!r}")

    @property
    def uniform_shift(self) -> int | None:
        """The shift of all channels, or None where each has its own."""
        return None if isinstance(self.shift, Constants) else self.shift

    @property
    def _shifts(self) -> np.ndarray:
        return (self.shift.values if isinstance(self.shift, Constants)
                else np.asarray(self.shift, dtype=np.int64))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Activations of accumulators, shape (..., channels)."""
        scaled = round_shift(x * self.multiplier.values, self._shifts)
        return np.clip(scaled + self.zero, self.low, self.high)

    def check(self, output: FeatureMap) -> None:
        """Whether it fits an output.

        Raises
        ------
        ValueError
            If it is for another number of channels, or its range exceeds that of the values.
        """
        for name, values in (("Multipliers", self.multiplier.values), ("Shifts", self._shifts)):
            if values.ndim and len(values) not in (1, output.channels):
                raise ValueError(f"{name} must be one, or one for each of {output.channels!r} "
                                 f"channels, not {len(values)!r}")
        check_range(self.low, self.high, output)

    def lane_width(self, bias_width: int) -> int:
        """Bits of one lane's parameters."""
        shift_width = SHIFT_WIDTH if self.uniform_shift is None else 0
        return bias_width + MULTIPLIER_WIDTH + shift_width

    def words(self, bias: np.ndarray, *, lanes: int, bias_width: int) -> list[int]:
        """The parameters of each beat of a pixel, as :class:`Requantizer` takes them.

        Parameters
        ----------
        bias : integers, shape (channels,)
            Zeros where ``bias_width`` is 0.
        lanes, bias_width : :class:`int`
            As in :class:`Requantizer`. Lanes beyond the channels have multiplier and bias 0.
        """
        channels = len(bias)
        width = self.lane_width(bias_width)
        fields = bias & (1 << bias_width) - 1
        fields = fields | np.broadcast_to(self.multiplier.values, channels) << bias_width
        upper = np.zeros(channels, dtype=np.int64)
        if self.uniform_shift is None:
            upper = np.broadcast_to(self._shifts, channels) - 1
        words = []
        for first in range(0, channels, lanes):
            word = 0
            for lane in range(min(lanes, channels - first)):
                entry = (int(fields[first + lane])
                         | int(upper[first + lane]) << bias_width + MULTIPLIER_WIDTH)
                word |= entry << lane * width
            words.append(word)
        return words

    def cost(self, *, in_width: int, bias_width: int, out_width: int, lanes: int,
             device: Device, scaling: str = "wide") -> Resources:
        """What a :class:`Requantizer` of these parameters takes."""
        product = in_width + MULTIPLIER_WIDTH
        lut = in_width if bias_width else 0
        ff = out_width
        # Registers that follow the multiplier's memory become shift registers of look-up tables,
        # unless a DSP takes them, as Yosys lets DSP48E1 alone.
        if scaling == "lut":
            lut += MULTIPLIER_WIDTH + 6
            ff += in_width - 2 * MULTIPLIER_WIDTH
        elif scaling == "narrow":
            ff += 2 * product
        elif device.family != "xc7":
            lut += MULTIPLIER_WIDTH - 3 + (18 if in_width > NARROW else 0)
            ff += 2 * in_width - 2 * MULTIPLIER_WIDTH + 8
        if scaling == "wide" and in_width > NARROW:
            lut += 12  # bits that pass by the sum
        shift = self.uniform_shift
        if shift is None:
            scaled = out_width + 2
            lut += (10 if device.wide_tables else 13) * product // 2 + SHIFT_WIDTH
            ff += 2 * product + 2
        else:
            scaled = max(1, product - shift + 1)
        lut += 3 * scaled // 2 + (5 if device.wide_tables else 55)
        ff += scaled
        one = scaling_cost(scaling, in_width, device) + Resources(lut=lut, ff=ff)
        return one * lanes + Resources(ff=Requantizer.stages(shift, in_width=in_width,
                                                             scaling=scaling))


def scaled_foldings(spec, channels: int) -> Iterator:
    """Lanes of an operator that save a beat of a pixel, and multipliers by its scales of DSPs, or,
    where those are wide, of look-up tables too."""
    for lanes in fewest_for_each(channels):
        folded = dataclasses.replace(spec, lanes=lanes)
        yield folded
        if folded.scaling == "wide":
            yield dataclasses.replace(folded, scaling="lut")


def rounded(product: Value, shift: int) -> Value:
    """The hardware of :func:`round_shift`, for one shift of at least 1."""
    if len(product) <= shift:
        return Const(0, signed(1))  # at most a half, of which the tie is 0
    whole, half, rest = product[shift:].as_signed(), product[shift - 1], product[:shift - 1]
    # Where the adder's low bits decide a tie, a wide OR is smaller than carrying them through.
    return whole + (half & (rest.any() | whole[0]))


def clamped(scaled: Value, *, zero: int, low: int, high: int) -> Value:
    """:py:`min(max(scaled + zero, low), high)`; its low bits are all that is needed of it."""
    return Mux(scaled < low - zero, low, Mux(scaled > high - zero, high, scaled + zero))


class Requantizer(wiring.Component):
    """Several lanes of a :class:`Requantization`; a beat per cycle, :attr:`latency` cycles later.

    It never stops: nothing holds back what went in.

    Parameters
    ----------
    requantization : :class:`Requantization`
        Only its shift where it is uniform, its zero and its range are used: the rest arrives with
        the beats.
    in_width : :class:`int`
        Bits of a signed accumulator; its sum with the bias fits as well.
    bias_width : :class:`int`
        Bits of a signed bias; 0 where there is none.
    out_width : :class:`int`
        Bits of an activation.
    lanes : :class:`int`
        Values of a beat.
    scaling : :class:`str`
        What multiplies, as :func:`scaled_by` says.

    Members
    -------
    i_valid, x : :py:`In(1)`, :py:`In(lanes * in_width)`
        Accumulators, the first in the lowest bits.
    parameters : :py:`In(lanes * requantization.lane_width(bias_width))`
        Those of the beat, as :meth:`Requantization.words` gives them.
    o_valid, y : :py:`Out(1)`, :py:`Out(lanes * out_width)`
        Activations.
    """

    def __init__(self, requantization: Requantization, *, in_width: int, bias_width: int,
                 out_width: int, lanes: int, scaling: str = "wide"):
        if not 0 <= bias_width <= in_width:
            raise ValueError(f"Bias must have 0 to {in_width!r} bits, not {bias_width!r}")
        self._requantization = requantization
        self._in_width = in_width
        self._bias_width = bias_width
        self._out_width = out_width
        self._lanes = lanes
        self._scaling = scaling
        super().__init__({
            "i_valid": In(1),
            "x": In(lanes * in_width),
            "parameters": In(lanes * requantization.lane_width(bias_width)),
            "o_valid": Out(1),
            "y": Out(lanes * out_width),
        })

    @staticmethod
    def stages(uniform_shift: int | None, *, in_width: int, scaling: str = "wide") -> int:
        """Cycles from ``x`` to ``y``: bias, operands where they are DSPs', those of the product,
        two of a shifter where shifts vary, rounding, clamp."""
        return (1 + (scaling != "lut") + scaling_latency(scaling, in_width)
                + (0 if uniform_shift is not None else 2) + 2)

    @property
    def latency(self) -> int:
        """Cycles from ``x`` to ``y``."""
        return self.stages(self._requantization.uniform_shift, in_width=self._in_width,
                           scaling=self._scaling)

    def elaborate(self, platform):
        m = Module()
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(self.i_valid, valid))
        m.d.comb += self.o_valid.eq(valid[-1])

        entry = self._requantization.lane_width(self._bias_width)
        for lane in range(self._lanes):
            parameters = self.parameters.word_select(lane, entry)
            product = self._multiply(m, lane, parameters)
            scaled = self._scale(m, lane, product, parameters)
            y = Signal(self._out_width, name=f"y_{lane}", reset_less=True)
            m.d.sync += y.eq(clamped(scaled, zero=self._requantization.zero,
                                     low=self._requantization.low,
                                     high=self._requantization.high))
            m.d.comb += self.y.word_select(lane, self._out_width).eq(y)
        return m

    def _register(self, m, name, value, cycles=1):
        for cycle in range(cycles):
            register = Signal(value.shape(), reset_less=True,
                              name=name if cycles == 1 else f"{name}_{cycle}")
            m.d.sync += register.eq(value)
            value = register
        return value

    def _multiply(self, m, lane, parameters):
        x = self.x.word_select(lane, self._in_width).as_signed()
        if self._bias_width:
            x = (x + parameters[:self._bias_width].as_signed())[:self._in_width].as_signed()
        multiplier = parameters[self._bias_width:self._bias_width + MULTIPLIER_WIDTH]
        cycles = 1 if self._scaling == "lut" else 2
        a = self._register(m, f"a_{lane}", x, cycles)
        b = self._register(m, f"b_{lane}", multiplier, cycles)
        return scaled_by(m, f"product_{lane}", a, b, self._scaling)

    def _scale(self, m, lane, product, parameters):
        shift = self._requantization.uniform_shift
        if shift is not None:
            return self._register(m, f"scaled_{lane}", rounded(product, shift))
        less_one = self._register(m, f"shift_{lane}", parameters[-SHIFT_WIDTH:], self.latency - 4)
        lost = Const(0, 1)
        for half, bits in enumerate(((5, 4, 3), (2, 1, 0))):
            for bit in bits:
                by = min(1 << bit, len(product))
                shifted = Cat(product[by:], product[-1].replicate(by)).as_signed()
                lost = lost | (less_one[bit] & product[:by].any())
                product = Mux(less_one[bit], shifted, product)
            product = self._register(m, f"shifted_{lane}_{half}", product)
            lost = self._register(m, f"lost_{lane}_{half}", lost)
            less_one = self._register(m, f"shift_{lane}_{half}", less_one)
        whole = product[1:].as_signed()
        near, fits = self._saturated(whole)
        up = product[0] & (lost | whole[0]) & fits
        return self._register(m, f"scaled_{lane}", near + up)

    def _saturated(self, whole):
        """A value that the clamp takes for the whole, of few bits, and whether it is the whole."""
        spec = self._requantization
        size = max(abs(spec.low - spec.zero), abs(spec.high - spec.zero)).bit_length() + 1
        if len(whole) <= size:
            return whole, Const(1, 1)
        fits = (whole[size - 1:] == whole[-1].replicate(len(whole) - size + 1))
        near = Mux(fits, whole[:size - 1], (~whole[-1]).replicate(size - 1))
        return Cat(near, whole[-1]).as_signed(), fits
