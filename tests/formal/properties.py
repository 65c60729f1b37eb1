"""Harnesses: what may happen around a component, and what it must do."""

from amaranth import *
from amaranth.hdl import Assert
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fcnnx.hdl import streams
from fcnnx.hdl.memory import arbiter, reader, scheduler, spill
from fcnnx.hdl.memory.axi import Axi
from fcnnx.hdl.operator import FeatureMap
from fcnnx.hdl.operators import plumbing


__all__ = ["BufferHarness", "Harness", "QueueHarness", "SchedulerHarness", "SpillHarness",
           "TurnsHarness", "count"]


class Harness(wiring.Component):
    """A component, its surroundings, and a list of what must hold in every cycle.

    Parameters
    ----------
    inputs : name and width
        What anybody may do.
    aspect : :class:`str`
        What is asserted of it; all, unless told otherwise.
    """

    def __init__(self, inputs, aspect=""):
        self._aspect = aspect
        super().__init__({name: In(width) for name, width in inputs.items()} | {"clk": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.domains.sync = sync = ClockDomain(reset_less=True)
        m.d.comb += sync.clk.eq(self.clk)
        self.rules = {}
        self.build(m)
        holds = Signal()
        chosen = [rule for aspect, rules in self.rules.items() for rule in rules
                  if self._aspect in ("", aspect)]
        m.d.comb += holds.eq(Cat(chosen).all())
        m.d.comb += Assert(holds)
        return m

    def rule(self, aspect, holds):
        """What must hold in every cycle, as one aspect of the component."""
        self.rules.setdefault(aspect, []).append(holds)

    def implies(self, aspect, condition, conclusion):
        """A rule."""
        self.rule(aspect, ~condition | conclusion)

    def hold(self, m, aspect, valid, ready, *payload):
        """What is offered stays until it is taken."""
        kept, waits = Signal(len(Cat(payload))), Signal()
        m.d.sync += [waits.eq(valid & ~ready), kept.eq(Cat(payload))]
        self.implies(aspect, waits, valid & (Cat(payload) == kept))

    def silence(self, m, aspect, owes, speaks, most):
        """What is owed is offered within so many cycles."""
        silent = Signal(range(most + 2))
        m.d.sync += silent.eq(Mux(owes & ~speaks, silent + 1, 0))
        self.rule(aspect, silent <= most)


def count(m, up, down, most, name):
    """What came less what went; with bits for twice as many as there should be."""
    value = Signal(range(-most - 2, 2 * most + 3), name=name)
    m.d.sync += value.eq(value + up - down)
    return value


class Colours:
    """Two neighbouring ones among zeros: no beat can be lost, doubled or moved unseen."""

    def __init__(self, m, free, sent):
        self._m = m
        state = Signal(2)
        self.bit = Mux(state == 0, free, state == 1)
        with m.If(sent & ((state == 1) | ((state == 0) & free))):
            m.d.sync += state.eq(state + 1)

    def rule(self, taken, bit):
        """They come out as they went in."""
        state = Signal(2)
        with self._m.If(taken & ((state == 1) | ((state == 0) & bit))):
            self._m.d.sync += state.eq(state + 1)
        return ~taken | (state == 0) | (bit == (state == 1))


class QueueHarness(Harness):
    """An :class:`OutputQueue` behind a pipeline of so many stages."""

    def __init__(self, *, places: int, stages: int):
        self._places, self._stages = places, stages
        super().__init__({"wants": 1, "free": 1, "ready": 1})

    def build(self, m):
        m.submodules.dut = dut = streams.OutputQueue(1, places=self._places)
        issue = self.wants & dut.enough
        colours = Colours(m, self.free, issue)
        valid, bit = issue, colours.bit
        for _ in range(self._stages):
            next_valid, next_bit = Signal(), Signal()
            m.d.sync += [next_valid.eq(valid), next_bit.eq(bit)]
            valid, bit = next_valid, next_bit
        m.d.comb += [dut.need.eq(1), dut.reserve.eq(issue), dut.i_valid.eq(valid),
                     dut.i_payload.eq(bit), dut.o.ready.eq(self.ready)]
        self.check(m, issue, dut.o, colours, dut.enough, self._stages + dut.latency - 1,
                   dut.back - 1)

    def check(self, m, came, o, colours, enough, latency, back):
        taken = o.valid & o.ready
        waiting = count(m, came, taken, self._places, "waiting")
        self.hold(m, "beats", o.valid, o.ready, Value.cast(o.payload))
        self.rule("beats", colours.rule(taken, Value.cast(o.payload)))
        self.rule("places", (waiting >= 0) & (waiting <= self._places))
        self.implies("beats", o.valid, waiting != 0)
        self.silence(m, "beats", waiting != 0, o.valid, latency)
        self.silence(m, "places", waiting == 0, enough, back)


class BufferHarness(QueueHarness):
    """The :class:`QueueBuffer` of a network's plumbing."""

    def __init__(self, *, places: int):
        super().__init__(places=places, stages=0)

    def build(self, m):
        element = FeatureMap(rows=1, columns=1, channels=1, width=1, signed=False)
        m.submodules.dut = dut = plumbing.Queue(map=element, places=self._places).create()
        came = self.wants & dut.i.ready
        colours = Colours(m, self.free, came)
        m.d.comb += [dut.i.valid.eq(self.wants), Value.cast(dut.i.payload).eq(colours.bit),
                     dut.o.ready.eq(self.ready)]
        self.check(m, came, dut.o, colours, dut.i.ready, streams.OutputQueue.latency - 1,
                   streams.OutputQueue.back - 1)


class PolicyHarness(Harness):
    """Who waits goes on to wait until it is served."""

    def __init__(self, count: int):
        self._count = count
        super().__init__({"asks": count, "room": count})

    def surround(self, m, dut):
        waits, requests = Signal(self._count), Signal(self._count)
        m.d.comb += [requests.eq(waits | self.asks), dut.requests.eq(requests),
                     dut.room.eq(self.room)]
        m.d.sync += waits.eq(requests & ~dut.grant)
        self.rule("grants", (dut.grant & ~(requests & self.room)) == 0)
        self.rule("grants", (dut.grant & (dut.grant - 1)) == 0)
        return requests


class SchedulerHarness(PolicyHarness):
    """The scheduler: whoever asks is served within a period, but for waits for the memory."""

    def __init__(self, table):
        self._table = table
        super().__init__(max(table) + 1)

    def build(self, m):
        m.submodules.dut = dut = scheduler.Scheduler(self._count, self._table)
        requests = self.surround(m, dut)
        stands = (dut.select & requests & ~self.room).any()
        for k in range(self._count):
            passed = Signal(range(len(self._table) + 2), name=f"passed_{k}")
            with m.If(~requests[k] | dut.grant[k]):
                m.d.sync += passed.eq(0)
            with m.Elif(~stands):
                m.d.sync += passed.eq(passed + 1)
            self.rule("service", passed < len(self._table))


class TurnsHarness(PolicyHarness):
    """The arbiter: each other is served once at most before whoever asks; and somebody is."""

    def build(self, m):
        m.submodules.dut = dut = arbiter.RoundRobin(self._count)
        requests = self.surround(m, dut)
        self.implies("service", requests.any() & (requests & ~self.room == 0), dut.grant.any())
        for k in range(self._count):
            passed = Signal(range(self._count + 1), name=f"passed_{k}")
            with m.If(~requests[k] | dut.grant[k]):
                m.d.sync += passed.eq(0)
            with m.Elif(dut.grant.any()):
                m.d.sync += passed.eq(passed + 1)
            self.rule("service", passed < self._count)


class SpillHarness(Harness):
    """What is written and read again: no burst is asked for before the answer to its writing, and
    each one may be asked for as soon as that has come."""

    def __init__(self, *, bursts: int):
        self._bursts = bursts
        super().__init__({"answers": 1, "grants": 1, "commands": 1, "left": 2, "takes": 1})

    def build(self, m):
        axi = Axi(data_width=32, address_width=13, command_bits=2)
        m.submodules.dut = dut = spill.SpillCredit(self._bursts)
        m.submodules.reader = stream = reader.StreamReader(axi, burst=1, places=2, limited=True)
        asked = stream.request & self.grants
        there = Signal(range(-1, self._bursts + 2))
        written = self.answers & (there < self._bursts)
        m.d.sync += there.eq(there + written - asked)
        # Words come in the cycle after they were asked for.
        comes = Signal()
        m.d.sync += comes.eq(asked)
        m.d.comb += [
            dut.written.eq(written), dut.asked.eq(asked), stream.allowed.eq(dut.stored),
            stream.take.eq(asked), stream.i_valid.eq(comes), stream.o.ready.eq(self.takes),
            stream.command.valid.eq(self.commands & (self.left != 0)),
            stream.command.payload.bursts.eq(self.left),
        ]
        self.rule("credit", there >= 0)
        self.implies("credit", stream.request, there > 0)
        self.rule("credit", dut.stored == (there > 0))
