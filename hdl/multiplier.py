"""Multipliers: of DSP slices, and of look-up tables."""

import math

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .device import Device, Resources


__all__ = ["LATENCY", "SCALINGS", "LutProduct", "dsp_product", "lut_product", "scaled_by",
           "scaling_cost", "scaling_latency", "with_carry"]


LATENCY = 2  # cycles of a product of two bytes
SCALE = 24  # bits of a scale, without its sign
NARROW = 18  # bits of a DSP's narrower operand, or of both
SCALINGS = ("wide", "narrow", "lut")  # what multiplies by a scale


def with_carry(a: Value, b: Value, carry: Value) -> Value:
    """:py:`a + b + carry` as one adder: synthesis finds no carry input in a sum of three."""
    total = Cat(Const(1, 1), a).as_signed() + Cat(carry, b).as_signed()
    return total[1:].as_signed()


def dsp_product(m, name: str, a: Value, b: Value) -> Signal:
    """Product of two signed values, with the two registers that a DSP has behind its operands."""
    early = Signal(signed(len(a) + len(b)), name=f"{name}_early", reset_less=True)
    product = Signal.like(early, name=name, reset_less=True)
    m.d.sync += [early.eq(a * b), product.eq(early)]
    return product


def lut_product(m, name: str, a: Value, b: Value) -> Value:
    """Product of two signed bytes, made of look-up tables."""
    m.submodules[name] = unit = LutProduct()
    m.d.comb += [unit.a.eq(a), unit.b.eq(b)]
    return unit.p


class LutProduct(wiring.Component):
    """Multiplier of look-up tables: the module ``lut_product``, by Booth's recoding in radix 4
    (A. D. Booth, 1951; O. L. MacSorley, 1961). In Amaranth's simulator a product like any other.

    Members
    -------
    a, b : :py:`In(signed(8))`
    p : :py:`Out(signed(16))`
        Their product, :data:`LATENCY` cycles later.
    """

    def __init__(self) -> None:
        super().__init__({"a": In(signed(8)), "b": In(signed(8)), "p": Out(signed(16))})

    def elaborate(self, platform):
        if platform is not None:
            return Instance("lut_product", i_clk=ClockSignal(), i_a=self.a, i_b=self.b,
                            o_p=self.p)
        m = Module()
        m.d.comb += self.p.eq(dsp_product(m, "p", self.a, self.b))
        return m


def scaling_latency(kind: str, width: int) -> int:
    """Cycles of :func:`scaled_by` for a value of so many bits."""
    if kind == "lut":
        return math.ceil(width / 4) + 2
    return 3 if kind == "narrow" and width > NARROW else 2


