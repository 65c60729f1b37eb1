"""Padding that no following operator can take into its window."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import full_rate_places, give_beats
from .window import fewest_for_each


__all__ = ["Pad", "Padder"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pad:
    """Rows and columns of a constant around a map.

    A frame begins when its first beat is there, even where padding comes first.

    Parameters
    ----------
    input : :class:`FeatureMap`
    padding : four :class:`int`
        Top, left, bottom, right.
    value : :class:`int`
        What they hold, in all channels.
    lanes : :class:`int`
        Folding: channels at once.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    input: FeatureMap
    padding: tuple[int, int, int, int]
    value: int
    lanes: int = 1

    def __post_init__(self) -> None:
        if min(self.padding) < 0 or max(self.padding) < 1:
            raise ValueError(f"Padding must be positive, and nowhere negative, "
                             f"not {self.padding!r}")
        if not self.input.low <= self.value <= self.input.high:
            raise ValueError(f"Value must be between {self.input.low!r} and {self.input.high!r}, "
                             f"not {self.value!r}")
        StreamShape(map=self.input, lanes=self.lanes)

    @property
    def output(self) -> FeatureMap:
        top, left, bottom, right = self.padding
        return self.input.resized(rows=self.input.rows + top + bottom,
                                  columns=self.input.columns + left + right)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = 1

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        top, left, bottom, right = self.padding
        return (np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)),
                       constant_values=self.value),)

    def timing(self) -> Timing:
        top, left, bottom, right = self.padding
        inside = np.pad(np.ones((self.input.rows, self.input.columns), dtype=np.int64),
                        ((top, bottom), (left, right)))
        needs = np.maximum(inside.ravel().repeat(self.outputs[0].groups).cumsum(), 1)
        issues = np.arange(1, self.outputs[0].beats + 1)
        return Timing(
            inputs=(Input(beats=self.inputs[0].beats, needs=needs, frees=needs),),
            outputs=(Output(makes=issues, depth=self.stages + OutputQueue.latency,
                            places=full_rate_places(self.stages), back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        width = self.outputs[0].width
        queue = OutputQueue.cost(width=width, places=full_rate_places(self.stages), device=device)
        bits = sum(size.bit_length() for size in (self.output.rows, self.output.columns,
                                                  self.outputs[0].groups))
        return queue + Resources(lut=width + bits + 10, ff=2 * width + bits + 5)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.input.channels))

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Padder":
        return Padder(self)


class Padder(wiring.Component):
    """Hardware of :class:`Pad`; gives a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: Pad):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        top, left, _, _ = spec.padding
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        issue, inside, takes = Signal(), Signal(), Signal()
        group_ends = self._count(m, "group", issue, spec.outputs[0].groups)[1]
        column_ends, in_columns = self._position(
            m, "column", group_ends, size=spec.output.columns, start=left,
            stop=left + spec.input.columns)
        frame_ends, in_rows = self._position(
            m, "row", column_ends, size=spec.output.rows, start=top, stop=top + spec.input.rows)
        m.d.comb += [
            inside.eq(in_rows & in_columns),
            queue.need.eq(1),
            self.i.ready.eq(queue.enough & takes),
            issue.eq(queue.enough & (self.i.valid | ~takes)),
            queue.reserve.eq(issue),
        ]

        # A frame's first issue takes the first beat, which is kept until its pixel comes.
        beat = Value.cast(self.i.payload)
        opening, full = Signal(init=1), Signal()
        kept = Signal(len(beat), reset_less=True)
        m.d.comb += takes.eq(opening | (inside & ~full))
        with m.If(issue):
            m.d.sync += [opening.eq(frame_ends), full.eq((opening | full) & ~inside)]
        with m.If(issue & opening):
            m.d.sync += kept.eq(beat)

        word = Signal(len(beat), reset_less=True)
        valid = Signal()
        value = Const(spec.value, spec.input.element).as_unsigned().replicate(spec.lanes)
        m.d.sync += [word.eq(Mux(inside, Mux(full, kept, beat), value)), valid.eq(issue)]
        give_beats(m, queue, spec.outputs[0], valid=valid, word=word)
        return m

    def _count(self, m, name, step, size):
        """Steps, and whether one is the last of so many."""
        count = Signal(range(max(2, size)), name=name)
        last, ends = Signal(name=f"{name}_last"), Signal(name=f"{name}_ends")
        m.d.comb += [last.eq(count == size - 1), ends.eq(step & last)]
        with m.If(step):
            m.d.sync += count.eq(Mux(last, 0, count + 1))
        return count, ends

    def _position(self, m, name, step, *, size, start, stop):
        """Whether a step is the last, and whether the input has something where the count is."""
        count, ends = self._count(m, name, step, size)
        if stop - start == size:
            return ends, Const(1, 1)
        inside = Signal(name=f"in_{name}s", init=start == 0)
        with m.If(step & (count == stop - 1)):
            m.d.sync += inside.eq(0)
        with m.If(step & (count == (start - 1) % size)):
            m.d.sync += inside.eq(1)
        return ends, inside
