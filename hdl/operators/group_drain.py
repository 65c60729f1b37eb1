"""From sums to a stream where channel groups follow one another tile by tile."""

import dataclasses
import math
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..operator import Constants, Output, StreamShape
from ..streams import OutputQueue
from .requantize import Requantization, Requantizer
from .window import delayed


__all__ = ["GroupDrain", "GroupDrainer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupDrain:
    """How the sums of a pass become beats, and those of a channel group share their parameters
    over many passes.

    Parameters
    ----------
    output : :class:`StreamShape`
        Its channels are those of a group, its lanes the requantizers.
    passes : :class:`int`
        Groups.
    rows : :class:`int`
        Sums of a pass; those beyond the channels are nothing.
    acc_width : :class:`int`
        Bits of a sum, and of a sum with its bias.
    requantization : :class:`Requantization`
        Of the channels of all groups.
    bias : :class:`Constants`, shape (channels of all groups,)
    steps, pace : :class:`int`
        Cycles in which a pass reads its window; from a pass to the next, at the least.
    latency : :class:`int`
        Cycles from a pass's last step to its sums.
    """

    output: StreamShape
    passes: int
    rows: int
    acc_width: int
    requantization: Requantization
    bias: Constants
    steps: int
    pace: int
    latency: int

    @classmethod
    def padded(cls, *, output: StreamShape, passes: int, requantization: Requantization,
               bias: np.ndarray, **parameters) -> Self:
        """One for fewer channels than those of all groups: others have a multiplier of 0, where
        each has its own, and a bias of 0."""
        more = passes * output.map.channels - len(bias)

        def longer(values: Constants, fill: int) -> Constants:
            if len(values.values) == 1:
                return values
            return Constants(np.pad(values.values, (0, more), constant_values=fill))

        shift = requantization.shift
        return cls(output=output, passes=passes, bias=Constants(np.pad(bias, (0, more))),
                   requantization=dataclasses.replace(
                       requantization, multiplier=longer(requantization.multiplier, 0),
                       shift=longer(shift, 1) if isinstance(shift, Constants) else shift),
                   **parameters)

    @property
    def most(self) -> int:
        """Beats of a pass."""
        return self.output.groups

    @property
    def cycles(self) -> int:
        """Cycles from a pass to the next."""
        return max(self.steps, self.most, self.pace)

    @property
    def depth(self) -> int:
        """Cycles from a pass's issue to the offer of its first beat."""
        return (self.steps - 1 + self.latency + (self.most > 1)
                + Requantizer.stages(self.requantization.uniform_shift, in_width=self.acc_width)
                + OutputQueue.latency)

    @property
    def places(self) -> int:
        """Places of the output queue with which passes never wait for it."""
        held = self.depth + self.most + OutputQueue.back
        return max(self.most * (math.ceil(held / self.cycles) + 1), self.most + 1)

    def timing(self, passes: int) -> tuple[Output, np.ndarray]:
        """The output, and the cycles of each issue, where an issue is one of so many passes."""
        output = Output(makes=self.most * np.arange(1, passes + 1), depth=self.depth,
                        places=self.places, back=OutputQueue.back)
        return output, np.full(passes, self.cycles)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Bias, multiplier and shift of each beat's lanes, group after group."""
        lanes = self.output.lanes
        words = self.requantization.words(self.bias.values, lanes=lanes,
                                          bias_width=self.acc_width)
        return {"_scales.mem": (lanes * self.requantization.lane_width(self.acc_width), words)}

    def resources(self, device: Device) -> Resources:
        """What it takes, its queue included."""
        lanes, width = self.output.lanes, self.output.map.width
        requantizer = self.requantization.cost(in_width=self.acc_width, bias_width=self.acc_width,
                                               out_width=width, lanes=lanes, device=device)
        words = self.passes * self.most
        scales = LoadedMemory.cost(width=lanes * self.requantization.lane_width(self.acc_width),
                                   depth=words, device=device)
        queue = OutputQueue.cost(width=lanes * width, places=self.places, device=device)
        hold = Resources()
        if self.most > 1:
            bits = lanes * self.acc_width
            # The last beat's sums need no choice: registers that are cleared.
            hold = Resources(lut=(self.most - 1) * bits, ff=self.most * bits + 4)
        count = words.bit_length()
        return requantizer + scales + queue + hold + Resources(lut=4 + 2 * count, ff=2 * count + 2)

    def create(self) -> "GroupDrainer":
        return GroupDrainer(self)


class GroupDrainer(wiring.Component):
    """Hardware of :class:`GroupDrain`.

    Members
    -------
    issue : :py:`In(1)`
        A pass is issued.
    enough : :py:`Out(1)`
        Whether a pass may be issued.
    ahead, turn : :py:`In(1)`
        Two cycles before a pass's sums, and whether it is the last one of its group.
    sums : :py:`In(rows * acc_width)`
        The sums, the first channel's in the lowest bits; there for one cycle at least.
    o : :py:`Out(stream.Signature(...))`
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain of biases and scales.
    """

    def __init__(self, spec: GroupDrain):
        self._spec = spec
        super().__init__({
            "issue": In(1), "enough": Out(1), "ahead": In(1), "turn": In(1),
            "sums": In(spec.rows * spec.acc_width), "o": Out(spec.output.signature),
            "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        ((file, (width, words)),) = spec.contents().items()
        m.submodules.scales = scales = LoadedMemory(width=width, depth=len(words), words=words,
                                                    file=file)
        chain_loads(m, self, scales)
        m.submodules.requantizer = requantizer = Requantizer(
            spec.requantization, in_width=spec.acc_width, bias_width=spec.acc_width,
            out_width=spec.output.map.width, lanes=spec.output.lanes)
        m.d.comb += requantizer.parameters.eq(scales.r_data)

        beat, last, turn, x = self._beats(m)
        address = Signal(range(max(2, len(words))))
        m.d.comb += scales.r_addr.eq(address)
        with m.If(beat):
            # The parameters of a group's channels again for its next pixel.
            m.d.sync += address.eq(Mux(last & ~turn, address - (spec.most - 1), Mux(
                address == len(words) - 1, 0, address + 1)))
        m.d.comb += [requantizer.i_valid.eq(delayed(m, "beat", beat, 2, reset=True)[-1]),
                     requantizer.x.eq(x)]

        m.submodules.queue = queue = OutputQueue(spec.output.layout, places=spec.places,
                                                 most=spec.most)
        m.d.comb += [
            queue.need.eq(spec.most), queue.reserve.eq(self.issue), self.enough.eq(queue.enough),
            queue.i_valid.eq(requantizer.o_valid),
            Value.cast(queue.i_payload).eq(self._masked(m, requantizer, last)),
        ]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        return m

    def _beats(self, m) -> tuple[Value, Value, Value, Value]:
        """A beat two cycles before it reaches the requantizer, whether it is its pass's last, and
        that its group's last; and what then reaches it."""
        spec = self._spec
        bits = spec.output.lanes * spec.acc_width
        if spec.most == 1:
            return self.ahead, Const(1, 1), self.turn, self.sums[:bits]
        start, turn = Signal(), Signal()
        m.d.sync += start.eq(self.ahead)
        with m.If(self.ahead):
            m.d.sync += turn.eq(self.turn)
        left = Signal(range(spec.most))
        beat = Signal()
        m.d.comb += beat.eq(start | (left != 0))
        with m.If(start):
            m.d.sync += left.eq(spec.most - 1)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)

        arrived = Signal()
        m.d.sync += arrived.eq(start)
        held = Signal(spec.most * bits, reset_less=True)
        m.d.sync += held.eq(Mux(arrived, self.sums[:len(held)], held[bits:]))
        return beat, left == 1, turn, held[:bits]

    def _masked(self, m, requantizer: Requantizer, last: Value) -> Value:
        """The activations, lanes beyond the channels zero."""
        spec = self._spec
        width, lanes = spec.output.map.width, spec.output.lanes
        used = spec.output.map.channels - (spec.output.groups - 1) * lanes
        if used == lanes:
            return requantizer.y
        late = delayed(m, "last", last, 2 + requantizer.latency)[-1]
        return Cat(requantizer.y[:used * width],
                   Mux(late, 0, requantizer.y[used * width:])[:(lanes - used) * width])
