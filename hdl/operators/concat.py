"""Channels put side by side: of several maps, and constant ones beside those of a map."""

import dataclasses
import functools
import math
import operator
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..deep_queue import queue_kind
from ..device import Device, Resources
from ..operator import Constants, FeatureMap, Input, StreamShape, Timing
from ..streams import OutputQueue
from .beats import beat_timing, count_steps, feed, full_rate_places, issue_beats, within
from .depthwise import divisors
from .plumbing import LEAST_PLACES


__all__ = ["ChannelPadder", "Concat", "Concatenator", "PadChannels"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Concat:
    """The channels of several maps, those of the first operand first.

    Nothing is computed: operands have the output's scale and zero point already. Where their beats
    follow one another, each operand has a queue of :attr:`places`, so that the stages before make
    one pixel of all operands at the same time.

    Parameters
    ----------
    operands : two or more :class:`FeatureMap`
        Of equal rows, columns and element.
    lanes : :class:`int`
        Folding: channels at once. Either a divisor of the channels of each operand but the last,
        whose beats then follow one another; or all channels of the output, so that each beat is a
        pixel of every operand.

    Raises
    ------
    ValueError
        If operands differ in more than their channels, or the lanes are neither.
    """

    operands: tuple[FeatureMap, ...]
    lanes: int = 1

    def __post_init__(self) -> None:
        if len(self.operands) < 2:
            raise ValueError(f"Two operands or more are put together, not {len(self.operands)!r}")
        first = self.operands[0]
        for each in self.operands:
            if each.resized(channels=first.channels) != first:
                raise ValueError(f"Operands must differ in their channels only, not {each!r} and "
                                 f"{first!r}")
        if self.lanes < 1 or (not self.whole and self.common % self.lanes):
            raise ValueError(f"Lanes must be all {self.output.channels!r} channels, or divide "
                             f"those of each operand but the last, and so {self.common!r}, "
                             f"not {self.lanes!r}")

    @property
    def common(self) -> int:
        """The greatest common divisor of the channels of all operands but the last."""
        return math.gcd(*(each.channels for each in self.operands[:-1]))

    @property
    def whole(self) -> bool:
        """Whether a beat is a pixel of every operand."""
        return self.lanes == self.output.channels

    @property
    def output(self) -> FeatureMap:
        return self.operands[0].resized(channels=sum(each.channels for each in self.operands))

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return tuple(StreamShape(map=each, lanes=min(self.lanes, each.channels))
                     for each in self.operands)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0
    stages = 1

    @property
    def places(self) -> tuple[int, ...]:
        """Beats in front of each operand: a pixel that is taken, and one that is made; 0 where
        a beat is a pixel of every operand."""
        if self.whole:
            return (0,) * len(self.operands)
        return tuple(max(LEAST_PLACES, 2 * shape.groups) for shape in self.inputs)

    @property
    def interval(self) -> int:
        return self.outputs[0].beats

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.concatenate(inputs, axis=3),)

    def timing(self) -> Timing:
        beats = self.outputs[0].beats
        timing = beat_timing(beats, inputs=len(self.operands), stages=self.stages)
        if self.whole:
            return timing
        groups = [shape.groups for shape in self.inputs]
        taken = np.repeat(np.arange(len(groups)), groups)
        inputs = []
        for k, (shape, places) in enumerate(zip(self.inputs, self.places, strict=True)):
            needs = np.tile(taken == k, self.output.pixels).cumsum()
            kind = queue_kind(shape.width, places)
            inputs.append(Input(beats=shape.beats, needs=needs, frees=needs, places=places,
                                entry=kind.latency, release=kind.back))
        return dataclasses.replace(timing, inputs=tuple(inputs))

    def resources(self, device: Device) -> Resources:
        width = self.outputs[0].width
        queue = OutputQueue.cost(width=width, places=full_rate_places(self.stages), device=device)
        if self.whole:
            return queue + Resources(lut=2 + len(self.operands), ff=width + 1)
        count = self.outputs[0].groups.bit_length()
        choice = width * math.ceil(len(self.operands) / 3) if len(self.operands) > 2 else width
        queue = sum((queue_kind(shape.width, places).cost(width=shape.width, places=places,
                                                          device=device)
                     for shape, places in zip(self.inputs, self.places, strict=True)), queue)
        return queue + Resources(lut=choice + 2 * count + 3 * len(self.operands),
                                 ff=width + count + 1)

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(self, lanes=lanes)
                for lanes in [*divisors(self.common), self.output.channels])

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "Concatenator":
        return Concatenator(self)


