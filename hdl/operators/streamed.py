"""Convolution and fully connected layers whose weights come as a stream, anew for each frame."""

import collections
import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import Self

import numpy as np
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..device import Device, Resources
from ..memories import Load, chain_loads
from ..operator import Constants, FeatureMap, Input, StreamShape, Timing
from ..streams import connect_streams
from ..verilog import Once
from .depthwise import divisors
from .group_drain import GroupDrain
from .reorder import Reorder
from .requantize import Requantization
from .tiles import TileReader, Tiling
from .weight_buffer import StreamedPair, WeightFeed
from .window import Window, delayed, shared_window


__all__ = ["StreamedConvolution", "StreamedConvolver"]


LEAST_TILE = 4  # pixels of a part of a row: for less, weights cross too often


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamedConvolution:
    """A :class:`Convolution` of which only some output channels' weights are on the chip at a time.

    Its second input brings them: the map is made tile by tile, each tile one group of ``rows``
    output channels after another, and while the pixels of a group are made, the weights of the next
    come in. A frame's weights cross once for each of its tiles.

    In general, the output is a map in the order in which it is made, whose channels are those of a
    group: for each tile, and each group, the tile's rows. :class:`Reorder` makes the layer's own
    map of it. Where both orders are the same, the output is that map already: of one group, and of
    tiles of one pixel whose groups leave nothing over.

    Parameters
    ----------
    input, kernel, strides, padding, dilations, pad, requantization, output
        As in :class:`Convolution`.
    weights : :class:`Constants`, shape (out_channels, kernel rows, kernel columns, channels)
        8 bits, signed: what :meth:`weight_frame` gives, and what the range of the sums is known by.
    bias : :class:`Constants`, shape (out_channels,)
        Less the input's zero point times the sum of the weights.
    acc_width : :class:`int`
        Bits of an accumulator, as :func:`accumulator_width` says.
    rows : :class:`int`
        Folding: output channels at once; 1, or an even number.
    lanes : :class:`int`
        Folding: input channels at once.
    tile : :class:`int`
        Folding: output pixels for which the weights cross once; whole rows, or of a kernel of one
        pixel what divides a row.
    overlap : :class:`bool`
        Folding: whether the input buffer holds the next tile's rows beside those of a tile.
    requantizers : :class:`int`
        Folding: outputs per cycle, and lanes of the output.
    packed : :class:`bool`
        Folding: two rows share each DSP, where the device's are wide enough.
    lut_rows : :class:`int`
        Folding: rows, the last ones, whose multipliers are made of look-up tables.
    pace, rest : :class:`int`
        Folding: cycles from a pass to the next, at the least; and so many more after a group's
        last, so that groups take as long as is asked for to a cycle.
    gap : :class:`int`
        Folding: cycles from a beat of weights to the next, at the least.
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
    tile: int
    overlap: bool = True
    requantizers: int = 1
    packed: bool = True
    lut_rows: int = 0
    pace: int = 0
    rest: int = 0
    gap: int = 1

    def __post_init__(self) -> None:
        shape = (self.output.channels, *self.kernel, self.input.channels)
        if self.weights.shape != shape or self.bias.shape != shape[:1]:
            raise ValueError(f"Weights and bias must have the shapes {shape!r} and {shape[:1]!r}, "
                             f"not {self.weights.shape!r} and {self.bias.shape!r}")
        if self.input.width != 8:
            raise ValueError(f"Inputs must have 8 bits, not {self.input.width!r}")
        if (not 1 <= self.rows <= self.output.channels + self.output.channels % 2
                or (self.rows > 1 and self.rows % 2)):
            raise ValueError(f"Rows must be 1, or even and at most the {self.output.channels!r} "
                             f"output channels, not {self.rows!r}")
        if self.tile < 1 or (self.output.columns % self.tile if self._divides_rows
                             else self.output.pixels % self.tile or
                             self.tile % self.output.columns):
            raise ValueError(f"Tile must be rows that divide the {self.output.rows!r} of "
                             f"{self.output.columns!r} pixels, or divide a row where the kernel "
                             f"is one pixel, not {self.tile!r} pixels")
        if self.window.positions != self._viewed(self.output).shape[:2]:
            raise ValueError(f"Output must have the size {self.window.positions!r}, "
                             f"not {self.output.shape[:2]!r}")
        most = self.group.map.channels
        if not 1 <= self.requantizers <= most or (self.passes > 1 and most % self.requantizers):
            raise ValueError(f"Requantizers must be at most, and of several groups divide, the "
                             f"{most!r} channels of a group, not {self.requantizers!r}")
        if not 0 <= self.lut_rows <= self.rows or self.lut_rows % min(self.rows, 2):
            raise ValueError(f"Rows of look-up tables must be whole pairs, the last ones, of "
                             f"{self.rows!r} rows, not {self.lut_rows!r}")
        if self.pace < 0 or self.rest < 0 or self.gap < 1:
            raise ValueError(f"Pace and rest must not be negative, and a gap must be positive, "
                             f"not {self.pace!r}, {self.rest!r} and {self.gap!r}")

    @functools.cached_property
    def window(self) -> Window:
        return shared_window(input=self._viewed(self.input), kernel=self.kernel,
                             strides=self.strides, padding=self.padding, dilations=self.dilations,
                             lanes=self.lanes)

    @property
    def _pointwise(self) -> bool:
        """Whether an output's pixel needs the input's alone, so that rows mean nothing."""
        return (math.prod(self.kernel) == 1 == math.prod(self.strides)
                and not any(self.padding))

    @property
    def _divides_rows(self) -> bool:
        return self._pointwise and self.tile < self.output.columns

    def _viewed(self, feature_map: FeatureMap) -> FeatureMap:
        """The map; where tiles are parts of its rows, one with a row for each of them."""
        if not self._divides_rows:
            return feature_map
        return feature_map.resized(rows=feature_map.pixels // self.tile, columns=self.tile)

    @functools.cached_property
    def tiling(self) -> Tiling:
        """The order of the output pixels."""
        return Tiling(window=self.window, tile=self.tile // self.window.positions[1],
                      passes=self.passes, overlap=self.overlap)

    @property
    def passes(self) -> int:
        """Groups of output channels."""
        return math.ceil(self.output.channels / self.rows)

    @property
    def pairs(self) -> int:
        """Row pairs, or the one row."""
        return math.ceil(self.rows / 2)

    @property
    def steps(self) -> int:
        """Cycles in which a pass reads its window."""
        return math.prod(self.kernel) * self.window.groups

    @property
    def group_beats(self) -> int:
        """Beats of the weights of a group."""
        return self.pairs * self.steps

    @property
    def weight_shape(self) -> StreamShape:
        """How the weights come: a row of the map for each tile, a beat for each step and pair.

        A beat has the lanes' weights of the pair's first row, then those of its second.
        """
        channels = min(self.rows, 2) * self.lanes
        return StreamShape(lanes=channels, map=FeatureMap(
            rows=self.tiling.tiles, columns=self.passes * self.group_beats, channels=channels))

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return StreamShape(map=self.input, lanes=self.lanes), self.weight_shape

    @property
    def group(self) -> StreamShape:
        """The output in the order in which it is made."""
        made = self.output
        if self.passes > 1:
            made = made.resized(rows=self.passes * made.rows, channels=self.rows)
        return StreamShape(map=made, lanes=min(max(self.requantizers, 1), made.channels))

    @property
    def in_order(self) -> bool:
        """Whether that is the order of the layer's map."""
        return self.passes == 1 or (
            self.tiling.pixels == 1 and self.output.channels == self.passes * self.rows)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        if self.in_order:
            return (StreamShape(map=self.output, lanes=self.requantizers),)
        return (self.group,)

    def reorder(self, tiles_held: int = 2) -> Reorder:
        """What makes the layer's map of an output that is not in its order."""
        return Reorder(output=self.output, group=self.rows, tile=self.tile,
                       lanes=self.requantizers, tiles_held=tiles_held)

    @property
    def macs(self) -> int:
        return self.output.size * math.prod(self.kernel) * self.input.channels

    @property
    def multipliers(self) -> int:
        return self.rows * self.lanes

    @property
    def dram_bytes(self) -> int:
        """Bytes of weights that cross for each frame."""
        return self.weight_shape.map.size

    def paced(self, cycles: int) -> Self:
        """The same with frames that take as many cycles, or a little less, if it is faster."""
        paced = dataclasses.replace(self, pace=0, rest=0, gap=1)
        pace, rest = divmod(cycles // (self.tiling.tiles * self.passes), self.tiling.pixels)
        if pace >= paced.drain.cycles:
            paced = dataclasses.replace(paced, pace=pace, rest=rest)
        group = paced.tiling.pixels * paced.drain.cycles + paced.rest
        return dataclasses.replace(paced, gap=max(1, (group - group // 16) // self.group_beats))

    def weight_frame(self) -> np.ndarray:
        """The weights of one frame as :attr:`weight_shape` takes them, shape (tiles, beats of a
        tile, channels): rows that are all the same."""
        groups = self.window.groups
        padded = np.zeros((self.passes * self.rows, *self.kernel, groups * self.lanes), np.int8)
        padded[tuple(slice(size) for size in self.weights.shape)] = self.weights.values
        split = padded.reshape(self.passes, self.pairs, -1, *self.kernel, groups, self.lanes)
        beats = split.transpose(0, 3, 4, 5, 1, 2, 6).reshape(self.weight_shape.map.shape[1:])
        return np.broadcast_to(beats, self.weight_shape.map.shape)

    def _weight_rows(self, beats: np.ndarray) -> np.ndarray:
        """The inverse for the beats of a tile: shape (rows of all groups, values of a window)."""
        channels, groups = self.input.channels, self.window.groups
        split = beats.reshape(self.passes, *self.kernel, groups, self.pairs, -1, self.lanes)
        rows = split.transpose(0, 4, 5, 1, 2, 3, 6).reshape(
            self.passes * self.rows, *self.kernel, groups * self.lanes)
        return rows[..., :channels].reshape(len(rows), -1).astype(np.float64)

    def compute(self, x: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
        """The output for the weights that come with each frame, shape (frames, tiles, beats of a
        tile, channels); bias and accumulators stay those of the spec's own weights."""
        windows = self.window.gather(x.reshape(len(x), *self.window.input.shape), self.pad)
        windows = windows.reshape(len(x), self.tiling.tiles, self.tiling.pixels, -1)
        less = 0 if self.input.signed else 1 << self.input.width - 1
        drain, channels = self.drain, self.group.map.channels
        results = np.empty((*windows.shape[:2], self.passes, self.tiling.pixels, channels),
                           np.int64)
        known: tuple[int, np.ndarray] | None = None
        for frame, tile in np.ndindex(*windows.shape[:2]):
            beats = weights[frame, tile]
            # Rows of a broadcast array are one in memory: they are brought in order once.
            if known is None or known[0] != beats.ctypes.data:
                known = beats.ctypes.data, self._weight_rows(beats)
            # Sums stay far below 2 ** 53: floating point is exact here, and much faster.
            flat = windows[frame, tile].astype(np.float64) - less
            sums = (flat @ known[1].T).astype(np.int64)[:, :self.passes * channels]
            values = drain.requantization.apply(sums + drain.bias.values)
            results[frame, tile] = values.reshape(-1, self.passes, channels).swapaxes(0, 1)
        return (results.reshape(len(x), *self.outputs[0].map.shape),)

    @functools.cached_property
    def drain(self) -> GroupDrain:
        """What becomes of the sums."""
        bias = self.bias.values
        if not self.input.signed:
            half = 1 << self.input.width - 1
            bias = bias + half * self.weights.row_sums
        return GroupDrain.padded(
            output=self.group, passes=self.passes, rows=self.rows, acc_width=self.acc_width,
            requantization=self.requantization, bias=bias, steps=self.steps, pace=self.pace,
            latency=TileReader.latency + StreamedPair.latency(self.lanes))

    @property
    def interval(self) -> int:
        """Each group takes its passes' cycles, or as long as the weights of the next come in.

        Without ``overlap``, the input of a tile may take longer than that of the tile before
        leaves room for.
        """
        group = max(self.tiling.pixels * self.drain.cycles + self.rest,
                    self.group_beats * self.gap)
        return max(self.inputs[0].beats, self.tiling.tiles * self.passes * group)

    def timing(self) -> Timing:
        output, cycles = self.drain.timing(self.output.pixels * self.passes)
        pixels = self.tiling.pixels
        cycles[pixels - 1::pixels] += self.rest
        group = np.arange(self.tiling.tiles * self.passes).repeat(pixels)
        frees = group * self.group_beats
        frees[pixels - 1::pixels] += self.group_beats
        weights = Input(beats=self.weight_shape.beats, needs=(group + 1) * self.group_beats,
                        frees=frees, places=2 * self.group_beats, entry=1, release=1,
                        gap=self.gap)
        return Timing(inputs=(self.tiling.buffered(steps=self.steps), weights),
                      outputs=(output,), cycles=cycles)

    def resources(self, device: Device) -> Resources:
        cost = TileReader.cost(self.tiling, device) + self.drain.resources(device)
        cost += WeightFeed.cost(rows=min(self.rows, 2), columns=self.lanes, pairs=self.pairs,
                                steps=self.steps, kinds=set(self.kinds), gap=self.gap)
        for kind, times in collections.Counter(self.kinds).items():
            cost += StreamedPair.cost(rows=min(self.rows, 2), columns=self.lanes,
                                      steps=self.steps, acc_width=self.acc_width, kind=kind,
                                      device=device) * times
        return cost

    @property
    def kinds(self) -> list[str]:
        """What multiplies in each pair."""
        first = self.pairs - math.ceil(self.lut_rows / 2)
        other = "packed" if self.packed and self.rows > 1 else "dsp"
        return [other if k < first else "lut" for k in range(self.pairs)]

    def foldings(self) -> Iterator[Self]:
        """Rows and lanes that leave nothing over, of which two for each number of multipliers, and
        tiles of the whole map, a half of it at most, a quarter and so on, a row's as well where it
        can be divided; the smallest first."""
        channels = self.output.channels + self.output.channels % 2
        rows = [1, *(size for size in divisors(channels) if size % 2 == 0)]
        if channels > 4:
            # With fewer groups than three the weights might as well stay on the chip.
            rows = [size for size in rows if 3 * size <= channels]
        found: dict[int, list[tuple[int, int]]] = collections.defaultdict(list)
        for size in rows:
            for lanes in divisors(self.input.channels):
                found[size * lanes].append((size, lanes))
        for multipliers in sorted(found):
            for size, lanes in found[multipliers][:2]:
                for tile in self._tiles():
                    yield from self._folded(size, lanes, tile)

    def _tiles(self) -> list[int]:
        rows, columns = self.output.shape[:2]
        tiles = [columns * size for size in _halved(rows)]
        if not self._pointwise:
            return tiles
        return [*(size for size in _halved(columns)[:-1] if size >= LEAST_TILE), *tiles]

    def _folded(self, rows: int, lanes: int, tile: int) -> Iterator[Self]:
        steps = math.prod(self.kernel) * math.ceil(self.input.channels / lanes)
        most = self.output.channels if rows >= self.output.channels else rows
        requantizers = next(count for count in divisors(most) if most // count <= steps)
        for lut_rows in (0, rows):
            yield dataclasses.replace(self, rows=rows, lanes=lanes, tile=tile, lut_rows=lut_rows,
                                      requantizers=requantizers)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Biases and scales, by the end of their file's name."""
        return self.drain.contents()

    def create(self) -> "StreamedConvolver":
        return StreamedConvolver(self)


def _halved(count: int) -> list[int]:
    """A count, the greatest of its divisors that is a half of it at most, and so on down to 1; the
    smallest first."""
    sizes = [count]
    while sizes[-1] > 1:
        sizes.append(max(size for size in divisors(count) if 2 * size <= sizes[-1]))
    return sizes[::-1]


class StreamedConvolver(wiring.Component):
    """Hardware of :class:`StreamedConvolution`.

    Parameters
    ----------
    spec : :class:`StreamedConvolution`

    Members
    -------
    i_0, i_1, o : streams
        The map and the weights, and the output.
    load, load_o : :py:`In(Load)`, :py:`Out(Load)`
        The load chain: biases and scales.
    """

    def __init__(self, spec: StreamedConvolution):
        self._spec = spec
        super().__init__({
            "i_0": In(spec.inputs[0].signature), "i_1": In(spec.inputs[1].signature),
            "o": Out(spec.outputs[0].signature), "load": In(Load), "load_o": Out(Load),
        })

    def elaborate(self, platform):
        m = Module()
        spec, drain = self._spec, self._spec.drain
        m.submodules.reader = reader = TileReader(
            spec.tiling, pad=spec.pad, flip=not spec.input.signed, cycles=drain.cycles,
            rest=spec.rest)
        m.submodules.drain = drainer = drain.create()
        m.submodules.feed = feed = WeightFeed(
            spec.weight_shape, columns=spec.lanes, pairs=spec.pairs, steps=spec.steps,
            gap=spec.gap)
        connect_streams(m, "i_0", self.i_0, reader.i)
        connect_streams(m, "i_1", self.i_1, feed.i)
        connect_streams(m, "o", drainer.o, self.o)
        chain_loads(m, self, drainer)
        m.d.comb += [
            reader.enough.eq(drainer.enough & feed.enough), drainer.issue.eq(reader.issue),
            feed.release.eq(reader.group_issued),
        ]
        # Two cycles before the sums, which come so long after the last step's window.
        wait = StreamedPair.latency(spec.lanes) - 1
        m.d.comb += [
            drainer.ahead.eq(delayed(m, "last", reader.last, wait, reset=True)[-1]),
            drainer.turn.eq(delayed(m, "turn", reader.turn, wait)[-1]),
        ]
        sums = []
        for k, kind in enumerate(spec.kinds):
            size = {"rows": min(spec.rows, 2), "columns": spec.lanes, "steps": spec.steps,
                    "acc_width": spec.acc_width, "kind": kind}
            m.submodules[f"pair_{k}"] = pair = Once(
                StreamedPair(**size), key=("streamed_pair", *size.items()), name="streamed_pair")
            m.d.comb += [
                pair.ahead.eq(reader.ahead), pair.last.eq(reader.last), pair.turn.eq(reader.turn),
                pair.first.eq(reader.first), pair.x.eq(reader.o), pair.w_en.eq(feed.w_en[k]),
                pair.w_data.eq(feed.packed if kind == "packed" else feed.plain),
            ]
            sums.append(pair.o)
        m.d.comb += drainer.sums.eq(Cat(sums))
        return m