def scaling_cost(kind: str, width: int, device: Device, scale: int = SCALE, *,
                 constant: bool = False) -> Resources:
    """What :func:`scaled_by` takes for a value of so many bits and a scale of so many, behind
    registers of operands that vary."""
    product = width + scale
    if kind == "lut":
        pairs = math.ceil(width / 2)
        rows = math.ceil(pairs / 2)
        later = max(0, rows - 3)  # bits in shift registers of look-up tables
        delayed = 0 if constant else scale * (rows - 1)
        return Resources(lut=(scale - 2 if constant else scale + 4) * pairs + product - 2 * rows
                         + 8 * later + 3,
                         ff=(scale + 3) * pairs + product + delayed - 9 * later + scale + 14)
    dsp = Resources(dsp=device.dsps(width, scale + 1))
    if kind == "narrow":
        if width <= NARROW and scale < NARROW:
            return dsp + Resources(ff=2 * product)
        if width <= NARROW:
            return dsp + Resources(lut=product - NARROW + 1, ff=2 * product + width)
        return dsp + Resources(lut=product + NARROW // 2, ff=4 * product + scale + 2)
    # Only in DSP48E1 does Yosys take the products' registers.
    registers = 0 if device.family == "xc7" else 2 * product
    if width <= NARROW:
        return dsp + Resources(ff=registers)
    return dsp + Resources(ff=registers + NARROW - 1)


def scaled_by(m, name: str, x: Value, scale: Value, kind: str) -> Value:
    """Product of a signed value and a scale of :data:`SCALE` bits, or one more with a sign,
    :func:`scaling_latency` cycles later. Between two registers is one multiplier, or one adder.

    Parameters
    ----------
    kind : :class:`str`
        Of :data:`SCALINGS`: ``"wide"``, of DSPs that take all of the scale; ``"narrow"``, of DSPs
        of 18 by 18 bits; ``"lut"``, of look-up tables.
    """
    return {"wide": _scaled_wide, "narrow": _scaled_narrow, "lut": _scaled_lut}[kind](
        m, name, x, scale)


def _held(m, name: str, value: Value) -> Signal:
    register = Signal(value.shape(), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _split(value: Value, low: int) -> tuple[Value, Value]:
    """So many low bits, and the rest, with the value's sign."""
    rest = value[low:]
    return value[:low], rest.as_signed() if value.shape().signed else rest


def _scaled_wide(m, name, x, scale):
    if len(x) <= NARROW:
        return _held(m, name, _held(m, f"{name}_early", x * scale))
    # One DSP adds what the other has, of the part that fits.
    below, above = _split(x, NARROW - 1)
    low = _held(m, f"{name}_low", below * scale)
    high = _held(m, f"{name}_high", above * scale)
    kept, carried = _split(low, NARROW - 1)
    return _held(m, name, Cat(kept, high + carried).as_signed())


def _scaled_narrow(m, name, x, scale):
    if len(scale) < NARROW:
        scale = Cat(scale, Const(0, NARROW - len(scale)))
    low_scale, high_scale = _split(scale, NARROW - 1)
    if len(x) <= NARROW:
        low = _held(m, f"{name}_low", x * low_scale)
        high = _held(m, f"{name}_high", x * high_scale)
        kept, carried = _split(low, NARROW - 1)
        return _held(m, name, Cat(kept, high + carried).as_signed())
    below, above = _split(x, NARROW - 1)
    parts = {(row, column): _held(m, f"{name}_{row}_{column}", one * other)
             for row, one in enumerate((below, above))
             for column, other in enumerate((low_scale, high_scale))}
    middle = _held(m, f"{name}_middle", parts[0, 1] + parts[1, 0])
    # The outer products meet in no bit.
    outer = Cat(parts[0, 0][:2 * (NARROW - 1)], parts[1, 1]).as_signed()
    kept, carried = _split(_held(m, f"{name}_outer", outer), NARROW - 1)
    return _held(m, name, Cat(kept, carried + middle).as_signed())


def _scaled_lut(m, name, x, scale):
    """By Booth's recoding in radix 4 of the value: each pair of its bits adds -2, -1, 0, 1 or 2
    times the scale. Two chains of adders share them; a bit of the multiple depends on five
    inputs, so that a table of six chooses it and adds it to what is there."""
    pairs = max(2, math.ceil(len(x) / 2))
    rows = math.ceil(pairs / 2)
    digits = [Cat(Const(0, 1), x, x[-1].replicate(2 * pairs - len(x)))]
    scales = [scale]
    for row in range(1, rows):
        digits.append(_held(m, f"{name}_digits_{row}", digits[-1]))
        constant = isinstance(scale, Const)
        scales.append(scale if constant else _held(m, f"{name}_scale_{row}", scales[-1]))
    low = _chain(m, f"{name}_low", digits, scales, range(rows))
    high = _chain(m, f"{name}_high", digits, scales, range(rows, pairs))
    kept, carried = _split(low, 2 * rows)
    # In two halves, a cycle each: the carries of all of it are the longest path of a stage.
    half = (len(x) + len(scale) - 2 * rows) // 2
    carried = Cat(carried, carried[-1].replicate(max(0, half + 1 - len(carried))))
    first = _held(m, f"{name}_first", Cat(kept, carried[:half] + high[:half]))
    second = with_carry(_held(m, f"{name}_carried", carried[half:]).as_signed(),
                        _held(m, f"{name}_high", high[half:]).as_signed(), first[-1])
    return _held(m, name, Cat(first[:-1], second)[:len(x) + len(scale)].as_signed())


def _chain(m, name, digits, scales, pairs):
    """The sum of the multiples that a few pairs of bits choose; the last is added last."""
    kept = []
    total = None
    for pair, row in zip(pairs, range(len(digits) - len(pairs), len(digits)), strict=True):
        digit, scale = digits[row][2 * pair:2 * pair + 3], scales[row]
        size = len(scale) + 3
        negative = digit[2] & ~(digit[1] & digit[0])
        double = (digit == 0b011) | (digit == 0b100)
        once = Mux(digit[0] ^ digit[1], scale, 0)
        multiple = (Mux(double, scale << 1, once) ^ negative.replicate(size))[:size].as_signed()
        rest = Const(0, signed(1))
        if total is not None:
            kept = [_held(m, f"{name}_{row}_{k}", bits)
                    for k, bits in enumerate([*kept, total[:2]])]
            rest = total[2:].as_signed()
        total = _held(m, f"{name}_{row}", with_carry(rest, multiple, negative)[:size].as_signed())
    return Cat(*kept, total).as_signed()
