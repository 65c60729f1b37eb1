"""The register file: an AXI4-Lite slave made from a description."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from .description import Field, Register, RegisterMap


__all__ = ["OKAY", "SLVERR", "RegisterFile", "axi_lite"]


# Responses of AXI.
OKAY, SLVERR = 0b00, 0b10

# Address bits of the words of which one is chosen in a cycle: four look-up tables a bit.
_PAGE = 4


def axi_lite(address_width: int) -> wiring.Signature:
    """AXI4-Lite with 32 bits of data, as the master has it."""
    return wiring.Signature({
        "awaddr": Out(address_width), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
        "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
        "bresp": In(2), "bvalid": In(1), "bready": Out(1),
        "araddr": Out(address_width), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
        "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
    })


def _ports(register: Register, field: Field) -> dict[str, wiring.Member]:
    """What a field has in the hardware."""
    name = register.port(field)
    held = {name: Out(field.width)}
    members = {
        "constant": {},
        "ro": {name: In(field.width)},
        "rw": held,
        "w1c": held | {f"{name}_set": In(field.width)},
        "pulse": held,
        "counter": held | {f"{name}_step": In(field.step)},
    }[field.access]
    return members | ({f"{name}_clear": In(1)} if field.cleared else {})


class RegisterFile(wiring.Component):
    """Hardware of a :class:`RegisterMap`: an AXI4-Lite slave of 32 bits.

    Write address and data may come in any order; strobes count by the byte. What has no register,
    and a write to one in which nothing can be written, is answered with SLVERR and does nothing
    else. A read is answered three cycles after its address at the earliest, a write two cycles
    after the later of address and data; nothing leads from an input of the bus to an output within
    a cycle. What the hardware sets in the cycle in which it is cleared stays set.

    Parameters
    ----------
    spec : :class:`RegisterMap`

    Members
    -------
    bus : :py:`In(axi_lite(spec.address_width))`
    irq : :py:`Out(1)`
        With an interrupt: whether anything is set that is enabled.
    REGISTER_FIELD, or REGISTER for a field without a name
        :py:`In` if read only, else :py:`Out`; a pulse is up for one cycle.
    ..._set : :py:`In`
        Of ``"w1c"``: the bits that are to be set.
    ..._step : :py:`In`
        Of a counter: what it adds in this cycle.
    ..._clear : :py:`In(1)`
        Of what is cleared: back to the reset value; a counter adds its step to that.
    """

    def __init__(self, spec: RegisterMap):
        self._spec = spec
        members = {"bus": In(axi_lite(spec.address_width))}
        if spec.interrupt:
            members["irq"] = Out(1)
        for register, field in spec.fields:
            members |= _ports(register, field)
        super().__init__(members)

    @property
    def spec(self) -> RegisterMap:
        """What it was made of."""
        return self._spec

    @staticmethod
    def cost(spec: RegisterMap, device: Device) -> Resources:
        """What the register file of a description takes."""
        read = sum(field.width for _, field in spec.fields
                   if field.access not in ("constant", "pulse"))
        held = sum(field.width for _, field in spec.fields
                   if field.access not in ("constant", "ro"))
        latched = sum(32 * (register.words - 1) for register in spec.registers if register.latched)
        pages = len({address >> _PAGE for address in _words(spec)})
        return Resources(lut=11 * read // 10, ff=held + latched + 32 * pages + 53)

    def elaborate(self, platform):
        m = Module()
        width = self._spec.address_width - 2
        write, word, data, strobe = self._take_write(m, width)
        for register, field in self._spec.fields:
            self._update(m, register, field, [
                (write & (word == register.address // 4 + k), data, strobe)
                for k in range(register.words)])
        self._answer_read(m, width)
        if self._spec.interrupt:
            status, enable = (Cat(getattr(self, self._spec.find(name).port(field))
                                  for field in self._spec.find(name).fields)
                              for name in self._spec.interrupt)
            m.d.sync += self.irq.eq((status & enable).any())
        return m

    def _take_write(self, m, width):
        """Gather address and data, and answer; gives the cycle in which to write, and what."""
        bus = self.bus
        address_taken, data_taken = Signal(), Signal()
        word, data, strobe = Signal(width), Signal(32), Signal(4)
        write, writable = Signal(), Signal()
        m.d.comb += [bus.awready.eq(~address_taken), bus.wready.eq(~data_taken),
                     write.eq(address_taken & data_taken & ~bus.bvalid)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address_taken.eq(1), word.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [data_taken.eq(1), data.eq(bus.wdata), strobe.eq(bus.wstrb)]
        written = [address for address, (register, _) in _words(self._spec).items()
                   if register.writable]
        with m.Switch(word), m.Case(*written):
            m.d.comb += writable.eq(1)
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(write):
            m.d.sync += [address_taken.eq(0), data_taken.eq(0), bus.bvalid.eq(1),
                         bus.bresp.eq(Mux(writable, OKAY, SLVERR))]
        return write, word, data, strobe

    def _update(self, m, register, field, writes):
        """What a field holds next, given for each word of its register whether it is written."""
        if field.access in ("constant", "ro"):
            return
        name = register.port(field)
        value = Signal(field.width, name=f"{name}_value", init=field.reset)
        m.d.comb += getattr(self, name).eq(value)
        clear = getattr(self, f"{name}_clear") if field.cleared else C(0, 1)
        if field.access == "counter":
            step = getattr(self, f"{name}_step")
            m.d.sync += value.eq(Mux(clear, field.reset, value) + step)
            return
        enabled = Cat(strobe[byte].replicate(8) & hit.replicate(8)
                      for hit, _, strobe in writes for byte in range(4))[field.low:field.end]
        given = Cat(data for _, data, _ in writes)[field.low:field.end]
        if field.access == "pulse":
            m.d.sync += value.eq(given & enabled)
            return
        kept = Mux(clear, field.reset, value)
        if field.access == "w1c":
            m.d.sync += value.eq(kept & ~(given & enabled) | getattr(self, f"{name}_set"))
        else:
            m.d.sync += value.eq(kept & ~enabled | given & enabled)

    def _answer_read(self, m, width):
        """Address, words of each page, page, answer: a cycle each."""
        bus = self.bus
        word, known, latch = Signal(width), Signal(), Signal()
        values = self._values(m, word, latch)
        pages = {}
        for page in sorted({address >> _PAGE for address in values}):
            pages[page] = chosen = Signal(32, name=f"page_{page}", reset_less=True)
            m.d.sync += chosen.eq(_choose(values, word, min(_PAGE, width), page << _PAGE))
        with m.Switch(word), m.Case(*values):
            m.d.comb += known.eq(1)
        with m.FSM(name="read"):
            with m.State("WAIT"):
                m.d.comb += bus.arready.eq(1)
                m.d.sync += word.eq(bus.araddr[2:])
                with m.If(bus.arvalid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += latch.eq(1)
                m.next = "CHOOSE"
            with m.State("CHOOSE"):
                found = _choose(pages, word[_PAGE:], max(0, width - _PAGE), 0)
                m.d.sync += [bus.rdata.eq(Mux(known, found, 0)),
                             bus.rresp.eq(Mux(known, OKAY, SLVERR)), bus.rvalid.eq(1)]
                m.next = "ANSWER"
            with m.State("ANSWER"), m.If(bus.rready):
                m.d.sync += bus.rvalid.eq(0)
                m.next = "WAIT"

    def _values(self, m, word, latch):
        """What each word reads, by its number."""
        values = {}
        for register in self._spec.registers:
            bits = 0
            for field in register.fields:
                if field.access != "pulse":
                    held = (field.reset if field.access == "constant"
                            else getattr(self, register.port(field)))
                    bits = bits | (Value.cast(held) << field.low)
            whole = Value.cast(bits) | C(0, 32 * register.words)
            first = register.address // 4
            for k in range(register.words):
                values[first + k] = part = whole[32 * k:32 * k + 32]
                if k and register.latched:
                    values[first + k] = kept = Signal(32, name=f"{register.name}_{k}",
                                                      reset_less=True)
                    with m.If(latch & (word == first)):
                        m.d.sync += kept.eq(part)
        return values


def _words(spec: RegisterMap) -> dict[int, tuple[Register, int]]:
    """The registers by the number of each of their words, and which it is."""
    return {register.address // 4 + k: (register, k) for register in spec.registers
            for k in range(register.words)}


def _choose(values, index, bits, first):
    """The value whose number is ``first`` and the index's lowest bits; 0 where there is none."""
    if not bits:
        return values.get(first, C(0, 32))
    low, high = (_choose(values, index, bits - 1, first + (half << bits - 1)) for half in (0, 1))
    if low is high:
        return low
    return Mux(index[bits - 1], high, low)
