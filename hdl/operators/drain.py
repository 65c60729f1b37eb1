"""From sums to a stream: hold them, requantise a few at a time, queue."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..operator import Constants, Output, StreamShape
from ..streams import OutputQueue
from .requantize import Requantization, Requantizer
from .window import stepwise
from .window_reader import WindowReader


__all__ = ["Drain", "Drainer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drain:
    """How the sums of a pixel, so many in a pass, become beats.

    Parameters
    ----------
    output : :class:`StreamShape`
        Its lanes are the requantizers.
    rows : :class:`int`
        Sums of a pass; in a pixel's last pass, those beyond the channels are nothing.
    acc_width : :class:`int`
        Bits of a sum, and of a sum with its bias.
    requantization : :class:`Requantization`
    bias : :class:`Constants`, shape (channels,)
    steps : :class:`int`
        Cycles in which a pass reads its window.
    latency : :class:`int`
        Cycles from a window to the sums that it ends.
    kinds : :class:`Constants`, shape (rows, columns), or None
        Which of the multipliers each pixel has, where it is not the channel that says.
    scaling : :class:`str`
        What multiplies by the scales, as :class:`Requantizer` says.
    """

    output: StreamShape
    rows: int
    acc_width: int
    requantization: Requantization
    bias: Constants
    steps: int
    latency: int
    kinds: Constants | None = None
    scaling: str = "wide"

    @property
    def passes(self) -> int:
        """Groups of rows, one after the other, of a pixel."""
        return math.ceil(self.output.map.channels / self.rows)

    @property
    def most(self) -> int:
        """Beats of a pass."""
        return math.ceil(min(self.rows, self.output.map.channels) / self.output.lanes)

    @property
    def fewest(self) -> int:
        """Beats of a pixel's last pass."""
        rest = self.output.map.channels - (self.passes - 1) * self.rows
        return math.ceil(rest / self.output.lanes)

    @property
    def cycles(self) -> int:
        """Cycles from a pass to the next."""
        return max(self.steps, self.most)

    @property
    def depth(self) -> int:
        """Cycles from a pass's issue to the offer of its first beat."""
        return (self.steps - 1 + WindowReader.latency + self.latency + (self.most > 1)
                + Requantizer.stages(self.requantization.uniform_shift, in_width=self.acc_width,
                                     scaling=self.scaling) + OutputQueue.latency)

    @property
    def places(self) -> int:
        """Places of the output queue with which passes never wait for it."""
        held = self.depth + self.most + OutputQueue.back
        return max(self.most * (math.ceil(held / self.cycles) + 1), self.most + 1)

    def timing(self, pixels: int) -> tuple[Output, np.ndarray]:
        """The output, and the cycles of each issue, where an issue is a pass."""
        beats = np.full((pixels, self.passes), self.most)
        beats[:, -1] = self.fewest
        output = Output(makes=beats.ravel().cumsum(), depth=self.depth, places=self.places,
                        back=OutputQueue.back)
        return output, np.full(pixels * self.passes, self.cycles)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Bias, multiplier and shift of each beat's lanes; those of each kind in turn."""
        lanes = self.output.lanes
        parameters = [self.requantization]
        if self.kinds is not None:
            parameters = [dataclasses.replace(self.requantization, multiplier=Constants([each]))
                          for each in self.requantization.multiplier.values]
        words = [word for each in parameters for word in each.words(
            self.bias.values, lanes=lanes, bias_width=self.acc_width)]
        return {"_scales.mem": (lanes * self.requantization.lane_width(self.acc_width), words)}

    def resources(self, device: Device) -> Resources:
        """What it takes, its queue included."""
        lanes, width = self.output.lanes, self.output.map.width
        requantizer = self.requantization.cost(in_width=self.acc_width, bias_width=self.acc_width,
                                               out_width=width, lanes=lanes, device=device,
                                               scaling=self.scaling)
        scales = LoadedMemory.cost(
            width=lanes * self.requantization.lane_width(self.acc_width),
            depth=self.output.groups * (1 if self.kinds is None
                                        else self.requantization.multiplier.shape[0]),
            device=device)
        queue = OutputQueue.cost(width=lanes * width, places=self.places, device=device)
        hold = Resources()
        if self.most > 1:
            bits = lanes * self.acc_width
            # A table of six chooses from four; more of them, and what joins them.
            choice = (3 * self.most * bits // 4 if not device.wide_tables
                      else bits if self.most <= 4 else 2 * self.most * bits // 5)
            hold = Resources(lut=choice, ff=self.most * bits + 3 + self.passes.bit_length() // 2)
        count = self.output.groups.bit_length()
        return requantizer + scales + queue + hold + Resources(lut=4, ff=count + 2)

    def create(self) -> "Drainer":
        return Drainer(self)


class Drainer(wiring.Component):
    """Hardware of :class:`Drain`.

    Members
    -------
    issue, last_pass : :py:`In(1)`
        A pass is issued; the one to issue is a pixel's last.
    enough : :py:`Out(1)`
        Whether a pass may be issued.
    ahead : :py:`In(1)`
        Two cycles before a pass's sums.
    sums : :py:`In(rows * acc_width)`
        The sums, the first channel's in the lowest bits; there for one cycle at least.
    o : :py:`Out(stream.Signature(...))`
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain of biases and scales.
    """

    def __init__(self, spec: Drain):
        self._spec = spec
        super().__init__({
            "issue": In(1), "last_pass": In(1), "enough": Out(1), "ahead": In(1),
            "sums": In(spec.rows * spec.acc_width), "o": Out(spec.output.signature),
            "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        lanes, groups = spec.output.lanes, spec.output.groups
        ((file, (width, words)),) = spec.contents().items()
        m.submodules.scales = scales = LoadedMemory(width=width, depth=len(words), words=words,
                                                    file=file)
        chain_loads(m, self, scales)
        m.submodules.requantizer = requantizer = Requantizer(
            spec.requantization, in_width=spec.acc_width, bias_width=spec.acc_width,
            out_width=spec.output.map.width, lanes=lanes, scaling=spec.scaling)
        m.d.comb += requantizer.parameters.eq(scales.r_data)

        beat, x = self._beats(m)
        group = Signal(range(max(2, groups)))
        group_last = Signal()
        m.d.comb += group_last.eq(group == groups - 1)
        if spec.kinds is None:
            m.d.comb += scales.r_addr.eq(group)
        else:
            m.d.comb += scales.r_addr.eq(self._first_word(m, beat & group_last) + group)
        with m.If(beat):
            m.d.sync += group.eq(Mux(group_last, 0, group + 1))
        waiting = Signal(2)
        m.d.sync += waiting.eq(Cat(beat, waiting))
        m.d.comb += [requantizer.i_valid.eq(waiting[-1]), requantizer.x.eq(x)]

        m.submodules.queue = queue = OutputQueue(spec.output.layout, places=spec.places,
                                                 most=spec.most)
        m.d.comb += [
            queue.need.eq(Mux(self.last_pass, spec.fewest, spec.most)),
            queue.reserve.eq(self.issue), self.enough.eq(queue.enough),
            queue.i_valid.eq(requantizer.o_valid),
            Value.cast(queue.i_payload).eq(self._masked(m, requantizer, group_last)),
        ]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m

    def _first_word(self, m, pixel_done):
        """Where the parameters of a pixel's kind begin."""
        firsts = self._spec.kinds.values * self._spec.output.groups
        rows, columns = firsts.shape
        # The counters are a pixel ahead, so that they and the memory are registers apart.
        row = Signal(range(max(2, rows)), init=int(columns == 1) % rows)
        column = Signal(range(max(2, columns)), init=1 % columns)
        first = Signal(range(int(firsts.max()) + 1), init=int(firsts[0, 0]))
        following = stepwise(column, firsts[-1])
        for at in range(rows - 1, 0, -1):
            if (firsts[at] != firsts[at - 1]).any():
                following = Mux(row < at, stepwise(column, firsts[at - 1]), following)
        with m.If(pixel_done):
            m.d.sync += [first.eq(following), column.eq(Mux(column == columns - 1, 0, column + 1))]
        with m.If(pixel_done & (column == columns - 1)):
            m.d.sync += row.eq(Mux(row == rows - 1, 0, row + 1))
        return first

    def _beats(self, m) -> tuple[Value, Value]:
        """A beat two cycles before it reaches the requantizer, and what then reaches it."""
        spec = self._spec
        if spec.most == 1:
            return self.ahead, self.sums[:spec.output.lanes * spec.acc_width]
        start = Signal()
        m.d.sync += start.eq(self.ahead)
        left = Signal(range(spec.most))
        beat = Signal()
        m.d.comb += beat.eq(start | (left != 0))
        passed = Signal(range(max(2, spec.passes)))
        last_pass = Signal()
        m.d.comb += last_pass.eq(passed == spec.passes - 1)
        with m.If(start):
            m.d.sync += [left.eq(Mux(last_pass, spec.fewest - 1, spec.most - 1)),
                         passed.eq(Mux(last_pass, 0, passed + 1))]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        # Which of the beats comes next; it runs on while none does.
        turn = Signal(range(spec.most))
        m.d.sync += turn.eq(Mux(start, 0, turn + 1))
        bits = spec.output.lanes * spec.acc_width
        sums, x = self.sums[:spec.most * bits], Signal(bits, reset_less=True)
        held = Signal(len(sums) - bits, reset_less=True)
        with m.If(turn == 0):
            m.d.sync += held.eq(sums[bits:])
        m.d.sync += x.eq(chosen(turn, [sums[:bits], *(held.word_select(k, bits)
                                                      for k in range(spec.most - 1))]))
        return beat, x

    def _masked(self, m, requantizer: Requantizer, group_last: Value) -> Value:
        """The activations, lanes beyond the channels zero."""
        spec = self._spec
        width, lanes = spec.output.map.width, spec.output.lanes
        used = spec.output.map.channels - (spec.output.groups - 1) * lanes
        if used == lanes:
            return requantizer.y
        last = group_last
        for k in range(2 + requantizer.latency):
            delayed = Signal(name=f"group_last_{k + 1}", reset_less=True)
            m.d.sync += delayed.eq(last)
            last = delayed
        return Cat(requantizer.y[:used * width],
                   Mux(last, 0, requantizer.y[used * width:])[:(lanes - used) * width])


def chosen(index: Value, values: Sequence[Value]) -> Value:
    """The value of this index, in a tree of multiplexers of two."""
    for bit in index:
        values = [Mux(bit, values[k + 1], values[k]) if k + 1 < len(values) else values[k]
                  for k in range(0, len(values), 2)]
    return values[0]
