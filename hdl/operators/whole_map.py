"""What operators share that keep a value of each channel while a whole map passes."""

from collections.abc import Callable

import numpy as np
from amaranth import *
from amaranth.lib import memory

from ..operator import Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places


__all__ = ["WholeMap", "whole_map_timing"]


def whole_map_timing(shape: StreamShape, *, stages: int) -> Timing:
    """When an operator acts that takes a beat in each issue, and makes one for each of the last
    pixel."""
    issues = np.arange(1, shape.beats + 1)
    return Timing(
        inputs=(Input(beats=shape.beats, needs=issues, frees=issues),),
        outputs=(Output(makes=np.maximum(issues - (len(issues) - shape.groups), 0),
                        depth=stages + OutputQueue.latency, places=full_rate_places(stages),
                        back=OutputQueue.back),),
        cycles=np.ones_like(issues))


class WholeMap:
    """Hardware that takes the beats of a map as :func:`whole_map_timing` says.

    Parameters
    ----------
    m : :class:`Module`
    i : stream
        What it takes.
    queue : :class:`OutputQueue`
    shape : :class:`StreamShape`
        Of the input.

    Attributes
    ----------
    group : :class:`Signal`
        Which beat of the pixel is next.
    """

    def __init__(self, m: Module, i, queue, shape: StreamShape):
        self._i = i
        self._shape = shape
        pixels, groups = shape.map.pixels, shape.groups
        self.group = group = Signal(range(max(2, groups)), name="group")
        pixel = Signal(range(max(2, pixels)))
        self._first = first = Signal(init=1, name="first")
        self._last = last = Signal(init=pixels == 1, name="last")
        pixel_ends, issue = Signal(), Signal()
        self._issue = issue
        m.d.comb += [
            pixel_ends.eq(group == groups - 1),
            queue.need.eq(last),
            i.ready.eq(queue.enough),
            issue.eq(i.valid & i.ready),
            queue.reserve.eq(issue),
        ]
        with m.If(issue):
            m.d.sync += group.eq(Mux(pixel_ends, 0, group + 1))
        with m.If(issue & pixel_ends):
            m.d.sync += pixel.eq(Mux(last, 0, pixel + 1))
            m.d.sync += first.eq(last)
            m.d.sync += last.eq(pixel == (pixels - 2) % pixels)

    def accumulate(self, m: Module, *, width: int,
                   combine: Callable[[Value, Value, Value], Value]) -> tuple[Signal, Signal]:
        """What has come of each channel, two cycles after an issue, and whether it is of a whole
        map.

        Parameters
        ----------
        width : :class:`int`
            Bits that are kept of a channel.
        combine : function of three values
            What is kept, of a channel: of whether its value is the map's first, of what was kept
            before it, in so many bits, and of the value itself.
        """
        shape, group = self._shape, self.group
        lanes, element, groups = shape.lanes, shape.map.element, shape.groups
        beat = Signal(shape.width, reset_less=True)
        valid, starts, ends, complete = Signal(), Signal(), Signal(), Signal()
        slot = Signal.like(group, name="slot")
        m.d.sync += [beat.eq(Value.cast(self._i.payload)), valid.eq(self._issue), slot.eq(group),
                     starts.eq(self._first), ends.eq(self._last), complete.eq(valid & ends)]

        before = Signal(lanes * width)
        after = Signal(lanes * width)
        total = Signal(lanes * width, reset_less=True)
        for lane in range(lanes):
            x = beat.word_select(lane, element.width)
            m.d.comb += after.word_select(lane, width).eq(
                combine(starts, before.word_select(lane, width),
                        x.as_signed() if element.signed else x))
        with m.If(valid):
            m.d.sync += total.eq(after)
        if groups == 1:
            m.d.comb += before.eq(total)
            return total, complete

        # What the next group has is fetched with each beat: no cycle both reads and combines.
        kept: memory.Memory = memory.Memory(shape=len(after), depth=groups, init=[])
        m.submodules.kept = kept
        write, read = kept.write_port(), kept.read_port(domain="comb")
        fetched = Signal.like(before, reset_less=True, name="fetched")
        m.d.comb += [write.addr.eq(slot), write.data.eq(after), write.en.eq(valid),
                     read.addr.eq(Mux(slot == groups - 1, 0, slot + 1)), before.eq(fetched)]
        with m.If(valid):
            m.d.sync += fetched.eq(read.data)
        return total, complete
