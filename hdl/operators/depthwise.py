"""Depthwise convolution: each channel with a kernel of its own."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, LoadedMemory, chain_loads
from ..multiplier import LATENCY, dsp_product, lut_product
from ..operator import Constants, FeatureMap, StreamShape, Timing
from ..streams import connect_streams
from .drain import Drain
from .matvec import adder_tree, input_cost, join_fields, product_cost, tree_cost, tree_levels
from .requantize import Requantization
from .window import Window, delayed, fewest_for_each
from .window_reader import WindowReader


__all__ = ["ChannelReducer", "DepthwiseConvolution", "divisors", "window_foldings"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthwiseConvolution:
    """Two-dimensional convolution of each channel with its own kernel.

    :py:`requantization(sum(weights[c] * window[c]) + bias[c])`, the zero point of the input in the
    bias, as in :class:`Convolution`.

    Parameters
    ----------
    input, kernel, strides, padding, dilations, pad, bias, requantization, output, acc_width
        As in :class:`Convolution`; the output's channels are those of the input, or a multiple:
        then as many neighbouring ones are of one channel.
    weights : :class:`Constants`, shape (out_channels, kernel rows, kernel columns)
        8 bits, signed.
    lanes, part : :class:`int`, pair of :class:`int`
        Folding: input channels, and kernel rows and columns, at once.
    requantizers : :class:`int`
        Folding: outputs per cycle, and lanes of the output; divides the outputs of all lanes.
    lut : :class:`bool`
        Folding: whether multipliers are made of look-up tables.
    """

    input: FeatureMap
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilations: tuple[int, int] = (1, 1)
    pad: int = 0
    weights: Constants
    bias: Constants
    requantization: Requantization
    output: FeatureMap
    acc_width: int
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    requantizers: int = 1
    lut: bool = False

    def __post_init__(self) -> None:
        shape = (self.output.channels, *self.kernel)
        if self.weights.shape != shape or self.bias.shape != shape[:1]:
            raise ValueError(f"Weights and bias must have the shapes {shape!r} and {shape[:1]!r}, "
                             f"not {self.weights.shape!r} and {self.bias.shape!r}")
        if self.window.positions != self.output.shape[:2] or (
                self.output.channels % self.input.channels):
            raise ValueError(f"Output must have the size "
                             f"{(*self.window.positions, self.input.channels)!r}, or a multiple of "
                             f"the channels, not {self.output.shape!r}")
        if self.input.width != 8:
            raise ValueError(f"Inputs must have 8 bits, not {self.input.width!r}")
        if self.requantizers < 1 or self.sums % self.requantizers:
            raise ValueError(f"Requantizers must divide {self.sums!r} sums of a pass, "
                             f"not {self.requantizers!r}")

    @property
    def window(self) -> Window:
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, dilations=self.dilations, lanes=self.lanes,
                      part=self.part)

    @property
    def times(self) -> int:
        """Output channels of an input channel."""
        return self.output.channels // self.input.channels

    @property
    def sums(self) -> int:
        """Outputs of a pass: of all lanes."""
        return self.lanes * self.times

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.input, lanes=self.lanes),)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.requantizers),)

    @property
    def macs(self) -> int:
        return self.output.size * math.prod(self.kernel)

    @property
    def multipliers(self) -> int:
        return self.sums * math.prod(self.part)

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        windows = self.window.gather(x, self.pad)
        weights = self.weights.values.reshape(self.input.channels, self.times, *self.kernel)
        sums = np.einsum("fyxijc,cmij->fyxcm", windows, weights)
        return (self.requantization.apply(sums.reshape(len(x), *self.output.shape)
                                          + self.bias.values),)

    @property
    def steps(self) -> int:
        """Cycles in which a pass, one channel group of a pixel, reads its window."""
        return math.prod(self.window.parts)

    @property
    def drain(self) -> Drain:
        """What becomes of the sums."""
        bias = self.bias.values
        if not self.input.signed:
            bias = bias + 128 * self.weights.values.reshape(len(bias), -1).sum(1)
        return Drain(output=self.outputs[0], rows=self.sums, acc_width=self.acc_width,
                     requantization=self.requantization, bias=Constants(bias), steps=self.steps,
                     latency=ChannelReducer.latency(math.prod(self.part), weighted=True))

    @property
    def interval(self) -> int:
        return max(self.inputs[0].beats,
                   self.output.pixels * self.window.groups * self.drain.cycles)

    def timing(self) -> Timing:
        output, cycles = self.drain.timing(self.output.pixels)
        window = self.window.buffered(passes=self.window.groups, steps=self.steps)
        return Timing(inputs=(window,), outputs=(output,), cycles=cycles)

    def resources(self, device: Device) -> Resources:
        terms, kind = self.multipliers, "lut" if self.lut else "dsp"
        sums = (tree_cost(math.prod(self.part), 16) + Resources(
            lut=self.acc_width, ff=self.acc_width)) * self.sums
        products = product_cost(kind, device) * terms + input_cost(
            kind, self.lanes * math.prod(self.part), device)
        weights = LoadedMemory.cost(width=8 * terms, depth=self.window.groups * self.steps,
                                    device=device)
        control = Resources(lut=50, ff=12)  # passes over groups, delays of their marks
        return (sums + products + weights + control + WindowReader.cost(self.window, device)
                + self.drain.resources(device))

    def foldings(self) -> Iterator[Self]:
        return (dataclasses.replace(folding, lut=lut) for folding in window_foldings(self)
                for lut in (False, True))

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name."""
        (part_rows, part_columns), (rows, columns) = self.part, self.window.parts
        groups = self.window.groups
        padded = np.zeros((groups * self.sums, rows * part_rows, columns * part_columns),
                          dtype=np.int64)
        padded[tuple(slice(size) for size in self.weights.shape)] = self.weights.values
        split = padded.reshape(groups, self.sums, rows, part_rows, columns, part_columns)
        steps = split.transpose(0, 2, 4, 3, 5, 1).reshape(groups * self.steps, -1)
        return {"_weights.mem": (8 * steps.shape[1], join_fields(steps & 0xFF, 8))
                } | self.drain.contents()

    def create(self) -> "ChannelReducer":
        return ChannelReducer(self, weighted=True)


