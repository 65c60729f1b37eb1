"""What the tensors of a quantised graph are: integers in a map, and floats not yet quantised."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fcnnx.hdl.engine import Source
from fcnnx.hdl.operator import FeatureMap

from .graph import Node


__all__ = ["NCHW", "Given", "Hosted", "Integers", "Origin", "Pointwise", "Quantization", "Refused",
           "Weights", "view_of"]


NCHW = (2, 3, 1)  # where rows, columns and channels are in ONNX's maps


class Refused(Exception):
    """A node asks for what is not supported.

    Parameters
    ----------
    reason, remedy : :class:`str`
        As in :class:`fcnnx.errors.Problem`.
    """

    def __init__(self, reason: str, remedy: str = ""):
        self.reason, self.remedy = reason, remedy
        super().__init__(reason)


@dataclasses.dataclass(frozen=True)
class Quantization:
    """How a tensor's integers mean floats, as QuantizeLinear and DequantizeLinear say.

    Parameters
    ----------
    scale : :class:`numpy.float32`
    zero : :class:`int`
    signed : :class:`bool`
        8 bits, signed or not.
    """

    scale: np.float32
    zero: int
    signed: bool

    @property
    def low(self) -> int:
        """The least integer."""
        return -128 if self.signed else 0

    @property
    def high(self) -> int:
        """The greatest integer."""
        return 127 if self.signed else 255

    def quantize(self, x: npt.ArrayLike) -> np.ndarray:
        """QuantizeLinear in 32-bit floats."""
        with np.errstate(over="ignore"):
            steps = np.rint(np.asarray(x, np.float32) / self.scale)
        return np.clip(steps + np.float32(self.zero), self.low, self.high).astype(np.int64)

    def dequantize(self, q: np.ndarray) -> np.ndarray:
        """DequantizeLinear in 32-bit floats."""
        return (np.asarray(q) - self.zero).astype(np.float32) * self.scale

    def range(self, low: float, high: float) -> tuple[int, int]:
        """Integers of the bounds of a Clip: quantising keeps order, so it may come first."""
        return int(self.quantize(np.float32(low))), int(self.quantize(np.float32(high)))

    def map(self, rows: int, columns: int, channels: int) -> FeatureMap:
        """A map of this element."""
        return FeatureMap(rows=rows, columns=columns, channels=channels, width=8,
                          signed=self.signed)


def view_of(places: np.ndarray) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and axes with which a flat tensor becomes a map.

    Parameters
    ----------
    places : integers, shape (rows, columns, channels)
        Where in the flat tensor each value of the map is.

    Raises
    ------
    Refused
        If no reshaping and transposing does it.
    """
    steps = [int(places[tuple(np.eye(3, dtype=int)[axis])]) - int(places[0, 0, 0])
             if places.shape[axis] > 1 else np.inf for axis in range(3)]
    order = sorted(range(3), key=lambda axis: -steps[axis])
    shape = tuple(places.shape[axis] for axis in order)
    axes = tuple(order.index(axis) for axis in range(3))
    if not np.array_equal(np.arange(places.size).reshape(shape).transpose(axes), places):
        raise Refused("its input is not a map of rows, columns and channels after the reshaping "
                      "before it.", "Reshape whole maps only.")
    return shape, axes


