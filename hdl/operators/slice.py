"""A part of a map: some of its channels, rows and columns."""

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
from .beats import count_steps, full_rate_places, give_beats, within


__all__ = ["Slice", "Slicer"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """:py:`x[rows[0]:rows[1], columns[0]:columns[1], channels[0]:channels[1]]`.

    Parameters
    ----------
    input : :class:`FeatureMap`
    rows, columns, channels : pairs of :class:`int`
        First, and one beyond the last, of those that stay.
    lanes : :class:`int`
        Folding: channels at once, of the input. The channels that stay begin with a beat, or lie
        within one; the output has as many lanes, or as many as channels stay.

    Raises
    ------
    ValueError
        If a range is empty or exceeds the input, or the lanes are not so.
    """

    input: FeatureMap
    rows: tuple[int, int]
    columns: tuple[int, int]
    channels: tuple[int, int]
    lanes: int = 1

    def __post_init__(self) -> None:
        for name, (start, stop), size in zip(
                ("Rows", "Columns", "Channels"), (self.rows, self.columns, self.channels),
                self.input.shape, strict=True):
            if not 0 <= start < stop <= size:
                raise ValueError(f"{name} must be a range within {size!r}, "
                                 f"not {start!r} to {stop!r}")
        StreamShape(map=self.input, lanes=self.lanes)
        if not self._fits(self.lanes):
            raise ValueError(f"Channels {self.channels[0]!r} to {self.channels[1]!r} must begin "
                             f"with a beat of {self.lanes!r} lanes, or lie within one")

    def _fits(self, lanes: int) -> bool:
        start, stop = self.channels
        return start % lanes == 0 or start // lanes == (stop - 1) // lanes

    @property
    def output(self) -> FeatureMap:
        rows, columns, channels = (stop - start for start, stop in (
            self.rows, self.columns, self.channels))
        return self.input.resized(rows=rows, columns=columns, channels=channels)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=min(self.lanes, self.output.channels)),)

    macs = 0
    multipliers = 0
    stages = 1

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        rows, columns, channels = (slice(*each) for each in (
            self.rows, self.columns, self.channels))
        return (x[:, rows, columns, channels],)

    @property
    def groups(self) -> tuple[int, int]:
        """First, and one beyond the last, of a pixel's beats that stay."""
        first = self.channels[0] // self.lanes
        return first, first + self.outputs[0].groups

    def timing(self) -> Timing:
        beats = self.inputs[0].beats
        stays = np.zeros((self.input.rows, self.input.columns, self.inputs[0].groups),
                         dtype=np.int64)
        stays[slice(*self.rows), slice(*self.columns), slice(*self.groups)] = 1
        issues = np.arange(1, beats + 1)
        return Timing(
            inputs=(Input(beats=beats, needs=issues, frees=issues),),
            outputs=(Output(makes=stays.ravel().cumsum(), depth=self.stages + OutputQueue.latency,
                            places=full_rate_places(self.stages), back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        width = self.outputs[0].width
        queue = OutputQueue.cost(width=width, places=full_rate_places(self.stages), device=device)
        counted = 0  # bits of the counters: those up to the outermost range that leaves some out
        for (start, stop), size in ((self.rows, self.input.rows),
                                    (self.columns, self.input.columns),
                                    (self.groups, self.inputs[0].groups)):
            counted += (size - 1).bit_length() if counted or stop - start < size else 0
        return queue + Resources(lut=2 * counted + 3, ff=width + counted + 1)

    def foldings(self) -> Iterator[Self]:
        found: dict[int, int] = {}
        for lanes in range(1, self.input.channels + 1):
            if self._fits(lanes):
                found.setdefault(-(-self.input.channels // lanes), lanes)
        return (dataclasses.replace(self, lanes=lanes) for lanes in found.values())

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Slicer":
        return Slicer(self)


class Slicer(wiring.Component):
    """Hardware of :class:`Slice`; takes a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: Slice):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, output = self._spec, self._spec.outputs[0]
        m.submodules.queue = queue = OutputQueue(output.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        issue, stays = Signal(), Signal()
        step, inside = issue, []
        for name, (start, stop), size in (
                ("group", spec.groups, spec.inputs[0].groups),
                ("column", spec.columns, spec.input.columns),
                ("row", spec.rows, spec.input.rows)):
            count, step = count_steps(m, name, step, size)
            inside.append(within(count, start, stop, size))
        m.d.comb += [
            stays.eq(Cat(inside).all()),
            queue.need.eq(stays),
            self.i.ready.eq(queue.enough),
            issue.eq(self.i.valid & self.i.ready),
            queue.reserve.eq(issue),
        ]
        width = spec.input.width
        skipped = spec.channels[0] % spec.lanes * width
        word = Signal(output.width, reset_less=True)
        valid = Signal()
        m.d.sync += [word.eq(Value.cast(self.i.payload)[skipped:]), valid.eq(issue & stays)]
        give_beats(m, queue, output, valid=valid, word=word)
        return m
