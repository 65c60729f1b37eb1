"""Multipliers: of DSP slices, and of look-up tables."""

from amaranth import *


__all__ = ["LATENCY", "dsp_product", "lut_product", "with_carry"]


LATENCY = 2  # cycles of every product here


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


def lut_product(m, name: str, a: Value, b: Value) -> Signal:
    """Product of two signed values of 8 bits, made of look-up tables.

    Booth's recoding in radix 4: each pair of bits of ``b`` adds -2, -1, 0, 1 or 2 times ``a``. The
    multiple needs five inputs for each bit, so that a six-input table chooses it and adds it to
    what is there. (A. D. Booth, 1951; O. L. MacSorley, 1961.)
    """
    digits = [Cat(b[k - 1] if k else Const(0), b[k:k + 2]) for k in range(0, 8, 2)]
    halves = []
    for half in range(2):
        low, low_carry = _multiple(a, digits[2 * half])
        high, high_carry = _multiple(a, digits[2 * half + 1])
        # The lower multiple's carry has a place of its own: the two bits that the upper one skips.
        upper = with_carry(low[2:].as_signed(), high, high_carry)
        total = Signal(signed(12), name=f"{name}_half_{half}", reset_less=True)
        carry = Signal(name=f"{name}_carry_{half}", reset_less=True)
        m.d.sync += [total.eq(Cat(low[:2], upper)), carry.eq(low_carry)]
        halves.append((total, carry))
    (lower, lower_carry), (upper, upper_carry) = halves
    product = Signal(signed(16), name=name, reset_less=True)
    m.d.sync += product.eq(lower + (upper << 4) + lower_carry + (upper_carry << 4))
    return product


def _multiple(a: Value, digit: Value) -> tuple[Value, Value]:
    """A Booth digit times a value, less 1 where the second result says so."""
    once, twice = digit[0] ^ digit[1], (digit == 0b100) | (digit == 0b011)
    wide = Cat(a, a[-1])
    doubled = Cat(Const(0, 1), a)
    chosen = Mux(twice, doubled, Mux(once, wide, 0))
    negative = digit[2] & ~(digit[0] & digit[1])
    return (chosen ^ negative.replicate(9)).as_signed(), negative
