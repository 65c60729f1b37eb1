"""Operators that move beats and change nothing: forks, queues, width converters."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..deep_queue import queue_kind
from ..device import Device, Resources
from ..operator import FeatureMap, Input, Output, StreamShape, Timing
from ..streams import OutputQueue
from .beats import feed, full_rate_places
from .window import fewest_for_each


__all__ = ["LEAST_PLACES", "Fork", "Forker", "Narrow", "Narrower", "Queue", "QueueBuffer", "Widen",
           "Widener"]


# With fewer a queue would not pass a beat in every cycle.
LEAST_PLACES = full_rate_places(0)


def _timing(shape: StreamShape, *places: int) -> Timing:
    """Each beat goes to queues of so many places."""
    issues = np.arange(1, shape.beats + 1)
    kinds = [queue_kind(shape.width, each) for each in places]
    return Timing(
        inputs=(Input(beats=shape.beats, needs=issues, frees=issues),),
        outputs=tuple(Output(makes=issues, depth=kind.latency, places=each, back=kind.back)
                      for kind, each in zip(kinds, places, strict=True)),
        cycles=np.ones_like(issues))


def _cost(shape: StreamShape, *places: int, device: Device) -> Resources:
    return sum((queue_kind(shape.width, each).cost(width=shape.width, places=each, device=device)
                for each in places), Resources(lut=1))


def _check_places(*places: int) -> None:
    for each in places:
        if each < LEAST_PLACES:
            raise ValueError(f"Places must be at least {LEAST_PLACES!r}, not {each!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fork:
    """One stream to several: it takes a beat when every branch's queue has a place.

    Parameters
    ----------
    map : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels of a beat.
    places : two or more :class:`int`
        Folding: beats that each branch's queue holds, :data:`LEAST_PLACES` or more. Where branches
        meet again, they balance their delays. Large queues are in block RAM, and take a few cycles
        longer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    map: FeatureMap
    lanes: int = 1
    places: tuple[int, ...] = (4, 4)

    def __post_init__(self) -> None:
        StreamShape(map=self.map, lanes=self.lanes)
        if len(self.places) < 2:
            raise ValueError(f"A fork must have two branches or more, not {len(self.places)!r}")
        _check_places(*self.places)

    @property
    def shape(self) -> StreamShape:
        return StreamShape(map=self.map, lanes=self.lanes)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (self.shape,)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (self.shape,) * len(self.places)

    macs = 0
    multipliers = 0

    @property
    def interval(self) -> int:
        return self.shape.beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x,) * len(self.places)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def timing(self) -> Timing:
        return _timing(self.shape, *self.places)

    def resources(self, device: Device) -> Resources:
        return _cost(self.shape, *self.places, device=device)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.map.channels))

    def create(self) -> "Forker":
        return Forker(self)


class Forker(wiring.Component):
    """Hardware of :class:`Fork`; a beat per cycle.

    Members
    -------
    i : :py:`In(stream)`
    o_0, o_1, ... : :py:`Out(stream)`
        The same beats.
    """

    def __init__(self, spec: Fork):
        self._spec = spec
        super().__init__({"i": In(spec.shape.signature)}
                         | {f"o_{k}": Out(spec.shape.signature) for k in range(len(spec.places))})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        queues = [queue_kind(spec.shape.width, places)(spec.shape.layout, places=places)
                  for places in spec.places]
        m.d.comb += self.i.ready.eq(Cat(queue.enough for queue in queues).all())
        issue = Signal()
        m.d.comb += issue.eq(self.i.valid & self.i.ready)
        for k, queue in enumerate(queues):
            m.submodules[f"queue_{k}"] = queue
            wiring.connect(m, queue.o, wiring.flipped(getattr(self, f"o_{k}")))
            feed(m, queue, issue, self.i.payload)
        return m