def divisors(count: int) -> list[int]:
    """All divisors, ascending."""
    return [size for size in range(1, count + 1) if count % size == 0]


def window_foldings(spec) -> Iterator:
    """Foldings of an operator on each channel's window: lanes and parts that save a pass or a
    step, and the fewest requantizers that keep up; the smallest first."""
    kernel_rows, kernel_columns = spec.kernel
    part_rows, part_columns = spec.window.part_sizes(0), spec.window.part_sizes(1)
    parts = [(1, columns) for columns in part_columns]
    parts += [(rows, part_columns[-1]) for rows in part_rows if rows > 1]
    found: dict[tuple[int, int, int], dict[str, object]] = {}
    for lanes, part in itertools.product(fewest_for_each(spec.input.channels), parts):
        steps = math.ceil(kernel_rows / part[0]) * math.ceil(kernel_columns / part[1])
        folding = {"lanes": lanes, "part": part}
        if hasattr(spec, "requantizers"):
            sums = lanes * getattr(spec, "times", 1)
            folding["requantizers"] = min(count for count in divisors(sums)
                                          if sums // count <= steps)
        found.setdefault((lanes * math.prod(part), lanes, steps), folding)
    for _, folding in sorted(found.items()):
        yield dataclasses.replace(spec, **folding)


class ChannelReducer(wiring.Component):
    """Hardware of operators that sum the window of each channel, weighted or not:
    :class:`DepthwiseConvolution`, :class:`AveragePool`.

    Parameters
    ----------
    spec
        With ``window``, ``lanes``, ``part``, ``pad``, ``drain``, ``acc_width`` and, for weights,
        ``contents()``.
    weighted : :class:`bool`
        Whether there are weights.

    Members
    -------
    i, o : streams
        Of the spec's ``inputs`` and ``outputs``.
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain: weights, biases and scales.
    """

    def __init__(self, spec, *, weighted: bool):
        self._spec = spec
        self._weighted = weighted
        super().__init__({
            "i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature),
            "load": In(Load), "load_o": Out(Load),
        })

    @staticmethod
    def latency(terms: int, *, weighted: bool) -> int:
        """Cycles from a window to the sums that it ends: operands, two for the product where
        there is one, tree, accumulator."""
        return 2 + (LATENCY if weighted else 0) + tree_levels(terms)

    def elaborate(self, platform):
        m = Module()
        spec, drain = self._spec, self._spec.drain
        m.submodules.window = window = WindowReader(
            spec.window, pad=spec.pad, flip=not spec.input.signed, passes=spec.window.groups,
            grouped=True, cycles=drain.cycles)
        m.submodules.drain = drainer = drain.create()
        connect_streams(m, "i", self.i, window.i)
        connect_streams(m, "o", drainer.o, self.o)
        m.d.comb += [
            window.enough.eq(drainer.enough), drainer.issue.eq(window.issue),
            drainer.last_pass.eq(window.last_pass),
        ]
        lasts = delayed(m, "last", window.valid & window.last, drain.latency, reset=True)
        m.d.comb += drainer.ahead.eq(Cat(window.valid & window.last, lasts)[drain.latency - 2])
        first = delayed(m, "first", window.first, drain.latency - 1)[-1]

        x = Signal(len(window.o), reset_less=True)
        m.d.sync += x.eq(window.o)
        terms = [x.word_select(k, 8).as_signed() for k in range(len(x) // 8)]
        memories = []
        count = spec.lanes
        if self._weighted:
            weights = self._weights(m, window.ahead)
            product = lut_product if spec.lut else dsp_product
            # Each term meets the weights of all outputs that are its channel's.
            terms = [product(m, f"product_{k}", terms[k // spec.times],
                             weights.r_data.word_select(k, 8).as_signed())
                     for k in range(len(terms) * spec.times)]
            count = spec.sums
            memories.append(weights)
        sums = []
        for lane in range(count):
            total, _ = adder_tree(m, f"lane_{lane}", terms[lane::count])
            acc = Signal(signed(spec.acc_width), name=f"acc_{lane}", reset_less=True)
            m.d.sync += acc.eq(Mux(first, 0, acc) + total)
            sums.append(acc)
        m.d.comb += drainer.sums.eq(Cat(sums))
        chain_loads(m, self, *memories, drainer)
        return m

    def _weights(self, m, ahead: Value) -> LoadedMemory:
        spec = self._spec
        width, words = spec.contents()["_weights.mem"]
        depth = len(words)
        m.submodules.weights = weights = LoadedMemory(width=width, depth=depth, words=words,
                                                      file="_weights.mem")
        address = Signal(range(max(2, depth)))
        with m.If(ahead):
            m.d.sync += address.eq(Mux(address == depth - 1, 0, address + 1))
        m.d.comb += weights.r_addr.eq(address)
        return weights