@dataclasses.dataclass(eq=False)
class Origin:
    """Where integers come from: a stage, or an input of the network, whose map is settled by its
    first consumer.

    Parameters
    ----------
    source : :class:`Source`
    signed : :class:`bool`
    shape : tuple of :class:`int`
        Of the tensor of the ONNX graph.
    name : :class:`str`
        Of an input: that of the model's input it comes from.
    tensor : :class:`str` or None
        Tensor of the ONNX graph with these integers.
    view : pair of tuples, or None
        How the tensor becomes the map: shape and axes.
    known : :class:`FeatureMap` or None
        The map, where it is settled.
    """

    source: Source
    signed: bool
    shape: tuple[int, ...] = ()
    name: str = ""
    tensor: str | None = None
    view: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    known: FeatureMap | None = None
    _raster: np.ndarray | None = None

    @property
    def map(self) -> FeatureMap:
        """The map, which must have been settled."""
        assert self.known is not None
        return self.known

    def settle(self, places: np.ndarray) -> None:
        """Makes the map of an input: ``places`` as in :func:`view_of`."""
        self.view = view_of(places)
        rows, columns, channels = places.shape
        self.known = FeatureMap(rows=rows, columns=columns, channels=channels, width=8,
                                signed=self.signed)
        self._raster = np.empty(places.size, np.int64)
        self._raster[places.ravel()] = np.arange(places.size)

    def name_tensor(self, tensor: str, index: np.ndarray) -> None:
        """Says which tensor of the ONNX graph holds a stage's integers."""
        if self.tensor is None:
            places = np.empty(index.size, np.int64)
            places[index.ravel()] = np.arange(index.size)
            self.view = view_of(places.reshape(self.map.shape))
            self.tensor, self.shape = tensor, index.shape

    def raster(self, index: np.ndarray) -> np.ndarray:
        """Places in the map, counted in raster order, of the elements of a tensor."""
        return index if self._raster is None else self._raster[index]


@dataclasses.dataclass(frozen=True, eq=False)
class Integers:
    """A quantised tensor of the ONNX graph.

    Parameters
    ----------
    origin : :class:`Origin`
    index : integers, shape of the tensor
        Which of the origin's values each element is, counted in raster order (of an input whose
        map is not settled: in the order of its tensor). Of a padded tensor: in the padded map.
    padding : four :class:`int`
        Padding that no stage has made yet: top, left, bottom, right.
    pad : :class:`int`
        Its value.
    name, tensor : :class:`str`
        The node that pads, and the tensor of the ONNX graph with the padded integers, if any.
    """

    origin: Origin
    index: np.ndarray
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad: int = 0
    name: str = ""
    tensor: str = ""

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> "Integers":
        """The same values in another order, or some of them."""
        return dataclasses.replace(self, index=change(self.index))

    def as_map(self, axes: tuple[int, ...]) -> FeatureMap:
        """The tensor as a map, padding included.

        Parameters
        ----------
        axes : the tensor's axes of rows, columns and channels; others must have the size 1

        Raises
        ------
        Refused
            If the origin's values do not come in this order.
        """
        rest = tuple(axis for axis in range(self.index.ndim) if axis not in axes)
        sizes = tuple(self.index.shape[axis] for axis in axes)
        if any(self.index.shape[axis] != 1 for axis in rest):
            raise Refused(f"its input has the shape {list(self.index.shape)}, and more than rows, "
                          "columns and channels.")
        places = self.index.transpose(*rest, *axes).reshape(sizes)
        if self.origin.known is None:
            self.origin.settle(places)
        places = self.raster().transpose(*rest, *axes).ravel()
        have = self.map
        if have.shape != sizes or not np.array_equal(places, np.arange(places.size)):
            raise Refused(f"it takes a map of {_size(sizes)} where one of {_size(have.shape)} "
                          "comes: the reshaping between them changes rows, columns or channels.",
                          "Reshape to a vector only, or transpose back.")
        return have

    def as_vector(self) -> FeatureMap:
        """The map whose values the tensor has in any order; a vector where that is open."""
        if self.origin.known is None:
            self.origin.settle(np.arange(self.index.size).reshape(1, 1, -1))
        return self.map

    def settled(self) -> FeatureMap:
        """The map, for an operator to which rows, columns and channels are all one."""
        if self.origin.known is None and self.index.ndim == 4:
            return self.as_map((2, 3, 1))
        return self.as_vector()

    @property
    def map(self) -> FeatureMap:
        """That of the origin, padding included."""
        top, left, bottom, right = self.padding
        return self.origin.map.resized(rows=self.origin.map.rows + top + bottom,
                                       columns=self.origin.map.columns + left + right)

    def raster(self) -> np.ndarray:
        """Shape of the tensor: each element's place in the map, in raster order."""
        return self.index if any(self.padding) else self.origin.raster(self.index)


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


