"""Convolution and fully connected layers: a window, a matrix-vector unit, requantisation."""

import collections
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import DualPortMemory, Load, chain_loads
from ..operator import Constants, FeatureMap, StreamShape, Timing
from ..streams import connect_streams
from ..verilog import Once
from .drain import Drain
from .matvec import RowPair
from .requantize import Requantization
from .window import Window, delayed, fewest_for_each, shared_window
from .window_reader import WindowReader


__all__ = ["Convolution", "Convolver", "accumulator_width"]


LEAST_DEPTH = 16  # steps whose weights in block RAM are a choice: half a look-up table's words


def accumulator_width(weights: np.ndarray, bias: np.ndarray, values: FeatureMap) -> int:
    """Bits that hold any sum of a row of weights times inputs, its bias added.

    What comes before, partial sums and the sum without its bias, may exceed them: two's complement
    finds back.

    Parameters
    ----------
    weights : integers, shape (rows, ...)
    bias : integers, shape (rows,)
    values : :class:`FeatureMap`
        The inputs, for their range.
    """
    weights = weights.reshape(len(weights), -1)
    above, below = np.maximum(weights, 0).sum(1), np.minimum(weights, 0).sum(1)
    most = above * values.high + below * values.low + bias
    least = above * values.low + below * values.high + bias
    return max(int(most.max()).bit_length(), int(~least.min()).bit_length()) + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Convolution:
    """Two-dimensional convolution of quantised values; a fully connected layer is one whose kernel
    is the map.

    :py:`requantization(sum(weights[o] * window) + bias[o])`, with the zero point of the input in
    the bias, so that a window holds values as they come, and ``pad`` where there are none.

    Parameters
    ----------
    input : :class:`FeatureMap`
    kernel, strides : pairs of :class:`int`
        Rows and columns.
    padding : four :class:`int`
        Top, left, bottom, right.
    dilations : pair of :class:`int`
        Rows and columns from one of the kernel's to the next.
    pad : :class:`int`
        Value of the padding: the zero point of the input.
    weights : :class:`Constants`, shape (out_channels, kernel rows, kernel columns, channels)
        8 bits, signed.
    bias : :class:`Constants`, shape (out_channels,)
        Less the input's zero point times the sum of the weights.
    requantization : :class:`Requantization`
    output : :class:`FeatureMap`
        Its size must be what the window gives.
    acc_width : :class:`int`
        Bits of an accumulator, as :func:`accumulator_width` says.
    rows : :class:`int`
        Folding: output channels at once.
    lanes, part : :class:`int`, pair of :class:`int`
        Folding: input channels, and kernel rows and columns, at once.
    pixels : :class:`int`
        Folding: pixels of an input beat, as :class:`Window` says.
    requantizers : :class:`int`
        Folding: outputs per cycle, and lanes of the output.
    packed : :class:`bool`
        Folding: two rows share each DSP, where the device's are wide enough.
    lut_rows : :class:`int`
        Folding: rows, the last ones, whose multipliers are made of look-up tables.
    block_weights : :class:`bool`
        Folding: weights are in block RAM, however few they are.
    scaling : :class:`str`
        Folding: what multiplies in the requantizers, as :class:`Requantizer` says.
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
    rows: int = 1
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    pixels: int = 1
    requantizers: int = 1
    packed: bool = True
    lut_rows: int = 0
    block_weights: bool = False
    scaling: str = "wide"

    def __post_init__(self) -> None:
        shape = (self.output.channels, *self.kernel, self.input.channels)
        if self.weights.shape != shape or self.bias.shape != shape[:1]:
            raise ValueError(f"Weights and bias must have the shapes {shape!r} and {shape[:1]!r}, "
                             f"not {self.weights.shape!r} and {self.bias.shape!r}")
        if self.input.width != 8:
            raise ValueError(f"Inputs must have 8 bits, not {self.input.width!r}")
        if self.window.positions != (self.output.rows, self.output.columns):
            raise ValueError(f"Output must have the size {self.window.positions!r}, "
                             f"not {(self.output.rows, self.output.columns)!r}")
        if not 1 <= self.rows <= self.output.channels + self.output.channels % 2:
            raise ValueError(f"Rows must be between 1 and {self.output.channels!r} output "
                             f"channels, not {self.rows!r}")
        if not 1 <= self.requantizers <= self.output.channels:
            raise ValueError(f"Requantizers must be between 1 and {self.output.channels!r} output "
                             f"channels, not {self.requantizers!r}")
        if not 0 <= self.lut_rows <= self.rows or self.lut_rows % 2 != self.rows % 2 * (
                self.lut_rows > 0):
            raise ValueError(f"Rows of look-up tables must be whole pairs, the last ones, of "
                             f"{self.rows!r} rows, not {self.lut_rows!r}")
        if self.passes > 1 and self.rows % self.requantizers:
            raise ValueError(f"Rows {self.rows!r} must be a multiple of the requantizers "
                             f"{self.requantizers!r}, or outputs straddle passes")

    @functools.cached_property
    def window(self) -> Window:
        """The parts of the map that its passes see."""
        return shared_window(input=self.input, kernel=self.kernel, strides=self.strides,
                             padding=self.padding, dilations=self.dilations, lanes=self.lanes,
                             part=self.part, pixels=self.pixels)

    @property
    def passes(self) -> int:
        """Groups of output channels of a pixel."""
        return math.ceil(self.output.channels / self.rows)

    @property
    def steps(self) -> int:
        """Cycles in which a pass reads its window."""
        return math.prod(self.window.parts) * self.window.groups

    @property
    def columns(self) -> int:
        """Inputs that meet the weights of each row in one cycle."""
        return self.lanes * math.prod(self.part)

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (self.window.stream,)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape(map=self.output, lanes=self.requantizers),)

    @property
    def macs(self) -> int:
        return self.output.size * math.prod(self.kernel) * self.input.channels

    @property
    def multipliers(self) -> int:
        return self.rows * self.columns

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        windows = self.window.gather(x, self.pad)
        # Sums stay far below 2 ** 53: floating point is exact here, and much faster.
        flat = windows.reshape(-1, math.prod(self.weights.shape[1:])).astype(np.float64)
        weights = self.weights.values.reshape(self.output.channels, -1).astype(np.float64)
        sums = (flat @ weights.T).astype(np.int64) + self.bias.values
        return (self.requantization.apply(sums).reshape(len(x), *self.output.shape),)

    @functools.cached_property
    def drain(self) -> Drain:
        """What becomes of the sums."""
        return Drain(output=self.outputs[0], rows=self.rows, acc_width=self.acc_width,
                     requantization=self.requantization, bias=self._signed_bias,
                     steps=self.steps, latency=RowPair.latency(self.columns),
                     scaling=self.scaling)

    @property
    def interval(self) -> int:
        return max(self.inputs[0].beats, self.output.pixels * self.passes * self.drain.cycles)

    @property
    def _signed_bias(self) -> Constants:
        """The bias for inputs less half their range, where they are unsigned."""
        if self.input.signed:
            return self.bias
        half = 1 << self.input.width - 1
        return Constants(self.bias.values + half * self.weights.row_sums)

    def timing(self) -> Timing:
        output, cycles = self.drain.timing(self.output.pixels)
        window = self.window.buffered(passes=self.passes, steps=self.steps)
        return Timing(inputs=(window,), outputs=(output,), cycles=cycles)

    def resources(self, device: Device) -> Resources:
        cost = _ends_cost(self.window, self.drain, device)
        for (rows, kind), times in collections.Counter(self._pairs).items():
            cost += RowPair.cost(rows=rows, columns=self.columns, depth=self.passes * self.steps,
                                 acc_width=self.acc_width, kind=kind, block=self.block_weights,
                                 device=device) * times
        return cost

    @property
    def _pairs(self) -> list[tuple[int, str]]:
        """Rows of each pair, and what multiplies in it."""
        others = self.rows - self.lut_rows
        return [(min(2, self.rows - first), "lut" if first >= others else
                 "packed" if self.packed else "dsp") for first in range(0, self.rows, 2)]

    def foldings(self, *, most: int | None = None,
                 lane_choices: Sequence[int] | None = None) -> Iterator[Self]:
        """Rows, lanes and parts that save a pass or a step, and the fewest requantizers that keep
        up; the smallest first.

        Parameters
        ----------
        most : :class:`int`
            Multipliers, at most.
        lane_choices : sequence of :class:`int`
            Lanes that are looked at; all that save a step where left out.
        """
        found: dict[tuple[int, int, int], dict[str, Any]] = {}
        part_rows, part_columns = self.window.part_sizes(0), self.window.part_sizes(1)
        for lanes in lane_choices or fewest_for_each(self.input.channels):
            for part in itertools.product(sorted({1, part_rows[-1]}), part_columns):
                if part[0] > 1 and part[1] < part_columns[-1]:
                    continue
                steps = (math.ceil(self.kernel[0] / part[0]) * math.ceil(self.kernel[1] / part[1])
                         * math.ceil(self.input.channels / lanes))
                for rows in self._row_choices():
                    if most is not None and rows * lanes * math.prod(part) > most:
                        break
                    requantizers = fewest_requantizers(rows, self.output.channels, steps)
                    key = lanes * math.prod(part), rows, steps
                    found.setdefault(key, {"rows": rows, "lanes": lanes, "part": part,
                                           "requantizers": requantizers})
        for _, folding in sorted(found.items(), key=lambda item: (item[0][0] * item[0][1],
                                                                  item[0])):
            rows = folding["rows"]
            half = rows // 2 - (rows // 2 - rows) % 2
            for lut_rows in sorted({0, max(half, 0), rows}):
                folded = dataclasses.replace(self, **folding, lut_rows=lut_rows)
                for each in (folded, *folded._wider()):
                    yield each
                    last = each
                    if each._fills_block_ram:
                        last = dataclasses.replace(each, block_weights=True)
                        yield last
                    # For each DSP that they save, requantizers of tables take more than weights'
                    # multipliers: they come last, where there are few.
                    if lut_rows == rows and last.requantizers == 1 and self.scaling == "wide":
                        yield dataclasses.replace(last, scaling="lut")

    @property
    def _fills_block_ram(self) -> bool:
        """Whether there are so many weights that look-up tables are spared by block RAM, and so few
        that they are not there anyhow."""
        width, depth = 17 * self.columns, self.passes * self.steps
        return (depth >= LEAST_DEPTH
                and DualPortMemory.style(width=width, depth=depth) == "distributed")

    def _wider(self) -> Iterator[Self]:
        """The same with several pixels a beat, where one is what it waits for."""
        pixels = 1
        while self._waits(pixels) and self.lanes == self.input.channels:
            pixels = next((more for more in range(pixels + 1, self.part[1] + 1)
                           if self.input.columns % more == 0), 0)
            if not pixels:
                return
            yield dataclasses.replace(self, pixels=pixels)

    def _waits(self, pixels: int) -> bool:
        return (self.window.stream.beats > pixels * self.output.pixels * self.passes
                * self.drain.cycles)

    def _row_choices(self) -> list[int]:
        """Even, so that rows share multipliers; one, and all of an odd number, too."""
        channels = self.output.channels
        even = {rows + rows % 2 for rows in fewest_for_each(channels) if rows > 1}
        return sorted({1} | even) if channels > 1 else [1]

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name."""
        contents = {}
        for k, ((rows, kind), weights) in enumerate(zip(self._pairs, self._pair_weights(),
                                                        strict=True)):
            width = RowPair.word_width(rows=rows, columns=self.columns, kind=kind)
            contents[f"_pair_{k}_weights.mem"] = width, RowPair.pack(weights, kind)
        return contents | self.drain.contents()

    def _pair_weights(self) -> Iterator[np.ndarray]:
        """Weights of each pair, shape (steps, rows, columns)."""
        window, (part_rows, part_columns) = self.window, self.part
        (kernel_rows, kernel_columns), groups = window.parts, window.groups
        padded = np.zeros((self.passes * self.rows, kernel_rows * part_rows,
                           kernel_columns * part_columns, groups * self.lanes), dtype=np.int64)
        weights = self.weights.values
        padded[tuple(slice(size) for size in weights.shape)] = weights
        split = padded.reshape(self.passes, self.rows, kernel_rows, part_rows, kernel_columns,
                               part_columns, groups, self.lanes)
        steps = split.transpose(0, 2, 4, 6, 1, 3, 5, 7).reshape(
            self.passes * self.steps, self.rows, self.columns)
        for first in range(0, self.rows, 2):
            yield steps[:, first:first + 2]

    def create(self) -> "Convolver":
        return Convolver(self)


