"""Larger maps: each pixel repeated."""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import count_steps, full_rate_places
from .window import delayed, fewest_for_each


__all__ = ["Upsample", "Upsampler"]


# Beats that come while a place that was freed is filled, and can be read.
SLACK = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Upsample:
    """The nearest neighbour: :py:`y[row, column] = x[row // factors[0], column // factors[1]]`.

    Parameters
    ----------
    input : :class:`FeatureMap`
    factors : pair of :class:`int`
        Times that each row, and each column, is repeated; not both once.
    lanes : :class:`int`
        Folding: channels at once.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    input: FeatureMap
    factors: tuple[int, int]
    lanes: int = 1

    def __post_init__(self) -> None:
        if min(self.factors) < 1 or max(self.factors) < 2:
            raise ValueError(f"Factors must be positive, and not both 1, not {self.factors!r}")
        StreamShape(map=self.input, lanes=self.lanes)

    @property
    def output(self) -> FeatureMap:
        return self.input.resized(rows=self.input.rows * self.factors[0],
                                  columns=self.input.columns * self.factors[1])

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = DualPortMemory.latency

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x.repeat(self.factors[0], axis=1).repeat(self.factors[1], axis=2),)

    @property
    def places(self) -> int:
        """Beats of the buffer: what is repeated, and as much as comes until it has been freed."""
        groups = self.inputs[0].groups
        repeated = self.input.columns * groups if self.factors[0] > 1 else groups
        return repeated + SLACK

    def _beats(self) -> tuple[np.ndarray, np.ndarray]:
        """Beats of the input, from its first, until the one of each issue, and those that are
        needed no more after it."""
        groups, (times_down, times_across) = self.inputs[0].groups, self.factors
        row, again_row, column, again, group = np.ogrid[
            :self.input.rows, :times_down, :self.input.columns, :times_across, :groups]
        start = (row * self.input.columns + column) * groups
        needs = start + group + 1 + 0 * (again_row + again)
        frees = np.where(again_row < times_down - 1, row * self.input.columns * groups,
                         np.where(again < times_across - 1, start, needs))
        return needs.ravel(), frees.ravel()

    def timing(self) -> Timing:
        needs, frees = self._beats()
        issues = np.arange(1, self.outputs[0].beats + 1)
        return Timing(
            inputs=(Input(beats=self.inputs[0].beats, needs=needs, frees=frees,
                          places=self.places, entry=1, release=1),),
            outputs=(Output(makes=issues, depth=self.stages + OutputQueue.latency,
                            places=full_rate_places(self.stages), back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        shape = self.inputs[0]
        buffer = DualPortMemory.cost(width=shape.width, depth=self.places, device=device)
        queue = OutputQueue.cost(width=shape.width, places=full_rate_places(self.stages),
                                 device=device)
        address = self.places.bit_length()
        counted = sum(count.bit_length() for count in (
            shape.groups, self.input.columns, *self.factors))
        return buffer + queue + Resources(lut=7 * address + counted + 6,
                                          ff=6 * address + counted + 3)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.input.channels))

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Upsampler":
        return Upsampler(self)


class Upsampler(wiring.Component):
    """Hardware of :class:`Upsample`: a buffer of a row, or of a pixel where rows are not repeated;
    gives a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: Upsample):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, shape = self._spec, self._spec.inputs[0]
        m.submodules.queue = queue = OutputQueue(shape.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.submodules.buffer = buffer = DualPortMemory(width=shape.width, depth=spec.places)

        taken, issue = Signal(), Signal()
        m.d.comb += [taken.eq(self.i.valid & self.i.ready), buffer.w_en.eq(taken),
                     buffer.w_data.eq(Value.cast(self.i.payload)),
                     queue.need.eq(1), queue.reserve.eq(issue)]
        with m.If(taken):
            m.d.sync += buffer.w_addr.eq(_after(buffer.w_addr, spec.places))

        row_beats = spec.input.columns * shape.groups
        _, pixel_end = count_steps(m, "group", issue, shape.groups)
        again, column_end = count_steps(m, "pixel_again", pixel_end, spec.factors[1])
        _, row_end = count_steps(m, "column", column_end, spec.input.columns)
        row_again, row_done = count_steps(m, "row_again", row_end, spec.factors[0])
        pixel_back = pixel_end & ~column_end
        row_back = row_end & ~row_done

        address, pixel, row = (Signal.like(buffer.r_addr, name=name)
                               for name in ("address", "pixel_address", "row_address"))
        following = Signal.like(address)
        m.d.comb += [buffer.r_addr.eq(address), following.eq(
            Mux(row_back, row, Mux(pixel_back, pixel, _after(address, spec.places))))]
        with m.If(issue):
            m.d.sync += address.eq(following)
        with m.If(column_end):
            m.d.sync += pixel.eq(following)
        with m.If(row_done):
            m.d.sync += row.eq(following)

        # Beats that have come, less those that the next issue needs.
        slack = Signal(range(-1, spec.places + 1), init=-1)
        back = Mux(row_back, row_beats - 1, Mux(pixel_back, shape.groups - 1, -1))
        m.d.sync += slack.eq(slack + taken + Mux(issue, back, 0))
        m.d.comb += issue.eq(queue.enough & ~slack[-1])
        # Places, less one: a beat is freed as it is read for the last time.
        room = Signal(range(-1, spec.places), init=spec.places - 1)
        last = Signal()
        m.d.comb += last.eq(issue & (again == spec.factors[1] - 1)
                            & (row_again == spec.factors[0] - 1))
        m.d.sync += room.eq(room - taken + last)
        m.d.comb += self.i.ready.eq(~room[-1])

        under_way = delayed(m, "valid", issue, spec.stages, reset=True)
        m.d.comb += [queue.i_valid.eq(under_way[-1]),
                     Value.cast(queue.i_payload).eq(buffer.r_data)]
        return m


def _after(address: Value, size: int) -> Value:
    return Mux(address == size - 1, 0, address + 1)
