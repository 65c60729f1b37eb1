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
from ..multiplier import LATENCY, dsp_product, lut_product, with_carry
from ..operator import Constants, FeatureMap, StreamShape, Timing
from ..streams import connect_streams
from .drain import Drain
from .matvec import (
    adder_tree,
    input_cost,
    join_fields,
    product_cost,
    sum_cost,
    tree_cost,
    tree_levels,
)
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
    pixels : :class:`int`
        Folding: pixels of an input beat, as :class:`Window` says.
    requantizers : :class:`int`
        Folding: outputs per cycle, and lanes of the output; divides the outputs of all lanes. Of a
        pair, all those of one pixel's channels, and then those of both, are the most.
    pair : :class:`bool`
        Folding: whether a pass makes two pixels side by side, with the same weights. Their rows
        must be whole pairs, all channels be lanes, and the part hold all kernel columns, which
        must not be dilated.
    packed : :class:`bool`
        Folding: the two pixels of a pair share each DSP, where the device's are wide enough.
    lut : :class:`bool`
        Folding: whether multipliers are made of look-up tables.
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
    lanes: int = 1
    part: tuple[int, int] = (1, 1)
    pixels: int = 1
    requantizers: int = 1
    pair: bool = False
    packed: bool = True
    lut: bool = False
    scaling: str = "wide"

    def __post_init__(self) -> None:
        shape = (self.output.channels, *self.kernel)
        if self.weights.shape != shape or self.bias.shape != shape[:1]:
            raise ValueError(f"Weights and bias must have the shapes {shape!r} and {shape[:1]!r}, "
                             f"not {self.weights.shape!r} and {self.bias.shape!r}")
        if self.kernel_window.positions != self.output.shape[:2] or (
                self.output.channels % self.input.channels):
            raise ValueError(f"Output must have the size "
                             f"{(*self.kernel_window.positions, self.input.channels)!r}, or a "
                             f"multiple of the channels, not {self.output.shape!r}")
        if self.input.width != 8:
            raise ValueError(f"Inputs must have 8 bits, not {self.input.width!r}")
        if self.pair and not self._pairs(self.lanes, self.part):
            raise ValueError(f"Pairs of pixels must have even columns, no dilation, all channels "
                             f"as lanes and all kernel columns as part, not "
                             f"{self.output.columns!r}, {self.dilations[1]!r}, {self.lanes!r} and "
                             f"{self.part[1]!r}")
        if self.requantizers not in self._requantizer_choices(self.lanes, self.pair):
            raise ValueError(f"Requantizers must divide {self.sums!r} sums of a pass, "
                             f"not {self.requantizers!r}")

    def _pairs(self, lanes: int, part: tuple[int, int]) -> bool:
        """Whether a pass can make two pixels."""
        return (self.output.columns % 2 == 0 and self.dilations[1] == 1
                and lanes == self.input.channels and part[1] == self.kernel[1])

    def _requantizer_choices(self, lanes: int, pair: bool) -> list[int]:
        """How many divide the sums of a pass; of a pair, without a beat of both pixels' channels
        but that of all."""
        choices = divisors(lanes * self.times)
        return [*choices, 2 * choices[-1]] if pair else choices

    @property
    def kernel_window(self) -> Window:
        """The kernel's window, that of a single pixel."""
        return Window(input=self.input, kernel=self.kernel, strides=self.strides,
                      padding=self.padding, dilations=self.dilations, lanes=self.lanes,
                      part=self.part)

    @property
    def window(self) -> Window:
        """What a pass reads: of a pair, the kernel's columns for both pixels."""
        (rows, columns), (down, along) = self.kernel, self.strides
        if not self.pair:
            return dataclasses.replace(self.kernel_window, pixels=self.pixels)
        return Window(input=self.input, kernel=(rows, columns + along), strides=(down, 2 * along),
                      padding=self.padding, dilations=self.dilations, lanes=self.lanes,
                      part=(self.part[0], columns + along), pixels=self.pixels)

    @property
    def times(self) -> int:
        """Output channels of an input channel."""
        return self.output.channels // self.input.channels

    @property
    def side_by_side(self) -> int:
        """Pixels of a pass."""
        return 2 if self.pair else 1

    @property
    def sums(self) -> int:
        """Outputs of a pass: of all lanes, and all its pixels."""
        return self.lanes * self.times * self.side_by_side

    @property
    def inputs(self) -> tuple[StreamShape, ...]:
        return (self.window.stream,)

    @property
    def outputs(self) -> tuple[StreamShape, ...]:
        return (StreamShape.of(self.output, self.requantizers),)

    @property
    def kind(self) -> str:
        """What multiplies, as in :class:`RowPair`."""
        return "lut" if self.lut else "packed" if self.pair and self.packed else "dsp"

    @property
    def macs(self) -> int:
        return self.output.size * math.prod(self.kernel)

    @property
    def multipliers(self) -> int:
        return self.sums * math.prod(self.part)

    def compute(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        windows = self.kernel_window.gather(x, self.pad)
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
        """What becomes of the sums. To it the pixels of a pair are one, with the channels of
        both, whose beats are the same."""
        values, count = self.output, self.side_by_side
        lifted = self.weights.values.reshape(values.channels, -1).sum(1) << 7
        biases = [self.bias.values + (0 if self.input.signed else lifted)] * count
        if self.kind == "packed":
            # The first pixel's inputs are unsigned, so that none of them reaches the second's.
            biases[0] = biases[0] - lifted if self.input.signed else self.bias.values
        together = values.resized(columns=values.columns // count,
                                  channels=values.channels * count)
        return Drain(output=StreamShape(map=together, lanes=self.requantizers), rows=self.sums,
                     acc_width=self.acc_width,
                     requantization=_repeated(self.requantization, count),
                     bias=Constants(np.concatenate(biases)), steps=self.steps,
                     latency=ChannelReducer.latency(math.prod(self.part), weighted=True),
                     scaling=self.scaling)

    @property
    def _passes(self) -> int:
        """Of a frame."""
        return self.output.pixels // self.side_by_side * self.window.groups

    @property
    def interval(self) -> int:
        return max(self.inputs[0].beats, self._passes * self.drain.cycles)

    def timing(self) -> Timing:
        groups = self.window.groups
        output, cycles = self.drain.timing(self._passes // groups)
        window = self.window.buffered(passes=groups, steps=self.steps)
        return Timing(inputs=(window,), outputs=(output,), cycles=cycles)

    def resources(self, device: Device) -> Resources:
        taps, packed = math.prod(self.part), self.kind == "packed"
        # Where no DSP takes them in, a product's registers are there.
        before = 2 if self.kind != "lut" and device.family != "xc7" else 0
        sums = (tree_cost(taps, 16, device, before)
                + sum_cost(self.acc_width, device)) * self.sums
        products = product_cost(self.kind, device) * (
            self.multipliers // (2 if packed else 1)) + input_cost(
                self.kind, self.lanes * math.prod(self.window.part), device)
        if packed:
            # The second pixel's products are a bit wider, and wait for the first one's sign.
            products += Resources(lut=4, ff=3) * (self.multipliers // 2)
        weights = LoadedMemory.cost(width=8 * self.multipliers // self.side_by_side,
                                    depth=self.window.groups * self.steps, device=device)
        control = Resources(lut=50, ff=12)  # passes over groups, delays of their marks
        return (sums + products + weights + control + WindowReader.cost(self.window, device)
                + self.drain.resources(device))

    def foldings(self) -> Iterator[Self]:
        """Those of :func:`window_foldings`, and where two pixels make a pass, and several come at
        once; of DSPs and of look-up tables, and of these the requantizers' multipliers too."""
        for folding in window_foldings(self):
            folded = [folding]
            if self._pairs(folding.lanes, folding.part):
                choices = self._requantizer_choices(folding.lanes, pair=True)
                folded.append(dataclasses.replace(folding, pair=True, requantizers=min(
                    count for count in choices if choices[-1] // count <= folding.steps)))
            for each in folded:
                for wider in each._wider():
                    yield wider
                    tables = dataclasses.replace(wider, lut=True)
                    yield tables
                    if self.scaling == "wide":
                        yield dataclasses.replace(tables, scaling="lut")

    def _wider(self) -> Iterator[Self]:
        """This, and the same with more pixels a beat as long as it waits for its input."""
        yield self
        pixels = self.pixels
        while self.lanes == self.input.channels and (
                self.window.stream.beats > pixels * self._passes * self.drain.cycles):
            pixels = next((more for more in range(pixels + 1, self.window.part[1] + 1)
                           if self.input.columns % more == 0), 0)
            if not pixels:
                return
            yield dataclasses.replace(self, pixels=pixels)

    def contents(self) -> dict[str, tuple[int, list[int]]]:
        """Words of each memory, by the end of its file's name."""
        (part_rows, part_columns), (rows, columns) = self.part, self.window.parts
        groups, sums = self.window.groups, self.lanes * self.times
        padded = np.zeros((groups * sums, rows * part_rows, columns * part_columns),
                          dtype=np.int64)
        padded[tuple(slice(size) for size in self.weights.shape)] = self.weights.values
        split = padded.reshape(groups, sums, rows, part_rows, columns, part_columns)
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

        words = [window.o.word_select(k, 8) for k in range(len(window.o) // 8)]
        memories = []
        if self._weighted:
            weights = self._weights(m, window.ahead)
            memories.append(weights)
            sums = self._weighted_terms(m, words, weights.r_data)
        else:
            terms = [(x, None) for x in _registers(m, "x", words)]
            sums = [terms[lane::spec.lanes] for lane in range(spec.lanes)]
        accs = []
        for number, terms in enumerate(sums):
            total, carries = adder_tree(m, f"sum_{number}", [term for term, _ in terms],
                                        [carry for _, carry in terms if carry is not None])
            acc = Signal(signed(spec.acc_width), name=f"acc_{number}", reset_less=True)
            before = Mux(first, 0, acc)
            m.d.sync += acc.eq(with_carry(before, total, *carries) if carries else before + total)
            accs.append(acc)
        m.d.comb += drainer.sums.eq(Cat(accs))
        chain_loads(m, self, *memories, drainer)
        return m

    def _weighted_terms(self, m, words: list[Value], weights: Value) -> list[list[tuple]]:
        """For each sum its products, each with a carry where one belongs to it."""
        spec = self._spec
        xs = _registers(m, "x", words)
        lows = _registers(m, "low", [Cat(word[:7], ~word[7]) for word in words]
                          ) if spec.kind == "packed" else []
        per_pixel = spec.lanes * spec.times
        sums: list[list[tuple]] = [[] for _ in range(spec.sums)]
        for row, column, number in itertools.product(*map(range, spec.part), range(per_pixel)):
            tap = row * spec.part[1] + column
            weight = weights.word_select(tap * per_pixel + number, 8).as_signed()
            # Each term meets the weights of all outputs that are its channel's.
            places = [(row * spec.window.part[1] + column + pixel * spec.strides[1]) * spec.lanes
                      + number // spec.times for pixel in range(spec.side_by_side)]
            if spec.kind == "packed":
                low, high = lows[places[0]], xs[places[1]]
                both = Cat(low.as_unsigned(), Const(0, 8), high).as_signed()
                product = dsp_product(m, f"product_{tap}_{number}", both, weight)
                terms = [(product[:16].as_signed(), None),
                         (product[16:].as_signed(), product[15])]
            else:
                make = lut_product if spec.lut else dsp_product
                terms = [(make(m, f"product_{tap}_{number}_{pixel}", xs[place], weight), None)
                         for pixel, place in enumerate(places)]
            for pixel, term in enumerate(terms):
                sums[pixel * per_pixel + number].append(term)
        return sums

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


def _registers(m, name: str, words: list[Value]) -> list[Value]:
    """Each word in a register of its own, as a signed value."""
    registers: list[Value] = []
    for k, word in enumerate(words):
        register = Signal(signed(len(word)), name=f"{name}_{k}", reset_less=True)
        m.d.sync += register.eq(word)
        registers.append(register)
    return registers


def _repeated(requantization: Requantization, count: int) -> Requantization:
    """For so many pixels' channels in a row."""
    def tiled(values: Constants) -> Constants:
        return values if values.shape == (1,) else Constants(np.tile(values.values, count))

    shift = requantization.shift
    return dataclasses.replace(
        requantization, multiplier=tiled(requantization.multiplier),
        shift=tiled(shift) if isinstance(shift, Constants) else shift)