@dataclasses.dataclass(frozen=True, eq=False)
class Given:
    """A float input of the model, on the way to its QuantizeLinear; ``index`` as in
    :class:`Integers`."""

    name: str
    index: np.ndarray

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> "Given":
        """The same values in another order, or some of them."""
        return dataclasses.replace(self, index=change(self.index))


@dataclasses.dataclass(frozen=True, eq=False)
class Hosted:
    """A tensor that the host computes after the hardware, from these origins."""

    origins: tuple[Origin, ...]

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> "Hosted":
        """The same: the host sees to it."""
        return self


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """Constants with the integers that they were dequantised from.

    Parameters
    ----------
    integers : array
        Zero point taken off.
    scale : :class:`numpy.float32` array
        Broadcasts against the integers.
    node : :class:`str`
        The DequantizeLinear.
    zeros : array
        Zero points.
    """

    integers: np.ndarray
    scale: np.ndarray
    node: str
    zeros: np.ndarray

    @functools.cached_property
    def values(self) -> np.ndarray:
        """The floats, in 32 bits."""
        return self.integers.astype(np.float32) * self.scale

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> "Weights":
        """The same values in another order, or some of them."""
        scale = np.broadcast_to(self.scale, self.integers.shape)
        return dataclasses.replace(self, integers=change(self.integers), scale=change(scale))


@dataclasses.dataclass(frozen=True, eq=False)
class Pointwise:
    """Floats made of the integers one by one: dequantised, then each function applied.

    Parameters
    ----------
    integers : :class:`Integers`
    quantization : :class:`Quantization`
    functions : tuple of functions of 32-bit floats
    nodes : tuple of :class:`str`
        Their nodes, with name and operator.
    name : :class:`str`
        The name of the first of them.
    """

    integers: Integers
    quantization: Quantization
    functions: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()
    nodes: tuple[str, ...] = ()
    name: str = ""

    @property
    def index(self) -> np.ndarray:
        """Where each value comes from."""
        return self.integers.index

    def view(self, change: Callable[[np.ndarray], np.ndarray]) -> "Pointwise":
        """The same values in another order, or some of them."""
        return dataclasses.replace(self, integers=self.integers.view(change))

    def then(self, node: Node, function: Callable[[np.ndarray], np.ndarray]) -> "Pointwise":
        """With one function more."""
        return dataclasses.replace(self, functions=(*self.functions, function),
                                   nodes=(*self.nodes, str(node)), name=self.name or node.name)

    def alike(self, other: "Pointwise") -> bool:
        """Whether each element is made of the same integer as that of the other."""
        return (self.integers.origin is other.integers.origin
                and self.integers.padding == other.integers.padding
                and self.integers.pad == other.integers.pad
                and self.quantization == other.quantization
                and np.array_equal(self.index, other.index))

    def joined(self, other: "Pointwise", node: Node,
               function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> "Pointwise":
        """A function of two values that are made of one integer."""
        nodes = dict.fromkeys((*self.nodes, *other.nodes, str(node)))
        return dataclasses.replace(
            self, functions=(lambda x: function(self.apply(x), other.apply(x)),),
            nodes=tuple(nodes), name=self.name or other.name or node.name)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The functions of dequantised values."""
        for function in self.functions:
            x = function(x)
        return x

    def table(self, output: Quantization) -> np.ndarray:
        """The quantised results for each integer, from the lowest on."""
        given = np.arange(self.quantization.low, self.quantization.high + 1)
        return output.quantize(self.apply(self.quantization.dequantize(given)))
