"""The check of operators finds what is wrong."""

import dataclasses

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fcnnx.hdl.operator import FeatureMap, Input, Output, StreamShape, Timing
from fcnnx.hdl.operators.matvec import join_fields
from fcnnx.hdl.operators.plumbing import Queue, QueueBuffer
from fcnnx.hdl.testing import check_operator, split_words, transfers


SMALL = FeatureMap(rows=2, columns=3, channels=4)


def check(spec, **kinds):
    x = np.random.default_rng(1).integers(-128, 128, (3, *SMALL.shape))
    check_operator(spec, [x], **kinds)


class OtherValues(Queue):
    def compute(self, x):
        return (np.where(x == x.max(), 0, x),)


class Later(Queue):
    def timing(self):
        return changed_output(super().timing(), depth=2)


class FewerPlaces(Queue):
    def timing(self):
        return changed_output(super().timing(), places=3)


class Slower(Queue):
    interval = 25


def changed_output(timing, **changes):
    return dataclasses.replace(timing, outputs=(
        dataclasses.replace(timing.outputs[0], **changes),))


class Broken(wiring.Component):
    """A queue behind something that is wrong."""

    def __init__(self, spec):
        self.queue = QueueBuffer(spec)
        super().__init__({"i": In(spec.shape.signature), "o": Out(spec.shape.signature)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = self.queue
        wiring.connect(m, wiring.flipped(self.i), self.queue.i)
        wiring.connect(m, self.queue.o, wiring.flipped(self.o))
        self.spoil(m)
        return m


class Withdrawing(Broken):
    def spoil(self, m):
        beat = Signal(3)
        m.d.sync += beat.eq(beat + 1)
        m.d.comb += self.o.valid.eq(self.queue.o.valid & (beat != 0))
        m.d.comb += self.queue.o.ready.eq(self.o.ready & (beat != 0))


class Following(Broken):
    def spoil(self, m):
        m.d.comb += self.o.valid.eq(self.queue.o.valid & self.o.ready)


class Losing(Broken):
    def spoil(self, m):
        beat = Signal(5)
        m.d.sync += beat.eq(beat + self.queue.o.valid)
        m.d.comb += self.o.valid.eq(self.queue.o.valid & (beat != 7))
        m.d.comb += self.queue.o.ready.eq(self.o.ready | (beat == 7))


class Repeating(Broken):
    """Gives a beat of its own when all is over."""

    def spoil(self, m):
        cycle = Signal(8)
        m.d.sync += cycle.eq(cycle + (cycle != 255))
        m.d.comb += self.o.valid.eq(self.queue.o.valid | (cycle == 100))


def broken(component):
    class Spec(Queue):
        def create(self):
            return component(self)
    return Spec(map=SMALL)


@pytest.mark.parametrize(("spec", "taking", "message"), [
    (OtherValues(map=SMALL), "always", "Output 0 differs from the golden model"),
    (Later(map=SMALL), "always", "Beats of stream 0 are not given when predicted"),
    (FewerPlaces(map=SMALL), "blocked", "Beats of stream 0 are not taken when predicted"),
    (broken(Withdrawing), "random", "Output 0 withdrew a payload"),
    (broken(Following), "random", "A ready leads to a ready or valid within a cycle"),
    (broken(Losing), "always", r"beats of \[72\]"),
    (broken(Repeating), "always", r"\[73\] beats of \[72\]"),
])
def test_what_is_wrong_is_found(spec, taking, message):
    check(Queue(map=SMALL), taking=taking)
    with pytest.raises(AssertionError, match=message):
        check(spec, taking=taking)


def test_a_wrong_interval_is_found():
    with pytest.raises(AssertionError):
        check(Slower(map=SMALL))


def test_words():
    values = np.array([[1, -1], [-8, 7]])
    assert join_fields(values, 4) == [0xF1, 0x78]
    assert (split_words([0xF1, 0x78], signed(4), 2) == values).all()
    assert (split_words([0xF1], unsigned(4), 2) == [[1, 15]]).all()


def test_transfers_of_a_buffered_input():
    """Two places; an issue needs the beats of two pixels, and frees one."""
    timing = Timing(
        inputs=(Input(beats=3, needs=np.array([2, 3]), frees=np.array([1, 3]), places=2, entry=1,
                      release=2),),
        outputs=(Output(makes=np.array([2, 3]), depth=4, places=3, back=2),),
        cycles=np.array([5, 1]))
    taken, given = transfers(timing, 2, [[0, 1, 2, 3, 4, 5]], [lambda cycle: cycle != 7])
    # Issues at 2, 7, 11 and 16.
    assert taken == [[0, 1, 4, 9, 10, 13]]
    assert given == [[6, 8, 11, 15, 16, 20]]


def test_transfers_without_room():
    timing = Timing(
        inputs=(Input(beats=3, needs=np.array([3]), frees=np.array([3]), places=2, entry=1,
                      release=1),),
        outputs=(Output(makes=np.array([1]), depth=1, places=2, back=2),), cycles=np.array([1]))
    with pytest.raises(ValueError, match=r"^Beat 2 of input 0 finds no room$"):
        transfers(timing, 1, [[0, 1, 2]], [lambda cycle: True])


def test_stream_shapes_pack_and_unpack():
    shape = StreamShape(map=SMALL, lanes=3)
    x = np.arange(2 * SMALL.size).reshape(2, *SMALL.shape)
    assert shape.pack(x).shape == (2 * shape.beats, 3)
    assert (shape.unpack(shape.pack(x)) == x).all()