@dataclasses.dataclass(frozen=True, kw_only=True)
class Queue:
    """A first-in first-out buffer.

    Parameters
    ----------
    map : :class:`FeatureMap`
    lanes : :class:`int`
        Folding: channels of a beat.
    places : :class:`int`
        Folding: beats that it holds, :data:`LEAST_PLACES` or more. A large one is in block RAM,
        and takes a few cycles longer.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    map: FeatureMap
    lanes: int = 1
    places: int = 4

    def __post_init__(self) -> None:
        StreamShape(map=self.map, lanes=self.lanes)
        _check_places(self.places)

    @property
    def shape(self) -> StreamShape:
        return StreamShape(map=self.map, lanes=self.lanes)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (self.shape,)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (self.shape,)

    macs = 0
    multipliers = 0

    @property
    def interval(self) -> int:
        return self.shape.beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x,)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def timing(self) -> Timing:
        return _timing(self.shape, self.places)

    def resources(self, device: Device) -> Resources:
        return _cost(self.shape, self.places, device=device)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in fewest_for_each(self.map.channels))

    def create(self) -> "QueueBuffer":
        return QueueBuffer(self)


class QueueBuffer(wiring.Component):
    """Hardware of :class:`Queue`; a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: Queue):
        self._spec = spec
        super().__init__({"i": In(spec.shape.signature), "o": Out(spec.shape.signature)})

    def elaborate(self, platform):
        m = Module()
        shape, places = self._spec.shape, self._spec.places
        m.submodules.queue = queue = queue_kind(shape.width, places)(shape.layout, places=places)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.comb += self.i.ready.eq(queue.enough)
        feed(m, queue, self.i.valid & self.i.ready, self.i.payload)
        return m


