"""Pooling: the greatest, or the mean, of a window."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..operator import Constants, FeatureMap, Output, StreamShape, Timing
from ..streams import OutputQueue, connect_streams
from .depthwise import ChannelReducer, window_foldings
from .drain import Drain
from .matvec import sum_cost, tree_cost, tree_levels
from .requantize import Requantization
from .window import Window, delayed
from .window_reader import WindowReader


__all__ = ["AveragePool", "MaxPool"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxPool:
    """The greatest value of each channel in a window; padding never wins.

    Parameters
    ----------
    input, kernel, strides, padding, dilations
        As in :class:`Convolution`.
    lanes, part : :class:`int`, pair of :class:`int`
        Folding: channels, and kernel rows and columns, at once.

    Raises
    ------
    ValueError
        If a window holds nothing but padding, or a folding is larger than what it folds.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    lanes: int = 1
    part: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if self.window.counts(self.padding).min() < 1:
            raise ValueError("Every window must hold a pixel that is not padding")

    @property
    def window(self) -> Window:
        """The parts of the map that its passes see."""
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, dilations=self.dilations, lanes=self.lanes,
                      part=self.part)

    @property
    def output(self) -> FeatureMap:
        rows, columns = self.window.positions
        return self.input.resized(rows=rows, columns=columns)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.lanes),)

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        return (self.window.gather(x, self.input.low).max(axis=(3, 4)),)

    @property
    def steps(self) -> int:
        """Cycles in which a pass, one channel group of a pixel, reads its window."""
        return math.prod(self.window.parts)

    @property
    def depth(self) -> int:
        """Cycles from a pass's issue to the offer of its beat."""
        return (self.steps - 1 + WindowReader.latency + MaxPooler.latency(math.prod(self.part))
                + OutputQueue.latency)

    @property
    def places(self) -> int:
        """Places of the output queue with which passes never wait for it."""
        return max(2, math.ceil((self.depth + OutputQueue.back) / self.steps) + 1)

    @property
    def interval(self) -> int:
        return max(self.inputs[0].beats, self.output.pixels * self.window.groups * self.steps)

    def timing(self) -> Timing:
        passes = self.output.pixels * self.window.groups
        window = self.window.buffered(passes=self.window.groups, steps=self.steps)
        output = Output(makes=np.arange(1, passes + 1), depth=self.depth, places=self.places,
                        back=OutputQueue.back)
        return Timing(inputs=(window,), outputs=(output,), cycles=np.full(passes, self.steps))

    def resources(self, device: Device) -> Resources:
        values = self.lanes * math.prod(self.part)
        width = self.input.width
        queue = OutputQueue.cost(width=self.lanes * width, places=self.places, device=device)
        greatest = Resources(lut=values * (width + 4) + 40, ff=values * width + 12)
        return greatest + queue + WindowReader.cost(self.window, device)

    def foldings(self) -> Iterator[Self]:
        return window_foldings(self)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        return {}

    def create(self) -> "MaxPooler":
        return MaxPooler(self)


