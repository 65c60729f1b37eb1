"""Components of many kinds and sizes, whose costs are held against synthesis."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np
from amaranth.lib import data, wiring

from fcnnx.hdl.deep_queue import DeepQueue
from fcnnx.hdl.device import Device, Resources
from fcnnx.hdl.operator import Constants, FeatureMap, Operator, StreamShape
from fcnnx.hdl.operators.add import Add
from fcnnx.hdl.operators.concat import Concat, PadChannels
from fcnnx.hdl.operators.convolution import accumulator_width
from fcnnx.hdl.operators.depthwise import DepthwiseConvolution
from fcnnx.hdl.operators.drain import Drain
from fcnnx.hdl.operators.global_max_pool import GlobalMaxPool
from fcnnx.hdl.operators.global_pool import GlobalAveragePool
from fcnnx.hdl.operators.matvec import RowPair
from fcnnx.hdl.operators.multiply import Multiply
from fcnnx.hdl.operators.pad import Pad
from fcnnx.hdl.operators.plumbing import Fork, Narrow, Queue, Widen
from fcnnx.hdl.operators.pooling import AveragePool, MaxPool
from fcnnx.hdl.operators.prelu import PRelu
from fcnnx.hdl.operators.requantize import Requantization
from fcnnx.hdl.operators.resize import Upsample
from fcnnx.hdl.operators.slice import Slice
from fcnnx.hdl.operators.table import Table
from fcnnx.hdl.operators.window import Window
from fcnnx.hdl.operators.window_reader import WindowReader
from fcnnx.hdl.streams import OutputQueue


__all__ = ["Sample", "samples"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """A component, and what is said of its cost.

    Parameters
    ----------
    name : :class:`str`
        Its kind and parameters.
    create : callable
        Makes it.
    predict : callable
        Its cost on a device.
    packs : :class:`bool` or None
        Whether it is for devices whose DSPs make two products, or for the others; None: for all.
    """

    name: str
    create: Callable[[], wiring.Component]
    predict: Callable[[Device], Resources]
    packs: bool | None = None

    @property
    def kind(self) -> str:
        return self.name.split()[0]

    def suits(self, device: Device) -> bool:
        """Whether designs for a device have such components."""
        return self.packs in (None, device.packs_products)


def samples() -> Iterator[Sample]:
    """All, always the same ones."""
    rng = np.random.default_rng(5)
    yield from _queues()
    yield from _row_pairs()
    yield from _windows()
    for operator, name in itertools.chain(_drains(rng), _pointwise(rng), _plumbing(),
                                          _on_windows(rng), _maps(), _scaled()):
        name = f"{type(operator).__name__} {name}"
        scaling = getattr(operator, "scaling", None)
        yield Sample(name=name, create=operator.create, predict=operator.resources,
                     packs=True if scaling else None)
        if scaling == "wide":
            narrow = dataclasses.replace(operator, scaling="narrow")
            yield Sample(name=f"{name} scaling='narrow'", create=narrow.create,
                         predict=narrow.resources, packs=False)


def _queues() -> Iterator[Sample]:
    for width, places, most in ((8, 10, 1), (64, 10, 1), (32, 40, 4), (128, 20, 2), (24, 33, 1)):
        shape = data.ArrayLayout(8, width // 8)
        yield Sample(name=f"OutputQueue {width=} {places=} {most=}",
                     create=lambda shape=shape, places=places, most=most: OutputQueue(
                         shape, places=places, most=most),
                     predict=lambda device, width=width, places=places: OutputQueue.cost(
                         width=width, places=places, device=device))
    for width, places in ((16, 700), (64, 200)):
        shape = data.ArrayLayout(8, width // 8)
        yield Sample(name=f"DeepQueue {width=} {places=}",
                     create=lambda shape=shape, places=places: DeepQueue(shape, places=places),
                     predict=lambda device, width=width, places=places: DeepQueue.cost(
                         width=width, places=places, device=device))


def _row_pairs() -> Iterator[Sample]:
    for rows, columns, depth, acc_width, kind, block in (
            (2, 3, 9, 20, "packed", False), (2, 8, 36, 21, "packed", False),
            (2, 24, 48, 23, "packed", False), (2, 9, 128, 22, "packed", False),
            (2, 16, 300, 24, "packed", False), (2, 1, 64, 20, "packed", False),
            (1, 8, 16, 20, "packed", False), (2, 8, 24, 21, "dsp", False),
            (1, 9, 100, 21, "dsp", False), (2, 8, 24, 21, "lut", False),
            (1, 3, 20, 19, "lut", False), (2, 4, 9, 20, "lut", False),
            (2, 24, 48, 23, "packed", True), (2, 8, 24, 21, "lut", True),
            (1, 3, 20, 19, "dsp", True)):
        size = {"rows": rows, "columns": columns, "depth": depth, "acc_width": acc_width,
                "kind": kind, "block": block}
        yield Sample(name=f"RowPair {rows=} {columns=} {depth=} {acc_width=} {kind=}"
                          + block * " block",
                     create=lambda size=size: RowPair(**size),
                     predict=lambda device, size=size: RowPair.cost(**size, device=device),
                     packs=True if kind == "packed" else None)


def _windows() -> Iterator[Sample]:
    for size, kernel, strides, padding, lanes, part, pixels, passes, grouped in (
            ((32, 32, 16), (3, 3), (1, 1), (1, 1, 1, 1), 16, (1, 3), 1, 2, False),
            ((16, 16, 32), (3, 3), (2, 2), (0, 0, 1, 1), 8, (1, 1), 1, 8, False),
            ((8, 8, 64), (1, 1), (1, 1), (0, 0, 0, 0), 8, (1, 1), 1, 16, False),
            ((49, 10, 1), (10, 4), (2, 2), (4, 1, 5, 1), 1, (1, 4), 1, 8, False),
            ((32, 32, 3), (3, 3), (1, 1), (1, 1, 1, 1), 3, (3, 3), 1, 1, False),
            ((48, 48, 3), (3, 3), (1, 1), (0, 0, 0, 0), 3, (1, 3), 1, 5, False),
            ((96, 96, 3), (3, 3), (2, 2), (0, 0, 1, 1), 3, (3, 3), 2, 1, False),
            ((1, 1, 256), (1, 1), (1, 1), (0, 0, 0, 0), 4, (1, 1), 1, 10, False),
            ((12, 12, 64), (3, 3), (1, 1), (1, 1, 1, 1), 4, (1, 3), 1, 16, True),
            ((24, 24, 32), (3, 3), (2, 2), (1, 1, 1, 1), 16, (3, 3), 1, 2, True),
            ((6, 6, 128), (3, 3), (1, 1), (1, 1, 1, 1), 2, (1, 1), 1, 64, True),
            ((23, 23, 28), (3, 3), (2, 2), (0, 0, 1, 1), 7, (1, 3), 1, 4, True),
            ((4, 4, 48), (3, 3), (1, 1), (0, 0, 0, 0), 12, (1, 3), 1, 3, False),
            ((32, 32, 4), (3, 3), (1, 1), (1, 1, 1, 1), 4, (1, 3), 1, 2, False),
            ((16, 16, 2), (3, 3), (1, 1), (1, 1, 1, 1), 2, (3, 3), 1, 4, False),
            ((16, 16, 8), (3, 3), (1, 1), (0, 0, 0, 0), 8, (3, 3), 1, 4, False),
            ((16, 16, 16), (2, 2), (1, 1), (0, 0, 0, 0), 8, (1, 2), 1, 4, False),
            ((16, 16, 8), (5, 5), (1, 1), (2, 2, 2, 2), 4, (1, 5), 1, 4, False),
            ((64, 64, 8), (3, 3), (2, 2), (1, 1, 1, 1), 8, (1, 1), 1, 2, False)):
        window = Window(input=_map(size), kernel=kernel, strides=strides, padding=padding,
                        lanes=lanes, part=part, pixels=pixels)
        steps = int(np.prod(window.parts)) * (1 if grouped else window.groups)
        yield Sample(
            name=f"WindowReader {size=} {kernel=} {strides=} {padding=} {lanes=} {part=} "
                 f"{pixels=} {passes=} {grouped=}",
            create=lambda window=window, passes=passes, grouped=grouped, steps=steps: WindowReader(
                window, pad=3, flip=False, passes=passes, grouped=grouped, cycles=steps),
            predict=lambda device, window=window: WindowReader.cost(window, device))


def _drains(rng: np.random.Generator) -> Iterator[tuple[Drain, str]]:
    for channels, rows, lanes, acc_width, steps, vary, scaling in (
            (16, 8, 1, 20, 9, False, "wide"), (64, 8, 2, 22, 4, False, "wide"),
            (64, 64, 8, 19, 8, False, "wide"), (32, 2, 2, 21, 12, False, "wide"),
            (10, 4, 1, 23, 64, False, "wide"), (128, 12, 4, 24, 3, False, "wide"),
            (24, 6, 2, 20, 3, True, "wide"), (256, 4, 1, 18, 2, False, "wide"),
            (32, 32, 2, 20, 16, False, "wide"), (30, 10, 2, 21, 5, False, "wide"),
            (16, 8, 1, 20, 9, False, "lut"), (64, 8, 4, 17, 2, False, "lut"),
            (24, 6, 2, 23, 3, True, "lut")):
        output = StreamShape(map=_map((8, 8, channels)), lanes=lanes)
        yield Drain(output=output, rows=rows, acc_width=acc_width, steps=steps, latency=7,
                    requantization=_requantization(rng, channels, acc_width, vary),
                    bias=Constants(rng.integers(-500, 500, channels)), scaling=scaling), (
                        f"{channels=} {rows=} {lanes=} {acc_width=} {steps=} {vary=}"
                        + _made_of(scaling))


def _pointwise(rng: np.random.Generator) -> Iterator[tuple[Operator, str]]:
    for size, lanes, zeros in (((8, 8, 16), 1, (0, 0)), ((8, 8, 64), 8, (3, -5)),
                               ((4, 4, 30), 4, (-128, 7))):
        yield Add(operands=(_map(size), _map(size)), zeros=zeros, scales=(70001, 51234), shift=17,
                  zero=-4, low=-128, high=127, output=_map(size), lanes=lanes), (
                      f"{size=} {lanes=} {zeros=}")
    for size, lanes in (((10, 10, 28), 1), ((6, 6, 32), 8), ((5, 5, 10), 4)):
        yield PRelu(input=_map(size), output=_map(size), zero=3, zero_out=-2, scale=80000,
                    slopes=Constants(rng.integers(-60000, 60000, size[2])), shift=17, low=-128,
                    high=127, lanes=lanes), f"{size=} {lanes=}"
    for size, lanes in (((6, 6, 16), 1), ((6, 6, 16), 8)):
        yield Table(input=_map(size), output=_map(size), lanes=lanes,
                    values=Constants(rng.integers(-128, 128, 256))), f"{size=} {lanes=}"
    for size, lanes in (((8, 8, 64), 1), ((3, 3, 256), 8), ((25, 5, 60), 60)):
        yield GlobalAveragePool(
            input=_map(size), bias=-30, requantization=_requantization(rng, 1, 16, False),
            output=_map((1, 1, size[2])), lanes=lanes), f"{size=} {lanes=}"
    for size, lanes in (((7, 7, 16), 1), ((12, 5, 24), 8)):
        yield Pad(input=_map(size), padding=(1, 1, 2, 0), value=-3, lanes=lanes), (
            f"{size=} {lanes=}")


def _maps() -> Iterator[tuple[Operator, str]]:
    for size, lanes in (((6, 6, 16), 1), ((5, 5, 24), 8), ((9, 9, 20), 20)):
        yield GlobalMaxPool(input=_map(size), lanes=lanes), f"{size=} {lanes=}"
    for size, factors, lanes in (((6, 6, 16), (2, 2), 1), ((4, 8, 24), (2, 3), 8),
                                 ((5, 5, 12), (1, 2), 12)):
        yield Upsample(input=_map(size), factors=factors, lanes=lanes), (
            f"{size=} {factors=} {lanes=}")


def _scaled() -> Iterator[tuple[Operator, str]]:
    """Operators that multiply by scales of all bits, with DSPs and with look-up tables."""
    rng = np.random.default_rng(6)
    for size, lanes, scaling in (((8, 8, 16), 1, "lut"), ((4, 4, 30), 4, "lut"),
                                 ((4, 4, 32), 8, "wide")):
        yield Add(operands=(_map(size), _map(size)), zeros=(3, -5), scales=(11259375, 9876543),
                  shift=24, zero=-4, low=-128, high=127, output=_map(size), lanes=lanes,
                  scaling=scaling), f"{size=} {lanes=} full" + _made_of(scaling)
    for size, lanes in (((10, 10, 28), 1), ((5, 5, 10), 4)):
        yield PRelu(input=_map(size), output=_map(size), zero=3, zero_out=-2, scale=9876543,
                    slopes=Constants(rng.integers(-1 << 23, 1 << 23, size[2])), shift=24, low=-128,
                    high=127, lanes=lanes, scaling="lut"), f"{size=} {lanes=} scaling='lut'"
    for size, lanes, pixel, scaling in (
            ((8, 8, 16), 1, False, "wide"), ((4, 4, 30), 4, True, "wide"),
            ((6, 6, 32), 8, False, "wide"), ((8, 8, 16), 2, False, "lut")):
        second = _map((1, 1, size[2])) if pixel else _map(size)
        yield Multiply(operands=(_map(size), second), zeros=(3, -128), scale=9876543, shift=32,
                       zero=4, low=-128, high=127, output=_map(size), lanes=lanes,
                       scaling=scaling), f"{size=} {lanes=} {pixel=}" + _made_of(scaling)
    for size, lanes in (((8, 8, 64), 1), ((3, 3, 256), 8)):
        yield GlobalAveragePool(
            input=_map(size), bias=-30, requantization=_requantization(rng, 1, 16, False),
            output=_map((1, 1, size[2])), lanes=lanes, scaling="lut"), (
                f"{size=} {lanes=} scaling='lut'")


def _made_of(scaling: str) -> str:
    return "" if scaling == "wide" else f" {scaling=}"


def _plumbing() -> Iterator[tuple[Operator, str]]:
    for lanes, places in ((1, (4, 4)), (16, (4, 60)), (8, (6, 700, 20))):
        yield Fork(map=_map((16, 16, 16)), lanes=lanes, places=places), f"{lanes=} {places=}"
    for lanes, places in ((4, 20), (16, 300)):
        yield Queue(map=_map((16, 16, 16)), lanes=lanes, places=places), f"{lanes=} {places=}"
    for narrow, wide in ((1, 2), (1, 16), (4, 12), (8, 64)):
        yield Widen(map=_map((5, 5, 64)), lanes_in=narrow, lanes_out=wide), f"{narrow=} {wide=}"
        yield Narrow(map=_map((5, 5, 64)), lanes_in=wide, lanes_out=narrow), f"{narrow=} {wide=}"
    yield Slice(input=_map((9, 9, 24)), rows=(1, 8), columns=(0, 6), channels=(8, 20), lanes=4), ""
    yield Concat(operands=(_map((6, 6, 8)), _map((6, 6, 12))), lanes=4), "lanes=4"
    yield Concat(operands=(_map((6, 6, 8)), _map((6, 6, 12))), lanes=20), "lanes=20"
    yield PadChannels(input=_map((6, 6, 16)), before=Constants(np.arange(8)),
                      after=Constants(np.arange(8)), lanes=4), "lanes=4"


def _on_windows(rng: np.random.Generator) -> Iterator[tuple[Operator, str]]:
    for size, lanes, part, requantizers, lut, pair, pixels in (
            ((12, 12, 64), 4, (1, 3), 2, False, False, 1),
            ((12, 12, 32), 8, (3, 3), 8, False, False, 1),
            ((24, 24, 16), 1, (1, 1), 1, False, False, 1),
            ((6, 6, 30), 6, (1, 3), 2, True, False, 1),
            ((48, 48, 8), 8, (1, 3), 8, False, True, 1),
            ((24, 24, 16), 16, (3, 3), 32, False, True, 2),
            ((12, 12, 4), 4, (3, 3), 8, True, True, 2)):
        weights = rng.integers(-128, 128, (size[2], 3, 3))
        bias = rng.integers(-500, 500, size[2])
        acc_width = accumulator_width(weights, bias, _map(size))
        yield DepthwiseConvolution(
            input=_map(size), kernel=(3, 3), padding=(1, 1, 1, 1), weights=Constants(weights),
            bias=Constants(bias), output=_map(size), acc_width=acc_width, lanes=lanes, part=part,
            requantization=_requantization(rng, size[2], acc_width, False), lut=lut,
            requantizers=requantizers, pair=pair, pixels=pixels), (
                f"{size=} {lanes=} {part=} {requantizers=} {lut=}"
                + (f" {pair=} {pixels=}" if pair else ""))
    for size, lanes, part in (((24, 24, 28), 4, (1, 3)), ((12, 12, 16), 1, (1, 1)),
                              ((12, 12, 16), 4, (3, 3))):
        yield MaxPool(input=_map(size), kernel=(3, 3), strides=(2, 2), lanes=lanes, part=part), (
            f"{size=} {lanes=} {part=}")
    for size, lanes, part in (((12, 12, 16), 2, (1, 2)), ((8, 8, 32), 8, (2, 2))):
        output = _map((size[0] // 2, size[1] // 2, size[2]))
        yield AveragePool(
            input=_map(size), kernel=(2, 2), strides=(2, 2), lanes=lanes, part=part,
            requantization=_requantization(rng, 1, 12, False), output=output,
            requantizers=lanes // 2), f"{size=} {lanes=} {part=}"


def _map(size: tuple[int, int, int]) -> FeatureMap:
    return FeatureMap(rows=size[0], columns=size[1], channels=size[2])


def _requantization(rng: np.random.Generator, channels: int, acc_width: int,
                    vary: bool) -> Requantization:
    shift = 17 + max(acc_width - 8, 1)
    return Requantization(
        multiplier=Constants(rng.integers(40000, 1 << 17, channels)), zero=3, low=-128, high=127,
        shift=Constants(shift + rng.integers(0, 3, channels)) if vary else shift)
