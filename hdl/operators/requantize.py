"""Requantisation: accumulator words to narrower activation words."""

import dataclasses

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import Constants, FeatureMap


__all__ = ["MULTIPLIER_WIDTH", "Requantization", "Requantizer", "check_range", "clamped",
           "round_shift", "rounded"]


MULTIPLIER_WIDTH = 24  # with a sign bit, the wider operand of a DSP48
SUM_WIDTH = 18  # the narrower one
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
             device: Device) -> Resources:
        """What a :class:`Requantizer` of these parameters takes."""
        product = in_width + MULTIPLIER_WIDTH
        lut = in_width if bias_width else 0
        ff = out_width
        if device.family != "xc7":
            # Only in DSP48E1 does Yosys take operands' and products' registers. Those that follow
            # the multiplier's memory become shift registers of look-up tables.
            lut += MULTIPLIER_WIDTH - 3 + (18 if in_width > SUM_WIDTH else 0)
            ff += 4 * product - 4 * MULTIPLIER_WIDTH + 8
        if in_width > SUM_WIDTH:  # two products' sum, and the bits that pass it by
            lut += 12
            ff += SUM_WIDTH - 1
        shift = self.uniform_shift
        if shift is None:
            scaled = product
            lut += 4 * product + SHIFT_WIDTH
            ff += 2 * product + 2
        else:
            scaled = max(1, product - shift + 1)
        lut += 3 * scaled // 2 + 5
        ff += scaled
        one = Resources(dsp=device.dsps(in_width, MULTIPLIER_WIDTH + 1), lut=lut, ff=ff)
        return one * lanes + Resources(ff=Requantizer.stages(shift))


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
                 out_width: int, lanes: int):
        if not 0 <= bias_width <= in_width:
            raise ValueError(f"Bias must have 0 to {in_width!r} bits, not {bias_width!r}")
        self._requantization = requantization
        self._in_width = in_width
        self._bias_width = bias_width
        self._out_width = out_width
        self._lanes = lanes
        super().__init__({
            "i_valid": In(1),
            "x": In(lanes * in_width),
            "parameters": In(lanes * requantization.lane_width(bias_width)),
            "o_valid": Out(1),
            "y": Out(lanes * out_width),
        })

    @staticmethod
    def stages(uniform_shift: int | None) -> int:
        """Cycles from ``x`` to ``y``: bias, operands, two of the product, those of a shifter where
        shifts vary, rounding, clamp."""
        return 6 if uniform_shift is not None else 8

    @property
    def latency(self) -> int:
        """Cycles from ``x`` to ``y``."""
        return self.stages(self._requantization.uniform_shift)

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
        """Four stages: bias, operands, and two that a DSP holds behind its multiplier."""
        x = self.x.word_select(lane, self._in_width).as_signed()
        if self._bias_width:
            x = (x + parameters[:self._bias_width].as_signed())[:self._in_width].as_signed()
        multiplier = parameters[self._bias_width:self._bias_width + MULTIPLIER_WIDTH]
        a = self._register(m, f"a_{lane}", x, 2)
        b = self._register(m, f"b_{lane}", multiplier, 2)
        if len(a) <= SUM_WIDTH:
            return self._register(m, f"product_{lane}", a * b, 2)
        # A product of two DSPs' products, each of a part that fits.
        below = SUM_WIDTH - 1
        low = self._register(m, f"low_{lane}", a[:below] * b)
        high = self._register(m, f"high_{lane}", a[below:].as_signed() * b)
        rest = high + low[below:]
        return self._register(m, f"product_{lane}", Cat(low[:below], rest).as_signed())

    def _scale(self, m, lane, product, parameters):
        shift = self._requantization.uniform_shift
        if shift is not None:
            return self._register(m, f"scaled_{lane}", rounded(product, shift))
        less_one = self._register(m, f"shift_{lane}", parameters[-SHIFT_WIDTH:], 4)
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
        return self._register(m, f"scaled_{lane}", whole + (product[0] & (lost | whole[0])))