class MaxPooler(wiring.Component):
    """Hardware of :class:`MaxPool`.

    Parameters
    ----------
    spec : :class:`MaxPool`

    Members
    -------
    i, o : streams
        Of :attr:`MaxPool.inputs` and :attr:`MaxPool.outputs`.
    """

    def __init__(self, spec: MaxPool):
        self._spec = spec
        super().__init__({
            "i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature),
        })

    @staticmethod
    def latency(terms: int) -> int:
        """Cycles from a window to the values that it ends: tree, greatest so far."""
        return tree_levels(terms) + 1

    def elaborate(self, platform):
        m = Module()
        spec, groups = self._spec, self._spec.window.groups
        m.submodules.window = window = WindowReader(
            spec.window, pad=spec.input.low, flip=False, passes=groups, grouped=True,
            cycles=spec.steps)
        m.submodules.queue = queue = OutputQueue(spec.outputs[0].layout, places=spec.places)
        connect_streams(m, "i", self.i, window.i)
        connect_streams(m, "o", queue.o, self.o)
        latency = self.latency(math.prod(spec.part))
        done = delayed(m, "done", window.valid & window.last, latency, reset=True)[-1]
        first = Cat(window.first, *delayed(m, "first", window.first, latency - 1))[latency - 1]
        m.d.comb += [
            queue.need.eq(1), queue.reserve.eq(window.issue), window.enough.eq(queue.enough),
            queue.i_valid.eq(done),
        ]
        width = spec.input.width
        for lane in range(spec.lanes):
            terms = [self._element(window.o.word_select(k * spec.lanes + lane, width))
                     for k in range(math.prod(spec.part))]
            value = self._greatest(m, f"lane_{lane}", terms)
            best = Signal(value.shape(), name=f"best_{lane}", reset_less=True)
            m.d.sync += best.eq(Mux(first | (value > best), value, best))
            m.d.comb += Value.cast(queue.i_payload).word_select(lane, width).eq(best)
        return m

    def _element(self, word: Value) -> Value:
        return word.as_signed() if self._spec.input.signed else word

    def _greatest(self, m, name: str, terms: list[Value]) -> Value:
        for level in range(tree_levels(len(terms))):
            winners: list[Value] = []
            for k in range(0, len(terms), 2):
                pair = terms[k:k + 2]
                winner = Signal(pair[0].shape(), name=f"{name}_{level}_{k // 2}", reset_less=True)
                m.d.sync += winner.eq(pair[0] if len(pair) == 1 else
                                      Mux(pair[0] > pair[1], pair[0], pair[1]))
                winners.append(winner)
            terms = winners
        return terms[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AveragePool:
    """The requantised sum of each channel in a window: the divisor is in the requantisation.

    Parameters
    ----------
    input, kernel, strides, padding, dilations, pad, output
        As in :class:`Convolution`.
    excluded : four :class:`int`
        Rows and columns at the top, left, bottom and right of the padded map that do not count:
        all of the padding or none, and what a last window that is not whole adds to it.
    bias : :class:`int`
        Less the input's zero point times the size of the kernel.
    requantization : :class:`Requantization`
        With one multiplier for each of :attr:`counts` where there are several, and with one shift.
    lanes, part, requantizers
        Folding, as in :class:`DepthwiseConvolution`.

    Raises
    ------
    ValueError
        If the output has another size, a window holds nothing that counts, multipliers are not as
        many as the counts, or a folding is larger than what it folds.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    pad: int = 0
    excluded: tuple[int, int, int, int] = (0, 0, 0, 0)
    bias: int = 0
    requantization: Requantization
    output: FeatureMap
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    requantizers: int = 1
    scaling: str = "wide"

    def __post_init__(self) -> None:
        if (*self.window.positions, self.input.channels) != self.output.shape:
            raise ValueError(f"Output must have the size "
                             f"{(*self.window.positions, self.input.channels)!r}, "
                             f"not {self.output.shape!r}")
        if not all(0 <= out <= size for out, size in zip(self.excluded, self.padding,
                                                         strict=True)):
            raise ValueError(f"Excluded rows and columns must be of the padding "
                             f"{self.padding!r}, not {self.excluded!r}")
        if self.counts[0] < 1:
            raise ValueError("Every window must hold a pixel that counts")
        multipliers = self.requantization.multiplier.shape[0]
        if self.kinds is not None and (multipliers != len(self.counts)
                                       or self.requantization.uniform_shift is None):
            raise ValueError(f"Windows of {self.counts!r} pixels must have a multiplier each, and "
                             f"one shift, not {multipliers!r} multipliers")
        if self.requantizers < 1 or self.lanes % self.requantizers:
            raise ValueError(f"Requantizers must divide {self.lanes!r} lanes, "
                             f"not {self.requantizers!r}")

    @property
    def window(self) -> Window:
        """The parts of the map that its passes see."""
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, dilations=self.dilations, lanes=self.lanes,
                      part=self.part)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.requantizers),)

    macs = 0
    multipliers = 0

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        sums = self.window.gather(x, self.pad).sum(axis=(3, 4)) + self.bias
        if self.kinds is None:
            return (self.requantization.apply(sums),)
        # Requantisation goes by the last axis, where there is a multiplier for each kind.
        results = [self.requantization.apply(sums[..., None].repeat(len(self.counts), -1))
                   [..., kind] for kind in range(len(self.counts))]
        return (np.choose(self.kinds.values[..., None], results),)

    @property
    def counts(self) -> tuple[int, ...]:
        """Pixels that count, of every kind of window, ascending."""
        return tuple(np.unique(self.window.counts(self.excluded)).tolist())

    @property
    def kinds(self) -> Constants | None:
        """Which of the counts each output pixel has, shape (rows, columns); None where all have
        the same."""
        counts = self.window.counts(self.excluded)
        if len(self.counts) == 1:
            return None
        return Constants(np.searchsorted(self.counts, counts))

    @property
    def steps(self) -> int:
        """Cycles in which a pass, one channel group of a pixel, reads its window."""
        return math.prod(self.window.parts)

    @property
    def acc_width(self) -> int:
        """Bits of a sum and its bias, whatever the zero point."""
        return (math.prod(self.kernel) << self.input.width).bit_length() + 1

    @property
    def drain(self) -> Drain:
        """What becomes of the sums."""
        bias = self.bias
        if not self.input.signed:
            bias += math.prod(self.kernel) << self.input.width - 1
        return Drain(output=self.outputs[0], rows=self.lanes, acc_width=self.acc_width,
                     requantization=self.requantization,
                     bias=Constants(np.full(self.input.channels, bias)), steps=self.steps,
                     latency=ChannelReducer.latency(math.prod(self.part), weighted=False),
                     kinds=self.kinds, scaling=self.scaling)

    @property
    def interval(self) -> int:
        return max(self.inputs[0].beats,
                   self.output.pixels * self.window.groups * self.drain.cycles)

    def timing(self) -> Timing:
        output, cycles = self.drain.timing(self.output.pixels)
        window = self.window.buffered(passes=self.window.groups, steps=self.steps)
        return Timing(inputs=(window,), outputs=(output,), cycles=cycles)

    def resources(self, device: Device) -> Resources:
        terms = self.lanes * math.prod(self.part)
        bits = self.lanes * self.acc_width
        # The input's register, the tree and the sum of each lane, passes over groups.
        shifted = WindowReader.shifts(self.window, device)
        sums = sum_cost(bits, device) + Resources(lut=50, ff=(0 if shifted else 8 * terms) + 12)
        sums += tree_cost(math.prod(self.part), self.input.width, device) * self.lanes
        return sums + WindowReader.cost(self.window, device) + self.drain.resources(device)

    def foldings(self) -> Iterator[Self]:
        scalings = ("wide", "lut") if self.scaling == "wide" else (self.scaling,)
        return (dataclasses.replace(folding, scaling=scaling)
                for folding in window_foldings(self) for scaling in scalings)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name."""
        return self.drain.contents()

    def create(self) -> "ChannelReducer":
        return ChannelReducer(self, weighted=False)
