"""Harnesses of stripes: a stream and its ports, whatever their ends do."""

from amaranth import *
from properties import Harness

from fcnnx.hdl.memory import stripes


__all__ = ["MergeHarness", "SplitHarness"]


class StripeHarness(Harness):
    """Each side counts its own transfers: a word's number at its port says where it is in its
    frame, and there it is in the stream, too.

    Parameters
    ----------
    burst, words, stripes : :class:`int`
        As in :class:`StripeMerge`.
    """

    WIDTH = 2

    def __init__(self, *, burst, words, stripes):
        self._burst, self._words, self._stripes = burst, words, stripes
        super().__init__({"wants": stripes, "noise": stripes * self.WIDTH, "takes": stripes})

    def offer(self, m, port, number):
        """A word is offered until it is taken."""
        waits, kept = Signal(name=f"waits_{number}"), Signal(self.WIDTH, name=f"kept_{number}")
        m.d.comb += [port.valid.eq(waits | self.wants[number]), port.payload.eq(
            Mux(waits, kept, self.noise.word_select(number, self.WIDTH)))]
        m.d.sync += [waits.eq(port.valid & ~port.ready), kept.eq(port.payload)]

    def check(self, m, whole, ports):
        """The rules of all words; of what is offered, whichever side offers it."""
        here = self._place(m, whole.valid & whole.ready, 0, whole=True)
        passed = C(0)
        for number, port in enumerate(ports):
            passes = port.valid & port.ready
            place = self._place(m, passes, number)
            self.implies("words", passes, (place == here) & (port.payload == whole.payload))
            # Nothing but the other end makes a word wait.
            self.implies("waits", place == here, port.valid == whole.valid)
            self.implies("waits", place == here, port.ready == whole.ready)
            passed += passes
        self.rule("words", passed == (whole.valid & whole.ready))
        self.rule("words", here[:-1] < self._words)

    def _place(self, m, passes, number, *, whole=False):
        """The place in the frame of a side's next word, and whether the frame is an odd one."""
        name = "whole" if whole else str(number)
        first, burst = number * self._burst, self._burst
        place = Signal(range(self._words), init=first, name=f"place_{name}")
        odd = Signal(name=f"odd_{name}")
        jump = 1 if whole else (self._stripes - 1) * burst + 1
        following = place + Mux(place % burst == burst - 1, jump, 1)
        with m.If(passes):
            m.d.sync += place.eq(following)
            with m.If(following >= self._words):
                m.d.sync += [place.eq(first), odd.eq(~odd)]
        return Cat(place, odd)


class MergeHarness(StripeHarness):
    """What each port has read, as one stream."""

    def build(self, m):
        m.submodules.dut = merge = stripes.StripeMerge(
            self.WIDTH, burst=self._burst, words=self._words, stripes=self._stripes)
        ports = [getattr(merge, f"i_{k}") for k in range(self._stripes)]
        for number, port in enumerate(ports):
            self.offer(m, port, number)
        m.d.comb += merge.o.ready.eq(self.takes[0])
        self.check(m, merge.o, ports)
        self.hold(m, "held", merge.o.valid, merge.o.ready, merge.o.payload)


class SplitHarness(StripeHarness):
    """One stream, as what each port is to write."""

    def build(self, m):
        m.submodules.dut = split = stripes.StripeSplit(
            self.WIDTH, burst=self._burst, words=self._words, stripes=self._stripes)
        ports = [getattr(split, f"o_{k}") for k in range(self._stripes)]
        self.offer(m, split.i, 0)
        m.d.comb += [port.ready.eq(self.takes[k]) for k, port in enumerate(ports)]
        self.check(m, split.i, ports)
        for port in ports:
            self.hold(m, "held", port.valid, port.ready, port.payload)
