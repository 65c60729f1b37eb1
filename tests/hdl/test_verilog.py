"""Emission: names, modules that are emitted once, and the files that they read."""

import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from fcnnx.hdl import verilog
from fcnnx.hdl.memories import DualPortMemory
from fcnnx.hdl.verilog import EmissionError, Once, emit, identifier, unique_identifiers


class Invert(wiring.Component):
    """Combinational."""

    i: In(4)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.o.eq(~self.i)
        return m


class Offset(wiring.Component):
    """Adds a constant, in a submodule that is its own, a cycle later."""

    def __init__(self, amount):
        self._amount = amount
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Module()
        total = Signal(4)
        inner.d.sync += total.eq(self.i + self._amount)
        m.d.comb += self.o.eq(total)
        return m


class Reader(wiring.Component):
    """A memory inside a submodule that is its own."""

    i: In(2)
    o: Out(4)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = Module()
        inner.submodules.memory = memory = DualPortMemory(width=4, depth=4, words=[3, 1, 4, 1],
                                                  file="_words.mem")
        m.d.comb += [memory.r_addr.eq(self.i), self.o.eq(memory.r_data)]
        return m


class Chain(wiring.Component):
    """Components with :py:`i` and :py:`o` of four bits, one behind the other."""

    i: In(4)
    o: Out(4)

    def __init__(self, *parts):
        self._parts = parts
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for k, part in enumerate(self._parts):
            m.submodules[f"part_{k}"] = part
            m.d.comb += part.i.eq(value)
            value = part.o
        m.d.comb += self.o.eq(value)
        return m


@pytest.mark.parametrize(("text", "name"), [
    ("conv1", "conv1"),
    ("model/conv 1:0", "model_conv_1_0"),
    ("__a__b__", "a_b"),
    ("1x1", "n1x1"),
    ("größe;\n", "gr_e"),
    ("/;/", "n"),
    ("", "n"),
])
def test_identifier(text, name):
    assert identifier(text) == name


def test_long_identifiers_are_cut_and_stay_different():
    a, b = identifier("x" * 500 + "a"), identifier("x" * 500 + "b")
    assert a != b
    assert len(a) == len(b) == 60
    assert a == identifier("x" * 500 + "a")


def test_unique_identifiers():
    assert unique_identifiers(["a/b", "a_b", "c", "a:b"]) == ["a_b", "a_b_2", "c", "a_b_3"]


def test_modules_are_emitted_once():
    parts = [Once(Offset(1), key=1, name="offset_part"), Once(Offset(1), key=1, name="offset_part"),
             Once(Offset(2), key=2, name="offset_part"),
             Once(Offset(1), key="the same", name="offset_part")]
    texts = emit(Chain(*parts), name="top_chain")
    assert list(texts) == ["offset_part", "offset_part_2", "top_chain"]
    assert [texts["top_chain"].count(f" {name} ") for name in ("offset_part", "offset_part_2")] \
        == [3, 1]
    assert "module offset_part_inner(" in texts["offset_part"]
    assert "module offset_part_2_inner(" in texts["offset_part_2"]


@pytest.mark.parametrize(("count", "apart"), [(3, False), (4, True)])
def test_modules_of_many_instances_are_compiled_once(count, apart):
    parts = [Once(Offset(1), key=1, name="offset_part") for _ in range(count)]
    texts = emit(Chain(*parts), name="top_chain")
    assert ["no_inline_module" in text for text in texts.values()] == [apart, False]


def test_combinational_module_has_no_clock():
    texts = emit(Chain(Once(Invert(), key=0, name="invert_part")), name="top_chain")
    assert "clk" not in texts["invert_part"]
    assert "clk" not in texts["top_chain"]


def test_nested_modules_pass_their_files_on():
    def pair(key):
        inner = [Once(Reader(), key="reader", name="reader_part", file=f"_{k}") for k in range(2)]
        return Once(ReaderPair(inner), key=key, name="reader_pair", file=f"_{key}")

    texts = emit(ReaderPair([pair("a"), pair("b")]), name="top_readers", file="net")
    assert list(texts) == ["reader_part", "reader_pair", "top_readers"]
    assert '{FILE, "_words.mem"}' in texts["reader_part"]
    assert "module reader_part_inner#(parameter FILE" in texts["reader_part"]
    assert '{FILE, "_0"}' in texts["reader_pair"]
    assert '{FILE, "_1"}' in texts["reader_pair"]
    assert '"net_a"' in texts["top_readers"]
    assert '"net_b"' in texts["top_readers"]
    assert "parameter" not in texts["top_readers"]
    assert not any("@FILE@" in text for text in texts.values())


class ReaderPair(wiring.Component):
    """Two parts that read the same address."""

    i: In(2)
    o: Out(4)

    def __init__(self, parts):
        self._parts = parts
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        for k, part in enumerate(self._parts):
            m.submodules[f"part_{k}"] = part
            m.d.comb += part.i.eq(self.i)
        m.d.comb += self.o.eq(self._parts[0].o ^ self._parts[1].o)
        return m


def test_elements_of_arrays_have_no_names_of_their_own():
    from amaranth.lib import data

    class Swap(wiring.Component):
        i: In(data.ArrayLayout(signed(4), 2))
        o: Out(data.ArrayLayout(signed(4), 2))

        def elaborate(self, platform):
            m = Module()
            m.d.comb += [self.o[0].eq(self.i[1]), self.o[1].eq(self.i[0])]
            return m

    (text,) = emit(Swap(), name="swap_part").values()
    assert "\\" not in text


def test_same_design_same_bytes():
    def design():
        return emit(Chain(Once(Offset(3), key=0, name="offset_part"), Offset(2)), name="top_chain")

    assert design() == design()


def test_in_a_simulation_it_is_what_it_holds():
    dut = Chain(Once(Offset(1), key=0, name="offset_part"), Once(Offset(2), key=1, name="x_part"))
    seen = []

    async def bench(ctx):
        ctx.set(dut.i, 5)
        await ctx.tick().repeat(2)
        seen.append(ctx.get(dut.o))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == [8]


def test_what_yosys_refuses(monkeypatch):
    monkeypatch.setattr(verilog, "SCRIPT", "read_rtlil modules.il\nno_such_pass\n")
    with pytest.raises(EmissionError, match=r"^Yosys failed: ERROR: No such command: no_such_pass"):
        emit(Invert(), name="invert_part")