class Concatenator(wiring.Component):
    """Hardware of :class:`Concat`; a beat per cycle.

    Members
    -------
    i_0, i_1, ... : :py:`In(stream)`
        Operands.
    o : :py:`Out(stream)`
    """

    def __init__(self, spec: Concat):
        self._spec = spec
        super().__init__({f"i_{k}": In(shape.signature) for k, shape in enumerate(spec.inputs)}
                         | {"o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, output = self._spec, self._spec.outputs[0]
        inputs = [getattr(self, f"i_{k}") for k in range(len(spec.operands))]
        if not spec.whole:
            inputs = [self._queued(m, k, i) for k, i in enumerate(inputs)]
        m.submodules.queue = queue = OutputQueue(output.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        word = Signal(output.width, reset_less=True)
        m.d.comb += Value.cast(queue.i_payload).eq(word)
        beats = [Value.cast(i.payload) for i in inputs]
        if spec.whole:
            m.d.sync += word.eq(Cat(beats))
            m.d.comb += queue.i_valid.eq(issue_beats(m, inputs=inputs, queue=queue,
                                                     stages=spec.stages))
            return m

        issue = Signal()
        group, _ = count_steps(m, "group", issue, output.groups)
        m.d.comb += [queue.need.eq(1), queue.reserve.eq(issue)]
        m.d.sync += queue.i_valid.eq(issue)
        start, offered, chosen = 0, [], []
        for k, (i, shape) in enumerate(zip(inputs, spec.inputs, strict=True)):
            turn = Signal(name=f"turn_{k}")
            m.d.comb += [turn.eq(within(group, start, start + shape.groups, output.groups)),
                         i.ready.eq(queue.enough & turn)]
            offered.append(turn & i.valid)
            chosen.append(Mux(turn, beats[k], 0))
            start += shape.groups
        m.d.comb += issue.eq(queue.enough & Cat(offered).any())
        # The lanes that a beat leaves unused are zero already.
        m.d.sync += word.eq(functools.reduce(operator.or_, chosen))
        return m

    def _queued(self, m, k, i):
        """What leaves the queue of an operand."""
        shape, places = self._spec.inputs[k], self._spec.places[k]
        m.submodules[f"operand_{k}"] = queue = queue_kind(shape.width, places)(shape.layout,
                                                                              places=places)
        m.d.comb += i.ready.eq(queue.enough)
        feed(m, queue, i.valid & i.ready, i.payload)
        return queue.o


@dataclasses.dataclass(frozen=True, kw_only=True)
class PadChannels:
    """Channels of constants before and after those of a map.

    Parameters
    ----------
    input : :class:`FeatureMap`
    before, after : :class:`Constants`, shape (channels,)
        Values that the channels hold in every pixel; one of them may be empty.
    lanes : :class:`int`
        Folding: channels at once. Either a divisor of the channels before the input's, and, where
        there are some after, of the input's; or all channels of the output, so that each beat is a
        pixel.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    input: FeatureMap
    before: Constants
    after: Constants
    lanes: int = 1

    def __post_init__(self) -> None:
        values = np.concatenate([np.ravel(self.before.values), np.ravel(self.after.values)])
        if not values.size or (len(self.before.shape), len(self.after.shape)) != (1, 1):
            raise ValueError(f"Constants must be two vectors, not both empty, "
                             f"not of {self.before.shape!r} and {self.after.shape!r}")
        if values.min() < self.input.low or values.max() > self.input.high:
            raise ValueError(f"Constants must lie between {self.input.low!r} and "
                             f"{self.input.high!r}, not {values.min()} and {values.max()}")
        if self.lanes < 1 or (not self.whole and (self.common % self.lanes
                                                  or self.lanes > self.input.channels)):
            raise ValueError(f"Lanes must be all {self.output.channels!r} channels, or "
                             f"{self.input.channels!r} at most and divide {self.common!r}, "
                             f"not {self.lanes!r}")

    @property
    def common(self) -> int:
        """What lanes divide where a beat is not a pixel: the greatest common divisor of the
        channels before the input's, and of the input's where there are some after."""
        before = self.before.shape[0]
        if self.after.shape[0]:
            return math.gcd(before, self.input.channels)
        return before

    @property
    def whole(self) -> bool:
        """Whether a beat is a pixel."""
        return self.lanes == self.output.channels

    @property
    def output(self) -> FeatureMap:
        return self.input.resized(channels=self.input.channels + self.before.shape[0]
                                  + self.after.shape[0])

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=min(self.lanes, self.input.channels)),)

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
        before, after = (np.broadcast_to(each.values, (*x.shape[:3], each.shape[0]))
                         for each in (self.before, self.after))
        return (np.concatenate([before, x, after], axis=3),)

    @property
    def first(self) -> int:
        """Beats of a pixel before those of the input."""
        return 0 if self.whole else self.before.shape[0] // self.lanes

    def timing(self) -> Timing:
        """A pixel begins when its first beat is there, even where constants come first."""
        groups, given = self.inputs[0].groups, self.outputs[0].groups
        in_pixel = np.clip(np.arange(given) - self.first + 1, 1, groups)
        needs = (np.arange(self.output.pixels)[:, None] * groups + in_pixel).ravel()
        timing = beat_timing(self.outputs[0].beats, stages=self.stages)
        return dataclasses.replace(timing, inputs=(
            Input(beats=self.inputs[0].beats, needs=needs, frees=needs),))

    def resources(self, device: Device) -> Resources:
        width = self.outputs[0].width
        queue = OutputQueue.cost(width=width, places=full_rate_places(self.stages), device=device)
        if self.whole:
            return queue + Resources(lut=2, ff=self.inputs[0].width + 1)
        count = self.outputs[0].groups.bit_length()
        kept = self.inputs[0].width if self.first else 0
        return queue + Resources(lut=width + 2 * count + 5, ff=width + kept + count + 2)

    def foldings(self) -> Iterator[Self]:
        lanes = [each for each in divisors(self.common) if each <= self.input.channels]
        return (dataclasses.replace(self, lanes=each) for each in [*lanes, self.output.channels])

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "ChannelPadder":
        return ChannelPadder(self)


class ChannelPadder(wiring.Component):
    """Hardware of :class:`PadChannels`; gives a beat per cycle.

    Members
    -------
    i, o : :py:`In(stream)`, :py:`Out(stream)`
    """

    def __init__(self, spec: PadChannels):
        self._spec = spec
        super().__init__({"i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature)})

    def elaborate(self, platform):
        m = Module()
        spec, output = self._spec, self._spec.outputs[0]
        m.submodules.queue = queue = OutputQueue(output.layout,
                                                 places=full_rate_places(spec.stages))
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        word = Signal(output.width, reset_less=True)
        m.d.comb += Value.cast(queue.i_payload).eq(word)
        beat = Value.cast(self.i.payload)
        if spec.whole:
            before, after = (self._constants(each.values) for each in (spec.before, spec.after))
            m.d.sync += word.eq(Cat(before, beat, after))
            m.d.comb += queue.i_valid.eq(issue_beats(m, inputs=[self.i], queue=queue,
                                                     stages=spec.stages))
            return m

        # A pixel's first issue takes its first beat, which is kept until the constants are out.
        first, last = spec.first, spec.first + spec.inputs[0].groups
        issue, takes = Signal(), Signal()
        group, _ = count_steps(m, "group", issue, output.groups)
        of_input = within(group, first, last, output.groups)
        m.d.comb += [
            takes.eq((group == 0) | (of_input & (group != first)) if first else of_input),
            queue.need.eq(1),
            self.i.ready.eq(queue.enough & takes),
            issue.eq(queue.enough & (self.i.valid | ~takes)),
            queue.reserve.eq(issue),
        ]
        m.d.sync += queue.i_valid.eq(issue)
        taken = beat
        if first:
            kept = Signal.like(beat, reset_less=True)
            with m.If(issue & (group == 0)):
                m.d.sync += kept.eq(beat)
            taken = Mux(group == first, kept, beat)
        m.d.sync += word.eq(taken)
        with m.Switch(group):
            for values, start in ((spec.before.values, 0), (spec.after.values, last)):
                for k in range(0, len(values), spec.lanes):
                    with m.Case(start + k // spec.lanes):
                        m.d.sync += word.eq(self._constants(values[k:k + spec.lanes]))
        return m

    def _constants(self, values) -> Value:
        """Values side by side."""
        element = self._spec.input.element
        return Cat(Const(int(value) & (1 << element.width) - 1, element.width)
                   for value in values)
