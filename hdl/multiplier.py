"""Multipliers: of DSP slices, and of look-up tables."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


__all__ = ["LATENCY", "LutProduct", "dsp_product", "lut_product", "with_carry"]


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