@functools.lru_cache(maxsize=4096)
def _ends_cost(window: Window, drain: Drain, device: Device) -> Resources:
    """What comes before the multipliers and after them takes: many foldings have the same."""
    return WindowReader.cost(window, device) + drain.resources(device)


def fewest_requantizers(rows: int, channels: int, cycles: int) -> int:
    """The least number that requantises a pass's rows in so many cycles without straddling."""
    if rows >= channels:
        return math.ceil(channels / cycles)
    return min(count for count in range(1, rows + 1)
               if rows % count == 0 and rows // count <= cycles)


class Convolver(wiring.Component):
    """Hardware of :class:`Convolution`.

    Parameters
    ----------
    spec : :class:`Convolution`

    Members
    -------
    i, o : streams
        Of :attr:`Convolution.inputs` and :attr:`Convolution.outputs`.
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain: weights of each pair, biases and scales.
    """

    def __init__(self, spec: Convolution):
        self._spec = spec
        super().__init__({
            "i": In(spec.inputs[0].signature), "o": Out(spec.outputs[0].signature),
            "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec, drain = self._spec, self._spec.drain
        m.submodules.window = window = WindowReader(
            spec.window, pad=spec.pad, flip=not spec.input.signed, passes=spec.passes,
            grouped=False, cycles=drain.cycles)
        m.submodules.drain = drainer = drain.create()
        connect_streams(m, "i", self.i, window.i)
        connect_streams(m, "o", drainer.o, self.o)
        m.d.comb += [
            window.enough.eq(drainer.enough), drainer.issue.eq(window.issue),
            drainer.last_pass.eq(window.last_pass),
        ]
        lasts = delayed(m, "last", window.valid & window.last, drain.latency - 2, reset=True)
        m.d.comb += drainer.ahead.eq(lasts[-1])

        x = window.o
        pairs, sums = [], []
        contents = spec.contents() if platform is None else {}
        for k, (rows, kind) in enumerate(spec._pairs):
            size = {"rows": rows, "columns": spec.columns, "depth": spec.passes * spec.steps,
                    "acc_width": spec.acc_width, "kind": kind, "block": spec.block_weights}
            _, words = contents.get(f"_pair_{k}_weights.mem", (0, None))
            pair = Once(RowPair(words=words, **size), key=("row_pair", *size.items()),
                        name="row_pair", file=f"_pair_{k}")
            m.submodules[f"pair_{k}"] = pair
            m.d.comb += [pair.ahead.eq(window.ahead), pair.first.eq(window.first), pair.x.eq(x)]
            pairs.append(pair)
            sums.append(pair.o)
        m.d.comb += drainer.sums.eq(Cat(sums))
        chain_loads(m, self, *pairs, drainer)
        return m