@dataclasses.dataclass(frozen=True, kw_only=True)
class Widen:
    """Several beats of a pixel gathered in one; those of its last beat may be fewer.

    Parameters
    ----------
    map : :class:`FeatureMap`
    lanes_in, lanes_out : :class:`int`
        Folding: channels of a beat that comes, and of one that goes. The latter is a multiple of
        the former, or all channels.

    Raises
    ------
    ValueError
        If the lanes are not so.
    """

    map: FeatureMap
    lanes_in: int
    lanes_out: int

    def __post_init__(self) -> None:
        _check_lanes(self.map, narrow=self.lanes_in, wide=self.lanes_out)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.map, lanes=self.lanes_in),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.map, lanes=self.lanes_out),)

    macs = 0
    multipliers = 0
    stages = 1

    @property
    def times(self) -> int:
        """Beats gathered in one, at most."""
        return math.ceil(self.lanes_out / self.lanes_in)

    @property
    def interval(self) -> int:
        return self.inputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x,)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def timing(self) -> Timing:
        narrow, wide = self.inputs[0], self.outputs[0]
        issues = np.arange(1, narrow.beats + 1)
        in_pixel = np.append(np.arange(1, narrow.groups) // self.times, wide.groups)
        makes = np.arange(self.map.pixels)[:, None] * wide.groups + in_pixel
        return Timing(
            inputs=(Input(beats=narrow.beats, needs=issues, frees=issues),),
            outputs=(Output(makes=makes.ravel(), depth=self.stages + OutputQueue.latency,
                            places=full_rate_places(self.stages), back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        wide, count = self.outputs[0].width, (self.inputs[0].groups - 1).bit_length()
        queue = OutputQueue.cost(width=wide, places=full_rate_places(self.stages), device=device)
        slot = (self.times - 1).bit_length()
        return queue + Resources(lut=self.times + 2 * count, ff=wide + count + slot)

    def foldings(self) -> Iterator[Self]:
        return iter((self,))

    def create(self) -> "Widener":
        return Widener(self)


def _check_lanes(feature_map: FeatureMap, *, narrow: int, wide: int) -> None:
    if not 1 <= narrow < wide <= feature_map.channels:
        raise ValueError(f"Lanes must widen from 1 or more to {feature_map.channels!r} channels "
                         f"or fewer, or narrow likewise, not {narrow!r} and {wide!r}")
    if wide % narrow and wide != feature_map.channels:
        raise ValueError(f"Wide lanes must be a multiple of the {narrow!r} narrow ones, or all "
                         f"{feature_map.channels!r} channels, not {wide!r}")


class Widener(wiring.Component):
    """Hardware of :class:`Widen`; takes a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: Widen):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        narrow, wide = spec.inputs[0], spec.outputs[0]
        m.submodules.queue = queue = OutputQueue(wide.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        group = Signal(range(narrow.groups))
        slot = Signal(range(spec.times))
        pixel_ends, complete = Signal(), Signal()
        issue = Signal()
        m.d.comb += [
            pixel_ends.eq(group == narrow.groups - 1),
            complete.eq(pixel_ends | (slot == spec.times - 1)),
            queue.need.eq(complete),
            self.i.ready.eq(queue.enough),
            issue.eq(self.i.valid & self.i.ready),
            queue.reserve.eq(issue),
        ]
        with m.If(issue):
            m.d.sync += group.eq(Mux(pixel_ends, 0, group + 1))
            m.d.sync += slot.eq(Mux(complete, 0, slot + 1))

        # The first beat clears the others' lanes, in case they stay away.
        word = Signal(wide.width, reset_less=True)
        beat = Value.cast(self.i.payload)
        with m.If(issue), m.Switch(slot):
            with m.Case(0):
                m.d.sync += word.eq(beat)
            for k in range(1, spec.times):
                with m.Case(k):
                    start = k * narrow.width
                    m.d.sync += word[start:start + narrow.width].eq(beat)
        m.d.sync += queue.i_valid.eq(issue & complete)
        m.d.comb += Value.cast(queue.i_payload).eq(word)
        return m


@dataclasses.dataclass(frozen=True, kw_only=True)
class Narrow:
    """A beat of a pixel dealt out in several; only those that hold channels are made.

    Parameters
    ----------
    map : :class:`FeatureMap`
    lanes_in, lanes_out : :class:`int`
        Folding: channels of a beat that comes, and of one that goes. The former is a multiple of
        the latter, or all channels.

    Raises
    ------
    ValueError
        If the lanes are not so.
    """

    map: FeatureMap
    lanes_in: int
    lanes_out: int

    def __post_init__(self) -> None:
        _check_lanes(self.map, narrow=self.lanes_out, wide=self.lanes_in)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.map, lanes=self.lanes_in),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.map, lanes=self.lanes_out),)

    macs = 0
    multipliers = 0
    stages = 1

    @property
    def times(self) -> int:
        """Beats that one is dealt out in, at most."""
        return math.ceil(self.lanes_in / self.lanes_out)

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (x,)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def timing(self) -> Timing:
        wide, narrow = self.inputs[0], self.outputs[0]
        issues = np.arange(1, narrow.beats + 1)
        needs = (np.arange(self.map.pixels)[:, None] * wide.groups
                 + np.arange(narrow.groups) // self.times + 1).ravel()
        return Timing(
            inputs=(Input(beats=wide.beats, needs=needs, frees=needs),),
            outputs=(Output(makes=issues, depth=self.stages + OutputQueue.latency,
                            places=full_rate_places(self.stages), back=OutputQueue.back),),
            cycles=np.ones_like(issues))

    def resources(self, device: Device) -> Resources:
        wide, narrow = self.inputs[0].width, self.outputs[0].width
        count = (self.outputs[0].groups - 1).bit_length()
        slot = (self.times - 1).bit_length()
        queue = OutputQueue.cost(width=narrow, places=full_rate_places(self.stages),
                                 device=device)
        return queue + Resources(lut=wide - narrow + 2 * count, ff=wide + count + slot + 1)

    def foldings(self) -> Iterator[Self]:
        return iter((self,))

    def create(self) -> "Narrower":
        return Narrower(self)


class Narrower(wiring.Component):
    """Hardware of :class:`Narrow`; gives a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: Narrow):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec = self._spec
        wide, narrow = spec.inputs[0], spec.outputs[0]
        m.submodules.queue = queue = OutputQueue(narrow.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))

        group = Signal(range(narrow.groups))
        slot = Signal(range(spec.times))
        first = Signal(init=1)
        pixel_ends, last = Signal(), Signal()
        issue = Signal()
        m.d.comb += [
            pixel_ends.eq(group == narrow.groups - 1),
            last.eq(pixel_ends | (slot == spec.times - 1)),
            queue.need.eq(1),
            self.i.ready.eq(queue.enough & first),
            issue.eq(queue.enough & (self.i.valid | ~first)),
            queue.reserve.eq(issue),
        ]
        with m.If(issue):
            m.d.sync += group.eq(Mux(pixel_ends, 0, group + 1))
            m.d.sync += slot.eq(Mux(last, 0, slot + 1))
            m.d.sync += first.eq(last)

        word = Signal(wide.width, reset_less=True)
        with m.If(issue):
            m.d.sync += word.eq(Mux(first, Value.cast(self.i.payload), word[narrow.width:]))
        m.d.sync += queue.i_valid.eq(issue)
        m.d.comb += Value.cast(queue.i_payload).eq(word)
        return m
