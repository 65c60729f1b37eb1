"""What operators share that issue a beat at a time: when, and how beats reach the output queue."""

from collections.abc import Sequence

import numpy as np
from amaranth import *

from ..operator import Input, Output, StreamShape, Timing
from ..streams import OutputQueue


__all__ = ["beat_timing", "count_steps", "feed", "full_rate_places", "give_beats", "issue_beats",
           "within"]


def full_rate_places(stages: int) -> int:
    """Places of an output queue behind so many stages that let a beat pass in every cycle."""
    return stages + OutputQueue.latency + OutputQueue.back


def beat_timing(beats: int, *, inputs: int = 1, stages: int) -> Timing:
    """When an operator acts that takes a beat of each input, and makes one, in each issue."""
    issues = np.arange(1, beats + 1)
    return Timing(
        inputs=(Input(beats=beats, needs=issues, frees=issues),) * inputs,
        outputs=(Output(makes=issues, depth=stages + OutputQueue.latency,
                        places=full_rate_places(stages), back=OutputQueue.back),),
        cycles=np.ones_like(issues))


def issue_beats(m: Module, *, inputs: Sequence, queue, stages: int) -> Value:
    """Issue as :func:`beat_timing` says; gives the valid of what leaves the last stage."""
    issue = Signal()
    m.d.comb += queue.need.eq(1)
    m.d.comb += issue.eq(queue.enough & Cat(i.valid for i in inputs).all())
    m.d.comb += queue.reserve.eq(issue)
    for i in inputs:
        others = Cat(other.valid for other in inputs if other is not i)
        m.d.comb += i.ready.eq(queue.enough & others.all())
    under_way = Signal(stages)
    m.d.sync += under_way.eq(Cat(issue, under_way))
    return under_way[-1]


def feed(m: Module, queue, issue: Value, payload) -> None:
    """Lead beats to a queue that each reaches in the cycle of its issue."""
    m.d.comb += [queue.need.eq(1), queue.reserve.eq(issue), queue.i_valid.eq(issue),
                 Value.cast(queue.i_payload).eq(Value.cast(payload))]


def count_steps(m: Module, name: str, step: Value, size: int) -> tuple[Signal, Value]:
    """Steps so far, of so many, around; and whether one is the last of them."""
    count = Signal(range(max(2, size)), name=name)
    last = Signal(name=f"{name}_last")
    m.d.comb += last.eq(count == size - 1)
    with m.If(step):
        m.d.sync += count.eq(Mux(last, 0, count + 1))
    return count, step & last


def within(count: Value, start: int, stop: int, size: int) -> Value:
    """Whether a count below the size is in a range."""
    if stop - start == size:
        return Const(1, 1)
    if stop - start == 1:
        return count == start
    below, above = count < stop, count >= start
    return below if start == 0 else above if stop == size else below & above


def give_beats(m: Module, queue, shape: StreamShape, *, valid: Value,
               word: Value) -> None:
    """Lead a datapath's beats to its output queue, and make lanes beyond the channels zero."""
    if shape.pixels == 1 and shape.map.channels % shape.lanes:
        group = Signal(range(shape.groups))
        last = Signal()
        used = shape.map.channels % shape.lanes * shape.map.width
        m.d.comb += last.eq(group == shape.groups - 1)
        with m.If(valid):
            m.d.sync += group.eq(Mux(last, 0, group + 1))
        word = Cat(word[:used], Mux(last, 0, word[used:shape.width]))
    m.d.comb += [queue.i_valid.eq(valid), Value.cast(queue.i_payload).eq(word)]
